"""A family of tabular tasks in memory, and its scaling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from metajax.datasets.cards import Card
from metajax.datasets.files import DataError


class Table(NamedTuple):
    """R rows of several tasks that share D columns.

    Attributes:
      x: (R, D) float32, NaN where missing.
      y: (R,) int32 labels.
      task: (R,) int32, the task id of every row.
      group: (R,) int32 row groups (see `Card.row_group`), None if rows are independent.
      task_names: by task id.
      columns: D names.
      card: what it is and where it comes from.
    """

    x: np.ndarray
    y: np.ndarray
    task: np.ndarray
    group: np.ndarray | None
    task_names: tuple[str, ...]
    columns: tuple[str, ...]
    card: Card


def check_counts(card: Card, y: np.ndarray, task: np.ndarray) -> None:
    """Compare rows and positive labels of every task with the card.

    Args:
      card: what is expected (`Card.prevalence`).
      y: (R,) labels in {0, 1}.
      task: (R,) task ids.

    Raises:
      DataError: if any count differs.
    """
    for i, (name, rows, positive) in enumerate(card.prevalence):
        found = int(np.sum(task == i)), int(np.sum(y[task == i] == 1))
        if found != (rows, positive):
            raise DataError(
                f"{card.name}, task {name}: {found[0]} rows with {found[1]} positive, the card "
                f"states {rows} with {positive}"
            )


def scaled(table: Table, rows_fit: np.ndarray, *, clip: float = 4.0) -> np.ndarray:
    """Z-scores and missing-value flags, fitted on some rows and applied to all.

    A missing value becomes 0, the mean of its column. A column with missing values among the
    fitted rows also gets a flag (1 = missing); of columns that are missing in the same fitted rows
    (the levels of one nominal) only the first has one, and none that is missing in all of them: it
    would be constant. A column without any fitted value is 0 everywhere.

    Args:
      table: the rows.
      rows_fit: (R,) bool, the rows that may be looked at: meta-train tasks, never queries.
      clip: largest absolute z-score; above 0.

    Returns:
      (R, D + flags) float32, finite. Values of rows outside `rows_fit` change no other row.

    Raises:
      ValueError: if `rows_fit` is not a boolean mask of the rows or selects none.
    """
    mask = np.asarray(rows_fit)
    if mask.dtype != bool or mask.shape != table.y.shape:
        raise ValueError(
            f"rows_fit must be a boolean mask of shape {table.y.shape}; got {mask.dtype} "
            f"{mask.shape}"
        )
    if not mask.any():
        raise ValueError("rows_fit selects no row to fit the scaling on")
    if not clip > 0:
        raise ValueError(f"clip must be above 0; got {clip}")
    x = table.x.astype(np.float64)
    missing = np.isnan(x)
    fit, gone = np.where(missing, 0.0, x)[mask], missing[mask]
    count = np.maximum((~gone).sum(0), 1)
    mean = fit.sum(0) / count
    spread = np.sqrt((np.where(gone, 0.0, fit - mean) ** 2).sum(0) / count)
    # A constant column gives no unit: a departure from the constant would be infinitely far.
    known = spread > 1e-6 * np.maximum(np.abs(mean), 1.0)
    z = np.where(missing | ~known, 0.0, (x - mean) / np.where(known, spread, 1.0))
    _, first = np.unique(gone, axis=1, return_index=True)
    flags = [j for j in np.sort(first) if gone[:, j].any() and not gone[:, j].all()]
    return np.concatenate([np.clip(z, -clip, clip), missing[:, flags]], 1, dtype=np.float32)
