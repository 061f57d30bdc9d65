"""Columns of a table as numbers, by a rule for each: numbers, codes, one indicator a level."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from metajax.datasets import reading
from metajax.datasets.files import DataError

# None: a number; a mapping: what each text counts as; a tuple: the levels of a nominal.
Coding = None | Mapping[str, float] | tuple[str, ...]
YES = {"0": 0.0, "1": 1.0}


def header(path: Path) -> list[str]:
    """The names in the first line of a csv file, also packed."""
    first = reading.read(path).split(b"\n", 1)[0].decode("utf-8", "replace")
    return next(csv.reader(io.StringIO(first)), [])


def encode(
    table: pd.DataFrame, codings: Mapping[str, Coding], name: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The columns of a table of texts as numbers; an empty cell is missing.

    Args:
      table: text cells.
      codings: how each column is read, in the order wanted.
      name: of the table, for messages.

    Returns:
      (R, D) float32 with NaN for missing (in all levels of a nominal), and the D names.

    Raises:
      DataError: a column is absent, or a cell is no number, no code or no level of its column.
    """
    values: list[np.ndarray] = []
    names: list[str] = []
    for column, coding in codings.items():
        if column not in table:
            raise DataError(f"{name} has no column {column}; it has {list(table)[:60]}")
        cells = table[column]
        empty = (cells == "").to_numpy()
        if isinstance(coding, tuple):
            _refuse(name, column, cells, ~(empty | cells.isin(coding).to_numpy()))
            values += [np.where(empty, np.nan, cells == level) for level in coding]
            names += [f"{column}={level}" for level in coding]
            continue
        number = pd.to_numeric(cells, errors="coerce") if coding is None else cells.map(coding)
        number = number.to_numpy(np.float64)
        _refuse(name, column, cells, ~empty & ~np.isfinite(number))
        values.append(number)
        names.append(column)
    return np.stack(values, 1).astype(np.float32), tuple(names)


def codes(table: pd.DataFrame, column: str, known: tuple[str, ...], name: str) -> np.ndarray:
    """A column as (R,) int32 positions in a list of texts.

    Raises:
      DataError: for a text that is not in the list.
    """
    found = pd.Index(known).get_indexer(table[column]).astype(np.int32)
    _refuse(name, column, table[column], found < 0)
    return found


def _refuse(name: str, column: str, cells: pd.Series, wrong: np.ndarray) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"{name}, row {row + 1}: {column} = {cells.iloc[row]!r} is not known")
