"""What a script finds around it: settings, home, search path; looked at before all else (floor 0).

    from metajax import surroundings

    surroundings.check()

are the first lines of every script: jax and matplotlib read their settings when they are imported,
and what they cannot read would be a traceback, or (``XLA_FLAGS``) the end of the process.
`guarded` is around every ``main``. Nothing heavy is imported here.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import parent_process
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Prints nothing and ends with 0 where XLA knows all flags; else XLA ends it.
PROBE = "from jax.extend.backend import get_compile_options as get; get(1, 1)"
# They stop at values that are meant here: a missing cell is NaN, an absent class is -inf.
STOPPING = ("JAX_DEBUG_NANS", "JAX_DEBUG_INFS")
OFF = ("", "0", "n", "no", "f", "false", "off")


def fail(message: object) -> int:
    """Prints one message to standard error and returns the exit code of a user's mistake."""
    if isinstance(message, OSError) and message.errno in (errno.ENOSPC, errno.EDQUOT):
        message = f"{message}; what is finished stays: make room, then give the same command again"
    sys.stderr.write(f"error: {printable(message)}\n")
    return 2


def printable(message: object) -> str:
    """A text without what a terminal obeys instead of showing: a user's cells may hold it."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in str(message))


def check(*, jax: bool = True) -> None:
    """Makes a script's surroundings safe; ends the process with one line if that cannot be.

    The current folder leaves Python's search path: nothing that lies among results is imported.

    Args:
      jax: the script needs it; imports it.

    Raises:
      SystemExit: code 2, for settings that jax or XLA cannot read, or devices that are not there.
    """
    _leave_current_folder()
    os.environ["MPLBACKEND"] = "agg"  # figures become files; no window is ever opened
    for stream in (sys.stdout, sys.stderr):  # a terminal of ASCII is no reason to lose a table
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")
    try:
        if jax:
            _check_jax()
    except ValueError as error:
        raise SystemExit(fail(error)) from None


def guarded(main: Callable[..., int]) -> Callable[..., int]:
    """A script's main whose mistakes of a user are one line and exit code 2, without a traceback.

    An interruption is 130; a reader that has seen enough, say ``head``, is no mistake.
    """

    @functools.wraps(main)
    def call(*given, **named) -> int:
        try:
            return main(*given, **named)
        except BrokenPipeError:
            sys.stdout = None
            return 0
        except (ValueError, OSError, ModuleNotFoundError, RecursionError) as error:
            return fail(error)
        except MemoryError as error:
            return fail(f"there is too little memory: {error or 'lower what the flags ask for'}")
        except KeyboardInterrupt:
            sys.stderr.write("interrupted; the same command goes on from here\n")
            return 130

    return call


def _leave_current_folder() -> None:
    """Takes the current folder from the search path, unless the script or the package lies there.

    An empty part of PYTHONPATH puts it there, ``python -m`` too. The script's own folder is on the
    path, whatever PYTHONSAFEPATH says: scripts import their neighbours.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError:  # it was deleted meanwhile
        here = None
    script = Path(sys.argv[0] or ".").resolve().parent
    if here not in (script, ROOT):
        sys.path[:] = [one for one in sys.path if one not in ("", ".") and Path(one) != here]
    if script.parent == ROOT and str(script) not in sys.path:
        sys.path.insert(0, str(script))
    if given := os.environ.get("PYTHONPATH"):
        parts = [part for part in given.split(os.pathsep) if part and os.path.isabs(part)]
        os.environ["PYTHONPATH"] = os.pathsep.join(parts)


def _check_jax() -> None:
    """Imports jax, and says which of its settings it cannot live with.

    Raises:
      ValueError: naming them.
    """
    for name in STOPPING:
        if os.environ.get(name, "").lower() not in OFF:
            raise ValueError(f"{name}={os.environ[name]} stops at missing cells, which are NaN, "
                             f"and at absent classes, which are -inf: unset {name}")  # fmt: skip
    try:
        import jax
    except (ValueError, TypeError) as error:
        raise ValueError(f"jax refuses its settings: {error}; mend or unset it") from None
    flags = os.environ.get("XLA_FLAGS", "")
    if flags and parent_process() is None and (told := _xla_refuses(flags)):
        raise ValueError(f"XLA_FLAGS={flags} is refused: {told}; mend or unset XLA_FLAGS")
    for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME"):
        given = os.environ.get(name, "")
        if given.strip().lower() not in ("", "cpu"):
            try:
                jax.devices()
            except (RuntimeError, AssertionError) as error:
                told = str(error).partition(" (set JAX_PLATFORMS")[0] or "it is not installed"
                raise ValueError(f"{name}={given}: {told}; name what is there (cpu), or unset "
                                 f"{name}") from None  # fmt: skip


@functools.cache
def _xla_refuses(flags: str) -> str:
    """What XLA has against its flags; empty: nothing. It would end this very process."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROBE], capture_output=True, text=True, errors="replace",
        check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if "flag" in line.lower()]
    return (lines or done.stderr.splitlines() or ["unknown flags"])[-1].rpartition("] ")[2]


def cache_root() -> Path:
    """Where downloads, prepared data and programs are kept: METAJAX_CACHE, or the user's cache.

    Who has no home has a folder of their own among the temporary files.
    """
    if given := os.environ.get("METAJAX_CACHE"):
        return expanded(given)
    try:
        home = Path.home() if os.environ.get("HOME", "~") else Path()  # HOME= would be /
    except RuntimeError:
        home = Path()
    if home.is_absolute() and home.is_dir():
        return home / ".cache" / "metajax"
    return Path(tempfile.gettempdir()) / f"metajax-{os.getuid()}"


def expanded(path: str) -> Path:
    """A path with its ``~``; as it stands, where nobody knows a home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def suite_name(name: str) -> str:
    """A name of a suite: that of a folder of results, and nothing else.

    Raises:
      ValueError: for a path, a pattern or a hidden folder.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"a suite is the name of a folder in --results, such as quickstart; got "
                         f"{name!r}")  # fmt: skip
    return name
