"""Pools: real data as one pytree on the device, from which episodes are drawn.

A pool is the rows themselves plus an index table ``rows (T, C, L)`` with ``counts (T, C)``: the
rows of task t and class c. One sampler (`metajax.tasks.sampler`) serves N-way episodes over classes
(`class_pool`: one task, many classes, `ways` of them drawn) and tasks with labelled rows of their
own (`task_pool`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from metajax.tasks.sampler import DRAWS, Draw, PoolData, sampler
from metajax.types import Episode, Kind, PyTree, TaskSource, TaskSpec


def _index(
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


def _shots(shots: int | Sequence[int]) -> np.ndarray:
    """Validates the shots and returns them as an array (S,)."""
    values = np.atleast_1d(np.asarray(shots))
    whole = np.issubdtype(values.dtype, np.integer)
    if values.ndim != 1 or values.size == 0 or not whole or (values < 1).any():
        raise ValueError(f"shots must be one or several positive integers; got {shots!r}")
    return values.astype(np.int32)


def _rows(x: PyTree, *columns: np.ndarray | None) -> int:
    """Checks that inputs and columns (None: not given) have one length and returns it."""
    given = [*jax.tree.leaves(x), *(column for column in columns if column is not None)]
    lengths = {len(column) for column in given}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"x and its columns must have one and the same length; got {lengths}")
    return lengths.pop()


def _integers(values: np.ndarray, name: str) -> np.ndarray:
    """Checks an integer column with values from 0."""
    values = np.asarray(values)
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer) or values.min() < 0:
        raise ValueError(f"{name} must be integers from 0, one a row; got {values.dtype} array")
    return values


def _groups(groups: np.ndarray | None, rows: int) -> np.ndarray:
    """The row groups as int32 codes; a row is its own group by default."""
    if groups is None:
        return np.arange(rows, dtype=np.int32)
    return np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int32)


def class_pool(
    x: PyTree,
    labels: np.ndarray,
    *,
    ways: int,
    shots: int | Sequence[int],
    queries: int,
    groups: np.ndarray | None = None,
    prepare: Callable[[Episode], Episode] | None = None,
) -> TaskSource:
    """N-way episodes: `ways` classes drawn from many, their names permuted in every episode.

    Args:
      x: inputs, leaves (R, ...).
      labels: (R,) integer classes from 0.
      ways: classes an episode.
      shots: support rows per class; several values: one is drawn for every episode.
      queries: query rows per class.
      groups: (R,) row groups (patient, lesion); a group is never in both support and query.
      prepare: maps the raw episode to the learner's, e.g. decoding uint8 images.

    Returns:
      A source whose tasks are drawn by key alone (``tasks`` is None). Every class must have
      ``max(shots) + queries`` rows; with groups, fewer queries may be left and are masked.

    Raises:
      ValueError: for too few classes, or a class with too few rows or groups (it is named).
    """
    values = _shots(shots)
    count = _rows(x, labels, groups)
    labels = _integers(labels, "labels")
    rows, counts = _index(labels, np.zeros(count, np.int32), np.ones(count, bool))
    if not 2 <= ways <= rows.shape[1]:
        raise ValueError(f"ways must be from 2 to the {rows.shape[1]} classes; got {ways}")
    need = int(values.max()) + queries
    if counts.min() < need:
        short = int(counts.argmin())
        raise ValueError(
            f"class {short} has {counts.min()} rows, but shots + queries need {need}: "
            "drop the class, or lower shots or queries"
        )
    group = _groups(groups, count)
    if groups is not None:
        for label in range(rows.shape[1]):
            found = len(np.unique(group[labels == label]))
            if found < 2:
                raise ValueError(f"class {label} has {found} row group: support and query need two")
    data = PoolData(
        jax.tree.map(jnp.asarray, x),
        jnp.zeros((count, 1)),
        jnp.ones((count, 1)),
        *map(jnp.asarray, (group, rows, counts)),
        weights=jnp.ones(1),
        shots=jnp.asarray(values),
        balanced=jnp.float32(1),
    )
    size = int(values.max()) * ways
    sample = sampler(ways, size, queries, True, True, groups is not None, False, prepare)
    return TaskSource(TaskSpec(ways, "multiclass"), data, sample)


def task_pool(
    x: PyTree,
    y: np.ndarray,
    task: np.ndarray,
    *,
    shots: int | Sequence[int],
    queries: int | None = None,
    groups: np.ndarray | None = None,
    clusters: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    kind: Kind | None = None,
    draw: Draw = "balanced",
    tasks: Sequence[int] | None = None,
    fill: bool = False,
    prepare: Callable[[Episode], Episode] | None = None,
) -> TaskSource:
    """Tasks with labelled rows of their own: hospitals, diseases, assays, genes.

    Args:
      x: inputs, leaves (R, ...).
      y: (R,) integers: classes from 0, shared by the tasks (multiclass, binary with two of them);
        (R,) or (R, K) floats: regression targets; (R, K) of 0, 1 and NaN with
        ``kind="multilabel"``. NaN = not labelled.
      task: (R,) integer task ids from 0.
      shots: labelled rows of the support in all; several values: one is drawn for every episode.
      queries: the most query rows, drawn from all the rows that are left, at natural prevalence;
        None: all of them.
      groups: (R,) row groups; a group is never in both support and query.
      clusters: the bootstrap's unit of every task id; None: each task its own.
      names: the name of every task id.
      kind: None: multiclass for integers, regression for floats.
      draw: "balanced" (the shots spread evenly over the classes), "natural" (in proportion to the
        task's classes, one at least of each) or "mixed" (balanced in three of four episodes).
        Multilabel and regression tasks have one "class": rows are drawn alike.
      tasks: the task ids that episodes are drawn from (and `evaluate` enumerates); None: all.
      fill: accept a task with too few rows of a class for its share of the support: a class gives
        at most half of its rows, and the others fill up. Otherwise such a task is refused.
      prepare: maps the raw episode to the learner's.

    Returns:
      A source whose ``tasks`` are the ids given.

    Raises:
      ValueError: for mismatched lengths, an unknown kind or draw, or a task that is empty, has one
        class, or too few rows (it is named).
    """
    values = _shots(shots)
    y = np.asarray(y)
    y = y.astype(np.int32) if y.dtype == bool else y
    count = _rows(x, y, task, groups)
    task = _integers(task, "task")
    kind = kind or ("multiclass" if np.issubdtype(y.dtype, np.integer) else "regression")
    if draw not in DRAWS:
        raise ValueError(f"draw must be one of {', '.join(DRAWS)}; got {draw!r}")
    if kind == "multiclass":
        labels = _integers(y, "y")
        spec = TaskSpec(int(labels.max()) + 1, kind)
        targets = np.eye(spec.outputs, dtype=np.float32)[labels]
    else:
        labels = np.zeros(count, np.int32)
        targets = np.asarray(y, np.float32).reshape(count, -1)
        spec = TaskSpec(targets.shape[1], kind)
    defined = np.isfinite(targets)
    rows, counts = _index(labels, task, defined.any(1))
    for name, units in (("names", names), ("clusters", clusters)):
        if units is not None and len(units) != len(counts):
            raise ValueError(f"{name} must be {len(counts)}, one a task id; got {len(units)}")
    ids = np.arange(len(counts)) if tasks is None else np.asarray(tasks, np.int32)
    if ids.size == 0 or ids.min() < 0 or ids.max() >= len(counts):
        raise ValueError(f"tasks must be ids from 0 to {len(counts) - 1}; got {ids.tolist()}")
    most = int(values.max())
    for t in ids:
        _check_task(t, names, counts[t], values, kind, draw, fill)
        if groups is not None and len(np.unique(np.asarray(groups)[task == t])) < 2:
            raise ValueError(f"task {t} has 1 row group: support and query need two")
    weights = np.zeros(len(counts), np.float32)
    weights[ids] = 1.0
    mask = np.where(counts[task] > 0, 1.0, 0.0) if kind == "multiclass" else defined
    data = PoolData(
        jax.tree.map(jnp.asarray, x),
        jnp.asarray(np.where(defined, targets, 0)),
        jnp.asarray(mask, jnp.float32),
        *map(jnp.asarray, (_groups(groups, count), rows, counts, weights, values)),
        balanced=jnp.float32(DRAWS[draw]),
    )
    queries = int(counts.sum(1).max()) if queries is None else queries
    sample = sampler(
        counts.shape[1], most, queries, False, False, groups is not None, fill, prepare
    )
    return TaskSource(
        spec,
        data,
        sample,
        ids.astype(np.int32),
        np.arange(len(counts)) if clusters is None else np.asarray(clusters, np.int32),
        tuple(names) if names is not None else tuple(f"task {t}" for t in range(len(counts))),
    )


def _check_task(
    t: int,
    names: Sequence[str] | None,
    counts: np.ndarray,
    shots: np.ndarray,
    kind: Kind,
    draw: Draw,
    fill: bool,
) -> None:
    """Refuses a task that cannot give its largest support and still leave a row of each class."""
    name = f"task {t}" if names is None else f"task {names[t]!r}"
    present, most = counts[counts > 0], int(shots.max())
    given = int((present // 2 if fill else present - 1).sum())
    if given < most:
        raise ValueError(
            f"{name} has {counts.sum()} rows, of which {given} may go to a support: too few for "
            f"{most} shots and a query"
        )
    if kind != "multiclass":
        return
    if len(present) < 2:
        raise ValueError(f"{name} has rows of one class only: drop it")
    if shots.min() < len(present):
        raise ValueError(f"{shots.min()} shots cannot cover the {len(present)} classes of {name}")
    need = 2 if fill or draw == "natural" else -(-most // len(present)) + 1
    if present.min() < need:
        raise ValueError(
            f"{name} has {present.min()} rows of its rarest class, but a {draw} support of {most} "
            f"shots and a query need {need}: lower shots, or leave the task out"
        )
