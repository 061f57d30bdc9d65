"""What a benchmark is: folds of training, validation and test tasks, and what keeps them apart.

A benchmark owns its test episodes: they come from its own key, never from a run's seed.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from metajax import describe
from metajax.datasets import Card, Family
from metajax.statistics import MIN_CLUSTERS
from metajax.types import Kind, TaskSource, TaskSpec, flat

Rows = tuple[np.ndarray, np.ndarray]
Shared = Literal["drop", "divide", "shared"]
# How many of the cases each side gets where they are divided: training, validation, test.
SHARES = (0.5, 0.2, 0.3)
# Below this share of patients in several tasks the error of the tasks' mean is as if none were.
SHARED_PATIENTS = 0.05
# What is in the identity of a run beside the definition.
APART = ("name", "shots", "cards", "definition", "functions")


class Fold(NamedTuple):
    """One meta-split.

    Attributes:
      name: what is held out.
      train: meta-train tasks.
      validation: meta-validation tasks; they choose how long to train.
      refit: meta-train and meta-validation tasks together, on which the learner is trained again
        for the chosen number of steps; None: the selected parameters are used as they are.
      test: meta-test tasks.
      pooled_rows: gives (x (n, D), y (n,)) of all training tasks, for the pooled host baselines;
        None where labels mean something else in every episode.
    """

    name: str
    train: TaskSource
    validation: TaskSource
    refit: TaskSource | None
    test: TaskSource
    pooled_rows: Callable[[], Rows] | None


class Benchmark(NamedTuple):
    """Folds that are scored together.

    Attributes:
      name: as in the table.
      protocol: "disjoint" or "published".
      spec: of all its episodes.
      shots: support sizes at which it is evaluated: labelled rows in all; per class if the tasks
        are drawn from classes.
      folds: the meta-splits; every test task is in one fold.
      task_names: by task id, over all folds.
      clusters: (T,) the bootstrap's unit of every task id.
      patients: (R,) the patient of every row of the test pool.
      cards: the data it is made of.
      draws: of the supports it is tested with: 0 natural, 1 balanced.
      common: test tasks share patients, and are too few to be resampled themselves: one bootstrap
        draw of patients must hold for all of them. See `common_patients`.
      definition: what it was built from, JSON (see `metajax.suites.definition`); None: what it
        holds. It is part of the identity of every run; see `defined`.
      functions: of the definition; their files are among those that numbers come from.
    """

    name: str
    protocol: str
    spec: TaskSpec
    shots: tuple[int, ...]
    folds: tuple[Fold, ...]
    task_names: tuple[str, ...]
    clusters: np.ndarray
    patients: np.ndarray
    cards: tuple[Card, ...]
    draws: tuple[int, ...] = (0, 1)
    common: bool = False
    definition: Mapping[str, Any] | None = None
    functions: tuple[Callable, ...] = ()


def defined(benchmark: Benchmark) -> Mapping[str, Any]:
    """What distinguishes a benchmark from others of its name, JSON: its definition.

    One that was built without is told by what it holds, every array by its digest.

    Raises:
      ValueError: for a function that has no name; see `metajax.describe`.
    """
    if benchmark.definition is not None:
        return benchmark.definition
    own = {name: getattr(benchmark, name) for name in benchmark._fields if name not in APART}
    content = hashlib.sha256(describe.text(own).encode()).hexdigest()[:16]
    return {"protocol": benchmark.protocol, "folds": len(benchmark.folds), "content": content}


def kind_of(family: Family) -> Kind | None:
    """The kind of a family's tasks; None: `metajax.tasks.task_pool` finds or refuses it."""
    return "regression" if family.y.dtype.kind == "f" and family.y.ndim == 1 else None


def common_patients(family: Family, rows: np.ndarray) -> bool:
    """Whether tasks err together because they are tested on the same patients.

    Args:
      family: the rows.
      rows: (R,) bool, those that test tasks may query.

    Returns:
      True if `SHARED_PATIENTS` of their patients are in several tasks and the tasks have too few
      clusters for a bootstrap over clusters, so that patients are resampled.
    """
    pairs = np.unique(np.stack([family.groups[rows], family.task[rows]]), axis=1)
    tasks_of_patient = np.unique(pairs[0], return_counts=True)[1]
    clusters = len(np.unique(np.asarray(family.clusters)[np.unique(pairs[1])]))
    shared = (tasks_of_patient > 1).mean() >= SHARED_PATIENTS
    return bool(shared and clusters < MIN_CLUSTERS)


def episode_key(benchmark: Benchmark, shots: int, draw: int) -> jax.Array:
    """The key of the test episodes at some shots and draw (0 natural, 1 balanced)."""
    base = jax.random.key(zlib.crc32(benchmark.name.encode()))
    return jax.random.fold_in(jax.random.fold_in(base, shots), draw)


def separated(family: Family, side: np.ndarray, how: Shared) -> np.ndarray:
    """The rows that each side of a meta-split may use, so that no row group is on two sides.

    Args:
      family: the rows.
      side: (R,) int, where the row's task (or class) is: 0 meta-train, 1 meta-validation, 2
        meta-test, -1 unused.
      how: "drop" takes a shared group away from training in favour of validation, and from both in
        favour of the test; "divide" deals the groups out at random (seed 0), for families in which
        nearly all cases are in all tasks; "shared" leaves them (only for a published protocol).

    Returns:
      (R,) bool.

    Raises:
      ValueError: if a side that has tasks is left without rows.
    """
    groups = np.unique(family.groups, return_inverse=True)[1]
    count, keep = int(groups.max()) + 1, side >= 0
    if how == "drop":
        # The last side that a group occurs on keeps it.
        home = np.full(count, -1)
        np.maximum.at(home, groups, side)
        keep &= home[groups] == side
    elif how == "divide":
        lot = (np.random.default_rng(0).permutation(count) + 0.5) / count
        home = np.searchsorted(np.cumsum(SHARES)[:2], lot)
        if not (side == 1).any():  # then validation's share is for training; the test's stays
            home = np.where(home == 1, 0, home)
        keep &= home[groups] == side
    for s in range(3):
        if (side == s).any() and not (keep & (side == s)).any():
            raise ValueError(
                f"{family.card.name}: every case of side {s} is on another side too; "
                'deal the cases out with shared="divide"'
            )
    return keep


def usable(
    family: Family, keep: np.ndarray, shots: tuple[int, ...], least: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows and tasks from which episodes can be drawn.

    A class of a task needs `least` rows, a task two classes (if it has classes), two row groups,
    and enough rows that its support takes at most half of each class: its largest support if it is
    to be tested on, its smallest if it is trained on.

    Args:
      family: the rows.
      keep: (R,) bool, the rows that may be used.
      shots: support sizes.
      least: rows of a class, 2 or more.

    Returns:
      (R,) bool rows; (T,) bool tasks to train on; (T,) bool tasks to test on.
    """
    tasks = len(family.task_names)
    if family.y.dtype.kind == "f":
        keep = keep & np.isfinite(family.y).reshape(len(family.y), -1).any(1)
        counts = np.bincount(family.task[keep], minlength=tasks)[:, None]
        enough, classes = counts >= least, 1
    else:
        width = int(family.y.max()) + 1
        cell = family.task.astype(np.int64) * width + family.y
        counts = np.bincount(cell[keep], minlength=tasks * width).reshape(tasks, width)
        enough, classes = counts >= least, 2
        keep = keep & enough.ravel()[cell]
    halves = np.where(enough, counts // 2, 0).sum(1)
    pairs = np.unique(np.stack([family.task[keep], family.groups[keep]]), axis=1)
    groups = np.bincount(pairs[0], minlength=tasks)
    fine = (enough.sum(1) >= classes) & (halves >= min(shots)) & (groups >= 2)
    if classes == 2:
        fine &= enough.sum(1) <= min(shots)
    return keep & fine[family.task], fine, fine & (halves >= max(shots))


def pooled_rows(
    family: Family, train: TaskSource, keep: np.ndarray, every: bool, episodes: int = 256
) -> Rows:
    """What pooled host baselines are fitted on.

    Args:
      family: the rows.
      train: the training tasks.
      keep: (R,) bool, the rows that they may use.
      every: take all rows as they stand in the pool; otherwise those that only `prepare` turns into
        inputs: the queries of some training episodes.
      episodes: how many.

    Returns:
      (n, D) inputs and (n,) labels.
    """
    if every:
        rows = keep & np.isin(family.task, train.tasks)
        return np.asarray(flat(train.data.x, 1))[family.items[rows]], family.y[rows]
    keys = jax.random.split(jax.random.key(0), episodes)
    query = jax.lax.map(lambda key: train.sample(train.data, key).query, keys)
    present = np.asarray(query.mask).max(-1).ravel() > 0
    inputs, labels = np.asarray(flat(query.x, 2)), np.asarray(query.y)
    labels = labels.argmax(-1) if family.y.dtype.kind != "f" else labels[..., 0]
    return inputs.reshape(len(present), -1)[present], labels.ravel()[present]
