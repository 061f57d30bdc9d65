"""Conformal prediction across tasks: other diseases say what is usual (of `conformal`)."""

from __future__ import annotations

import numpy as np

from metajax.conformal.rows import categorised, sets
from metajax.conformal.scores import finite, positive


def task_p_values(
    calibration: np.ndarray,
    tasks: np.ndarray,
    scores: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    category: np.ndarray | None = None,
    categories: np.ndarray | None = None,
    certain: bool = True,
) -> np.ndarray:
    """P-values of candidate labels of a new task, from the queries of other tasks.

    Where all k labelled rows are needed to adapt, none is left to calibrate on. So scores come
    from other tasks: adapt to k of their rows, judge others. Every task has the weight of one row,
    however many it has; its share of scores at least as strange is what counts.

    Args:
      calibration: (n,) scores of the true labels of query rows of T other tasks.
      tasks: (n,) the task of each; what is not independent (tables of one disease) is one task.
      scores: candidates' scores, any shape.
      weights: (n,) of the rows within their task, above 0; None: alike. They say how a row of the
        new task is drawn: against censoring, say, or each episode of a task alike.
      category: as for `p_values`; then tasks are those that have rows of the category.
      categories: likewise.
      certain: the new task counts as one, which the guarantee needs. If tasks are alike, sets of T
        tasks then cover up to ``(1 - alpha) / T`` too much: 96 % for 14 tasks and 90 %. False: it
        counts one half, the average luck of ties broken at random; coverage is nearer to 1 -
        alpha, from either side, and nothing is guaranteed.

    Returns:
      P-values of the shape of `scores`. If the T tasks and the new one are exchangeable (drawn
      alike: not a task of another kind), the sets miss the truth with a probability of `alpha` at
      most, over tasks and rows together. A given task may fare worse: look at coverage by task.
      With fewer than `least_rows` tasks, however many rows, every set is everything.

    Raises:
      ValueError: for shapes that do not fit, or scores that are not finite.

    Reference:
      Lee, Barber, Willett (2023), Distribution-free inference with hierarchical data, HCP.
    """
    calibration, scores = finite(calibration, "calibration scores"), finite(scores, "scores")
    tasks = np.asarray(tasks)
    if calibration.ndim != 1 or tasks.shape != calibration.shape:
        raise ValueError(
            f"calibration and tasks are (n,); got {calibration.shape} and {tasks.shape}"
        )
    weights = np.ones(tasks.shape) if weights is None else positive(weights)
    if weights.shape != tasks.shape:
        raise ValueError(f"weights must be {tasks.shape}; got {weights.shape}")
    category, where = categorised(calibration, scores, category, categories)
    found, own = np.ones(scores.shape), _own(certain)
    for name in np.unique(where):
        given, mine = category == name, where == name
        order = np.argsort(calibration[given], kind="stable")
        _, place = np.unique(tasks[given], return_inverse=True)
        total = np.bincount(place, weights[given])
        # From above: the mass of the scores at least as strange. Rounded, because sums of thirds
        # must be what they stand for.
        share = (weights[given] / total[place])[order]
        mass = np.cumsum(share[::-1])[::-1].round(9)
        first = np.searchsorted(calibration[given][order], scores[mine], side="left")
        found[mine] = (own + np.append(mass, 0.0)[first]) / (len(total) + 1)
    return found


def task_threshold(
    calibration: np.ndarray,
    tasks: np.ndarray,
    alpha: float,
    weights: np.ndarray | None = None,
    *,
    certain: bool = True,
) -> float:
    """The largest score that `task_p_values` accepts; plus infinity with too few tasks."""
    known = np.unique(finite(calibration, "calibration scores"))
    p = task_p_values(calibration, tasks, known, weights=weights, certain=certain)
    if sets(_own(certain) / (len(np.unique(tasks)) + 1), alpha):
        return float(np.inf)
    return float(known[sets(p, alpha)].max(initial=-np.inf))


def _own(certain: bool) -> float:
    """What the new task counts."""
    return 1.0 if certain else 0.5
