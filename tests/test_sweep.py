"""Whole sweeps as a user starts them: killed, doubled, on a cluster, with damaged files."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from metajax import records, sweep_plans, tracking
from metajax.learners import LEARNERS

ROOT = Path(__file__).resolve().parents[1]
FILE = """\
program: experiments/disease_prediction.py
method: grid
metric: {name: balanced/auroc@4, goal: maximize}
parameters:
  preset: {value: smoke}
  benchmark: {value: sklearn_tables}
  learner: {values: [maml, ridge, lr_c0.1]}
  inner.lr: {values: [0.1, 0.3]}
  seed: {values: [0, 1]}
"""
RUNS = 7


def start(folder, *flags):
    """Starts a sweep; its output goes to a file."""
    file = folder / "sweep.yaml"
    if not file.exists():
        file.write_text(FILE)
    command = [sys.executable, str(ROOT / "scripts" / "sweep.py"), str(file), "--wandb=disabled"]
    with (folder / "said.txt").open("a") as said:
        return subprocess.Popen(
            [*command, f"--results={folder}", *flags], cwd=ROOT, stdout=said,
            stderr=subprocess.STDOUT,
        )  # fmt: skip


def finish(folder, *flags):
    """Runs a sweep to its end; what it said."""
    code = start(folder, *flags).wait(timeout=600)
    said = (folder / "said.txt").read_text()
    assert code == 0, said
    return said


def scores(folder):
    """The numbers of all runs, by id."""
    home = folder / "smoke-disease_prediction" / "runs"
    found = {}
    for path in home.iterdir():
        assert records.is_complete(path), path  # nothing half made is left
        with np.load(path / "scores.npz") as arrays:
            found[path.name] = {name: arrays[name].tobytes() for name in arrays.files}
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "experiments/sweeps/smoke").iterdir()), ids=str)
def test_every_suites_smoke_sweep_ends_in_table_and_report(path, tmp_path, monkeypatch):
    """And its runs have the score that the file names."""
    if path.stem != "disease_prediction" and not os.environ.get("METAJAX_DATA"):
        pytest.skip("METAJAX_DATA names no data directory")
    monkeypatch.setenv("COLUMNS", "300")
    shutil.copy(path, tmp_path / "sweep.yaml")
    plan = sweep_plans.check(path)
    said = finish(tmp_path)
    folder = tmp_path / f"smoke-{path.stem}"
    if plan.program.build is not None:
        assert f"best {plan.metric[0]}" in said
    runs = [tracking.read_record(run) for run in (folder / "runs").iterdir()]
    assert len(runs) == len(plan.configs)
    # What is not trained, nor has its step size chosen, has no validation score.
    tuned = [run for run in runs if run.config["learner"] in LEARNERS]
    assert tuned and all(plan.metric[0] in tracking.summary_scores(run) for run in tuned)
    table = pd.read_csv(folder / "table.csv")
    assert set(table.learner) >= {run.config["learner"] for run in runs}
    assert table[table.metric.isin(("auroc", "accuracy"))]["mean"].between(0, 1).all()
    assert "<html" in (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    said = finish(folder)
    assert "12 trials are 7 runs in 3 programs" in " ".join(said.split())
    found = scores(folder)
    assert len(found) == RUNS
    page = (folder / "smoke-disease_prediction" / "table.md").read_text()
    assert "maml" in page and (folder / "smoke-disease_prediction" / "report.html").exists()
    return folder, found


def kill_at_random(folder, chance, times):
    """Kills driver or workers of a sweep so many times, then lets it end."""
    for _ in range(times):
        driver = start(folder)
        time.sleep(chance.uniform(1, 12))
        if driver.poll() is None:
            family = [psutil.Process(driver.pid)]
            family += family[0].children(recursive=True)
            chance.choice(family[:1] + family).kill()  # the driver every second time or so
        if driver.poll() is None and chance.random() < 0.5:
            driver.kill()
        # A worker ends with its driver; a driver that lost a worker goes on to its end.
        assert driver.wait(timeout=600) in (0, -9), (folder / "said.txt").read_text()
    finish(folder)


@pytest.mark.parametrize(
    ("seed", "times"), [(0, 3), pytest.param(1, 20, marks=pytest.mark.long)]
)
def test_killed_at_any_moment_it_ends_with_the_same_bits(undisturbed, tmp_path, seed, times):
    kill_at_random(tmp_path, random.Random(seed), times)
    assert scores(tmp_path) == undisturbed[1]


def test_two_sweeps_of_one_folder_share_the_work(undisturbed, tmp_path):
    both = [start(tmp_path) for _ in range(2)]
    assert [one.wait(timeout=600) for one in both] == [0, 0], (tmp_path / "said.txt").read_text()
    assert scores(tmp_path) == undisturbed[1]


def test_the_jobs_of_a_cluster_make_the_same_runs(undisturbed, tmp_path):
    pytest.importorskip("submitit")
    said = finish(tmp_path, "--slurm.jobs=2", "--slurm.cluster=local", "--slurm.wait=True")
    assert "submitted" in said
    assert scores(tmp_path) == undisturbed[1]
    assert (tmp_path / "smoke-disease_prediction" / "table.md").exists()


def test_what_is_damaged_is_named_and_the_rest_stays(undisturbed, tmp_path):
    shutil.copytree(undisturbed[0], tmp_path, dirs_exist_ok=True)
    home = tmp_path / "smoke-disease_prediction" / "runs"
    (first, second, *_) = sorted(home.glob("*-maml-*"))
    # Cut off, as by a full disk: it is no record, and is made again.
    (first / "result.json").unlink()
    said = finish(tmp_path)
    assert scores(tmp_path) == undisturbed[1] and "Traceback" not in said
    # Overwritten: it is named with the remedy, the runs after it are made all the same.
    (second / "result.json").write_text("{")
    shutil.rmtree(first)
    driver = start(tmp_path, "--wandb=offline")
    assert driver.wait(timeout=600) == 1  # and the table is that of the others
    said = (tmp_path / "said.txt").read_text().replace("\n", "")
    assert f"remove {second} to make it again" in said and "Traceback" not in said
    assert f"error: damaged record: {second}/result.json: no JSON" in said  # the tables
    table = (tmp_path / "smoke-disease_prediction" / "table.csv").stat()
    assert table.st_mtime > (second / "result.json").stat().st_mtime
    assert len(list(home.iterdir())) == RUNS
    copies = (tmp_path / "smoke-disease_prediction" / "wandb").glob("offline-run-*")
    assert len(list(copies)) == RUNS - 1
    shutil.rmtree(second)
    finish(tmp_path)
    assert scores(tmp_path) == undisturbed[1]


def test_a_full_disk_is_told_and_with_room_the_same_command_goes_on(undisturbed, tmp_path):
    disk = tmp_path / "smoke-disease_prediction"
    disk.mkdir()

    def mount(size, *more):
        command = ["mount", "-t", "tmpfs", "-o", ",".join((f"size={size}", *more)), "tmpfs"]
        return subprocess.run([*command, str(disk)], capture_output=True).returncode

    if shutil.which("mount") is None or mount("250k"):
        pytest.skip("needs the right to mount a file system")
    try:
        code, said = start(tmp_path).wait(timeout=600), (tmp_path / "said.txt").read_text()
        assert code in (1, 2) and "No space left on device" in " ".join(said.split())
        assert mount("50m", "remount") == 0
        finish(tmp_path)
        assert scores(tmp_path) == undisturbed[1]
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_script_that_makes_its_own_runs_is_swept(undisturbed, tmp_path, monkeypatch):
    """One trial a call; what fails is tried again and its reason kept; its own tables come last."""
    monkeypatch.setenv("RECORDS", str(undisturbed[0] / "smoke-disease_prediction" / "runs"))
    (tmp_path / "own_runs.py").write_text(SCRIPT)
    (tmp_path / "sweep.yaml").write_text(OWN.format("[1, 2, 3, 4]"))
    driver, folder = start(tmp_path, "--retries=1"), tmp_path / "own_runs"
    assert driver.wait(timeout=300) == 1, (tmp_path / "said.txt").read_text()
    assert len(list((folder / "runs").glob("[!.]*"))) == 3
    assert (folder / "table.md").read_text() == "3 runs" and (folder / "report.html").exists()
    lines = [json.loads(one) for one in (folder / "failures.jsonl").read_text().splitlines()]
    told = {(line["runs"], line["last"]): line["reason"] for line in lines}
    assert len(told) == len(lines) == 3
    assert "was killed" in told["--number=2", False]
    assert told["--number=3", False] == told["--number=3", True] == "error: three cannot be"
    (tmp_path / "sweep.yaml").write_text(OWN.format("[1, 9]"))
    assert start(tmp_path).wait(timeout=300) == 2
    assert "line 4: 9 is refused" in " ".join((tmp_path / "said.txt").read_text().split())


OWN = """\
program: own_runs.py
method: grid
parameters:
  number: {{values: {}}}
"""
SCRIPT = """
import dataclasses
import os
import shutil
import signal
from pathlib import Path

from metajax import commands

SUITE = "own_runs"


@dataclasses.dataclass(frozen=True)
class Flags:
    preset: str = "full"
    number: int = 0
    data_dir: str | None = None
    results: str = "results"
    wandb: str | None = None


PRESETS = {"full": Flags()}


def check(flags):
    if flags.number == 9:
        raise ValueError("9 is refused")


def write_tables(folder, runs):
    (folder / "table.md").write_text(f"{len(runs)} runs")
    return ""


def main():
    flags = commands.parse(Flags, PRESETS, default="full")
    home, number = Path(flags.results) / SUITE / "runs", flags.number
    if number == 3:
        return commands.fail("three cannot be")
    if number == 2 and not (home / ".two").exists():
        (home / ".two").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    record = sorted(Path(os.environ["RECORDS"]).iterdir())[number]
    shutil.copytree(record, home / record.name)
    return 0
"""
