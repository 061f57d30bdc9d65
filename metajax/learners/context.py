"""Supports as tables of cells, for learners that read them as context (no method of its own)."""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.columns import moments
from metajax.nn.sets import KEYS
from metajax.tasks.schemas import features_by_support
from metajax.tasks.standardise import Columns, apply_columns, fit_columns
from metajax.types import Episode, Examples, Kind, PyTree

CLIP = 5.0


class Fitted(NamedTuple):
    """What turns other rows of a task into rows of its support's table.

    Attributes:
      columns: means and scales of the encoder's features.
      feature: (F,) 1 where the support observes two values of the column.
      relevance: (F, C) correlation of the columns with the outputs.
    """

    columns: Columns
    feature: jax.Array
    relevance: jax.Array


def is_table(x: PyTree) -> bool:
    """Whether inputs are columns as `features_by_support` gives them."""
    return isinstance(x, dict) and set(KEYS) <= set(x)


def read_support(
    encoder: nn.Module, body: PyTree, support: Examples, kind: Kind
) -> tuple[dict[str, jax.Array], Fitted | None]:
    """The support as a table; None if its inputs are one already.

    Any other inputs are encoded; every feature is a column, scaled by the support.
    """
    if is_table(support.x):
        return support.x, None
    support = support._replace(x=encoder.apply(body, support.x))
    table, whole = features_by_support(Episode(support, support), clip=CLIP, kind=kind)
    fitted = Fitted(fit_columns(support), whole.x["feature"][0], whole.x["relevance"][0])
    return table.x, fitted


def read_rows(
    encoder: nn.Module, body: PyTree, fitted: Fitted | None, x: PyTree
) -> dict[str, jax.Array]:
    """Other rows of the task, each by itself."""
    if fitted is None:
        return x
    z, missing = apply_columns(fitted.columns, encoder.apply(body, x), CLIP)
    feature = jnp.broadcast_to(fitted.feature, z.shape)
    relevance = jnp.broadcast_to(fitted.relevance, (len(z), *fitted.relevance.shape))
    return {"z": z, "missing": missing, "feature": feature, "relevance": relevance}


def scaled_labels(support: Examples, kind: Kind) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Labels (N, C) of moderate size, and the mean and scale (C,) that turn them into targets.

    Classes and findings become -1 and 1; targets are standardised over the rows that have them, and
    left as they are where there are no two values.
    """
    if kind != "regression":
        nothing = jnp.zeros_like(support.y[0])
        return 2 * support.y - 1, nothing, jnp.ones_like(nothing)
    unit, mean, deviation, varied = moments(support.y, support.mask > 0)
    deviation = jnp.where(varied, deviation, 1 / unit)
    return (support.y / unit - mean) / deviation, mean * unit, deviation * unit


METHODS = ()  # parts of learners
