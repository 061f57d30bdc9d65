"""Uniform: every support row has weight 1. What methods that weigh rows are compared with.

``theta <- theta - lr * mean_i grad l_i(theta)``, with the inner loop of the methods that weigh rows
(momentum, mini-batches). With its defaults it is MAML (Finn et al. 2017). The gradient is exact.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from metajax.learners.method import Method
from metajax.learners.weighting import plain, weighted
from metajax.types import Learner, TaskSpec


def uniform(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.1,
    inner_steps: int = 5,
    momentum: float = 0.0,
    batch: int | None = None,
) -> Learner:
    """Builds training on unweighted rows; adapted is `Weighted`.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: step size, above 0.
      inner_steps: steps on the support.
      momentum: of the steps, in [0, 1).
      batch: rows of a step; None: all.
    """
    rule = plain(lambda step: jnp.ones_like(step.losses))
    descent = {"inner_lr": inner_lr, "inner_steps": inner_steps, "momentum": momentum}
    return weighted("uniform", spec, encoder, rule, batch=batch, **descent)


METHODS = (
    Method(
        uniform,
        pillar="sample",
        adapts="all weights",
        cost="3KS + 3Q + 4KS (second order)",
        memory="the activations of K inner steps",
        reference="training on all rows alike",
    ),
)
