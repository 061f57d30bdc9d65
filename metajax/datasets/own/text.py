"""A csv or tsv file as text cells, line by line: no row is lost, merged or moved in silence."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from metajax.datasets.files import DataError
from metajax.datasets.own import contents
from metajax.datasets.own.codes import NUMBER

UNSEEN = "\ufeff\u200b\u200c\u200d\u2060"  # marks without width: two names would look alike
SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


class Sheet(NamedTuple):
    """What a file says.

    Attributes:
      cells: R rows of text, without the blanks around them.
      notes: what was done to the file besides, a sentence each.
    """

    cells: pd.DataFrame
    notes: tuple[str, ...]


def sheet(path: Path) -> Sheet:
    """Reads a file: commas, or tabs if ``.tsv`` is in its name; also ``.gz`` and ``.zip``.

    Raises:
      DataError: naming the lines, where they are not one header and rows of as many cells.
    """
    name, text, notes = contents.text(path)
    separator = "\t" if ".tsv" in name.lower() else ","
    lines, ends = _records(path, text, separator)
    lines = _without_end(lines, notes)
    header, rows = _header(path, text, lines, separator)
    rows, ends = _whole(path, header, rows, ends[len(lines) - len(rows):], notes)
    columns = [
        [cell.strip() for cell in column] if "".join(column).isascii() else list(map(_bare, column))
        for column in zip(*rows, strict=True)
    ]
    cells = pd.DataFrame(dict(zip(header, columns, strict=True)), dtype=object)
    return Sheet(cells, tuple(notes))


def _without_end(lines: list[list[str]], notes: list[str]) -> list[list[str]]:
    """The lines without the last columns that have neither a name nor a value."""
    width = max(map(len, lines), default=0)
    full = [line for line in lines if any(cell.strip() for cell in line)]
    ended = 0
    while ended < width - 1 and all(
        len(line) == width and not line[width - 1 - ended].strip() for line in full
    ):
        ended += 1
    if not ended or not full:
        return lines
    notes.append(f"{ended} columns at the end without a name and without a cell were left out")
    return [line[: width - ended] for line in lines]


def _bare(cell: str) -> str:
    """A cell without the blanks and marks around it."""
    cell = cell.strip()
    return cell if cell.isascii() else cell.strip(UNSEEN).strip()


def _records(path: Path, text: str, separator: str) -> tuple[list[list[str]], list[int]]:
    """The records of a text, and the line that each ends in.

    A quote that is not closed where its cell ends would swallow the rows below: it is refused.
    """
    read = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True,
                      skipinitialspace=True)  # fmt: skip
    records: list[list[str]] = []
    ends: list[int] = []
    last = 0
    try:
        for record in read:
            if read.line_num > last + 1:
                _closed(path, record, separator, last + 1, read.line_num)
            records.append(record)
            ends.append(last := read.line_num)
    except csv.Error as error:
        lines = f"lines {last + 1} to {read.line_num}" if read.line_num > last + 1 else (
            f"line {last + 1}")  # fmt: skip
        if "field larger" in str(error):
            lines += " (a cell of more than 131,072 letters)"
        raise DataError(f"{path}: a quote in {lines} is not closed where its cell ends. Remedy: "
                        'remove the quote, or double it ("") inside a quoted '
                        "cell") from error  # fmt: skip
    return records, ends


def _closed(path: Path, record: Sequence[str], separator: str, first: int, last: int) -> None:
    """Refuses a cell over several lines that may be rows between two stray quotes.

    Rows that were swallowed from cell i of one to cell i of another leave width - 1 - i separators
    in the cell's first line and i in its last: fewer, and it can only be a text of several lines.
    """
    for i, cell in enumerate(record):
        parts = re.split("\r\n|\r|\n", cell)
        after, before = len(record) - 1 - i, i
        if (len(parts) > 1 and parts[0].count(separator) >= after
                and parts[-1].count(separator) >= before):  # fmt: skip
            raise DataError(f"{path}: a quoted cell goes from line {first} to line {last}, and may "
                            "have swallowed the rows between. Remedy: close the quote in its line, "
                            "or take the line breaks out of the cell")  # fmt: skip


def _header(
    path: Path, text: str, records: list[list[str]], separator: str
) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, and the records below."""
    if not records or not any(any(cell.strip() for cell in record) for record in records):
        raise DataError(f"{path} is empty: its first line must name the columns")
    if not any(cell.strip() for cell in records[0]):
        raise DataError(f"{path}: its first line is empty. Remedy: delete it; the first line must "
                        "name the columns")  # fmt: skip
    first = records[0]
    comments = 0
    while comments < len(records) and records[comments] and records[comments][0].startswith("#"):
        comments += 1
    below = records[comments] if comments < len(records) else []
    if comments > 1 or (comments == 1 and len(first) < len(below)):
        raise DataError(f"{path}: its first {'lines are comments' if comments > 1 else 'line is a comment'} "  # noqa: E501
                        f"(#), not the names of the columns. Remedy: delete the {comments} "
                        "line(s) above the header")  # fmt: skip
    line = text.lstrip("\ufeff").splitlines()[0] if text else ""
    if re.match("sep=.$", line.strip().strip('"')):
        raise DataError(f"{path}: its first line is {line.strip()!r}, which is for Excel only. "
                        "Remedy: delete this line")  # fmt: skip
    mine = line.count(separator)
    other = [mark for mark in SEPARATORS if mark != separator and line.count(mark) > mine]
    if other:
        raise DataError(f"{path} separates its columns by {other[0]!r}, not by {separator!r}. "
                        "Remedy: save it with commas as .csv, or with tabs as .tsv")  # fmt: skip
    header = [re.sub(r"\s*[\r\n]+\s*", " ", name.strip().strip(UNSEEN).strip()) for name in first]
    wide = {len(record) for record in records[1:] if len(record) > 1}
    if len(header) == 1 and len(wide) == 1:
        raise DataError(f"{path}: its first line {header[0][:60]!r} names one column, the others "
                        f"have {wide.pop()} cells: a title? Remedy: delete the lines above the "
                        "header")  # fmt: skip
    if len(records) > 2 and all(len(row) in (0, len(header) + 1) for row in records[1:]):
        if not any(row[-1].strip() for row in records[1:] if row):
            raise DataError(f"{path} has rows that end in a separator, its header does not. "
                            "Remedy: delete the last separator of each row")  # fmt: skip
        raise DataError(f"{path} has rows of one cell more than names: row names without a name? "
                        "Remedy: give the first column a name, or save it without row "
                        "names")  # fmt: skip
    unnamed = [i for i, name in enumerate(header, 1) if not name]
    if unnamed:
        raise DataError(f"{path}: column {unnamed[0]} has no name; a saved row number is no "
                        "feature. Remedy: delete the column or name it")  # fmt: skip
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{path} has several columns named {twice[0]!r}. Remedy: rename them")
    return header, records[1:]


def _whole(
    path: Path, header: list[str], rows: list[list[str]], ends: list[int], notes: list[str]
) -> tuple[list[list[str]], list[int]]:
    """The rows that say something, each as long as the header."""
    kept, empty = [], []
    width, lower = len(header), [name.lower() for name in header]
    for row, end in zip(rows, ends, strict=True):
        if not any(row) or not any(cell.strip() for cell in row):
            empty.append(end)
        elif len(row) != width:
            hint = ""
            if row[0].startswith("#"):
                hint = " (a comment?)"
            raise DataError(f"cannot read {path} as a table: line {end} has {len(row)} cells, the "
                            f"header has {width}{hint}. Remedy: correct this line; a cell that "
                            "holds the separator is put in quotes")  # fmt: skip
        else:
            kept.append((row, end))
    if not kept:
        raise DataError(f"{path} has no row below its header")
    # A file without a header may well have its first row twice.
    named = not any(NUMBER.fullmatch(name) for name in header)
    for number, (row, end) in enumerate(kept, 1):
        if named and row[0].strip().lower() == lower[0] and (
            [cell.strip().lower() for cell in row] == lower
        ):
            raise DataError(f"{path}: row {number} (line {end}) repeats the header. Remedy: delete "
                            "this line")  # fmt: skip
    if empty:
        told = ", ".join(map(str, empty[:8])) + (" ..." if len(empty) > 8 else "")
        notes.append(f"{len(empty)} empty lines were left out ({told})")
    return [row for row, _ in kept], [end for _, end in kept]
