"""What of a record W&B gets: settings, tags, curves, scores, plots; without wandb (floor 6)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metajax import recorded
from metajax.recorded import best_validation

FIXED = ("shots", "draw", "episode", "task", "cluster")
DRAWS = ("natural", "balanced")
# What the summary holds of result.json, beside the scores.
RESULT = ("status", "reason", "steps", "seconds", "device_seconds", "peak_memory_bytes",
          "episodes_digest")  # fmt: skip
# Plotted over the support size, each read from the first draw that there is (as in the tables).
PLOTTED = (("auroc", ("balanced", "natural")), ("brier", ("natural", "balanced")),
           ("mse", ("natural", "balanced")))  # fmt: skip
LEAST = 10  # a point of the calibration plot stands for at least so many rows


class Record(NamedTuple):
    """The parts of a record; what the run did not write is empty."""

    config: dict[str, Any]
    result: dict[str, Any]
    environment: dict[str, Any]
    rows: list[dict[str, Any]]
    scores: dict[str, np.ndarray]


class Table(NamedTuple):
    """Columns and rows of a table or of a line plot (its first column is the x axis)."""

    columns: list[str]
    data: list[list[Any]]


def read_record(folder: Path) -> Record:
    """Read the parts of a record that W&B gets.

    Raises:
      ValueError: naming the file, if one of them cannot be read.
    """
    config, result = recorded.read_config(folder), recorded.read_result(folder)
    lacks = not os.path.lexists(folder / "environment.json")
    told = {} if lacks else recorded.read_environment(folder)
    scores = recorded.read_scores(folder, result)
    return Record(config, result, told, recorded.read_rows(folder), scores)


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into one with dotted names, as a W&B sweep file has them."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        full = f"{prefix}{name}"
        flat |= flatten(value, f"{full}.") if isinstance(value, Mapping) else {full: value}
    return flat


def settings(record: Record, name: str) -> dict[str, Any]:
    """The run's configuration in W&B: flat, without what is unset, and where the run came from.

    Args:
      record: what the run wrote.
      name: that of its folder, which under `wandb agent` is not the W&B id.
    """
    _, result, environment, _, _ = record
    told = {
        "record": name,
        "protocol": result.get("protocol"),
        "hyper": result.get("hyper") or {},  # as used, defaults included
        "code": {"commit": environment.get("commit"), "modified": environment.get("modified")},
        "data": {k: card.get("version") for k, card in (environment.get("cards") or {}).items()},
        "device": (environment.get("device") or {}).get("kind"),
        "numbers_version": environment.get("numbers_version"),
    }
    return {k: v for k, v in flatten({**record.config, **told}).items() if v is not None}


def tags(record: Record) -> list[str]:
    """Benchmark, protocol, draws, support sizes; `uncommitted` if the code was no commit's."""
    config, result, environment, _, scores = record
    found = [config.get("benchmark"), result.get("protocol")]
    found += [DRAWS[draw] for draw in np.unique(scores.get("draw", [])).astype(int)]
    found += [f"k={shots}" for shots in config.get("shots") or ()]
    found += ["uncommitted"] if environment.get("modified") else []
    found += [result["status"]] if result.get("status", "complete") != "complete" else []
    return [str(tag)[:64] for tag in found if tag]  # W&B refuses longer ones


def curves(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put phase and fold before the numbers' names, where there are several of them.

    So a name has one value a step: ``select/fold0/train/loss``.
    """
    several = [key for key in ("phase", "fold") if len({row.get(key) for row in rows}) > 1]
    own, named = {"phase": "{}/", "fold": "fold{}/"}, []
    for row in rows:
        first = "".join(own[key].format(row.get(key)) for key in several)
        kept = ("step", "fold", "phase")
        named.append({k if k in kept else first + k: v for k, v in row.items()})
    return named


def task_scores(result: dict, scores: dict[str, np.ndarray]) -> tuple[list[dict], dict[str, float]]:
    """Mean score of every task (rows of a table), and the mean over tasks (the summary)."""
    table, means = [], {}
    if not (n := len(scores.get("task", ()))):
        return [], {}
    skip = (*FIXED, *(k for k in scores if k.startswith(("boot", "calibration"))))
    metrics = [k for k, v in scores.items() if k not in skip and v.shape == (n,)]
    names = dict(enumerate(result.get("tasks") or ()))
    keys = np.stack([scores["shots"], scores["draw"], scores["task"]], axis=1)
    for shots, draw, task in np.unique(keys, axis=0).tolist():
        here = (keys == (shots, draw, task)).all(axis=1)
        row = {"task": names.get(task, str(task)), "shots": shots, "draw": DRAWS[draw]}
        for metric in metrics:
            values = scores[metric][here].astype(np.float64)
            values = values[~np.isnan(values)]
            row[metric] = float(values.mean()) if len(values) else None
            if len(values):
                means.setdefault(f"{DRAWS[draw]}/{metric}@{shots}", []).append(row[metric])
        table.append(row)
    return table, {name: float(np.mean(values)) for name, values in means.items()}


def summary_scores(record: Record) -> dict[str, float]:
    """The scores of a run's summary: ``natural/auroc@8``, ``best/validation/accuracy``."""
    best = {k: v for k, v in record.result.items() if k.startswith("best/")}
    if not best and record.result.get("status") == "complete":  # made before it was kept
        best = best_validation(record.rows)
    return task_scores(record.result, record.scores)[1] | best


def plots(scores: dict[str, np.ndarray], means: Mapping[str, float]) -> dict[str, Table]:
    """Line plots by name: scores over the support size, and observed over predicted risk.

    One line a run, so that W&B lays the lines of all chosen runs over each other.

    Args:
      scores: the arrays of scores.npz.
      means: from `task_scores`.
    """
    found = {}
    sizes = sorted({int(name.rpartition("@")[2]) for name in means})
    for metric, draws in PLOTTED:
        draw = next((d for d in draws if any(f"{d}/{metric}@{k}" in means for k in sizes)), None)
        points = [[k, means[name]] for k in sizes if (name := f"{draw}/{metric}@{k}") in means]
        if points:
            found[f"learning_curve/{metric}"] = Table(["shots", f"{draw} {metric}"], points)
    if len(scores.get("calibration_shots", ())):
        most = int(np.argmax(scores["calibration_shots"]))
        sums = scores["calibration"][most, 0].astype(np.float64)  # natural draws: (10, 3)
        sums = sums[sums[:, 2] >= LEAST]
        points = [[p / n, y / n, n] for p, y, n in sums.tolist()]
        if points:
            found["calibration"] = Table(["predicted", "observed", "rows"], points)
    return found
