"""Learning to reweight: a row weighs what a step on it would do for the trusted rows.

Ren, Zeng, Yang, Urtasun 2018, https://arxiv.org/abs/1803.09050. In every step, at weights eps = 0,
``u_i = -d/d eps_i L_trusted(theta - lr * sum_j eps_j grad l_j)``, which is proportional to
``<grad l_i, grad L_trusted>``; ``w_i = max(u_i, 0) / sum_j max(u_j, 0)``, times the number of rows
here, where a loss is a mean; all 0 if nothing is positive. Differences: trusted rows (those with
``info["trusted"]``) are training rows as well, so that all methods see the same rows; full batches
unless `batch` is given. If no row of a support is trusted, all weights are 1. As in the paper the
weights are constants of every later gradient, so the meta-gradient is not exact.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.learners.method import Method
from metajax.learners.weighting import Rule, Step, to_mean_one, trusted, weighted
from metajax.types import Examples, Learner, PyTree, TaskSpec


def helpful(step: Step) -> jax.Array:
    """Weights (B,) of mean 1, or all 0: the clipped look-ahead gradients."""
    slope = jax.grad(step.ahead)(jnp.zeros_like(step.losses))
    return to_mean_one(jnp.maximum(-slope, 0), step.present)


def reweight(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.1,
    inner_steps: int = 5,
    momentum: float = 0.0,
    batch: int | None = None,
    trusted_batch: int | None = None,
) -> Learner:
    """Builds learning to reweight; adapted is `Weighted`.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: step size, above 0.
      inner_steps: steps on the support.
      momentum: of the steps, in [0, 1); the step looked ahead at has none.
      batch: rows of a step; None: all.
      trusted_batch: trusted rows that a step is judged on; None: all.

    Raises:
      ValueError: when adapted, if ``info["trusted"]`` is missing.
    """

    def start(params: PyTree, support: Examples) -> jax.Array:
        return trusted("reweight", support).any()

    def weigh(step: Step, judged: jax.Array) -> tuple[jax.Array, jax.Array]:
        weights = jnp.where(judged, helpful(step), 1.0)
        return jax.lax.stop_gradient(weights), judged

    rule = Rule(weigh, start=start)
    descent = {"inner_lr": inner_lr, "inner_steps": inner_steps, "momentum": momentum}
    batches = {"batch": batch, "trusted_batch": trusted_batch}
    return weighted("reweight", spec, encoder, rule, **descent, **batches)


METHODS = (
    Method(
        reweight,
        pillar="sample",
        adapts="all weights, on rows weighted by what they do for trusted ones",
        cost="12KS + 3Q + 4KS (second order)",
        exact=False,
        memory="the activations of K inner steps",
        needs=("trusted",),
        reference="Ren, Zeng, Yang, Urtasun 2018, https://arxiv.org/abs/1803.09050",
        differs="trusted rows are training rows, too",
    ),
)
