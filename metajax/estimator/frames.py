"""Frames and arrays of mixed columns as numbers, learned from the labelled rows.

A number is itself; a yes/no or a text of two values is one column of 0 and 1; a text of up to
`LEVELS` values is a column for each; an ordered category is its position. A missing cell is NaN in
all columns it makes. What cannot be read is refused by the name of its column, with the remedy.
"""

from __future__ import annotations

import datetime
import difflib
import numbers
import re
import warnings
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from metajax.datasets.own.reports import LEVELS, listed

# In lower case. A frame was read once already: "none" and "-" may be values.
MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "<na>"})
DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})$")
DAYS = "Remedy: give a number instead, such as the age or the days since admission"


class DataWarning(UserWarning):
    """Something about the data that the caller should know, and that a prediction survived."""


class Column(NamedTuple):
    """How one column is read.

    Attributes:
      name: of the column.
      kind: "number"; "levels", one column of numbers each (one in all for two); "order".
      levels: the texts that the labelled rows have, in order; () for a number.
    """

    name: Any
    kind: Literal["number", "levels", "order"]
    levels: tuple[str, ...] = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the columns of numbers that it makes."""
        if self.kind != "levels":
            return (str(self.name),)
        shown = self.levels[1:] if len(self.levels) == 2 else self.levels
        return tuple(f"{self.name}={level}" for level in shown)


def frame(x: Any, names: Sequence[Any] | None = None) -> pd.DataFrame:
    """A table of any kind as a frame.

    Args:
      x: a frame, or an array (N, D).
      names: of the columns, for an array.
    """
    if isinstance(x, pd.DataFrame):
        twice = x.columns[x.columns.duplicated()]
        if len(twice):
            raise ValueError(f"several columns are named {twice[0]!r}. Remedy: rename them")
        return x
    return pd.DataFrame(np.asarray(x), columns=names)


def learn_columns(table: pd.DataFrame) -> tuple[Column, ...]:
    """How the columns of a labelled table are read.

    Raises:
      ValueError: for a date, an endless number, a text of too many values.
      TypeError: for cells that are neither texts nor numbers.
    """
    columns = tuple(_learn(name, table[name]) for name in table)
    empty = [name for name in table if table[name].isna().all()]
    if empty and len(table) > 0:
        warnings.warn(
            f"column {listed([repr(name) for name in empty])} is missing in all labelled rows: it "
            "is not used", DataWarning, stacklevel=4,
        )  # fmt: skip
    return columns


def match(columns: Sequence[Column], table: pd.DataFrame) -> pd.DataFrame:
    """The columns of another table in the order of the labelled one, by name.

    Raises:
      ValueError: naming the columns that are missing or that the labelled table did not have.
    """
    known, given = [column.name for column in columns], list(table.columns)
    gone = [name for name in known if name not in set(given)]
    new = [name for name in given if name not in set(known)]
    if not gone and not new:
        return table[known]
    told = []
    for name in gone:
        close = difflib.get_close_matches(str(name).lower(), [str(n).lower() for n in new], 1, 0.6)
        like = [other for other in new if str(other).lower() in close]
        told.append(f"{name!r} is missing" + (f" (is it {like[0]!r} here?)" if like else ""))
    told += [f"{name!r} is new" for name in new]
    raise ValueError(
        "The feature names should match those that were passed during fit: "
        f"{listed(told)}. Remedy: give the same columns, by the same names"
    )


def encode(columns: Sequence[Column], table: pd.DataFrame) -> np.ndarray:
    """A table as numbers (N, D) float64, NaN where a cell is missing.

    A value that no labelled row has is as good as missing; a `DataWarning` names it.

    Raises:
      ValueError: for a text where the labelled rows have numbers, an endless number, a date, or a
        column of which all values are unknown.
    """
    parts, unseen = [], []
    for column, name in zip(columns, table, strict=True):
        if column.kind == "number":
            parts.append(_numbers(name, table[name])[:, None])
            continue
        texts, gone = _texts(name, table[name])
        place = {level: i for i, level in enumerate(column.levels)}
        code = np.array([-1 if g else place.get(t, -2) for t, g in zip(texts, gone, strict=True)])
        if new := sorted({t for t, c in zip(texts, code, strict=True) if c == -2}):
            if len(new) > 1 and not (code >= 0).any():
                raise ValueError(
                    f"column {name!r} is coded differently: the labelled rows have "
                    f"{listed([repr(v) for v in column.levels])}, here it is "
                    f"{listed([repr(v) for v in new])}. Remedy: use the same codes"
                )
            unseen.append(f"{name!r}: {listed([repr(v) for v in new])}")
        known = code >= 0
        if column.kind == "order":
            parts.append(np.where(known, code, np.nan)[:, None].astype(np.float64))
            continue
        shown = range(1, 2) if len(column.levels) == 2 else range(len(column.levels))
        each = np.stack([code == i for i in shown], 1) if len(shown) else np.zeros((len(code), 0))
        parts.append(np.where(known[:, None], each, np.nan).astype(np.float64))
    if unseen:
        warnings.warn(
            f"values that no labelled row has are taken as missing: {listed(unseen)}",
            DataWarning, stacklevel=4,
        )  # fmt: skip
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(table), 0))


def _learn(name: Any, cells: pd.Series) -> Column:
    """How a column is read."""
    dtype = cells.dtype
    if isinstance(dtype, pd.CategoricalDtype) and dtype.ordered:
        seen = set(cells.dropna())
        return Column(name, "order", tuple(_text(v) for v in dtype.categories if v in seen))
    if not isinstance(dtype, pd.CategoricalDtype):
        if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
            _numbers(name, cells)
            return Column(name, "number")
        _no_dates(name, cells)
        if all(_number(v) is not None for v in cells if not _missing(v)):
            _numbers(name, cells)
            return Column(name, "number")
    texts, gone = _texts(name, cells)
    levels = tuple(sorted({t for t, g in zip(texts, gone, strict=True) if not g}))
    if len(levels) > LEVELS:
        row = next(i for i, v in enumerate(cells) if not _missing(v) and _number(v) is None)
        raise ValueError(
            f"column {name!r} has {len(levels)} different texts, at most {LEVELS} can be used; row "
            f"{row + 1} says {texts[row][:40]!r}, which is no number. Remedy: leave the column "
            "out, or group its values"
        )
    return Column(name, "levels", levels)


def _missing(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in MISSING
    return value is None or (np.ndim(value) == 0 and pd.isna(value) is True) or value is pd.NA or (
        isinstance(value, float | np.floating) and np.isnan(value)
    )


def _number(value: Any) -> float | None:
    """A cell as a number, None if it is none."""
    if isinstance(value, bool | np.bool_ | numbers.Real):
        return float(value)
    if not isinstance(value, str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _text(value: Any) -> str:
    """A cell as it is compared with others: 1, 1.0 and "1" are one value."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, numbers.Real):
        return f"{float(value):.15g}"
    return str(value).strip()


def _texts(name: Any, cells: pd.Series) -> tuple[list[str], list[bool]]:
    """Cells as texts, and which of them are missing."""
    _no_dates(name, cells)
    gone = [_missing(value) for value in cells]
    for value, missing in zip(cells, gone, strict=True):
        if not missing and not isinstance(value, str | numbers.Real | bool | np.bool_):
            raise TypeError(
                f"column {name!r}: argument must be a string or a number; got "
                f"{type(value).__name__}. Remedy: one plain value a cell"
            )
    return [_text(value) for value in cells], gone


def _no_dates(name: Any, cells: pd.Series) -> None:
    """Refuses dates and times, whatever they are written as."""
    kinds = pd.api.types
    dated = kinds.is_datetime64_any_dtype(cells.dtype) or kinds.is_timedelta64_dtype(cells.dtype)
    dated |= isinstance(cells.dtype, pd.PeriodDtype)
    if not dated and not kinds.is_numeric_dtype(cells.dtype):
        there = [value for value in cells if not _missing(value)]
        dated = any(isinstance(value, datetime.date | datetime.timedelta) for value in there)
        texts = [value for value in there if isinstance(value, str)]
        dated |= bool(texts) and all(DATE.match(value.strip()) for value in texts)
    if dated:
        raise ValueError(f"column {name!r} holds dates, which mean nothing as numbers. {DAYS}")


def _numbers(name: Any, cells: pd.Series) -> np.ndarray:
    """(N,) float64 of a column of numbers, NaN where missing."""
    if np.issubdtype(getattr(cells.dtype, "type", object), np.complexfloating):
        raise ValueError(f"Complex data not supported: column {name!r}")
    if pd.api.types.is_bool_dtype(cells.dtype) or pd.api.types.is_numeric_dtype(cells.dtype):
        values = cells.to_numpy(np.float64, na_value=np.nan)
    else:
        _no_dates(name, cells)
        values = np.full(len(cells), np.nan)
        for row, value in enumerate(cells):
            if _missing(value):
                continue
            found = _number(value)
            if found is None and not isinstance(value, str):
                raise TypeError(
                    f"column {name!r}, row {row + 1}: argument must be a string or a number; got "
                    f"{type(value).__name__}. Remedy: one plain value a cell"
                )
            if found is None:
                raise ValueError(
                    f"column {name!r} is a number in the labelled rows; row {row + 1} says "
                    f"{value[:40]!r}. Remedy: correct this cell, or leave it empty"
                )
            values[row] = found
    if np.isinf(values).any():
        row = int(np.argmax(np.isinf(values)))
        raise ValueError(
            f"Input X contains infinity: column {name!r}, row {row + 1}. Remedy: leave it empty"
        )
    return values
