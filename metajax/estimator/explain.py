"""Why does an estimator say so? Shares of the columns of the table as it was given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from metajax.estimator import adapted, methods
from metajax.estimator.base import tabular
from metajax.estimator.frames import encode
from metajax.reasons import Shapley, shapley
from metajax.reasons.outputs import Predict
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

    Raises:
      ValueError: for another model, or a learner of images or sequences.
    """
    rng = np.random.default_rng(seed)
    read, predict, names, groups = _as_columns(estimator)
    cells, known = read(x), read(labelled)
    if len(known) > BACKGROUND:
        known = known[np.sort(rng.permutation(len(known))[:BACKGROUND])]
    limit = min(EXACT, int(np.log2(max(budget / len(known), 1))))
    pairs = max(LEAST_PAIRS, budget // (2 * max(len(groups) - 1, 1) * len(known)))
    shares = shapley(
        predict, cells, known, groups=groups, limit=limit, pairs=pairs, rng=rng, block=8192
    )
    return Explanation(shares, names, len(known))


def _as_columns(estimator: Any) -> tuple[Callable, Predict, tuple[str, ...], list[range]]:
    """How rows become numbers, what the model says of these, and which of them are one column."""
    fitted = getattr(estimator, "fitted_", None)
    if isinstance(fitted, adapted.Adapted):
        wanted = fitted.bundle.about["program"]["inputs"]
        if len(wanted) > 1 or len(wanted[0]["shape"]) != 1:
            raise ValueError("explain is for tables; of images and sequences see metajax.reasons: "
                             "integrated_gradients, mutagenesis")  # fmt: skip
        width = wanted[0]["shape"][0]
        names = tuple(fitted.bundle.about["columns"] or (f"x{i}" for i in range(width)))

        def learned(rows: np.ndarray) -> np.ndarray:
            if fitted.classes:
                return adapted.probabilities(fitted, rows)
            return adapted.quantities(fitted, rows)[0]

        groups = [range(i, i + 1) for i in range(width)]
        return lambda part: adapted.inputs(fitted.bundle, part)[0], learned, names, groups
    if not hasattr(estimator, "columns_"):
        raise ValueError("explain takes a fitted FewShotClassifier or FewShotRegressor; for other "
                         "models see metajax.reasons.shapley and framed")  # fmt: skip

    def predict(rows: np.ndarray) -> np.ndarray:
        if fitted.classes:
            return methods.probabilities(fitted, rows)
        return methods.quantities(fitted, rows)

    groups, start = [], 0
    for column in estimator.columns_:
        groups.append(range(start, start + len(column.outputs)))
        start = groups[-1].stop
    names = tuple(str(column.name) for column in estimator.columns_)

    def read(part: Any) -> np.ndarray:
        return encode(estimator.columns_, tabular(estimator, part, reset=False))

    return read, predict, names, groups
