"""The command line of a suite: what it explains, refuses, writes and skips."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tiny import modified

from metajax import commands, tables
from metajax.datasets import files
from metajax.datasets.disease import heart_uci

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "experiments" / "disease_prediction.py"
FIRST = "suite,benchmark,learner,shots,metric,mean,low,high,tasks,seeds"


@pytest.fixture(scope="module")
def script():
    """The suite's script as a module."""
    spec = importlib.util.spec_from_file_location("disease_prediction", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def command(script, tmp_path, monkeypatch, capsys):
    """Runs the script's main with flags; returns the exit code and what it printed."""
    monkeypatch.setenv("METAJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")  # no line of a message is broken in two
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("METAJAX_DATA", raising=False)

    def run(*arguments):
        line = [str(SCRIPT), f"--results={tmp_path / 'results'}", "--workers=1", *arguments]
        monkeypatch.setattr(sys, "argv", line)
        try:
            code = script.main()
        except SystemExit as stop:
            code = stop.code
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return code, said.out, said.err

    return run


def test_help_explains_every_field(command, script):
    code, out, err = command("--help")
    assert code == 0 and not err
    flags = set(re.findall(r"--[a-z0-9._-]+", out.replace("_", "-")))
    for part in ("inner", "train", "encoder", "evaluate"):
        for field in type(getattr(commands.Flags(), part)).__dataclass_fields__:
            assert f"--{part}.{field}".replace("_", "-") in flags
    told = " ".join(re.sub("[^a-z0-9:;.,()-]+", " ", out, flags=re.IGNORECASE).split())
    for sentence in (
        "Few-shot disease prediction",
        "One learner or host baseline only.",
        "step size of the inner optimiser, above 0. maml, fomaml, reptile",
        "How tasks of a step are laid out: vmap, scan, chunk:n; auto: by rule",
        "Test episodes per task, support size and draw.",
        "absent files are downloaded.",
        "Processes of one core each.",
    ):
        assert sentence in told, sentence
    assert "maml" in told and "pooled_lr" in out and "heart_uci" in out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--inner.lrr=0.1"], ["--inner.lrr", "--inner.lr"]),
        (["--trian.steps=3"], ["--trian.steps", "--train.steps"]),
        (["--learner=mamll"], ["mamll", "maml", "protonet", "lr_c0.1", "pooled_lr"]),
        (["--benchmark=heart"], ["heart", "heart_uci", "support2", "sklearn_tables"]),
        (["--preset=tiny"], ["tiny", "smoke", "quickstart", "full"]),
        (["--seed=one"], ["--seed", "one"]),
        (["--inner.first_order=maybe"], ["--inner.first", "maybe"]),
        (["stray"], ["stray"]),
    ],
)
def test_what_cannot_be_parsed_is_named_with_what_can(command, arguments, named):
    code, out, err = command(*arguments)
    assert code == 2 and not out
    for word in named:
        assert word in err, err


ONE = ("--learner=maml", "--benchmark=sklearn_tables")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--learner=protonet", "--benchmark=heart_uci", "--inner.lr=0.1"),
            "protonet has no --inner.lr; it has no hyper-parameters",
        ),
        ((*ONE, "--inner.l2=1"), "maml has no --inner.l2; it has --inner.lr, --inner.steps"),
        ((*ONE, "--train.steps=0"), "--train.steps must be above 0 and finite; got 0"),
        ((*ONE, "--train.lr=nan"), "--train.lr must be above 0 and finite; got nan"),
        ((*ONE, "--seed=-1"), "--seed must be from 0 to 4294967295; got -1"),
        ((*ONE, "--train.task_axis=chunk:7"), "got 'chunk:7' with 16 tasks"),
        ((*ONE, "--train.tasks_per_step=0"), "got 'auto' with 0 tasks"),
        ((*ONE, "--shots=0"), "--shots must be above 0 and finite; got 0"),
        ((*ONE, "--shots", "8", "5000"), "too few for 5000 shots"),
        ((*ONE, "--encoder.widths", "8", "-3"), "--encoder.widths must be above 0"),
        ((*ONE, "--workers=0"), "--workers must be at least 1; got 0"),
        (("--data-dir=/nowhere", "--benchmark=heart_uci"), "/nowhere, which is not a directory"),
    ],
)
def test_absurd_values_are_one_clear_message(command, tmp_path, arguments, message):
    code, out, err = command(*arguments)
    assert code == 2
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err, err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("named", ["METAJAX_DATA", "--data-dir", None])
def test_missing_data_says_what_to_get_and_where_to_put_it(
    command, tmp_path, monkeypatch, named
):
    def unreachable(url):
        raise OSError("no route to host")

    monkeypatch.setattr(files, "_opener", unreachable)
    (tmp_path / "data").mkdir()
    if named == "METAJAX_DATA":
        monkeypatch.setenv(named, str(tmp_path / "data"))
    more = [f"{named}={tmp_path / 'data'}"] if named == "--data-dir" else []
    code, out, err = command("--learner=lr_c0.1", "--benchmark=heart_uci", *more)
    file = heart_uci.CARD.files[0]
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1
    folder = tmp_path / ("data" if named else "cache/downloads") / "disease" / "heart_uci"
    for word in (file.url, file.sha256, str(folder), "no route to host"):
        assert word in err, err
    assert ("set METAJAX_DATA" in err) == (named is None)


def test_a_wrong_file_is_refused_and_kept(command, tmp_path, monkeypatch):
    path = tmp_path / "data" / heart_uci.CARD.files[0].path
    path.parent.mkdir(parents=True)
    path.write_text("not the file\n")
    code, out, err = command("--benchmark=heart_uci", f"--data-dir={tmp_path / 'data'}")
    assert code == 2 and err.count("\n") == 1 and heart_uci.CARD.files[0].sha256 in err
    assert path.read_text() == "not the file\n"


def check_outputs(folder, learners, shots):
    """The table, the report and the W&B copies of a finished suite."""
    csv = (folder / "table.csv").read_text()
    assert csv.startswith(FIRST)
    table = pd.read_csv(folder / "table.csv")
    whole = table[table.benchmark == "sklearn_tables"]
    assert set(whole.learner) == set(learners) and set(whole.shots) == set(shots)
    assert {"auroc", "auprc", "brier", "ece"} <= set(whole.metric)
    assert (whole.tasks == 2).all() and (whole.seeds == 1).all()
    assert (whole[whole.metric == "auroc"].eval("low <= mean <= high")).all()
    assert set(table.suite) == {"disease_prediction"}
    page = (folder / "table.md").read_text()
    assert all(learner in page for learner in learners) and "AUROC" in page
    html = (folder / "report.html").read_text()
    assert html.startswith("<!DOCTYPE html>") and "</html>" in html
    assert not re.search(r"(src|href)=.?https?:", html)  # self-contained
    runs = tables.load_runs(folder)
    assert sorted(run.config["learner"] for run in runs) == sorted(learners)
    assert len({run.result["episodes_digest"] for run in runs}) == 1
    copies = [p.name for p in (folder / "wandb").glob("offline-run-*")]
    assert len(copies) == len(learners)
    assert all(any(name.endswith(run.id) for name in copies) for run in runs)


def test_the_smoke_preset_writes_everything_once(command, tmp_path, monkeypatch):
    """Two methods and one support size on one benchmark of it, for their time."""
    arguments = (
        "--preset=smoke", "--shots=8", "--benchmark=sklearn_tables", "--methods", "ridge",
        "lr_c0.01",
    )  # fmt: skip
    code, out, err = command(*arguments)
    assert code == 0, out + err
    folder = tmp_path / "results" / "smoke-disease_prediction"
    check_outputs(folder, ["ridge", "lr_c0.01"], [8])
    assert "ridge" in out and "AUROC" in out and "table.csv" in out
    files = {n: (folder / n).read_bytes() for n in (*tables.FILES, "report.html")}
    before = {k: v for k, v in modified(folder).items() if k.name not in files}
    monkeypatch.setattr("metajax.runs._run_learner", None)
    monkeypatch.setattr("metajax.runs._run_baseline", None)
    code, out, err = command(*arguments)
    assert code == 0, out + err
    assert files == {name: (folder / name).read_bytes() for name in files}
    assert before == {k: v for k, v in modified(folder).items() if k.name not in files}
    # One of its runs alone is found as well, and writes no table.
    (folder / "table.md").unlink()
    code, out, err = command(*arguments, "--learner=lr_c0.01")
    assert code == 0 and "lr_c0.01" in out and "records: " in out
    assert not (folder / "table.md").exists()


@pytest.mark.long
def test_the_smoke_preset_in_two_worker_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("METAJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    line = [sys.executable, str(SCRIPT), "--preset=smoke", f"--results={tmp_path}"]
    line.append("--benchmark=sklearn_tables")
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    check_outputs(
        tmp_path / "smoke-disease_prediction", ["ridge", "lr_c0.1"], [4]
    )
