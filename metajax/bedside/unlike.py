"""New rows that are unlike the labelled ones: nobody knows how good a model is for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from metajax.datasets.own import listed
from metajax.estimator.frames import Column, encode
from metajax.estimator.scaling import fit_scaling

MANY = 4  # rows of which more than half are outside: then it is the column


def rows(columns: Sequence[Column], labelled: pd.DataFrame, new: pd.DataFrame) -> list[list[str]]:
    """What every new row has that no labelled one has.

    A number outside the labelled range, a category that is not among them, a gap where no labelled
    row has one, and a row that is further from every labelled one than any of these from its
    nearest (in units of standard deviations, over the columns that both have).

    Args:
      columns: how an estimator reads them.
      labelled: features of the labelled rows.
      new: of the new ones, the same columns.

    Returns:
      For each new row sentences, none if it is like the others.
    """
    told: list[list[str]] = [[] for _ in range(len(new))]
    for column in columns:
        name, cells = column.name, new[column.name]
        gone = cells.isna().to_numpy()
        if gone.any() and not labelled[name].isna().any():
            for i in np.flatnonzero(gone):
                told[i].append(f"{name} is missing, every labelled row has it")
        if column.kind == "number":
            low, high = labelled[name].min(), labelled[name].max()
            for i in np.flatnonzero((cells < low).to_numpy() | (cells > high).to_numpy()):
                told[i].append(f"{name} is {cells.iloc[i]:g}, the labelled rows have {low:g} to "
                               f"{high:g}")  # fmt: skip
        else:
            for i in np.flatnonzero(~gone & ~cells.astype(str).isin(column.levels).to_numpy()):
                told[i].append(f"{name} is {str(cells.iloc[i])!r}, which no labelled row is")
    for i in _far(columns, labelled, new, [not one for one in told]):
        told[i].append("each value is among those of the labelled rows, all of them together are "
                       "not: it is further from every labelled row than these from each other"
                       )  # fmt: skip
    return told


def columns_outside(labelled: pd.DataFrame, new: pd.DataFrame) -> list[str]:
    """Sentences about columns of numbers whose new values are mostly outside the labelled range."""
    told = []
    for name in labelled:
        if not pd.api.types.is_numeric_dtype(labelled[name]):
            continue
        there = new[name].dropna()
        low, high = labelled[name].min(), labelled[name].max()
        out = int(((there < low) | (there > high)).sum())
        if out >= MANY and out > len(there) / 2:
            told.append(f"{name}: {out} of {len(there)} new values are outside the labelled "
                        f"{low:g} to {high:g} ({there.min():g} to {there.max():g}): another unit?"
                        )  # fmt: skip
    return told


def summary(told: Sequence[Sequence[str]]) -> str:
    """How many rows are unlike the labelled ones; "" for none."""
    odd = [i + 1 for i, one in enumerate(told) if one]
    if not odd:
        return ""
    return (f"{len(odd)} of {len(told)} new rows are unlike the labelled ones (row "
            f"{listed(odd)}): how good a prediction is for them is not known")  # fmt: skip


def _far(columns, labelled: pd.DataFrame, new: pd.DataFrame, ask: Sequence[bool]) -> list[int]:
    """Rows, of those asked for, beyond the largest distance of a labelled row to its nearest."""
    x = encode(columns, labelled)
    scaling = fit_scaling(x)
    known = scaling.scores(x)
    asked = np.flatnonzero(ask)
    if len(known) < MANY or not known.shape[1] or not len(asked):
        return []
    there = scaling.scores(encode(columns, new.iloc[asked]))
    own = _distances(known, known)
    np.fill_diagonal(own, np.inf)
    most = own.min(1).max()
    return asked[_distances(there, known).min(1) > most].tolist()


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Root mean square differences over the columns that both rows have; infinite without any."""
    seen, known = ~np.isnan(one), ~np.isnan(other)
    both = seen.astype(float) @ known.T.astype(float)
    a, b = np.nan_to_num(one), np.nan_to_num(other)
    if seen.all() and known.all():
        return cdist(a, b) / np.sqrt(one.shape[1])
    total = (a**2) @ known.T.astype(float) + seen.astype(float) @ (b**2).T - 2 * a @ b.T
    return np.sqrt(np.maximum(total, 0) / np.where(both > 0, both, 1)) + np.where(
        both > 0, 0, np.inf
    )
