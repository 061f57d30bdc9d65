"""scripts/runs.py: listing, one run, two runs, leftovers, export."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from synthetic_runs import make_run

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "runs.py"


def script(*arguments, code=0, path=SCRIPT):
    done = subprocess.run(
        [sys.executable, str(path), *map(str, arguments)], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(SCRIPT.parents[1])},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def results(tmp_path):
    make_run(tmp_path / "disease", "maml", run_id="heart-maml-s0-aa", episodes=9)
    make_run(tmp_path / "disease", "maml", 1, run_id="heart-maml-s1-bb", episodes=9)
    make_run(tmp_path / "imaging", "ridge", run_id="derm-ridge-s0-cc", status="diverged")
    return tmp_path


def call(results, *arguments, code=0):
    return script("--results", results, *arguments, code=code)


def test_ls_lists_what_can_be_read_and_names_what_cannot(results):
    torn = results / "disease" / "runs" / "heart-maml-s1-bb" / "result.json"
    torn.write_text('{"status"')
    done = call(results, "ls")
    assert done.stdout.splitlines()[-1] == "2 runs" and str(torn) in done.stderr
    assert [line.split()[:3] for line in done.stdout.splitlines()[1:3]] == [
        ["disease", "heart-maml-s0-aa", "complete"], ["imaging", "derm-ridge-s0-cc", "diverged"]
    ]  # fmt: skip
    assert call(results, "ls", "--suite", "imaging").stdout.endswith("\n1 runs\n")


def test_show_and_diff(results):
    shown = json.loads(call(results, "show", "heart-maml-s0").stdout)
    assert shown["config"]["seed"] == 0 and 0 < shown["scores"]["balanced/auroc@8"] < 1
    told = call(results, "diff", "heart-maml-s0", "heart-maml-s1").stdout
    assert "config.seed: 0 -> 1\n" in told and "scores.natural/auroc@8: " in told
    assert "config.learner" not in told and "environment." not in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "heart-maml"), "2 runs begin with 'heart-maml': disease/heart-maml-s0-aa"),
        (("show", "nothing"), "no run 'nothing'"),
        (("ls", "--suite", "imagin"), "no suite 'imagin' in"),
        (("export", "x.xlsx"), "must end in .csv or .parquet"),
        (("gc", "--days", "-1"), "--days must be 0 or more"),
        (("prune",), "invalid choice"),
    ],
)
def test_mistakes_are_one_message(results, arguments, message):
    assert message in call(results, *arguments, code=2).stderr


def test_no_results_folder(tmp_path):
    assert "no folder" in call(tmp_path / "none", "ls", code=2).stderr


def test_gc_spares_what_may_be_running(results):
    home = results / "disease" / "runs"
    old, new = home / ".tmp-old", home / ".tmp-new"
    for folder in (old, new):
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints" / "x").write_bytes(b"0" * 1000)
    then = time.time() - 2 * 86400
    for path in (old / "checkpoints" / "x", old):
        os.utime(path, (then, then))
    assert str(old) in call(results, "gc").stdout and old.exists()
    call(results, "gc", "--delete")
    assert not old.exists() and new.exists() and (home / "heart-maml-s0-aa").exists()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_export_holds_the_same_numbers(results, tmp_path, kind):
    file = tmp_path / f"all.{kind}"
    call(results, "export", file)
    if kind == "csv":
        rows = list(csv.DictReader(file.read_text().splitlines()))
    else:
        pandas = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        rows = pandas.read_parquet(file).to_dict("records")
    assert [one["id"] for one in rows] == [
        "heart-maml-s0-aa", "heart-maml-s1-bb", "derm-ridge-s0-cc"
    ]  # fmt: skip
    shown = json.loads(call(results, "show", "heart-maml-s0").stdout)
    assert float(rows[0]["balanced/brier@16"]) == shown["scores"]["balanced/brier@16"]
    assert rows[0]["config.learner"] == "maml" and int(rows[1]["config.seed"]) == 1


@pytest.mark.long
def test_five_thousand_runs_are_listed_in_two_seconds(tmp_path):
    home = make_run(tmp_path / "one", status="diverged")
    parts = {name: (home / name).read_bytes() for name in ("config.json", "result.json")}
    runs = tmp_path / "results" / "suite" / "runs"
    for i in range(5000):
        (runs / f"run-{i:04}").mkdir(parents=True)
        for name, content in parts.items():
            (runs / f"run-{i:04}" / name).write_bytes(content)
    spent = []
    for _ in range(3):
        began = time.perf_counter()
        done = script("--results", tmp_path / "results", "ls")
        spent.append(time.perf_counter() - began)
    assert done.stdout.endswith("\n5000 runs\n")
    assert min(spent) < 2.0, spent


def test_a_listing_imports_nothing_heavy():
    spec = importlib.util.spec_from_file_location("runs_script", SCRIPT)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    code = f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import runs\n"
    code += "assert not {'jax', 'numpy', 'pandas', 'wandb'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
