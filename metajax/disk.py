"""Files written whole or not at all, and claims on what is being made; without JAX.

What a user keeps is never written in place: a full disk or a kill in the middle would leave half of
it and nothing of what was there before.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import hashlib
import json
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

# What spreadsheet programs take for the beginning of a formula (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
STALE = 3600.0  # seconds after which what a killed process wrote aside is cleared away


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Makes every OSError name the file: writing to a full disk does not say where.

    Raises:
      OSError: what was raised, of the same kind.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None and ".tmp-" not in str(error.filename):
            raise
        if error.errno is None:  # numpy's and zipfile's own
            raise OSError(f"{path}: {error}") from error
        raise OSError(error.errno, error.strerror, str(path)) from error


def write(path: Path, content: str | bytes) -> None:
    """Writes one file, see `write_all`."""
    write_all({path: content})


def write_json(path: Path, content: Any) -> None:
    """Writes JSON with sorted keys, see `write_all`."""
    write(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def write_all(files: Mapping[Path, str | bytes]) -> None:
    """Writes files that belong together: all of them aside, then each is renamed into place.

    Whatever fails before the first rename (a full disk, a quota, a folder in the way) leaves every
    file as it was, and nothing beside them.

    Args:
      files: content by path, text in UTF-8; folders must exist.

    Raises:
      OSError: naming the file.
    """
    aside: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            with naming(path):
                target = Path(os.path.realpath(path))  # a link stays one
                _check(target)
                aside[target] = _aside(target, content)
        for target, temporary in aside.items():
            with naming(target):
                os.replace(temporary, target)
    finally:
        for temporary in aside.values():
            temporary.unlink(missing_ok=True)
    for folder in {target.parent for target in aside}:  # a power cut must not undo the renames
        with contextlib.suppress(OSError):  # not every file system can
            number = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)


def cell(value: Any) -> Any:
    """A value as a cell of a CSV file that a spreadsheet program shows and does not run.

    Text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return, and is no number,
    gets an apostrophe before it; everything else stays as it is.
    """
    if not isinstance(value, str) or not value.lstrip(" ").startswith(FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def _check(target: Path) -> None:
    """Raises OSError for what a rename would not refuse, or refuse too late."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is no regular file", str(target))
    if not os.access(target, os.W_OK):  # whoever protected it meant it
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))


def _aside(target: Path, content: str | bytes) -> Path:
    """Writes a file under a name of its own beside the target, down to the disk."""
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    stem = f".tmp-{target.name[:100]}-"
    for old in target.parent.glob(f"{glob.escape(stem)}*"):
        with contextlib.suppress(OSError):  # another process is clearing up, too
            if time.time() - old.stat().st_mtime > STALE:
                old.unlink()
    temporary = target.with_name(f"{stem}{secrets.token_hex(4)}")
    number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with open(number, "wb") as file:
            if target.exists():
                os.fchmod(number, stat.S_IMODE(target.stat().st_mode))
            file.write(data)
            file.flush()
            os.fsync(number)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


class Claimed(Exception):
    """Another process is making one of these runs."""


@contextlib.contextmanager
def claim(home: Path, names: Iterable[str], *, wait: bool = True) -> Iterator[None]:
    """Keeps runs from all other processes until the end, or until this process dies.

    A byte of ``.claims`` beside `home` stands for each run; those of a dead process are freed.

    Args:
      home: the folder of the records.
      names: ids of the runs.
      wait: until they are free; otherwise raise.

    Raises:
      Claimed: if one of them is taken, unless told to wait.
    """
    places = sorted(int(hashlib.sha256(name.encode()).hexdigest()[:12], 16) for name in names)
    with (home.parent / ".claims").open("ab") as file:
        for place in places:  # in order: two that wait for each other's would wait for ever
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, place)
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    raise Claimed(f"another process is making a run of {home}") from error
                if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                    raise  # a file system without locks has no claims
        yield
