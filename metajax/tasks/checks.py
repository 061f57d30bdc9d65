"""Columns that a user hands to a pool: read as they are meant, or refused by their name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

NUMBER = "names, {0} = np.unique({0}, return_inverse=True) numbers them"


def array(values: Any, name: str) -> np.ndarray:
    """One array of plain numbers or texts, on the host.

    Args:
      values: an array, a list, or a column of pandas.
      name: of the argument.

    Raises:
      ValueError: a masked or structured array, dates, objects, or rows of unequal length.
    """
    if hasattr(values, "toarray"):
        raise ValueError(f"{name} is a sparse matrix. Remedy: {name}.toarray()")
    if isinstance(values, np.ma.MaskedArray):
        raise ValueError(f"{name} is a masked array, whose mask would be lost. Remedy: fill it, "
                         f"e.g. {name}.filled(np.nan), or leave these rows out")  # fmt: skip
    try:
        found = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
        if found.dtype.kind == "O" and hasattr(values, "to_numpy"):
            dtypes = getattr(values, "dtypes", getattr(values, "dtype", ()))
            # Numbers of several types, or with pandas' own mark of a missing one.
            if all(getattr(each, "kind", "O") in "biuf" for each in np.atleast_1d(dtypes)):
                found = values.to_numpy(np.float64, na_value=np.nan)
    except ValueError as error:
        raise ValueError(f"{name} is no array: its rows are of unequal length") from error
    if found.ndim == 0:
        raise ValueError(f"{name} must be an array with a row a case; got a "
                         f"{type(values).__name__}")  # fmt: skip
    if found.dtype.kind == "V":
        fields = ", ".join(found.dtype.names or ()) or "raw bytes"
        raise ValueError(f"{name} is a structured array of {fields}. Remedy: take one field of it")
    if found.dtype.kind == "O" and all(isinstance(value, str) for value in found.ravel()):
        return found.astype(str)
    if found.dtype.kind in "mMcO" and (found.dtype.kind == "c" or name != "groups"):
        kinds = sorted({type(value).__name__ for value in found.ravel()[:1000].tolist()})
        raise ValueError(
            f"{name} holds objects ({', '.join(kinds)}), which are no numbers. Remedy: make "
            f"numbers of them, missing ones NaN (of a table of pandas: pandas.get_dummies({name})"
            ".astype(float))"
        )
    if found.dtype.kind == "f" and found.dtype.itemsize > 8:  # JAX has no longer floats
        return found.astype(np.float64)
    return found.astype(found.dtype.newbyteorder("="), copy=False)


def column(values: Any, name: str) -> np.ndarray:
    """One value a row; (R, 1) is read as R values."""
    found = array(values, name)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1:
        raise ValueError(f"{name} must hold one value a row; got shape {found.shape}")
    return found


def integers(values: Any, name: str, *, gaps: bool = True) -> np.ndarray:
    """A column of whole numbers from 0, as int64.

    Args:
      values: (R,) or (R, 1).
      name: of the argument.
      gaps: whether numbers between 0 and the largest may be absent.
    """
    found = array(values, name)
    if found.ndim == 2 and found.shape[1] > 1:
        raise ValueError(
            f"{name} must be integers from 0, one a row; got shape {found.shape}. Remedy: of "
            f"one-hot rows, {name}.argmax(1)"
        )
    found = column(found, name)
    if not len(found):
        raise ValueError(f"{name} has 0 rows")
    found = found.astype(np.int64) if found.dtype == bool and name != "item" else found
    if found.dtype.kind not in "iu" or found.min() < 0:
        lowest = f" from {found.min()}" if found.dtype.kind in "iuf" else ""
        raise ValueError(
            f"{name} must be integers from 0, one a row; got {found.dtype} array{lowest}. Remedy: "
            f"{NUMBER.format(name)}"
        )
    present = np.unique(found)
    if not gaps and len(present) <= int(present[-1]):
        absent = int(np.argmax(present != np.arange(len(present))))
        one, many = ("task", "tasks") if name == "task" else ("class", "classes")
        told = ", ".join(map(str, present[:8].tolist())) + (" ..." if len(present) > 8 else "")
        raise ValueError(
            f"{one} {absent} has 0 rows: number the {many} from 0 without a gap; {name} has "
            f"{told}. Remedy: {NUMBER.format(name)}"
        )
    if present[-1] >= 2**31:
        raise ValueError(f"{name} has {present[-1]}, beyond 32 bits. Remedy: {NUMBER.format(name)}")
    return found.astype(np.int64)


def mask(values: Any, name: str = "keep") -> np.ndarray:
    """(R,) bool; 0 and 1 are read as such."""
    found = column(values, name)
    if found.dtype == bool:
        return found
    if found.dtype.kind not in "iuf" or not np.isin(found, (0, 1)).all():
        raise ValueError(f"{name} must be a mask, True or False for every row; got {found.dtype} "
                         "array. Remedy: of row numbers, np.isin(np.arange(rows), numbers)"
                         )  # fmt: skip
    return found.astype(bool)


def groups(values: Any) -> np.ndarray:
    """(R,) int32 codes of row groups, numbers or texts."""
    found = column(values, "groups")
    gone = found != found if found.dtype.kind in "fO" else np.zeros(len(found), bool)
    if gone.any() or (found.dtype.kind == "O" and any(value is None for value in found)):
        raise ValueError("groups are missing in some rows: their cases would be one. Remedy: give "
                         "each of these rows a group of its own")  # fmt: skip
    try:
        return np.unique(found, return_inverse=True)[1].astype(np.int32)
    except TypeError as error:
        raise ValueError(f"groups are of several types: {error}. Remedy: make texts of all: "
                         "groups.astype(str)") from error  # fmt: skip


def weights(values: Any) -> np.ndarray:
    """(R,) weights of rows."""
    found = column(values, "weights")
    if found.dtype.kind in "iufb":
        with np.errstate(over="ignore", under="ignore"):
            small = found.astype(np.float32)
    if found.dtype.kind not in "iufb" or not (
        np.isfinite(small) & (small >= np.finfo(np.float32).tiny)
    ).all():
        raise ValueError("weights must be finite and above 0, in single precision. Remedy: leave "
                         "rows out by keep; divide the weights by their mean")  # fmt: skip
    return found


def ids(tasks: Sequence[int] | None, count: int) -> np.ndarray:
    """The task ids to draw from, all by default."""
    if tasks is None:
        return np.arange(count)
    found = np.asarray(list(tasks) if np.iterable(tasks) else tasks)
    whole = found.dtype.kind in "iu" and found.ndim == 1
    if not found.size or not whole or found.min() < 0 or found.max() >= count:
        raise ValueError(f"tasks must be ids from 0 to {count - 1}; got {found.tolist()}")
    if len(np.unique(found)) < len(found):
        raise ValueError(f"tasks names an id twice: {found.tolist()}")
    return found.astype(np.int32)


def whole(value: Any, name: str) -> None:
    """Refuses what is no integer of 32 bits."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value >= 2**31:
        raise ValueError(f"{name} must be an integer below 2^31; got {value!r}")
