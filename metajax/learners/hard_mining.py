"""Hard mining: every step trains on the rows of largest loss alone.

Shrivastava, Gupta, Girshick 2016 (online hard example mining), https://arxiv.org/abs/1604.03540;
a rival of Ren et al. 2018, who take the 100 hardest of 500 rows. ``w_i = N / k`` for the k rows of
largest loss, else 0. The choice is a constant of the meta-gradient, which is exact wherever no two
losses tie. Under label noise the hardest rows are the mislabelled ones: expected to fail there.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.learners.method import Method
from metajax.learners.weighting import Step, plain, ranks, to_mean_one, weighted
from metajax.types import Learner, TaskSpec


def hardest(losses: jax.Array, present: jax.Array, share: float) -> jax.Array:
    """Weights (B,) of mean 1, zero but for the share of the rows that has the largest losses.

    Args:
      losses: (B,).
      present: (B,) 0 for absent rows.
      share: of the rows that are present, in (0, 1]; rounded up to whole rows.
    """
    count = (present > 0).sum()
    place = ranks(-losses, present)
    chosen = (place < jnp.ceil(share * count - 1e-4)) & (present > 0)
    return to_mean_one(chosen.astype(losses.dtype), present)


def hard_mining(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.1,
    inner_steps: int = 5,
    momentum: float = 0.0,
    batch: int | None = None,
    share: float = 0.5,
) -> Learner:
    """Builds training on the hardest rows; adapted is `Weighted`.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: step size, above 0.
      inner_steps: steps on the support.
      momentum: of the steps, in [0, 1).
      batch: rows of a step, of which the hardest are kept; None: all.
      share: of the rows that is kept, in (0, 1].
    """

    def weigh(step: Step) -> jax.Array:
        return hardest(step.losses, step.present, share)

    descent = {"inner_lr": inner_lr, "inner_steps": inner_steps, "momentum": momentum}
    return weighted("hard_mining", spec, encoder, plain(weigh), batch=batch, **descent)


METHODS = (
    Method(
        hard_mining,
        pillar="sample",
        adapts="all weights, on the hardest rows",
        cost="3KS + 3Q + 4KS (second order)",
        memory="the activations of K inner steps",
        reference="Shrivastava, Gupta, Girshick 2016, https://arxiv.org/abs/1604.03540",
        differs="a share of the batch in place of a number of regions",
    ),
)
