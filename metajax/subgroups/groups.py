"""Names of groups: bands of numbers, values as text (a part of `subgroups`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MISSING = "missing"


def bands(values: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """Names (N,) of the bands of a number: age, say.

    Args:
      values: (N,) numbers, NaN where missing.
      edges: rising; a value that is an edge belongs to the band above.

    Raises:
      ValueError: for edges that do not rise, or none.
    """
    values, edges = np.asarray(values, np.float64), np.asarray(edges, np.float64)
    if not len(edges) or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
        raise ValueError(f"edges of bands rise; got {edges.tolist()}")
    told = [f"{e:g}" for e in edges]
    between = [f"{a} to under {b}" for a, b in zip(told, told[1:], strict=False)]
    names = np.array([f"under {told[0]}", *between, f"{told[-1]} and over", MISSING])
    place = np.searchsorted(edges, values, side="right")
    return names[np.where(np.isnan(values), len(edges) + 1, place)]


def named(values: Sequence[object]) -> np.ndarray:
    """Names (N,) of groups from any values; empty text, None and NaN are "missing"."""
    gone = [v is None or v != v or not str(v).strip() for v in values]
    return np.array([MISSING if g else str(v).strip() for v, g in zip(values, gone, strict=True)])
