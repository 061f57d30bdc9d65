"""Scratch: the same network trained on the support alone, from a random start. No meta-learning.

The lower bar of every transfer claim. Adam on the full support; params is empty.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from metajax.inner import descend
from metajax.learners.common import network, support_loss
from metajax.learners.method import Method
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def scratch(
    spec: TaskSpec, encoder: nn.Module, *, inner_lr: float = 0.01, inner_steps: int = 30
) -> Learner:
    """Builds the baseline; adapted is the network's weights.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: Adam's step size, above 0.
      inner_steps: steps on the support.
    """
    net = network(spec, encoder)

    def init(key: jax.Array, episode: Episode) -> PyTree:
        return {}

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        start = net.init(key, support.x)
        inner_loss = support_loss(spec, net.apply, support)
        return descend(inner_loss, start, optax.adam(inner_lr), inner_steps)[0]

    def predict(params: PyTree, adapted: PyTree, x: PyTree) -> jax.Array:
        return net.apply(adapted, x)

    def meta_loss(params: PyTree, episode: Episode, key: jax.Array):
        return jnp.float32(0), {"loss": jnp.float32(0)}

    return Learner(init, adapt, predict, meta_loss, spec)


METHODS = (
    Method(
        scratch,
        pillar="baseline",
        adapts="all weights, from a random start",
        cost="0",
        exact=False,
        trains=False,
        reference="training on the support alone",
    ),
)
