"""The one inner loop, a `lax.scan` over any optax transformation; implicit solutions (floor 2)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from optax import tree

from metajax.types import PyTree

# From here on a backward pass that keeps the activations of all steps takes twice the memory or
# more, and recomputing them costs less than a tenth of the time: results/speed/curves-cpu.csv.
REMAT_STEPS = 16


def descend(
    loss_fn: Callable[[PyTree, jax.Array], jax.Array],
    start: PyTree,
    optimizer: optax.GradientTransformation,
    steps: int,
    *,
    first_order: bool = False,
    remat: bool | None = None,
    watch: Callable[[PyTree], PyTree] | None = None,
) -> tuple[PyTree, PyTree]:
    """Follows the gradient of a loss for a fixed number of steps, differentiably.

    Args:
      loss_fn: ``(params, step) -> scalar``; the step (int32, from 0) lets it choose mini-batches.
      start: the parameters to start from; the result is differentiable in them.
      optimizer: any optax transformation; its state starts fresh.
      steps: the number of steps, 0 or more (static).
      first_order: treat the inner gradients as constants (FOMAML, Finn et al. 2017, section 5.2).
      remat: recompute each step in the backward pass instead of keeping what it computed; None:
        from `REMAT_STEPS` on.
      watch: what to compute from the parameters after each step, differentiably too.

    Returns:
      The parameters after the last step, and the (steps,) losses before each step or, stacked,
      what `watch` gave after each.

    Raises:
      ValueError: for a negative number of steps.
    """
    if steps < 0:
        raise ValueError(f"the inner loop needs steps >= 0; got {steps}")

    def step(carry, i):
        params, state = carry
        value, grads = jax.value_and_grad(loss_fn)(params, i)
        if first_order:
            grads = jax.lax.stop_gradient(grads)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), value if watch is None else watch(params)

    remat = steps >= REMAT_STEPS if remat is None else remat
    body = jax.checkpoint(step, prevent_cse=False) if remat else step
    carry = start, optimizer.init(start)
    if steps == 1:
        # No loop: all tasks start from the same weights, and without a loop the rows of all go
        # through the network together under `vmap`. (To take the first of more steps out of the
        # loop gains little, and doubles what is compiled.)
        (end, _), seen = body(carry, jnp.int32(0))
        return end, jax.tree.map(lambda leaf: leaf[None], seen)
    (end, _), seen = jax.lax.scan(body, carry, jnp.arange(steps))
    return end, seen


def implicit(
    solve: Callable[[PyTree], PyTree],
    slope: Callable[[PyTree, PyTree], PyTree],
    args: PyTree,
    inverse: Callable[[Callable[[PyTree], PyTree], PyTree], PyTree],
) -> PyTree:
    """A minimiser with the gradient of the implicit function theorem, however it was found.

    With ``slope(phi, args) = 0`` at the minimiser, A the derivative of `slope` in phi and B that in
    `args`, the minimiser changes by ``-A^-1 B`` times the change of `args`. What `solve` does is
    not differentiated, so memory does not grow with its steps. Reverse mode only.

    Args:
      solve: ``args -> phi``.
      slope: ``(phi, args) -> gradient`` of the objective in phi, in phi's structure; hence A is
        symmetric.
      args: all that phi is to be differentiated in.
      inverse: ``(A, vector) -> A^-1 vector``, A being a function:
        `conjugate_gradient` or `neumann`.
    """

    @jax.custom_vjp
    def solution(args):
        return solve(args)

    def forward(args):
        phi = solve(args)
        return phi, (phi, args)

    def backward(saved, cotangent):
        # Reverse over reverse: our convolutions have no forward mode.
        _, pull = jax.vjp(slope, *saved)
        vector = inverse(lambda v: pull(v)[0], cotangent)
        return (pull(tree.scale(-1, vector))[1],)

    solution.defvjp(forward, backward)
    return solution(args)


def conjugate_gradient(matrix: Callable, vector: PyTree, steps: int) -> PyTree:
    """``A^-1 vector`` for a symmetric positive definite A, after so many steps from 0.

    Stops where it meets a direction along which A is not positive.

    Args:
      matrix: ``v -> A v``.
      vector: a pytree.
      steps: 1 or more (static); as many as there are entries give the exact solution.
    """

    def step(carry, _):
        found, residual, direction, size = carry
        moved = matrix(direction)
        curvature = tree.vdot(direction, moved)
        going = (size > 0) & (curvature > 0)
        rate = jnp.where(going, size / jnp.where(going, curvature, 1), 0)
        found = tree.add_scale(found, rate, direction)
        residual = tree.add_scale(residual, -rate, moved)
        left = jnp.where(going, tree.norm(residual, squared=True), 0)
        direction = tree.add_scale(residual, left / jnp.where(going, size, 1), direction)
        return (found, residual, direction, left), None

    start = tree.zeros_like(vector), vector, vector, tree.norm(vector, squared=True)
    return jax.lax.scan(step, start, length=steps)[0][0]


def neumann(matrix: Callable, vector: PyTree, steps: int, rate: float) -> PyTree:
    """``rate * sum_k (I - rate A)^k vector`` for k below `steps`, which tends to ``A^-1 vector``.

    Args:
      matrix: ``v -> A v``.
      vector: a pytree.
      steps: terms of the series, 1 or more (static).
      rate: above 0, and below 2 over the largest eigenvalue of A.

    Reference: Lorraine, Vicol, Duvenaud 2020, https://arxiv.org/abs/1911.02590.
    """

    def step(carry, _):
        term, total = carry
        term = tree.add_scale(term, -rate, matrix(term))
        return (term, tree.add(total, term)), None

    (_, total), _ = jax.lax.scan(step, (vector, vector), length=steps - 1)
    return tree.scale(rate, total)


def minimum(objective: Callable[[jax.Array], jax.Array], start: jax.Array, steps: int) -> jax.Array:
    """The minimiser of a smooth function of a few numbers, differentiable at the solution.

    Newton's method with the absolute values of the curvatures and steps of norm 1 at most; a step
    that raises the objective is taken back and the next is a quarter as long. Derivatives in all
    that the objective closes over follow the implicit function theorem, not the steps.

    Args:
      objective: ``(P,) -> scalar``, with a positive definite Hessian at the minimum.
      start: (P,); the solution is not differentiated in it.
      steps: the number of steps (static). With 0 the start is returned, and is a constant.
    """
    if steps == 0:
        return start

    def solve(hessian: jax.Array, right: jax.Array) -> jax.Array:
        values, vectors = jnp.linalg.eigh(hessian)
        return vectors @ ((vectors.T @ right) / jnp.maximum(jnp.abs(values), 1e-3))

    def measured(u):
        value, slope = jax.value_and_grad(objective)(u)
        return slope, (value, slope)

    def step(carry, _):
        u, value, move, radius = carry
        trial = u + move * jnp.minimum(1, radius / jnp.maximum(jnp.linalg.norm(move), 1e-12))
        hessian, (reached, slope) = jax.jacfwd(measured, has_aux=True)(trial)
        # Within rounding it is not worse: near the solution full steps are right.
        slack = 100 * jnp.finfo(u.dtype).eps * (1 + jnp.abs(reached))
        taken = trial, reached, -solve(hessian, slope), jnp.minimum(4 * radius, 1)
        kept = u, value, move, radius / 4
        better = reached <= value + slack
        return jax.tree.map(lambda a, b: jnp.where(better, a, b), taken, kept), None

    def newton(slope, u):
        one = jnp.ones_like(u[0])
        begin = u, jnp.inf * one, jnp.zeros_like(u), one
        return jax.lax.scan(step, begin, None, length=steps + 1)[0][0]

    return jax.lax.custom_root(
        jax.grad(objective),
        start,
        newton,
        lambda line, right: solve(jax.jacfwd(line)(right), right),
    )
