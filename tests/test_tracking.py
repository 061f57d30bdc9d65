"""The W&B copy of a record, read back from the file that W&B wrote."""

import json
import os
import socket
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from metajax import tracking

CONFIG = {
    "suite": "disease", "benchmark": "heart", "learner": "maml", "seed": 1, "shots": [8, 16],
    "inner": {"lr": 0.1, "first_order": True, "opt": {"name": "sgd"}},
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
    result = {"status": "complete", "tasks": ["basel", "geneva"], "steps": 30,
              "seconds": {"fit": 1.5, "evaluate": 0.25}}  # fmt: skip
    (home / "result.json").write_text(json.dumps(result))
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
    }  # fmt: skip
    np.savez(home / "scores.npz", **scores)
    return home, rows


def wandb_records(path):
    """LevelDB framing: 7-byte header, 32 KiB blocks, pieces of (crc32(type + data), len, type)."""
    from wandb.proto import wandb_internal_pb2

    data, at, buffer = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        crc, size, kind = struct.unpack("<IHB", data[at : at + 7])
        chunk = data[at + 7 : at + 7 + size]
        whole = len(chunk) == size and zlib.crc32(chunk, zlib.crc32(bytes([kind]))) == crc
        if kind == 0 or not whole:
            return
        at, buffer = at + 7 + size, buffer + chunk
        if kind in (1, 4):  # a full record, or the last piece of one
            yield wandb_internal_pb2.Record.FromString(buffer)
            buffer = b""


def read_back(folder):
    """Configuration, history rows, summary, exit code and identity of one offline run."""
    (path,) = Path(folder).glob("run-*.wandb")
    for _ in range(100):  # W&B's own process writes the last record some ms after `finish`
        if any(r.WhichOneof("record_type") == "exit" for r in wandb_records(path)):
            break
        time.sleep(0.05)
    out = {"history": [], "summary": {}, "config": {}, "exit": None}

    def items(xs):
        return {(x.key or ".".join(x.nested_key)): json.loads(x.value_json) for x in xs}

    for r in wandb_records(path):
        kind = r.WhichOneof("record_type")
        if kind == "run":
            out |= {"id": r.run.run_id, "group": r.run.run_group, "job": r.run.job_type}
            out |= {"host": r.run.host, "git": r.run.git.remote_url}
            out["config"] |= items(r.run.config.update)
        elif kind == "config":
            out["config"] |= items(r.config.update)
        elif kind == "history":
            out["history"].append(items(r.history.item))
        elif kind == "summary":
            out["summary"] |= items(r.summary.update)
        elif kind == "exit":
            out["exit"] = r.exit.exit_code
    return out


def own(names):
    return {k: v for k, v in names.items() if not k.startswith("_")}


def test_mirror_holds_what_the_record_holds(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_API_KEY", "deadbeef" * 5)
    home, rows = record(tmp_path)
    where = tracking.mirror(home, folder=tmp_path / "w")
    got = read_back(Path(where))
    assert (got["id"], got["group"], got["job"], got["exit"]) == ("a1b2c3", "disease", "maml", 0)
    assert own(got["config"]) == tracking.flatten(CONFIG)
    assert got["config"]["inner.opt.name"] == "sgd"
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


def test_many_mirrors_in_one_process_are_cheap(tmp_path):
    homes = [record(tmp_path, f"run{i}")[0] for i in range(6)]
    tracking.mirror(homes[0], folder=tmp_path / "w")
    begin = time.perf_counter()
    for home in homes[1:]:
        tracking.mirror(home, folder=tmp_path / "w")
    assert (time.perf_counter() - begin) / 5 < 1.0


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
    with pytest.raises(ValueError, match="record .*a1b2c3"):
        tracking.mirror(home, folder=tmp_path)
