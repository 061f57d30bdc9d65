"""Leave tasks out: every target in turn is a meta-test task, all the others its sources."""

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
)
from metajax.datasets import Family, scaled
from metajax.tasks import task_pool
from metajax.types import Episode, TaskSource


def leave_one_task_out(
    name: str,
    family: Family,
    targets: Sequence[int],
    *,
    shots: Sequence[int],
    folds: int | None = None,
    prepare: Callable[[Episode], Episode] | None = None,
    train_queries: int = 64,
    test_queries: int | None = None,
    shared: Shared = "drop",
) -> Benchmark:
    """Every target task in turn is a meta-test task; tasks of other split units are its sources.

    Within a fold the targets of the next one are the meta-validation tasks and the rest meta-train;
    the number of steps they select is then used to train on both. Scaling and imputation are fitted
    on the rows trained on, so on sources only. A class gives at most half of its rows to a support;
    where that is less than its share, the other class fills up.

    Args:
      name: of the benchmark.
      family: the rows.
      targets: task ids to test on, of at least 3 split units; the other tasks are sources in every
        fold.
      shots: support sizes.
      folds: into how many folds the targets' split units are dealt, 3 or more; None: each has its
        own.
      prepare: decodes or scales an episode by its support; None: `x` is a table with shared
        columns, or a dict of them (modalities), scaled by the rows trained on.
      train_queries: the most query rows of a training episode.
      test_queries: the most query rows of a test episode; None: all the rows left.
      shared: what is done with cases of several tasks; see `separated`.

    Raises:
      ValueError: if a target has too few rows for the largest support, or there are too few.
    """
    units = list(dict.fromkeys(int(family.units[t]) for t in targets))
    count = len(units) if folds is None else folds
    if not 3 <= count <= len(units):
        raise ValueError(
            "leave tasks out needs at least 3 targets of different split units, and 3 folds; got "
            f"{len(units)} and {count}"
        )
    held = [[t for t in targets if int(family.units[t]) in units[i::count]] for i in range(count)]
    every = range(len(family.task_names))
    plans = []
    for i, test in enumerate(held):
        validation = held[(i + 1) % count]
        sources = _others(family, every, test)
        train = _others(family, sources, validation)
        selecting, refitting = (np.full(len(every), -1) for _ in range(2))
        selecting[train], selecting[validation], selecting[test] = 0, 1, 2
        refitting[sources], refitting[test] = 0, 2
        keeps = [separated(family, side[family.task], shared) for side in (selecting, refitting)]
        plans.append((test, validation, sources, train, *keeps))
    if prepare is None:
        fits = [
            np.isin(family.task, tasks) & keep
            for _, _, sources, train, *keeps in plans
            for tasks, keep in zip((train, sources), keeps, strict=True)
        ]
        if isinstance(family.x, dict):
            scales = {
                name: _scaled(family._replace(x=leaf, columns=()), fits)
                for name, leaf in family.x.items()
            }
            inputs = [{n: made[i] for n, made in scales.items()} for i in range(len(fits))]
        else:
            inputs = _scaled(family, fits)
    else:
        inputs = [jax.tree.map(jnp.asarray, family.x)] * (2 * count)

    def pool(x, tasks: Sequence[int], queries: int | None, keep: np.ndarray) -> TaskSource:
        return task_pool(
            x, family.y, family.task, shots=shots, queries=queries, item=family.item,
            keep=None if keep.all() else keep, weights=family.weight, groups=family.group,
            clusters=family.clusters, names=family.task_names, draw="mixed", tasks=tasks, fill=True,
            prepare=prepare, kind=kind_of(family),
        )  # fmt: skip

    tested = [np.isin(family.task, test) & refit for test, *_, refit in plans]
    made = []
    for (test, validation, sources, train, select, refit), x_train, x_refit in zip(
        plans, inputs[::2], inputs[1::2], strict=True
    ):
        both = pool(x_refit, sources, train_queries, refit)
        made.append(
            Fold(
                " + ".join(family.task_names[t] for t in test),
                pool(x_train, train, train_queries, select),
                pool(x_train, validation, test_queries, select),
                both,
                pool(x_refit, test, test_queries, refit),
                partial(pooled_rows, family, both, refit, prepare is None),
            )
        )
    return Benchmark(
        name,
        "published" if shared == "shared" else "disjoint",
        made[0].test.spec,
        tuple(shots),
        tuple(made),
        family.task_names,
        family.clusters,
        family.groups,
        (family.card,),
        (0,) if made[0].test.spec.kind == "regression" else (0, 1),
        common_patients(family, np.any(tested, axis=0)),
    )


def _scaled(family: Family, fits: Sequence[np.ndarray]) -> list[jax.Array]:
    """A table scaled by each of some sets of rows, (I, D) of one width: folds share programs."""
    inputs = [scaled(family, fit) for fit in fits]
    width = max(x.shape[1] for x in inputs)  # unused flags are zero columns
    return [jnp.asarray(np.pad(x, [(0, 0), (0, width - x.shape[1])])) for x in inputs]


def _others(family: Family, tasks: Sequence[int], held: Sequence[int]) -> list[int]:
    """The tasks that share no split unit with those held out."""
    away = {int(family.units[t]) for t in held}
    return [t for t in tasks if int(family.units[t]) not in away]
