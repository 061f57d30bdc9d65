"""Copies to W&B made by a process of their own, which can be killed (a part of `metajax.tracking`).

W&B can hang for ever where nothing in its own process can stop it: when its service does not start,
its setup waits for a lock that it holds itself. So one process a command makes all copies, and one
that does not answer in time is ended; the run, its record and the tables do without.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, NamedTuple

import metajax
from metajax import recorded
from metajax.tracking.missing import note, settle
from metajax.tracking.session import check_settings, mode_of

START = 45.0  # seconds until W&B must be there: it waits 30 for its own service
COPY = 180.0  # seconds that a copy may take: online it may wait for a server, twice
BEFORE = 10.0  # seconds to wait for a first answer before training; the rest passes meanwhile
END = 20.0  # seconds to end by itself
REMEDY = "the records on disk are whole; `python scripts/wandb_sync.py` makes the copies later"
CODE = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from metajax.tracking.copying import serve; serve(int(sys.argv[2]))"
)


class Copier(NamedTuple):
    """One process that makes copies, as two functions.

    Attributes:
      ready: waits a little for W&B to start, and tells if it can not.
      copy: ``(folder of a record) -> folder of its copy``, None if W&B is off or could not make it.
        Raises ValueError for a damaged record.
    """

    ready: Callable[[], None]
    copy: Callable[[Path], str | None]


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=2)


@contextlib.contextmanager
def copier(
    folder: Path, *, mode: str | None, tell: Callable[[str], None] = _warn,
    start: float = START, seconds: float = COPY,
) -> Iterator[Copier]:  # fmt: skip
    """Starts the process that makes copies; it ends with the block.

    Args:
      folder: ``results/<suite>``; see `metajax.tracking.mirror`.
      mode: as there.
      tell: receives warnings. What W&B fails at is told once, and from then on no copy is tried;
        the names of the records are kept for `scripts/wandb_sync.py`.
      start: seconds until W&B must be there.
      seconds: that a copy may take.

    Raises:
      ValueError: for an unknown mode, or settings of W&B that it cannot live with.
    """
    mode = mode_of(mode)
    if mode == "disabled":
        yield Copier(lambda: None, lambda run: None)
        return
    check_settings(folder)
    child = _start()
    begun, failed, answered, done = time.monotonic(), "", False, set()

    def give_up(why: str) -> None:
        nonlocal failed
        failed = why
        child.end(0)
        tell(f"W&B: {why}; {REMEDY}")

    def wait(until: float) -> None:
        """For the first answer; what it says against W&B is told."""
        nonlocal answered
        if answered or failed or not child.answers(until):
            return
        answered = True
        why = child.answer()["failed"]
        if why:
            give_up(why)

    def ready() -> None:
        wait(begun + BEFORE)

    def copy(run_folder: Path) -> str | None:
        from metajax.tracking import copied  # it imports this module

        if (there := copied(run_folder, mode, folder)) is not None:
            done.add(run_folder.name)
            return str(there)
        wait(begun + start)
        if not answered and not failed:
            give_up(f"it did not start in {start:.0f} s (its service, wandb-core, hangs)")
        if failed:
            note(folder, run_folder.name)
            return None
        child.ask({"run": str(run_folder), "mode": mode, "folder": str(folder)})
        if not child.answers(time.monotonic() + seconds):
            give_up(f"a copy took more than {seconds:.0f} s")
            note(folder, run_folder.name)
            return None
        found = child.answer()
        if found.get("damaged"):
            raise ValueError(found["damaged"])
        for text in found.get("told", ()):
            tell(text)
        if (why := found["failed"]) or found["place"] is None:
            note(folder, run_folder.name)
            give_up(why or "it cannot be started")
            return None
        if found["whole"]:
            done.add(run_folder.name)
        else:
            note(folder, run_folder.name)
        return found["place"]

    try:
        yield Copier(ready, copy)
    except BaseException:
        child.end(0)
        raise
    child.end(0 if failed else END)
    with contextlib.suppress(OSError):
        settle(folder, done)  # of those that an earlier command could not copy


class _Child(NamedTuple):
    """The process, as functions: `answers` waits for an answer until a time, `answer` takes it."""

    ask: Callable[[dict[str, Any]], None]
    answers: Callable[[float], bool]
    answer: Callable[[], dict[str, Any]]
    end: Callable[[float], None]


def _start() -> _Child:
    ours, theirs = Pipe()
    root = str(Path(metajax.__file__).parents[1])
    # -P: a folder `wandb` lies among results. A session of its own: Ctrl-C is for the command.
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", CODE, root, str(theirs.fileno())],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()], start_new_session=True,
    )  # fmt: skip
    theirs.close()

    def ask(question: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # it is gone: the answer will say so
            ours.send(question)

    def answer() -> dict[str, Any]:
        try:
            return ours.recv()
        except (EOFError, OSError):
            process.wait()
            return {"failed": f"its process ended ({_ending(process.returncode)})"}

    def end(patience: float) -> None:
        ours.close()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            _kill([*_descendants(process.pid), process.pid])
            process.wait()

    return _Child(ask, lambda t: ours.poll(max(0.0, t - time.monotonic())), answer, end)


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _descendants(process: int) -> list[int]:
    """What a process has started, and what that has; where the kernel tells."""
    found = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError, ValueError):
            for child in map(int, path.read_text().split()):
                found += [child, *_descendants(child)]
    return found


def _kill(processes: list[int]) -> None:
    for one in processes:
        with contextlib.suppress(OSError):
            os.kill(one, signal.SIGKILL)


def serve(number: int) -> None:
    """What the process does: answers requests on this file descriptor until it is closed."""
    pipe, parent = Connection(number), os.getppid()

    def watch() -> None:
        """Ends when the command was killed: what it was copying is given some time."""
        while os.getppid() == parent:
            time.sleep(1.0)
        time.sleep(END)
        _kill(_descendants(os.getpid()))
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        _set_up()
        pipe.send({"failed": ""})
    except BaseException as error:  # noqa: BLE001  (a package of W&B that raises at import, whatever)
        pipe.send({"failed": _said(error)})
        _kill(_descendants(os.getpid()))  # W&B leaves a service that does not answer behind
        return
    while True:
        try:
            asked = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(_made(asked))


def _set_up() -> None:
    """Imports W&B and starts its service, whose failure must be an exception."""
    import wandb

    with contextlib.suppress(Exception):  # else its telemetry waits for the lock of this very setup
        from wandb.sdk.lib.service import service_process

        service_process.get_telemetry_recorder = lambda: _Plain
    wandb.setup()


class _Plain:
    """In place of W&B's telemetry, which is asked to raise what it has sent."""

    @staticmethod
    def reraise(error: BaseException) -> None:
        raise error


def _made(asked: dict[str, str]) -> dict[str, Any]:
    from metajax.tracking import MARK, mirror

    run, place = Path(asked["run"]), None
    try:
        recorded.read_config(run), recorded.read_result(run)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            place = mirror(run, mode=asked["mode"], folder=Path(asked["folder"]))
    except ValueError as error:
        return {"damaged": str(error)}
    except BaseException as error:  # noqa: BLE001
        return {"failed": _said(error), "place": None}
    told = [str(one.message) for one in caught if issubclass(one.category, RuntimeWarning)]
    whole = place is not None and (Path(place) / MARK).exists()
    return {"failed": "", "place": place, "told": told, "whole": whole}


def _said(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
