"""A sweep file and an experiment script make the runs of a sweep; nothing runs yet (floor 9)."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from metajax import commands, sweep_files, sweeps
from metajax.config import HOST_BASELINES, RunConfig
from metajax.suites import Entry
from metajax.sweep_files import Scalar, SweepFile, suggestion

# One results folder and one set of defaults for all trials of a sweep.
COMMON = ("preset", "results", "data_dir", "wandb", "workers")


class Program(NamedTuple):
    """What a sweep asks of an experiment script."""

    suite: str
    entries: Sequence[Entry]
    presets: Mapping[str, Any]
    build: sweeps.Build


class Plan(NamedTuple):
    """A checked sweep.

    Attributes:
      program: its experiment script.
      flags: the script's; what is in `COMMON` holds for all trials.
      trials: how many the file has.
      configs: the runs that these are, each once.
      metric: the score to report, or None; with whether more of it is better.
    """

    program: Program
    flags: Any
    trials: int
    configs: list[RunConfig]
    metric: tuple[str, bool] | None


def load_program(sweep: SweepFile) -> Program:
    """The experiment script of a sweep, found from here or from a folder above the file.

    Raises:
      ValueError: if it is not there, or is no experiment script.
    """
    places = [Path.cwd(), *sweep.path.resolve().parents]
    for path in (place / sweep.program for place in places):
        if path.is_file():
            break
    else:
        raise sweep.error("program", f"no file {sweep.program}, from here or above the sweep file")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # workers import the script by its name
    module = importlib.import_module(path.stem)
    needed = ("SUITE", "ENTRIES", "PRESETS", "build")
    if missing := [name for name in needed if not hasattr(module, name)]:
        raise sweep.error("program", f"{sweep.program} cannot be swept: it has no "
                          f"{', '.join(missing)}; see experiments/imaging.py")  # fmt: skip
    return Program(module.SUITE, module.ENTRIES, module.PRESETS, module.build)


def check(path: Path, *, search_seed: int = 0) -> Plan:
    """Reads a sweep file and resolves all its trials.

    Args:
      path: the file.
      search_seed: of a random search.

    Raises:
      ValueError: for whatever is wrong with the file, with the line.
      OSError: if it cannot be read.
    """
    sweep = sweep_files.read(path)
    program = load_program(sweep)
    names = _flag_names(type(program.presets["full"]))
    for one in sweep.parameters:
        if one.name not in names:
            raise sweep.error(
                one.name, f"{sweep.program} has no parameter {one.name!r}"
                + suggestion(one.name, names),
            )  # fmt: skip
        if one.name in COMMON and len(one.values) != 1:
            raise sweep.error(one.name, f"{one.name} must have one value")
    preset = [one for one in sweep.parameters if one.name == "preset"]
    fixed = [as_flag("preset", one.values[0]) for one in preset]
    base = _parse(program, sweep, "command", [*sweep.extra, *fixed])
    known: dict[tuple[str, str], Any] = {}
    found: dict[RunConfig, None] = {}
    trials = sweep_files.trials(sweep, search_seed)
    first_seed = next((t["seed"] for t in trials if "seed" in t), None)
    for trial in trials:
        flags = base
        if trial.get("learner") in HOST_BASELINES and "seed" in trial:
            trial = trial | {"seed": first_seed}  # what a seed does not change runs once
        for name, value in trial.items():
            flag = as_flag(name, value)
            if (name, flag) not in known:
                one = _parse(program, sweep, name, [*sweep.extra, *fixed, flag])
                known[name, flag] = _get(one, name)
            flags = _set(flags, name, known[name, flag])
        try:
            configs = commands.configurations(flags, program.entries, program.suite, trial=True)
        except ValueError as error:
            raise sweep.error(_culprit(trial, str(error)), str(error)) from error
        found |= dict.fromkeys(configs)
    if not found:
        raise sweep.error("parameters", "none of the learners applies to any of the benchmarks")
    return Plan(program, flags, len(trials), list(found), sweep.metric)


def _flag_names(kind: type, prefix: str = "") -> list[str]:
    """Dotted names of all fields of a dataclass of flags."""
    names = []
    for field in dataclasses.fields(kind):
        part = field.default_factory() if callable(field.default_factory) else field.default
        if dataclasses.is_dataclass(part):
            names += _flag_names(type(part), f"{prefix}{field.name}.")
        else:
            names.append(prefix + field.name)
    return names


def as_flag(name: str, value: Scalar) -> str:
    """What `wandb agent` passes for a parameter."""
    return f"--{name}={value}"


def _get(flags: Any, name: str) -> Any:
    for part in name.split("."):
        flags = getattr(flags, part)
    return flags


def _set(flags: Any, name: str, value: Any) -> Any:
    first, _, rest = name.partition(".")
    inner = _set(getattr(flags, first), rest, value) if rest else value
    return dataclasses.replace(flags, **{first: inner})


def _parse(program: Program, sweep: SweepFile, name: str, arguments: list[str]) -> Any:
    """Parses a program's flags; what it refuses is told at the line of `name`."""
    said, width = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "1000"  # one line a sentence
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            kind = type(program.presets["full"])
            return commands.parse(kind, program.presets, default="full", arguments=arguments)
    except SystemExit as stop:
        parts = re.split(r"\n\s*-{9,}\s*\n", said.getvalue())
        reason = " ".join((parts[1] if len(parts) > 1 else parts[0]).split())
        if reason.startswith("invalid choice"):
            value, *choices = re.findall(r"'([^']+)'", reason)
            reason = f"no {value!r} here{suggestion(value, sorted(choices))}"
        raise sweep.error(
            name, f"{arguments[-1] if arguments else ''} is refused: {reason}"
        ) from stop
    finally:
        if width is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = width


def _culprit(trial: Mapping[str, Scalar], message: str) -> str:
    """The parameter that an error message speaks of."""
    for name, value in trial.items():
        if f"--{name} " in message or repr(value) in message:
            return name
    return "parameters"
