"""ANIL: MAML whose inner loop adapts the head alone; the body only changes between tasks.

Raghu, Raghu, Bengio, Vinyals 2020, https://arxiv.org/abs/1909.09157. The gradient is exact; the
features of the support are computed once, since the inner loop leaves the body alone.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import optax

from metajax.inner import descend
from metajax.learners.common import from_adaptation, network
from metajax.learners.method import Method
from metajax.losses import loss
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def anil(
    spec: TaskSpec, encoder: nn.Module, *, inner_lr: float = 0.1, inner_steps: int = 5
) -> Learner:
    """Builds ANIL; adapted is the head.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: step size of the head's gradient descent, above 0.
      inner_steps: inner steps, in training and at test.
    """
    net = network(spec, encoder)

    def init(key: jax.Array, episode: Episode) -> PyTree:
        return net.init(key, episode.support.x)

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        features = net.features(params["body"], support.x)

        def inner_loss(head, step):
            return loss(spec, net.head(head, features), support)

        return descend(inner_loss, params["head"], optax.sgd(inner_lr), inner_steps)[0]

    def predict(params: PyTree, adapted: PyTree, x: PyTree) -> jax.Array:
        return net.head(adapted, net.features(params["body"], x))

    return from_adaptation(spec, init, adapt, predict)


METHODS = (
    Method(
        anil,
        pillar="gradient",
        adapts="the linear head",
        cost="3S + 3Q",
        memory="K heads",
        reference="Raghu, Raghu, Bengio, Vinyals 2020, https://arxiv.org/abs/1909.09157",
    ),
)
