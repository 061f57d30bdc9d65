"""Adaptation headroom: what labels of the target task could still add, measured on the host.

On the same held-out rows of every target task: the AUROC of a ceiling (a prior pooled over the
other tasks, corrected by four times as many target labels, or by all of them) minus that of the
better of two models that never adapt a prior: the pooled prior with zero target labels, and a
target-only logistic regression on k labels (C = 0.1). Which one is better is chosen once for a
family and a k, by inner cross-validation on the k labels (mean AUROC inside the folds). Where the
headroom is not above zero, a family cannot rank meta-learners. Binary labels, plain numpy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from metajax.shrinkage import adapted, folds, logits, placements, shrunken_logistic

TARGET_ONLY_PRECISION = 10.0  # logistic regression with C = 0.1
CEILINGS = ("4k labels", "all labels")
REPLICATES = 2000
FEWEST_CLUSTERS = 10  # below, tasks are too few to resample: patients within them are


def _auroc(score, y):
    return placements(score, y)[y == 1].mean()


def _evidence(x, y, prior, groups, rng):
    """Inner cross-validation on k labelled rows: AUROC of target-only minus that of the prior.

    Both are scored inside each fold (0 where no fold has both classes): ranks pooled over folds of
    two rows would mostly compare the folds' intercepts.
    """
    tests = folds(y, groups, rng)
    tests = tests[[np.unique(y[t]).size == 2 for t in tests]] if len(tests) else tests
    if not len(tests):
        return 0.0
    beta = shrunken_logistic(x, y, np.zeros(len(y)), np.full(len(tests), TARGET_ONLY_PRECISION),
                             1.0 - tests, tol=1e-4)
    alone = beta[:, :-2] @ x.T
    return np.mean([_auroc(score[t], y[t]) - _auroc(prior[t], y[t])
                    for score, t in zip(alone, tests, strict=True)])


def _choices(y, pool, sizes, rng):
    """Draw nested balanced supports from `pool`, by size; the other class tops up a short one."""
    pool = rng.permutation(pool)
    zeros, ones = pool[y[pool] == 0], pool[y[pool] == 1]
    chosen = {}
    for size in sizes:
        first = min(size - min(size // 2, len(ones)), len(zeros))
        chosen[size] = np.concatenate([zeros[:first], ones[: size - first]])
    return chosen


class _Measured(NamedTuple):
    auroc: np.ndarray  # (3, S, 2, draws): pooled, target-only, ceiling
    # (2, S, 2, n): each row's part in ceiling - pooled and ceiling - target; NaN if never held out
    influence: np.ndarray
    evidence: np.ndarray  # (S,): mean over draws of target-only minus pooled, from k labels


def _halves(y, groups, rng):
    for _ in range(100):
        for held in folds(y, groups, rng, largest=2):
            if min(np.bincount(y[h], minlength=2).min() for h in (held, ~held)) >= 2:
                return np.flatnonzero(held), np.flatnonzero(~held)
    raise ValueError("no split of its groups leaves 2 rows of each class in both halves")


def _measure(y, groups, table, prior, shots, draws, seed):
    """Measure one target; `table(rows)` is its (n, D) inputs, scaled for those labelled rows."""
    auroc = np.empty((3, len(shots), 2, draws))
    influence, times = np.zeros((2, len(shots), 2, len(y))), np.zeros(len(y))
    evidence = np.zeros(len(shots))

    def ceiling(rows, held, rng):
        x = table(rows)
        beta = adapted(x[rows], y[rows], prior[rows], groups[rows], rng)
        return logits(beta, x[held], prior[held])

    for d in range(draws):
        rng = np.random.default_rng([*seed, d])
        held, pool = _halves(y, groups, rng)
        chosen = _choices(y, pool, sorted({*shots, *(4 * k for k in shots)}), rng)
        times[held] += 1
        best = ceiling(pool, held, rng)
        for s, k in enumerate(shots):
            few = chosen[k]
            x, none = table(few), np.zeros(len(few))
            beta = shrunken_logistic(x[few], y[few], none, [TARGET_ONLY_PRECISION])[0]
            evidence[s] += _evidence(x[few], y[few], prior[few], groups[few], rng) / draws
            rivals = [placements(v, y[held]) for v in (prior[held], x[held] @ beta[:-2])]
            for c, top in enumerate((ceiling(chosen[4 * k], held, rng), best)):
                placed = [*rivals, placements(top, y[held])]
                auroc[:, s, c, d] = [v[y[held] == 1].mean() for v in placed]
                for r, rival in enumerate(rivals):
                    gap = placed[2] - rival
                    influence[r, s, c, held] += gap - gap[y[held] == 1].mean()
    return _Measured(auroc, influence / np.where(times > 0, times, np.nan), evidence)


def _replicates(gaps, influences, labels, patients, clusters, rng):
    """Bootstrap the mean gap over tasks: (REPLICATES,) values, and the unit resampled."""
    means = np.array([gap.mean() for gap in gaps])
    names, inverse = np.unique(clusters, return_inverse=True)
    if len(names) >= FEWEST_CLUSTERS:
        even = np.full(len(names), 1 / len(names))
        weight = rng.multinomial(len(names), even, REPLICATES)[:, inverse]
        return weight @ means / weight.sum(axis=1), "clusters"
    total = np.zeros(REPLICATES)
    for gap, influence, y, who in zip(gaps, influences, labels, patients, strict=True):
        who = np.unique(who, return_inverse=True)[1]
        # Bayesian bootstrap (Rubin 1981): exponential weights never lose the rarer class.
        weight = rng.exponential(size=(REPLICATES, who.max() + 1))[:, who]
        for c in (0, 1):
            rows = (y == c) & np.isfinite(influence)
            part = influence[rows] - influence[rows].mean()  # rows differ in their number of draws
            total += weight[:, rows] @ part / weight[:, rows].sum(axis=1)
        # What is left because draws are few: their Monte-Carlo error.
        spread = gap.std(ddof=1) / len(gap) ** 0.5 if len(gap) > 1 else 0.0
        total += spread * rng.standard_normal(REPLICATES)
    return means.mean() + total / len(gaps), "patients"


def _logit(predict, x):
    return np.asarray(predict(x)) @ np.array([-1.0, 1.0])


def _pick(priors, x, y, task, sources, seed):
    """Choose the pooled model with the best mean AUROC over sources left out one at a time."""
    judges = [s for s in sources if np.ptp(y[task == s]) > 0]
    if len(priors) == 1 or len(sources) < 2 or not judges:
        return next(iter(priors.values()))

    def score(fit):
        total = 0.0
        for left in judges:
            rest, out = np.isin(task, [s for s in sources if s != left]), task == left
            total += _auroc(_logit(fit(x[rest], y[rest], seed=seed), x[out]), y[out])
        return total

    return max(priors.values(), key=score)


def headroom(x, y, task, *, targets, shots, draws, seed, prior, sources=None, scale=None,
             groups=None, patients=None, clusters=None, benchmark=""):
    """Measure the adaptation headroom of a family of binary tasks.

    In every draw a random half of the target's rows (whole groups) is held out; the k labels are
    nested in the 4k labels, those in the other half, and all are scored on the same held-out rows.

    Args:
      x: (R, D) finite inputs; only its length is used if `scale` is given.
      y: (R,) labels, 0 or 1.
      task: (R,) task of every row.
      targets: tasks to measure, each with 4 or more rows of either class.
      shots: numbers of labelled rows k, 4 or more each.
      draws: draws per task, 1 or more.
      seed: non-negative integer; the result is a pure function of the arguments.
      prior: ``fit(x, y, *, seed) -> predict(query) -> (q, 2) log-probabilities`` such as the values
        of `baselines.POOLED`; or a dict of them, of which the best over sources left out one at a
        time is taken; or None where tasks do not share their label (pooled is then chance).
      sources: dict from target to the tasks pooled for it; None for all others.
      scale: ``(R,) bool -> (R, D)``: the inputs, imputed and scaled with statistics of the marked
        rows only: the sources, or without a prior the labelled rows of the target.
      groups: (R,) row groups, never both labelled and held out; None for rows.
      patients: (R,) unit of the bootstrap within tasks; None for `groups`.
      clusters: dict from target to its cluster; None for the task itself.
      benchmark: value of the first column.

    Returns:
      One row for each k and ceiling: benchmark, shots, metric, ceiling, better_mean, ceiling_mean,
      headroom, low, high (95 %), tasks; then pooled_mean, target_mean and interval: "clusters", or
      with fewer than 10 of them "patients", which speaks of these tasks only.

    Raises:
      ValueError: for labels other than 0 and 1, too few shots, rows or draws, or bad sources.
    """
    y, task, x = np.asarray(y), np.asarray(task), np.asarray(x, np.float64)
    if len(y) != len(x) or len(task) != len(x) or not np.isin(y, (0, 1)).all():
        raise ValueError("x, y and task need one entry a row, and y must hold 0 and 1 only")
    if draws < 1 or not len(shots) or min(shots) < 4 or not len(targets):
        raise ValueError(f"need a target, draws >= 1 and shots >= 4; got {draws=}, {shots=}")
    y = y.astype(int)
    groups = np.arange(len(y)) if groups is None else np.asarray(groups)
    patients = groups if patients is None else np.asarray(patients)
    scale = (lambda marked: x) if scale is None else scale
    shots, priors = list(shots), prior if isinstance(prior, dict) or not prior else {"": prior}
    measured = []
    for number, target in enumerate(targets):
        mine = np.flatnonzero(task == target)
        if np.bincount(y[mine], minlength=2).min() < 4:
            raise ValueError(f"target {target!r} has fewer than 4 rows of a class")
        if priors is None:
            def table(rows, mine=mine):
                marked = np.zeros(len(y), bool)
                marked[mine[rows]] = True
                return scale(marked)[mine]

            logit = np.zeros(len(mine))
        else:
            others = [t for t in (np.unique(task[task != target]) if sources is None
                                  else sources[target])]
            pooled = np.isin(task, others)
            if target in others or not pooled.any():
                raise ValueError(f"target {target!r} needs sources other than itself")
            scaled = scale(pooled)
            fit = _pick(priors, scaled, y, task, others, seed)
            logit = _logit(fit(scaled[pooled], y[pooled], seed=seed), scaled[mine])

            def table(rows, inputs=scaled[mine]):
                return inputs

        try:
            measured.append(_measure(y[mine], groups[mine], table, logit, shots, draws,
                                     (seed, number)))
        except ValueError as error:
            raise ValueError(f"target {target!r}: {error}") from error
    members = [task == target for target in targets]
    unit = [t if clusters is None else clusters[t] for t in targets]
    rows = []
    for s, k in enumerate(shots):
        # Which of the two rivals is better is decided once for all tasks and draws, from labelled
        # rows only. Decided anew in every draw, from 8 labels, it would be wrong in a fifth of them
        # where tasks agree, and that loss alone would look like headroom.
        better = int(priors is None or np.mean([m.evidence[s] for m in measured]) > 0)
        for c, ceiling in enumerate(CEILINGS):
            auroc = np.stack([m.auroc[:, s, c] for m in measured])  # (T, 3, draws)
            replicates, interval = _replicates(
                auroc[:, 2] - auroc[:, better], [m.influence[better, s, c] for m in measured],
                [y[m] for m in members], [patients[m] for m in members], unit,
                np.random.default_rng([seed, 1]))
            low, high = np.quantile(replicates, (0.025, 0.975))
            means = auroc.mean(axis=(0, 2))
            rows.append(dict(
                benchmark=benchmark, shots=k, metric="auroc",
                ceiling=ceiling if priors is None else f"{ceiling} + prior",
                better_mean=means[better], ceiling_mean=means[2],
                headroom=means[2] - means[better], low=low, high=high, tasks=len(targets),
                pooled_mean=means[0], target_mean=means[1], interval=interval))
    return pd.DataFrame(rows)
