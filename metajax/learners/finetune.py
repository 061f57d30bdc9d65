"""Fine-tune: pre-train a network on all training tasks, then train all of it on the support.

The standard transfer baseline (Chen et al. 2019, https://arxiv.org/abs/1904.04232, without their
cosine head). Where classes mean something else in every task, pre-training can learn nothing and
this is training from a poor start.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import optax

from metajax.inner import descend
from metajax.learners.common import network, pretrained, support_loss
from metajax.learners.method import Method
from metajax.types import Examples, Learner, PyTree, TaskSpec


def finetune(
    spec: TaskSpec, encoder: nn.Module, *, inner_lr: float = 0.003, inner_steps: int = 20
) -> Learner:
    """Builds the baseline; params and adapted are the network's weights.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: Adam's step size on the support, above 0.
      inner_steps: steps on the support.
    """
    net = network(spec, encoder)

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        inner_loss = support_loss(spec, net.apply, support)
        return descend(inner_loss, params, optax.adam(inner_lr), inner_steps)[0]

    def predict(params: PyTree, adapted: PyTree, x: PyTree) -> jax.Array:
        return net.apply(adapted, x)

    return pretrained(spec, net, adapt, predict)


METHODS = (
    Method(
        finetune,
        pillar="baseline",
        adapts="all weights",
        cost="3S + 3Q",
        reference="Chen, Liu, Kira, Wang, Huang 2019, https://arxiv.org/abs/1904.04232",
        differs="no cosine head",
    ),
)
