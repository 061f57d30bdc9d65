"""The long table of a suite, and paired differences of learners (a part of `metajax.tables`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from metajax import disk
from metajax.statistics import (
    MIN_CLUSTERS,
    bootstrap_ends,
    cluster_bootstrap,
    cluster_means,
    replicate_interval,
)
from metajax.tables.records import Run, groups
from metajax.tables.scores import DRAWS, TaskScores, all_scores, metrics_of, shots_of, task_scores

COLUMNS = (
    "suite benchmark learner shots metric mean low high tasks seeds "
    "protocol draw clusters undefined nonfinite interval seed_sd"
).split()
PATIENTS = "patients, these tasks only"


def interval(mean: np.ndarray, cluster: np.ndarray, replicates: np.ndarray) -> tuple:
    """Return the mean over tasks with its 95 % interval.

    From 10 clusters on clusters are resampled; below, patients within these tasks (by their kept
    replicates).

    Args:
      mean: (T,) mean of each task, or a difference of two learners; NaN tasks are left out.
      cluster: (T,) cluster of each task.
      replicates: (T, B) bootstrap deviations of each task; B = 0 if there are none.

    Returns:
      ``(mean, low, high, tasks, clusters, kind)``; the ends are NaN if kind is ``"none"``.
    """
    kept = ~np.isnan(mean)
    mean, replicates = mean[kept], replicates[kept]
    total = float(mean.mean()) if mean.size else np.nan
    names, size = np.unique(cluster[kept], return_counts=True)
    counts = (len(mean), len(names))
    if len(names) >= MIN_CLUSTERS:
        # A mean over tasks is a ratio of sums over clusters: each cluster counts with its size.
        unit = total + size / size.mean() * (cluster_means(mean, cluster[kept]) - total)
        found = cluster_bootstrap(unit, names, np.random.default_rng(0), draws=2000)
        return total, found.low, found.high, *counts, "clusters"
    if replicates.size and not np.isnan(replicates).any():
        found = replicate_interval(total, replicates.mean(axis=0))
        return total, found.low, found.high, *counts, PATIENTS
    return total, np.nan, np.nan, *counts, "none"


def intervals(means: np.ndarray, cluster: np.ndarray, replicates: np.ndarray) -> list[tuple]:
    """Return what `interval` gives, for many rows of means of the same tasks.

    Args:
      means: (R, T) means of each task.
      cluster: (T,) cluster of each task.
      replicates: (R, T, B) bootstrap deviations; B = 0 if there are none.

    Returns:
      R tuples.
    """
    names, place, size = np.unique(cluster, return_inverse=True, return_counts=True)
    out: list[tuple] = [()] * len(means)
    whole = ~np.isnan(means).any(axis=1) & (len(names) >= MIN_CLUSTERS)
    rows = np.flatnonzero(whole)
    if rows.size:
        total = means[rows].mean(axis=1, keepdims=True)
        each = np.stack([np.bincount(place, row, len(names)) for row in means[rows]]) / size
        unit = total + size / size.mean() * (each - total)
        ends = bootstrap_ends(unit, np.random.default_rng(0))
        for i, mean, (low, high) in zip(rows.tolist(), total[:, 0].tolist(), ends.tolist(),
                                        strict=True):  # fmt: skip
            out[i] = (mean, low, high, len(cluster), len(names), "clusters")
    for i in np.flatnonzero(~whole).tolist():
        out[i] = interval(means[i], cluster, replicates[i])
    return out


def _single(found: TaskScores) -> list[tuple[int, tuple]]:
    """Each task's id, and what `interval` gives for it by itself."""
    ends = np.full((2, len(found.mean)), np.nan)
    if found.replicates.size:
        ends = found.mean + np.quantile(found.replicates, [0.025, 0.975], axis=1)
    defined, whole = ~np.isnan(found.mean), ~np.isnan(ends).any(axis=0)
    return [
        (int(t), (float(m), float(low), float(high), int(d), int(d), PATIENTS if w else "none"))
        for t, m, low, high, d, w in zip(
            found.tasks, found.mean, *ends, defined, whole, strict=True
        )
    ]


def _whole(scored: dict[tuple[str, int], TaskScores]) -> dict[tuple[str, int], tuple]:
    """What `interval` gives over all tasks, those on the same tasks at once."""
    alike: dict[tuple, list] = {}
    for key, found in scored.items():
        same = (found.tasks.tobytes(), found.cluster.tobytes(), found.replicates.shape)
        alike.setdefault(same, []).append((key, found))
    out = {}
    for members in alike.values():
        means, replicates = (np.stack([getattr(found, name) for _, found in members])
                             for name in ("mean", "replicates"))  # fmt: skip
        values = intervals(means, members[0][1].cluster, replicates)
        out |= dict(zip([key for key, _ in members], values, strict=True))
    return out


def long_table(runs: Sequence[Run], *, by_task: bool = True) -> pd.DataFrame:
    """Tabulate every metric of every learner, by benchmark and by single task.

    Args:
      runs: what `load_runs` gave.
      by_task: False leaves the rows of single tasks out.

    Returns:
      One row per suite, benchmark, learner, shots and metric, with the columns `COLUMNS`. Rows of
      single tasks are named ``<benchmark>/<task>``. If a seed of a learner diverged its means are
      NaN and `interval` says how many did.
    """
    rows = []
    by_benchmark: dict[tuple, set] = {}
    for run in runs:
        key = (run.config["suite"], run.config["benchmark"])
        by_benchmark.setdefault(key, set()).update(metrics_of([run]))
    for (suite, benchmark, learner), seeds in groups(runs).items():
        lost = sum(run.result["status"] == "diverged" for run in seeds)
        names = dict(enumerate(seeds[0].result.get("tasks") or ()))
        sizes = sorted({int(s) for run in seeds for s in np.atleast_1d(run.config["shots"])})
        metrics = sorted(by_benchmark[suite, benchmark])
        scored = all_scores(seeds, metrics, sizes)
        whole = _whole(scored)
        for shots in sizes:
            for metric in metrics:
                found = scored[metric, shots]
                if not lost and not found.tasks.size:
                    continue
                parts = [(benchmark, slice(None), whole[metric, shots])]
                parts += [
                    (f"{benchmark}/{names[t]}", slice(i, i + 1), value)
                    for i, (t, value) in enumerate(_single(found) if by_task else ())
                    if t in names
                ]
                draw = DRAWS[found.draw] if found.draw >= 0 else ""
                spread = found.seeds.std(ddof=1) if len(seeds) > 1 and not lost else np.nan
                for name, at, value in parts:
                    if lost:
                        value = (np.nan,) * 3 + value[3:5] + (f"diverged: {lost} of {len(seeds)}",)
                    rows.append((
                        suite, name, learner, shots, metric, *value[:4], len(seeds),
                        seeds[0].result.get("protocol", ""), draw, value[4],
                        int(found.undefined[at].sum()),
                        int(found.nonfinite[at].sum()),
                        value[5], spread if name == benchmark else np.nan,
                    ))  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(COLUMNS[:5], ignore_index=True)


def compare(
    runs: Sequence[Run], benchmark: str, learner: str, rivals: Sequence[str], metric: str
) -> pd.DataFrame:
    """Return paired differences of one learner with others on the same episodes.

    Args:
      runs: what `load_runs` gave.
      benchmark: name of the benchmark.
      learner: the learner, by its name in the table.
      rivals: those it is compared with.
      metric: name of the metric.

    Returns:
      Columns ``rival, shots, mean, low, high, tasks, clusters, interval``; `mean` is learner minus
      rival. Shots that one of the two lacks are left out, learners that diverged give NaN.

    Raises:
      ValueError: for an unknown name, or learners that were not scored on the same episodes.
    """
    found = {name: seeds for (_, b, name), seeds in groups(runs).items() if b == benchmark}
    if unknown := [name for name in (learner, *rivals) if name not in found]:
        raise ValueError(f"no run of {unknown[0]!r} on {benchmark!r}; there are "
                         f"{', '.join(sorted(found)) or 'none'}")  # fmt: skip
    rows = []
    for rival in rivals:
        a, b = found[learner], found[rival]
        lost = any(run.result["status"] == "diverged" for run in (*a, *b))
        digests = {repr(run.result.get("episodes_digest")) for run in (*a, *b)}
        if len(digests) > 1 and not lost:
            raise ValueError(f"{learner} and {rival} were not scored on the same episodes of "
                             f"{benchmark}")  # fmt: skip
        for shots in sorted(set(shots_of(a)) & set(shots_of(b))):
            x, y = task_scores(a, metric, shots), task_scores(b, metric, shots)
            _, i, j = np.intersect1d(x.tasks, y.tasks, return_indices=True)
            boot = x.replicates[i], y.replicates[j]
            boot = boot[0] - boot[1] if boot[0].shape == boot[1].shape else boot[0][:, :0]
            value = interval(x.mean[i] - y.mean[j], x.cluster[i], boot)
            value = (np.nan,) * 3 + value[3:5] + ("diverged",) if lost else value
            rows.append((rival, shots, *value))
    columns = ["rival", "shots", "mean", "low", "high", "tasks", "clusters", "interval"]
    return pd.DataFrame(rows, columns=columns)


def csv(table: pd.DataFrame) -> str:
    """Write the long table as CSV, the same bytes for the same records."""
    return harmless(table).to_csv(index=False, float_format="%.6g", lineterminator="\n")


def harmless(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with names that no spreadsheet program runs; see `metajax.disk.cell`."""
    texts = [name for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    table = table.assign(**{name: table[name].map(disk.cell) for name in texts})
    return table.rename(columns=disk.cell)
