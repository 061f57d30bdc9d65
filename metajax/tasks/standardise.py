"""Scaling and imputation of clinical columns by the support alone."""

from __future__ import annotations

import jax.numpy as jnp

from metajax.types import Episode


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
    x, mask = episode.support.x, episode.support.mask
    used = jnp.any(mask > 0, axis=1, keepdims=True)
    seen = used & ~jnp.isnan(x)
    count = jnp.maximum(jnp.sum(seen, axis=0), 1)
    mean = jnp.sum(jnp.where(seen, x, 0.0), axis=0) / count
    variance = jnp.sum(jnp.where(seen, (x - mean) ** 2, 0.0), axis=0) / count
    # The variance of equal values need not be exactly zero in float32; their range is.
    low = jnp.min(jnp.where(seen, x, jnp.inf), axis=0)
    high = jnp.max(jnp.where(seen, x, -jnp.inf), axis=0)
    scale = jnp.where((high > low) & (variance > 0), 1 / jnp.sqrt(variance), 0.0)
    observed = jnp.any(seen, axis=0)

    def transform(x):
        missing = jnp.isnan(x)
        z = jnp.clip(jnp.where(missing, 0.0, (x - mean) * scale), -clip, clip)
        return jnp.concatenate([z, (missing & observed).astype(z.dtype)], axis=1)

    support = episode.support._replace(x=jnp.where(used, transform(x), 0.0))
    return Episode(support, episode.query._replace(x=transform(episode.query.x)))
