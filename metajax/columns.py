"""When a column varies, and its mean and spread: one rule, whatever the unit of the column.

A column varies if two of its values differ. No floor is compared with its spread: 1e-7 g and 1e2 ug
are the same measurement. Statistics are taken in the power of two below the largest value, since
the square of 1e30 or 1e-30 is no float32; dividing by it is exact, so that z-scores of a column
that needs no unit are what they are without one, bit for bit.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

LOST = 1e-3  # of a standard deviation: rounding above this is a change of the data


class Moments(NamedTuple):
    """Mean and spread of D columns.

    Attributes:
      unit: (D,) the power of two in which the next two are, 1 in a column of zeros or of no value.
      mean: (D,) of the values seen, 0 in a column without any.
      deviation: (D,) population standard deviation; 1 in a column that does not vary.
      varied: (D,) bool, two values differ.
    """

    unit: Any
    mean: Any
    deviation: Any
    varied: Any


def moments(x: Any, seen: Any, xp: ModuleType | None = None) -> Moments:
    """Moments of the columns of a table.

    Args:
      x: (N, D) float; anything, also NaN, where it is not seen.
      seen: (N, D) bool, the cells that count.
      xp: `numpy` for arrays of the host, in the precision of x; None: `jax.numpy`, which readers of
        files do without.
    """
    xp = xp or _device()
    high = xp.max(xp.where(seen, x, -xp.inf), axis=0, initial=-xp.inf)
    low = xp.min(xp.where(seen, x, xp.inf), axis=0, initial=xp.inf)
    unit = _unit(xp.maximum(xp.abs(high), xp.abs(low)), xp)
    x = x / unit
    count = xp.maximum(xp.sum(seen, axis=0), 1)
    mean = xp.sum(xp.where(seen, x, 0.0), axis=0) / count
    variance = xp.sum(xp.where(seen, (x - mean) ** 2, 0.0), axis=0) / count
    # The variance of equal values need not be exactly zero; their range is.
    varied = (high > low) & (variance > 0)
    # Before the root, too: the gradient of a discarded root of 0 is NaN.
    return Moments(unit, mean, xp.sqrt(xp.where(varied, variance, 1.0)), varied)


def _device() -> ModuleType:
    import jax.numpy

    return jax.numpy


def _unit(largest: Any, xp: ModuleType) -> Any:
    """The power of two at or below the largest value; 1 if that is 0 or there is none."""
    if xp is not np:
        import jax

        largest = jax.lax.stop_gradient(largest)
    usable = (largest > 0) & xp.isfinite(largest)
    exponent = xp.frexp(xp.where(usable, largest, 1.0))[1] - 1
    least = xp.finfo(largest.dtype).minexp  # what is below is taken as 0 by some devices
    return xp.where(usable, xp.ldexp(xp.ones_like(largest), xp.maximum(exponent, least)), 1.0)


def scores(fitted: Moments, x: Any, xp: ModuleType | None = None) -> Any:
    """Z-scores (N, D) of rows, 0 in columns that do not vary; NaN stays NaN elsewhere."""
    xp = xp or _device()
    z = (x / fitted.unit - fitted.mean) / fitted.deviation
    return xp.where(fitted.varied, z, 0.0)


def lost(values: np.ndarray) -> np.ndarray:
    """(D,) bool: columns (N, D) whose differences do not survive in float32.

    Values beyond its range, below its smallest number, or so far from 0 that they are rounded to
    each other (serial numbers, 1e9 plus a small signal). NaN is a missing value.
    """
    wide = np.asarray(values, np.float64)
    with np.errstate(over="ignore", under="ignore"):
        narrow = wide.astype(np.float32).astype(np.float64)
    narrow = np.where(np.abs(narrow) < np.finfo(np.float32).tiny, 0.0, narrow)
    seen = ~np.isnan(wide)
    fitted = moments(wide, seen, np)
    error = np.where(seen, np.abs(narrow - wide), 0.0).max(0, initial=0.0)
    beyond = np.isinf(narrow).any(0)
    return beyond | (fitted.varied & (error > LOST * fitted.deviation * fitted.unit))
