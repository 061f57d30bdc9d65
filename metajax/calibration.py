"""Temperature scaling: probabilities that come true, learned on other tasks (floor 1, host side).

All logits of a model are divided by one number T, found on tasks kept aside for validation: above
1 where the model is too sure of itself. Ranks and called classes do not change. One number is all
that can be carried from task to task: classes of different tasks have nothing else in common.

Reference:
  Guo, Pleiss, Sun, Weinberger (2017), On calibration of modern neural networks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_softmax, softmax

BOUNDS = (0.02, 50.0)  # temperatures looked at
_ABSENT = -1e8  # logits below are those of absent classes: -1e9 in `losses`


class Temperature(NamedTuple):
    """A fitted temperature.

    Attributes:
      value: T, within `BOUNDS`.
      before: weighted mean negative log-likelihood of the rows at T = 1, in nats.
      after: at `value`.
      bound: T is at a bound. The lower: the model is right everywhere, and no T is sharp enough.
        The upper: its logits say nothing of the labels, or the contrary.
    """

    value: float
    before: float
    after: float
    bound: bool


def temperature(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> Temperature:
    """Fits T by maximum likelihood; the problem is convex in 1 / T, so T is the one best.

    Args:
      logits: (N, C) or log-probabilities, of rows that the model did not see, labelled rows of
        meta-validation tasks, say; classes absent from a task at -1e9.
      labels: (N,) int classes.
      weights: (N,) 0 or more; None: ones. `even_weights` lets each task count once.

    Raises:
      ValueError: for shapes that do not fit, logits that are not finite, an absent class as label,
        or no row.
    """
    z, y = np.asarray(logits, np.float64), np.asarray(labels)
    w = np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)
    if z.ndim != 2 or y.shape != z.shape[:1] or w.shape != y.shape:
        raise ValueError(f"logits are (N, C), labels and weights (N,); got {z.shape}, {y.shape} "
                         f"and {w.shape}")  # fmt: skip
    if not np.isfinite(z).all() or not np.isfinite(w).all() or (w < 0).any() or not w.sum() > 0:
        raise ValueError("logits must be finite, weights 0 or more and not all 0")
    if y.dtype.kind not in "iu" or (y < 0).any() or (y >= z.shape[1]).any():
        raise ValueError(f"labels are whole numbers, 0 to {z.shape[1] - 1}")
    z, w = z - z.max(axis=1, keepdims=True), w / w.sum()
    true = np.take_along_axis(z, y[:, None], 1)[:, 0]
    if (true[w > 0] < _ABSENT).any():
        raise ValueError("a label is that of a class which is absent from its task")

    def nats(inverse: float) -> float:
        told = np.take_along_axis(log_softmax(z * inverse, axis=1), y[:, None], 1)
        return float(-(w * told[:, 0]).sum())

    def slope(inverse: float) -> float:  # of nats; rises with the inverse
        share = np.exp(z * inverse)  # z is 0 at most
        return float((w * ((share * z).sum(1) / share.sum(1) - true)).sum())

    low, high = 1 / BOUNDS[1], 1 / BOUNDS[0]
    bound = slope(low) >= 0 or slope(high) <= 0
    if bound:
        inverse = low if slope(low) >= 0 else high
    else:
        inverse = float(brentq(slope, low, high, xtol=1e-7))
    return Temperature(1 / inverse, nats(1.0), nats(inverse), bound)


def tempered(logits: np.ndarray, value: float) -> np.ndarray:
    """Probabilities (N, C) of logits (N, C) or log-probabilities, divided by a temperature.

    Raises:
      ValueError: unless the temperature is above 0.
    """
    if not value > 0:
        raise ValueError(f"a temperature is above 0; got {value}")
    return softmax(np.asarray(logits, np.float64) / value, axis=-1)


def even_weights(tasks: np.ndarray) -> np.ndarray:
    """Weights (N,) of rows of tasks (N,) that sum to 1 in each task, however many rows it has."""
    _, place, count = np.unique(tasks, return_inverse=True, return_counts=True)
    return 1.0 / count[place]
