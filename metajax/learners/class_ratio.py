"""Class ratio: a row weighs as much as its class is rare in the support.

``w_i = N / (C * N_c(i))``, N rows, C classes present, N_c rows of class c: each class has the same
total. The usual remedy for imbalance and a rival of Ren et al. 2018 ("proportion"). With several
findings a row has the mean of such weights over its findings, of C = 2 values each. The gradient
is exact: the weights do not depend on the network.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.learners.common import require
from metajax.learners.method import Method
from metajax.learners.weighting import Rule, Step, weighted
from metajax.types import Examples, Learner, PyTree, TaskSpec


def class_ratio(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.1,
    inner_steps: int = 5,
    momentum: float = 0.0,
    batch: int | None = None,
) -> Learner:
    """Builds training with inverse class frequencies; adapted is `Weighted`.

    Args:
      spec: multiclass or multilabel tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: step size, above 0.
      inner_steps: steps on the support.
      momentum: of the steps, in [0, 1).
      batch: rows of a step; None: all. Frequencies are those of the whole support.

    Raises:
      ValueError: for regression tasks.
    """
    require("class_ratio", spec, "multiclass", "multilabel")

    def sides(rows: Examples) -> jax.Array:
        """Indicators (N, C, V) of the value of every class or finding; zeros where masked."""
        defined = (rows.mask > 0).astype(rows.mask.dtype)
        ones = rows.y * defined
        if spec.kind == "multiclass":
            return ones[..., None]
        return jnp.stack([defined - ones, ones], -1)

    def start(params: PyTree, support: Examples) -> jax.Array:
        sizes = sides(support).sum(0)
        values = (0, 1) if spec.kind == "multiclass" else 1
        whole = sizes.sum(values, keepdims=True)
        present = (sizes > 0).sum(values, keepdims=True)
        return jnp.where(sizes > 0, whole / jnp.maximum(present * sizes, 1), 0.0)

    def weigh(step: Step, memory: jax.Array) -> tuple[jax.Array, jax.Array]:
        mine = sides(step.rows)
        found = jnp.maximum(mine.sum((1, 2)), 1)
        return (mine * memory).sum((1, 2)) / found, memory

    descent = {"inner_lr": inner_lr, "inner_steps": inner_steps, "momentum": momentum}
    rule = Rule(weigh, start=start)
    return weighted("class_ratio", spec, encoder, rule, batch=batch, **descent)


METHODS = (
    Method(
        class_ratio,
        pillar="sample",
        adapts="all weights, on weighted rows",
        cost="3KS + 3Q + 4KS (second order)",
        memory="the activations of K inner steps",
        kinds=("multiclass", "multilabel"),
        reference="inverse class frequencies, as in Ren et al. 2018, arxiv.org/abs/1803.09050",
    ),
)
