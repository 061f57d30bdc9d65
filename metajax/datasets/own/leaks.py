"""Features that tell the label: it under another name, or what was filled in afterwards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from metajax.datasets.files import DataError
from metajax.datasets.own.columns import Examined
from metajax.datasets.own.reports import LEVELS

LEAST_ROWS = 20  # fewer rows follow a label by chance
LEAST_VALUE = 5  # fewer rows of a value say nothing about it
# A value that goes with one class only is a strong sign, not yet a leak: a finding may prove a
# disease. One that has also (nearly) all rows of the class is the class.
COVERED = 0.85  # the highest of 90 real tables is 0.78
TOLD = 0.25  # from here on such a value is told
CHANCE = 1e-6  # of one such value among all that were looked at, were they unrelated to the label


class Leak(NamedTuple):
    """A column, or several together, and how it tells the label."""

    names: tuple[str, ...]
    how: str


def no_leak(columns: Sequence[Examined], y: np.ndarray, classes: Sequence[str] = ()) -> None:
    """Refuses features that tell the label.

    Args:
      columns: of R rows.
      y: (R,) int classes or float targets.
      classes: their names.

    Raises:
      DataError: naming the column and how it tells the label.
    """
    if found := leak(columns, y, classes):
        names = ", ".join(map(repr, found.names))
        what = f"column {names} tells" if len(found.names) == 1 else f"columns {names} tell"
        drop = " ".join(map(repr, found.names))
        raise DataError(f"{what} the label: {found.how}. Remedy: --drop {drop} if it is not known "
                        "before the label, else --leaks keep")  # fmt: skip


def leak(columns: Sequence[Examined], y: np.ndarray, classes: Sequence[str] = ()) -> Leak | None:
    """The first leak of a table.

    That is a column each of whose values goes with one label (missing is a value); a value, or that
    it is missing, that goes with one class only and has nearly all of its rows; columns of one name
    that do so together; a number that splits one class from the others, or orders targets, without
    an error.
    """
    if len(y) < LEAST_ROWS:
        return None
    if y.dtype.kind != "i":
        for each in columns:
            if _orders(each, y, len(columns)):
                return Leak((each.column.name,), "it puts the rows in the order of the label")
        return None
    names = list(classes) or [str(c) for c in range(int(y.max()) + 1)]
    tests = sum(int((np.bincount(one.level + 1) >= LEAST_VALUE).sum()) for one in columns)
    for each in columns:
        level = np.where(each.level < 0, len(each.values), each.level)
        gone = each.level < 0
        how = ""
        if _tells(np.unique(level, return_inverse=True)[1], y):
            how = "each of its values goes with one label"
        elif gone.any() and _tells(gone.astype(np.int64), y):
            how = "whether it is missing goes with one label"
        elif found := _class_of(level, y, tests):
            value, c = found
            said = "that it is missing" if value == len(each.values) else (
                f"{each.texts[value]!r}")  # fmt: skip
            how = f"{said} goes with {names[c]!r} only, and nearly all of its rows say so"
        elif gone.any() and (found := _class_of(gone.astype(np.int64), y, tests)):
            how = f"that it is filled in goes with {names[found[1]]!r} only"
        elif not np.isnan(each.values).any():
            full = np.append(each.values, np.nan)[each.level]
            c = _splits(full[~gone], y[~gone])
            if c is not None:
                both = y.max() == 1
                how = ("it splits the labels without an error" if both else
                       f"it splits {names[c]!r} from the others without an error")  # fmt: skip
        if how:
            return Leak((each.column.name,), how)
    return _together(columns, y, names, tests)


def _tells(codes: np.ndarray, y: np.ndarray) -> bool:
    """Whether a column of few values has one label for each."""
    values = int(codes.max()) + 1
    if not 2 <= values <= LEVELS + 1 or len(y) < 5 * values:
        return False
    low, high = np.full(values, y.max()), np.zeros(values, y.dtype)
    np.minimum.at(low, codes, y)
    np.maximum.at(high, codes, y)
    return bool((low == high).all())


def sign(each: Examined, y: np.ndarray, classes: Sequence[str]) -> str:
    """What is told of a column with a value that goes with one class only; empty: nothing."""
    if len(y) < LEAST_ROWS or y.dtype.kind != "i":
        return ""
    level = np.where(each.level < 0, len(each.values), each.level)
    found = _class_of(level, y, 100, TOLD)
    if found is None:
        return ""
    value, c = found
    said = f"{each.texts[value]!r}" if value < len(each.texts) else "a missing cell"
    return f"{said} goes with the label {classes[c]!r} only ({int((level == value).sum())} rows)"


def _class_of(
    level: np.ndarray, y: np.ndarray, tests: int, covered: float = COVERED
) -> tuple[int, int] | None:
    """A value that goes with one class only and has a share of its rows: (value, class)."""
    classes = int(y.max()) + 1
    table = np.bincount(level * classes + y, minlength=(int(level.max()) + 1) * classes)
    table = table.reshape(-1, classes)
    rows, total = table.sum(1), table.sum(0)
    pure = (table.max(1) == rows) & (rows >= LEAST_VALUE)
    for value in np.flatnonzero(pure):
        c = int(table[value].argmax())
        if rows[value] >= covered * total[c] and _chance(rows[value], total[c], len(y), tests):
            return int(value), c
    return None


def _chance(rows: int, of_class: int, total: int, tests: int) -> bool:
    """Whether some rows drawn at random would hardly ever be of one class."""
    def choose(n: float, k: float) -> float:
        return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)

    chance = choose(of_class, rows) - choose(total, rows)  # log; hypergeometric
    return bool(chance + np.log(max(tests, 1)) < np.log(CHANCE))


def _splits(values: np.ndarray, y: np.ndarray) -> int | None:
    """A class that a threshold separates from the others, with rows enough of each."""
    for c in range(int(y.max(initial=0)) + 1):
        one, other = values[y == c], values[y != c]
        if min(len(one), len(other)) < LEAST_ROWS // 2:
            continue
        if other.max() < one.min() or one.max() < other.min():
            return c
    return None


def _orders(each: Examined, y: np.ndarray, tests: int) -> bool:
    """Whether a number puts the rows in the order of a target; one of them may be rounded."""
    if np.isnan(each.values).any():
        return False
    seen = each.level >= 0
    if seen.sum() < LEAST_ROWS:
        return False
    x, y = each.values[each.level[seen]], y[seen]
    # Log of how seldom chance gives that order: of all orders, those within equal values are free.
    ties = [np.unique(side, return_counts=True)[1] for side in (x, y)]
    chance = sum(gammaln(side + 1).sum() for side in ties) - gammaln(len(y) + 1)
    if chance + np.log(max(tests, 1)) > np.log(CHANCE):
        return False
    return any((np.diff(y[np.lexsort((y, side))]) >= 0).all() for side in (x, -x))


def _together(
    columns: Sequence[Examined], y: np.ndarray, names: Sequence[str], tests: int
) -> Leak | None:
    """Columns of yes and no with one beginning, of which any goes with one class only."""
    sets: dict[str, list[Examined]] = {}
    for each in columns:
        stem = re.match(r"(.+?)[_.\s:=-]+[^_.\s:=-]+$|([A-Za-z]+)\d+$", each.column.name)
        if stem and len(each.values) == 2 and set(each.values.tolist()) <= {0.0, 1.0}:
            sets.setdefault(stem[1] or stem[2], []).append(each)
    for own in sets.values():
        if len(own) < 2:
            continue
        ones = [np.append(each.values, 0.0)[each.level] == 1 for each in own]
        apart = np.sum(ones, 0).max() == 1  # dummies of one column: at most one is 1
        any_of = np.any(ones, 0).astype(np.int64)
        found = _class_of(any_of, y, tests)
        if found is None and apart:
            level = np.sum([(i + 1) * one for i, one in enumerate(ones)], 0)
            if _tells(np.unique(level, return_inverse=True)[1], y):
                return Leak(tuple(e.column.name for e in own), "together they say one label each")
        if found is not None:
            return Leak(tuple(each.column.name for each in own),
                        f"that one of them is {found[0]} goes with {names[found[1]]!r} only"
                        )  # fmt: skip
    return None
