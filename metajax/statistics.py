"""Intervals, paired tests and ranks over the scores of many episodes (floor 1, host side).

Scores are NaN where undefined; NaN is left out and counted, never read as 0. Randomness comes from
an explicit `np.random.Generator`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

MIN_CLUSTERS = 10  # below this many clusters no p-value is given
_EXACT = 50  # pairs up to which Wilcoxon's distribution is counted out


class Interval(NamedTuple):
    """A mean with its interval.

    Attributes:
      mean: the estimate, NaN if nothing is defined.
      low: lower end, NaN if one unit or none is defined.
      high: upper end, likewise.
      n: how many units (scores, clusters, patients) the interval rests on.
      undefined: how many scores were NaN and left out.
    """

    mean: float
    low: float
    high: float
    n: int
    undefined: int


def t_interval(scores: np.ndarray, level: float = 0.95) -> Interval:
    """Return Student's interval of the mean of independent scores.

    Args:
      scores: (n,) scores, NaN where undefined.
      level: coverage aimed at, in (0, 1).

    Returns:
      Mean -+ t * sd / sqrt(n), with the n - 1 standard deviation.
    """
    scores = np.asarray(scores, np.float64)
    kept = scores[~np.isnan(scores)]
    n, undefined = kept.size, scores.size - kept.size
    mean = float(kept.mean()) if n else np.nan
    if n < 2:
        return Interval(mean, np.nan, np.nan, n, undefined)
    half = float(stats.t.ppf(0.5 + level / 2, n - 1) * kept.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n, undefined)


def cluster_means(scores: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return the mean score of every cluster.

    Args:
      scores: (n,) scores, NaN where undefined.
      clusters: (n,) integer cluster of each score.

    Returns:
      (K,) in the order of ``np.unique(clusters)``, NaN for a cluster without a defined score; so
      the means of two learners on the same episodes are paired.
    """
    scores = np.asarray(scores, np.float64)
    names, place = np.unique(clusters, return_inverse=True)
    defined = ~np.isnan(scores)
    total = np.bincount(place, np.where(defined, scores, 0.0), names.size)
    count = np.bincount(place, defined, names.size)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def cluster_bootstrap(
    scores: np.ndarray,
    clusters: np.ndarray,
    rng: np.random.Generator,
    *,
    draws: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Return the mean of cluster means with a bootstrap interval over clusters.

    Clusters are resampled with replacement. The plain percentile interval is too narrow for few
    clusters (its spread misses a factor sqrt((n - 1) / n) and it ignores that the spread is itself
    estimated), so its tails are moved out to the level at which they would match Student's interval
    were the means normal: the expanded percentile interval. Below about 8 clusters it is still too
    narrow, as any interval is that stays within the means seen.

    Args:
      scores: (n,) scores, NaN where undefined.
      clusters: (n,) integer cluster of each score.
      rng: source of the resampling.
      draws: bootstrap samples.
      level: coverage aimed at, in (0, 1).

    Returns:
      An `Interval` whose `n` counts clusters and whose `undefined` counts scores.

    Reference:
      Hesterberg (2015), What teachers should know about the bootstrap, section 3.3.
    """
    means = cluster_means(scores, clusters)
    means = means[~np.isnan(means)]
    n, undefined = means.size, int(np.isnan(np.asarray(scores, np.float64)).sum())
    mean = float(means.mean()) if n else np.nan
    if n < 2:
        return Interval(mean, np.nan, np.nan, n, undefined)
    low, high = bootstrap_ends(means[None], rng, draws=draws, level=level)[0]
    return Interval(mean, float(low), float(high), n, undefined)


def bootstrap_ends(
    means: np.ndarray, rng: np.random.Generator, *, draws: int = 2000, level: float = 0.95
) -> np.ndarray:
    """Return the ends of `cluster_bootstrap` for many rows of means on the same clusters at once.

    Args:
      means: (rows, K) cluster means without NaN, K at least 2; all rows are resampled alike.
      rng: source of the resampling.
      draws: bootstrap samples.
      level: coverage aimed at, in (0, 1).

    Returns:
      (rows, 2) lower and upper ends.
    """
    n = means.shape[1]
    drawn = rng.integers(n, size=(draws, n))
    reach = np.sqrt(n / (n - 1)) * stats.t.ppf(0.5 - level / 2, n - 1)
    tail = float(stats.norm.cdf(reach))
    step = max(1, 2_000_000 // drawn.size)  # rows at once: 16 MB
    ends = [
        np.quantile(means[i : i + step][:, drawn].mean(axis=2), [tail, 1.0 - tail], axis=1).T
        for i in range(0, len(means), step)
    ]
    return np.concatenate(ends)


def patient_replicates(
    scores: np.ndarray,
    influence: np.ndarray,
    rows: np.ndarray,
    patient_of_row: np.ndarray,
    rng: np.random.Generator,
    *,
    draws: int = 400,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Return bootstrap deviations of one task's mean score, over patients and over supports.

    The task's episodes are random supports over the same patients, so episodes are not independent
    and patients must be resampled for all of them at once. The score is linearised: a patient's
    influence is the sum over its rows of the mean over episodes (0 where a row is not queried).
    Replicate b adds the patient part, ``sum_p (w_p - 1) * influence_p`` with w multinomial over
    patients, and the part due to finitely many supports, ``sum_e (v_e / (E - 1) - 1 / E) * s_e``
    with v multinomial of E - 1 draws (E - 1, because E draws would give too little variance).
    This covers the score that supports drawn from these patients reach on new patients. What a
    patient changes by being in a support is not counted: as an interval for wholly new patients,
    support and query, it is too narrow, the more so the fewer the shots.

    Args:
      scores: (E,) score of each episode; NaN episodes are left out.
      influence: (E, Q) derivative of the score by the weight of each query row.
      rows: (E, Q) integer index of each query row into `patient_of_row`, -1 where padded.
      patient_of_row: (R,) integer patient of each row; -1 for rows that are not of this task.
      rng: source of the resampling. Patients are drawn first and depend only on how many patients
        `patient_of_row` names: calls with equally seeded generators are paired.
      draws: bootstrap replicates.
      weights: (draws, P) how often each patient that `patient_of_row` names, in ascending order,
        is drawn: where tasks share patients, one draw must hold for all of them. None: drawn here.

    Returns:
      (draws,) deviations from the mean score; NaN if no episode is defined.

    Raises:
      ValueError: if shapes disagree or a queried row has no patient.

    Reference:
      Efron (1992), Jackknife-after-bootstrap standard errors and influence functions.
    """
    scores, influence = np.asarray(scores, np.float64), np.asarray(influence, np.float64)
    rows, patient_of_row = np.asarray(rows), np.asarray(patient_of_row)
    if influence.shape != rows.shape or rows.shape[:1] != scores.shape:
        raise ValueError(
            "scores (E,), influence (E, Q) and rows (E, Q) must agree; got "
            f"{scores.shape}, {influence.shape} and {rows.shape}"
        )
    names, place = np.unique(patient_of_row, return_inverse=True)
    place = place - np.count_nonzero(names < 0)  # -1 where the row is not of this task
    names = names[names >= 0]
    if weights is None:
        chosen = rng.integers(max(names.size, 1), size=(draws, names.size))
    elif weights.shape != (draws, names.size):
        raise ValueError(f"weights must be ({draws}, {names.size}); got {weights.shape}")
    kept = ~np.isnan(scores)
    scores, influence, rows = scores[kept], influence[kept], rows[kept]
    if not scores.size:
        return np.full(draws, np.nan)
    patient = place[rows[rows >= 0]]
    if (patient < 0).any():
        raise ValueError("a queried row has patient_of_row -1; give every row a patient")
    each = np.bincount(patient, influence[rows >= 0], names.size) / scores.size
    drawn = each[chosen].sum(axis=1) if weights is None else weights @ each
    deviation = drawn - each.sum()
    if scores.size > 1:
        supports = rng.integers(scores.size, size=(draws, scores.size - 1))
        deviation += scores[supports].mean(axis=1) - scores.mean()
    return deviation


def replicate_interval(
    mean: float, replicates: np.ndarray, level: float = 0.95, *, n: int = 0, undefined: int = 0
) -> Interval:
    """Return the percentile interval of a mean from bootstrap deviations.

    Args:
      mean: the estimate.
      replicates: (draws,) deviations from it, as `patient_replicates` gives, or means or
        differences of several such arrays.
      level: coverage aimed at, in (0, 1).
      n: how many patients stand behind it, to be kept with the interval.
      undefined: how many scores were left out, likewise.

    Returns:
      The interval, not clipped to the range of the score; NaN ends if a replicate is NaN.
    """
    low, high = np.quantile(replicates, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(mean), float(mean + low), float(mean + high), n, undefined)


def paired_wilcoxon(a: np.ndarray, b: np.ndarray) -> float | None:
    """Return the two-sided p-value of Wilcoxon's signed-rank test of two learners.

    Args:
      a: (K,) cluster means of one learner, NaN where undefined.
      b: (K,) cluster means of the other on the same clusters.

    Returns:
      The p-value, 1 if all differences are 0; None if fewer than 10 pairs are defined.
    """
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    difference = difference[~np.isnan(difference)]
    if difference.size < MIN_CLUSTERS:
        return None
    if not difference.any():
        return 1.0
    if difference.size > _EXACT:
        return float(stats.wilcoxon(difference).pvalue)
    # Exact, with ties as well: the sum of the ranks of positive differences over all signs. Twice
    # the mid-ranks are whole numbers.
    difference = difference[difference != 0]
    ranks = np.rint(2 * stats.rankdata(np.abs(difference))).astype(int)
    chance = np.zeros(ranks.sum() + 1)
    chance[0] = 1.0
    for rank in ranks:
        chance[rank:] = chance[rank:] + chance[: len(chance) - rank]
        chance /= 2
    positive = ranks[difference > 0].sum()
    return float(min(1.0, 2 * min(chance[: positive + 1].sum(), chance[positive:].sum())))


def holm(pvalues: Sequence[float | None]) -> np.ndarray:
    """Return p-values adjusted for their number by Holm's step-down method.

    Args:
      pvalues: (m,) p-values; None or NaN is no test, stays NaN and is not counted.

    Returns:
      (m,) adjusted p-values, at most 1.

    Reference:
      Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    given = np.array(pvalues, np.float64)  # None becomes NaN
    adjusted = np.full(given.shape, np.nan)
    order = np.argsort(given)[: np.count_nonzero(~np.isnan(given))]  # NaN sorts last
    steps = given[order] * np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def average_ranks(scores: np.ndarray, higher_is_better: bool) -> np.ndarray:
    """Return the mean rank of every learner; 1 is best, ties share their average rank.

    Args:
      scores: (n, learners) cluster means; a cluster undefined for any learner is left out for all.
      higher_is_better: False for losses.

    Returns:
      (learners,) mean ranks, NaN if no cluster is defined for all.
    """
    scores = np.asarray(scores, np.float64)
    scores = scores[~np.isnan(scores).any(axis=1)]
    if not len(scores):
        return np.full(scores.shape[1], np.nan)
    return stats.rankdata(-scores if higher_is_better else scores, axis=1).mean(axis=0)


def friedman(scores: np.ndarray) -> float:
    """Return the p-value of Friedman's test that all learners are alike.

    Args:
      scores: (n, learners) cluster means without NaN, at least 3 learners.

    Returns:
      The p-value of the chi-square approximation; 1 if all learners tie everywhere.

    Reference:
      Demsar (2006), Statistical comparisons of classifiers over multiple data sets.
    """
    ranks = stats.rankdata(np.asarray(scores, np.float64), axis=1)
    if np.ptp(ranks) == 0:
        return 1.0
    return float(stats.friedmanchisquare(*ranks.T).pvalue)


def nemenyi_difference(learners: int, blocks: int, level: float = 0.95) -> float:
    """Return the critical difference of average ranks, for all pairs of learners together.

    ``CD = q * sqrt(k (k + 1) / (6 N))``, q the studentised range's quantile over sqrt(2).

    Args:
      learners: k, at least 2.
      blocks: N, clusters over which the ranks are averaged.
      level: confidence over all pairs, in (0, 1).

    Returns:
      Learners whose average ranks differ by less are not told apart.

    Reference:
      Nemenyi (1963); Demsar (2006), section 3.2.2.
    """
    q = stats.studentized_range.ppf(level, learners, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(learners * (learners + 1) / (6 * blocks)))


def cliques(ranks: np.ndarray, difference: float) -> list[tuple[int, int]]:
    """Return the groups of learners that are not told apart.

    Args:
      ranks: (learners,) average ranks, increasing.
      difference: critical difference.

    Returns:
      ``(first, last)`` places of every largest group of two or more whose ranks all differ by less
      than the critical difference.
    """
    ranks = np.asarray(ranks, np.float64)
    last = np.searchsorted(ranks, ranks + difference, side="left") - 1
    groups, reached = [], -1
    for first, end in enumerate(last.tolist()):
        if end > first and end > reached:
            groups.append((first, end))
            reached = end
    return groups
