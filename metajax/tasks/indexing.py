"""Checked columns of a pool, and its index table ``rows (T, C, L)``: the rows of every class."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from metajax.types import PyTree


def index_table(
    labels: np.ndarray, task: np.ndarray, kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Builds the index table of the rows kept (R,) by integer labels and tasks (R,)."""
    tasks, classes = int(task.max()) + 1, int(labels.max()) + 1
    cell = task.astype(np.int64) * classes + labels
    order = np.flatnonzero(kept)
    order = order[np.argsort(cell[order], kind="stable")]
    counts = np.bincount(cell[order], minlength=tasks * classes)
    rows = np.zeros((tasks * classes, counts.max()), np.int32)
    starts = np.concatenate([[0], np.cumsum(counts)])
    for i in range(tasks * classes):
        rows[i, : counts[i]] = order[starts[i] : starts[i + 1]]
    return rows.reshape(tasks, classes, -1), counts.reshape(tasks, classes).astype(np.int32)


def checked_shots(shots: int | Sequence[int]) -> np.ndarray:
    """Validates the shots and returns them as an array (S,)."""
    values = np.atleast_1d(np.asarray(shots))
    whole = np.issubdtype(values.dtype, np.integer)
    fine = values.ndim == 1 and values.size > 0 and whole
    if not fine or values.min() < 1 or values.max() >= 2**31:
        raise ValueError(f"shots must be one or several positive integers; got {shots!r}")
    return values.astype(np.int32)


def row_count(x: PyTree, item: np.ndarray | None, **columns: np.ndarray | None) -> int:
    """Checks that inputs (or items) and columns (None: not given) have one length; returns it."""
    sizes = {len(leaf) for leaf in jax.tree.leaves(x)}
    lengths = {name: len(column) for name, column in columns.items() if column is not None}
    lengths |= {"x": max(sizes)} if item is None else {"item": len(item)}
    if len(set(lengths.values())) != 1 or len(sizes) != 1 or 0 in lengths.values():
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        more = "" if len(sizes) == 1 else f"; the arrays of x have {sorted(sizes)} rows"
        raise ValueError(f"x and its columns must have one and the same length; got {told}{more}")
    if item is not None and item.max() >= min(sizes):
        raise ValueError(f"item must be numbers of the {min(sizes)} items of x; got up to "
                         f"{item.max()}")  # fmt: skip
    return lengths.popitem()[1]


def item_column(item: np.ndarray | None, rows: int) -> np.ndarray:
    """The item of every row; row i is item i by default."""
    return np.arange(rows, dtype=np.int32) if item is None else item.astype(np.int32)


def group_codes(groups: np.ndarray | None, rows: int) -> np.ndarray:
    """The codes of the row groups; a row is its own group by default."""
    return np.arange(rows, dtype=np.int32) if groups is None else groups


def task_units(counts: np.ndarray, names, clusters) -> tuple[np.ndarray, tuple[str, ...]]:
    """Clusters and names of all task ids, checked and filled up."""
    for name, units in (("names", names), ("clusters", clusters)):
        if units is not None and (isinstance(units, str) or len(units) != len(counts)):
            given = repr(units) if isinstance(units, str) else len(units)
            raise ValueError(f"{name} must be {len(counts)}, one a task id; got {given}")
    units = np.arange(len(counts)) if clusters is None else np.asarray(clusters)
    if units.dtype.kind not in "iu" or units.ndim != 1:
        raise ValueError(f"clusters must be integers, one a task id; got {units.dtype} array. "
                         "Remedy: np.unique(clusters, return_inverse=True)[1]")  # fmt: skip
    return (
        units.astype(np.int32),
        tuple(names) if names is not None else tuple(f"task {t}" for t in range(len(counts))),
    )
