"""Importance sampling: rows are drawn as often as their loss or gradient is large, and corrected.

Katharopoulos, Fleuret 2018, https://arxiv.org/abs/1803.00942 (norm of the gradient in the outputs);
Loshchilov, Hutter 2016, https://arxiv.org/abs/1511.06343 (loss). With scores s_i, row i is drawn
with probability ``pi_i = min(1, share * N * ((1 - floor) s_i / sum s + floor / N))`` and has weight
``1 / pi_i`` if it was: the expected gradient is that of uniform training. ``correction = c`` gives
``pi_i^-c``, scaled to the same expected sum: at 0 training shifts to the rows of large loss.
Differences: each row is drawn for itself, so that the number of rows drawn varies; scores are fresh
in every step (no bound decides whether to draw). Weights are constants of the meta-gradient, which
is therefore not exact. Training is random: the luck of a row depends on key, step and row.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.learners.method import Method
from metajax.learners.weighting import Step, plain, weighted
from metajax.types import Learner, TaskSpec

SCORES = ("loss", "gradient")


def drawn(
    scores: jax.Array,
    present: jax.Array,
    luck: jax.Array,
    share: float,
    floor: float,
    correction: float,
) -> jax.Array:
    """Weights (B,) of rows drawn in proportion to their scores; 0 for the others.

    Args:
      scores: (B,) 0 or more.
      present: (B,) 0 for absent rows.
      luck: (B,) independent and uniform in [0, 1).
      share: the expected share of rows drawn, in (0, 1]; less where a probability reaches 1.
      floor: the share of the probability that is spread evenly, in (0, 1].
      correction: 1: unbiased, every present row has expected weight 1; 0: no correction.
    """
    exists = (present > 0).astype(scores.dtype)
    count = jnp.maximum(exists.sum(), 1)
    scores = scores * exists
    total = scores.sum()
    lean = jnp.where(total > 0, scores / jnp.where(total > 0, total, 1), exists / count)
    chance = jnp.minimum(share * count * ((1 - floor) * lean + floor / count), 1)
    weights = jnp.where(luck < chance, chance**-correction, 0.0) * exists
    expected = (exists * chance ** (1 - correction)).sum()
    return (weights * count / jnp.maximum(expected, 1e-12)).astype(scores.dtype)


def importance(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.1,
    inner_steps: int = 5,
    momentum: float = 0.0,
    batch: int | None = None,
    score: str = "gradient",
    share: float = 0.5,
    floor: float = 0.2,
    correction: float = 1.0,
) -> Learner:
    """Builds training on importance-sampled rows; adapted is `Weighted`.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: step size, above 0.
      inner_steps: steps on the support.
      momentum: of the steps, in [0, 1).
      batch: rows of a step, of which a share is drawn; None: all.
      score: "loss", or "gradient", the norm of the loss's gradient in the outputs of the row.
      share: see `drawn`.
      floor: see `drawn`.
      correction: see `drawn`.

    Raises:
      ValueError: for an unknown score.
    """
    if score not in SCORES:
        raise ValueError(f"score must be one of {', '.join(SCORES)}; got {score!r}")

    def weigh(step: Step) -> jax.Array:
        scores = jnp.maximum(step.losses, 0) if score == "loss" else step.slopes
        return drawn(scores, step.present, step.luck, share, floor, correction)

    descent = {"inner_lr": inner_lr, "inner_steps": inner_steps, "momentum": momentum}
    return weighted("importance", spec, encoder, plain(weigh), batch=batch, **descent)


METHODS = (
    Method(
        importance,
        pillar="sample",
        adapts="all weights, on rows drawn by their loss",
        cost="3KS + 3Q + 4KS (second order)",
        exact=False,
        memory="the activations of K inner steps",
        reference="Katharopoulos, Fleuret 2018, https://arxiv.org/abs/1803.00942",
        differs="rows are drawn independently, by scores of the same step",
    ),
)
