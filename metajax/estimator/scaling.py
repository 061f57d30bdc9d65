"""Columns on the scale of the labelled rows, in double precision."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CLIP = 5.0


class Scaling(NamedTuple):
    """What the labelled rows say about D columns; missing cells are NaN.

    Attributes:
      mean: (D,) of the observed cells, 0 without any.
      scale: (D,) their population standard deviation, 0 where there are no two values.
      flagged: (D,) bool, some labelled row lacks the cell and some has it.
    """

    mean: np.ndarray
    scale: np.ndarray
    flagged: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """(D,) bool, the columns with two values."""
        return self.scale > 0

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Z-scores (N, K) of the kept columns, NaN where missing, cut at plus and minus `CLIP`."""
        kept = self.kept
        with np.errstate(over="ignore"):
            z = (x[:, kept] - self.mean[kept]) / self.scale[kept]
        return np.clip(z, -CLIP, CLIP)

    def table(self, x: np.ndarray) -> np.ndarray:
        """What host models take: z-scores, 0 where missing, and a flag for each flagged column."""
        flags = np.isnan(x[:, self.flagged]).astype(np.float64)
        return np.concatenate([np.nan_to_num(self.scores(x)), flags], axis=1)


def fit_scaling(x: np.ndarray) -> Scaling:
    """Means and standard deviations of the observed cells.

    Args:
      x: (N, D) float64 labelled rows, NaN where missing.
    """
    seen = ~np.isnan(x)
    count = np.maximum(seen.sum(0), 1)
    # Values near the largest double must not overflow in a sum of squares.
    size = np.where(seen, np.abs(x), 0.0).max(0, initial=0.0)
    unit = np.where(size > 0, size, 1.0)
    part = np.where(seen, x / unit, 0.0)
    mean = part.sum(0) / count
    deviation = np.sqrt((np.where(seen, part - mean, 0.0) ** 2).sum(0) / count)
    # Rounding of equal values is no spread.
    scale = np.where(deviation > 1e-12 * np.abs(mean), deviation, 0.0)
    return Scaling(mean * unit, scale * unit, seen.any(0) & ~seen.all(0))
