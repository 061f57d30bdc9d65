"""Why does an estimator say so? Shares of the columns of the table as it was given."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from metajax.estimator import methods
from metajax.estimator.base import tabular
from metajax.estimator.frames import encode
from metajax.reasons import Shapley, shapley
from metajax.reasons.shapley import EXACT

BACKGROUND = 32  # labelled rows that stand for "not known"
LEAST_PAIRS = 4


class Explanation(NamedTuple):
    """What each column adds to the prediction of each row.

    Attributes:
      shares: of P columns to C probabilities, or to one quantity; see `metajax.reasons.Shapley`.
      names: (P,) of the columns.
      background: how many labelled rows stand for "not known".
    """

    shares: Shapley
    names: tuple[str, ...]
    background: int


def explain(
    estimator: Any, x: Any, labelled: Any, *, budget: int = 6_000, seed: int = 0
) -> Explanation:
    """Shapley values of the columns, as they were given: a text is one, whatever it becomes.

    Args:
      estimator: a fitted `FewShotClassifier` or `FewShotRegressor`.
      x: (N, D) rows to explain, frame or array, as for `predict`.
      labelled: (S, D) the labelled rows, or others that stand for "not known"; of more than 32, 32
        are drawn.
      budget: about how many predictions a row may cost. All sets of columns are looked at if that
        can be paid and there are at most 12, else orders are drawn, and have a standard error.
      seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    cells, known = (
        encode(estimator.columns_, tabular(estimator, part, reset=False)) for part in (x, labelled)
    )
    if len(known) > BACKGROUND:
        known = known[np.sort(rng.permutation(len(known))[:BACKGROUND])]
    fitted = estimator.fitted_

    def predict(rows: np.ndarray) -> np.ndarray:
        if fitted.classes:
            return methods.probabilities(fitted, rows)
        return methods.quantities(fitted, rows)

    groups, names, start = [], [], 0
    for column in estimator.columns_:
        width = len(column.outputs)
        groups.append(range(start, start + width))
        names.append(str(column.name))
        start += width
    limit = min(EXACT, int(np.log2(max(budget / len(known), 1))))
    pairs = max(LEAST_PAIRS, budget // (2 * max(len(groups) - 1, 1) * len(known)))
    shares = shapley(
        predict, cells, known, groups=groups, limit=limit, pairs=pairs, rng=rng, block=8192
    )
    return Explanation(shares, tuple(names), len(known))
