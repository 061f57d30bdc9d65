"""The prior that a prior-fitted network is trained on: wide, unevenly filled clinical tables.

`clinical_tables` draws the disease: few dominant severity factors, subtypes, U-shapes, columns of
mixed types, near-duplicates, cells and panels that are missing. Here it is as wide as real tables
become after indicators, either class may be the rarer one, and a block may be missing besides: a
group of patients, of a share U(.1, .5), was never given an examination that is a share U(.2, .6) of
the columns. `scripts/prior_statistics.py` compares its statistics with those of real tables.

Reference: Hollmann et al. 2023, "TabPFN", https://arxiv.org/abs/2207.01848, for learning from
random causal models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp

from metajax.tasks.clinical import clinical_tables
from metajax.tasks.schemas import features_by_support
from metajax.tasks.sinusoid import task_key
from metajax.types import Episode, TaskSource

BLOCK_ROWS = (0.1, 0.5)
BLOCK_COLUMNS = (0.2, 0.6)


def disease_prior(
    *,
    shots: int | Sequence[int] = (8, 16, 32, 64),
    queries: int = 32,
    columns: int = 48,
    least_columns: int = 3,
    draw: Literal["balanced", "natural", "mixed"] = "mixed",
    block: float = 0.15,
    flip: float = 0.5,
    prepare: Callable[[Episode], Episode] | None = features_by_support,
) -> TaskSource:
    """Random diseases for a network that is to work on tables it has never seen.

    Args:
      shots: total labelled support rows, each at least 2; if several, one is drawn per episode.
      queries: query rows, at natural prevalence (one class may be absent), at least 1.
      columns: the width of the table.
      least_columns: the fewest columns a disease has, 1 to `columns`.
      draw: of the support; see `clinical_tables`.
      block: probability of a missing block, 0 to 1; the block holds 12 % of a table on average.
      flip: probability that class 1 is the more frequent one (prevalence 50 to 95 %), 0 to 1.
      prepare: applied to the raw episode; None leaves raw columns x (N, D), NaN where missing.

    Returns:
      A world of two classes in which every key is a new task. `data` is that of `clinical_tables`
      and the float32 probabilities ``block`` and ``flip``, which re-use the compiled program.

    Raises:
      ValueError: for an argument outside its range.
    """
    if not (0 <= block <= 1 and 0 <= flip <= 1):
        raise ValueError(f"block and flip are probabilities, 0 to 1; got {block} and {flip}")
    raw = clinical_tables(
        shots=shots, queries=queries, columns=columns, least_columns=least_columns, draw=draw
    )

    def sample(data, key, task=None):
        key = task_key(key, task)
        episode = raw.sample(data, key)
        most = len(episode.support.y)
        u = jax.random.uniform(jax.random.fold_in(key, 1), (4 + columns + most + queries,))
        flipped = u[0] < data["flip"]
        examined = u[4 : 4 + columns] >= _between(BLOCK_COLUMNS, u[1])
        reached = u[4 + columns :] >= _between(BLOCK_ROWS, u[2])
        kept = reached[:, None] | examined | (u[3] >= data["block"])

        def change(part, kept):
            x = jnp.where(kept, part.x, jnp.nan)
            return part._replace(x=x, y=jnp.where(flipped, part.y[:, ::-1], part.y))

        support, query = change(episode.support, kept[:most]), change(episode.query, kept[most:])
        # Padded rows are zeros, as everywhere.
        blank = support.mask[:, :1] == 0
        support = support._replace(x=jnp.where(blank, 0.0, support.x))
        return prepare(Episode(support, query)) if prepare else Episode(support, query)

    chances = {"block": jnp.float32(block), "flip": jnp.float32(flip)}
    return TaskSource(raw.spec, raw.data | chances, sample)


def _between(ends: tuple[float, float], u: jax.Array) -> jax.Array:
    """A uniform variate on an interval."""
    return ends[0] + (ends[1] - ends[0]) * u
