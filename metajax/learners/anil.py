"""ANIL and BOIL: MAML whose inner loop adapts the head alone, or the body alone.

ANIL: Raghu, Raghu, Bengio, Vinyals 2020, https://arxiv.org/abs/1909.09157,
``head' = head - lr * grad_head L_S``; the features of the support are computed once, since the
inner loop leaves the body alone. BOIL: Oh, Yoo, Kim, Yun 2021, https://arxiv.org/abs/2008.08882,
``body' = body - lr * grad_body L_S`` with the head as meta-learned, so that the features must
change; difference: the authors use batch statistics. The gradients are exact.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import optax

from metajax.inner import descend
from metajax.learners.common import from_adaptation, network, support_loss
from metajax.learners.method import Method
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def _partial(
    spec: TaskSpec, encoder: nn.Module, part: str, inner_lr: float, inner_steps: int
) -> Learner:
    """MAML on one part of the network, "head" or "body", which adapted is."""
    net = network(spec, encoder)

    def init(key: jax.Array, episode: Episode) -> PyTree:
        return net.init(key, episode.support.x)

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        if part == "head":
            features = net.features(params["body"], support.x)
            inner_loss = support_loss(spec, net.head, support._replace(x=features))
        else:
            inner_loss = support_loss(spec, lambda body, x: predict(params, body, x), support)
        return descend(inner_loss, params[part], optax.sgd(inner_lr), inner_steps)[0]

    def predict(params: PyTree, adapted: PyTree, x: PyTree) -> jax.Array:
        return net.apply({**params, part: adapted}, x)

    return from_adaptation(spec, init, adapt, predict)


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
    return _partial(spec, encoder, "head", inner_lr, inner_steps)


def boil(
    spec: TaskSpec, encoder: nn.Module, *, inner_lr: float = 0.5, inner_steps: int = 1
) -> Learner:
    """Builds BOIL; adapted is the encoder's weights.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D); one without weights leaves nothing to adapt.
      inner_lr: step size of the body's gradient descent, above 0 (default: the authors').
      inner_steps: inner steps, in training and at test.
    """
    return _partial(spec, encoder, "body", inner_lr, inner_steps)


METHODS = (
    Method(
        anil,
        pillar="gradient",
        adapts="the linear head",
        cost="3S + 3Q",
        memory="K heads",
        reference="Raghu, Raghu, Bengio, Vinyals 2020, https://arxiv.org/abs/1909.09157",
    ),
    Method(
        boil,
        pillar="gradient",
        adapts="all weights but the head",
        cost="3KS + 3Q + 4KS (second order)",
        memory="the activations of K inner steps",
        reference="Oh, Yoo, Kim, Yun 2021, https://arxiv.org/abs/2008.08882",
        differs="no batch normalisation",
    ),
)
