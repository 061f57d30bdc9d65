"""Linear probe: pre-train one network on all training tasks, then fit a new linear head only.

Chen et al. 2019 ("Baseline"), https://arxiv.org/abs/1904.04232: the body is frozen and a new head
starts from zero, here fitted by Adam with an L2 penalty.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from metajax.inner import descend
from metajax.learners.common import network, pretrained
from metajax.learners.method import Method
from metajax.losses import loss
from metajax.types import Examples, Learner, PyTree, TaskSpec


def linear_probe(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.05,
    inner_steps: int = 50,
    l2: float = 0.01,
) -> Learner:
    """Builds the baseline; adapted is the head.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: Adam's step size, above 0.
      inner_steps: steps on the support.
      l2: weight of half the squared norm of the head, relative to the mean loss of the rows.
    """
    net = network(spec, encoder)

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        features = net.features(params["body"], support.x)

        def inner_loss(head, step):
            penalty = sum((leaf**2).sum() for leaf in jax.tree.leaves(head))
            return loss(spec, net.head(head, features), support) + 0.5 * l2 * penalty

        start = jax.tree.map(jnp.zeros_like, params["head"])
        return descend(inner_loss, start, optax.adam(inner_lr), inner_steps)[0]

    def predict(params: PyTree, adapted: PyTree, x: PyTree) -> jax.Array:
        return net.head(adapted, net.features(params["body"], x))

    return pretrained(spec, net, adapt, predict)


METHODS = (
    Method(
        linear_probe,
        pillar="baseline",
        adapts="a new linear head",
        cost="3S + 3Q",
        reference="Chen, Liu, Kira, Wang, Huang 2019, https://arxiv.org/abs/1904.04232",
        differs="the head is fitted by Adam with an L2 penalty",
    ),
)
