"""A family of tasks in memory: what every reader returns, and the checks it must pass."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from metajax import columns
from metajax.datasets.cards import UNKNOWN_COUNT, Card
from metajax.datasets.files import DataError

TRAIN, VALIDATION, TEST = 0, 1, 2


class Family(NamedTuple):
    """R labelled rows of T tasks over I items (numpy throughout).

    An item is a case: a patient, a molecule, an image, a sequence. Where one case is labelled in
    several tasks its inputs are stored once, and `item` says which row shows which item.

    Attributes:
      x: inputs of the items: an array (I, ...) or a dict of them, in a compact dtype (uint8 images,
        codes and counts; float32 with NaN where a value is missing).
      y: (R,) int32 classes from 0, or (R,) or (R, K) float32: regression targets, or findings 0 and
        1. NaN = not labelled.
      task: (R,) int32, the task id of every row.
      task_names: by task id.
      card: what it is and where it comes from.
      columns: names of the columns of `x`, where it is a table; else empty.
      group: (R,) int32 row groups (see `Card.row_group`), numbered over all tasks, so that a
        patient has one number; None: every item is its own group.
      item: (R,) int32, the item of every row; None: row i is item i.
      split: (T,) int8, 0 meta-train, 1 meta-validation, 2 meta-test, -1 unused; None: any task may
        be held out.
      unit: (T,) int32 split units of the tasks (see `Card.split_unit`); None: each its own.
      cluster: (T,) int32, the bootstrap's unit; None: the split unit.
      weight: (R,) float32 weights above 0 of rows in losses and metrics; None: 1.
      part: (R,) int8, the source's own split of the rows (0 train, 1 validation, 2 test); None if
        it has none.
      classes: names of the classes, where all tasks share them; else empty.
      class_split: (C,) int8, as `split`, where classes (characters, findings) are what is held out.
    """

    x: Any
    y: np.ndarray
    task: np.ndarray
    task_names: tuple[str, ...]
    card: Card
    columns: tuple[str, ...] = ()
    group: np.ndarray | None = None
    item: np.ndarray | None = None
    split: np.ndarray | None = None
    unit: np.ndarray | None = None
    cluster: np.ndarray | None = None
    weight: np.ndarray | None = None
    part: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    class_split: np.ndarray | None = None

    @property
    def items(self) -> np.ndarray:
        """(R,) the item of every row."""
        return np.arange(len(self.y), dtype=np.int32) if self.item is None else self.item

    @property
    def groups(self) -> np.ndarray:
        """(R,) the row group of every row."""
        return self.items if self.group is None else self.group

    @property
    def units(self) -> np.ndarray:
        """(T,) the split unit of every task."""
        given = self.unit
        return np.arange(len(self.task_names), dtype=np.int32) if given is None else given

    @property
    def clusters(self) -> np.ndarray:
        """(T,) the cluster of every task."""
        return self.units if self.cluster is None else self.cluster


def leaves(x: Any) -> dict[str, np.ndarray]:
    """The arrays of `Family.x` by name; a single array is called ``x``."""
    return dict(x) if isinstance(x, dict) else {"x": x}


def of_tasks(family: Family, kept: np.ndarray) -> Family:
    """The family of some of its tasks; items stay as they are where rows name them.

    Args:
      family: as read.
      kept: (T,) bool.
    """
    if kept.all():
        return family
    rows, number = kept[family.task], np.cumsum(kept) - 1
    own = {n: getattr(family, n) for n in ("item", "group", "weight", "part")}
    ours = {n: getattr(family, n) for n in ("split", "unit", "cluster")}
    x = family.x
    if family.item is None:
        x = {n: leaf[rows] for n, leaf in x.items()} if isinstance(x, dict) else x[rows]
    return family._replace(
        x=x,
        y=family.y[rows],
        task=number[family.task[rows]].astype(np.int32),
        task_names=tuple(n for n, ok in zip(family.task_names, kept, strict=True) if ok),
        **{n: None if column is None else column[rows] for n, column in own.items()},
        **{n: None if column is None else column[kept] for n, column in ours.items()},
    )


def check(family: Family) -> None:
    """Compares a family with its card: shapes, counts, splits.

    Args:
      family: as read.

    Raises:
      DataError: naming what differs.
    """
    card, name = family.card, family.card.name
    _check_shapes(family)
    kept = np.isfinite(family.y)
    expected = card.counts
    found = {
        "tasks": len(family.task_names),
        "rows": int(kept.sum()),
        "items": len(next(iter(leaves(family.x).values()))),
    }
    if expected.labels:
        values = family.y[kept].astype(np.int64)
        if values.size and values.min() < 0:
            raise DataError(f"{name}: a label is {values.min()}, below 0")
        found["labels"] = tuple(np.bincount(values, minlength=len(expected.labels)).tolist())
    if expected.split:
        split = family.split if family.class_split is None else family.class_split
        found["split"] = tuple(int((np.asarray(split) == side).sum()) for side in range(3))
    for what, value in found.items():
        stated = getattr(expected, what)
        if value != stated and stated != UNKNOWN_COUNT:
            raise DataError(f"{name}: {value} {what}, the card states {stated}")
    if card.prevalence and card.tasks != tuple(family.task_names):
        raise DataError(f"{name}: tasks {family.task_names}, the card lists {card.tasks}")
    for i, (task, rows, positive) in enumerate(card.prevalence):
        mine = family.y[family.task == i]
        seen = int(np.isfinite(mine).all(-1).sum() if mine.ndim > 1 else np.isfinite(mine).sum())
        ones = int((mine == 1).sum()) if expected.labels else positive
        if (seen, ones) != (rows, positive):
            raise DataError(
                f"{name}, task {task}: {seen} rows with {ones} positive, the card states {rows} "
                f"with {positive}"
            )


def _check_shapes(family: Family) -> None:
    """Refuses columns of unequal length, ids out of range, and split units on two sides."""
    name, tasks = family.card.name, len(family.task_names)
    items = {len(leaf) for leaf in leaves(family.x).values()}
    rows = ("y", "task", "item", "group", "weight", "part")
    columns = {each: getattr(family, each) for each in rows}
    lengths = {each: len(column) for each, column in columns.items() if column is not None}
    if len(items) != 1 or len(set(lengths.values())) != 1:
        raise DataError(f"{name}: columns of unequal length, items {items}, rows {lengths}")
    (count,) = items
    if family.item is None and count != len(family.y):
        raise DataError(f"{name}: {count} items for {len(family.y)} rows, without an item column")
    for what, ids, bound in (("task", family.task, tasks), ("item", family.items, count)):
        if len(ids) and not (0 <= ids.min() and ids.max() < bound):
            raise DataError(f"{name}: {what} ids go beyond its {bound} {what}s")
    for what in ("split", "unit", "cluster"):
        column = getattr(family, what)
        if column is not None and len(column) != tasks:
            raise DataError(f"{name}: {what} of {len(column)} tasks, but it has {tasks} tasks")
    if family.columns and len(family.columns) != family.x.shape[1]:
        raise DataError(f"{name}: {len(family.columns)} names for {family.x.shape[1]} columns")
    if family.weight is not None and not (family.weight > 0).all():
        raise DataError(f"{name}: a weight is not above 0")
    if family.split is not None:
        used = np.asarray(family.split) >= 0
        sides = np.unique(np.stack([family.units[used], family.split[used]]), axis=1)[0]
        twice = np.unique(sides[1:][sides[1:] == sides[:-1]])
        if len(twice):
            tasks_of = [family.task_names[i] for i in np.flatnonzero(family.units == twice[0])]
            raise DataError(f"{name}: tasks of one split unit are on two sides: {tasks_of[:8]}")


def scaled(family: Family, rows_fit: np.ndarray, *, clip: float = 4.0) -> np.ndarray:
    """Z-scores and missing-value flags of a table, fitted on some rows and applied to all.

    A missing value becomes 0, the mean of its column. A column with missing values among the
    fitted rows also gets a flag (1 = missing); of columns that are missing in the same fitted rows
    (the levels of one nominal) only the first has one, and none that is missing in all of them: it
    would be constant. A column without any fitted value is 0 everywhere. An item counts once,
    however many rows show it.

    Args:
      family: rows whose `x` is one array (I, D).
      rows_fit: (R,) bool, the rows that may be looked at: meta-train tasks, never queries.
      clip: largest absolute z-score; above 0.

    Returns:
      (I, D + flags) float32, finite. Values of rows outside `rows_fit` change no other row.

    Raises:
      ValueError: if `rows_fit` is not a boolean mask of the rows or selects none.
    """
    rows_fit = np.asarray(rows_fit)
    if rows_fit.dtype != bool or rows_fit.shape != family.y.shape[:1]:
        raise ValueError(
            f"rows_fit must be a boolean mask of shape {family.y.shape[:1]}; got {rows_fit.dtype} "
            f"{rows_fit.shape}"
        )
    if not rows_fit.any():
        raise ValueError("rows_fit selects no row to fit the scaling on")
    if not clip > 0:
        raise ValueError(f"clip must be above 0; got {clip}")
    x = family.x.astype(np.float64)
    mask = np.zeros(len(x), bool)
    mask[family.items[rows_fit]] = True
    missing = np.isnan(x)
    gone = missing[mask]
    # A constant column gives no unit: a departure from the constant would be infinitely far.
    z = np.where(missing, 0.0, columns.scores(columns.moments(x[mask], ~gone, np), x, np))
    packed = np.packbits(gone, axis=0).T  # equal columns have equal bytes; far faster to sort
    _, first = np.unique(
        np.ascontiguousarray(packed).view(f"V{packed.shape[1]}").ravel(), return_index=True
    )
    flags = [j for j in np.sort(first) if gone[:, j].any() and not gone[:, j].all()]
    return np.concatenate([np.clip(z, -clip, clip), missing[:, flags]], 1, dtype=np.float32)
