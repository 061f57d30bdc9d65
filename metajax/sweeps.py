"""Many runs over worker processes, each run once, any number of failures survived (floor 6)."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import jax

from metajax.benchmarks import Benchmark
from metajax.config import HOST_BASELINES, RunConfig, alike
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


class Outcome(NamedTuple):
    """What became of a run: its folder, or why there is none."""

    config: RunConfig
    folder: Path | None
    error: str = ""


def keep_compiled() -> None:
    """Keeps compiled programs between processes, this one and its workers, unless set otherwise."""
    root = Path(os.environ.get("METAJAX_CACHE", Path.home() / ".cache" / "metajax"))
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(root / "xla"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    # jax has read its environment at import; workers read theirs.
    seconds = float(os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"])
    jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", seconds)


def _jobs(configs: Iterable[RunConfig]) -> list[list[RunConfig]]:
    """Groups the runs that share compiled programs (seeds of one method); the slow ones first."""
    groups: dict[tuple, list[RunConfig]] = {}
    for config in configs:
        groups.setdefault((config.benchmark, config.learner, config.shots), []).append(config)
    slow = {"random_forest", "lr_forest"}
    return sorted(
        groups.values(), key=lambda group: group[0].learner in set(HOST_BASELINES) - slow
    )


def _work(configs: list[RunConfig], build: Build, folder: Path, data_dir: str | None):
    """Runs a group in this process; what fails is an outcome, and the rest goes on."""
    # Two processes may write one entry of the compilation cache at once: it is compiled again.
    warnings.filterwarnings("ignore", message="Error reading persistent compilation cache")
    programs: dict[RunConfig, list[RunConfig]] = {}
    for config in configs:
        programs.setdefault(alike(config), []).append(config)
    outcomes = []
    for fused in programs.values():
        try:
            benchmark = build(fused[0].benchmark, fused[0].shots, data_dir)
            found = run_many(fused, benchmark, folder)
            outcomes.extend(map(Outcome, fused, found))
        except Exception as error:  # noqa: BLE001  (whatever it was, the other runs go on)
            place = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
            outcomes.extend(Outcome(config, None, reason) for config in fused)
    return outcomes


def _work_and_release(*arguments) -> list[Outcome]:
    """`_work` in a worker process, which then gives back the memory of its compiled programs."""
    outcomes = _work(*arguments)
    jax.clear_caches()
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # only glibc has it, and only it needs it
        ctypes.CDLL(None).malloc_trim(0)
    return outcomes


def runs_here(configs: Iterable[RunConfig], workers: int) -> bool:
    """Whether `run_all` runs these in the calling process."""
    return workers == 1 or len(_jobs(configs)) == 1


def run_all(
    configs: Sequence[RunConfig],
    build: Build,
    folder: Path,
    *,
    data_dir: str | None = None,
    workers: int = 2,
    on_done: Callable[[list[Outcome]], Any] | None = None,
) -> list[Outcome]:
    """Runs configurations, skipping those with a finished record.

    Args:
      configs: resolved configurations.
      build: ``(benchmark, shots, data_dir) -> Benchmark``, a module-level function that keeps what
        it built (it is called once a run).
      folder: ``results/<suite>``.
      data_dir: passed to `build`.
      workers: processes of one core each; 1 runs everything in this process.
      on_done: receives the outcomes of every group of runs as it ends.

    Returns:
      One outcome a configuration. Interrupted, the workers are stopped and KeyboardInterrupt is
      raised; the same call goes on where it stopped.
    """
    jobs, outcomes = _jobs(configs), []

    def collect(group: list[Outcome]) -> None:
        outcomes.extend(group)
        if on_done is not None:
            on_done(group)

    if runs_here(configs, workers):
        for job in jobs:
            collect(_work(job, build, folder, data_dir))
        return outcomes
    before = dict(os.environ)
    os.environ.update({k: v for k, v in ONE_CORE.items() if k not in os.environ})
    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn"))
    try:
        job_of: dict[Future, list[RunConfig]] = {
            pool.submit(_work_and_release, job, build, folder, data_dir): job for job in jobs
        }
        waiting = set(job_of)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                try:
                    collect(future.result())
                except BrokenProcessPool:  # one worker killed, e.g. for its memory, ends them all
                    reason = "a worker process was killed; the same command goes on from here"
                    collect([Outcome(config, None, reason) for config in job_of[future]])
    except BaseException:
        for process in list(pool._processes.values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        os.environ.clear()
        os.environ.update(before)
    return outcomes
