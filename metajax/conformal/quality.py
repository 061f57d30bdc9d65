"""What sets are worth on rows whose labels are known (a part of `conformal`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from metajax.conformal.scores import label_scores


class Quality(NamedTuple):
    """How sets did on rows whose labels are known.

    Attributes:
      coverage: the share of rows whose label is in the set.
      size: labels in a set on average.
      alone: the share of sets of one label.
      empty: the share of empty sets: rows like none that was calibrated on.
      by_class: (C,) coverage of the rows of each class, NaN without rows.
    """

    coverage: float
    size: float
    alone: float
    empty: float
    by_class: np.ndarray


def quality(inside: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> Quality:
    """Coverage and size of sets (N, C) for labels (N,), rows weighted by (N,), default 1.

    Raises:
      ValueError: without a row.
    """
    inside = np.asarray(inside, bool)
    hit = label_scores(inside, labels)
    w = np.ones(len(hit)) if weights is None else np.asarray(weights, np.float64)
    if not w.sum() > 0:
        raise ValueError("coverage needs a row at least")
    size = inside.sum(1)
    of_class = [w * (np.asarray(labels) == c) for c in range(inside.shape[1])]
    by_class = [np.average(hit, weights=v) if v.sum() > 0 else np.nan for v in of_class]
    told = (hit, size, size == 1, size == 0)
    return Quality(*(float(np.average(v, weights=w)) for v in told), np.asarray(by_class))
