"""Scores of an episode, and what every judged row adds to them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

FLOOR = 1e-6
# Of each kind of label: metric -> higher is better; the first ranks methods.
CLASS_METRICS = {"auroc": True, "log_loss": False, "brier": False}
QUANTITY_METRICS = {"r2": True, "mae": False}


class Score(NamedTuple):
    """A score of Q judged rows.

    Attributes:
      value: NaN where undefined.
      influence: (Q,) its derivative by the weight of each row; sums to 0.
    """

    value: float
    influence: np.ndarray


def of_classes(p: np.ndarray, y: np.ndarray) -> dict[str, Score]:
    """AUROC (the mean over classes, each against the rest), log-loss and Brier score.

    Args:
      p: (Q, C) probabilities.
      y: (Q,) classes by number.
    """
    truth = np.eye(p.shape[1])[y]
    clipped = np.clip(p, FLOOR, None)
    nats = -np.log((clipped / clipped.sum(1, keepdims=True))[np.arange(len(y)), y])
    return {
        "auroc": _auroc(p, truth),
        "log_loss": _mean(nats),
        "brier": _mean(((p - truth) ** 2).sum(1) / (2 if p.shape[1] == 2 else 1)),
    }


def of_quantities(guess: np.ndarray, y: np.ndarray) -> dict[str, Score]:
    """Share of the variance explained, and mean absolute error.

    Args:
      guess: (Q,) predictions.
      y: (Q,) targets.
    """
    error, spread = (guess - y) ** 2, (y - y.mean()) ** 2
    mse, variance = error.mean(), spread.mean()
    if variance == 0:
        explained = Score(np.nan, np.zeros(len(y)))
    else:
        slope = -(error - mse * spread / variance) / variance / len(y)
        explained = Score(1 - mse / variance, slope)
    return {"r2": explained, "mae": _mean(np.abs(guess - y))}


def _mean(each: np.ndarray) -> Score:
    value = each.mean()
    return Score(float(value), (each - value) / len(each))


def _auroc(p: np.ndarray, truth: np.ndarray) -> Score:
    """Mann and Whitney's statistic; ties count one half."""
    columns = range(1, 2) if p.shape[1] == 2 else range(p.shape[1])
    values, slopes = [], []
    for c in columns:
        positive = truth[:, c] > 0
        ones, zeros = int(positive.sum()), int((~positive).sum())
        if not ones or not zeros:
            continue
        score = p[:, c]
        rank, inside = rankdata(score), np.empty(len(score))
        inside[positive], inside[~positive] = rankdata(score[positive]), rankdata(score[~positive])
        other = rank - inside  # how many of the other class are below, ties as halves
        place = np.where(positive, other / zeros, 1 - other / ones)
        value = place[positive].mean()
        values.append(value)
        slopes.append((place - value) / np.where(positive, ones, zeros))
    if not values:
        return Score(np.nan, np.zeros(len(p)))
    return Score(float(np.mean(values)), np.mean(slopes, axis=0))
