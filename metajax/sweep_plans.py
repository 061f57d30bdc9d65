"""A sweep file and an experiment script make the runs of a sweep; nothing runs yet (floor 9)."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from metajax import commands, runs, surroundings, sweep_files, sweeps, tables
from metajax.config import RunConfig, laid_out_alike
from metajax.metrics import METRICS
from metajax.suites import Entry
from metajax.sweep_files import Scalar, SweepFile, suggestion

# One results folder and one set of defaults for all trials of a sweep.
COMMON = ("preset", "results", "data_dir", "wandb", "workers", "again")
TEST_SCORE = re.compile(rf"(?:{'|'.join(tables.DRAWS)})/(\w+)@(\d+)")
VALIDATED = {metric for metric, _ in runs.SELECTION.values()}


class Program(NamedTuple):
    """What a sweep asks of an experiment script.

    Attributes:
      path: the script.
      suite: the name of its results.
      presets: defaults of its flags by preset, "full" among them.
      entries: its benchmarks; empty if it makes its runs itself.
      build: makes a benchmark; None if the script makes its runs itself.
      check: refuses flags that do not fit together, of a script that makes its runs itself.
      prepare: looks whether the data are at hand, of such a script; None if it needs none.
      write: writes its tables.
    """

    path: Path
    suite: str
    presets: Mapping[str, Any]
    entries: Sequence[Entry] = ()
    build: sweeps.Build | None = None
    check: Callable[[Any], Any] | None = None
    prepare: Callable[[Any], Any] | None = None
    write: Callable = tables.write


class Plan(NamedTuple):
    """A checked sweep.

    Attributes:
      program: its experiment script.
      flags: the script's; what is in `COMMON` holds for all trials.
      trials: how many the file has.
      configs: the runs that these are, each once; or the arguments of every trial, if the script
        makes its runs itself.
      metric: the score to report, or None; with whether more of it is better.
      parsed: the flags of every trial, of a script that makes its runs itself.
      notes: what is dropped, which trials are one run, and what to think twice about; a line each.
    """

    program: Program
    flags: Any
    trials: int
    configs: list[sweeps.Task]
    metric: tuple[str, bool] | None
    parsed: Sequence[Any] = ()
    notes: Sequence[str] = ()


def load_program(sweep: SweepFile) -> Program:
    """The experiment script of a sweep: the repository's, or found from a folder above the file.

    Where the command is given does not matter: nothing is taken from the current folder.

    Raises:
      ValueError: if it is not there, cannot be imported, or is no experiment script.
    """
    places = [surroundings.ROOT, *sweep.path.resolve().parents]
    path = next((p for place in places if (p := place / sweep.program).is_file()), None)
    if path is None:
        raise sweep.error("program", f"no file {sweep.program}, in {surroundings.ROOT} or above "
                          "the sweep file")  # fmt: skip
    path = path.resolve()
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise sweep.error("program", f"{sweep.program} is no Python script: NAME.py is wanted")
    sweeps.add_folder(path)  # workers import the script by its name
    found = importlib.util.find_spec(path.stem)
    if found is None or Path(found.origin or "").resolve() != path:
        there = found.origin if found else "not a module"
        raise sweep.error("program", f"{sweep.program}: Python knows another {path.stem} "
                          f"({there}); rename the program")  # fmt: skip
    try:
        module = importlib.import_module(path.stem)
    except (Exception, SystemExit) as error:
        kind = "" if isinstance(error, ImportError | SyntaxError) else f"{type(error).__name__}: "
        told = " ".join(str(error).split())
        told = f"{sweep.program} cannot be imported: {kind}{told}"
        raise sweep.error("program", told) from error
    own = ("ENTRIES", "build") if hasattr(module, "build") else ("check", "write_tables")
    needed = ("SUITE", "PRESETS", "main", *own)
    if missing := [name for name in needed if not hasattr(module, name)]:
        raise sweep.error("program", f"{sweep.program} cannot be swept: it has no "
                          f"{', '.join(missing)}; see experiments/imaging.py")  # fmt: skip
    if "build" in own:
        more = {"entries": module.ENTRIES, "build": module.build}
    else:
        more = {"check": module.check, "write": module.write_tables}
        more["prepare"] = getattr(module, "prepare", None)
    presets = module.PRESETS
    if not isinstance(presets, Mapping) or not dataclasses.is_dataclass(presets.get("full")):
        raise sweep.error("program", f"{sweep.program} cannot be swept: its PRESETS has no flags "
                          "named full; see experiments/imaging.py")  # fmt: skip
    return Program(path, module.SUITE, presets, **more)


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
    place = "preset" if preset else "command"
    base = _parse(program, sweep, place, [*sweep.extra, *fixed])
    parsed = _values(program, sweep, [*sweep.extra, *fixed])
    found: dict[sweeps.Task, None] = {}
    trials = sweep_files.trials(sweep, search_seed)
    every, dropped, members, first = [], {}, {}, {}
    for trial in trials:
        flags = base
        for name, value in trial.items():
            flags = _set(flags, name, parsed(name, value))
        try:
            if program.build is None:
                program.check(flags)
                every.append(flags)
                given = (as_flag(name, value) for name, value in trial.items())
                found[*sweep.extra, *given] = None
            else:
                suite = program.suite
                before = commands.with_flags(program.presets.get(flags.preset))
                configs = commands.configurations(
                    flags, program.entries, suite, trial=True, base=before, dropped=dropped
                )
                for config in configs:  # of several layouts of one run the first
                    own = first.setdefault(laid_out_alike(config), config)
                    found[own] = None
                    members.setdefault(own, []).append(trial)
        except ValueError as error:
            raise sweep.error(_culprit(trial, str(error)), str(error)) from error
    if program.build is not None and sweep.metric is not None:
        _check_metric(sweep, {k for config in found for k in config.shots})
    if not found:
        raise sweep.error("parameters", "none of the learners applies to any of the benchmarks")
    notes = [*commands.told_dropped(dropped), *_merged(members), *_tested(sweep)]
    return Plan(program, flags, len(trials), list(found), sweep.metric, every, notes)


def _merged(members: Mapping[RunConfig, Sequence[Mapping[str, Scalar]]]) -> list[str]:
    """Which trials are one run, by the parameters that they differ in."""
    said: dict[str, dict[str, None]] = {}
    for config, trials in members.items():
        names = [name for name in trials[0] if len({repr(one[name]) for one in trials}) > 1]
        if names:
            said.setdefault(", ".join(names), {})[config.learner] = None
    return [
        f"one run: trials of {', '.join(learners)} that differ in {names} only"
        for names, learners in said.items()
    ]


def _tested(sweep: SweepFile) -> list[str]:
    """A warning if the sweep's metric is a score of the test tasks."""
    name = sweep.metric[0] if sweep.metric is not None else ""
    if not TEST_SCORE.fullmatch(name):
        return []
    return [f"warning: {sweep.path}, line {sweep.lines['metric']}: {name} is a score of the test "
            "tasks; what is chosen by it looks better than it is. Remedy: a validation score, such "
            "as best/validation/auroc"]  # fmt: skip


def _values(
    program: Program, sweep: SweepFile, before: list[str]
) -> Callable[[str, Scalar], Any]:
    """What the program makes of a parameter's value.

    Parsing takes 35 ms, too long for hundreds of seeds: of a parameter's numbers the first is
    parsed, and the others become what it became. Ranges are checked with the whole configuration.
    """
    known: dict[tuple[str, str], Any] = {}
    kinds: dict[tuple[str, type], type] = {}

    def parsed(name: str, value: Scalar) -> Any:
        flag = as_flag(name, value)
        if (name, flag) in known:
            return known[name, flag]
        if kind := kinds.get((name, type(value))):
            return kind(value)
        result = known[name, flag] = _get(_parse(program, sweep, name, [*before, flag]), name)
        if {type(value), type(result)} <= {int, float}:
            kinds[name, type(value)] = type(result)
        return result

    return parsed


def _check_metric(sweep: SweepFile, shots: set[int]) -> None:
    """Refuses a metric that no summary of a run holds: W&B and the display would show none."""
    name, metrics = sweep.metric[0], {m for names in METRICS.values() for m in names}
    told = TEST_SCORE.fullmatch(name)
    tuned = re.fullmatch(r"best/validation/(\w+)", name)
    metric, known = (told or tuned or [None, ""])[1], VALIDATED if tuned else metrics
    if metric not in known and (told or tuned):
        hint = suggestion(metric, sorted(known))
        raise sweep.error("metric", f"there is no metric {metric!r}{hint}")
    if not tuned and (told is None or int(told[2]) not in shots):
        sizes = ", ".join(map(str, sorted(shots)))
        raise sweep.error(
            "metric", f"no run has {name!r}; name a test score, such as {tables.DRAWS[1]}/auroc@"
            f"{min(shots, default=8)} (draws {' and '.join(tables.DRAWS)}, shots {sizes}), or what "
            "is tuned, such as best/validation/auroc",
        )  # fmt: skip


def together(plan: Plan) -> list[list[sweeps.Task]]:
    """What of a sweep is done together: runs of one program, or a trial of a script."""
    if plan.program.build is None:
        return [[trial] for trial in plan.configs]
    return sweeps.programs(plan.configs)


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
    named = [name for name in trial if f"--{name} " in message]
    words = re.split(r"[^\w.'-]+", message)
    shown = [name for name, value in trial.items() if repr(value) in words]
    return (named + shown + ["parameters"])[0]
