"""W&B that hangs, dies or is broken: the run goes on, the reason is told, the copy comes later."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import wandb

from metajax import tracking
from metajax.tracking import copying
from scripts import wandb_sync
from tests.damaged import FILE, copies
from tests.synthetic_runs import make_run

PACKAGE = Path(wandb.__file__).parent
SECONDS = f"1000.{os.getpid()}"  # tests of other processes have others
SLEEPS = f"#!/bin/sh\nexec sleep {SECONDS}\n"


@pytest.fixture(autouse=True)
def quiet_home(tmp_path, monkeypatch):
    for name in [n for n in os.environ if n.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


def with_core(tmp_path, monkeypatch, text, mode=0o755):
    """The W&B that child processes import has another wandb-core; None: none at all."""
    package = tmp_path / "path" / "wandb"
    (package / "bin").mkdir(parents=True)
    for path in PACKAGE.iterdir():
        if path.name != "bin":
            (package / path.name).symlink_to(path)
    if text is not None:
        (package / "bin" / "wandb-core").write_text(text)
        (package / "bin" / "wandb-core").chmod(mode)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))


def with_package(tmp_path, monkeypatch, text):
    """The W&B that child processes import is this."""
    (tmp_path / "path" / "wandb").mkdir(parents=True)
    (tmp_path / "path" / "wandb" / "__init__.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))


def sleepers():
    """Processes of this user that sleep as a hanging wandb-core does."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += [path] if path.read_bytes() == f"sleep\0{SECONDS}\0".encode() else []
    return found


def tried(tmp_path, count=2, **limits):
    """Copies so many records; what was told, and the seconds it took."""
    runs = [make_run(tmp_path / "suite", seed=i, episodes=3) for i in range(count)]
    told, started = [], time.monotonic()
    with tracking.copier(tmp_path / "suite", mode="offline", tell=told.append, **limits) as copier:
        found = [copier.copy(run) for run in runs]
    return found, told, time.monotonic() - started, [run.name for run in runs]


BROKEN = {
    "a core that sleeps": (with_core, SLEEPS, "did not start in 3 s"),
    "a core that exits": (with_core, "#!/bin/sh\nexit 3\n", "wandb-core exited with code 3"),
    "a core that is no program": (with_core, "hello", "Exec format error"),
    "no core": (with_core, None, "wandb-core"),
    "a package that raises": (with_package, "raise RuntimeError('broken')", "broken"),
    "a package that exits": (with_package, "raise SystemExit(4)", "SystemExit: 4"),
    "a package that dies": (with_package, "import os; os._exit(5)", "exit code 5"),
    "a package that is killed": (
        with_package, "import os; os.kill(os.getpid(), 9)", "ended (signal 9)"),
    "a package that is empty": (with_package, "", "AttributeError"),
    "a package that hangs": (with_package, "import time; time.sleep(1000)", "did not start in 3 s"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_start_is_told_once_and_kept_for_later(tmp_path, monkeypatch, name):
    make, text, reason = BROKEN[name]
    before = len(sleepers())
    make(tmp_path, monkeypatch, text)
    limit = {"start": 3.0} if "did not start" in reason else {}
    found, told, seconds, names = tried(tmp_path, **limit)
    assert found == [None, None] and seconds < 30
    assert len(told) == 1 and reason in told[0] and "scripts/wandb_sync.py" in told[0]
    assert tracking.noted(tmp_path / "suite") == names
    assert len(sleepers()) == before  # the service went with the process


def test_a_service_that_wandb_gives_up_is_not_left_behind(tmp_path, monkeypatch):
    with_core(tmp_path, monkeypatch, SLEEPS)
    monkeypatch.setenv("WANDB_X_SERVICE_WAIT", "2")
    found, told, _, _ = tried(tmp_path, count=1)
    assert found == [None] and "Failed to read port info after 2" in told[0]
    time.sleep(0.5)
    assert not sleepers()


def test_a_core_that_may_not_run_is_named(tmp_path, monkeypatch):
    with_core(tmp_path, monkeypatch, SLEEPS, mode=0o644)
    found, told, _, _ = tried(tmp_path)
    assert found == [None, None] and len(told) == 1 and "Permission denied" in told[0]


def test_a_copy_that_hangs_is_ended(tmp_path, monkeypatch):
    """W&B starts and then stops to answer: its service is stopped by a signal meanwhile."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(
        "import sys, time\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'wandb.proto.never': pass\n"
        "import metajax.tracking as t\n"
        "t._replay = lambda *given: time.sleep(1000)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    found, told, seconds, names = tried(tmp_path, seconds=3.0)
    assert found == [None, None] and seconds < 40
    assert len(told) == 1 and "a copy took more than 3 s" in told[0]
    assert tracking.noted(tmp_path / "suite") == names


def test_the_same_command_and_wandb_sync_make_them_later(tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        with_package(tmp_path, patch, "raise RuntimeError('broken')")
        _, _, _, names = tried(tmp_path)
    suite = tmp_path / "suite"
    with tracking.copier(suite, mode="offline") as copier:  # one of them by the command
        copier.ready()
        place = copier.copy(suite / "runs" / names[0])
    assert place is not None and (Path(place) / tracking.MARK).read_text() == names[0]
    assert tracking.noted(suite) == names[1:]  # what the command has made is not asked for again
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    results = f"--results={tmp_path}"
    assert wandb_sync.main([results, "--dry-run"]) == 0
    assert "1 copies to make" in capsys.readouterr().out
    assert wandb_sync.main([results]) == 2  # there is no server, but the copies are made
    said = capsys.readouterr()
    assert "1 copies made, 0 still missing" in said.out and "no server at" in said.err
    assert tracking.noted(suite) == [] and not (suite / ".uncopied").exists()
    marks = sorted(p.read_text() for p in suite.glob(f"wandb/offline-run-*/{tracking.MARK}"))
    assert marks == sorted(names)


def test_wandb_sync_ends_where_the_service_hangs(tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        with_package(tmp_path / "a", patch, "raise RuntimeError('broken')")
        _, _, _, names = tried(tmp_path)
    with_core(tmp_path / "b", monkeypatch, SLEEPS)
    monkeypatch.setattr(copying, "START", 2.0)
    with tracking.copier(tmp_path / "suite", mode="offline", tell=print, start=2.0) as copier:
        assert copier.copy(tmp_path / "suite" / "runs" / names[0]) is None
    with pytest.raises(ConnectionError, match="did not start in 2 s"):
        wandb_sync.check_server()


def test_a_healthy_copy_is_cheap_and_told_of_nothing(tmp_path):
    found, told, _, names = tried(tmp_path, count=12)
    assert told == [] and not (tmp_path / "suite" / ".uncopied").exists()
    assert [(Path(one) / tracking.MARK).read_text() for one in found] == names
    runs = [tmp_path / "suite" / "runs" / name for name in names]
    started = time.monotonic()
    with tracking.copier(tmp_path / "suite", mode="offline") as copier:
        assert [copier.copy(run) for run in runs] == found  # without asking W&B
    assert time.monotonic() - started < 10


def test_a_damaged_record_is_named_and_the_next_is_copied(tmp_path):
    whole = make_run(tmp_path / "suite", episodes=3, shots=(8,))
    kinds = [kind for kind, file in FILE.items() if file != "predictions.npz"]
    kinds = [kind for kind in kinds if kind != "environment.json: absent"]  # a copy does without
    bad = copies(whole, kinds)
    with tracking.copier(tmp_path / "suite", mode="offline") as copier:
        for kind, path in bad.items():
            try:
                copier.copy(path.parent)
            except ValueError as error:
                told = str(error)
            else:
                pytest.fail(kind)
            assert str(path) in told, kind
        assert copier.copy(whole) is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODE", "onlin"), ("BASE_URL", "junk"), ("BASE_URL", "ftp://a.b"), ("BASE_URL", "http://"),
        ("BASE_URL", "http://a b"), ("BASE_URL", "http://a:port"), ("ENTITY", "my team"),
        ("ENTITY", "a/b"), ("PROJECT", "a/b"), ("PROJECT", "x" * 129),
        ("DIR", "/proc/nowhere"), ("DIR", "/dev/null"),
    ],
)  # fmt: skip
def test_settings_are_refused_before_anything_starts(tmp_path, monkeypatch, name, value):
    monkeypatch.setenv(f"WANDB_{name}", value)
    words = "W&B mode must be one of" if name == "MODE" else f"WANDB_{name}"
    with pytest.raises(ValueError, match=words), tracking.copier(tmp_path, mode=None):
        pytest.fail("begun")
    with tracking.copier(tmp_path, mode="disabled") as copier:  # then they are of no interest
        assert copier.copy(tmp_path) is None


def test_a_setting_that_only_wandb_can_judge_is_told_before_training(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "soon")
    told = []
    with tracking.copier(tmp_path, mode=None, tell=told.append) as copier:
        copier.ready()
        assert len(told) == 1 and "init_timeout" in told[0]


def test_the_process_ends_when_the_command_is_killed(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from metajax import tracking\n"
        "with tracking.copier(Path(sys.argv[1]), mode='offline') as copier:\n"
        "    copier.ready(); print(1, flush=True); time.sleep(1000)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"1\n"
        children = copying._descendants(parent.pid)
        assert children
        parent.send_signal(signal.SIGKILL)
    for _ in range(100):
        if not any(Path(f"/proc/{child}/exe").exists() for child in children):
            return
        time.sleep(0.1)
    pytest.fail("it is still there")
