"""The records of a suite, read and grouped by learner (a part of `metajax.tables`).

A record is a folder ``results/<suite>/runs/<id>/``; runs that differ in nothing but the seed are
the seeds of one learner.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metajax import recorded
from metajax.recorded import KEYS

_BOOT = ("boot", "boot_shots", "boot_draw", "boot_metric", "boot_task")
OTHERS = (*KEYS, "nonfinite", *_BOOT, "calibration", "calibration_shots",
           "weight_edges", "weight_counts")  # fmt: skip


class Run(NamedTuple):
    """The record of one run.

    Attributes:
      id: name of its folder.
      config: resolved configuration with `suite, benchmark, learner, seed, shots`.
      environment: commit, packages, device and the like.
      result: `status`, `protocol`, `tasks` (names by task id), `episodes_digest`, ...
      scores: columns with one entry per test episode, replicates and calibration sums; empty if
        the run diverged before its test.
      sources: digests of the files that the numbers come from; None if they were not kept.
    """

    id: str
    config: dict[str, Any]
    environment: dict[str, Any]
    result: dict[str, Any]
    scores: dict[str, np.ndarray]
    sources: dict[str, str] | None = None


def mixed_sources(runs: Sequence[Run]) -> dict[str, list[str]]:
    """The source files that are not the same in all runs, and the learners made of each.

    Args:
      runs: records; those made before sources were kept say nothing.
    """
    seen: dict[str, dict[str, set[str]]] = {}
    for run in runs:
        for file, digest in (run.sources or {}).items():
            seen.setdefault(file, {}).setdefault(digest, set()).add(run.config["learner"])
    return {
        file: sorted(set().union(*found.values()))
        for file, found in sorted(seen.items())
        if len(found) > 1
    }


def load_runs(folder: Path, only: Collection[str] | None = None) -> list[Run]:
    """Read the finished records of a suite; see `read_runs`.

    Raises:
      ValueError: if there is no record, or a file of one is missing or damaged (it is named).
    """
    runs, damaged = read_runs(folder, only)
    if damaged:
        raise ValueError(damaged[0])
    return runs


def read_runs(
    folder: Path, only: Collection[str] | None = None
) -> tuple[list[Run], list[str]]:
    """Read the finished records of a suite that can be read, and say which can not.

    Args:
      folder: ``results/<suite>``; records lie in its `runs`. Temporary folders (``.*``,
        ``*.partial``, ``*.tmp*``) are left out.
      only: ids of the runs wanted; None: all.

    Returns:
      The runs, ordered by benchmark, learner, seed and id; one message for each damaged record,
      naming the file.

    Raises:
      ValueError: if there is no record, or none that can be read.
    """
    home = Path(folder) / "runs"
    found = sorted(p for p in home.glob("*/") if not p.name.startswith("."))
    if only is not None:
        found = [p for p in found if p.name in only]
    runs, damaged = [], []
    for path in found:
        if path.name.endswith(".partial") or ".tmp" in path.name:
            continue
        try:
            runs.append(_load(path))
        except ValueError as error:
            damaged.append(str(error))
    if not runs:
        also = f"; {len(damaged)} damaged, the first: {damaged[0]}" if damaged else ""
        raise ValueError(f"no finished runs in {home}{also}")
    runs.sort(key=lambda r: (r.config["benchmark"], r.config["learner"], r.config["seed"], r.id))
    return runs, damaged


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
        keys = {k for f in flat for k in f}
        names = sorted(k for k in keys if len({repr(f.get(k)) for f in flat}) > 1)
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


def same_settings(runs: Sequence[Run], parts: Collection[str] = ()) -> None:
    """Refuses records that a table by learner would take for seeds of one another.

    Args:
      runs: of a suite whose tables know learners by their names alone.
      parts: of config.json that must not differ; empty: all but the seed.

    Raises:
      ValueError: naming a record of each kind, and what they differ in.
    """
    kinds: dict[tuple, dict[str, Run]] = {}
    for run in runs:
        told = {k: v for k, v in _flat(run).items() if not parts or k.startswith(tuple(parts))}
        key = (run.config["benchmark"], run.config["learner"])
        kinds.setdefault(key, {}).setdefault(repr(sorted(told.items())), run)
    for (benchmark, learner), found in kinds.items():
        if len(found) > 1:
            one, two = list(found.values())[:2]
            a, b = _flat(one), _flat(two)
            names = ", ".join(sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k)))
            raise ValueError(
                f"{benchmark}, {learner}: {one.id} and {two.id} differ in {names}: one table "
                "cannot hold both. Remedy: scripts/runs.py rm ID, or another --results"
            )


def _flat(run: Run) -> dict[str, Any]:
    """All that makes two runs different learners: the configuration but for seed and layout."""

    def walk(tree: dict, prefix: str) -> dict:
        flat = {}
        for k, v in tree.items():
            flat |= walk(v, f"{prefix}{k}.") if isinstance(v, dict) else {prefix + k: v}
        return flat

    version = run.environment.get("numbers_version")
    seen = {"protocol": run.result.get("protocol"), "numbers_version": version}
    told = walk(run.config, "") | seen
    return {k: v for k, v in told.items() if k not in ("seed", "train.task_axis")}


def _load(folder: Path) -> Run:
    """Read one record; ValueError names the file at fault."""
    # What a terminal obeys instead of showing is no part of a name.
    config = recorded.shown(recorded.read_config(folder))
    result = recorded.shown(recorded.read_result(folder))
    environment = recorded.shown(recorded.read_environment(folder))
    scores = recorded.read_scores(folder, result)
    sources = recorded.read_sources(folder)
    return Run(folder.name, config, environment, result, scores, sources)
