"""What is inside raw files, read in memory: nothing is extracted to the disk, nothing unpickled."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from metajax.datasets.files import MAX_BYTES, DataError

# What a damaged archive makes the standard library raise; ValueError: undecodable names.
_BROKEN = (OSError, EOFError, KeyError, RuntimeError, ValueError, zlib.error, lzma.LZMAError,
           zipfile.BadZipFile, tarfile.TarError)  # fmt: skip


def read(path: str | os.PathLike, member: str | None = None) -> bytes:
    """The bytes of a raw file, decompressed in memory (nothing is extracted to the disk).

    Args:
      path: a plain, ``.gz`` or ``.zip`` file.
      member: the name inside a zip archive.

    Returns:
      The uncompressed content, at most `MAX_BYTES`.

    Raises:
      DataError: not readable as its suffix says, no such member, a member whose name leads out of
        the archive's folder (see `members`), or too large.
    """
    path = Path(path)
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                _inside(path, archive.namelist())
                with archive.open(member or "") as stream:
                    content = stream.read(MAX_BYTES + 1)
        else:
            with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as stream:
                content = stream.read(MAX_BYTES + 1)
    except DataError:
        raise
    except _BROKEN as error:
        what = f"{path}, member {member}" if member else f"{path}"
        raise DataError(f"cannot read {what}: {error}") from error
    if len(content) > MAX_BYTES:
        raise DataError(f"{path} holds more than {MAX_BYTES} bytes: not the file meant")
    return content


def members(path: str | os.PathLike, suffix: str = "") -> dict[str, bytes]:
    """The files inside a zip or tar archive by name, in memory, in the order of their names.

    Args:
      path: ``.zip``, ``.tar``, ``.tar.gz`` or ``.tgz``.
      suffix: only names that end so are read.

    Raises:
      DataError: not a whole archive, more than `MAX_BYTES` in all, or a member whose name leads out
        of the archive's folder (an absolute path or ``..``): such an archive is refused as a whole.
    """
    path = Path(path)
    found: dict[str, bytes] = {}
    room = MAX_BYTES
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                _inside(path, archive.namelist())
                names = [each.filename for each in archive.infolist() if not each.is_dir()]
                for name in (n for n in names if n.endswith(suffix)):
                    found[name] = _limited(path, archive.open(name), room)
                    room -= len(found[name])
        else:
            unpack = gzip.open if path.suffix in (".gz", ".tgz") else open
            # One pass: going back in a compressed file would begin it anew.
            with unpack(path, "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
                for each in archive:
                    _inside(path, [each.name])
                    if each.isfile() and each.name.endswith(suffix):
                        found[each.name] = _limited(path, archive.extractfile(each), room)
                        room -= len(found[each.name])
                while stream.read(1 << 20):  # its checksum stands at its very end
                    pass
    except DataError:
        raise
    except _BROKEN as error:
        raise DataError(f"cannot read {path}: {error}") from error
    return dict(sorted(found.items()))


def _inside(path: Path, names: list[str]) -> None:
    """Refuses member names that would lead out of the folder an archive is unpacked into."""
    for name in names:
        parts = name.replace("\\", "/").split("/")
        if ".." in parts or parts[0] == "" or re.match("[A-Za-z]:", name):
            raise DataError(
                f"{path} has a member named {name!r}, which leads out of its folder: refused. "
                "Remedy: get the archive from its official address"
            )


def _limited(path: Path, stream: IO[bytes], room: int) -> bytes:
    """Reads a member as long as the whole archive stays below `MAX_BYTES`."""
    with stream:
        content = stream.read(room + 1)
    if len(content) > room:
        raise DataError(f"{path} holds more than {MAX_BYTES} bytes: not the file meant")
    return content


def arrays(path: str | os.PathLike, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Arrays of an npz file; pickled objects are never loaded.

    Args:
      path: the file.
      names: the arrays that it must have.

    Raises:
      DataError: not an npz file, an array that is absent, or one that is a pickled object.
    """
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
            absent = [name for name in names if name not in archive.files]
            if absent:
                raise DataError(f"{path} has no array {', '.join(absent)}; it has {archive.files}")
            return {name: archive[name] for name in names}
    except DataError:
        raise
    except (*_BROKEN, TypeError) as error:  # TypeError: a plain npy file is no archive
        raise DataError(
            f"cannot read {path} as an npz file of plain arrays: {error}. Remedy: get it from its "
            "official address"
        ) from error


def frame(path: str | os.PathLike, columns: Sequence[str], **options: Any) -> pd.DataFrame:
    """A csv or tsv file (also ``.gz``) as text cells, exactly as they stand in the file.

    Args:
      path: the file; ``.tsv`` in its name means tabs.
      columns: what must be in its header; with ``header=None`` among the options, its columns.
      options: passed on to `pandas.read_csv`, e.g. ``dtype`` for all columns or some.

    Returns:
      The columns asked for, as strings unless `options` say otherwise; nothing is taken as missing.

    Raises:
      DataError: unreadable, a column is gone (it is named), or rows are longer than the header.
    """
    path = Path(path)
    told = {"dtype": str, "keep_default_na": False, "sep": "\t" if ".tsv" in path.name else ","}
    if options.get("header", 0) is None:
        told["names"] = list(columns)
    content = io.BytesIO(read(path))
    try:
        table = pd.read_csv(content, **(told | options))
    except (ValueError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path} as a table: {error}") from error
    absent = [name for name in columns if name not in table.columns]
    if absent:
        raise DataError(f"{path} has no column {', '.join(absent)}; it has {list(table)[:60]}")
    if not isinstance(table.index, pd.RangeIndex) and "index_col" not in options:
        # pandas would take the first field as an index, and every name for its neighbour's.
        raise DataError(f"{path} has rows of more fields than its {len(table.columns)} names")
    return table[list(columns)]
