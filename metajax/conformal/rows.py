"""Split conformal prediction: rows that the model never saw (a part of `conformal`)."""

from __future__ import annotations

import numpy as np

from metajax.conformal.scores import finite

_ROUNDING = 1e-9  # 0.3 is stored as a little less or more than three tenths


def least_rows(alpha: float) -> int:
    """The fewest calibration rows (tasks) with which a set can leave anything out.

    Raises:
      ValueError: unless `alpha`, the share that may be missed, is in (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha, the share of misses allowed, is in (0, 1); got {alpha}")
    return int(np.ceil(1 / alpha - 1 - _ROUNDING))


def enough(n: int, alpha: float, what: str = "calibration rows") -> None:
    """Refuses calibration that would put every label into every set.

    Raises:
      ValueError: naming how many there are and how many it takes.
    """
    if n < (least := least_rows(alpha)):
        raise ValueError(
            f"{n} {what} are too few for {100 * (1 - alpha):g} % coverage: at least {least} are "
            "needed, with fewer every set is everything. Remedy: more of them, or a larger alpha"
        )


def threshold(scores: np.ndarray, alpha: float) -> float:
    """The (n + 1)-quantile: what a new score exceeds with probability `alpha` at most.

    It is the ``n + 1 - floor(alpha * (n + 1))``-th smallest of the n scores; plus infinity where
    n is below `least_rows`, so that the set is everything.

    Args:
      scores: (n,) of the calibration rows, finite.
      alpha: the share of misses allowed, in (0, 1).

    Raises:
      ValueError: for another alpha, or scores that are not finite.
    """
    scores = finite(scores, "calibration scores")
    least_rows(alpha)
    place = len(scores) + 1 - int(np.floor(alpha * (len(scores) + 1) + _ROUNDING))
    return float(np.sort(scores)[place - 1]) if place <= len(scores) else float(np.inf)


def p_values(
    calibration: np.ndarray,
    scores: np.ndarray,
    *,
    category: np.ndarray | None = None,
    categories: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """P-values of candidate labels by split conformal prediction.

    Args:
      calibration: (n,) scores of the true labels of rows that the model never saw.
      scores: any shape, (N, C) say: scores of candidates.
      category: (n,) the Mondrian category of each calibration row; None: all are one.
      categories: those of the candidates, broadcast to `scores`. A class-conditional set has
        ``category=labels, categories=np.arange(C)``: then each class is missed `alpha` at most.
      rng: breaks ties and rounding at random, one number a row (the first axis): the p-values are
        then uniform. None: conservative.

    Returns:
      P-values of the shape of `scores`; 1 where a category has no calibration rows.

    Raises:
      ValueError: for shapes that do not fit, or scores that are not finite.
    """
    calibration = finite(calibration, "calibration scores").ravel()
    scores = finite(scores, "scores")
    category, where = categorised(calibration, scores, category, categories)
    luck = np.ones(scores.shape) if rng is None else _by_row(rng, scores.shape)
    found = np.ones(scores.shape)
    for name in np.unique(where):
        known, mine = np.sort(calibration[category == name]), where == name
        above, equal = counts(known, scores[mine])
        # With luck 1: (scores at least as strange, and the row itself) / (n + 1).
        found[mine] = (above + luck[mine] * (equal + 1)) / (len(known) + 1)
    return found


def sets(p: np.ndarray, alpha: float) -> np.ndarray:
    """Which candidates are in the set: bool, those whose p-value is above `alpha`."""
    least_rows(alpha)
    # p = alpha up to rounding is out, as in exact arithmetic.
    return np.asarray(p) > alpha + 0.1 * _ROUNDING


def categorised(calibration, scores, category, categories) -> tuple[np.ndarray, np.ndarray]:
    """The Mondrian categories of calibration rows (n,), and of candidates in the scores' shape.

    Raises:
      ValueError: if one is given without the other, or of another shape.
    """
    if (category is None) != (categories is None):
        raise ValueError("category and categories belong together: give both, or neither")
    if category is None:
        return np.zeros(calibration.shape, int), np.zeros(scores.shape, int)
    category = np.asarray(category)
    if category.shape != calibration.shape:
        raise ValueError(f"category must be {calibration.shape}; got {category.shape}")
    return category, np.broadcast_to(np.asarray(categories), scores.shape)


def counts(known: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many of the sorted scores are above, and how many equal."""
    right = np.searchsorted(known, scores, side="right")
    return len(known) - right, right - np.searchsorted(known, scores, side="left")


def _by_row(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """One uniform number in (0, 1] a row, spread over its candidates."""
    luck = 1.0 - rng.random(shape[:1])
    return np.broadcast_to(luck.reshape(-1, *[1] * (len(shape) - 1)), shape) if shape else luck
