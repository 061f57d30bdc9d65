"""Pools of tasks: real data as one pytree on the device, from which episodes are drawn.

A pool is the rows themselves plus an index table ``rows (T, C, L)`` with ``counts (T, C)``: the
rows of task t and class c. One sampler (`metajax.tasks.sampler`) serves N-way episodes over classes
(`class_pool`: `ways` of a task's classes are drawn) and tasks with labelled rows of their own
(`task_pool`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from metajax.tasks import checks
from metajax.tasks.indexing import (
    checked_shots,
    group_codes,
    index_table,
    item_column,
    row_count,
    task_units,
)
from metajax.tasks.sampler import DRAWS, Draw, PoolData, sampler
from metajax.tasks.values import inputs, kind_of, moderate, targets
from metajax.types import Episode, Kind, PyTree, TaskSource, TaskSpec


def task_pool(
    x: PyTree,
    y: np.ndarray,
    task: np.ndarray,
    *,
    shots: int | Sequence[int],
    queries: int | None = None,
    item: np.ndarray | None = None,
    keep: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    clusters: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    kind: Kind | None = None,
    draw: Draw = "balanced",
    tasks: Sequence[int] | None = None,
    fill: bool = False,
    least: int | None = None,
    prepare: Callable[[Episode], Episode] | None = None,
) -> TaskSource:
    """Tasks with labelled rows of their own: hospitals, diseases, assays, genes.

    Args:
      x: inputs, leaves (R, ...); with `item` (I, ...).
      y: (R,) integers: classes from 0, shared by the tasks (multiclass, binary with two of them);
        (R,) or (R, K) floats: regression targets; (R, K) of 0, 1 and NaN with
        ``kind="multilabel"``. NaN = not labelled.
      task: (R,) integer task ids from 0.
      shots: labelled rows of the support in all; several values: one is drawn for every episode.
      queries: the most query rows, drawn from all the rows that are left, at natural prevalence;
        None: all of them.
      item: (R,) the item of x that a row shows; None: row i shows item i.
      keep: (R,) bool, the rows that may be drawn (of the tasks drawn from); None: all.
      weights: (R,) above 0, of rows in losses and metrics; None: 1.
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
      least: labelled rows that every task must be able to give; the supports of a task with fewer
        than the largest shots are then shorter. None: the largest of `shots`.
      prepare: maps the raw episode to the learner's.

    Returns:
      A source whose ``tasks`` are the ids given.

    Raises:
      ValueError: for mismatched lengths, an unknown kind or draw, or a task that is empty, has one
        class, or too few rows (it is named).
    """
    values = checked_shots(shots)
    for name, value in (("queries", queries), ("least", least)):
        if value is not None:
            checks.whole(value, name)
    x, y = inputs(x, prepare), checks.array(y, "y")
    keep, groups, weights, item = (
        None if column is None else read(column)
        for column, read in (
            (keep, checks.mask), (groups, checks.groups), (weights, checks.weights),
            (item, partial(checks.integers, name="item")),
        )
    )  # fmt: skip
    task = checks.column(task, "task")
    count = row_count(x, item, y=y, task=task, groups=groups, keep=keep, weights=weights)
    task = checks.integers(task, "task", gaps=names is not None)
    y = y.astype(np.int32) if y.dtype == bool else y
    kind = kind or kind_of(y)
    if draw not in DRAWS:
        raise ValueError(f"draw must be one of {', '.join(DRAWS)}; got {draw!r}")
    if kind == "multiclass":
        labels = checks.integers(y, "y", gaps=False)
        if not labels.any():
            raise ValueError("y is 0 in every row: there are no classes to tell apart")
        spec = TaskSpec(int(labels.max()) + 1, kind)
        given = np.eye(spec.outputs, dtype=np.float32)[labels]
    else:
        labels = np.zeros(count, np.int64)
        given = targets(y, kind)
        spec = TaskSpec(given.shape[1], kind)
    if kind == "regression":
        moderate(given, prepare, x)
    defined = np.isfinite(given)
    kept = defined.any(1) if keep is None else defined.any(1) & keep
    rows, counts = index_table(labels, task, kept)
    units = task_units(counts, names, clusters)
    ids = checks.ids(tasks, len(counts))
    most = int(values.max())
    for t in ids:
        needed = values if least is None else np.minimum(values, least)
        _check_task(t, names, counts[t], needed, kind, draw, fill)
        if groups is not None and len(np.unique(groups[(task == t) & kept])) < 2:
            raise ValueError(f"task {t} has 1 row group: support and query need two")
    frequency = np.zeros(len(counts), np.float32)
    frequency[ids] = 1.0
    mask = np.where(counts[task] > 0, 1.0, 0.0) if kind == "multiclass" else defined
    mask = mask if weights is None else mask * weights[:, None]
    data = PoolData(
        jax.tree.map(jnp.asarray, x),
        jnp.asarray(np.where(defined, given, 0)),
        jnp.asarray(mask, jnp.float32),
        *map(jnp.asarray, (item_column(item, count), group_codes(groups, count), rows, counts)),
        weights=jnp.asarray(frequency),
        shots=jnp.asarray(values),
        balanced=jnp.float32(DRAWS[draw]),
    )
    queries = int(counts.sum(1).max()) if queries is None else queries
    sample = sampler(
        counts.shape[1], most, queries, False, False, groups is not None, fill, prepare
    )
    return TaskSource(spec, data, sample, ids.astype(np.int32), *units)


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
