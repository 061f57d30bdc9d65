"""Scaling and imputation of clinical columns by the support alone."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from metajax.columns import moments
from metajax.types import Episode, Examples


class Columns(NamedTuple):
    """What a support says about the D columns of its table.

    Attributes:
      used: (N, 1) bool, the support rows that are not padding.
      unit: (D,) the power of two in which the next two are, see `metajax.columns`.
      mean: (D,) of the observed cells, 0 in a column without any.
      scale: (D,) one over the population standard deviation; 0 in a column without two values.
      observed: (D,) bool, some cell of the column is there.
    """

    used: jax.Array
    unit: jax.Array
    mean: jax.Array
    scale: jax.Array
    observed: jax.Array


def fit_columns(support: Examples) -> Columns:
    """Means and scales of the columns from the observed cells of the unmasked support rows.

    Args:
      support: x (N, D) float, NaN where a cell is missing.

    Raises:
      ValueError: if x is no table.
    """
    shape = getattr(support.x, "shape", None)
    if shape is None or len(shape) != 2:
        raise ValueError(
            f"columns are standardised in a table (N, D); got {shape or type(support.x).__name__}. "
            "Remedy: another prepare, or within(name, ...) for one modality of a dict"
        )
    x, mask = support.x, support.mask
    used = jnp.any(mask > 0, axis=1, keepdims=True)
    seen = used & ~jnp.isnan(x)
    unit, mean, deviation, varied = moments(x, seen)
    scale = jnp.where(varied, 1 / deviation, 0.0)
    return Columns(used, unit, mean, scale, jnp.any(seen, axis=0))


def apply_columns(columns: Columns, x: jax.Array, clip: float) -> tuple[jax.Array, jax.Array]:
    """Z-scores (N, D), 0 where missing, and the flags (N, D) of `standardise_by_support`.

    Args:
      columns: fitted on the support.
      x: (N, D) raw rows of the same task, support or query.
      clip: z-scores are cut at plus and minus this, positive.
    """
    missing = jnp.isnan(x)
    # A value far beyond a column of one tiny value is infinite in its unit: not times 0.
    there = ~missing & (columns.scale > 0)
    z = jnp.where(there, (x / columns.unit - columns.mean) * columns.scale, 0.0)
    z = jnp.clip(z, -clip, clip)
    return z, (missing & columns.observed).astype(z.dtype)


def standardise_by_support(episode: Episode, clip: float = 5.0) -> Episode:
    """Turn raw columns with missing cells into z-scores and missing flags.

    Means and (population) standard deviations come from the observed cells of the unmasked support
    rows. Query rows are transformed one by one and never enter the statistics.

    Args:
      episode: x (N, D) float with NaN where a cell is missing, in both parts.
      clip: z-scores are cut at plus and minus this, positive.

    Returns:
      The episode with x (N, 2 D) = [z, flag]. z is 0 in missing cells, in padded support rows, and
      in columns that the support never observes or in which it has a single value. flag is 1 where
      a cell is missing in a column that the support observes somewhere.
    """
    columns = fit_columns(episode.support)

    def transform(x):
        return jnp.concatenate(apply_columns(columns, x, clip), axis=1)

    support = episode.support._replace(x=jnp.where(columns.used, transform(episode.support.x), 0.0))
    return Episode(support, episode.query._replace(x=transform(episode.query.x)))
