"""Which labelled rows a learner listened to: learned example weights (a part of `reasons`)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from metajax.learners.weighting import Weighted
from metajax.types import Examples, Learner, PyTree


class ExampleWeights(NamedTuple):
    """What a learner made of the rows of a support.

    Attributes:
      index: (K,) places of the rows that are present, the lightest first: wrong labels come first,
        if the learner finds them.
      weights: (K,) their weights in that order; 1 is an ordinary row, 0 one that was not used.
      effective: ``(sum w)^2 / sum w^2``: as many rows of equal weight would say as much.
    """

    index: np.ndarray
    weights: np.ndarray
    effective: float


def example_weights(
    learner: Learner, params: PyTree, support: Examples, key: jax.Array
) -> ExampleWeights:
    """The weights that a sample-based learner gives to labelled rows, means over its steps.

    Args:
      learner: one that weighs rows: `reweight`, `meta_weight_net`, `self_paced` ...
      params: its meta-parameters.
      support: the labelled rows.
      key: as for ``learner.adapt``; with the same key the weights are those of the prediction.

    Raises:
      ValueError: for a learner that does not weigh rows, or no row.
    """
    adapted = learner.adapt(params, support, key)
    if not isinstance(adapted, Weighted):
        raise ValueError(
            "this learner does not weigh rows: what it adapts is no metajax.learners.weighting."
            "Weighted. Those of the pillar `sample` do"
        )
    weights = np.asarray(adapted.weights, np.float64)
    present = np.flatnonzero(np.asarray(support.mask).max(axis=-1) > 0)
    if not len(present):
        raise ValueError("no row of the support is present")
    index = present[np.argsort(weights[present], kind="stable")]
    square = (weights[index] ** 2).sum()
    effective = weights[index].sum() ** 2 / square if square > 0 else 0.0
    return ExampleWeights(index, weights[index], float(effective))
