"""A small sweep as a user starts it, for tests that disturb it: what it does, what it leaves."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

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
  learner: {values: [maml, ridge, lr_c0.1]}
  inner.lr: {values: [0.1, 0.3]}
  seed: {values: [0, 1]}
"""
RUNS = 7
SAME = ("scores.npz", "predictions.npz", "config.json")
TABLES = ("table.md", "table.csv", "table.tex", "summary.csv")


def start(folder, mode="offline", said=None, text=FILE):
    """Starts the sweep; its output goes to a file."""
    folder.mkdir(exist_ok=True)
    (folder / "sweep.yaml").write_text(text)
    script = ROOT / "scripts" / "sweep.py"
    with (said or folder / "said.txt").open("a") as output:
        return subprocess.Popen(
            [sys.executable, str(script), str(folder / "sweep.yaml"), f"--results={folder}",
             "--retries=50", f"--wandb={mode}"],
            cwd=ROOT, stdout=output, stderr=subprocess.STDOUT,
            env=os.environ | {"COLUMNS": "300"},
        )  # fmt: skip


@contextlib.contextmanager
def running(folder, **options):
    """A sweep that does not outlive the block."""
    driver = start(folder, **options)
    try:
        yield driver
    finally:
        driver.kill()
        driver.wait()


def finish(folder, **options):
    """Sweeps to the end."""
    with running(folder, **options) as driver:
        code = driver.wait(timeout=900)
    assert code == 0, (options.get("said") or folder / "said.txt").read_text()


def pass_changes(folder, driver, changes):
    """Waits until so many changes of the folder later, or until the sweep ends."""
    seen = names(folder)
    while changes and driver.poll() is None:
        time.sleep(0.05)
        changes, seen = changes - (names(folder) != seen), names(folder)


def content(folder):
    """The bytes of what is the same each time: of all records by id, and of the table."""
    found = {}
    for run in (folder / SUITE / "runs").iterdir():
        assert records.is_complete(run), run  # nothing half made is left
        found |= {(run.name, name): (run / name).read_bytes() for name in SAME}
    return found | {("", name): (folder / SUITE / name).read_bytes() for name in TABLES}


def finished(folder):
    """The finished records, and when each was."""
    found = {}
    for path in (folder / SUITE / "runs").glob("[!.]*/result.json"):
        found[path.parent.name] = path.stat().st_mtime_ns
    return found


def names(folder):
    """All that lies in the suite's folder."""
    return {os.path.join(at, one) for at, _, files in os.walk(folder / SUITE) for one in files}


def copies(folder):
    """Folders of W&B copies, and of which record each is; "" if it is not whole."""
    found = {}
    for path in (folder / SUITE / "wandb").glob("*run-*-*"):
        found[path] = (path / MARK).read_text() if (path / MARK).exists() else ""
    return found


def moment(folder):
    """What a sweep is doing, by what lies in its folder."""
    done, made = len(finished(folder)), copies(folder)
    if "" in made.values():
        return "while a copy is made"
    if done and len(made) == done and not list((folder / SUITE / "runs").glob(".tmp-*")):
        return "after the last record" if done == RUNS else "between two programs"
    return "in training or testing" if names(folder) else "before the first file"


def litter(folder):
    """What lies in the suite's folder at the end and has no business there."""
    kept = {"runs", "wandb", ".claims", "failures.jsonl", "report.html", "table.csv", "table.md"}
    found = [path for path in (folder / SUITE).iterdir() if path.name not in kept]
    found = [path for path in found if path.name.startswith(".") or path.is_dir()]
    own = ("debug", "latest-run")  # W&B's logs, and its link to the last run
    found += [path for path in (folder / SUITE / "wandb").iterdir()
              if not path.name.startswith(own) and path not in copies(folder)]  # fmt: skip
    command = [sys.executable, str(ROOT / "scripts" / "runs.py"), f"--results={folder}", "gc"]
    told = subprocess.run([*command, "--days=0"], capture_output=True, text=True, check=True).stdout
    return [path for path in found if str(path) not in told]
