"""The reading report: what every column of a user's file was taken for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

LEVELS = 20  # a column of more different texts is a free text, a code or a date
SHOWN = 20  # columns that are printed


class Column(NamedTuple):
    """What a column was taken for.

    Attributes:
      name: its name.
      role: feature, label, task, group, split or left out.
      kind: number, yes-no, category, ordered, classes, quantity, names; "?": not decided.
      missing: rows without a value.
      codes: what these rows say, and how many say so.
      values: range, or levels with their counts.
      treatment: what becomes of it.
      distinct: how many different values it has.
      levels: of a category, in order.
      note: what else should be known.
      problem: why it cannot be used, and the remedy; empty: it can.
    """

    name: str
    role: str
    kind: str = ""
    missing: int = 0
    codes: tuple[tuple[str, int], ...] = ()
    values: str = ""
    treatment: str = ""
    distinct: int = 0
    levels: tuple[str, ...] = ()
    note: str = ""
    problem: str = ""


class Reading(NamedTuple):
    """How a file was read.

    Attributes:
      file: its name.
      rows: how many it has.
      columns: of the file, in its order.
      notes: what was done to the file besides, and what was left out, a sentence each.
    """

    file: str
    rows: int
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()


def listed(things: Sequence[object], most: int = 8) -> str:
    """The first of some things, and how many more there are."""
    more = len(things) - most
    told = ", ".join(str(thing) for thing in things[:most])
    return f"{told} and {more} more" if more > 0 else told


def rows(where: np.ndarray) -> str:
    """Names rows as a person counts them: the first below the header is row 1."""
    found = (np.flatnonzero(where) + 1).tolist()
    return f"row{'s' if len(found) > 1 else ''} {listed(found)}"


def line(column: Column, count: int) -> str:
    """One column as a line of text.

    Args:
      column: which.
      count: rows of the table.
    """
    told = [column.kind if column.role == "feature" else f"{column.role}, {column.kind}"]
    if column.role == "left out":
        told = ["left out"]
    if column.values:
        values = column.values
        long = len(values) > 90
        told.append(f"{values[:84]} ... ({column.distinct} levels)" if long else values)
    if column.missing:
        said = listed([f"{text or 'empty'} {n}" for text, n in column.codes], 5)
        share = f"{100 * column.missing / max(count, 1):.0f}%"
        told.append(f"{column.missing} missing ({share}: {said})")
    if column.note:
        told.append(column.note)
    return f"{column.name}: {'; '.join(told)}"


def text(reading: Reading, most: int | None = SHOWN) -> str:
    """The report, a line for each column.

    Args:
      reading: what to tell.
      most: columns that are shown; None: all. Those with missing codes, levels or notes come first
        where not all are shown.
    """
    columns = list(reading.columns)
    told = columns
    if most is not None and len(columns) > most:
        # Numbers without a gap are the least surprising.
        by = sorted(range(len(columns)), key=lambda i: (_plain(columns[i]), i))
        told = [columns[i] for i in sorted(by[:most])]
    lines = [f"{reading.file} was read so:", *(f"  {note}" for note in reading.notes)]
    lines += [f"  {line(column, reading.rows)}" for column in told]
    if len(told) < len(columns):
        lines.append(f"  and {len(columns) - len(told)} more columns (numbers first to be left "
                     "out here); all of them: --dry-run, report.html and environment.json of each "
                     "run")  # fmt: skip
    return "\n".join(lines)


def _plain(column: Column) -> bool:
    return column.role == "feature" and column.kind == "number" and not column.missing


def plain(reading: Reading) -> dict[str, Any]:
    """The report as plain types, for a record."""
    columns = [{k: v for k, v in column._asdict().items() if v} for column in reading.columns]
    return reading._asdict() | {"columns": columns, "notes": list(reading.notes)}


def restored(record: Mapping[str, Any]) -> Reading:
    """The report of a record.

    Raises:
      ValueError: if it is none.
    """
    try:
        columns = tuple(
            Column(**{k: _tupled(v) for k, v in each.items()})
            for each in record["columns"]
        )
        return Reading(str(record["file"]), int(record["rows"]), columns,
                       tuple(map(str, record["notes"])))  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"no reading report: {error}") from error


def _tupled(value: Any) -> Any:
    """Lists as tuples."""
    return tuple(map(_tupled, value)) if isinstance(value, list | tuple) else value


def lines(reading: Reading, exact: Collection[str] = ()) -> list[dict[str, str]]:
    """A line of a file of choices for every column, as it was read; see `choices.template`.

    Args:
      reading: of the file.
      exact: columns of which no code is known but those that were told.
    """
    found = []
    for column in reading.columns:
        kind = column.kind if column.role == "feature" else column.role
        kind = "drop" if kind == "left out" else kind
        note = "; ".join(filter(None, (column.values, column.note)))
        if column.problem:
            note = column.problem.partition(" Remedy: ")[0]
        codes = [text for text, _ in column.codes if text and "|" not in text]
        codes = ["only", *codes] if column.name in exact else codes
        levels = "|".join(column.levels) if not any("|" in one for one in column.levels) else ""
        found.append({"column": column.name, "kind": kind, "missing": "|".join(codes),
                      "levels": levels, "note": note[:200]})  # fmt: skip
    return found
