"""What every suite's command does: flags to runs, runs to tables, errors to one line (floor 8)."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import tyro
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from metajax import records, report, sweeps, tables, tracking
from metajax.config import HOST_BASELINES, METHODS, RunConfig, resolved

Flags = TypeVar("Flags")
SEEDS = (0, 1, 2)


def fail(message: object) -> int:
    """Prints one message to standard error and returns the exit code of a user's mistake."""
    sys.stderr.write(f"error: {message}\n")
    return 2


def parse(kind: type[Flags], presets: Mapping[str, Flags], *, default: str) -> Flags:
    """Parses the command line; ``--preset`` chooses the defaults of all other flags.

    Args:
      kind: a frozen dataclass with a field `preset`.
      presets: its instances by name.
      default: the preset without a flag.

    Raises:
      SystemExit: code 2, for an unknown flag (with a suggestion) or a value of the wrong type.
    """
    named = default
    for i, argument in enumerate(sys.argv[1:], 1):
        if argument.startswith("--preset"):
            value = argument.partition("=")[2] or (sys.argv[i + 1 : i + 2] or [""])[0]
            named = value if value in presets else default
    # Booleans as --inner.first_order=True, which is what `wandb agent` passes.
    options = (tyro.conf.FlagConversionOff,)
    return tyro.cli(kind, default=presets[named], config=options)


def configurations(suite: str, flags: Any, shots: Mapping[str, Sequence[int]], methods=None):
    """The runs that flags ask for, resolved.

    Host baselines are deterministic but for the forest's own randomness: they run with one seed.

    Raises:
      ValueError: for a value out of range; for a hyper-parameter that the one learner named does
        not have (when many run, it is dropped where it does not apply).
    """
    strict = flags.learner is not None
    names = [flags.learner] if strict else methods or METHODS
    seeds = SEEDS if flags.seed is None else (flags.seed,)
    if flags.preset == "smoke" and flags.seed is None:
        seeds = SEEDS[:1]
    found = {}
    for benchmark in [flags.benchmark] if flags.benchmark else shots:
        for name in names:
            once = name in HOST_BASELINES and flags.seed is None
            for seed in seeds[:1] if once else seeds:
                config = RunConfig(
                    suite, benchmark, name, seed, tuple(flags.shots or shots[benchmark]),
                    flags.inner, flags.train, flags.encoder, flags.evaluate,
                )  # fmt: skip
                found[resolved(config, strict=strict)] = None
    return list(found)


def run_suite(
    suite: str,
    flags: Any,
    build: sweeps.Build,
    shots: Mapping[str, Sequence[int]],
    *,
    methods: Sequence[str] | None = None,
    headroom: Callable[[str, tuple[int, ...], str | None], pd.DataFrame] | None = None,
) -> int:
    """Runs what the flags ask for, with a progress display; writes tables for a whole preset.

    Args:
      suite: its name, and that of its folder in ``results`` (quickstart and smoke have their own).
      flags: the parsed command line.
      build: makes a benchmark from ``(name, shots, data_dir)``.
      shots: the suite's benchmarks and their support sizes.
      methods: learners to run when none is named; None: all.
      headroom: measures the adaptation headroom of a benchmark, ``(name, shots, data_dir)``, for
        the table of a whole suite; None: the table goes without.

    Returns:
      The exit code: 0, 1 if a run failed, 2 for a user's mistake, 130 when interrupted.
    """
    console = Console()
    sweeps.keep_compiled()
    folder = Path(flags.results) / (suite if flags.preset == "full" else flags.preset)
    try:
        configs = configurations(suite, flags, shots, methods)
        if flags.workers < 1:
            raise ValueError(f"--workers must be at least 1; got {flags.workers}")
        for name, sizes in sorted({(config.benchmark, config.shots) for config in configs}):
            build(name, sizes, flags.data_dir)  # a missing file ends the command before any run
        (folder / "runs").mkdir(parents=True, exist_ok=True)
        if not os.access(folder / "runs", os.W_OK):
            raise PermissionError(f"{folder / 'runs'} cannot be written")
        outcomes = _run(console, configs, build, folder, flags)
    except (ValueError, OSError) as error:
        return fail(error)
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on from here")
        return 130
    failed = [outcome for outcome in outcomes if outcome.folder is None]
    for outcome in failed:
        one = outcome.config
        console.print(f"failed: {one.benchmark} {one.learner} s{one.seed}: {outcome.error}")
    finished = [outcome.folder for outcome in outcomes if outcome.folder is not None]
    if not finished:
        return 1
    try:
        _mirror(console, finished, folder, flags.wandb)
        if headroom is not None and flags.learner is None:
            _headroom(console, configs, headroom, folder, flags.data_dir)
        _show(console, finished, folder, write=flags.learner is None)
    except (ValueError, OSError) as error:
        return fail(error)
    return 1 if failed else 0


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
            configs, build, folder, data_dir=flags.data_dir, workers=flags.workers, on_done=on_done
        )


def _headroom(console: Console, configs, measure, folder: Path, data_dir: str | None) -> None:
    """Writes headroom.csv, and beside it where it was measured; benchmarks it has are kept."""
    path = folder / "headroom.csv"
    parts = [pd.read_csv(path)] if path.exists() else []
    known = {name for part in parts for name in part.benchmark}
    for name, shots in sorted({(config.benchmark, config.shots) for config in configs}):
        if name not in known:
            console.print(f"{name}: measuring the adaptation headroom")
            parts.append(measure(name, shots, data_dir))
            known.add(name)
            pd.concat(parts).to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
            records.write_json(folder / "headroom.json", records.environment(()))


def _mirror(console: Console, folders: list[Path], suite_folder: Path, mode: str | None) -> None:
    """Mirrors finished runs to Weights & Biases, once each."""
    started = time.monotonic()
    copies = [tracking.mirror(folder, mode=mode, folder=suite_folder) for folder in folders]
    if any(copies):
        place = f"{suite_folder}/wandb"
        console.print(f"W&B copies of the runs: {place}, {time.monotonic() - started:.0f} s")


def _show(console: Console, finished: list[Path], folder: Path, *, write: bool) -> None:
    """Prints the table of these runs; for a suite, writes table and report of all its records."""
    runs = tables.load_runs(folder, only=None if write else {run.name for run in finished})
    table = tables.long_table(runs)
    if not write:
        console.print(Markdown(tables.markdown(table, runs)))
        console.print("records: " + " ".join(str(run) for run in finished))
        return
    console.print(Markdown(tables.write(folder, runs)))
    (folder / "report.html").write_text(report.report(table, runs, f"MetaJAX: {folder.name}"))
    console.print(f"written: {folder}/table.md, table.csv, report.html")
