"""What a benchmark is: folds of training, validation and test tasks under one protocol (floor 4).

A benchmark owns its test episodes: they come from its own key, never from a run's seed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from metajax.datasets import Card, Table, scaled
from metajax.tasks import task_pool
from metajax.types import TaskSource, TaskSpec

Rows = tuple[np.ndarray, np.ndarray]


class Fold(NamedTuple):
    """One meta-split.

    Attributes:
      name: what is held out.
      train: meta-train tasks.
      validation: meta-validation tasks; they choose how long to train.
      refit: meta-train and meta-validation tasks together, on which the learner is trained again
        for the chosen number of steps; None: the selected parameters are used as they are.
      test: meta-test tasks.
      pooled_rows: gives (x (n, D), y (n,)) of all training tasks, for the pooled host baselines.
    """

    name: str
    train: TaskSource
    validation: TaskSource
    refit: TaskSource | None
    test: TaskSource
    pooled_rows: Callable[[], Rows]


class Benchmark(NamedTuple):
    """Folds that are scored together.

    Attributes:
      name: as in the table.
      protocol: "disjoint" or "published".
      spec: of all its episodes.
      shots: support sizes at which it is evaluated.
      folds: the meta-splits; every test task is in one fold.
      task_names: by task id, over all folds.
      clusters: (T,) the bootstrap's unit of every task id.
      patients: (R,) the patient of every row of the test pool.
      cards: the data it is made of.
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


def episode_key(benchmark: Benchmark, shots: int, draw: int) -> jax.Array:
    """The key of the test episodes at some shots and draw (0 natural, 1 balanced)."""
    base = jax.random.key(zlib.crc32(benchmark.name.encode()))
    return jax.random.fold_in(jax.random.fold_in(base, shots), draw)


def leave_one_task_out(
    name: str,
    table: Table,
    targets: Sequence[int],
    *,
    shots: Sequence[int],
    train_queries: int = 64,
) -> Benchmark:
    """Every target task in turn is the meta-test task; all the others are its sources.

    Within a fold the next target is the meta-validation task and the rest meta-train; the number
    of steps it selects is then used to train on both. Scaling and imputation are fitted on the
    rows trained on, so on sources only. A class gives at most half of its rows to a support; where
    that is less than its share, the other class fills up.

    Args:
      name: of the benchmark.
      table: rows of all tasks; two classes.
      targets: task ids to test on, at least 3; the other tasks are sources in every fold.
      shots: support sizes.
      train_queries: the most query rows of a training episode.

    Raises:
      ValueError: if a target has too few rows for the largest support, or there are too few.
    """
    if len(targets) < 3:
        raise ValueError(f"leave one task out needs at least 3 targets; got {len(targets)}")
    every = range(len(table.task_names))
    plans = []
    for i, target in enumerate(targets):
        validation = targets[(i + 1) % len(targets)]
        sources = [t for t in every if t != target]
        plans.append((target, validation, sources, [t for t in sources if t != validation]))
    fits = [
        scaled(table, np.isin(table.task, tasks)) for *_, sources, train in plans
        for tasks in (train, sources)
    ]
    # One width for all folds, so that they share compiled programs: unused flags are zero columns.
    width = max(x.shape[1] for x in fits)
    fits = [np.pad(x, [(0, 0), (0, width - x.shape[1])]) for x in fits]

    def pool(x: np.ndarray, tasks: Sequence[int], queries: int | None) -> TaskSource:
        return task_pool(
            x, table.y, table.task, shots=shots, queries=queries, groups=table.group,
            names=table.task_names, draw="mixed", tasks=tasks, fill=True,
        )  # fmt: skip

    folds = []
    for (target, validation, sources, train), x_train, x_refit in zip(
        plans, fits[::2], fits[1::2], strict=True
    ):
        keep = np.isin(table.task, sources)
        folds.append(
            Fold(
                table.task_names[target],
                pool(x_train, train, train_queries),
                pool(x_train, [validation], None),
                pool(x_refit, sources, train_queries),
                pool(x_refit, [target], None),
                lambda x=x_refit, keep=keep: (x[keep], table.y[keep]),
            )
        )
    return Benchmark(
        name,
        "disjoint",
        folds[0].test.spec,
        tuple(shots),
        tuple(folds),
        table.task_names,
        np.arange(len(table.task_names)),
        np.arange(len(table.y)) if table.group is None else table.group,
        (table.card,),
    )


def from_world(
    name: str,
    world: TaskSource,
    table: Table,
    *,
    shots: Sequence[int],
    prepare: Callable,
    pooled_episodes: int = 256,
) -> Benchmark:
    """Meta-trains on a generative world and tests on every task of a real table.

    Validation tasks are other draws of the world. Nothing of the real tables is seen before the
    test, so there is one fold and nothing to refit.

    Args:
      name: of the benchmark.
      world: where training tasks come from; its x has the width of the table's.
      table: the real tasks; columns mean something else in each.
      shots: support sizes.
      prepare: scales an episode by its support, in the world and on the table alike.
      pooled_episodes: training episodes whose queries are the rows of the pooled host baselines.
    """
    test = task_pool(
        table.x, table.y, table.task, shots=shots, groups=table.group, names=table.task_names,
        draw="mixed", prepare=prepare,
    )  # fmt: skip

    def pooled_rows() -> Rows:
        keys = jax.random.split(jax.random.key(0), pooled_episodes)
        query = jax.jit(jax.vmap(world.sample, (None, 0)))(world.data, keys).query
        x, y = np.asarray(query.x), np.asarray(query.y)
        return x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1]).argmax(-1)

    fold = Fold("all", world, world, None, test, pooled_rows)
    return Benchmark(
        name,
        "disjoint",
        test.spec,
        tuple(shots),
        (fold,),
        table.task_names,
        np.arange(len(table.task_names)),
        np.arange(len(table.y)) if table.group is None else table.group,
        (table.card,),
    )
