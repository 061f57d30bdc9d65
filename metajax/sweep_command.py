"""What ``scripts/sweep.py`` does: a sweep file to runs, table and report (floor 10)."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from metajax import clusters, commands, limits, records, redact, suites, sweeps, tracking
from metajax.sweep_plans import Plan, Program, as_flag, check, together
from metajax.switches import spelled_out

# Flags of the sweep that stand above the file's.
OWN = ("results", "data_dir", "wandb")
LEAST = {
    "workers": 1, "retries": 0, "search_seed": 0, "slurm.jobs": 0, "slurm.minutes": 1,
    "slurm.cpus": 1, "slurm.gpus": 0, "slurm.memory_gb": 1,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class SweepFlags:
    """Runs a sweep file of Weights & Biases without its server: each trial once, crashes survived.

    The same command goes on where it was interrupted. Given on several machines with one results
    folder, the machines share the work.
    """

    file: tyro.conf.Positional[Path]
    """The sweep file: grid or random."""
    workers: int = 2
    """Processes of one core each."""
    shard: str = "1/1"
    """i/n: the i-th of n parts only, i from 1."""
    retries: int = 2
    """How often what crashed is tried again."""
    search_seed: int = 0
    """Seed of a random search."""
    results: str | None = None
    """Where records and tables go (default: the file's, or results)."""
    data_dir: str | None = None
    """Folder of the real data (default: the file's, or METAJAX_DATA)."""
    wandb: Literal["online", "offline", "disabled"] | None = None
    """Mirror runs to Weights & Biases; default: the file's, WANDB_MODE, or offline."""
    again: bool = False
    """Make finished runs anew whose source files have changed since; otherwise they are named."""
    dry_run: bool = False
    """Check the file and list what would run."""
    slurm: clusters.Slurm = dataclasses.field(default_factory=clusters.Slurm)
    """A cluster."""


def main() -> int:
    """Parses the command line and runs the sweep; returns the exit code."""
    arguments = spelled_out(SweepFlags, sys.argv[1:])
    flags = tyro.cli(SweepFlags, args=arguments, config=(tyro.conf.FlagConversionOff,))
    console = Console(markup=False, emoji=False)  # paths and reasons may hold brackets
    sweeps.keep_compiled()
    try:
        part, parts = _shard(flags.shard)
        given = vars(flags) | {f"slurm.{name}": value for name, value in vars(flags.slurm).items()}
        for name, least in LEAST.items():
            if given[name] < least:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} must be at least {least}; got {given[name]}")
            if name in limits.MOST and given[name] > 0:
                limits.positive({name: given[name]})
        plan = check(flags.file, search_seed=flags.search_seed)
        own = {name: getattr(flags, name) for name in OWN}
        own = {name: value for name, value in own.items() if value is not None}
        plan = plan._replace(flags=dataclasses.replace(plan.flags, **own))
        every = together(plan)
        mine = every[part - 1 :: parts]
        console.print(
            f"{flags.file}: {plan.trials} trials are {len(plan.configs)} runs in {len(every)} "
            f"programs; shard {part} of {parts} has {sum(map(len, mine))} runs"
        )
        for note in plan.notes:
            console.print(note, soft_wrap=True)
        if flags.dry_run:
            folder = commands.folder_of(plan.flags, plan.program.suite)
            for group in mine:
                console.print(_told(group) + _done(group, plan.program, folder), soft_wrap=True)
            return 0
        if flags.slurm.jobs:
            return _submit(console, flags, plan)
        return _run(console, flags, plan, mine, whole=parts == 1)
    except (ValueError, OSError) as error:
        return commands.fail(error)
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on from here")
        return 130


def _shard(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    part, parts = map(int, found.groups()) if found else (0, 0)
    if not 1 <= part <= parts:
        raise ValueError(f"--shard must be i/n with i from 1 to n; got {text}")
    return part, parts


def _told(group: Sequence[sweeps.Task]) -> str:
    """What is done together, in one line."""
    one = group[0]
    if isinstance(one, tuple):
        return " ".join(one)
    seeds = sorted({config.seed for config in group})
    return f"{one.benchmark} {one.learner}: {len(group)} run(s), seeds {seeds}"


def _done(group: Sequence[sweeps.Task], program: Program, folder: Path) -> str:
    """How many of these runs are finished; nothing where that takes their data to know."""
    if program.build is None:
        return ""
    names = [suites.planned(program.entries, config) for config in group]
    if None in names:
        return ""
    done = sum(records.is_complete(folder / "runs" / name) for name in names)
    return f", {done} finished before" if done else ""


def _submit(console: Console, given: SweepFlags, plan: Plan) -> int:
    """Submits one job a shard."""
    slurm, folder = given.slurm, commands.folder_of(plan.flags, plan.program.suite)
    tracking.mode_of(plan.flags.wandb)  # refused now, not by every job
    script = Path(__file__).resolve().parents[1] / "scripts" / "sweep.py"
    same = {n: getattr(given, n) for n in ("workers", "retries", "search_seed", "again", *OWN)}
    command = [sys.executable, str(script), str(given.file.resolve())]
    command += [as_flag(n.replace("_", "-"), v) for n, v in same.items() if v is not None]
    if given.workers > 1:  # as in the worker processes of a whole sweep: the same bits
        own = (f"{n}={v}" for n, v in sweeps.ONE_CORE.items() if n not in os.environ)
        command = ["env", *own, *command]
    shards = [[*command, f"--shard={i + 1}/{slurm.jobs}"] for i in range(slurm.jobs)]
    logs = folder / "jobs"
    jobs = clusters.submit(slurm, shards, logs, name=given.file.stem)
    console.print(f"submitted {', '.join(job.job_id for job in jobs)}; their output: {logs}")
    if not slurm.wait:
        console.print(f"when they have ended: python scripts/table.py {folder.name}")
        return 0
    failed = clusters.wait(console, slurm, jobs)
    for reason in failed:
        console.print(f"failed: {reason}")
    if failed and not any(map(records.is_complete, (folder / "runs").glob("[!.]*"))):
        return 1
    whole = commands.write_tables(console, folder, plan.program.write)
    return 1 if failed or not whole else 0


def _run(
    console: Console, given: SweepFlags, plan: Plan, mine: list[list[sweeps.Task]], *, whole: bool
) -> int:
    """Runs here, with a display; then writes table and report."""
    program, data_dir = plan.program, plan.flags.data_dir
    folder = commands.folder_of(plan.flags, program.suite)
    mode = tracking.mode_of(plan.flags.wandb)  # refused now, not after the first run
    if mode != "disabled":
        tracking.check_settings(folder)
    tasks = [task for group in mine for task in group]
    if program.build is not None:
        commands.prepare(tasks, program.build, folder, data_dir=data_dir, workers=given.workers)
    elif program.prepare is not None:
        for flags in plan.parsed:
            program.prepare(dataclasses.replace(flags, data_dir=data_dir))
    commands.make_folder(folder)
    # A script that makes its runs itself copies them itself.
    mode, damaged = mode if program.build is not None else "disabled", []
    with (
        tracking.copier(folder, mode=mode, tell=commands.warn) as copier,
        _display(console, folder, len(tasks), plan, copier, damaged) as told,
    ):
        copier.ready()
        options = {"workers": given.workers, "retries": given.retries, **told}
        if program.build is None:
            own = {name: getattr(plan.flags, name) for name in OWN}
            options["common"] = [as_flag(name, v) for name, v in own.items() if v is not None]
            options["common"] += [as_flag("again", True)] * given.again
            outcomes = sweeps.run_scripts(tasks, program.path, folder, **options)
        else:
            options |= {"data_dir": data_dir, "again": given.again}
            outcomes = sweeps.run_all(tasks, program.build, folder, **options)
            for line in commands.told_kept((o.folder.name, o.kept) for o in outcomes if o.folder):
                console.print(line, soft_wrap=True)
    failed = [outcome for outcome in outcomes if outcome.folder is None]
    for outcome in failed:
        console.print(f"failed: {_told([outcome.config])}: {outcome.error}")
    if not whole:
        console.print(f"when all shards have ended: python scripts/table.py {folder.name}")
    elif len(failed) < len(outcomes):
        return 1 if not commands.write_tables(console, folder, program.write) or failed else 0
    return 1 if failed or damaged else 0


@contextlib.contextmanager
def _display(
    console: Console, folder: Path, runs: int, plan: Plan, copier: tracking.Copier,
    damaged: list[str],
) -> Iterator[dict[str, Callable[..., None]]]:
    """Live progress, as callbacks of `sweeps.run_all`; they also mirror each run to W&B as it ends.

    What fails is kept in ``failures.jsonl``, attempt by attempt; damaged records in `damaged`.
    """
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[running]} running, {task.fields[failed]} failed"),
        TimeRemainingColumn(), TextColumn("{task.fields[best]}"),
    )  # fmt: skip
    begun, best = set(), None
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("runs", total=runs, running=0, failed=0, best="")

        def keep(group: list[sweeps.Task], reason: str, last: bool) -> None:
            line = {"runs": redact.text(_told(group)), "reason": redact.text(reason), "last": last}
            line["time"] = round(time.time())
            path = folder / "failures.jsonl"
            try:
                with path.open("a") as file:
                    file.write(json.dumps(line) + "\n")
            except OSError as error:  # a full disk: writing does not say where
                raise OSError(error.errno, error.strerror, str(path)) from error

        def on_start(group: list[sweeps.Task]) -> None:
            begun.update(group)
            progress.update(bar, running=len(begun))

        def on_retry(group: list[sweeps.Task], reason: str) -> None:
            keep(group, reason, last=False)
            begun.difference_update(group)
            progress.print(f"again: {_told(group)}: {reason}")

        def on_done(outcomes: list[sweeps.Outcome]) -> None:
            nonlocal best
            configs = [one.config for one in outcomes]
            begun.difference_update(configs)
            if outcomes[0].folder is None:
                keep(configs, outcomes[0].error, last=True)
            for one in outcomes if plan.program.build is not None else ():
                if one.folder is not None:
                    try:
                        copier.copy(one.folder)
                        best = _better(best, one.folder, plan.metric)
                    except ValueError as error:  # the other runs go on; the tables will refuse it
                        damaged.append(str(error))
                        progress.print(f"{error}; remove {one.folder} to make it again")
            bad = 0 if outcomes[0].folder else len(configs)
            failed = progress.tasks[bar].fields["failed"] + bad
            text = f"best {plan.metric[0]} {best[0]:.3f}: {best[1]}" if best else ""
            progress.update(bar, advance=len(configs), running=len(begun), failed=failed, best=text)
            word = "done" if outcomes[0].folder else f"failed: {outcomes[0].error}"
            progress.print(f"{word}: {_told(configs)}")

        yield {"on_start": on_start, "on_retry": on_retry, "on_done": on_done}


def _better(
    best: tuple[float, str] | None, run: Path, metric: tuple[str, bool] | None
) -> tuple[float, str] | None:
    """The better of the best so far and this run; None while none has the score."""
    if metric is None:
        return None
    value = tracking.summary_scores(tracking.read_record(run)).get(metric[0])
    if value is None or (best is not None and (value > best[0]) != metric[1]):
        return best
    return value, run.name
