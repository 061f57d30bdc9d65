"""Self-paced learning: the easy rows first, the others as training goes on.

Kumar, Packer, Koller 2010, https://papers.nips.cc/paper/3923. ``w_i = 1 if l_i < lambda else 0``,
lambda rising. Here lambda is the quantile of the losses below which a share of the rows lies, and
the share grows evenly from `first` to `last`: no loss scale has to be guessed. The loss is the mean
over the rows admitted. The choice is a constant of the meta-gradient, which is exact wherever no
two losses tie. With ``last < 1`` the rows of largest loss are never admitted, as suits label noise.
"""

from __future__ import annotations

import flax.linen as nn
import jax

from metajax.learners.hard_mining import hardest
from metajax.learners.method import Method
from metajax.learners.weighting import Step, plain, weighted
from metajax.types import Learner, TaskSpec


def self_paced(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.1,
    inner_steps: int = 5,
    momentum: float = 0.0,
    batch: int | None = None,
    first: float = 0.5,
    last: float = 1.0,
) -> Learner:
    """Builds training on the easiest rows first; adapted is `Weighted`.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: step size, above 0.
      inner_steps: steps on the support.
      momentum: of the steps, in [0, 1).
      batch: rows of a step, of which the easiest are admitted; None: all.
      first: the share admitted in the first step, in (0, 1].
      last: the share admitted in the last step, in (0, 1].
    """

    def weigh(step: Step) -> jax.Array:
        share = first + (last - first) * step.progress
        return hardest(-step.losses, step.present, share)

    descent = {"inner_lr": inner_lr, "inner_steps": inner_steps, "momentum": momentum}
    return weighted("self_paced", spec, encoder, plain(weigh), batch=batch, **descent)


METHODS = (
    Method(
        self_paced,
        pillar="sample",
        adapts="all weights, on the easiest rows first",
        cost="3KS + 3Q + 4KS (second order)",
        memory="the activations of K inner steps",
        reference="Kumar, Packer, Koller 2010, https://papers.nips.cc/paper/3923",
        differs="the threshold is a quantile of the losses",
    ),
)
