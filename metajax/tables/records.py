"""The records of a suite, and each learner's scores by task (a part of `metajax.tables`).

A record is a folder ``results/<suite>/runs/<id>/``; runs that differ in nothing but the seed are
the seeds of one learner. Undefined scores stay NaN and are counted, never read as 0.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metajax.statistics import cluster_means

DRAWS = ("natural", "balanced")
# Ranking metrics are read from balanced draws; what depends on the prevalence from natural ones.
DRAW_OF = dict.fromkeys(
    ("auroc", "auprc", "balanced_accuracy", "accuracy", "sensitivity_at_90_specificity",
     "prevalence"), 1
) | dict.fromkeys(("brier", "ece", "log_loss"), 0)  # fmt: skip
_KEYS = ("shots", "draw", "episode", "task", "cluster")
_BOOT = ("boot", "boot_shots", "boot_draw", "boot_metric", "boot_task")
_OTHERS = (*_KEYS, "nonfinite", *_BOOT, "calibration", "calibration_shots")


class Run(NamedTuple):
    """The record of one run.

    Attributes:
      id: name of its folder.
      config: resolved configuration with `suite, benchmark, learner, seed, shots`.
      environment: commit, packages, device and the like.
      result: `status`, `protocol`, `tasks` (names by task id), `episodes_digest`, ...
      scores: columns with one entry per test episode, replicates and calibration sums; empty if
        the run diverged before its test.
    """

    id: str
    config: dict[str, Any]
    environment: dict[str, Any]
    result: dict[str, Any]
    scores: dict[str, np.ndarray]


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


def load_runs(folder: Path, only: Collection[str] | None = None) -> list[Run]:
    """Read the finished records of a suite.

    Args:
      folder: ``results/<suite>``; records lie in its `runs`. Temporary folders (``.*``,
        ``*.partial``, ``*.tmp*``) are left out.
      only: ids of the runs wanted; None: all.

    Returns:
      The runs, ordered by benchmark, learner, seed and id.

    Raises:
      ValueError: if there is no record, or a file of one is missing or damaged (it is named).
    """
    home = Path(folder) / "runs"
    found = sorted(p for p in home.glob("*/") if not p.name.startswith("."))
    if only is not None:
        found = [p for p in found if p.name in only]
    runs = [_load(p) for p in found if not p.name.endswith(".partial") and ".tmp" not in p.name]
    if not runs:
        raise ValueError(f"no finished runs in {home}")
    return sorted(runs, key=lambda r: (r.config["benchmark"], r.config["learner"],
                                       r.config["seed"], r.id))  # fmt: skip


def groups(runs: Sequence[Run]) -> dict[tuple[str, str, str], list[Run]]:
    """Gather the seeds of each learner.

    Args:
      runs: records of one or more suites.

    Returns:
      ``{(suite, benchmark, learner): runs}``. Where a learner was run with several configurations
      its name says how they differ: ``maml (inner.lr=0.1)``.

    Raises:
      ValueError: if two runs have the same configuration and seed.
    """
    named: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        key = (run.config["suite"], run.config["benchmark"], run.config["learner"])
        named.setdefault(key, []).append(run)
    out: dict[tuple[str, str, str], list[Run]] = {}
    for (suite, benchmark, learner), members in named.items():
        flat = [_flat(run) for run in members]
        names = sorted({k for f in flat for k in f if len({repr(g.get(k)) for g in flat}) > 1})
        for run, f in zip(members, flat, strict=True):
            label = learner + (f" ({', '.join(f'{k}={f.get(k)}' for k in names)})" if names else "")
            others = out.setdefault((suite, benchmark, label), [])
            if twin := [o.id for o in others if o.config["seed"] == run.config["seed"]]:
                raise ValueError(
                    f"runs {twin[0]} and {run.id} are both {label} on {benchmark} with seed "
                    f"{run.config['seed']}: remove one of them"
                )
            others.append(run)
    return out


def metrics_of(runs: Sequence[Run]) -> list[str]:
    """Return the names of the metrics that the runs hold, in alphabetical order."""
    return sorted({name for run in runs for name in run.scores} - set(_OTHERS))


def task_scores(runs: Sequence[Run], metric: str, shots: int) -> TaskScores:
    """Average the seeds of one learner, task by task.

    Args:
      runs: the seeds of one learner on one benchmark.
      metric: name of a score column; it is read from the draw that suits it if there is one.
      shots: number of labelled rows (or rows per class).

    Returns:
      The scores; all of its parts are empty if no run has this metric at these shots.
    """
    runs = [r for r in runs if metric in r.scores and (r.scores["shots"] == shots).any()]
    drawn = {int(d) for r in runs for d in np.unique(r.scores["draw"][r.scores["shots"] == shots])}
    want = DRAW_OF.get(metric, 0)
    draw = want if want in drawn else min(drawn, default=-1)
    here = [(r.scores["shots"] == shots) & (r.scores["draw"] == draw) for r in runs]
    tasks = np.unique(np.concatenate([r.scores["task"][h] for r, h in zip(runs, here, strict=True)]
                                     or [np.zeros(0, np.int32)]))  # fmt: skip
    size = len(tasks)
    mean = np.full((len(runs), size), np.nan)
    cluster, undefined, nonfinite = np.zeros((3, size), np.int64)
    for i, (run, rows) in enumerate(zip(runs, here, strict=True)):
        s = {k: v[rows] for k, v in run.scores.items() if k in (*_KEYS, metric, "nonfinite")}
        at = np.searchsorted(tasks, s["task"])
        seen = np.unique(at)
        mean[i, seen] = cluster_means(s[metric], at)
        cluster[at] = s["cluster"]
        undefined += np.bincount(at[np.isnan(s[metric])], minlength=size)
        nonfinite += np.bincount(at[s.get("nonfinite", np.zeros(len(at))) > 0], minlength=size)
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
    out = np.full((len(tasks), kept.shape[1]), np.nan)
    _, to, of = np.intersect1d(tasks, scores["boot_task"], return_indices=True)
    out[to] = kept[of]
    return out


def shots_of(runs: Sequence[Run]) -> list[int]:
    """Return the numbers of shots that the runs were tested with, in increasing order."""
    return sorted({int(s) for run in runs for s in run.scores.get("shots", ())})


def _flat(run: Run) -> dict[str, Any]:
    """All that makes two runs different learners: the configuration but for the seed."""

    def walk(tree: dict, prefix: str) -> dict:
        flat = {}
        for k, v in tree.items():
            flat |= walk(v, f"{prefix}{k}.") if isinstance(v, dict) else {prefix + k: v}
        return flat

    version = run.environment.get("numbers_version")
    seen = {"protocol": run.result.get("protocol"), "numbers_version": version}
    return {k: v for k, v in (walk(run.config, "") | seen).items() if k != "seed"}


def _load(folder: Path) -> Run:
    """Read one record; ValueError names the file at fault."""
    parts: list[dict] = []
    need = {"config": ("suite", "benchmark", "learner", "seed", "shots"), "result": ("status",)}
    for name in ("config", "environment", "result"):
        path = folder / f"{name}.json"
        try:
            parts.append(json.loads(path.read_text()))
            if lacking := [k for k in need.get(name, ()) if k not in parts[-1]]:
                raise KeyError(f"no {', '.join(lacking)}")
        except Exception as error:
            raise ValueError(f"damaged record: {path}: {error}") from error
    path, scores = folder / "scores.npz", {}
    if parts[2]["status"] == "diverged" and not path.exists():
        return Run(folder.name, *parts, scores)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            scores = {name: archive[name] for name in archive.files}
        rows = len(scores["task"])
        for name in {*scores, *_KEYS} - set(_OTHERS[5:]):
            if scores[name].shape != (rows,):
                raise ValueError(f"column {name} has {scores[name].shape}, task has {rows} rows")
        if lacking := [k for k in _BOOT if "boot" in scores and k not in scores]:
            raise ValueError(f"no {', '.join(lacking)}")
    except Exception as error:  # zipfile, zlib, numpy and dict raise a dozen kinds
        raise ValueError(f"damaged record: {path}: {error!r}") from error
    return Run(folder.name, *parts, scores)
