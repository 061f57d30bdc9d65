"""Inputs and labels that a user hands to a pool: kept whole in 32 bits, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from metajax.columns import lost
from metajax.tasks.checks import array
from metajax.types import Episode, Examples, Kind, PyTree

FEW = 10  # a float column of at most so many whole numbers may hold classes
HUGE, TINY = 1e15, 1e-15  # squares of errors beyond these leave float32


def inputs(x: PyTree, prepare: Callable | None) -> PyTree:
    """The inputs as arrays of numbers that survive in 32 bits.

    Args:
      x: an array (I, ...), or a dict (any pytree) of them.
      prepare: what maps the raw episode to the learner's; without one, nothing may be missing.

    Raises:
      ValueError: naming the leaf and a cell at fault.
    """
    if prepare is not None and not callable(prepare):
        raise ValueError(f"prepare must be a function of an episode; got {prepare!r}")
    if isinstance(x, list):
        raise ValueError("x must be an array of rows, or a dict of such arrays; got a list. "
                         "Remedy: np.asarray(x)")  # fmt: skip
    leaves, structure = jax.tree_util.tree_flatten_with_path(x)
    if not leaves:
        raise ValueError(f"x must be an array of rows, or a dict of such arrays; got {x!r}")
    paths = ["x" + jax.tree_util.keystr(path) for path, _ in leaves]
    found = [_leaf(leaf, name, prepare) for name, (_, leaf) in zip(paths, leaves, strict=True)]
    return jax.tree.unflatten(structure, found)


def _leaf(leaf: Any, name: str, prepare: Callable | None) -> Any:
    """One array of inputs."""
    found = array(leaf, name)
    if not len(found):
        raise ValueError(f"{name} has 0 rows")
    if found.dtype.kind not in "biuf":
        raise ValueError(f"{name} holds texts, which are no numbers. Remedy: "
                         f"pandas.get_dummies({name}).astype(float) of such columns"
                         )  # fmt: skip
    if 0 in found.shape[1:]:
        raise ValueError(f"{name} has shape {found.shape}: its rows are empty")
    if found.dtype.kind == "f":
        _present(found, name, np.isinf(found), "infinite", "set them to NaN if they are missing")
        if prepare is None:
            _present(found, name, np.isnan(found), "missing (NaN)",
                     "or prepare=metajax.tasks.standardise_by_support")  # fmt: skip
    if found.dtype.itemsize == 8:
        if found.dtype.kind in "iu" and found.size and np.abs(found).max() >= 2**31:
            raise ValueError(f"{name} has {found.max()}, beyond 32 bits. Remedy: make floats of "
                             "it, less its mean")  # fmt: skip
        if found.dtype.kind == "f":
            _survives(found, name)
            return found.astype(np.float32)
    return leaf if isinstance(leaf, jax.Array) else found


def _present(values: np.ndarray, name: str, where: np.ndarray, what: str, remedy: str) -> None:
    """Refuses cells of some kind, naming the first."""
    if where.any():
        cell = ", ".join(map(str, np.argwhere(where)[0].tolist()))
        raise ValueError(f"{name} is {what} in {int(where.sum())} cells, first in {name}[{cell}]. "
                         f"Remedy: correct these cells, {remedy}")  # fmt: skip


def _survives(values: np.ndarray, name: str) -> None:
    """Refuses float64 columns whose differences are lost in float32."""
    gone = lost(values.reshape(len(values), -1))
    if gone.any():
        first = f"column {int(np.argmax(gone))} of {name}" if values.ndim > 1 else name
        raise ValueError(
            f"{first} loses its differences in float32: its values are too large, too small, or "
            "too far from 0. Remedy: subtract its mean and divide by its standard deviation before"
        )


def targets(y: np.ndarray, kind: Kind) -> np.ndarray:
    """Regression targets or findings as (R, K) float32, NaN where not labelled."""
    if y.dtype.kind not in "biuf" or y.ndim > 2:
        raise ValueError(f"y must be numbers (R,) or (R, K); got {y.dtype} array, shape {y.shape}")
    found = (y[:, None] if y.ndim == 1 else y).astype(np.float64)
    if np.isinf(found).any():
        row = int(np.argmax(np.isinf(found).any(1)))
        raise ValueError(f"y is infinite in row {row}. Remedy: correct it, or set it to NaN if the "
                         "row has no label")  # fmt: skip
    if kind == "multilabel" and not np.isin(found[~np.isnan(found)], (0, 1)).all():
        raise ValueError("y of findings must be 0, 1, or NaN where not known")
    _survives(found, "y")
    return found.astype(np.float32)


def kind_of(y: np.ndarray) -> Kind:
    """What labels are, where nobody says: integers are classes, floats are quantities.

    Raises:
      ValueError: for floats that may be classes or findings.
    """
    if y.dtype.kind in "iuSU":
        return "multiclass"
    known = y[np.isfinite(y)] if y.dtype.kind == "f" else y
    if known.size and (known == np.round(known)).all() and len(np.unique(known)) <= FEW:
        told = ", ".join(f"{value:g}" for value in np.unique(known))
        raise ValueError(
            f"y holds floats that are whole numbers ({told}): classes, or quantities? Remedy: "
            "integers for classes (y.astype(int)), kind='multilabel' for findings, or "
            "kind='regression'"
        )
    return "regression"


def moderate(y: np.ndarray, prepare: Callable | None, x: PyTree) -> None:
    """Refuses regression targets whose squared errors no float32 holds.

    Args:
      y: (R, K) float32.
      prepare: it may bring the targets to a moderate size.
      x: inputs of at least one row.
    """
    size = np.abs(y[np.isfinite(y)])
    if not size.size or _fine(size):
        return
    if prepare is not None:
        few = np.flatnonzero(np.isfinite(y).all(1))[:4]
        part = Examples(jax.tree.map(lambda leaf: np.asarray(leaf)[: len(few)], x), y[few],
                        np.ones_like(y[few]))  # fmt: skip
        if len(few) and _fine(np.abs(np.asarray(prepare(Episode(part, part)).support.y))):
            return
    raise ValueError(
        f"y reaches {size.max():g}: squared errors of that size are infinite or 0 in float32. "
        "Remedy: prepare=metajax.tasks.standardise_targets, or another unit"
    )


def _fine(size: np.ndarray) -> bool:
    """Whether squares of numbers of these sizes are floats."""
    return not size.max() or TINY <= size.max() <= HUGE
