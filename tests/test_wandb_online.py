"""Runs, uploads and sweeps of the unmodified `wandb` against a stand-in server on loopback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from wandb_server import KEY, serve

from metajax import tracking

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "experiments" / "disease_prediction.py"
SYNC = ROOT / "scripts" / "wandb_sync.py"
SUITE = "smoke-disease_prediction"
FLAGS = ("--preset=smoke", "--learner=ridge", "--benchmark=sklearn_tables", "--workers=1")
DEAD = "http://127.0.0.1:9"


def copies(results):
    return sorted(p.name for p in (results / SUITE / "wandb").glob("*run-*-*"))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def call(home):
    """Runs a command with W&B's server, key and nothing else of W&B in its environment."""

    def run(*command, url, key=KEY, code=0, cwd=home, **more):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "METAJAX_DATA"))}
        env |= {"WANDB_BASE_URL": url, "WANDB_ERROR_REPORTING": "false", "HOME": str(home)}
        env = {"METAJAX_CACHE": str(home / "cache")} | env | {"PYTHONPATH": str(ROOT)}
        # an agent starts the first `python` there is
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
        env |= {"NETRC": str(home / "none")} | ({"WANDB_API_KEY": key} if key else {}) | more
        done = subprocess.run(
            [sys.executable, *map(str, command)], env=env, capture_output=True, text=True, cwd=cwd
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def arrived(call, tmp_path_factory):
    """What the same command left without a server, then with one; the folder of the record."""
    results = tmp_path_factory.mktemp("results")
    command = (SCRIPT, *FLAGS, f"--results={results}", "--wandb=online")
    said, left = call(*command, url=DEAD).stderr, copies(results)
    with serve() as server:
        call(*command, url=server.url)
    (folder,) = (results / SUITE / "runs").glob("[!.]*")
    return server, folder, said, left


@pytest.fixture
def results(arrived, tmp_path):
    """A results folder of one's own that holds the record."""
    home = tmp_path / "results" / SUITE
    shutil.copytree(arrived[1], home / "runs" / arrived[1].name)
    return home.parent


def test_an_online_run_arrives_whole(arrived):
    server, folder, *_ = arrived
    name, record = folder.name, tracking.read_record(folder)
    (run,) = server.runs.values()
    assert (run["name"], run["groupName"], run["jobType"]) == (name, "disease_prediction", "ridge")
    assert {"sklearn_tables", "disjoint", "natural", "balanced", "k=4"} <= set(run["tags"])
    assert run["commit"] == record.environment["commit"]
    given = {k: v for k, v in tracking.flatten(record.config).items() if v is not None}
    told = server.config(name)
    assert {k: told[k] for k in given} == given and told["hyper.l2"] == 1
    rows = [row for row in server.history[name] if "train/loss" in row]
    assert [{k: v for k, v in row.items() if k[0] != "_"} for row in rows] == record.rows
    means = tracking.task_scores(record.result, record.scores)[1]
    summary = server.summary[name]
    assert means and {k: summary[k] for k in means} == pytest.approx(means)
    assert summary["seconds.total"] == record.result["seconds"]["total"]
    # artifacts are whole: the table of scores, and every file of the checkpoint
    assert set(server.artifacts) == server.committed
    assert {f"run-{name}-scores", f"checkpoint-{name}"} <= server.committed
    checkpoints = [p for p in (folder / "checkpoints").rglob("*") if p.is_file()]
    place = f"/artifact/checkpoint-{name}/"
    sent = {k.removeprefix(place): v for k, v in server.blobs.items() if k.startswith(place)}
    assert sent == {str(p.relative_to(folder / "checkpoints")): p.read_bytes() for p in checkpoints}


def test_a_dead_server_stops_nothing(arrived):
    """The copy went on offline, and was replaced once the server was there."""
    server, folder, said, left = arrived
    assert "no server at http://127.0.0.1:9" in said and "going on offline" in said
    (before,), (after,) = left, copies(folder.parents[2])
    assert before.startswith("offline-run-") and after.startswith("run-")
    assert before.endswith(folder.name) and after.endswith(folder.name)


def test_a_server_that_goes_silent_is_asked_again(call, results):
    """What it did not take is no whole copy, so that the same command sends it once more."""
    (record,), folder = (results / SUITE / "runs").iterdir(), results / SUITE
    mirror = (
        "from pathlib import Path; from metajax import tracking\n"
        f"tracking.mirror(Path({str(record)!r}), mode='online', folder=Path({str(folder)!r}))"
    )
    impatient = mirror.replace("\n", "; tracking.QUIET['finish_timeout'] = 2.0\n")
    with serve() as server:
        server.awake.clear()
        assert "the same command copies it again" in call("-c", impatient, url=server.url).stderr
        server.awake.set()
        assert "copies it again" not in call("-c", mirror, url=server.url).stderr
        steps = [row["step"] for row in server.history[record.name] if "train/loss" in row]
        assert steps[-1] == tracking.read_record(record).rows[-1]["step"]
        before = len(server.calls)
        call("-c", mirror, url=server.url)
        assert len(server.calls) == before
    (copy,) = (folder / "wandb").glob("*run-*-*")
    assert (copy / tracking.MARK).exists()


def test_offline_runs_are_uploaded_once_each(call, results):
    (record,) = (results / SUITE / "runs").iterdir()
    names = ["a", "b", "torn"]
    for name in names:
        shutil.copytree(record, results / SUITE / "runs" / name)
        tracking.mirror(results / SUITE / "runs" / name, folder=results / SUITE)
    (torn,) = (results / SUITE / "wandb").glob("*-torn/run-torn.wandb")
    torn.write_bytes(torn.read_bytes()[:-60])
    sync = (SYNC, "--results", results)
    assert f"{torn.parent} is torn" in call(*sync, "--dry-run", url=DEAD, code=1).stderr
    assert "no server at" in call(*sync, url=DEAD, code=2).stderr
    with serve() as server:
        assert "no W&B key" in call(*sync, url=server.url, key=None, code=2).stderr
        server.refuse.add("UpsertBucket")
        assert "0 uploaded, 2 failed" in call(*sync, url=server.url, code=1).stdout
        server.refuse.clear()
        assert "2 uploaded, 0 failed" in call(*sync, url=server.url, code=1).stdout
        assert set(server.runs) == {"a", "b"}
        rows = tracking.read_record(record).rows
        for name in ("a", "b"):
            steps = [r["step"] for r in server.history[name] if "train/loss" in r]
            assert steps == [row["step"] for row in rows]
            assert {f"checkpoint-{name}", f"run-{name}-scores"} <= server.committed
        shutil.rmtree(torn.parent)
        before = len(server.calls)
        assert "2 uploaded before, 0 to upload" in call(*sync, url=server.url).stdout
        assert len(server.calls) == before
        # what W&B has is not mirrored again
        again = tracking.mirror(results / SUITE / "runs" / "a", folder=results / SUITE)
        assert list(Path(again).glob("*.synced"))


def test_sync_names_what_is_wrong(call, tmp_path):
    assert "no folder" in call(SYNC, "--results", tmp_path / "x", url=DEAD, code=2).stderr
    (tmp_path / "imaging").mkdir()
    said = call(SYNC, "--results", tmp_path, "--suite", "imagin", url=DEAD, code=2).stderr
    assert "no suite 'imagin'" in said and "imaging" in said
    suite = (SYNC, "--results", tmp_path, "--suite", "imaging")
    assert "leave out --suite" in call(*suite, url=DEAD, code=2, WANDB_DIR="x").stderr


@pytest.mark.long
def test_sweep_and_agent_run_the_experiment(call, tmp_path):
    sweep = {
        "program": str(SCRIPT), "method": "grid",
        "metric": {"name": "best/validation/auroc", "goal": "maximize"},
        "parameters": {
            "preset": {"value": "smoke"}, "benchmark": {"value": "sklearn_tables"},
            "learner": {"value": "ridge"}, "inner.l2": {"values": [0.5, 2.0]},
            "results": {"value": str(tmp_path / "results")}, "workers": {"value": 1},
        },
        "command": ["${env}", "${interpreter}", "${program}", "${args}"],
    }  # fmt: skip
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    with serve() as server:
        wandb = ("-m", "wandb")
        call(*wandb, "sweep", "--project", "metajax", tmp_path / "sweep.yaml", url=server.url,
             cwd=tmp_path)  # fmt: skip
        assert server.sweep["parameters"] == sweep["parameters"]
        call(*wandb, "agent", "--count", "2", "me/metajax/SW1", url=server.url, cwd=tmp_path)
        assert list(server.runs) == ["agent0", "agent1"]
        for i, l2 in enumerate((0.5, 2.0)):
            name = f"agent{i}"
            assert server.runs[name]["sweep"] == "SW1" and server.config(name)["inner.l2"] == l2
            record = tmp_path / "results" / SUITE / "runs" / server.config(name)["record"]
            config = json.loads((record / "config.json").read_text())
            assert config["inner"]["l2"] == l2
            means = tracking.task_scores(*tracking.read_record(record)[1::3])[1]
            assert {k: server.summary[name][k] for k in means} == pytest.approx(means)
            assert 0 < server.summary[name]["best/validation/auroc"] < 1
