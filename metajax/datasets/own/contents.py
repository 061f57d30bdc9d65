"""What a file holds, as text in UTF-8; what is no table is called by its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from metajax.datasets import reading
from metajax.datasets.files import DataError

Held = TypeVar("Held")
# What people give by mistake, by the first bytes of the file.
FORMATS = (
    (b"PK\x03\x04", "an Excel workbook or another zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"PAR1", "a parquet file"),
    (b"$FL2", "an SPSS file"),
    (b"<stata_dta>", "a Stata file"),
    (b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc2\xea\x81\x60", "a SAS file"),
    (b"SQLite format 3", "a database"),
    (b"\x1f\x8b", "compressed by gzip (its name should end in .gz, once)"),
    (b"%PDF", "a PDF file"),
    (b"{\\rtf", "a text with formatting"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"7z\xbc\xaf", "an archive of 7-Zip"),
    (b"\x89HDF", "an HDF5 file"),
    (b"ARROW1", "a feather file"),
    (b"HEADER RECORD*******", "a SAS transport file"),
    (b"\x80\x04\x95", "a pickle of Python"),
)
MARKUP = (
    (re.compile(rb"\s*<(?:!doctype|html|head|meta|table|div)\b", re.IGNORECASE), "a web page"),
    (re.compile(rb"\s*<(?:\?xml|[a-z]+:)", re.IGNORECASE), "an XML file"),
    (re.compile(rb"\s*(?:\[\s*)?\{\s*\""), "a JSON file"),
)
WIDE = (b"\xff\xfe", b"\xfe\xff")  # how text in UTF-16 begins


def text(path: Path) -> tuple[str, str, list[str]]:
    """Name and text of a table, and notes of what was done; of an archive, its only file.

    Raises:
      DataError: it cannot be read, is no text in UTF-8, or an archive of several files.
    """
    name, content, notes = _content(path)
    text = _decoded(path, content)
    if content.startswith(b"\xef\xbb\xbf"):
        notes.append("the mark at its beginning (a BOM) is no part of the first name")
    if lost := text.count("\ufffd"):
        line = text.count("\n", 0, text.index("\ufffd")) + 1
        notes.append(f"{lost} letters were lost before (\ufffd, the first in line {line}): another "
                     "program read the file in the wrong encoding")  # fmt: skip
    return name, text, notes


def _content(path: Path) -> tuple[str, bytes, list[str]]:
    """Name and bytes of the table, and a note; of an archive, those of its only file."""
    if path.suffix.lower() != ".zip":
        return path.name, _whole_file(path, reading.read), []
    found = {
        name: content for name, content in _whole_file(path, reading.members).items()
        if not name.startswith("__MACOSX/") and not name.rpartition("/")[2].startswith(".")
    }  # fmt: skip
    if any(name.startswith("xl/") or name.endswith(".xml") for name in found):
        raise DataError(f"{path} is no table in a zip archive but a workbook. Remedy: save it as "
                        ".csv")  # fmt: skip
    if len(found) != 1:
        raise DataError(f"{path} holds {len(found)} files ({', '.join(list(found)[:8])}). Remedy: "
                        "unpack it, and name the table")  # fmt: skip
    ((name, content),) = found.items()
    return name, content, [f"read from its member {name}"]


def _whole_file(path: Path, how: Callable[[Path], Held]) -> Held:
    """What a file holds, by a function of `reading`, with the remedy for a file of one's own."""
    try:
        return how(path)
    except DataError as error:
        why = str(error).partition(". Remedy:")[0]
        raise DataError(f"{why}. Remedy: copy or save the file again; its name must end as what it "
                        "is (.csv, .csv.gz, .zip)") from error  # fmt: skip


def _decoded(path: Path, content: bytes) -> str:
    """The text of a file in UTF-8."""
    remedy = "Remedy: save it as a csv file in UTF-8"
    what = [what for mark, what in FORMATS if content.startswith(mark)]
    start = content[:200].removeprefix(b"\xef\xbb\xbf")
    what += [what for mark, what in MARKUP if mark.match(start)]
    if what:
        raise DataError(f"{path} is no text but {what[0]}. {remedy}")
    if content.startswith(WIDE):
        raise DataError(f"{path} is text in UTF-16 (Excel's Unicode text), not UTF-8. {remedy}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path} is no text in UTF-8: {error.reason} in line {line}. "
                        f"{remedy}") from error  # fmt: skip
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path} has a zero byte in line {line}: damaged, or no text in UTF-8. "
                        f"{remedy}")  # fmt: skip
    return text
