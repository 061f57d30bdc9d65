"""What every suite's command does: flags to runs, runs to tables, errors to one line (floor 8)."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import tyro
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from metajax import layout, limits, records, report, sweeps, tables, tracking
from metajax.config import (
    HOST_BASELINES,
    Inner,
    Method,
    RunConfig,
    check_learners,
    resolved,
    unused,
)
from metajax.given import EncoderFlags, EvaluateFlags, TrainFlags, as_flags, given
from metajax.suites import CORE_METHODS, Entry, find, own_settings
from metajax.surroundings import fail
from metajax.switches import spelled_out

AnyFlags = TypeVar("AnyFlags")
SEEDS = (0, 1, 2)
# What was dropped, kind and flag or benchmark, and the methods for which.
Dropped = dict[tuple[str, str], dict[str, None]]


@dataclasses.dataclass(frozen=True)
class Flags:
    """Few-shot benchmarks: train, test, tabulate."""

    preset: Literal["smoke", "quickstart", "full"] = "full"
    """smoke: some benchmarks, one support size, under a minute; quickstart: what needs no download;
    full: all benchmarks."""
    benchmark: tuple[str, ...] | None = None
    """These benchmarks only."""
    learner: Method | None = None
    """One learner or host baseline only."""
    methods: tuple[Method, ...] | None = None
    """These learners and host baselines only; default: the best known, and all baselines."""
    shots: tuple[int, ...] | None = None
    """Support sizes; default: the benchmark's."""
    seed: int | None = None
    """One seed only; default: 0, 1 and 2 (host baselines: 0)."""
    inner: Inner = dataclasses.field(default_factory=Inner)
    """The learner's own hyper-parameters."""
    train: TrainFlags = dataclasses.field(default_factory=TrainFlags)
    """Meta-training; what is not given is the benchmark's own."""
    encoder: EncoderFlags = dataclasses.field(default_factory=EncoderFlags)
    """The network's body; what is not given is the benchmark's own."""
    evaluate: EvaluateFlags = dataclasses.field(default_factory=EvaluateFlags)
    """Testing and model selection; what is not given is the benchmark's own."""
    data_dir: str | None = None
    """Folder of the real data (default: METAJAX_DATA); absent files are downloaded."""
    results: str = "results"
    """Where records and tables go."""
    wandb: Literal["online", "offline", "disabled"] | None = None
    """Mirror runs to Weights & Biases; default: WANDB_MODE, or offline (online under an agent)."""
    workers: int = 2
    """Processes of one core each."""
    again: bool = False
    """Make finished runs anew whose source files have changed since; otherwise they are named."""


# Small enough that every benchmark of a suite takes seconds.
SMOKE = Flags(
    preset="smoke",
    methods=("ridge", "lr_c0.1"),
    train=TrainFlags(steps=4, steps_per_call=2, tasks_per_step=2),
    evaluate=EvaluateFlags(episodes=1, validation_episodes=4),
)
PARTS = ("inner", "train", "encoder", "evaluate")


def main(
    suite: str, entries: Sequence[Entry], presets: Mapping[str, Flags], build: sweeps.Build
) -> int:
    """The whole of an experiment script: parses the flags and runs what they ask for.

    Args:
      suite: the name of the suite.
      entries: its benchmarks.
      presets: defaults of the flags by preset; "full" among them.
      build: see `run_suite`.
    """
    told = f"Few-shot {suite.replace('_', ' ')}: train, test, tabulate. Benchmarks: "
    told += ", ".join(entry.label for entry in entries) + "."
    flags = parse(Flags, presets, default="full", description=told)
    return run_suite(suite, flags, entries, build, presets.get(flags.preset))


def parse(
    kind: type[AnyFlags],
    presets: Mapping[str, AnyFlags],
    *,
    default: str,
    description: str | None = None,
    arguments: Sequence[str] | None = None,
) -> AnyFlags:
    """Parses the command line; ``--preset`` chooses the defaults of all other flags.

    Args:
      kind: a frozen dataclass with a field `preset`.
      presets: its instances by name.
      default: the preset without a flag.
      description: what ``--help`` says first; None: the dataclass's docstring.
      arguments: to parse instead of the command line's.

    Raises:
      SystemExit: code 2, for an unknown flag (with a suggestion) or a value of the wrong type.
      ValueError: for a learner's file that cannot be used.
    """
    check_learners()
    named = default
    given = spelled_out(kind, sys.argv[1:] if arguments is None else arguments)
    for i, argument in enumerate(given):
        if argument.startswith("--preset"):
            value = argument.partition("=")[2] or (*given[i + 1 : i + 2], "")[0]
            named = value if value in presets else default
    chosen = with_flags(presets[named])
    # Booleans as --inner.first_order=True, which is what `wandb agent` passes; alone they are that.
    options = (tyro.conf.FlagConversionOff,)
    return tyro.cli(kind, args=given, default=chosen, config=options, description=description)


def with_flags(preset: AnyFlags) -> AnyFlags:
    """A preset in which a suite's `Train`, `Encoder` and `Evaluate` are flags; see `as_flags`."""
    if not isinstance(preset, Flags):
        return preset
    return dataclasses.replace(preset, **{name: as_flags(getattr(preset, name)) for name in PARTS})


def told_flags(flags: Any, base: Any = None) -> dict[str, Any]:
    """The settings that flags give and `base`, their preset, does not: dotted name to value."""
    found = {}
    for part in PARTS:
        before = given(getattr(base, part)) if base is not None else {}
        for name, value in given(getattr(flags, part)).items():
            if name not in before or before[name] != value:
                found[f"{part}.{name}"] = value
    return found


def configurations(
    flags: Any,
    entries: Sequence[Entry],
    suite: str,
    *,
    trial: bool = False,
    base: Any = None,
    dropped: Dropped | None = None,
) -> list[RunConfig]:
    """The runs that flags ask for, resolved.

    Host baselines are deterministic but for the forest's own randomness: they run with one seed, in
    a sweep always the same one.

    Args:
      flags: the parsed command line (`Flags`).
      entries: the suite's benchmarks.
      suite: its name.
      trial: they are those of one trial of a sweep, where methods and hyper-parameters are crossed
        with everything: what does not apply is dropped, up to the whole trial.
      base: the preset, whose own settings are not spoken of.
      dropped: what does not apply is added to it; see `told_dropped`.

    Raises:
      ValueError: for a value out of range; for a method or a hyper-parameter that does not apply
        where it is named (when many run, it is dropped where it does not apply).
    """
    strict = flags.learner is not None and not trial
    asked = list(told_flags(flags, base))
    dropped = {} if dropped is None else dropped
    seeds = SEEDS if flags.seed is None else (flags.seed,)
    smoke = flags.preset == "smoke"
    if smoke and flags.seed is None:
        seeds = SEEDS[:1]
    found = {}
    for entry in [find(entries, b) for b in flags.benchmark] if flags.benchmark else entries:
        named = flags.learner is not None
        if named and flags.learner not in entry.methods:
            if flags.benchmark and strict:
                raise ValueError(f"{flags.learner} does not apply to {entry.label}; these do: "
                                 f"{', '.join(entry.methods)}")  # fmt: skip
            dropped.setdefault(("left out", entry.label), {})[flags.learner] = None
            continue
        chosen = flags.methods or CORE_METHODS
        for name in flags.methods or () if not named else ():
            if name not in entry.methods:
                dropped.setdefault(("left out", entry.label), {})[name] = None
        encoder, train, evaluate = own_settings(entry, flags.encoder, flags.train, flags.evaluate)
        for name in [flags.learner] if named else [m for m in chosen if m in entry.methods]:
            once = name in HOST_BASELINES and (trial or flags.seed is None)
            if once and flags.seed not in (None, SEEDS[0]):
                dropped.setdefault(("one seed", str(SEEDS[0])), {})[name] = None
            for seed in SEEDS[:1] if once else seeds:
                config = RunConfig(
                    suite, entry.label, name, seed,
                    tuple(flags.shots or (entry.shots[:1] if smoke else entry.shots)),
                    flags.inner, train, encoder, evaluate,
                )  # fmt: skip
                # A seed that is not the one that all models without randomness have is asked for.
                for flag in unused(config, asked + ["seed"] * (config.seed != 0)):
                    dropped.setdefault(("dropped", f"--{flag}"), {})[name] = None
                found[resolved(config, strict=strict)] = None
    if not found and not trial:
        names = flags.learner or ", ".join(flags.methods or ("no method",))
        raise ValueError(f"{names} applies to none of the benchmarks")
    return list(found)


def told_dropped(dropped: Dropped) -> list[str]:
    """A line for each flag that some methods do not use, and each benchmark that some are not for.

    Models on the host have one seed in a sweep: where another was asked for, that is a line, too.

    Args:
      dropped: what `configurations` has gathered.
    """
    lines = []
    for (kind, what), methods in dropped.items():
        who = ", ".join(methods)
        if kind == "dropped":
            lines.append(f"dropped: {what} (of no use to {who})")
        elif kind == "one seed":
            lines.append(f"one seed: {who} (always {what} in a sweep)")
        else:
            lines.append(f"left out: {who} (not for {what})")
    return lines


def run_suite(
    suite: str, flags: Any, entries: Sequence[Entry], build: sweeps.Build, base: Any = None
) -> int:
    """Runs what the flags ask for, with a progress display; writes tables for a whole preset.

    Args:
      suite: its name, and that of its folder in ``results`` (quickstart and smoke have their own).
      flags: the parsed command line (`Flags`).
      entries: the suite's benchmarks.
      build: makes a benchmark from ``(name, shots, data_dir)``; a function of the script's own, so
        that worker processes find it.
      base: the preset that the flags came from; see `configurations`.

    Returns:
      The exit code: 0, 1 if a run failed, 2 for a user's mistake, 130 when interrupted.
    """
    console = Console(markup=False, emoji=False)  # paths and reasons may hold brackets
    sweeps.keep_compiled()
    folder = folder_of(flags, suite)
    try:
        # `wandb agent` starts a command for every trial, whether or not its parts fit together.
        trial = "WANDB_SWEEP_ID" in os.environ
        dropped: Dropped = {}
        configs = configurations(flags, entries, suite, trial=trial, base=base, dropped=dropped)
        for line in told_dropped(dropped):
            console.print(line, soft_wrap=True)
        if not configs:
            console.print(f"nothing to do: {flags.learner} does not apply here")
            return 0
        if flags.workers < 1:
            raise ValueError(f"--workers must be at least 1; got {flags.workers}")
        limits.positive({"workers": flags.workers})
        with tracking.copier(folder, mode=flags.wandb, tell=warn) as copier:
            prepare(configs, build, folder, data_dir=flags.data_dir, workers=flags.workers)
            copier.ready()
            return _run_and_tell(console, configs, build, folder, flags, copier)
    except (ValueError, OSError) as error:
        return fail(error)
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on from here")
        return 130


def _run_and_tell(
    console: Console, configs: Sequence[RunConfig], build: sweeps.Build, folder: Path, flags: Any,
    copier: tracking.Copier,
) -> int:  # fmt: skip
    """Runs, copies to W&B, writes or shows the table; returns the exit code."""
    outcomes = _run(console, configs, build, folder, flags)
    failed = [outcome for outcome in outcomes if outcome.folder is None]
    for outcome in failed:
        one = outcome.config
        console.print(f"failed: {one.benchmark} {one.learner} s{one.seed}: {outcome.error}")
    finished = [outcome.folder for outcome in outcomes if outcome.folder is not None]
    for line in told_kept((one.folder.name, one.kept) for one in outcomes if one.folder):
        console.print(line, soft_wrap=True)
    if not finished:
        return 1
    _mirror(console, finished, copier)
    show = flags.learner is not None
    whole = _show(console, finished, folder) if show else write_tables(console, folder)
    return 1 if failed or not whole else 0


def folder_of(flags: Any, suite: str) -> Path:
    """``results/<suite>``; ``smoke-<suite>``, ``<suite>_large``, else named after the preset."""
    names = {"full": suite, "smoke": f"smoke-{suite}", "large": f"{suite}_large"}
    return Path(flags.results) / names.get(flags.preset, flags.preset)


def prepare(
    configs: Sequence[RunConfig],
    build: sweeps.Build,
    folder: Path,
    *,
    data_dir: str | None,
    workers: int,
) -> None:
    """Whatever would stop every run is found here, before the first.

    Raises:
      ValueError: for shots that no task can give.
      OSError: for data that are missing, or a folder that cannot be written.
    """
    if sweeps.runs_here(configs, workers):
        layout.use_cpu_devices()  # before anything is put on a device
    for name, sizes in sorted({(config.benchmark, config.shots) for config in configs}):
        build(name, sizes, data_dir)
    make_folder(folder)


def make_folder(folder: Path) -> None:
    """Makes the folder of a suite.

    Raises:
      OSError: if it cannot be made, or not be written.
    """
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    if not os.access(folder / "runs", os.W_OK):
        raise PermissionError(f"{folder / 'runs'} cannot be written")


def _run(console: Console, configs, build, folder: Path, flags: Any) -> list[sweeps.Outcome]:
    """Runs with a progress bar."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        bar = progress.add_task("runs", total=len(configs))

        def on_done(group: list[sweeps.Outcome]) -> None:
            progress.advance(bar, len(group))
            one = group[0].config
            progress.print(f"{one.benchmark} {one.learner}: {len(group)} run(s)")

        return sweeps.run_all(
            configs, build, folder, data_dir=flags.data_dir, workers=flags.workers,
            again=getattr(flags, "again", False), on_done=on_done,
        )  # fmt: skip


def told_kept(found: Iterable[tuple[str, str]]) -> list[str]:
    """Lines on finished records that were kept though they may be out of date, each thing once.

    Args:
      found: the name of a record, and what is to be said of it (`metajax.records.kept`).
    """
    said: dict[str, list[str]] = {}
    for name, what in found:
        if what and what != records.FINISHED:
            said.setdefault(what, []).append(name)
    return [
        f"{names[0]}: {what}" if len(names) == 1 else
        f"{len(names)} runs ({', '.join(names[:3])}{', ...' * (len(names) > 3)}): {what}"
        for what, names in said.items()
    ]  # fmt: skip


def warn(text: str) -> None:
    """Prints what is no reason to stop."""
    sys.stderr.write(f"warning: {text}\n")


def _mirror(console: Console, folders: list[Path], copier: tracking.Copier) -> None:
    """Mirrors finished runs to Weights & Biases, once each."""
    started, copies = time.monotonic(), []
    for folder in folders:
        with contextlib.suppress(ValueError):  # a damaged record: the table names it
            copies.append(copier.copy(folder))
    if found := [copy for copy in copies if copy is not None]:
        place = Path(found[0]).parent  # WANDB_DIR may have moved it
        console.print(f"W&B copies of the runs: {place}, {time.monotonic() - started:.0f} s")


def _show(console: Console, finished: list[Path], folder: Path) -> bool:
    """Prints the table of these runs; returns whether every record could be read."""
    runs, damaged = tables.read_runs(folder, only={run.name for run in finished})
    console.print(Markdown(tables.markdown(tables.long_table(runs), runs)))
    console.print("records: " + " ".join(str(run) for run in finished))
    return not skipped(damaged)


def write_tables(console: Console, folder: Path, write: Callable = tables.write) -> bool:
    """Writes table and report of all records of a suite that can be read, and prints the table.

    Returns:
      Whether all could be read; those that could not are named on standard error.
    """
    runs, damaged = tables.read_runs(folder)
    console.print(Markdown(tables.made(write, folder, runs)))
    report.write(folder, runs, damaged=damaged)
    files = [name for name in (*tables.FILES, "report.html") if (folder / name).exists()]
    console.print(f"written: {folder}/{', '.join(files)}")
    return not skipped(damaged)


def skipped(damaged: Sequence[str]) -> int:
    """Names what was left out of a table on standard error; returns how much it was."""
    for message in damaged:
        sys.stderr.write(f"error: {message}\n")
    if damaged:
        sys.stderr.write(
            f"error: {len(damaged)} damaged, left out: remove the folder of each, and the command "
            "that made it makes it again\n"
        )
    return len(damaged)


def finish(console: Console, folder: Path, write: Callable) -> int:
    """Writes and prints the page of a script that makes its own; returns the exit code."""
    try:
        runs, damaged = tables.read_runs(folder)
        console.print(tables.made(write, folder, runs), markup=False)
    except (ValueError, OSError) as error:
        return fail(error)
    return 1 if skipped(damaged) else 0
