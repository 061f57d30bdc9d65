"""How strange a label is for a row: scores, and the intervals they make (of `conformal`)."""

from __future__ import annotations

import numpy as np


def lac(probability: np.ndarray) -> np.ndarray:
    """Scores (N, C) of all labels: 1 - probability (N, C). The smallest sets on average.

    Reference:
      Sadinle, Lei, Wasserman (2019), Least ambiguous set-valued classifiers.
    """
    return 1.0 - probabilities(probability)


def aps(probability: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    """Scores (N, C) of all labels: the probability of the labels that are no less probable.

    Sets are larger for rows that the model finds hard, and coverage more even among rows.

    Args:
      probability: (N, C), rows of sum 1.
      rng: a label's own probability (with that of its ties) then counts with one uniform number a
        row, as in the paper; None: in full, so that sets are larger than need be.

    Returns:
      (N, C) in [0, 1].
    """
    p = probabilities(probability)
    above = p[:, None, :] > p[:, :, None]  # [row, label, other]
    own = (p[:, None, :] == p[:, :, None]) * p[:, None, :]
    share = 1.0 if rng is None else rng.random((len(p), 1))
    return (above * p[:, None, :]).sum(-1) + share * own.sum(-1)


def residual(mean: np.ndarray, target: np.ndarray, scale: np.ndarray | float = 1.0) -> np.ndarray:
    """Scores (N,) of targets: the distance from the predicted mean, in units of `scale` above 0."""
    return np.abs(finite(target, "targets") - finite(mean, "means")) / positive(scale)


def interval(mean: np.ndarray, limit: float, scale: np.ndarray | float = 1.0) -> np.ndarray:
    """Intervals (N, 2): mean -+ limit * scale, the targets whose `residual` is at most `limit`.

    Args:
      mean: (N,) predictions.
      limit: `threshold` of calibration residuals; infinity gives (-inf, inf).
      scale: (N,) or one number, above 0, as for `residual`: a predictive standard deviation, say.
    """
    mean = finite(mean, "means")
    half = limit * np.broadcast_to(positive(scale), mean.shape)
    return np.stack([mean - half, mean + half], axis=-1)


def label_scores(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The scores (n,) of the true labels (n,) among scores (n, C) of all labels."""
    return np.take_along_axis(np.asarray(scores), _labels(labels, scores)[:, None], 1)[:, 0]


def probabilities(values: np.ndarray) -> np.ndarray:
    """The values (N, C) as float64, if each row is a distribution.

    Raises:
      ValueError: for another shape, or values that are no probabilities (logits, say).
    """
    p = finite(values, "probabilities")
    if p.ndim != 2:
        raise ValueError(f"probabilities are (N, C); got {p.shape}")
    if (p < -1e-6).any() or (np.abs(p.sum(1) - 1) > 1e-3).any():
        raise ValueError(f"rows of probabilities are 0 or more and sum to 1; got sums of "
                         f"{p.sum(1).min():g} to {p.sum(1).max():g}")  # fmt: skip
    return p


def finite(values: np.ndarray, what: str) -> np.ndarray:
    """The values as float64; ValueError if some are not finite."""
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} of the {what} are not finite")
    return values


def positive(scale: np.ndarray | float) -> np.ndarray:
    """The scales as float64; ValueError if some are not above 0."""
    scale = finite(scale, "scales")
    if not (scale > 0).all():
        raise ValueError(f"scales must be above 0; the smallest is {scale.min()}")
    return scale


def _labels(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    labels, shape = np.asarray(labels), np.shape(scores)
    if len(shape) != 2 or labels.shape != shape[:1]:
        raise ValueError(f"labels are (n,), scores (n, C); got {labels.shape} and {shape}")
    if labels.dtype.kind not in "iu" or (labels < 0).any() or (labels >= shape[1]).any():
        raise ValueError(f"labels are whole numbers, 0 to {shape[1] - 1}")
    return labels
