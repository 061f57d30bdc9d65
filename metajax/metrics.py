"""Scores of one episode: jittable, vmappable, differentiable in the row weights (floor 1).

Shapes, unless stated: `scores` (N,) real, higher is more probably positive; `probability` (N,) in
[0, 1]; `labels` (N,) 0 or 1; `weights` (N,) 0 or more. A row of weight 0 is absent; doubling a
weight is repeating the row. Values must be finite, only `score` and `influence` accept anything in
absent rows. What a query leaves undefined (one class, a constant target, no row) is NaN, never 0,
and its gradient is 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from metajax.types import TaskSpec

CLIP = 1e-7  # probabilities below this are raised to it in `log_loss`: no row costs more than 16.1
_CLASSIFICATION = (
    *("auroc", "auprc", "balanced_accuracy", "accuracy", "brier", "log_loss", "ece"),
    *("sensitivity_at_90_specificity", "prevalence"),
)
METRICS: dict[str, tuple[str, ...]] = {"regression": ("mse", "spearman")}
METRICS |= dict.fromkeys(("multiclass", "multilabel"), _CLASSIFICATION)


def _ratio(numerator, denominator, defined=True):
    """Return the quotient, NaN with zero gradient where it is undefined or the denominator is 0."""
    defined = defined & (denominator > 0)
    return jnp.where(defined, numerator / jnp.where(defined, denominator, 1.0), jnp.nan)


def _mean(values, weights):
    """Return the weighted mean over rows."""
    return _ratio((values * weights).sum(), weights.sum())


def _mean_defined(values):
    """Return the mean of the entries that are not NaN, NaN if there are none."""
    defined = ~jnp.isnan(values)
    return _ratio(jnp.where(defined, values, 0.0).sum(), defined.sum())


def _ranking(scores):
    """Return the descending order (N,) and, by sorted position, first and last index of its tie."""
    # Sorting once and finding ties by scans is several times faster than searchsorted under vmap.
    index = jnp.arange(scores.shape[0])
    ordered, order = jax.lax.sort((-jax.lax.stop_gradient(scores), index), num_keys=1)
    new = jnp.concatenate([jnp.ones(1, bool), ordered[1:] != ordered[:-1]])
    first = jax.lax.cummax(jnp.where(new, index, 0))
    last = jax.lax.cummin(jnp.where(jnp.roll(new, -1), index, index[-1]), reverse=True)
    return order, first, last


def _curve(scores, labels, weights):
    """Return positives, negatives by falling score; hits, alarms there; alarms strictly above."""
    order, first, last = _ranking(scores)
    positive, negative = (labels * weights)[order], ((1.0 - labels) * weights)[order]
    hits, alarms = jnp.cumsum(positive), jnp.cumsum(negative)
    return positive, negative, hits[last], alarms[last], (alarms - negative)[first]


def auroc(scores: Array, labels: Array, weights: Array) -> Array:
    """Return the area under the ROC curve, in [0, 1]; a tied pair counts one half."""
    positive, negative, _, alarms, higher = _curve(scores, labels, weights)
    beaten = negative.sum() - 0.5 * (alarms + higher)
    return _ratio((positive * beaten).sum(), positive.sum() * negative.sum())


def auprc(scores: Array, labels: Array, weights: Array) -> Array:
    """Return the average precision, ties grouped, as scikit-learn's `average_precision_score`."""
    positive, negative, hits, alarms, _ = _curve(scores, labels, weights)
    called = hits + alarms
    precision = hits / jnp.where(called > 0, called, 1.0)
    return _ratio((positive * precision).sum(), positive.sum(), negative.sum() > 0)


def sensitivity_at_specificity(
    scores: Array, labels: Array, weights: Array, specificity: float = 0.9
) -> Array:
    """Return the highest sensitivity of any threshold that keeps at least this specificity.

    The threshold is chosen on the rows judged (optimistic if few); the gradient holds it fixed.
    """
    positive, negative, hits, alarms, _ = _curve(scores, labels, weights)
    allowed = alarms <= (1.0 - specificity + 1e-6) * negative.sum()  # 1e-6: 1 of 10 is 0.9
    best = jnp.where(allowed, hits, 0.0).max()
    return _ratio(best, positive.sum(), negative.sum() > 0)


def brier(probability: Array, labels: Array, weights: Array) -> Array:
    """Return the mean squared distance of probability and label, in [0, 1]."""
    return _mean(jnp.square(probability - labels), weights)


def log_loss(probability: Array, labels: Array, weights: Array) -> Array:
    """Return the mean negative log-likelihood in nats, with probabilities clipped at 1e-7."""
    told = jnp.log(jnp.clip(probability, CLIP)), jnp.log(jnp.clip(1.0 - probability, CLIP))
    return _mean(-(labels * told[0] + (1.0 - labels) * told[1]), weights)


def calibration_bins(probability: Array, labels: Array, weights: Array, bins: int = 10) -> Array:
    """Return (bins, 3): weighted sums of probability, label, 1 where bin b starts at b / bins."""
    place = jnp.clip(jnp.floor(probability * bins), 0, bins - 1).astype(jnp.int32)
    inside = jax.nn.one_hot(place, bins, axis=0)  # (bins, N)
    columns = jnp.stack([probability * weights, labels * weights, weights], axis=1)
    return jnp.matmul(inside, columns, precision="highest")  # sums: no rounding of the products


def ece(probability: Array, labels: Array, weights: Array, bins: int = 10) -> Array:
    """Return the expected calibration error over bins of equal width, in [0, 1]."""
    told, seen, count = calibration_bins(probability, labels, weights, bins).T
    return _ratio(jnp.abs(told - seen).sum(), count.sum())


def accuracy(probability: Array, labels: Array, weights: Array) -> Array:
    """Return the fraction right when a probability above one half is called positive."""
    return _mean(jnp.where(probability > 0.5, labels, 1.0 - labels), weights)


def balanced_accuracy(probability: Array, labels: Array, weights: Array) -> Array:
    """Return the mean of sensitivity and specificity at one half, NaN unless both have weight."""
    called = jnp.where(probability > 0.5, 1.0, 0.0)
    both = _mean(called, weights * labels) + _mean(1.0 - called, weights * (1.0 - labels))
    return jnp.where(jnp.isnan(both), jnp.nan, both / 2.0)  # where: no gradient if undefined


def mse(prediction: Array, target: Array, weights: Array) -> Array:
    """Return the mean squared error of prediction (N,), in squared units of the target (N,)."""
    return _mean(jnp.square(prediction - target), weights)


def _midranks(values, weights):
    """Return rank (N,) of every row by falling value, ties averaged, up to a constant."""
    order, first, last = _ranking(values)
    counted = jnp.cumsum(weights[order])
    middle = 0.5 * (counted[last] + (counted - weights[order])[first])
    return jnp.zeros_like(middle).at[order].set(middle, unique_indices=True)


def spearman(prediction: Array, target: Array, weights: Array) -> Array:
    """Return the rank correlation, ties at average ranks; 0 (chance) for a constant prediction."""
    present, total = weights > 0, weights.sum()

    def varies(values):
        high = jnp.where(present, values, -jnp.inf).max()
        return high > jnp.where(present, values, jnp.inf).min()

    def standard(values):
        rank = _midranks(values, weights) / jnp.where(total > 0, total, 1.0)
        rank = rank - jnp.where(total > 0, _mean(rank, weights), 0.0)
        square = (weights * rank * rank).sum()
        usable = varies(values) & (square > 0)
        return jnp.where(usable, rank / jnp.sqrt(jnp.where(usable, square, 1.0)), 0.0)

    told, seen = standard(prediction), standard(target)
    return jnp.where(varies(target), (weights * told * seen).sum(), jnp.nan)


def _binary(scores, probability, labels, weights):
    """Return all classification scores of one binary question; `scores` only rank."""
    ranked = (auroc, auprc, sensitivity_at_specificity)
    told = (balanced_accuracy, accuracy, brier, log_loss, ece)
    found = {way.__name__: way(scores, labels, weights) for way in ranked}
    found |= {way.__name__: way(probability, labels, weights) for way in told}
    found["sensitivity_at_90_specificity"] = found.pop("sensitivity_at_specificity")
    return found | {"prevalence": _mean(labels, weights)}


def _multiclass(outputs, y, mask):
    """Return the scores of C classes; absent classes get no probability."""
    weights, logits = mask.max(axis=1), jnp.where((mask > 0).any(axis=0), outputs, -1e9)
    if outputs.shape[1] == 2:
        # The difference of logits ranks as the probability does, without its ties near 0 and 1.
        margin = logits[:, 1] - logits[:, 0]
        return _binary(margin, jax.nn.sigmoid(margin), y[:, 1], weights)
    log_p = jax.nn.log_softmax(logits, axis=1)
    p, best = jnp.exp(log_p), logits.argmax(axis=1)
    right = jnp.take_along_axis(y, best[:, None], axis=1)[:, 0]
    recall = jax.vmap(lambda label: _mean(right, weights * label), in_axes=1)(y)
    several = (~jnp.isnan(recall)).sum() > 1

    def macro(metric):  # one class against the rest, over classes with both labels present
        return _mean_defined(jax.vmap(metric, in_axes=(1, 1, None))(log_p, y, weights))

    return {
        "auroc": macro(auroc),
        "auprc": macro(auprc),
        "balanced_accuracy": jnp.where(several, _mean_defined(recall), jnp.nan),
        "accuracy": _mean(right, weights),
        "brier": _mean(jnp.square(p - y).sum(axis=1), weights),
        "log_loss": _mean(-(y * jnp.log(jnp.clip(p, CLIP))).sum(axis=1), weights),
        "ece": ece(p.max(axis=1), right, weights),
        "sensitivity_at_90_specificity": macro(sensitivity_at_specificity),
        "prevalence": jnp.full_like(p[0, 0], jnp.nan),
    }


def score(spec: TaskSpec, outputs: Array, y: Array, mask: Array) -> dict[str, Array]:
    """Return every metric of `METRICS[spec.kind]` for the query of one episode.

    Two classes: class 1 against class 0. More classes: AUROC, AUPRC and sensitivity are means over
    one class against the rest, where both occur; balanced accuracy is the mean recall of the
    classes that occur; ECE is that of the top class; Brier sums over classes; prevalence is NaN.
    Findings and regression outputs: the mean over those defined.

    Args:
      spec: kind and number of outputs.
      outputs: (N, C) logits or regression means, or (N, C, 2) mean and variance.
      y: (N, C) one-hot classes, {0, 1} findings or targets.
      mask: (N, C) row weights of 0 or more; a column of zeros is an absent class or output.
    """
    means = outputs[..., 0] if outputs.ndim == 3 else outputs
    absent = mask.max(axis=1, keepdims=True) <= 0 if spec.kind == "multiclass" else mask <= 0
    means, y = jnp.where(absent, 0.0, means), jnp.where(absent, 0.0, y)
    if spec.kind == "multiclass":
        return _multiclass(means, y, mask)
    if spec.kind == "multilabel":
        each = jax.vmap(_binary, in_axes=1)(means, jax.nn.sigmoid(means), y, mask)
    else:
        ways = {"mse": mse, "spearman": spearman}
        each = {name: jax.vmap(way, in_axes=1)(means, y, mask) for name, way in ways.items()}
    return {name: _mean_defined(values) for name, values in each.items()}


def influence(
    spec: TaskSpec, outputs: Array, y: Array, mask: Array, names: Sequence[str]
) -> dict[str, Array]:
    """Return how much each row moves each score: the infinitesimal jackknife.

    It is the derivative of the score by w at w = 1, where the mask is ``w[:, None] * mask``; so a
    query resampled with frequencies w scores about ``score + ((w - 1) * influence).sum()``.

    Args:
      spec: kind and number of outputs.
      outputs: (N, C) or (N, C, 2), this and the next two as for `score`.
      y: (N, C).
      mask: (N, C).
      names: metrics of this kind; a sensitivity at fixed specificity moves at a fixed threshold.

    Returns:
      (N,) per name, 0 for absent rows and for undefined scores.

    Raises:
      ValueError: for a name that is not a metric of this kind.

    Reference:
      Efron (1992), Jackknife-after-bootstrap standard errors and influence functions.
    """
    known = METRICS[spec.kind]
    for name in names:
        if name not in known:
            raise ValueError(f"unknown {spec.kind} metric {name!r}; choose from {', '.join(known)}")

    def reweighted(w, name):
        return score(spec, outputs, y, mask * w[:, None])[name]

    return {name: jax.grad(reweighted)(jnp.ones(mask.shape[0]), name) for name in names}
