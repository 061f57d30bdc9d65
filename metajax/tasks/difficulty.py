"""Which tasks to train on next, by their losses: samplers for ``fit(task_sampler=...)`` (floor 2).

Rules are pure numpy functions. `loss_proportional` and `easy_first` look at what is remembered of
the tasks (`Difficulty`); `bandit` needs only the weights that the tasks were drawn with. Every rule
spreads a share `floor` of the probability evenly over the tasks, so that none is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Difficulty(NamedTuple):
    """What is remembered of tasks between two calls of the trainer.

    Attributes:
      losses: (T,) running means of the meta-loss; NaN where a task was never drawn.
      exists: (T,) bool, the ids that are tasks.
      calls: how many calls of the trainer were seen.
    """

    losses: np.ndarray
    exists: np.ndarray
    calls: int


def observe(
    seen: Difficulty, tasks: np.ndarray, losses: np.ndarray, *, rate: float = 0.3
) -> Difficulty:
    """Moves the running mean of every task that was drawn towards its mean loss in this call.

    Args:
      seen: what is known so far.
      tasks: (n,) ids drawn.
      losses: (n,) their losses; a loss that is not finite is left out.
      rate: weight of the new mean, in (0, 1]; the first loss of a task is taken as it is.
    """
    fine = np.isfinite(losses)
    size = len(seen.losses)
    count = np.bincount(tasks[fine], minlength=size)
    mean = np.bincount(tasks[fine], losses[fine], size) / np.maximum(count, 1)
    moved = np.where(np.isnan(seen.losses), mean, (1 - rate) * seen.losses + rate * mean)
    return Difficulty(np.where(count > 0, moved, seen.losses), seen.exists, seen.calls + 1)


def mixed(weights: np.ndarray, exists: np.ndarray, floor: float) -> np.ndarray:
    """Probabilities (T,): weights scaled to sum 1, with a share `floor` spread over all tasks."""
    weights = np.where(exists, weights, 0.0)
    even = exists / exists.sum()
    total = weights.sum()
    return (1 - floor) * (weights / total if total > 0 else even) + floor * even


def _known(seen: Difficulty) -> np.ndarray:
    """Losses (T,) of 0 or more; a task that was never drawn counts as the mean of the others."""
    losses = np.where(seen.exists, np.maximum(seen.losses, 0), np.nan)  # a maximum keeps NaN
    drawn = losses[~np.isnan(losses)]
    return np.where(np.isnan(losses), drawn.mean() if drawn.size else 1.0, losses)


def loss_proportional(seen: Difficulty, *, floor: float = 0.1, power: float = 1.0) -> np.ndarray:
    """Probabilities (T,) proportional to a power of the loss: the harder, the more often.

    Args:
      seen: what is known of the tasks; losses below 0 count as 0.
      floor: share that is spread evenly, in [0, 1].
      power: 0: uniform; above 1: sharper.
    """
    losses = _known(seen)
    return mixed((losses / max(losses.max(), 1e-12)) ** power, seen.exists, floor)


def easy_first(
    seen: Difficulty, *, calls: int, first: float = 0.3, floor: float = 0.1
) -> np.ndarray:
    """Probabilities (T,), equal over the tasks of smallest loss: a curriculum.

    The share of the tasks that is admitted grows evenly from `first` to all, which it reaches after
    `calls` calls of the trainer. Before every task's first loss is known all tasks are alike.

    Args:
      seen: what is known of the tasks.
      calls: above 0.
      first: share admitted at the start, in (0, 1].
      floor: share of the probability that is spread evenly, in [0, 1].

    Reference:
      Bengio, Louradour, Collobert, Weston 2009, Curriculum learning.
    """
    count = int(seen.exists.sum())
    admitted = first + (1 - first) * min(seen.calls / calls, 1.0)
    losses = np.where(seen.exists, seen.losses, np.inf)
    if np.isnan(losses).any():
        return mixed(seen.exists, seen.exists, floor)
    chosen = np.zeros(len(losses))
    chosen[np.argsort(losses, kind="stable")[: int(np.ceil(admitted * count - 1e-9))]] = 1
    return mixed(chosen, seen.exists, floor)


def bandit(
    weights: np.ndarray,
    tasks: np.ndarray,
    losses: np.ndarray,
    *,
    rate: float = 0.1,
    floor: float = 0.1,
) -> np.ndarray:
    """A step of EXP3.S on the tasks, the loss being the reward: ``(weights, ...) -> weights``.

    Losses are mapped to [0, 1] between the 20th and the 80th percentile of the call. The reward of
    a task is the mean over all draws of reward / probability for its own draws, 0 for the others',
    which is unbiased for the reward of a draw of it. Weights are multiplied by
    ``exp(rate * reward)`` and mixed with the floor. Use it as ``partial(bandit, rate=...)``.

    Args:
      weights: (T,) that the tasks were drawn with, 0 where there is no task.
      tasks: (n,) ids drawn.
      losses: (n,) their losses; one that is not finite is a reward of 0.
      rate: of learning, above 0.
      floor: share that is spread evenly, in (0, 1].

    Reference:
      Auer, Cesa-Bianchi, Freund, Schapire 2002, https://doi.org/10.1137/S0097539701398375; Graves
      et al. 2017, https://arxiv.org/abs/1704.03003 (rewards scaled by percentiles).
    """
    exists = weights > 0
    chance = weights / weights.sum()
    fine = np.isfinite(losses)
    reward = np.zeros(len(losses))
    if fine.any():
        low, high = np.quantile(losses[fine], [0.2, 0.8])
        reward[fine] = np.clip((losses[fine] - low) / max(high - low, 1e-12), 0, 1)
    share = reward / chance[tasks] / max(len(tasks), 1)
    gain = rate * np.bincount(tasks, share, len(weights))
    # Only ratios count: the largest exponent is 0.
    return mixed(chance * np.exp(gain - gain.max()), exists, floor)


def remembering(
    rule: Callable[[Difficulty], np.ndarray], *, rate: float = 0.3
) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """A `task_sampler` for one run of `metajax.training.fit`, which remembers between its calls.

    Args:
      rule: `loss_proportional` or `easy_first`, its options bound by `functools.partial`.
      rate: see `observe`.
    """
    seen: list[Difficulty] = []

    def sampler(weights: np.ndarray, tasks: np.ndarray, losses: np.ndarray) -> np.ndarray:
        before = seen.pop() if seen else Difficulty(np.full(len(weights), np.nan), weights > 0, 0)
        seen.append(observe(before, tasks, losses, rate=rate))
        return rule(seen[0])

    return sampler
