"""The record of a run, read: every file is checked here, before anything uses it; without JAX.

A damaged record must cost its own row and no other. So whatever a file holds, these functions
return what the rest of the code may rely on, or raise a ValueError that names the file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metajax.recorded.checking import (
    are_cards,
    are_integers,
    are_names,
    are_numbers,
    are_shots,
    is_count,
    is_name,
    is_number,
    is_object,
    is_text,
    json_object,
    must,
    named,
)

if TYPE_CHECKING:  # a listing of runs reads no arrays, and must not wait for numpy
    import numpy as np

__all__ = ["KEYS", "SOURCES", "best_validation", "read_config", "read_environment", "read_json",
           "read_predictions", "read_result", "read_rows", "read_scores", "read_sources",
           "shown"]  # fmt: skip
KEYS = ("shots", "draw", "episode", "task", "cluster")
STATUSES = ("complete", "diverged")
SOURCES = "sources.json"  # of a record: digests of the files that its numbers come from


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
      ValueError: naming the file, if it cannot be read, is no UTF-8, no object, nested too deeply,
        or has a name twice or an integer beyond 64 bits.
    """
    with named(path):
        return json_object(path.read_bytes())


def read_config(folder: Path) -> dict[str, Any]:
    """config.json: `suite`, `benchmark`, `learner`, `seed` and `shots`, whatever else.

    Raises:
      ValueError: naming the file; see `read_json`.
    """
    path = folder / "config.json"
    with named(path):
        config = json_object(path.read_bytes())
        needed = ("suite", "benchmark", "learner", "seed", "shots")
        if lacking := [name for name in needed if name not in config]:
            raise ValueError(f"no {', '.join(lacking)}")
        for name in needed[:3]:
            must(name, config, is_name, "a text", needed=True)
        must("seed", config, is_count, "an integer from 0 on", needed=True)
        must("shots", config, are_shots, "a list of integers from 0 on", needed=True)
        for name in ("inner", "train", "encoder", "evaluate"):
            must(name, config, is_object, "an object")
        return config


def read_result(folder: Path) -> dict[str, Any]:
    """result.json: `status`, and of the right type whatever tables and copies read of it.

    Raises:
      ValueError: naming the file; see `read_json`.
    """
    path = folder / "result.json"
    with named(path):
        result = json_object(path.read_bytes())
        must("status", result, lambda v: v in STATUSES, " or ".join(STATUSES), needed=True)
        for name in ("protocol", "reason", "interval", "task_axis"):
            must(name, result, is_text, "a text")
        must("tasks", result, are_names, "a list of names")
        must("clusters", result, are_integers, "a list of integers")
        for name in ("device_seconds", "seconds_to_first_call", "runs_in_program"):
            must(name, result, is_number, "a number")
        for name in ("seconds", "peak_memory_bytes"):
            must(name, result, are_numbers, "an object of numbers")
        must("hyper", result, is_object, "an object")
        for name in result:
            if name.startswith("best/"):
                must(name, result, is_number, "a number")
        return result


def read_environment(folder: Path) -> dict[str, Any]:
    """environment.json: of the right type whatever tables and copies read of it.

    Raises:
      ValueError: naming the file; see `read_json`.
    """
    path = folder / "environment.json"
    with named(path):
        told = json_object(path.read_bytes())
        for name in ("packages", "device", "hardware", "flags"):
            must(name, told, is_object, "an object")
        must("cards", told, are_cards, "an object of cards, each with its files")
        for name in ("commit", "command", "python", "metajax"):
            must(name, told, is_text, "a text")
        must("numbers_version", told, is_count, "an integer from 0 on")
        must("modified", told, lambda v: isinstance(v, bool), "true or false")
        return told


def read_sources(folder: Path) -> dict[str, str] | None:
    """sources.json: a digest a file; None if the record was made before they were kept.

    Raises:
      ValueError: naming the file; see `read_json`.
    """
    path = folder / SOURCES
    if not path.exists():
        return None
    with named(path):
        told = json_object(path.read_bytes())
        for name in told:
            must(name, told, is_text, "a text", needed=True)
        return told


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, none if there is no such file.

    Raises:
      ValueError: naming the file and the line.
    """
    path, rows = folder / "metrics.jsonl", []
    if not os.path.lexists(path):
        return rows
    with named(path):
        for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
            if not line.strip():
                continue
            try:
                row = json_object(line)
                must("step", row, is_number, "a number")
                for name in row.keys() - {"step", "fold", "phase"}:
                    must(name, row, lambda v: is_number(v, finite=False), "a number")
                for name in ("fold", "phase"):
                    must(name, row, lambda v: isinstance(v, int | str), "a number or a text")
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
            rows.append(row)
    return rows


def read_scores(folder: Path, result: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of scores.npz; none if the run diverged and has no such file.

    Raises:
      ValueError: naming the file, if an array is missing or of another shape or kind.
    """
    from metajax.recorded.arrays import arrays, check_scores

    path = folder / "scores.npz"
    if result.get("status") == "diverged" and not os.path.lexists(path):
        return {}
    with named(path):
        scores = arrays(path)
        if lacking := [name for name in KEYS if name not in scores]:
            raise ValueError(f"no {', '.join(lacking)}")
        check_scores(scores, KEYS, len(result.get("tasks") or ()))
        return scores


def read_predictions(folder: Path, episodes: int) -> dict[str, np.ndarray]:
    """The arrays of predictions.npz: `queries` (E,), `row` (n,), `y` and `outputs` (n, C).

    Args:
      folder: of the record.
      episodes: how many the scores have, E.

    Raises:
      ValueError: naming the file, as for `read_scores`.
    """
    from metajax.recorded.arrays import INTEGERS, NUMBERS, arrays, shape

    path = folder / "predictions.npz"
    with named(path):
        kept = arrays(path)
        if lacking := [name for name in ("queries", "y", "outputs") if name not in kept]:
            raise ValueError(f"no {', '.join(lacking)}")
        queries, y, outputs = (kept[name] for name in ("queries", "y", "outputs"))
        shape("queries", queries, (episodes,), INTEGERS)
        rows = int(queries.sum()) if (queries >= 0).all() else -1
        if outputs.ndim != 2 or y.shape != outputs.shape or len(y) != rows:
            raise ValueError(f"y has {y.shape}, outputs {outputs.shape}, queries sum to {rows}")
        shape("outputs", outputs, outputs.shape, NUMBERS)
        shape("y", y, outputs.shape, NUMBERS)
        return kept


def shown(value: Any) -> Any:
    """JSON whose texts hold nothing that a terminal obeys: escapes, line ends, marks of direction.

    Spaces of all kinds become blanks, the rest a replacement character.
    """
    if isinstance(value, dict):
        return {shown(name): shown(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shown(one) for one in value]
    if isinstance(value, str) and not value.isprintable():
        return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in value)
    return value


def best_validation(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The validation score of the selected steps, mean over folds: what a sweep may optimise.

    Args:
      rows: lines of metrics.jsonl.

    Returns:
      ``{"best/validation/auroc": 0.8}``; nothing if nothing was selected, or a fold has no finite
      score.
    """
    import numpy as np

    best: dict[str, dict[Any, float]] = {}
    for row in rows:
        for name, value in row.items():
            if name.startswith("validation/"):
                folds, better = best.setdefault(name, {}), min if name.endswith("/mse") else max
                seen = [v for v in (folds.get(row.get("fold")), value) if v is not None]
                finite = [v for v in seen if math.isfinite(v)]
                folds[row.get("fold")] = better(finite, default=math.nan)
    means = {f"best/{name}": float(np.mean([*folds.values()])) for name, folds in best.items()}
    return {name: mean for name, mean in means.items() if math.isfinite(mean)}
