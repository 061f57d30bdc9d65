"""Multi-task: one body under a head for every training task, then a new head for the target.

Caruana 1997, https://doi.org/10.1023/A:1007379606734; as a baseline of few-shot drug discovery
Stanley et al. 2021, FS-Mol, https://openreview.net/forum?id=701FtuyLlAd. Training minimises the
mean loss of the rows of a task under its own head, ``L(h_t(f(x)), y)``; on a target task the body
is frozen, and a new head is fitted from zero as in `linear_probe`. Unlike `pooled` and `finetune`,
tasks need not agree on what a label means. Differences: FS-Mol fine-tunes the body, too.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.learners.common import joined, network
from metajax.learners.linear_probe import linear_probe
from metajax.learners.method import Method
from metajax.losses import loss
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def multi_task(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.05,
    inner_steps: int = 50,
    l2: float = 0.01,
    heads_kept: int = 256,
) -> Learner:
    """Builds the baseline; params are ``{"body": ..., "heads": ...}``, adapted is the new head.

    Args:
      spec: multiclass, multilabel or regression tasks whose outputs have one meaning within a task
        (not the renamed classes of `metajax.tasks.class_pool`).
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: Adam's step size on the new head, above 0.
      inner_steps: steps on the support.
      l2: weight of half the squared norm of the head, relative to the mean loss of the rows.
      heads_kept: heads in the table, 1 or more; of more training tasks than that some share one.

    Raises:
      ValueError: in training, if rows do not say their task in ``info["task"]``.
    """
    net = network(spec, encoder)
    probe = linear_probe(spec, encoder, inner_lr=inner_lr, inner_steps=inner_steps, l2=l2)

    def under(params: PyTree, task: jax.Array | int) -> PyTree:
        """The network of a training task."""
        head = jax.tree.map(lambda leaf: leaf[task], params["heads"])
        return {"body": params["body"], "head": head}

    def init(key: jax.Array, episode: Episode) -> PyTree:
        params = net.init(key, episode.support.x)
        copies = lambda w: jnp.broadcast_to(w, (heads_kept, *w.shape))  # noqa: E731
        return {"body": params["body"], "heads": jax.tree.map(copies, params["head"])}

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        return probe.adapt(under(params, 0), support, key)

    def predict(params: PyTree, adapted: PyTree, x: PyTree) -> jax.Array:
        return probe.predict(under(params, 0), adapted, x)

    def meta_loss(params: PyTree, episode: Episode, key: jax.Array):
        rows = joined(episode)
        if not isinstance(rows.info, dict) or "task" not in rows.info:
            raise ValueError("multi_task needs info['task'] (N,), the number of a row's task, as "
                             "task_pool gives it")  # fmt: skip
        own = under(params, rows.info["task"][0] % heads_kept)
        value = loss(spec, net.apply(own, rows.x), rows)
        return value, {"loss": value}

    return Learner(init, adapt, predict, meta_loss, spec)


METHODS = (
    Method(
        multi_task,
        pillar="baseline",
        adapts="a new linear head",
        cost="3S + 3Q",
        memory="a head for every training task",
        needs=("task",),
        reference="Stanley et al. 2021, https://openreview.net/forum?id=701FtuyLlAd",
        differs="the body is not fine-tuned",
    ),
)
