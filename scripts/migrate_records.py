"""Gives committed records the configuration, definition and name that today's code gives them.

    python scripts/migrate_records.py                 lists what would change; changes nothing
    python scripts/migrate_records.py --write         does it

For a change of what a run's name is a digest of (a new setting, a new field of `Entry`): numbers
stay, so their records are renamed instead of made again. A record keeps everything else. A second
call changes nothing. What cannot be told (a record of a script that is not here) stays as it is,
is named, and the exit code is 1.
"""

from __future__ import annotations

from metajax import surroundings

surroundings.check()

import argparse
import dataclasses
import importlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from metajax import records, suites
from metajax.config import Encoder, Evaluate, RunConfig, Train, resolved
from metajax.hyper import Inner

EXPERIMENTS = Path(__file__).resolve().parent.parent / "experiments"
PARTS = {"inner": Inner, "train": Train, "encoder": Encoder, "evaluate": Evaluate}


def as_config(told: Mapping[str, Any]) -> RunConfig:
    """The configuration of a config.json; what it does not say is at its default."""
    values = {}
    for field in dataclasses.fields(RunConfig):
        value = told[field.name]
        if field.name in PARTS:
            known = {one.name for one in dataclasses.fields(PARTS[field.name])}
            if foreign := set(value) - known:
                raise ValueError(f"{field.name} has no {', '.join(sorted(foreign))}")
            lists = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
            value = PARTS[field.name](**lists)
        values[field.name] = tuple(value) if isinstance(value, list) else value
    return RunConfig(**values)


def script_of(suite: str) -> ModuleType | None:
    """The experiment script of a suite, None if there is none."""
    if not str(suite).isidentifier() or not (EXPERIMENTS / f"{suite}.py").is_file():
        return None
    if str(EXPERIMENTS) not in sys.path:
        sys.path.append(str(EXPERIMENTS))
    return importlib.import_module(suite)


def renewed(config: RunConfig) -> dict[str, Any]:
    """What config.json of a run says today.

    Raises:
      ValueError: if its script is not here, or has no such benchmark.
    """
    script = script_of(config.suite)
    if script is None:
        raise ValueError(f"there is no experiments/{config.suite}.py")
    if hasattr(script, "as_today"):  # it makes its runs itself
        return records.identity(*script.as_today(config))
    if not hasattr(script, "ENTRIES"):
        raise ValueError(f"experiments/{config.suite}.py does not say how its runs are defined")
    entry = suites.find(script.ENTRIES, config.benchmark)
    return records.identity(resolved(config, strict=False), suites.definition(entry))


def validation(folder: Path) -> dict[str, float]:
    """The validation score of the selected step, where metrics.jsonl has it."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return records.best_validation(json.loads(line) for line in lines if line)


def plan(folder: Path, told: Callable | None) -> tuple[Path, dict[str, Any]]:
    """The folder that a record belongs in, and the files that change, by name.

    Args:
      folder: of the record.
      told: ``config -> {name: score}`` of a suite that keeps its validation scores elsewhere.

    Raises:
      ValueError: if that cannot be told.
    """
    try:
        old, environment, result = (
            json.loads((folder / f"{part}.json").read_text())
            for part in ("config", "environment", "result")
        )
        jax = old.get("jax", {})  # what its process was told, not this one
        if (version := environment["numbers_version"]) != records.NUMBERS_VERSION:
            raise ValueError(f"its numbers are of version {version}: make it anew")
        config = as_config(old)
        new = renewed(config) | {"jax": jax}
        name = records.name_of(new, environment["cards"])
        own = result.get("status") == "complete"
        whole = result | ((told(config) if told else validation(folder)) if own else {})
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder}: {error}") from error
    new = json.loads(json.dumps(new))
    changed = {"config.json": new} if new != old else {}
    changed |= {"result.json": whole} if whole != result else {}
    return folder.parent / name, changed


@surroundings.guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    parser.add_argument("--write", action="store_true", help="without it nothing is changed")
    args = parser.parse_args(argv)
    folders = sorted(
        p for p in args.results.glob("*/runs/*") if p.is_dir() and not p.name.startswith(".")
    )
    if not folders:
        print(f"migrate_records.py: no records in {args.results}", file=sys.stderr)
        return 2
    moves, left, told = {}, [], {}
    for home in sorted({folder.parent.parent for folder in folders}):
        if renew := getattr(script_of(home.name.removeprefix("smoke-")), "renew", None):
            told[home] = renew(home, args.write)
    for folder in folders:
        try:
            moves[folder] = plan(folder, told.get(folder.parent.parent))
        except ValueError as error:
            left.append(str(error))
    goals = Counter(goal for goal, _ in moves.values())
    renamed = rewritten = 0
    for folder, (goal, changed) in moves.items():
        if goals[goal] > 1 or (goal != folder and goal.exists() and goal not in moves):
            left.append(f"{folder}: another record is, or becomes, {goal.name}")
            continue
        renamed, rewritten = renamed + (goal != folder), rewritten + bool(changed)
        if goal != folder:
            print(f"{folder} -> {goal.name}")
        elif changed:
            print(f"{folder}: {', '.join(changed)}")
        if args.write:
            for file, content in changed.items():
                records.write_json(folder / file, content)
            if goal != folder:
                folder.rename(goal)
    for line in left:
        print(f"left as it is: {line}", file=sys.stderr)
    how = "" if args.write else "; nothing is done without --write"
    print(f"{len(folders)} records: {renamed} renamed, {rewritten} rewritten{how}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
