"""Records of what long tests found: ``results/tests/NAME.txt``, as ``scripts/test.sh --long`` does.

    with recording.record("kills", "SIGKILLs of a sweep") as figures:
        figures["kills"] = 100
        assert lost == 0

Passed or failed, the record is written: command, date, commit, hardware, software, the figures in
the order they were set, and the result.
"""

import contextlib
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "results" / "tests"


@contextlib.contextmanager
def record(name: str, title: str, folder: Path = FOLDER) -> Iterator[dict[str, object]]:
    """Writes ``name.txt`` when the block ends, whether or not it raises.

    Args:
      name: of the file, without ``.txt``.
      title: its first line.
      folder: where it goes.

    Yields:
      The figures, to be filled in. A value of several lines is indented.
    """
    head, figures, started = surroundings(), {}, time.perf_counter()
    result = "passed"
    try:
        yield figures
    except BaseException as error:
        said = str(error).strip().splitlines() or [""]
        result = f"FAILED: {type(error).__name__}: {said[0][:200]}"
        raise
    finally:
        figures["seconds"] = round(time.perf_counter() - started)
        lines = (head | figures | {"result": result}).items()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.txt").write_text(f"{title}\n\n" + "".join(_line(*one) for one in lines))


def surroundings() -> dict[str, object]:
    """Command, date, commit, hardware and software of this very test."""
    import jax

    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    return {
        "command": f"bash scripts/test.sh --long {test}".strip(),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "commit": commit(),
        "hardware": f"{os.cpu_count()} x {_processor()}",
        "software": f"Python {platform.python_version()} jax {jax.__version__}",
    }


def commit() -> str:
    """The commit, ``-dirty`` if the tree differs in more than such records."""

    def git(*arguments):
        return subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True)

    found = git("rev-parse", "--short", "HEAD")
    if found.returncode:
        return "not a checkout"
    rest = git("diff", "--quiet", "HEAD", "--", ".", ":!results/tests")
    return found.stdout.strip() + ("-dirty" if rest.returncode else "")


def _processor() -> str:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(x.partition(": ")[2] for x in lines if x.startswith("model name"))
    return platform.machine()


def _line(key: str, value: object) -> str:
    first, *more = str(value).splitlines() or [""]
    return f"{key:<12} {first}\n" + "".join(f"{'':<12} {line}\n" for line in more)
