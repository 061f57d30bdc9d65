"""Reptile: move the initialisation towards the weights that plain training on a task reaches.

Nichol, Achiam, Schulman 2018, https://arxiv.org/abs/1803.02999. The meta-gradient is
``theta - phi``, phi being theta after the inner steps; it is the exact gradient of the surrogate
``<stop_gradient(theta - phi), theta>``, and first order in the task's loss. Like the authors, it
trains on all labelled rows of a task, without a support/query split. Differences: full-batch
gradient descent inside (theirs: Adam with beta1 = 0 on mini-batches), any outer optimiser.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from metajax.inner import descend
from metajax.learners.common import joined, network
from metajax.learners.method import Method
from metajax.losses import loss
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def reptile(
    spec: TaskSpec, encoder: nn.Module, *, inner_lr: float = 0.1, inner_steps: int = 5
) -> Learner:
    """Builds Reptile; params and adapted are the network's weights.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: step size of the inner gradient descent, above 0.
      inner_steps: inner steps, in training and at test.
    """
    net = network(spec, encoder)

    def init(key: jax.Array, episode: Episode) -> PyTree:
        return net.init(key, episode.support.x)

    def descent(params: PyTree, rows: Examples) -> tuple[PyTree, jax.Array]:
        def inner_loss(weights, step):
            return loss(spec, net.apply(weights, rows.x), rows)

        return descend(inner_loss, params, optax.sgd(inner_lr), inner_steps)

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        return descent(params, support)[0]

    def predict(params: PyTree, adapted: PyTree, x: PyTree) -> jax.Array:
        return net.apply(adapted, x)

    def meta_loss(params: PyTree, episode: Episode, key: jax.Array):
        rows = joined(episode)
        phi = descent(jax.lax.stop_gradient(params), rows)[0]
        towards = jax.lax.stop_gradient(jax.tree.map(jnp.subtract, params, phi))
        products = jax.tree.map(lambda step, weight: (step * weight).sum(), towards, params)
        surrogate = sum(jax.tree.leaves(products))
        return surrogate, {"loss": loss(spec, net.apply(phi, rows.x), rows)}

    return Learner(init, adapt, predict, meta_loss)


METHODS = (
    Method(
        reptile,
        pillar="gradient",
        adapts="all weights",
        cost="3K(S + Q)",
        exact=False,
        reference="Nichol, Achiam, Schulman 2018, https://arxiv.org/abs/1803.02999",
        differs="full-batch gradient descent inside, any outer optimiser",
    ),
)
