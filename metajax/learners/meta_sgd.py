"""Meta-SGD: MAML that also learns the direction and size of every weight's inner step.

Li, Zhou, Chen, Li 2017, https://arxiv.org/abs/1707.09835. ``theta' = theta - alpha * grad L_S``
with alpha of theta's shape, learned together with theta; alpha may become negative. The gradient
is exact. Differences: alpha starts at one value, `inner_lr`, not at random; more than one inner
step is allowed (the same alpha in each).
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from metajax.learners.common import learned_descent, network
from metajax.learners.method import Method
from metajax.types import Learner, PyTree, TaskSpec


def meta_sgd(
    spec: TaskSpec, encoder: nn.Module, *, inner_lr: float = 0.05, inner_steps: int = 1
) -> Learner:
    """Builds Meta-SGD; params are ``{"net": weights, "rate": one rate per weight}``.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: where every learned rate starts, above 0.
      inner_steps: inner steps, in training and at test.
    """

    def begin(weights: PyTree) -> dict:
        return {"rate": jax.tree.map(lambda w: jnp.full_like(w, inner_lr), weights)}

    def rule(params: PyTree) -> optax.GradientTransformation:
        def scale(grads, _):
            return jax.tree.map(lambda rate, grad: -rate * grad, params["rate"], grads)

        return optax.stateless(scale)

    return learned_descent(spec, network(spec, encoder), begin, rule, inner_steps)


METHODS = (
    Method(
        meta_sgd,
        pillar="gradient",
        adapts="all weights, at a learned rate for each",
        cost="3KS + 3Q + 4KS (second order)",
        memory="the activations of K inner steps",
        reference="Li, Zhou, Chen, Li 2017, https://arxiv.org/abs/1707.09835",
        differs="rates start at one value; more than one inner step is allowed",
    ),
)
