"""Pools of classes: N-way episodes over characters, findings, or the classes of many data sets."""

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
from metajax.tasks.sampler import PoolData, sampler
from metajax.tasks.values import inputs
from metajax.types import Episode, PyTree, TaskSource, TaskSpec


def class_pool(
    x: PyTree,
    labels: np.ndarray,
    *,
    ways: int,
    shots: int | Sequence[int],
    queries: int,
    item: np.ndarray | None = None,
    keep: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    task: np.ndarray | None = None,
    names: Sequence[str] | None = None,
    clusters: Sequence[int] | None = None,
    tasks: Sequence[int] | None = None,
    fill: bool = False,
    prepare: Callable[[Episode], Episode] | None = None,
) -> TaskSource:
    """N-way episodes: `ways` classes drawn from many, their names permuted in every episode.

    Args:
      x: inputs, leaves (R, ...); with `item` (I, ...).
      labels: (R,) integer classes from 0; with `task`, no class has rows in two tasks.
      ways: classes of an episode; of a task with fewer, all are used and the other ways are masked.
      shots: support rows per class; several values: one is drawn for every episode.
      queries: query rows per class.
      item: (R,) the item of x that a row shows; None: row i shows item i.
      keep: (R,) bool, the rows that may be drawn; a class without any is left out. None: all.
      groups: (R,) row groups (patient, lesion); a group is never in both support and query.
      task: (R,) integer task ids from 0 (data sets): the classes of an episode come from one task.
        None: one task, which no episode names.
      names: the name of every task id.
      clusters: the bootstrap's unit of every task id; None: each task its own.
      tasks: the task ids that episodes are drawn from; None: all.
      fill: accept a class with too few rows for its queries, as long as one is left, and more ways
        than there are classes: the others are masked. Otherwise they are refused.
      prepare: maps the raw episode to the learner's, e.g. decoding uint8 images.

    Returns:
      A source whose ``tasks`` are the ids given, or None without `task`. Every class must have
      ``max(shots) + queries`` rows; with groups, fewer queries may be left and are masked.

    Raises:
      ValueError: for too few classes, a class in two tasks, or one with too few rows or groups.
    """
    values = checked_shots(shots)
    checks.whole(ways, "ways")
    checks.whole(queries, "queries")
    x = inputs(x, prepare)
    keep, groups, item = (
        None if column is None else read(column)
        for column, read in (
            (keep, checks.mask), (groups, checks.groups),
            (item, partial(checks.integers, name="item")),
        )
    )  # fmt: skip
    labels = checks.array(labels, "labels")
    home = None if task is None else checks.column(task, "task")
    count = row_count(x, item, labels=labels, groups=groups, task=home, keep=keep)
    labels = checks.integers(labels, "labels", gaps=keep is not None)
    if task is None:
        home = np.zeros(count, np.int64)
    else:
        home = checks.integers(home, "task", gaps=names is not None)
    kept = np.ones(count, bool) if keep is None else keep
    pairs = np.unique(np.stack([home[kept], labels[kept]], 1), axis=0)
    if len(np.unique(pairs[:, 1])) != len(pairs):
        raise ValueError("a class has rows in two tasks: number the classes over all tasks")
    # The number of a class among those of its task.
    start = np.searchsorted(pairs[:, 0], pairs[:, 0])
    local = np.zeros(int(labels.max()) + 1, np.int64)
    local[pairs[:, 1]] = np.arange(len(pairs)) - start
    rows, counts = index_table(local[labels], home, kept)
    absent = ways - counts.shape[1]
    if fill and absent > 0:
        rows = np.pad(rows, ((0, 0), (0, absent), (0, 0)))
        counts = np.pad(counts, ((0, 0), (0, absent)))
    ids = checks.ids(tasks, len(counts))
    classes = (counts[ids] > 0).sum(1)
    if ways < 2 or (ways > classes.max() and not fill) or classes.min() < 2:
        raise ValueError(
            f"ways must be from 2 to the {classes.max()} classes, and every task needs two; got "
            f"{ways}, and {classes.min()} classes in a task"
        )
    group = group_codes(groups, count)
    most = int(values.max())
    need = most + (1 if fill else queries)
    for label in pairs[np.isin(pairs[:, 0], ids), 1]:
        mine = (labels == label) & kept
        if mine.sum() < need:
            raise ValueError(
                f"class {label} has {mine.sum()} rows, but shots + queries need {need}: "
                "drop the class, or lower shots or queries"
            )
        if groups is not None and len(np.unique(group[mine])) < 2:
            raise ValueError(f"class {label} has 1 row group: support and query need two")
    weights = np.zeros(len(counts), np.float32)
    weights[ids] = 1.0
    data = PoolData(
        jax.tree.map(jnp.asarray, x),
        jnp.zeros((count, 1)),
        jnp.ones((count, 1)),
        *map(jnp.asarray, (item_column(item, count), group, rows, counts, weights, values)),
        balanced=jnp.float32(1),
    )
    sample = sampler(ways, most * ways, queries, True, True, groups is not None, False, prepare)
    spec = TaskSpec(ways, "multiclass")
    if task is None:
        return TaskSource(spec, data, sample)
    units = task_units(counts, names, clusters)
    return TaskSource(spec, data, sample, ids.astype(np.int32), *units)
