"""Meta-training on a generative world, testing on real tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import numpy as np

from metajax.benchmarks.protocol import Benchmark, Fold, Rows, common_patients
from metajax.datasets import Family
from metajax.tasks import task_pool
from metajax.types import TaskSource


def from_world(
    name: str,
    world: TaskSource,
    family: Family,
    *,
    shots: Sequence[int],
    prepare: Callable,
    pooled_episodes: int = 256,
) -> Benchmark:
    """Meta-trains on a generative world and tests on every task of a real family.

    Validation tasks are other draws of the world. Nothing of the real tables is seen before the
    test, so there is one fold and nothing to refit.

    Args:
      name: of the benchmark.
      world: where training tasks come from; its x has the width of the family's.
      family: the real tasks; columns mean something else in each.
      shots: support sizes.
      prepare: scales an episode by its support, in the world and on the tables alike.
      pooled_episodes: training episodes whose queries are the rows of the pooled host baselines.
    """
    test = task_pool(
        family.x, family.y, family.task, shots=shots, groups=family.group, names=family.task_names,
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
        family.task_names,
        family.clusters,
        family.groups,
        (family.card,),
        common=common_patients(family, np.ones(len(family.task), bool)),
    )
