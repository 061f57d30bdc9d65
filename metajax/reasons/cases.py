"""Labelled cases as reasons: neighbours, prototypes, attention (a part of `reasons`).

All on features (N, D) of the learner itself: ``encoder.apply(params, x)`` of a prototypical or a
matching network. In a feature space that was not learned for it, near means little.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import softmax


class Nearest(NamedTuple):
    """The labelled rows nearest to N rows, nearest first.

    Attributes:
      index: (N, K) places in the support; ties go to the first.
      distance: (N, K).
    """

    index: np.ndarray
    distance: np.ndarray


class Prototypes(NamedTuple):
    """What stands for a class.

    Attributes:
      mean: (C, D) the weighted mean feature; 0 for a class without rows.
      size: (C,) the summed weights.
      typical: (C,) the place of the support row of the class nearest to its mean; -1 without rows.
    """

    mean: np.ndarray
    size: np.ndarray
    typical: np.ndarray


def distances(one: np.ndarray, other: np.ndarray, metric: str = "euclidean") -> np.ndarray:
    """Distances (N, S) of features (N, D) and (S, D): "euclidean", or "cosine", 1 - the cosine.

    Raises:
      ValueError: for another metric, shapes that do not fit, or features that are not finite.
    """
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1]:
        raise ValueError(f"features are (N, D) and (S, D); got {one.shape} and {other.shape}")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise ValueError("some features are not finite")
    if metric == "cosine":
        one, other = (z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
                      for z in (one, other))  # fmt: skip
        return 1.0 - one @ other.T
    if metric != "euclidean":
        raise ValueError(f"the metric is euclidean or cosine; got {metric!r}")
    # Differences rather than |a|^2 - 2ab + |b|^2: the nearest rows are those it would round away.
    return np.stack([np.sqrt(((other - row) ** 2).sum(1)) for row in one]).reshape(-1, len(other))


def nearest(
    features: np.ndarray,
    support: np.ndarray,
    count: int = 5,
    *,
    present: np.ndarray | None = None,
    metric: str = "euclidean",
) -> Nearest:
    """Finds the labelled cases that rows resemble most.

    Args:
      features: (N, D) of the rows to explain.
      support: (S, D) of the labelled rows.
      count: how many, 1 or more; at most those that are present.
      present: (S,) bool or weights, 0 for padded rows; None: all.
      metric: "euclidean" or "cosine".

    Raises:
      ValueError: as `distances`, for a count below 1, or no row that is present.
    """
    far = distances(features, support, metric)
    there = np.ones(far.shape[1], bool) if present is None else np.asarray(present) > 0
    if there.shape != far.shape[1:] or not there.any() or count < 1:
        raise ValueError(f"count is 1 or more, present (S,), and a row is there; got {count} of "
                         f"{int(there.sum())} rows")  # fmt: skip
    order = np.argsort(np.where(there, far, np.inf), axis=1, kind="stable")
    order = order[:, : min(count, int(there.sum()))]
    return Nearest(order, np.take_along_axis(far, order, axis=1))


def prototypes(features: np.ndarray, member: np.ndarray) -> Prototypes:
    """The class means of a prototypical network, and the labelled case that is nearest to each.

    Args:
      features: (S, D) of the support.
      member: (S, C) ``support.y * support.mask``: one-hot labels, 0 where padded.
    """
    features, member = np.asarray(features, np.float64), np.asarray(member, np.float64)
    if features.ndim != 2 or member.ndim != 2 or len(features) != len(member):
        raise ValueError(
            f"features are (S, D), member (S, C); got {features.shape} and {member.shape}"
        )
    size = member.sum(axis=0)
    mean = member.T @ features / np.maximum(size, 1e-12)[:, None]
    far = np.where(member.T > 0, distances(mean, features), np.inf)
    return Prototypes(mean, size, np.where(size > 0, far.argmin(axis=1), -1))


def attention(
    features: np.ndarray, support: np.ndarray, member: np.ndarray, metric: str = "euclidean"
) -> np.ndarray:
    """The share (N, S) that every labelled row has in a matching network's prediction.

    Shares sum to 1, and those of the rows of a class to the probability of the class: nothing of
    the prediction is left unexplained.

    Args:
      features: (N, D) of the rows to explain.
      support: (S, D) of the labelled rows.
      member: (S, C) ``support.y * support.mask``: one-hot labels, 0 where padded.
      metric: "euclidean" (its square counts) or "cosine", as the network was built.
    """
    weight = np.asarray(member, np.float64).max(axis=1)
    far = distances(features, support, metric)
    alike = -(far**2) if metric == "euclidean" else 1.0 - far
    told = np.log(np.where(weight > 0, weight, 1.0))
    return softmax(np.where(weight > 0, alike + told, -np.inf), axis=1)
