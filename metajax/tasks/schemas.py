"""Tables whose tasks have different columns, as episodes of one static shape.

A family of such tables is one x (N, D) of the widest task's width, NaN in the columns that a task
does not have. Two forms of it:

* `features_by_support`: every column becomes a token (value, missing, does the column exist, how it
  goes with the labels), for `metajax.nn.SetEncoder`, to which the names and the order of the
  columns mean nothing;
* `select_by_support`: a few columns, the one that separates the classes best first, for learners of
  vectors.

Everything is fitted on the unmasked support rows; a query row changes nothing but itself.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from metajax.tasks.standardise import apply_columns, fit_columns, standardise_by_support
from metajax.types import KINDS, Episode, Examples, Kind

# Relative variances below these are rounding: of the values themselves, of their centring.
ROUNDING, CANCELLED = 1e-10, 1e-5


def features_by_support(
    episode: Episode, width: int | None = None, clip: float = 5.0, kind: Kind = "multiclass"
) -> Episode:
    """Turn a raw table into a set of features for each row.

    Args:
      episode: x (N, D) float with NaN where a cell is missing or the task lacks the column.
      width: keep so many columns, 1 to D, as `select_by_support` chooses and orders them; None: all
        in their order. Relevance takes N * N * F numbers for N support rows, so tables of thousands
        of columns need it.
      clip: z-scores are cut at plus and minus this, positive.
      kind: of the task; it decides only how columns are chosen.

    Returns:
      The episode with x a dict over the F columns. Padded support rows are 0 in all of them.

      - z: (N, F) z-scores, as `standardise_by_support`.
      - missing: (N, F) 1 where a cell is missing in a column that the support observes.
      - feature: (N, F) 1 where the support observes two values of the column: elsewhere there is
        nothing to learn from, whether the task lacks the column or not.
      - relevance: (N, F, C) correlation, -1 to 1, of z with each output over the support rows that
        have both; 0 where it is undefined. A support row's own comes from the other rows, so that
        its label is not in its inputs (but the others hold one case fewer of its class, and
        `width` looks at all labels). A query row's comes from all support rows.

    Raises:
      ValueError: for a width outside its range or an unknown kind.
    """
    if width is not None:
        episode = _select(episode, width, clip, kind)
    columns, support = fit_columns(episode.support), episode.support
    z, missing = apply_columns(columns, support.x, clip)
    seen = (columns.used & ~jnp.isnan(support.x)).astype(z.dtype)
    feature = jnp.broadcast_to((columns.scale > 0).astype(z.dtype), z.shape)
    others = 1 - jnp.eye(z.shape[0], dtype=z.dtype)
    relevance = jax.vmap(lambda kept: _correlation(z, seen * kept[:, None], support))(others)
    table = {"z": z, "missing": missing, "feature": feature, "relevance": relevance}

    def blank(leaf):
        return jnp.where(columns.used.reshape(-1, *[1] * (leaf.ndim - 1)), leaf, 0.0)

    query_z, query_missing = apply_columns(columns, episode.query.x, clip)
    whole = _correlation(z, seen, support)
    query = {
        "z": query_z,
        "missing": query_missing,
        "feature": jnp.broadcast_to(feature[:1], query_z.shape),
        "relevance": jnp.broadcast_to(whole, (query_z.shape[0], *whole.shape)),
    }
    return Episode(support._replace(x=jax.tree.map(blank, table)), episode.query._replace(x=query))


def select_by_support(
    episode: Episode, width: int, clip: float = 5.0, kind: Kind = "multiclass"
) -> Episode:
    """Standardise by the support and keep the columns that tell most about its labels.

    Columns are ordered by their one-way F statistic between the classes; in multilabel and
    regression tasks by their largest squared correlation with an output. Ties keep the order of the
    columns; those that the support does not observe, or sees a single value of, come last. The best
    column is always first, so that a position means the same in tasks of different columns.

    Args:
      episode: x (N, D) float with NaN where a cell is missing or the task lacks the column.
      width: the number of columns to keep, 1 to D.
      clip: z-scores are cut at plus and minus this, positive.
      kind: of the task.

    Returns:
      The episode with x (N, 2 width) = [z, flag], as `standardise_by_support` gives.

    Raises:
      ValueError: for a width outside its range or an unknown kind.
    """
    return standardise_by_support(_select(episode, width, clip, kind), clip)


def _select(episode: Episode, width: int, clip: float, kind: Kind) -> Episode:
    """The episode with the raw values of the chosen columns."""
    available = episode.support.x.shape[1]
    if not 1 <= width <= available:
        raise ValueError(f"width must be from 1 to the {available} columns; got {width}")
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
    columns, support = fit_columns(episode.support), episode.support
    z, _ = apply_columns(columns, support.x, clip)
    seen = (columns.used & ~jnp.isnan(support.x)).astype(z.dtype)
    if kind == "multiclass":
        score = _f_statistic(z, seen, support)
    else:
        score = jnp.max(_correlation(z, seen, support) ** 2, axis=1)
    # Equal scores: top_k takes the lower index first.
    _, chosen = jax.lax.top_k(jnp.where(columns.scale > 0, score, -1.0), width)
    return Episode(*(part._replace(x=part.x[:, chosen]) for part in episode))


def _sums(cells: jax.Array, labels: jax.Array) -> jax.Array:
    """Sums over rows, (N, F) and (N, C) to (F, C), without rounding of the products."""
    return jnp.matmul(cells.T, labels, precision="highest")


def _f_statistic(z: jax.Array, seen: jax.Array, support: Examples) -> jax.Array:
    """One-way analysis of variance of every column between the classes: (F,), finite."""
    member = support.y * support.mask
    seen = seen * jnp.any(member > 0, axis=1, keepdims=True)
    total = jnp.sum(seen, axis=0)
    z = seen * (z - jnp.sum(seen * z, axis=0) / jnp.maximum(total, 1))
    count = _sums(seen, member)
    mean = _sums(z, member) / jnp.maximum(count, 1)
    between = jnp.sum(count * mean**2, axis=1)
    within = jnp.sum((z - jnp.matmul(member, mean.T, precision="highest")) ** 2 * seen, axis=0)
    classes = jnp.sum(count > 0, axis=1)
    # A column that separates the classes perfectly has no variance within them.
    floor = jnp.maximum(1e-6 * (between + within), jnp.finfo(z.dtype).tiny)
    ratio = between / jnp.maximum(classes - 1, 1) / jnp.maximum(within, floor)
    return ratio * jnp.maximum(total - classes, 0)


def _correlation(z: jax.Array, seen: jax.Array, support: Examples) -> jax.Array:
    """Pearson correlation of every column with every output.

    Args:
      z: (N, F) columns.
      seen: (N, F) 1 for the cells that count.
      support: y and mask (N, C).

    Returns:
      (F, C), 0 where fewer than two values of the column or of the output are left.
    """
    mask = (support.mask > 0).astype(z.dtype)
    rows = jnp.any(seen > 0, axis=1, keepdims=True) * mask
    raw_y = rows * support.y
    y = rows * (support.y - jnp.sum(raw_y, axis=0) / jnp.maximum(jnp.sum(rows, axis=0), 1))
    raw_z = seen * z
    z = seen * (z - jnp.sum(raw_z, axis=0) / jnp.maximum(jnp.sum(seen, axis=0), 1))
    count = jnp.maximum(_sums(seen, mask), 1)
    z_sum, y_sum = _sums(z, mask), _sums(seen, y)
    z_square, y_square = _sums(z**2, mask), _sums(seen, y**2)
    z_left, y_left = z_square - z_sum**2 / count, y_square - y_sum**2 / count
    defined = z_left > CANCELLED * z_square + ROUNDING * _sums(raw_z**2, mask)
    defined &= y_left > CANCELLED * y_square + ROUNDING * _sums(seen, raw_y**2)
    covariance = _sums(z, y) - z_sum * y_sum / count
    # Two roots: the product of two small variances may be below the smallest float.
    spread = [jnp.sqrt(jnp.where(defined, left, 1.0)) for left in (z_left, y_left)]
    return jnp.clip(jnp.where(defined, covariance / spread[0] / spread[1], 0.0), -1.0, 1.0)
