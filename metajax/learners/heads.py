"""Linear heads fitted until nothing changes: logistic regression and the support vector machine.

Both are Newton iterations in the dual, one number a row and class, whose systems fall apart into
one a class (S, S) and one that ties them. What precedes the last step is a constant; the last step
starts at the solution, where ``u - J^-1 F(u)`` has the derivative ``-J^-1 dF``: that of the
implicit function theorem, exact as far as the iteration has converged.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from metajax.losses import masked_logits
from metajax.types import PyTree


def _gram(z: jax.Array) -> jax.Array:
    return jnp.matmul(z, z.T, precision="highest")


def logistic(
    z: jax.Array, y: jax.Array, mask: jax.Array, l2: jax.Array | float, steps: int
) -> jax.Array:
    """The weights W (D, C) that minimise ``sum_i w_i CE(W'z_i, y_i) + l2 |W|^2 / 2``.

    Args:
      z: (S, D) features.
      y: (S, C) one-hot classes.
      mask: (S, C); a row's largest is its weight w, a column of zeros is an absent class.
      l2: above 0.
      steps: Newton steps before the last, each halved until it lowers the objective most.

    Reference: the systems are those of Rasmussen and Williams 2006, algorithm 3.3.
    """
    weight, kernel = mask.max(-1), _gram(z) / l2
    y = jnp.where(mask > 0, y, 0)

    def objective(a: jax.Array, outputs: jax.Array) -> jax.Array:
        likelihood = jax.nn.log_softmax(masked_logits(outputs, mask))
        return 0.5 * (a * outputs).sum() - (weight[:, None] * y * likelihood).sum()

    def newton(kernel: jax.Array, a: jax.Array) -> jax.Array:
        outputs = kernel @ a
        chance = jax.nn.softmax(masked_logits(outputs, mask)) * (mask > 0)
        slope = weight[:, None] * chance
        target = slope * (outputs - (chance * outputs).sum(-1, keepdims=True))
        target += weight[:, None] * (y - chance)
        # A root has no derivative at 0.
        root = jnp.where(slope > 0, jnp.sqrt(jnp.where(slope > 0, slope, 1)), 0).T
        inner = jnp.eye(len(z), dtype=z.dtype) + root[:, :, None] * kernel * root[:, None]
        inner = root[:, :, None] * jnp.linalg.inv(inner) * root[:, None]
        moved = jnp.einsum("cij,jc->ic", inner, kernel @ target)
        tie = inner.sum(0) + jnp.diag((weight == 0).astype(z.dtype))
        common = jnp.linalg.solve(tie, moved.sum(-1))
        return target - moved + jnp.einsum("cij,j->ic", inner, common)

    def shortened(a: jax.Array, _):
        fixed = jax.lax.stop_gradient(kernel)
        move = newton(fixed, a) - a
        tried = a + move * 0.5 ** jnp.arange(8, dtype=z.dtype)[:, None, None]
        return tried[jax.vmap(objective)(tried, fixed @ tried).argmin()], None

    end = jax.lax.scan(shortened, jnp.zeros_like(y), length=steps)[0]
    return z.T @ newton(kernel, end) / l2


def support_vector(
    z: jax.Array, y: jax.Array, mask: jax.Array, l2: jax.Array | float, steps: int
) -> jax.Array:
    """The weights W (D, C) of the multi-class support vector machine of Crammer and Singer.

    ``W = Z'A`` and, with C = 1 / l2, A minimises ``tr A'(ZZ' + I)A / 2 - tr A'Y`` where every row
    sums to 0 and ``A <= C w Y``: an interior-point method on ``U = C w Y - A >= 0``.

    Args:
      z: (S, D) features.
      y: (S, C) one-hot classes.
      mask: (S, C); a row's largest is its weight w, a column of zeros is an absent class.
      l2: above 0.
      steps: interior-point steps before the last.
    """
    weight, kernel = mask.max(-1), _gram(z) + jnp.eye(len(z), dtype=z.dtype)
    there, limit = mask > 0, weight / l2
    y, both = jnp.where(there, y, 0), there.T[:, :, None] & there.T[:, None]
    count = jnp.maximum(there.sum(), 1)

    def newton(kernel: jax.Array, u: jax.Array, s: jax.Array, v: jax.Array, gap) -> PyTree:
        """The u, multipliers s of u >= 0 and v of the sums that solve the linearised conditions."""
        ratio = jnp.where(there, s / jnp.where(there, u, 1), 1)
        pull = gap / jnp.where(there, u, 1)
        right = pull - (y - kernel @ (limit[:, None] * y - u) + v[:, None])
        system = jnp.where(both, kernel, 0) + jax.vmap(jnp.diag)(ratio.T)
        inverse = jnp.where(both, jnp.linalg.inv(system), 0)
        tie = inverse.sum(0) + jnp.diag((weight == 0).astype(z.dtype))
        sums = jnp.einsum("cij,jc->i", inverse, right) + u.sum(-1) - limit
        move = jnp.linalg.solve(tie, jnp.where(weight > 0, sums, 0))
        du = jnp.einsum("cij,jc->ic", inverse, right - move[:, None])
        return u + du, jnp.where(there, pull - ratio * du, 1), v + move

    def shortened(carry: PyTree, _):
        u, s, _ = carry
        # Towards complementarity, but not beyond what digits can hold.
        gap = jnp.maximum(0.1 * jnp.where(there, u * s, 0).sum() / count, floor)
        aims = newton(jax.lax.stop_gradient(kernel), *carry, gap)

        def room(now, aim):
            return jnp.where(there & (aim < now), 0.99 * now / jnp.maximum(now - aim, tiny), 1)

        size = jnp.minimum(1, jnp.minimum(room(u, aims[0]), room(s, aims[1])).min())
        return jax.tree.map(lambda now, aim: now + size * (aim - now), carry, aims), None

    tiny, fixed = jnp.finfo(z.dtype).tiny, jax.lax.stop_gradient(limit)
    floor = jnp.finfo(z.dtype).eps * fixed.max()
    u = jnp.where(there, (fixed / jnp.maximum(there.sum(-1), 1))[:, None], 0)
    slope = y - jax.lax.stop_gradient(kernel) @ (fixed[:, None] * y - u)
    v = 1 - jnp.where(there, slope, jnp.inf).min(-1, initial=1.0)
    begin = u, jnp.where(there, slope + v[:, None], 1), v
    end = jax.lax.scan(shortened, begin, length=steps)[0]
    return z.T @ (limit[:, None] * y - newton(kernel, *jax.lax.stop_gradient(end), 0.0)[0])


METHODS = ()  # parts of learners
