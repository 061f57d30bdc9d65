"""Families with fixed meta-train, meta-validation and meta-test tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from metajax.benchmarks.protocol import (
    Benchmark,
    Fold,
    Shared,
    common_patients,
    kind_of,
    pooled_rows,
    separated,
    usable,
)
from metajax.datasets import Family, scaled
from metajax.tasks import task_pool
from metajax.tasks.sampler import Draw
from metajax.types import Episode, TaskSource


def from_splits(
    name: str,
    family: Family,
    *,
    shots: Sequence[int],
    prepare: Callable[[Episode], Episode] | None = None,
    shared: Shared = "drop",
    least: int = 8,
    draw: Draw = "mixed",
    train_queries: int = 64,
    test_queries: int | None = 256,
    pooled_episodes: int = 256,
) -> Benchmark:
    """Meta-trains on the family's training tasks, selects on its validation tasks, tests on others.

    Args:
      name: of the benchmark.
      family: with `Family.split`.
      shots: support sizes, labelled rows in all.
      prepare: decodes or scales an episode by its support; None: `x` is a table with shared
        columns, scaled by the rows of the training tasks.
      shared: what is done with cases of several tasks; "shared" makes the protocol "published".
      least: rows that a class of a task must have; smaller classes are left out, and with them
        tasks that then have one class or too few rows: a test task for the largest support, a
        training task for the smallest.
      draw: of the training supports; "mixed" is for two or more classes.
      train_queries: the most query rows of a training episode.
      test_queries: the most query rows of a test episode, at natural prevalence; None: all left.
      pooled_episodes: training episodes whose queries are the rows of the pooled host baselines
        (all rows of the training tasks if `prepare` is None).

    Raises:
      ValueError: if the family has no split, or a side has no usable task left.
    """
    if family.split is None:
        raise ValueError(f"{family.card.name} has no meta-split: leave one task out instead")
    shots = tuple(shots)
    side = np.asarray(family.split, np.int64)[family.task]
    keep, *fine = usable(family, separated(family, side, shared), shots, least)
    tasks = [np.flatnonzero((np.asarray(family.split) == s) & fine[s == 2]) for s in range(3)]
    for ids, role in zip(tasks, ("training", "validation", "test"), strict=True):
        if not len(ids):
            raise ValueError(f"{name}: no {role} task has {least} rows of two classes left and "
                             f"enough of them for {max(shots)} shots")  # fmt: skip
    raw = family.x if prepare else scaled(family, keep & (side == 0))
    x = jax.tree.map(jnp.asarray, raw)  # once: the three pools share it

    def pool(ids: np.ndarray, queries: int | None) -> TaskSource:
        return task_pool(
            x, family.y, family.task, shots=shots, queries=queries, item=family.item, keep=keep,
            weights=family.weight, groups=family.group, clusters=family.clusters,
            names=family.task_names, draw=draw, tasks=ids, fill=True, prepare=prepare,
            least=None if ids is tasks[2] else min(shots), kind=kind_of(family),
        )  # fmt: skip

    train = pool(tasks[0], train_queries)

    rows = partial(pooled_rows, family, train, keep, prepare is None, pooled_episodes)
    validation, test = pool(tasks[1], train_queries), pool(tasks[2], test_queries)
    fold = Fold("split", train, validation, None, test, rows)
    return Benchmark(
        name,
        "published" if shared == "shared" else "disjoint",
        fold.test.spec,
        shots,
        (fold,),
        family.task_names,
        family.clusters,
        family.groups,
        (family.card,),
        (0,) if fold.test.spec.kind == "regression" else (0, 1),
        common_patients(family, keep & np.isin(family.task, tasks[2])),
    )
