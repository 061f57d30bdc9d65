"""Each learner's scores by task, averaged over episodes and seeds (a part of `metajax.tables`).

Undefined scores stay NaN and are counted, never read as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metajax.tables.records import OTHERS, Run

DRAWS = ("natural", "balanced")
# Ranking metrics are read from balanced draws; what depends on the prevalence from natural ones.
DRAW_OF = dict.fromkeys(
    ("auroc", "auprc", "balanced_accuracy", "accuracy", "sensitivity_at_90_specificity",
     "prevalence"), 1
) | dict.fromkeys(("brier", "ece", "log_loss"), 0)  # fmt: skip


class TaskScores(NamedTuple):
    """Scores of one learner at one number of shots, averaged over episodes and seeds.

    Attributes:
      tasks: (T,) task ids, increasing.
      mean: (T,) mean of each task, NaN where no episode is defined.
      cluster: (T,) cluster of each task.
      replicates: (T, B) bootstrap deviations of each task's mean; B = 0 if none were kept.
      seeds: (S,) mean over tasks of each seed.
      draw: 0 natural, 1 balanced, -1 none.
      undefined: (T,) how many episodes are NaN, summed over seeds.
      nonfinite: (T,) how many episodes the learner failed, summed over seeds.
    """

    tasks: np.ndarray
    mean: np.ndarray
    cluster: np.ndarray
    replicates: np.ndarray
    seeds: np.ndarray
    draw: int
    undefined: np.ndarray
    nonfinite: np.ndarray


def task_scores(runs: Sequence[Run], metric: str, shots: int) -> TaskScores:
    """Average the seeds of one learner, task by task; see `all_scores`.

    Args:
      runs: the seeds of one learner on one benchmark.
      metric: name of a score column; it is read from the draw that suits it if there is one.
      shots: number of labelled rows (or rows per class).

    Returns:
      The scores; all of its parts are empty if no run has this metric at these shots.
    """
    return all_scores(runs, [metric], [shots])[metric, shots]


def all_scores(
    runs: Sequence[Run], metrics: Sequence[str], shots: Sequence[int]
) -> dict[tuple[str, int], TaskScores]:
    """Average the seeds of one learner, task by task, for many metrics and numbers of shots.

    Args:
      runs: the seeds of one learner on one benchmark.
      metrics: names of score columns.
      shots: numbers of labelled rows (or rows per class).

    Returns:
      `TaskScores` by (metric, shots).
    """
    found = [_Rows.of(run) for run in runs if "task" in run.scores]
    out = {}
    for k in shots:
        for metric in metrics:
            have = [r for r in found if metric in r.scores and any(s == k for s, _ in r.at)]
            drawn = {d for r in have for s, d in r.at if s == k}
            want = DRAW_OF.get(metric, 0)
            draw = want if want in drawn else min(drawn, default=-1)
            out[metric, k] = _average(have, metric, k, draw)
    return out


class _Rows(NamedTuple):
    """The scores of a run, and where those of each (shots, draw) are."""

    scores: dict[str, np.ndarray]
    at: dict[tuple[int, int], _Place]

    @classmethod
    def of(cls, run: Run) -> _Rows:
        s = run.scores
        code = s["shots"].astype(np.int64) * 2 + s["draw"]
        at = {}
        for c in np.unique(code).tolist():
            rows = np.flatnonzero(code == c)
            tasks, first, place = np.unique(s["task"][rows], return_index=True, return_inverse=True)
            at[c // 2, c % 2] = _Place(rows, tasks, s["cluster"][rows][first], place)
        return cls(s, at)


class _Place(NamedTuple):
    """Rows (E,) of one number of shots and draw, which task each has, and the tasks (T,)."""

    rows: np.ndarray
    tasks: np.ndarray
    clusters: np.ndarray
    place: np.ndarray


def _average(runs: Sequence[_Rows], metric: str, shots: int, draw: int) -> TaskScores:
    """The scores of one metric at one number of shots."""
    places = [run.at.get((shots, draw)) for run in runs]
    none = np.zeros(0, np.int32)
    tasks = np.unique(np.concatenate([none, *(p.tasks for p in places if p)]))
    size = len(tasks)
    mean = np.full((len(runs), size), np.nan)
    cluster, undefined, nonfinite = np.zeros((3, size), np.int64)
    for i, (run, here) in enumerate(zip(runs, places, strict=True)):
        if here is None:
            continue
        to, n = np.searchsorted(tasks, here.tasks), len(here.tasks)
        values = run.scores[metric][here.rows].astype(np.float64)
        lost = np.isnan(values)
        total = np.bincount(here.place, np.where(lost, 0.0, values), n)
        count = np.bincount(here.place, ~lost, n)
        mean[i, to] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        cluster[to] = here.clusters
        undefined[to] += np.bincount(here.place[lost], minlength=n)
        if "nonfinite" in run.scores:
            failed = run.scores["nonfinite"][here.rows] > 0
            nonfinite[to] += np.bincount(here.place[failed], minlength=n)
    boots = [_replicates(run.scores, metric, shots, draw, tasks) for run in runs]
    # A seed without replicates would leave the others' too wide: then there is no interval.
    alike = len({b.shape for b in boots}) == 1
    return TaskScores(
        tasks, _mean(mean, 0), cluster,
        np.mean(boots, axis=0) if alike else np.zeros((size, 0)),
        _mean(mean, 1), draw, undefined, nonfinite,
    )  # fmt: skip


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of what is defined along an axis, NaN where nothing is."""
    n = (~np.isnan(values)).sum(axis=axis)
    return np.where(n > 0, np.nansum(values, axis=axis) / np.maximum(n, 1), np.nan)


def _replicates(
    scores: dict[str, np.ndarray], metric: str, shots: int, draw: int, tasks: np.ndarray
) -> np.ndarray:
    """The kept (T, B) replicates in the order of `tasks`, NaN rows for tasks without."""
    row = np.zeros(0, bool)
    if "boot" in scores:
        row = (scores["boot_shots"] == shots) & (scores["boot_draw"] == draw)
        row &= scores["boot_metric"] == metric
    if not row.any():
        return np.zeros((len(tasks), 0))
    kept = scores["boot"][int(np.argmax(row))].astype(np.float64)
    if np.array_equal(tasks, scores["boot_task"]):
        return kept
    out = np.full((len(tasks), kept.shape[1]), np.nan)
    _, to, of = np.intersect1d(tasks, scores["boot_task"], return_indices=True)
    out[to] = kept[of]
    return out


def shots_of(runs: Sequence[Run]) -> list[int]:
    """Return the numbers of shots that the runs were tested with, in increasing order."""
    return sorted({s for run in runs for s in np.unique(run.scores.get("shots", ())).tolist()})


def metrics_of(runs: Sequence[Run]) -> list[str]:
    """Return the names of the metrics that the runs hold, in alphabetical order."""
    return sorted({name for run in runs for name in run.scores} - set(OTHERS))
