"""iMAML: the meta-gradient of an inner problem's solution, whatever way led to it.

Rajeswaran, Finn, Kakade, Levine 2019, https://arxiv.org/abs/1909.04630. The inner problem is
``phi = argmin L_S(phi) + l2/2 |phi - theta|^2``, and the meta-gradient
``(I + H / l2)^-1 grad L_Q(phi)``, H the Hessian of L_S at phi: memory does not grow with the inner
steps. It is exact where phi is the solution and the inverse is; `solver` chooses both.
"cg": gradient descent on the inner problem; `solver_steps` of conjugate gradient, as the paper.
"neumann": the same descent; the inverse by the series
``lr l2 sum_k (I - lr (H + l2 I))^k``, which is unrolled descent at the solution (Lorraine, Vicol,
Duvenaud 2020, https://arxiv.org/abs/1911.02590).
"authors": what https://github.com/aravindr93/imaml_dev computes and the paper does not say:
descent on L_S alone, in training followed by one step on the distance term; conjugate gradient on
``2 I + H / (l2 + 10)`` in place of ``I + H / l2``.
Differences: l2 is not learned; losses are means over rows, as theirs.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import optax
from optax import tree

from metajax.inner import conjugate_gradient, descend, implicit, neumann
from metajax.learners.common import adapting_all, network, support_loss
from metajax.learners.method import Method
from metajax.types import Examples, Learner, PyTree, TaskSpec

# The authors' dampings of the matrix whose inverse is taken.
DAMPING, L2_DAMPING = 1.0, 10.0


def imaml(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.1,
    inner_steps: int = 16,
    l2: float = 0.5,
    solver: str = "cg",
    solver_steps: int = 5,
) -> Learner:
    """Builds iMAML; params and adapted are the network's weights.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: step size of the inner gradient descent, above 0 and below 2 / (|H| + l2).
      inner_steps: inner steps, in training and at test.
      l2: weight of half the squared distance from the initialisation, relative to the mean loss of
        the rows, above 0 (the authors use 2).
      solver: "cg", "neumann" or "authors".
      solver_steps: steps of conjugate gradient, or terms of the series, 1 or more.

    Raises:
      ValueError: for an unknown solver.
    """
    if solver not in ("cg", "neumann", "authors"):
        raise ValueError(f"solver is one of cg, neumann, authors; got {solver!r}")
    net = network(spec, encoder)

    def slope(phi: PyTree, args: tuple) -> PyTree:
        theta, support = args
        grads = jax.grad(support_loss(spec, net.apply, support))(phi, 0)
        return tree.add_scale(grads, l2, tree.sub(phi, theta))

    def descent(theta: PyTree, support: Examples) -> PyTree:
        plain = support_loss(spec, net.apply, support)

        def proximal(phi, step):
            return plain(phi, step) + 0.5 * l2 * tree.norm(tree.sub(phi, theta), squared=True)

        inner_loss = plain if solver == "authors" else proximal
        return descend(inner_loss, theta, optax.sgd(inner_lr), inner_steps)[0]

    def solve(args: tuple) -> PyTree:
        phi = descent(*args)
        if solver == "authors":
            phi = tree.add_scale(phi, -inner_lr * l2, tree.sub(phi, args[0]))
        return phi

    def inverse(matrix: Callable, vector: PyTree) -> PyTree:
        """The inverse of ``H + l2 I``, which `matrix` multiplies by, times `vector`."""
        if solver == "neumann":
            return neumann(matrix, vector, solver_steps, inner_lr)
        if solver == "cg":
            return conjugate_gradient(matrix, vector, solver_steps)

        def damped(v):
            hessian = tree.add_scale(matrix(v), -l2, v)
            return tree.add_scale(tree.scale(1 + DAMPING, v), 1 / (l2 + L2_DAMPING), hessian)

        return tree.scale(1 / l2, conjugate_gradient(damped, vector, solver_steps))

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        return implicit(solve, slope, (params, support), inverse)

    learner = adapting_all(spec, net, adapt)
    if solver == "authors":  # at test without the step on the distance
        return learner._replace(adapt=lambda params, support, key: descent(params, support))
    return learner


METHODS = (
    Method(
        imaml,
        pillar="gradient",
        adapts="all weights, kept near the initialisation",
        cost="3KS + 3Q + 4JS (J steps of the solver)",
        exact=False,
        reference="Rajeswaran, Finn, Kakade, Levine 2019, https://arxiv.org/abs/1909.04630",
        differs="l2 is not learned; the authors' dampings are an option",
    ),
)
