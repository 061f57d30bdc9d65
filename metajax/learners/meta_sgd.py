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

from metajax.inner import descend
from metajax.learners.common import from_adaptation, network
from metajax.learners.method import Method
from metajax.losses import loss
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


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
    net = network(spec, encoder)

    def init(key: jax.Array, episode: Episode) -> PyTree:
        weights = net.init(key, episode.support.x)
        return {"net": weights, "rate": jax.tree.map(lambda w: jnp.full_like(w, inner_lr), weights)}

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        def inner_loss(weights, step):
            return loss(spec, net.apply(weights, support.x), support)

        def scale(grads, _):
            return jax.tree.map(lambda rate, grad: -rate * grad, params["rate"], grads)

        return descend(inner_loss, params["net"], optax.stateless(scale), inner_steps)[0]

    def predict(params: PyTree, adapted: PyTree, x: PyTree) -> jax.Array:
        return net.apply(adapted, x)

    return from_adaptation(spec, init, adapt, predict)


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
