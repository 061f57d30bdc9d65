"""Damaged records as a user meets them: every script a process of its own, and the sweep again."""

import csv
import random
import shutil
import subprocess
import sys
from collections import Counter

import pytest
import recording
import sweeping

from metajax import records
from tests import damaged

KINDS = 24
FILE = f"""\
program: experiments/disease_prediction.py
method: grid
metric: {{name: best/validation/auroc, goal: maximize}}
parameters:
  preset: {{value: smoke}}
  benchmark: {{value: sklearn_tables}}
  learner: {{value: ridge}}
  seed: {{values: {[*range(KINDS + 2)]}}}
"""
READ = [k for k, file in damaged.FILE.items() if file not in damaged.NOT_IN_TABLES]
READ.remove("scores.npz: replicates of other tasks")  # of two tasks, as this benchmark has


def call(script, *arguments):
    """Calls a script; its exit code and what it said."""
    command = [sys.executable, str(sweeping.ROOT / "scripts" / script), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=sweeping.ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=600,
    )  # fmt: skip
    assert "Traceback" not in done.stdout, done.stdout
    return done.returncode, done.stdout


def choose(chance):
    """Kinds of damage: of every file as many."""
    files = [damaged.FILE[kind] for kind in READ]
    found = []
    for i, file in enumerate(dict.fromkeys(files)):
        mine = [kind for kind in READ if damaged.FILE[kind] == file]
        count = (KINDS + i) // len(set(files))
        found += chance.sample(mine, count)
    return found[:KINDS]


def named(bad, said):
    """How many of the damaged files are named."""
    return sum(str(path) in said for path in bad.values())


def left(bad, say):
    """Calls tables and listings over damaged records and whole ones; counts what they name."""
    folder = next(iter(bad.values())).parents[3]
    results, suite = f"--results={folder}", sweeping.SUITE
    for script in ("table.py", "report.py"):
        code, said = call(script, suite, results)
        assert code == 1 and named(bad, said) == len(bad), said
        say(f"scripts/{script}", bad, said)
    file = folder / "all.csv"
    code, said = call("runs.py", results, "export", file)
    assert code == 1 and named(bad, said) == len(bad), said
    say("scripts/runs.py export", bad, said)
    with file.open(newline="") as text:
        assert len(list(csv.DictReader(text))) == 2
    code, said = call("runs.py", results, "ls")
    looked = {k: path for k, path in bad.items() if path.name in ("config.json", "result.json")}
    assert code == 1 and named(looked, said) == len(looked), said
    say("scripts/runs.py ls", looked, said)
    before = sorted((folder / suite / "runs").rglob("*"))
    code, said = call("runs.py", results, "gc", "--days=0", "--delete")
    assert sorted((folder / suite / "runs").rglob("*")) == before, said  # they are the user's


@pytest.mark.long
def test_what_is_damaged_is_named_by_every_script_and_made_again(tmp_path):
    title = "Damaged records before every script, each a process of its own"
    with recording.record("damaged", title) as told:
        counts, by_script = Counter(), {}

        def say(script, bad, said):
            counts[script] += named(bad, said)
            by_script[script] = f"{counts[script]:4} named by {script}"
            told["named"] = "\n".join(by_script.values())

        folder, every = tmp_path / "sweep", tmp_path / "every"
        sweeping.finish(folder, text=FILE)
        wanted, home = sweeping.content(folder), folder / sweeping.SUITE / "runs"
        first, second, *others = sorted(sweeping.finished(folder))
        table = {}
        for results in (every, tmp_path / "two"):  # the two whole records alone
            for run in (first, second):
                shutil.copytree(home / run, results / sweeping.SUITE / "runs" / run)
        assert call("table.py", sweeping.SUITE, f"--results={tmp_path / 'two'}")[0] == 0
        for name in sweeping.TABLES:
            table[name] = (tmp_path / "two" / sweeping.SUITE / name).read_bytes()

        def others_intact(results):
            for name, data in table.items():
                assert (results / sweeping.SUITE / name).read_bytes() == data, name

        told["all kinds"] = f"{len(READ)} records at once, each damaged in another way"
        left(damaged.copies(every / sweeping.SUITE / "runs" / first, READ), say)
        others_intact(every)
        told["of a sweep"] = f"{KINDS} of {KINDS + 2} records, each damaged in another way"
        kinds = choose(random.Random(0))
        assert len(kinds) == len(others) == KINDS
        bad = {k: damaged.damage(k, home / run) for k, run in zip(kinds, others, strict=True)}
        left(bad, say)
        others_intact(folder)
        for kind, path in bad.items():
            for command in (["show", path.parent], ["diff", home / first, path.parent]):
                code, said = call("runs.py", f"--results={folder}", *command)
                assert code == 2 and len(said.splitlines()) == 1, (kind, said)
                counts[command[0]] += 1
        by_script["show"] = f"{counts['show']:4} by scripts/runs.py show, {counts['diff']} by diff"
        # Two torn copies, beside those of the damaged records, which are whole.
        torn = sorted(sweeping.copies(folder))[:2]
        for copy in torn:
            (log,) = copy.glob("*.wandb")
            log.write_bytes(log.read_bytes()[:-9])
        code, said = call("wandb_sync.py", f"--results={folder}", "--dry-run")
        assert code == 1 and all(str(copy) in said for copy in torn), said
        by_script["sync"] = f"{len(torn):4} torn W&B copies by scripts/wandb_sync.py"
        # The sweep names each that it cannot read, and makes what is no record any more.
        again = {k: path for k, path in bad.items() if not records.is_complete(path.parent)}
        kept = {k: path for k, path in bad.items() if k not in again}
        said = tmp_path / "said.txt"
        with sweeping.running(folder, said=said, text=FILE) as driver:
            code = driver.wait(timeout=900)
        text = said.read_text()
        assert code in (1, 2) and "Traceback" not in text, text
        assert all(f"{path.parent}" in text for path in kept.values()), text
        say("scripts/sweep.py", kept, text)
        for path in again.values():
            assert records.is_complete(path.parent)
        told["made again"] = f"{len(again)} without a result at once, {len(kept)} once removed"
        for path in kept.values():
            shutil.rmtree(path.parent)
        sweeping.finish(folder, said=said, text=FILE)
        found = sweeping.content(folder)
        told["other bytes"] = sum(found.get(key) != data for key, data in wanted.items())
        assert found == wanted
        assert not list(tmp_path.rglob("unpickled*"))
