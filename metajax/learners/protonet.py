"""Prototypical networks: the nearest class mean in a learned space.

Snell, Swersky, Zemel 2017, https://arxiv.org/abs/1703.05175. The logit of class c is
``-|f(x) - mean of f over the support of c|^2``: the squared Euclidean distance, summed over
features, no temperature. The gradient is exact.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.learners.common import class_means, from_adaptation, require
from metajax.learners.method import Method
from metajax.losses import ABSENT
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def protonet(spec: TaskSpec, encoder: nn.Module) -> Learner:
    """Builds a prototypical network; adapted is the (C, D) prototypes and the (C,) class sizes.

    Args:
      spec: multiclass tasks.
      encoder: maps inputs (N, ...) to features (N, D).

    Raises:
      ValueError: for multilabel and regression tasks.
    """
    require("protonet", spec, "multiclass")

    def init(key: jax.Array, episode: Episode) -> PyTree:
        return encoder.init(key, episode.support.x)

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        return class_means(encoder.apply(params, support.x), support)

    def predict(params: PyTree, adapted: tuple[jax.Array, jax.Array], x: PyTree) -> jax.Array:
        prototypes, sizes = adapted
        gaps = encoder.apply(params, x)[:, None, :] - prototypes
        return jnp.where(sizes > 0, -(gaps**2).sum(-1), ABSENT)

    return from_adaptation(spec, init, adapt, predict)


METHODS = (
    Method(
        protonet,
        pillar="metric",
        adapts="a mean per class",
        cost="3S + 3Q",
        kinds=("multiclass",),
        reference="Snell, Swersky, Zemel 2017, https://arxiv.org/abs/1703.05175",
    ),
)
