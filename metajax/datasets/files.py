"""Raw files: found in a data directory, or downloaded once; never used with a wrong checksum."""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from metajax import disk, surroundings
from metajax.datasets.cards import UNKNOWN, File

# No table here is near it; it stops a wrong server or a compression bomb from filling the disk.
MAX_BYTES = 1 << 29
# The largest official archive (FS-Mol) is some 1.5 GB; it is read as a stream, never at once.
MAX_DOWNLOAD = 1 << 32


class DataError(ValueError):
    """Data that is absent, or is not what its card says; the message says what to do."""


def data_root(data_dir: str | os.PathLike | None = None) -> Path | None:
    """The data directory: the argument, else ``METAJAX_DATA``, else None.

    Args:
      data_dir: a directory laid out as the cards' file paths say.

    Returns:
      The directory, or None if none was named.

    Raises:
      DataError: if one was named that does not exist (a typing error must not start a download).
    """
    name = data_dir or os.environ.get("METAJAX_DATA")
    if not name:
        return None
    root = surroundings.expanded(name)
    if not root.is_dir():
        given = "data_dir" if data_dir else "METAJAX_DATA"
        raise DataError(f"{given} names {root}, which is not a directory")
    return root


def cache_root(cache: str | os.PathLike | None = None) -> Path:
    """The cache: the argument, else that of `metajax.surroundings.cache_root`."""
    return Path(cache) if cache else surroundings.cache_root()


def digest(path: str | os.PathLike, algorithm: str = "sha256") -> str:
    """Hexadecimal checksum of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def find(
    file: File,
    data_dir: str | os.PathLike | None = None,
    cache: str | os.PathLike | None = None,
) -> Path | None:
    """Where a raw file lies, in the data directory or else in the cache; None if it is absent."""
    root = data_root(data_dir)
    paths = ([root / file.path] if root else []) + [_kept(file, cache)]
    return next((path for path in paths if path.is_file()), None)


def _kept(file: File, cache: str | os.PathLike | None) -> Path:
    """Where a download is kept."""
    return cache_root(cache) / "downloads" / file.path


def locate(
    file: File,
    data_dir: str | os.PathLike | None = None,
    cache: str | os.PathLike | None = None,
    *,
    check: Callable[[Path], None] | None = None,
    timeout: float = 60.0,
) -> Path:
    """The path of a raw file whose checksum (or, where that is unknown, content) was verified.

    Looks in the data directory, then in the cache, then downloads into the cache through a
    temporary name that is renamed only after the check.

    Args:
      file: what is wanted.
      data_dir: the data directory; default ``METAJAX_DATA``.
      cache: default ``METAJAX_CACHE``, else ``~/.cache/metajax``.
      check: raises `DataError` if the content is not that of the card; required for a file of
        unknown checksum, else unused.
      timeout: seconds without an answer after which the download is given up.

    Returns:
      The path of the verified file.

    Raises:
      DataError: the file is present but differs, or is absent and cannot be downloaded.
    """
    path = find(file, data_dir, cache)
    if path is not None:
        verify(path, file, check)
        return path
    where, kept = remedy(file, data_dir, cache), _kept(file, cache)
    if not file.url:
        raise DataError(f"{file.path} is absent and has no address to download. {where}")
    try:
        _download(file, kept, check, timeout, where)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection, and lives on in the traceback
        reason = f"{file.path} is absent and its download from {file.url} failed: {error}"
        raise DataError(f"{reason}. {where}") from error
    return kept


def remedy(
    file: File,
    data_dir: str | os.PathLike | None = None,
    cache: str | os.PathLike | None = None,
) -> str:
    """What to do about an absent file: its address, its checksum, and the folder it belongs in."""
    root, kept = data_root(data_dir), _kept(file, cache)
    folder = (root / file.path).parent if root else kept.parent
    algorithm, expected = file.checksum
    return (
        f"Remedy: get it from {file.url or 'its distributor'} ({algorithm} {expected}) and put it "
        f"as {kept.name} into {folder}"
        + ("" if root else f", or set METAJAX_DATA to a data directory that has {file.path}")
    )


def verify(
    path: Path, file: File, check: Callable[[Path], None] | None = None, remedy: str = ""
) -> None:
    """Refuses a file whose checksum differs; judges by content where no checksum is known.

    Args:
      path: where it lies; it is left as it is.
      file: what it should be.
      check: see `locate`.
      remedy: what the message ends with; default: replace or delete it.

    Raises:
      DataError: it is not the file meant.
    """
    remedy = remedy or f"Remedy: replace or delete {path}; it was left as it is"
    algorithm, expected = file.checksum
    found = digest(path, algorithm)
    if expected != UNKNOWN:
        if found != expected:
            size = path.stat().st_size
            sizes = f"; {size} bytes instead of {file.size}" if file.size not in (0, size) else ""
            raise DataError(
                f"{file.path} is not the file meant: {algorithm} {found}, expected {expected}"
                f"{sizes}. {remedy} (official address: {file.url or 'none'})"
            )
        return
    if check is None:
        raise DataError(f"{file.path} has no known checksum and no check of its content")
    try:
        check(path)
    except DataError as error:
        raise DataError(
            f"{file.path} (no checksum is known; found sha256 {found}) does not have the content "
            f"that the card states: {error}. {remedy}"
        ) from error


def _opener(url: str) -> urllib.request.OpenerDirector:
    """An opener that speaks https only; plain http is for a server on this machine (tests)."""
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname == "127.0.0.1"
    if parts.scheme != "https" and not local:
        raise OSError(f"{url!r} is not an https address")
    handlers = [
        urllib.request.HTTPHandler() if local else urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),  # a redirect to another scheme ends here
    ]
    if not local:
        handlers.append(urllib.request.ProxyHandler())
    opener = urllib.request.OpenerDirector()
    for handler in handlers:
        opener.add_handler(handler)
    return opener


def _download(
    file: File, target: Path, check: Callable[[Path], None] | None, timeout: float, where: str
) -> None:
    """Fetch, verify, rename: `target` either is the whole verified file or does not exist."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays: `check` reads the file by it.
    number, name = tempfile.mkstemp(prefix=".partial-", suffix=target.suffix, dir=target.parent)
    try:
        with (
            os.fdopen(number, "wb") as out,
            _opener(file.url).open(file.url, timeout=timeout) as answer,
        ):
            size = 0
            while block := answer.read(1 << 20):
                size += len(block)
                if size > MAX_DOWNLOAD:
                    raise OSError(f"more than {MAX_DOWNLOAD} bytes: not the file meant")
                with disk.naming(target):
                    out.write(block)
            promised = answer.headers.get("Content-Length", "")
        if promised.isdigit() and size != int(promised):
            raise OSError(f"the connection ended after {size} of {promised} bytes")
        verify(Path(name), file, check, f"the download was thrown away. {where}")
        os.chmod(name, 0o644)
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)
