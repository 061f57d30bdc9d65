"""scripts/runs.py: listing, one run, two runs, leftovers, export."""

import csv
import errno
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from synthetic_runs import make_run

from metajax import disk, sources
from scripts import runs

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
    done = call(results, "ls", code=1)  # what was left out is no success
    assert done.stdout.splitlines()[-1] == "2 runs, 1 damaged" and str(torn) in done.stderr
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


@pytest.mark.parametrize("days", ["nan", "-nan", "inf", "-inf", "-0.1", "1e999"])
def test_gc_takes_no_odd_number_of_days(results, capsys, days):
    left = old_folder(results, ".tmp-old")
    code = runs.main([f"--results={results}", "gc", f"--days={days}", "--delete"])
    assert code == 2 and "--days must be 0 or more" in capsys.readouterr().err and left.exists()


def old_folder(results, name, *, days=2):
    """A leftover that nobody has touched for so long."""
    folder = results / "disease" / "runs" / name
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "x").write_bytes(b"0" * 1000)
    then = time.time() - days * 86400
    for path in (folder / "checkpoints" / "x", folder / "checkpoints", folder):
        os.utime(path, (then, then))
    return folder


CLAIM = (
    "import sys; from pathlib import Path; from metajax.disk import claim\n"
    "with claim(Path(sys.argv[1]), sys.argv[2:]): print(1, flush=True); sys.stdin.read()"
)


def test_gc_spares_what_another_process_is_making(results, capsys):
    """However old it looks: a claim is held as long as the run is made."""
    alone, several = old_folder(results, ".tmp-one"), old_folder(results, ".tmp-2-abc")
    free = old_folder(results, ".tmp-free")
    (several / "together.json").write_text('["two", "three"]')
    os.utime(several / "together.json", (0, 0))
    os.utime(several, (0, 0))
    finished = results / "disease" / "runs" / "heart-maml-s0-aa" / "checkpoints"
    finished.mkdir()
    (finished / "y").write_bytes(b"0")
    for path in (finished / "y", finished):
        os.utime(path, (0, 0))
    home = alone.parent
    command = [sys.executable, "-c", CLAIM, str(home), "one", "three", "heart-maml-s0-aa"]
    gc = [f"--results={results}", "gc", "--delete", "--checkpoints", "--days=0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"1\n"
        assert runs.main(gc) == 0
        said = capsys.readouterr()
        assert not free.exists() and alone.exists() and several.exists() and finished.exists()
        assert said.err.count("in use, kept") == 3
        other.stdin.close()
    assert runs.main(gc) == 0
    assert not alone.exists() and not several.exists() and not finished.exists()


def test_gc_looks_again_when_it_has_the_claim(results, monkeypatch):
    """A run that began and ended between the look and the claim has touched its folder."""
    left, claim = old_folder(results, ".tmp-one"), runs.disk.claim

    def late(home, names, **options):
        (left / "checkpoints" / "x").write_bytes(b"1")
        return claim(home, names, **options)

    monkeypatch.setattr(runs.disk, "claim", late)
    assert runs.main([f"--results={results}", "gc", "--delete"]) == 0
    assert (left / "checkpoints" / "x").read_bytes() == b"1"


def test_gc_follows_no_link_and_clears_half_written_files(results, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    link = results / "disease" / "runs" / ".tmp-link"
    link.symlink_to(elsewhere)
    half = results / "disease" / ".tmp-table.md-1234"
    half.write_text("half")
    os.utime(half, (0, 0))
    assert runs.main([f"--results={results}", "gc", "--delete", "--days=0"]) == 0
    assert (elsewhere / "precious").exists() and link.is_symlink() and not half.exists()


@pytest.mark.parametrize("name", ["all.csv", "all.parquet"])
def test_a_failed_export_leaves_what_was_there(results, tmp_path, monkeypatch, capsys, name):
    file = tmp_path / "out" / name
    assert runs.main([f"--results={results}", "export", str(file)]) == 0
    file.write_text("the old one")

    def full(number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(runs.disk.os, "fsync", full)
    capsys.readouterr()
    assert runs.main([f"--results={results}", "export", str(file)]) == 2
    said = capsys.readouterr().err
    assert str(file) in said and "No space left" in said
    assert file.read_text() == "the old one" and list(file.parent.iterdir()) == [file]


def test_a_spreadsheet_program_runs_nothing_of_an_export(results, tmp_path):
    evil = {"learner": "=HYPERLINK(\"http://x\")", "a": "+1+1", "b": "-2+3", "c": "@SUM(1)",
            "d": "\t=1", "e": "\r=1", "f": " =1", "numbers": [-0.5], "low": "-0.5", "up": "+7",
            "x": -0.25, "-k": "1e-3", "plain": "a-b"}  # fmt: skip
    learner = evil.pop("learner")
    make_run(tmp_path / "evil", learner, run_id="=cmd|'calc'!A0", status="diverged", **evil)
    file = tmp_path / "all.csv"
    assert runs.main([f"--results={tmp_path}", "export", str(file), "--suite=evil"]) == 0
    with file.open(newline="") as stream:
        rows = list(csv.reader(stream))
    found = dict(zip(*rows, strict=True))
    for name, value in found.items():
        for cell in (name, value):
            if cell.lstrip(" ")[:1] in tuple("=+-@\t\r"):
                float(cell)  # only numbers begin so
    assert found["id"] == "'=cmd|'calc'!A0" and found["config.a"] == "'+1+1"
    assert found["config.low"] == "-0.5" and found["config.x"] == "-0.25"
    assert found["config.up"] == "+7" and found["config.plain"] == "a-b"
    assert found["config.numbers"] == "[-0.5]"


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


def test_rm_removes_what_is_named_and_nothing_else(results, capsys):
    home = results / "disease" / "runs"
    before = sorted(path.name for path in home.iterdir())
    line = ["--results", str(results), "rm"]
    assert runs.main([*line, before[0], "--dry-run"]) == 0
    assert f"would remove {home / before[0]}" in capsys.readouterr().out
    for wrong, told in [
        ("../disease", "is no id but a path"), (str(home / before[0]), "is no id but a path"),
        (".", "is no id"), ("", "no run ''"), ("nothing", "no run 'nothing'"),
        (before[0][:-1], f"there are {before[0]}"),
    ]:  # fmt: skip
        assert runs.main([*line, before[0], wrong]) == 2
        assert told in capsys.readouterr().err, wrong
    assert sorted(path.name for path in home.iterdir()) == before
    assert runs.main([*line, before[0]]) == 0
    assert sorted(path.name for path in home.iterdir()) == before[1:]


def test_rm_leaves_what_another_process_makes(results, capsys, monkeypatch):
    def claimed(home, names, wait=True):
        raise disk.Claimed(f"another process is making a run of {home}")

    monkeypatch.setattr(disk, "claim", claimed)
    name = next((results / "disease" / "runs").iterdir()).name
    assert runs.main(["--results", str(results), "rm", name]) == 2
    assert "another process" in capsys.readouterr().err
    assert (results / "disease" / "runs" / name).exists()


def test_outdated_names_the_files_that_have_changed(results, capsys):
    first, second, third = sorted(results.glob("*/runs/*"))
    now = sources.digest(sources.ROOT / "metajax" / "losses.py")
    for folder, digest in ((first, now), (second, "0" * 12)):
        (folder / "sources.json").write_text(json.dumps({"metajax/losses.py": digest}))
    assert runs.main(["--results", str(results), "outdated"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{second.parent.parent.name}/{second.name}: metajax/losses.py"
    assert said[1].startswith("1 runs out of date") and said[2].startswith("1 runs are older")
    (third / "sources.json").write_text("[")
    assert runs.main(["--results", str(results), "outdated"]) == 1
