"""Pooled: one network trained on the rows of all training tasks, used as it is. Zero labels.

The bar that a meta-learner must beat besides the target-only models: what is gained here is the
gain of pooling, not of adapting. It is at chance where classes are not shared between tasks.
"""

from __future__ import annotations

import flax.linen as nn
import jax

from metajax.learners.common import network, pretrained
from metajax.learners.method import Method
from metajax.types import Examples, Learner, PyTree, TaskSpec


def pooled(spec: TaskSpec, encoder: nn.Module) -> Learner:
    """Builds the baseline; adapted is empty, the support is ignored.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
    """
    net = network(spec, encoder)

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        return {}

    def predict(params: PyTree, adapted: PyTree, x: PyTree) -> jax.Array:
        return net.apply(params, x)

    return pretrained(spec, net, adapt, predict)


METHODS = (
    Method(
        pooled,
        pillar="baseline",
        adapts="nothing",
        cost="3S + 3Q",
        reference="training on pooled rows; no target labels are used",
    ),
)
