"""Sweeps on a real Slurm: jobs killed, a node drained, downed and lost, the sweep given again."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import recording
import slurm_cluster

from metajax import records
from metajax.tracking import MARK

ROOT = Path(__file__).resolve().parents[1]
SUITE = "smoke-disease_prediction"
FILE = """\
program: experiments/disease_prediction.py
method: grid
metric: {name: best/validation/auroc, goal: maximize}
parameters:
  preset: {value: smoke}
  benchmark: {value: sklearn_tables}
  learner: {values: [maml, anil, protonet, ridge, lr_c0.1]}
  inner.lr: {values: [0.1, 0.3]}
  train.steps: {value: 40}
  seed: {values: [0, 1]}
"""
FLAGS = ("--slurm.jobs=2", "--slurm.cpus=1", "--slurm.memory-gb=1", "--slurm.minutes=30",
         "--slurm.wait=True")  # fmt: skip


def start(folder, *flags, environment=os.environ, mode="offline"):
    """Gives the sweep; its output goes to a file of its own."""
    file, said = folder / "sweep.yaml", folder / "said.txt"
    file.write_text(FILE)
    command = [sys.executable, str(ROOT / "scripts" / "sweep.py"), str(file), f"--wandb={mode}"]
    with said.open("w") as output:
        return subprocess.Popen(
            [*command, f"--results={folder}", *flags], cwd=ROOT, env=environment, stdout=output,
            stderr=subprocess.STDOUT,
        )  # fmt: skip


def finish(folder, driver):
    """Waits for a sweep; its exit code and what it said."""
    code, said = driver.wait(timeout=900), (folder / "said.txt").read_text()
    assert "Traceback" not in said, said
    return code, " ".join(said.split())


def made(folder):
    """The ids of the finished runs."""
    return sorted(path.parent.name for path in (folder / SUITE / "runs").glob("[!.]*/result.json"))


def scores(folder):
    """The numbers of all runs, by id."""
    found = {}
    for path in (folder / SUITE / "runs").iterdir():
        assert records.is_complete(path), path
        with np.load(path / "scores.npz") as arrays:
            found[path.name] = {name: arrays[name].tobytes() for name in arrays.files}
    return found


def table(folder):
    return (folder / SUITE / "table.csv").read_bytes()


def copies(folder):
    """The records that the whole W&B copies are of."""
    return sorted(path.read_text() for path in (folder / SUITE / "wandb").glob(f"*run-*/{MARK}"))


def newest(folder):
    """When something was last written among the runs."""
    times = [0.0]
    for path in (folder / SUITE / "runs").rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a program is tidied up as we look
            times.append(path.stat().st_mtime)
    return max(times)


def python_of(cluster, job):
    """The process that runs submitit in a job."""
    for process in cluster.processes(job):
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if "submitit.core._submit" in line and Path(line[0]).name.startswith("python"):
            return process
    raise AssertionError(f"job {job} runs nothing")


@pytest.mark.long
@pytest.mark.skipif(slurm_cluster.missing() != "", reason=slurm_cluster.missing() or "none")
def test_every_trial_is_made_once_whatever_ends_its_job(tmp_path):
    whole, quiet, rough = (tmp_path / name for name in ("whole", "quiet", "rough"))
    for folder in (whole, quiet, rough):
        folder.mkdir()
    with recording.record("slurm", "A sweep on a real Slurm: a controller, two nodes") as told:
        code, said = finish(whole, start(whole, mode="disabled"))
        assert code == 0, said
        wanted = scores(whole)
        told["trials"] = f"{len(wanted)}, the runs of a grid of 20"
        with slurm_cluster.running() as cluster:
            told["slurm"] = cluster.call("sbatch", "--version").strip()
            flags = {"environment": cluster.environment, "mode": "disabled"}
            code, said = finish(quiet, start(quiet, *FLAGS, **flags))
            assert code == 0, said
            assert scores(quiet) == wanted and table(quiet) == table(whole)
            told["undisturbed"] = "every trial, with table and bits of a sweep on one machine"
            disturb(cluster, rough, len(wanted), told)
        assert not cluster.processes()  # neither a daemon nor a job is left
        found = scores(rough)
        told["lost"] = len(wanted.keys() - found.keys())
        told["other bits"] = sum(found.get(name) != wanted[name] for name in wanted)
        told["W&B copies"] = f"{len(copies(rough))}, whole, one a trial"
        assert found == wanted and table(rough) == table(whole)
        assert copies(rough) == sorted(wanted)


def disturb(cluster, folder, trials, told):
    """Gives the sweep again and again while its jobs are killed and its nodes are lost."""

    def give():
        before, driver = time.time(), start(folder, *FLAGS, environment=cluster.environment)
        slurm_cluster.until(
            lambda: driver.poll() is not None or [*cluster.jobs().values()] == ["RUNNING"] * 2,
            300, "two running jobs",
        )  # fmt: skip
        slurm_cluster.until(lambda: newest(folder) > before, 300, "a training")
        slurm_cluster.until(lambda: all(map(sweeping, cluster.jobs())), 60, "two sweeps")
        return driver, *sorted(cluster.jobs())  # two of them: neither has ended

    def sweeping(job):
        lines = [" ".join(process.cmdline()) for process in cluster.processes(job)]
        return any("sweep.py" in line for line in lines)

    disturbed = []

    def unfinished(what):
        """A disturbance counts if it comes before the end."""
        disturbed.append(f"{what}: {len(made(folder))} of {trials} trials were made")
        told["disturbed"] = "\n".join(disturbed)
        assert len(made(folder)) < trials

    driver, first, second = give()
    unfinished("one job by scancel --signal=KILL, the other by kill -9 of its process")
    cluster.call("scancel", "--signal=KILL", "--full", str(first))
    python_of(cluster, second).kill()
    code, said = finish(folder, driver)  # it learns of their end, without Slurm's data base
    assert code == 1 and f"job {first} ended as" in said and f"job {second} ended as" in said, said

    driver, first, second = give()
    unfinished("the node of a running job drained, then down: requeued, then cancelled")
    node = f"nodename={cluster.place(first)}"
    cluster.call("scontrol", "update", node, "state=drain", "reason=test")
    assert cluster.jobs()[first] == "RUNNING"
    cluster.call("scontrol", "update", node, "state=down", "reason=test")
    slurm_cluster.until(lambda: cluster.jobs()[first] != "RUNNING", 30, "the requeue")
    assert "Restarts=1" in cluster.call("scontrol", "show", "job", str(first))
    cluster.call("scancel", str(first), str(second))
    code, said = finish(folder, driver)
    assert code == 1 and f"job {first} ended as CANCELLED" in said, said
    cluster.call("scontrol", "update", node, "state=resume")
    slurm_cluster.until(lambda: slurm_cluster.nodes_are(cluster, "idle"), 60, "idle nodes")

    driver, first, second = give()
    unfinished("the daemon of a running job's node by kill -9: requeued on the other node")
    node = cluster.place(first)
    cluster.daemons[node].kill()
    code, said = finish(folder, driver)
    assert code == 0, said
    assert "Restarts=1" in cluster.call("scontrol", "show", "job", str(first))
    assert len(made(folder)) == trials
    cluster.start_node(node)
    slurm_cluster.until(lambda: slurm_cluster.nodes_are(cluster, "idle"), 60, "idle nodes")

    before = newest(folder)
    code, said = finish(folder, start(folder, *FLAGS, environment=cluster.environment))
    assert code == 0 and newest(folder) == before, said
    told["given once more"] = "nothing is made again"
