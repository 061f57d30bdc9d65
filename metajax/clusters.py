"""A sweep as jobs of a Slurm cluster, one shard each, by submitit (floor 9)."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

ASK_SECONDS = 5.0
# A job in one of these states has ended for good; what Slurm starts again is in another one. It
# forgets a job minutes after its end: that is "gone".
ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "REVOKED", "TIMEOUT", "gone",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Slurm:
    """A cluster."""

    jobs: int = 0
    """Submit the sweep as so many jobs, one shard each; 0: run it here."""
    cluster: Literal["slurm", "local"] = "slurm"
    """local: the jobs are processes of this machine, to try it out."""
    partition: str | None = None
    """Partition of the jobs."""
    minutes: int = 24 * 60
    """Time limit of a job; what it cuts off goes on when the same command is given again."""
    cpus: int = 2
    """Cores of a job."""
    gpus: int = 0
    """GPUs of a job."""
    memory_gb: int = 8
    """Memory of a job."""
    wait: bool = False
    """Wait for the jobs, then write table and report."""


def submit(slurm: Slurm, commands: Sequence[Sequence[str]], logs: Path, *, name: str) -> list[Any]:
    """Submits one job a command: all of them, or none.

    Args:
      slurm: the cluster.
      commands: what the jobs run.
      logs: folder of their output.
      name: of the jobs.

    Returns:
      submitit's jobs.

    Raises:
      ValueError: if submitit or Slurm is not here, or the cluster refuses a job.
    """
    try:
        import submitit
    except ImportError as error:
        raise ValueError("a cluster needs the extra slurm: pip install 'metajax[slurm]'") from error
    # -P: what lies in the folder that the command is given in is no module of the job.
    python = f"{shlex.quote(sys.executable)} -P"
    try:
        executor = submitit.AutoExecutor(logs, slurm.cluster, slurm_python=python)
    except RuntimeError as error:  # there is no Slurm here
        raise ValueError(f"--slurm.cluster={slurm.cluster}: {error}") from error
    executor.update_parameters(
        timeout_min=slurm.minutes, cpus_per_task=slurm.cpus, mem_gb=slurm.memory_gb, name=name,
        gpus_per_node=slurm.gpus or None, slurm_partition=slurm.partition,
        # Slurm tells a job to end that long before its limit; no more of a short one than it must.
        slurm_signal_delay_s=min(90, 15 * slurm.minutes),
    )  # fmt: skip
    jobs = []
    try:
        for command in commands:
            jobs.append(executor.submit(submitit.helpers.CommandFunction(list(command))))
    except (RuntimeError, OSError) as error:  # e.g. more cores than a node has
        for job in jobs:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                job.cancel(check=False)
        said = str(error).strip().splitlines() or [""]
        raise ValueError(f"the cluster refuses job {len(jobs) + 1}: {said[-1]}") from error
    return jobs


def wait(console: Console, slurm: Slurm, jobs: Sequence[Any]) -> list[str]:
    """Waits for jobs; returns why some have failed.

    Args:
      console: is told what to do with the jobs if the wait is interrupted.
      slurm: the cluster.
      jobs: of `submit`.
    """
    try:
        if slurm.cluster == "local":
            return [_told(job, "FAILED") for job in jobs if job.exception() is not None]
        return ended(jobs, ask)
    except KeyboardInterrupt:
        ids = " ".join(job.job_id for job in jobs)
        console.print(f"the jobs go on; to end them: scancel {ids}")
        raise


def ask(ids: Sequence[str]) -> dict[str, str] | None:
    """The states of those jobs that Slurm still knows, by id; None if it does not answer."""
    command = ["squeue", "--noheader", "--states=all", "--format=%A %T", f"--jobs={','.join(ids)}"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if said.returncode and "Invalid job id" not in said.stderr:
        return None
    return dict(line.split() for line in said.stdout.splitlines() if line.strip())


def ended(
    jobs: Sequence[Any],
    ask: Callable[[Sequence[str]], dict[str, str] | None],
    sleep: Callable[[float], Any] = time.sleep,
) -> list[str]:
    """Waits until Slurm has ended all jobs; returns why some have failed.

    submitit waits for what a job leaves, and asks ``sacct``: a cluster without its data base has
    none, and a job that was killed there leaves nothing, so it would wait for ever. It also takes
    the error of a job for its end that Slurm starts again when its node is lost.
    """
    states: dict[str, str] = {}
    while running := [job.job_id for job in jobs if job.job_id not in states]:
        if (told := ask(running)) is not None:
            now = {job: told.get(job, "gone") for job in running}
            states |= {job: state for job, state in now.items() if state in ENDED}
        if len(states) < len(jobs):
            sleep(ASK_SECONDS)
    return [
        _told(job, states[job.job_id]) for job in jobs if not _succeeded(job, states[job.job_id])
    ]


def _succeeded(job: Any, state: str) -> bool:
    if state == "gone":  # what it left is all there is to go by
        return job.paths.result_pickle.exists() and job.exception() is None
    return state == "COMPLETED"


def _told(job: Any, state: str) -> str:
    """Why a job failed, in one line: the last error that it, or Slurm, has written."""
    errors = []
    with contextlib.suppress(OSError, UnicodeDecodeError):
        lines = job.paths.stderr.read_text().splitlines()
        errors = [line.strip() for line in lines if "error: " in line]
    reason = f"{errors[-1]}; " if errors else ""
    return (
        f"job {job.job_id} ended as {state}; {reason}its output: {job.paths.stderr.parent}; "
        "the same command goes on from there"
    )
