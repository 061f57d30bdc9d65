"""Reptile: move the initialisation towards the weights that plain training on a task reaches.

Nichol, Achiam, Schulman 2018, https://arxiv.org/abs/1803.02999. The meta-gradient is
``theta - phi``, phi being theta after the inner steps; it is the exact gradient of the surrogate
``<stop_gradient(theta - phi), theta>``, and first order in the task's loss. Like the authors, it
trains on all labelled rows of a task, without a support/query split. Differences: full-batch
gradient descent inside (theirs, by ``inner_optimizer="adam0"`` and `batch`: Adam with beta1 = 0 on
mini-batches), any outer optimiser; Adam's state starts afresh in every task (theirs is carried
over); mini-batches are drawn independently (theirs cut shuffled passes over the rows).
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.inner import descend
from metajax.learners.common import adapting_all, joined, network, optimizer_named
from metajax.learners.method import Method
from metajax.losses import loss
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def reptile(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.1,
    inner_steps: int = 5,
    inner_optimizer: str = "sgd",
    batch: int | None = None,
    test_steps: int | None = None,
) -> Learner:
    """Builds Reptile; params and adapted are the network's weights.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: step size of the inner optimiser, above 0.
      inner_steps: inner steps in training.
      inner_optimizer: "sgd", "momentum", "adam" or "adam0" (the authors').
      batch: rows of an inner step, drawn afresh for each, 1 or more; None: all.
      test_steps: inner steps of `adapt`, 0 or more; None: as many as in training.

    Raises:
      ValueError: for an unknown inner optimiser.
    """
    net = network(spec, encoder)
    optimizer = optimizer_named(inner_optimizer, inner_lr, eps_root=0.0)

    def descent(params: PyTree, rows: Examples, key: jax.Array, steps: int) -> PyTree:
        def inner_loss(weights, step):
            part = rows if batch is None else _drawn(rows, jax.random.fold_in(key, step), batch)
            return loss(spec, net.apply(weights, part.x), part)

        return descend(inner_loss, params, optimizer, steps)[0]

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        return descent(params, support, key, inner_steps if test_steps is None else test_steps)

    def meta_loss(params: PyTree, episode: Episode, key: jax.Array):
        rows = joined(episode)
        phi = descent(jax.lax.stop_gradient(params), rows, key, inner_steps)
        towards = jax.lax.stop_gradient(jax.tree.map(jnp.subtract, params, phi))
        products = jax.tree.map(lambda step, weight: (step * weight).sum(), towards, params)
        surrogate = sum(jax.tree.leaves(products))
        return surrogate, {"loss": loss(spec, net.apply(phi, rows.x), rows)}

    return adapting_all(spec, net, adapt)._replace(meta_loss=meta_loss)


def _drawn(rows: Examples, key: jax.Array, size: int) -> Examples:
    """`size` random rows without replacement, padded ones only if there are no others."""
    present = rows.mask.max(-1) > 0
    score = present + jax.random.uniform(key, present.shape)
    chosen = jax.lax.top_k(score, min(size, len(score)))[1]
    return jax.tree.map(lambda leaf: leaf[chosen], rows)


METHODS = (
    Method(
        reptile,
        pillar="gradient",
        adapts="all weights",
        cost="3K(S + Q)",
        exact=False,
        reference="Nichol, Achiam, Schulman 2018, https://arxiv.org/abs/1803.02999",
        differs="full-batch gradient descent inside (by default), any outer optimiser",
    ),
)
