"""Intervals of the mean score of many supports drawn from the same patients.

What is estimated is the score that a method reaches, on average, with k labelled patients of this
population. Episodes overlap: a patient is in the support of some and judged in others, so neither
episodes nor rows are independent; patients are. The mean over episodes is a generalised
U-statistic; its variance is that of the sum of what every patient adds (its first projection):

    h_i = k_c / N_c (mean score with i in the support - mean score without i at all)
        + n_c / N_c (mean influence of i where it is judged)

with N_c patients of i's class, k_c of them in a support, n_c judged. The first part is the
infinitesimal jackknife of sampling without replacement; it is noisy for few episodes, and its
expected noise is subtracted. Then ``Var = sum_c N_c / (N_c - 1) sum_i (h_i - mean_c h)^2``, plus
the spread between episodes over their number. The interval is Student's. Classes are drawn in
fixed numbers, so the uncertainty of their shares is not counted. Differences of methods or of
support sizes are treated in the same way, patient by patient.

Reference:
  Hoeffding (1948); Wager, Hastie, Efron (2014), Confidence intervals for random forests: the
  jackknife and the infinitesimal jackknife.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from metajax.statistics import Interval


class Tally(NamedTuple):
    """Scores of E episodes of one method and support size, G patients.

    Attributes:
      value: (E,) scores, NaN where undefined.
      influence: (E, G) sum over the rows of a patient, 0 where it is not judged.
      inside: (E, G) bool, in the support.
      judged: (E, G) bool.
      stratum: (G,) class of the patient.
    """

    value: np.ndarray
    influence: np.ndarray
    inside: np.ndarray
    judged: np.ndarray
    stratum: np.ndarray


class Estimate(NamedTuple):
    """A mean score and what every patient adds to it.

    Attributes:
      mean: over the episodes in which it is defined.
      judging: (G,) what a patient adds where it is judged.
      teaching: (G,) what it adds as part of supports.
      noise: the variance of `teaching`'s sum of squares that is due to few episodes.
      between: variance of the mean due to few episodes.
      undefined: episodes without a score.
      stratum: (G,) class of the patient.
    """

    mean: float
    judging: np.ndarray
    teaching: np.ndarray
    noise: float
    between: float
    undefined: int
    stratum: np.ndarray


def estimate(tally: Tally, minus: Tally | None = None) -> Estimate:
    """The mean score, or its difference from that of another method on the same episodes."""
    value, influence = tally.value, tally.influence
    if minus is not None:
        value, influence = value - minus.value, influence - minus.influence
    fine = ~np.isnan(value)
    value, influence = value[fine], influence[fine]
    inside, judged, stratum = tally.inside[fine], tally.judged[fine], tally.stratum
    episodes, patients = inside.shape
    zero = np.zeros(patients)
    undefined = int((~fine).sum())
    if episodes < 2:
        mean = float(value.mean()) if episodes else np.nan
        return Estimate(mean, zero, zero, 0.0, np.nan, undefined, stratum)
    total = np.bincount(stratum)[stratum]
    taught, asked = inside.sum(0), judged.sum(0)
    in_support = np.zeros((episodes, stratum.max() + 1))
    in_query = np.zeros_like(in_support)
    for c in range(stratum.max() + 1):
        in_support[:, c] = inside[:, stratum == c].sum(1)
        in_query[:, c] = judged[:, stratum == c].sum(1)
    k, n = in_support.mean(0)[stratum], in_query.mean(0)[stratum]
    judging = n / total * influence.sum(0) / np.maximum(asked, 1)
    known = (taught > 0) & (taught < episodes)
    within = (inside * value[:, None]).sum(0) / np.maximum(taught, 1)
    without = (~inside * (value[:, None] - influence)).sum(0) / np.maximum(episodes - taught, 1)
    teaching = np.where(known, k / total * (within - without), 0.0)
    spread = value.var(ddof=1)
    draws = 1 / np.maximum(taught, 1) + 1 / np.maximum(episodes - taught, 1)
    noise = float((known * (k / total) ** 2 * spread * draws).sum())
    return Estimate(
        float(value.mean()), judging, teaching, noise, float(spread / episodes), undefined, stratum
    )


def interval(one: Estimate, minus: Estimate | None = None, level: float = 0.95) -> Interval:
    """Student's interval of a mean score; of the difference of two support sizes, with `minus`.

    Args:
      one: see `estimate`.
      minus: of other episodes of the same patients.
      level: coverage aimed at, in (0, 1).
    """
    parts = [one] if minus is None else [one, minus]
    signs = [1.0, -1.0][: len(parts)]
    mean = sum(s * part.mean for s, part in zip(signs, parts, strict=True))
    judging = sum(s * part.judging for s, part in zip(signs, parts, strict=True))
    both = judging + sum(s * part.teaching for s, part in zip(signs, parts, strict=True))
    noise, between = sum(p.noise for p in parts), sum(p.between for p in parts)
    # Never below what the judged patients alone give: the rest may be lost in its own noise.
    variance = max(_squares(both, one.stratum) - noise, _squares(judging, one.stratum)) + between
    count = np.bincount(one.stratum)
    freedom = max(int(count[count > 0].min()) - 1, 1)
    half = stats.t.ppf(0.5 + level / 2, freedom) * np.sqrt(variance)
    undefined = sum(part.undefined for part in parts)
    count = len(one.stratum)
    return Interval(float(mean), float(mean - half), float(mean + half), count, undefined)


def _squares(h: np.ndarray, stratum: np.ndarray) -> float:
    """Sum over classes of N / (N - 1) times the squared deviations."""
    total = 0.0
    for c in np.unique(stratum):
        part = h[stratum == c]
        total += len(part) / max(len(part) - 1, 1) * float(((part - part.mean()) ** 2).sum())
    return total
