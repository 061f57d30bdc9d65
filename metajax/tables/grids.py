"""One benchmark, one metric: learners by shots with ties, ranks and tests (`metajax.tables`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from metajax.statistics import (
    MIN_CLUSTERS,
    average_ranks,
    cluster_means,
    friedman,
    holm,
    nemenyi_difference,
    paired_wilcoxon,
)
from metajax.tables.layout import LOWER_IS_BETTER, benchmarks, order, part, shown
from metajax.tables.long import intervals
from metajax.tables.records import Run, groups
from metajax.tables.scores import TaskScores, all_scores, shots_of


class Ranks(NamedTuple):
    """Average ranks of learners over blocks (clusters), and whether they differ.

    Attributes:
      mean: average rank by learner, 1 is best; over blocks and numbers of shots.
      blocks: how many clusters stand behind it.
      tested: how many of them stand behind the tests: those defined at all numbers of shots.
      friedman: p-value of "all learners are alike"; None below 10 blocks or 3 learners.
      difference: ranks that differ by less than this cannot be told apart (Nemenyi, 5 % over all
        pairs together); None likewise.
    """

    mean: dict[str, float]
    blocks: int
    tested: int
    friedman: float | None
    difference: float | None


class Grid(NamedTuple):
    """A metric of a benchmark.

    Attributes:
      suite: its suite.
      benchmark: its name.
      metric: its name.
      learners: all of the benchmark, best mean of its first metric first.
      shots: numbers of shots, increasing.
      cells: the row of the long table by (learner, shots).
      bold: (learner, shots) that are best, or whose paired 95 % interval of the difference from
        the best holds 0.
      best: the learner with the best mean over clusters and shots; empty if there is none.
      pvalues: Holm-adjusted Wilcoxon p-values against it; empty below 10 clusters.
      columns: (shots, clusters) means of every learner that was tested at all shots.
      lost: learners of which a run diverged: they are ranked last.
      ranks: average ranks.
    """

    suite: str
    benchmark: str
    metric: str
    learners: list[str]
    shots: list[int]
    cells: dict[tuple[str, int], dict]
    bold: set[tuple[str, int]]
    best: str
    pvalues: dict[str, float]
    columns: dict[str, np.ndarray]
    lost: set[str]
    ranks: Ranks


def grids(table: pd.DataFrame, runs: Sequence[Run], metrics: Sequence[str]) -> list[Grid]:
    """Gather what every table and figure shows.

    Args:
      table: what `long_table` gave.
      runs: the runs it was made of.
      metrics: which metrics to show, in this order; learners are sorted by the first a benchmark
        has.

    Returns:
      One grid per benchmark and metric, benchmarks in alphabetical order.

    Raises:
      ValueError: if a benchmark has none of the metrics.
    """
    named, out = groups(runs), []
    for suite, benchmark in benchmarks(runs):
        rows = part(table, suite, benchmark)
        if not (present := shown(rows, metrics)):
            raise ValueError(f"no run of {benchmark} has any of {', '.join(metrics)}")
        learners = order(rows, present[0])
        seeds = {n: r for (s, b, n), r in named.items() if (s, b) == (suite, benchmark)}
        shots = sorted({s for found in seeds.values() for s in shots_of(found)})
        scored = {name: all_scores(found, present, shots) for name, found in seeds.items()}
        lost = {n for n, found in seeds.items()
                if any(run.result["status"] == "diverged" for run in found)}  # fmt: skip
        digests = {n: {repr(run.result.get("episodes_digest")) for run in found}
                   for n, found in seeds.items()}  # fmt: skip
        for metric in present:
            here = {n: [scores[metric, s] for s in shots] for n, scores in scored.items()}
            out.append(_grid(rows[rows.metric == metric], suite, benchmark, metric, learners, shots,
                             here, lost, digests))  # fmt: skip
    return out


def _grid(
    rows: pd.DataFrame, suite: str, benchmark: str, metric: str, learners: list[str],
    shots: list[int], scores: dict[str, list[TaskScores]], lost: set[str], digests: dict[str, set],
) -> Grid:  # fmt: skip
    cells = {(row["learner"], row["shots"]): row for row in rows.to_dict("records")}
    lower = metric in LOWER_IS_BETTER
    columns = {
        name: np.stack([cluster_means(s.mean, s.cluster) for s in scores[name]])
        for name in sorted(scores)
        if name not in lost and scores[name] and all(s.tasks.size for s in scores[name])
    }
    bold = set()
    for i, k in enumerate(shots):
        alive = [n for n in learners if n not in lost and np.isfinite(_mean(cells, n, k))]
        if alive:
            values = np.array([_mean(cells, n, k) for n in alive])
            top = alive[int(np.argmin(values) if lower else np.argmax(values))]
            rivals = {n: scores[n][i] for n in alive if digests[n] == digests[top]}
            bold |= {(n, k) for n in _tied(scores[top][i], rivals) | {top}}
    best, pvalues = _against_best(columns, lower)
    return Grid(
        suite, benchmark, metric, learners, sorted(set(rows.shots)), cells, bold, best, pvalues,
        columns, lost, rank([columns], lower, [lost]),
    )  # fmt: skip


def _mean(cells: dict, learner: str, shots: int) -> float:
    return cells[learner, shots]["mean"] if (learner, shots) in cells else np.nan


def _tied(top: TaskScores, rivals: dict[str, TaskScores]) -> set[str]:
    """Those whose paired interval of the difference from the best holds 0."""
    found = set()
    for shape in {s.replicates.shape for s in rivals.values()}:
        names = [n for n, s in rivals.items()
                 if s.replicates.shape == shape and np.array_equal(s.tasks, top.tasks)]  # fmt: skip
        if not names:
            continue
        means = np.stack([rivals[n].mean for n in names]) - top.mean
        boot = np.zeros((len(names), len(top.tasks), 0))
        if shape == top.replicates.shape and len(np.unique(top.cluster)) < MIN_CLUSTERS:
            boot = (rivals[n].replicates - top.replicates for n in names)
            boot = np.stack(list(boot))
        for name, (_, low, high, *_) in zip(
            names, intervals(means, top.cluster, boot), strict=True
        ):
            if low <= 0 <= high:
                found.add(name)
    return found


def _against_best(columns: dict[str, np.ndarray], lower: bool) -> tuple[str, dict[str, float]]:
    """The best learner on cluster means, and the p-values of all others against it."""
    mean = {n: np.nanmean(c) * (1 if lower else -1) for n, c in columns.items()}
    if not mean:
        return "", {}
    top = min(mean, key=lambda n: (mean[n], n))
    units = {n: c.mean(axis=0) for n, c in columns.items()}
    rivals = [n for n in units if n != top]
    raw = [paired_wilcoxon(units[n], units[top]) for n in rivals]
    if all(p is None for p in raw):
        return top, {}
    return top, dict(zip(rivals, holm(raw).tolist(), strict=True))


def rank(
    parts: Sequence[dict[str, np.ndarray]],
    lower: bool | Sequence[bool],
    lost: Sequence[set[str]] = (),
) -> Ranks:
    """Rank the learners that all parts have, over the clusters of all parts.

    Args:
      parts: (shots, clusters) means by learner, for every benchmark.
      lower: lower is better, for all parts or each.
      lost: learners that come last, in each part; none: nobody does.

    Returns:
      Their ranks; empty if no learner is in all parts.
    """
    if isinstance(lower, bool):
        lower = [lower] * len(parts)
    lost = lost or [set()] * len(parts)
    both = zip(parts, lost, strict=True)
    names = sorted(set.intersection(*(set(columns) | last for columns, last in both)))
    if not names or not all(parts):
        return Ranks({}, 0, 0, None, None)
    ranks, blocks = [], []
    for columns, down in zip(parts, lower, strict=True):
        worst = np.full_like(next(iter(columns.values())), np.inf if down else -np.inf)
        stack = np.stack([columns.get(n, worst) for n in names], axis=-1) * (1 if down else -1)
        # Every cluster counts once, however many numbers of shots its benchmark has.
        ranks += [average_ranks(of_cluster, False) for of_cluster in stack.swapaxes(0, 1)]
        blocks.append(stack.mean(axis=0))
    ranked = np.array([row for row in ranks if not np.isnan(row).any()]).reshape(-1, len(names))
    units = np.concatenate(blocks)
    units = units[~np.isnan(units).any(axis=1)]
    tested = len(units) >= MIN_CLUSTERS and len(names) > 2
    mean = ranked.mean(axis=0) if len(ranked) else np.full(len(names), np.nan)
    return Ranks(
        dict(zip(names, mean.tolist(), strict=True)), len(ranked), len(units),
        friedman(units) if tested else None,
        nemenyi_difference(len(names), len(units)) if tested else None,
    )  # fmt: skip


def overall(found: Sequence[Grid]) -> Ranks:
    """Rank the learners of all benchmarks by each benchmark's first metric."""
    first: dict[tuple[str, str], Grid] = {}
    for grid in found:
        first.setdefault((grid.suite, grid.benchmark), grid)
    own = list(first.values())
    return ranked_together(own)


def ranked_together(own: Sequence[Grid]) -> Ranks:
    """Rank the learners of several benchmarks by one metric of each."""
    lower = [grid.metric in LOWER_IS_BETTER for grid in own]
    return rank([grid.columns for grid in own], lower, [grid.lost for grid in own])
