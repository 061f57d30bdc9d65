"""The W&B copy of a record, read back from the file that W&B wrote."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import wandb
from wandb_sync import records

from metajax import tracking
from metajax.tracking import content

ROOT = Path(__file__).resolve().parents[1]
CONFIG = {
    "suite": "disease", "benchmark": "heart", "learner": "maml", "seed": 1, "shots": [8, 16],
    "inner": {"lr": 0.1, "first_order": True, "opt": {"name": "sgd"}},
}  # fmt: skip


RESULT = {
    "status": "complete", "tasks": ["basel", "geneva"], "steps": 30, "protocol": "disjoint",
    "seconds": {"fit": 1.5, "evaluate": 0.25}, "hyper": {"inner_lr": 0.1, "l2": 1.0},
}  # fmt: skip
ENVIRONMENT = {
    "commit": "c0ffee" * 6 + "abcd", "modified": True, "command": "secret", "numbers_version": 1,
    "device": {"kind": "cpu"}, "cards": {"heart_uci": {"version": "1.0.0", "files": {}}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def quiet_home(tmp_path, monkeypatch):
    for name in [n for n in os.environ if n.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


def record(folder, run_id="a1b2c3", phases=("refit",)):
    home = folder / "runs" / run_id
    home.mkdir(parents=True)
    (home / "config.json").write_text(json.dumps(CONFIG))
    (home / "result.json").write_text(json.dumps(RESULT))
    (home / "environment.json").write_text(json.dumps(ENVIRONMENT))
    (home / "checkpoints" / "1").mkdir(parents=True)
    (home / "checkpoints" / "1" / "state").write_bytes(b"numbers")
    rows = [
        {"fold": 0, "phase": phase, "step": step, "train/loss": 1 / step, "validation/auroc": 0.7}
        for phase in phases for step in (10, 20, 30)
    ]  # fmt: skip
    (home / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    n = 8
    scores = {
        "shots": np.full(n, 8, np.int32), "draw": np.ones(n, np.int8),
        "episode": np.arange(n, dtype=np.int32), "task": np.arange(n, dtype=np.int32) % 2,
        "cluster": np.arange(n, dtype=np.int32) % 2,
        "auroc": np.array([0.5, 1, 0.6, np.nan, 0.7, 1, np.nan, 1], np.float32),
        "boot": np.zeros((1, 2, 5), np.float16), "boot_shots": np.array([8]),
        "boot_draw": np.array([1]), "boot_metric": np.array(["auroc"]), "boot_task": np.arange(2),
        "calibration": np.zeros((2, 2, 10, 3), np.float32), "calibration_shots": np.array([4, 8]),
    }  # fmt: skip
    scores["calibration"][1, 0, 2] = 5, 4, 20  # 8 shots, natural: 20 rows, told 0.25, 4 were ill
    scores["calibration"][1, 0, 3] = 3, 3, 9  # too few to show
    np.savez(home / "scores.npz", **scores)
    return home, rows


def read_back(folder):
    """Configuration, history rows, summary, exit code and identity of one offline run."""
    (path,) = Path(folder).glob("run-*.wandb")
    for _ in range(100):  # W&B's own process writes the last record some ms after `finish`
        if any(r.WhichOneof("record_type") == "exit" for r in records(path)):
            break
        time.sleep(0.05)
    out = {"history": [], "summary": {}, "config": {}, "exit": None, "artifacts": {}}

    def items(xs):
        return {(x.key or ".".join(x.nested_key)): json.loads(x.value_json) for x in xs}

    for r in records(path):
        kind = r.WhichOneof("record_type")
        if kind == "run":
            out |= {"id": r.run.run_id, "group": r.run.run_group, "job": r.run.job_type}
            out |= {"host": r.run.host, "git": r.run.git.remote_url, "tags": [*r.run.tags]}
            out |= {"commit": r.run.git.commit, "project": r.run.project, "sweep": r.run.sweep_id}
            out["config"] |= items(r.run.config.update)
        elif kind == "config":
            out["config"] |= items(r.config.update)
        elif kind == "history":
            out["history"].append(items(r.history.item))
        elif kind == "summary":
            out["summary"] |= items(r.summary.update)
        elif kind == "artifact":
            files = [entry.path for entry in r.artifact.manifest.contents]
            out["artifacts"][r.artifact.name] = (r.artifact.type, files)
        elif kind == "exit":
            out["exit"] = r.exit.exit_code
    return out


def table_of(folder, plot):
    """Columns and rows of the table behind a plot."""
    (path,) = Path(folder).glob(f"files/media/table/{plot}_table*.json")
    table = json.loads(path.read_text())
    return table["columns"], table["data"]


def own(names):
    return {k: v for k, v in names.items() if not k.startswith("_")}


def test_mirror_holds_what_the_record_holds(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_API_KEY", "deadbeef" * 5)
    home, rows = record(tmp_path)
    where = tracking.mirror(home, folder=tmp_path / "w")
    got = read_back(Path(where))
    assert (got["id"], got["group"], got["job"], got["exit"]) == ("a1b2c3", "disease", "maml", 0)
    own_config = {k: v for k, v in own(got["config"]).items() if k in tracking.flatten(CONFIG)}
    assert own_config == tracking.flatten(CONFIG)
    assert {k: v for k, v in own(got["config"]).items() if k not in own_config} == {
        "record": "a1b2c3", "protocol": "disjoint", "hyper.inner_lr": 0.1, "hyper.l2": 1,
        "code.commit": ENVIRONMENT["commit"], "code.modified": True, "data.heart_uci": "1.0.0",
        "device": "cpu", "numbers_version": 1,
    }  # fmt: skip
    assert got["commit"] == ENVIRONMENT["commit"] and got["project"] == "metajax"
    tags = ["heart", "disjoint", "balanced", "k=8", "k=16", "uncommitted"]
    assert sorted(got["tags"]) == sorted(tags)
    curves = [own(h) for h in got["history"] if "train/loss" in h]
    assert curves == rows
    # by hand: task 0 has .5 .6 .7 (one NaN), task 1 has 1 1 1 (one NaN)
    assert got["summary"]["balanced/auroc@8"] == pytest.approx(0.8, abs=1e-6)
    assert got["summary"]["seconds.fit"] == 1.5 and got["summary"]["status"] == "complete"
    (table,) = Path(where).glob("files/media/table/scores*.json")
    table = json.loads(table.read_text())
    assert table["columns"] == ["task", "shots", "draw", "auroc"]
    assert [r[:3] for r in table["data"]] == [["basel", 8, "balanced"], ["geneva", 8, "balanced"]]
    assert [r[3] for r in table["data"]] == pytest.approx([0.6, 1.0])
    assert table_of(where, "calibration") == (["predicted", "observed", "rows"], [[0.25, 0.2, 20]])
    columns, ((size, score),) = table_of(where, "learning_curve/auroc")
    assert (columns, size) == (["shots", "balanced auroc"], 8)
    assert score == got["summary"]["balanced/auroc@8"]
    assert got["summary"]["best/validation/auroc"] == 0.7
    assert got["artifacts"]["checkpoint-a1b2c3"] == ("model", ["1/state"])
    assert got["artifacts"]["run-a1b2c3-scores"] == ("run_table", ["scores.table.json"])
    # nothing on the console, no secret, host name or repository in any file
    assert capfd.readouterr() == ("", "")
    assert got["git"] == "" and got["host"] != socket.gethostname()
    for path in Path(where).rglob("*"):
        assert not path.is_file() or b"deadbeef" not in path.read_bytes()


def test_mirror_twice_is_one_run_and_a_torn_one_is_replaced(tmp_path):
    home, _ = record(tmp_path)
    other, _ = record(tmp_path, "x-a1b2c3")
    kept = tracking.mirror(other, folder=tmp_path / "w")
    first = Path(tracking.mirror(home, folder=tmp_path / "w"))
    assert tracking.mirror(home, folder=tmp_path / "w") == str(first)
    (first / tracking.MARK).unlink()
    (next(first.glob("*.wandb"))).write_bytes(b"torn")
    second = Path(tracking.mirror(home, folder=tmp_path / "w"))
    assert read_back(second)["exit"] == 0
    assert len(list((tmp_path / "w" / "wandb").glob("offline-run-*"))) == 2
    assert Path(kept).exists()


def test_a_record_that_was_made_again_is_copied_again(tmp_path):
    home, _ = record(tmp_path)
    tracking.mirror(home, folder=tmp_path / "w")
    result = json.loads((home / "result.json").read_text()) | {"best/validation/auroc": 0.625}
    (home / "result.json").write_text(json.dumps(result))
    second = Path(tracking.mirror(home, folder=tmp_path / "w"))
    assert read_back(second)["summary"]["best/validation/auroc"] == 0.625
    assert list((tmp_path / "w" / "wandb").glob("offline-run-*")) == [second]
    assert tracking.mirror(home, folder=tmp_path / "w") == str(second)


def test_two_processes_that_mirror_the_same_records_make_one_copy_of_each(tmp_path):
    homes = [record(tmp_path, f"run{i}")[0] for i in range(5)]
    code = (
        "import sys; from pathlib import Path; from metajax import tracking\n"
        "sys.stdin.read(1)\n"
        f"for home in {[str(home) for home in homes]}:\n"
        f"    tracking.mirror(Path(home), folder=Path({str(tmp_path / 'w')!r}))"
    )
    both = [subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, cwd=ROOT)
            for _ in range(2)]  # fmt: skip
    for one in both:
        one.stdin.write(b"x")
        one.stdin.close()
    assert [one.wait(timeout=120) for one in both] == [0, 0]
    copies = sorted((tmp_path / "w" / "wandb").glob("offline-run-*"))
    assert [(copy / tracking.MARK).read_text() for copy in copies] == [h.name for h in homes]
    assert all(list(copy.glob("files/media/table/scores*.json")) for copy in copies)


def test_wandb_reads_the_same_from_its_file(tmp_path):
    """Our reader of .wandb files against W&B's own; a torn file has no end."""
    home, rows = record(tmp_path)
    (path,) = Path(tracking.mirror(home, folder=tmp_path / "w")).glob("run-*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(list(records(path)))
    theirs = [one["history"]["item"] for one in lines if one["type"] == "history"]
    assert [own(h) for h in theirs[: len(rows)]] == rows
    assert [own(h) for h in read_back(path.parent)["history"][: len(rows)]] == rows
    path.write_bytes(path.read_bytes()[:-40])
    assert len(list(records(path))) < len(lines)
    assert not any(r.WhichOneof("record_type") == "exit" for r in records(path))


def test_many_mirrors_in_one_process_are_cheap(tmp_path):
    homes = [record(tmp_path, f"run{i}")[0] for i in range(6)]
    tracking.mirror(homes[0], folder=tmp_path / "w")
    begin = time.perf_counter()
    for home in homes[1:]:
        tracking.mirror(home, folder=tmp_path / "w")
    assert (time.perf_counter() - begin) / 5 < 1.0


def test_usual_variables_are_honoured(tmp_path, monkeypatch):
    home, _ = record(tmp_path)
    told = {"PROJECT": "p", "RUN_GROUP": "g", "JOB_TYPE": "j", "TAGS": "mine,heart"}
    for name, value in {**told, "DIR": str(tmp_path / "elsewhere")}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    where = tracking.mirror(home, mode=None, folder=tmp_path / "w")
    assert Path(where).parent == tmp_path / "elsewhere" / "wandb"
    got = read_back(Path(where))
    assert (got["project"], got["group"], got["job"]) == ("p", "g", "j")
    assert "mine" in got["tags"] and got["tags"].count("heart") == 1


def test_one_agent_run_of_three_records_loses_none(tmp_path, monkeypatch):
    """The first takes the agent's id, the others keep theirs; nothing is mirrored twice."""
    monkeypatch.setenv("WANDB_SWEEP_ID", "sw")
    monkeypatch.setenv("WANDB_RUN_ID", "agent0")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "of_the_agent"))
    wandb.teardown()  # it reads the environment once
    homes = [record(tmp_path, f"s{i}")[0] for i in range(3)]
    for _ in range(2):
        found = [tracking.mirror(h, mode="offline", folder=tmp_path / "w") for h in homes]
        got = [read_back(Path(where)) for where in found]
        assert [one["id"] for one in got] == ["agent0", "s1", "s2"]
        assert [one["config"]["record"] for one in got] == ["s0", "s1", "s2"]
        assert {one["sweep"] for one in got} == {"sw"}
    assert len(list((tmp_path / "w" / "wandb").glob("offline-run-*"))) == 3
    wandb.teardown()


def test_what_a_sweep_optimises_is_the_chosen_validation_score():
    rows = [
        {"fold": f, "phase": "select", "step": s, "validation/auroc": v, "train/loss": 1.0}
        for f, s, v in [(0, 1, 0.6), (0, 2, 0.9), (0, 3, 0.7), (1, 1, float("nan")), (1, 2, 0.5)]
    ]
    assert content.best_validation(rows) == {"best/validation/auroc": pytest.approx(0.7)}
    rows = [{"fold": 0, "step": s, "validation/mse": v} for s, v in [(1, 3.0), (2, 2.0)]]
    assert content.best_validation(rows) == {"best/validation/mse": 2.0}


def test_phases_do_not_share_a_curve(tmp_path):
    rows = [{"phase": p, "fold": 0, "step": 1, "train/loss": 2.0} for p in ("select", "refit")]
    assert [sorted(r) for r in tracking.curves(rows)] == [
        ["fold", "phase", "select/train/loss", "step"],
        ["fold", "phase", "refit/train/loss", "step"],
    ]


def test_live_tracker_writes_the_same_kind_of_run(tmp_path):
    live = tracking.start(CONFIG, mode=None, folder=tmp_path / "w", run_id="live1")
    for step in (1, 2):
        live.log(step, {"train/loss": 0.5 * step})
    live.finish({"auroc": 0.75, "seconds": {"fit": 2.0}})
    got = read_back(Path(live.folder))
    assert [own(h) for h in got["history"]] == [
        {"step": 1, "train/loss": 0.5}, {"step": 2, "train/loss": 1.0}
    ]  # fmt: skip
    assert got["summary"]["auroc"] == 0.75 and got["summary"]["seconds.fit"] == 2.0
    assert own(got["config"]) == tracking.flatten(CONFIG) and got["exit"] == 0


def test_disabled_does_not_import_wandb(tmp_path):
    code = (
        "import sys; from pathlib import Path; from metajax import tracking\n"
        f"t = tracking.start({{}}, mode=None, folder=Path({str(tmp_path)!r}), run_id='r')\n"
        "t.log(1, {'a': 1}); t.finish({'a': 1}); assert t.folder is None\n"
        "assert tracking.mirror(Path('nowhere'), mode=None, folder=Path('w')) is None\n"
        "assert 'wandb' not in sys.modules"
    )
    env = {**os.environ, "WANDB_MODE": "disabled"}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)


def test_no_key_and_no_server_go_on_offline(tmp_path, monkeypatch):
    home, rows = record(tmp_path)
    with pytest.warns(RuntimeWarning, match="going on offline"):
        where = tracking.mirror(home, mode="online", folder=tmp_path / "w")
    assert "offline-run" in where
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "deadbeef" * 5)
    monkeypatch.setitem(tracking.QUIET, "init_timeout", 2.0)
    with pytest.warns(RuntimeWarning, match="going on offline"):
        live = tracking.start(CONFIG, mode="online", folder=tmp_path / "w", run_id="live2")
    live.log(1, {"a": 1.0})
    live.finish({})
    assert "offline-run" in live.folder


def test_wandb_failing_is_a_warning(tmp_path, monkeypatch):
    home, _ = record(tmp_path)
    monkeypatch.setattr("wandb.init", lambda **kw: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.warns(RuntimeWarning, match="disk full; going on without W&B"):
        assert tracking.mirror(home, folder=tmp_path / "w") is None


def test_what_the_user_got_wrong_is_named(tmp_path, monkeypatch):
    home, _ = record(tmp_path)
    with pytest.raises(ValueError, match="offline, online, disabled; got 'onlin'"):
        tracking.mirror(home, mode="onlin", folder=tmp_path)
    monkeypatch.setenv("WANDB_MODE", "of")
    with pytest.raises(ValueError, match="got 'of'"):
        tracking.start({}, mode=None, folder=tmp_path, run_id="r")
    (home / "result.json").write_text("{")
    with pytest.raises(ValueError, match=r"record: .*a1b2c3"):
        tracking.mirror(home, folder=tmp_path)
