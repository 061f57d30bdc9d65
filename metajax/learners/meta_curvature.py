"""Meta-Curvature: MAML whose inner gradient is multiplied, along every axis, by a learned matrix.

Park, Oliva 2019, https://arxiv.org/abs/1902.03356. The gradient G of a layer's weights, of shape
(taps, in, out) with the taps of a convolution flattened, becomes ``G x M_f x M_i x M_o``, a matrix
product along each axis, and ``theta' = theta - lr * MC(G)``. All matrices start as identities: it
starts as MAML. Of dense layers there is no M_f. The gradient is exact. Differences: entries of
vectors (biases, scales) have a learned factor each, as vectors have no second axis to mix with;
losses are means over rows.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from metajax.learners.common import learned_descent, network
from metajax.learners.method import Method
from metajax.types import Learner, PyTree, TaskSpec


def meta_curvature(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.1,
    inner_steps: int = 5,
    first_order: bool = False,
    remat: bool | None = None,
) -> Learner:
    """Builds Meta-Curvature; params are ``{"net": weights, "curvature": ...}``.

    A dense layer of (in, out) weights has in^2 + out^2 more: little unless its inputs are wide.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: step size of the inner gradient descent, above 0.
      inner_steps: inner steps, in training and at test; all share the matrices.
      first_order: drop second derivatives.
      remat: recompute the inner steps in the backward pass; None: if they are many.
    """

    def begin(weights: PyTree) -> dict:
        return {"curvature": [_identities(leaf) for leaf in jax.tree.leaves(weights)]}

    def rule(params: PyTree) -> optax.GradientTransformation:
        def step(grads, _):
            leaves, treedef = jax.tree.flatten(grads)
            bent = map(_product, leaves, params["curvature"])
            return jax.tree.unflatten(treedef, [-inner_lr * leaf for leaf in bent])

        return optax.stateless(step)

    options = {"first_order": first_order, "remat": remat}
    return learned_descent(spec, network(spec, encoder), begin, rule, inner_steps, **options)


def _axes(leaf: jax.Array) -> jax.Array:
    """Weights as (taps, in, out) of a convolution, (in, out), (entries,) or a scalar."""
    return leaf.reshape(-1, *leaf.shape[-2:]) if leaf.ndim > 2 else leaf


def _identities(leaf: jax.Array) -> tuple[jax.Array, ...]:
    """The matrices to start from, one per axis, or the factors of a vector."""
    if leaf.ndim < 2:
        return (jnp.ones_like(leaf),)
    return tuple(jnp.eye(size, dtype=leaf.dtype) for size in _axes(leaf).shape)


def _product(grad: jax.Array, matrices: tuple[jax.Array, ...]) -> jax.Array:
    """The gradient times a matrix along each of its axes."""
    if grad.ndim < 2:
        return matrices[0] * grad
    bent = _axes(grad)
    for axis, matrix in enumerate(matrices):
        bent = jnp.moveaxis(jnp.tensordot(matrix, bent, (1, axis)), 0, axis)
    return bent.reshape(grad.shape)


METHODS = (
    Method(
        meta_curvature,
        pillar="gradient",
        adapts="all weights, along gradients bent by learned matrices",
        cost="3KS + 3Q + 4KS (second order)",
        memory="the activations of K inner steps (of one with remat)",
        reference="Park, Oliva 2019, https://arxiv.org/abs/1902.03356",
        differs="a learned factor for each entry of a vector",
    ),
)
