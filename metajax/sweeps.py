"""Many runs over worker processes, each run once, any number of failures survived (floor 6)."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import io
import os
import sys
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import jax

from metajax.benchmarks import Benchmark
from metajax.compiled import keep_compiled as keep_compiled
from metajax.config import HOST_BASELINES, RunConfig, alike
from metajax.records import Claimed
from metajax.runs import run_many

# A worker is one core: two of them outrun one that spreads small programs over two cores.
ONE_CORE = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # glibc keeps what compilation frees: one arena, trimmed early, holds about 100 MB less.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "100000",
}
Build = Callable[[str, tuple[int, ...], str | None], Benchmark]
# Runs of one program at most. A constant, not the number of workers or of cores: which runs share
# a program can change the last bits of their numbers.
TOGETHER = 16


# A run, or the arguments of an experiment script that makes its runs itself.
Task = RunConfig | tuple[str, ...]


class Outcome(NamedTuple):
    """What became of a run: its folder, or why there is none."""

    config: Task
    folder: Path | None
    error: str = ""
    claimed: bool = False  # not an error: another process is making it
    kept: str = ""  # what is to be said of a record that was there; see `metajax.records.kept`


class Job(NamedTuple):
    """The runs of one program, and how often they were tried in vain."""

    configs: list[Task]
    failures: int = 0
    wait: bool = False  # for another process that is making one of them


def programs(configs: Iterable[RunConfig]) -> list[list[RunConfig]]:
    """Deals runs into programs: those that differ in seed and numbers only; the slow ones first."""
    groups: dict[RunConfig, list[RunConfig]] = {}
    for config in configs:
        groups.setdefault(alike(config), []).append(config)
    parts = [
        group[i : i + TOGETHER] for group in groups.values() for i in range(0, len(group), TOGETHER)
    ]
    quick = set(HOST_BASELINES) - {"random_forest", "lr_forest"}
    return sorted(parts, key=lambda part: part[0].learner in quick)


def _make_runs(
    job: Job, *, build: Build, folder: Path, data_dir: str | None, again: bool = False
) -> list[Outcome]:
    """Runs a program in this process; what fails is an outcome."""
    # Two processes may write one entry of the compilation cache at once: it is compiled again.
    warnings.filterwarnings("ignore", message="Error reading persistent compilation cache")
    try:
        benchmark = build(job.configs[0].benchmark, job.configs[0].shots, data_dir)
        kept: dict[str, str] = {}
        found = run_many(
            job.configs, benchmark, folder, wait=job.wait, again=again, on_kept=kept.__setitem__
        )
        return [
            Outcome(config, place, kept=kept.get(place.name, ""))
            for config, place in zip(job.configs, found, strict=True)
        ]
    except Claimed as error:
        return [Outcome(config, None, str(error), claimed=True) for config in job.configs]
    except Exception as error:  # noqa: BLE001  (whatever it was, the other runs go on)
        return [Outcome(config, None, _reason(error)) for config in job.configs]


def add_folder(script: Path) -> None:
    """Lets a script and its neighbours be imported by name; last, so that they hide nothing."""
    if str(script.parent) not in sys.path:
        sys.path.append(str(script.parent))


def _call_script(
    job: Job, *, script: Path, folder: Path, common: Sequence[str]
) -> list[Outcome]:
    """Calls an experiment script's main with a trial's arguments, as `wandb agent` would."""
    (arguments,) = job.configs
    said, before = io.StringIO(), list(sys.argv)
    add_folder(script)
    sys.argv = [str(script), *arguments, *common]
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            code = importlib.import_module(script.stem).main()
    except SystemExit as stop:
        code = stop.code
    except Exception as error:  # noqa: BLE001  (as above)
        return [Outcome(arguments, None, _reason(error))]
    finally:
        sys.argv = before
    if code:
        return [Outcome(arguments, None, said.getvalue().strip() or f"exit code {code}")]
    return [Outcome(arguments, folder)]


def _reason(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"


def _work_and_release(work: Callable[[Job], list[Outcome]], job: Job) -> list[Outcome]:
    """Works in a worker process, which then gives back the memory of its compiled programs."""
    outcomes = work(job)
    jax.clear_caches()
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # only glibc has it, and only it needs it
        ctypes.CDLL(None).malloc_trim(0)
    return outcomes


def runs_here(configs: Iterable[RunConfig], workers: int) -> bool:
    """Whether `run_all` runs these in the calling process."""
    return workers == 1 or len(programs(configs)) == 1


def run_all(
    configs: Sequence[RunConfig],
    build: Build,
    folder: Path,
    *,
    data_dir: str | None = None,
    again: bool = False,
    **options: Any,
) -> list[Outcome]:
    """Runs configurations, skipping those with a finished record.

    Args:
      configs: resolved configurations.
      build: ``(benchmark, shots, data_dir) -> Benchmark``, a module-level function that keeps what
        it built (it is called once a program).
      folder: ``results/<suite>``.
      data_dir: passed to `build`.
      again: makes finished records anew whose source files have changed since.
      **options: see `run_jobs`.

    Returns:
      One outcome a configuration, see `run_jobs`. Runs that another process is making are left to
      the end, and waited for.
    """
    work = partial(_make_runs, build=build, folder=folder, data_dir=data_dir, again=again)
    return run_jobs(programs(configs), work, **options)


def run_scripts(
    trials: Sequence[tuple[str, ...]],
    script: Path,
    folder: Path,
    *,
    common: Sequence[str] = (),
    **options: Any,
) -> list[Outcome]:
    """Calls an experiment script once a trial; it skips what is finished itself.

    Args:
      trials: arguments.
      script: its path; its function `main` returns an exit code.
      folder: ``results/<suite>``.
      common: arguments that follow those of each trial.
      **options: see `run_jobs`.
    """
    work = partial(_call_script, script=script, folder=folder, common=common)
    return run_jobs([[trial] for trial in trials], work, **options)


def run_jobs(
    parts: Sequence[list[Task]],
    work: Callable[[Job], list[Outcome]],
    *,
    workers: int = 2,
    retries: int = 0,
    on_start: Callable[[list[Task]], Any] | None = None,
    on_done: Callable[[list[Outcome]], Any] | None = None,
    on_retry: Callable[[list[Task], str], Any] | None = None,
) -> list[Outcome]:
    """Works on parts in worker processes.

    Args:
      parts: what is done together.
      work: does a part, in a worker; what fails there is an outcome.
      workers: processes of one core each; 1 runs everything in this process.
      retries: how often a part that failed, or whose worker died, is tried again.
      on_start: receives a part as it begins.
      on_done: receives the outcomes of every part as it ends.
      on_retry: receives a part that is tried again, and the reason.

    Returns:
      One outcome a task. Interrupted, the workers are stopped and KeyboardInterrupt is raised; the
      same call goes on where it stopped.
    """
    queue, outcomes = deque(Job(part) for part in parts), []

    def settle(job: Job, found: list[Outcome]) -> None:
        """Notes what a job gave, or puts it back into the queue."""
        if found[0].claimed:
            queue.append(job._replace(wait=True))  # when all others have had their turn
        elif (reason := found[0].error) and job.failures < retries:
            queue.append(job._replace(failures=job.failures + 1))
            if on_retry is not None:
                on_retry(job.configs, reason)
        else:
            outcomes.extend(found)
            if on_done is not None:
                on_done(found)

    if workers == 1 or len(parts) == 1:
        while queue:
            job = queue.popleft()
            if on_start is not None:
                on_start(job.configs)
            settle(job, work(job))
        return outcomes
    before = dict(os.environ)
    os.environ.update({k: v for k, v in ONE_CORE.items() if k not in os.environ})
    # A pool of one process each: a worker that is killed takes no other one along.
    idle = [_worker() for _ in range(min(workers, len(queue)))]
    busy: dict[Future, tuple[ProcessPoolExecutor, Job]] = {}
    ended: deque[tuple[Job, list[Outcome]]] = deque()
    try:
        while queue or busy or ended:
            while queue and idle:
                pool, job = idle.pop(), queue.popleft()
                try:
                    future = pool.submit(_work_and_release, work, job)
                except BrokenProcessPool:  # it was killed while it had nothing to do
                    pool.shutdown(wait=False)
                    pool = _worker()
                    future = pool.submit(_work_and_release, work, job)
                busy[future] = pool, job
                if on_start is not None:
                    on_start(job.configs)
            if ended:  # told while the workers go on: a copy in W&B may take seconds
                settle(*ended.popleft())
                continue
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                pool, job = busy.pop(future)
                try:
                    found = future.result()
                except BrokenProcessPool:  # e.g. killed for its memory
                    pool.shutdown(wait=False)
                    pool = _worker()
                    reason = "its worker process was killed; the same command goes on from here"
                    found = [Outcome(config, None, reason) for config in job.configs]
                idle.append(pool)
                ended.append((job, found))
    except BaseException:
        for pool in [*idle, *(pool for pool, _ in busy.values())]:
            for process in list((pool._processes or {}).values()):
                process.terminate()
        raise
    finally:
        for pool in [*idle, *(pool for pool, _ in busy.values())]:
            pool.shutdown(wait=False, cancel_futures=True)
        os.environ.clear()
        os.environ.update(before)
    return outcomes


def _worker() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """Makes a worker end when its parent is killed; what it was making can be resumed."""

    def watch() -> None:
        connection.wait([parent_process().sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True).start()
