"""What a user says of columns: their kinds (a small table, `--types`) and codes (`--missing`)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from metajax.datasets.files import DataError
from metajax.datasets.own import text

ROLES = ("label", "task", "group", "split")
KINDS = ("number", "yes-no", "category", "ordered", "drop", "names", *ROLES)
HEADER = ("column", "kind", "missing", "levels", "note")
ONLY = "only"  # in the cell `missing`: no code but the empty cell and those that follow


class Choice(NamedTuple):
    """What a user says of one column.

    Attributes:
      kind: one of `KINDS`; empty: it is guessed.
      missing: codes of missing cells, besides those that are known.
      exact: no other code is known, but for the empty cell.
      levels: of a category, in order.
    """

    kind: str = ""
    missing: tuple[str, ...] = ()
    exact: bool = False
    levels: tuple[str, ...] = ()


GUESSED = Choice()


class Choices(NamedTuple):
    """What a user says of a table: of some columns, and codes of all of them."""

    columns: Mapping[str, Choice]
    missing: tuple[str, ...] = ()

    def of(self, name: str) -> Choice:
        """The choice for a column, the codes of all columns among its own."""
        one = self.columns.get(name, GUESSED)
        return one if one.exact else one._replace(missing=one.missing + self.missing)


def choices(columns: Sequence[str], types: Sequence[str], missing: Sequence[str]) -> Choices:
    """What the flags say.

    Args:
      columns: names of the table.
      types: files of such choices, or ``column=kind``.
      missing: codes, or ``column=code`` for one column; ``column=`` for none.

    Raises:
      DataError: naming a column that is not there, or a kind that is none.
    """
    found: dict[str, Choice] = {}
    for each in types:
        name, _, kind = _parted(each, columns)
        if name in columns and not Path(each).is_file():
            added = {name: Choice(_kind(f"--types {each}", kind))}
        else:
            added = _file(each, columns)
        for column, choice in added.items():
            if column in found:
                raise DataError(f"--types says twice what column {column!r} is")
            found[column] = choice
    common = []
    for each in missing:
        name, sign, code = _parted(each, columns)
        if sign and name not in columns:
            raise DataError(f"--missing {each}: there is no column {name!r}. Remedy: "
                            "--missing CODE for all columns, --missing COLUMN=CODE for "
                            "one")  # fmt: skip
        if not sign:
            common.append(code.strip())
            continue
        one = found.get(name, GUESSED)
        if code.strip():
            found[name] = one._replace(missing=(*one.missing, code.strip()))
        else:
            found[name] = one._replace(exact=True)
    return Choices(found, tuple(common))


def _parted(given: str, columns: Sequence[str]) -> tuple[str, str, str]:
    """``column=what`` in its parts; either may hold an equals sign."""
    known = [name for name in columns if given.startswith(f"{name}=")]
    if known:
        name = max(known, key=len)
        return name, "=", given[len(name) + 1 :]
    return given.rpartition("=")


def _kind(where: str, kind: str) -> str:
    if kind not in KINDS:
        raise DataError(f"{where}: there is no kind {kind!r}; there are {', '.join(KINDS)}")
    return kind


def _file(path: str, columns: Sequence[str]) -> dict[str, Choice]:
    """The choices of a file."""
    if not Path(path).expanduser().is_file():
        raise DataError(f"--types {path}: there is no such file, nor is it COLUMN=KIND of a "
                        "column. Remedy: --types-template FILE writes one")  # fmt: skip
    cells = text.sheet(Path(path).expanduser()).cells
    if not set(HEADER[:2]) <= set(cells) <= set(HEADER):
        raise DataError(f"{path} has the columns {', '.join(cells)}; it needs "
                        f"{', '.join(HEADER)}. Remedy: --types-template FILE writes such a file"
                        )  # fmt: skip
    found: dict[str, Choice] = {}
    for i, row in enumerate(cells.to_dict("records"), 1):
        where, name = f"{path}, row {i}", row["column"]
        if name not in columns:
            raise DataError(f"{where}: the table has no column {name!r}")
        if name in found:
            raise DataError(f"{where}: column {name!r} a second time")
        kind = row["kind"]
        if kind == "?":
            raise DataError(f"{where}: column {name!r} has no kind yet ({row.get('note', '')}). "
                            f"Remedy: write one of {', '.join(KINDS)}")  # fmt: skip
        codes = _list(row.get("missing", ""))
        exact = codes[:1] == (ONLY,)
        levels = _list(row.get("levels", ""))
        kind = _kind(where, kind) if kind else ""
        if levels and kind not in ("category", "ordered", "yes-no"):
            raise DataError(f"{where}: levels are for a category, ordered or yes-no; the kind is "
                            f"{kind or 'not given'}")  # fmt: skip
        if kind == "ordered" and len(levels) < 2 or kind == "yes-no" and len(levels) not in (0, 2):
            raise DataError(f"{where}: {kind} needs its levels in order, as low|high")
        if len(set(levels)) < len(levels):
            raise DataError(f"{where}: a level is named twice")
        found[name] = Choice(kind, codes[1:] if exact else codes, exact, levels)
    return found


def _list(cell: str) -> tuple[str, ...]:
    """Texts with bars between."""
    return tuple(part.strip() for part in cell.split("|")) if cell else ()


def template(lines: Sequence[Mapping[str, str]]) -> str:
    """A file of choices, with a line for each column; see `HEADER`."""
    out = io.StringIO()
    write = csv.DictWriter(out, HEADER, lineterminator="\n", restval="")
    write.writeheader()
    write.writerows(lines)
    return out.getvalue()
