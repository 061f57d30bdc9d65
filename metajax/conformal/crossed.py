"""Cross-conformal prediction and CV+: every row is fitted on and judged (of `conformal`)."""

from __future__ import annotations

import numpy as np

from metajax.conformal.rows import counts, threshold
from metajax.conformal.scores import finite, positive


def cross_p_values(calibration: np.ndarray, fold: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """P-values of candidate labels by cross-conformal prediction; the sets are those of CV+.

    The model is fitted K times, without a fold each time. Row i of the labelled rows is judged by
    the model that did not see it, and compared with a candidate judged by the same model.

    Args:
      calibration: (n,) out-of-fold scores of the true labels.
      fold: (n,) the fold of each, 0 to K - 1.
      scores: (K, N, C) candidates' scores by the model without fold k.

    Returns:
      (N, C) p-values. Sets miss the truth with a probability of at most ``2 alpha +
      min(2 (1 - 1 / K) / (n / K + 1), (1 - K / n) / (K + 1))`` with equal folds; about `alpha`
      where the K models agree. It takes more than `least_rows` of `n` to leave anything out.

    Raises:
      ValueError: for shapes that do not fit, or scores that are not finite.

    Reference:
      Vovk (2015), Cross-conformal predictors; Barber et al. (2021), theorem 4.
    """
    calibration, scores = finite(calibration, "calibration scores"), finite(scores, "scores")
    fold = np.asarray(fold)
    if fold.shape != calibration.shape or scores.ndim < 2 or not len(fold):
        raise ValueError(
            f"calibration and fold are (n,), scores (K, N, C); got {calibration.shape}, "
            f"{fold.shape} and {scores.shape}"
        )
    if fold.min() < 0 or fold.max() >= len(scores):
        raise ValueError(f"there are {len(scores)} models, so folds are 0 to {len(scores) - 1}; "
                         f"got {fold.min()} to {fold.max()}")  # fmt: skip
    stranger = np.ones(scores.shape[1:])
    for k, candidates in enumerate(scores):
        above, equal = counts(np.sort(calibration[fold == k]), candidates)
        stranger += above + equal
    return stranger / (len(calibration) + 1)


def cross_interval(
    residuals: np.ndarray,
    fold: np.ndarray,
    means: np.ndarray,
    alpha: float,
    scale: np.ndarray | float = 1.0,
) -> np.ndarray:
    """Intervals of targets by CV+; the guarantee is that of `cross_p_values`.

    Args:
      residuals: (n,) out-of-fold `residual`.
      fold: (n,) the fold of each, 0 to K - 1.
      means: (K, N) predictions by the model without fold k.
      alpha: the share of misses allowed, in (0, 1).
      scale: of the new rows, (K, N) or one number, above 0.

    Returns:
      (N, 2) ends, infinite if there are too few rows.

    Raises:
      ValueError: for shapes that do not fit, or values that are not finite.
    """
    residuals, means = finite(residuals, "residuals"), finite(means, "means")
    fold = np.asarray(fold)
    if fold.shape != residuals.shape or means.ndim != 2 or fold.max(initial=0) >= len(means):
        raise ValueError(
            f"residuals and fold are (n,), means (K, N) with a row for every fold; got "
            f"{residuals.shape}, {fold.shape} and {means.shape}"
        )
    half = residuals[:, None] * np.broadcast_to(positive(scale), means.shape)[fold]  # (n, N)
    low, high = means[fold] - half, means[fold] + half
    ends = [(-threshold(-low[:, i], alpha), threshold(high[:, i], alpha))
            for i in range(means.shape[1])]  # fmt: skip
    return np.asarray(ends, np.float64).reshape(-1, 2)
