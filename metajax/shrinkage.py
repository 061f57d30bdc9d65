"""Logistic regression shrunk toward a prior logit, on the host in plain numpy (floor 1).

Binary labels, a few to a few thousand rows, many strengths of the shrinkage solved at once.
"""

from __future__ import annotations

import numpy as np

PRECISIONS = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
FALLBACK_PRECISION = 300.0  # too few labels for a cross-validation: hardly move from the prior
INTERCEPT_PRECISION = 1e-2


def shrunken_logistic(x, y, prior, precisions, weights=None, *, tol=1e-8):
    """Fit logistic regressions shrunk toward a prior logit, for many strengths at once.

    Minimises ``sum_i weights_i * logloss(y_i, b * prior_i + x_i w + a)
    + precision / 2 * (|w|^2 + (b - 1)^2) + INTERCEPT_PRECISION / 2 * a^2`` by Newton steps, halved
    until the objective does not rise.

    Args:
      x: (n, D) inputs.
      y: (n,) labels, 0 or 1.
      prior: (n,) logit of the prior; zeros are "no prior" (b then stays 1).
      precisions: (P,) strengths of the shrinkage, above 0.
      weights: (P, n) weights of the rows, 0 to leave one out; None for ones.
      tol: stop when no coordinate of the steps is larger.

    Returns:
      (P, D + 2) coefficients: w, b, a.
    """
    weights = np.ones((len(precisions), len(y))) if weights is None else weights
    # The solution lies in the span of the rows and |w| does not feel a rotation: exact, and the
    # Hessian is never larger than n x n.
    wide = x.shape[1] > len(y)
    basis = np.linalg.svd(x, full_matrices=False)[2].T if wide else None
    design = np.column_stack([x @ basis if wide else x, prior, np.ones(len(y))])
    width = design.shape[1]
    penalty = np.repeat(np.asarray(precisions, float)[:, None], width, axis=1)
    penalty[:, -1] = INTERCEPT_PRECISION
    center = np.eye(width)[-2]
    beta = np.tile(center, (len(precisions), 1))

    def objective(beta):
        loss = (weights * _log_loss(beta @ design.T, y)).sum(axis=1)
        return loss + 0.5 * (penalty * (beta - center) ** 2).sum(axis=1)

    value = objective(beta)
    for _ in range(30):
        p = 0.5 + 0.5 * np.tanh(0.5 * (beta @ design.T))
        gradient = (weights * (p - y)) @ design + penalty * (beta - center)
        hessian = np.stack([(design.T * c) @ design for c in weights * p * (1 - p)])
        hessian += penalty[:, :, None] * np.eye(width)
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        for _ in range(20):
            trial = objective(beta - step)
            worse = trial > value + 1e-12 * np.abs(value)
            if not worse.any():
                break
            step[worse] *= 0.5
        beta, value = beta - step, trial
        if np.abs(step).max() < tol:
            break
    return np.column_stack([beta[:, :-2] @ basis.T, beta[:, -2:]]) if wide else beta


def logits(beta, x, prior):
    """The logits (..., n) of coefficients (..., D + 2) on inputs (n, D) with prior logits (n,)."""
    return beta[..., :-2] @ x.T + np.multiply.outer(beta[..., -2], prior) + beta[..., -1:]


def _log_loss(logits, y):
    return np.logaddexp(0.0, logits) - y * logits


def folds(y, groups, rng, largest=4):
    """Cut rows into stratified folds, groups whole: (F, n) test masks, none if classes are rare."""
    names, inverse = np.unique(groups, return_inverse=True)
    label = np.zeros(len(names))
    np.maximum.at(label, inverse, y)
    order = rng.permutation(len(names))
    order = order[np.argsort(label[order], kind="stable")]
    number = max(2, min(largest, np.unique(label, return_counts=True)[1].min()))
    fold = np.empty(len(names), int)
    fold[order] = np.arange(len(names)) % number
    tests = np.arange(number)[:, None] == fold[inverse]
    enough = np.bincount(y, minlength=2).min() >= 2
    usable = [enough and t.any() and np.unique(y[~t]).size == 2 for t in tests]
    return tests[np.array(usable, bool)]


def _out_of_fold(x, y, prior, tests, precisions):
    """Mean out-of-fold log-loss of every strength, (P,)."""
    count = len(precisions)
    weights = np.repeat(1.0 - tests, count, axis=0)
    beta = shrunken_logistic(x, y, prior, np.tile(precisions, len(tests)), weights, tol=1e-4)
    loss = _log_loss(logits(beta, x, prior), y).reshape(len(tests), count, len(y))
    return (loss * tests[:, None]).sum(axis=(0, 2)) / tests.sum()


def adapted(x, y, prior, groups, rng):
    """Fit prior plus correction, (D + 2,), its strength chosen by inner cross-validation."""
    tests = folds(y, groups, rng)
    precision = FALLBACK_PRECISION
    if len(tests):
        precision = PRECISIONS[int(np.argmin(_out_of_fold(x, y, prior, tests, PRECISIONS)))]
    return shrunken_logistic(x, y, prior, [precision])[0]


def placements(score, y):
    """Give every row the share of the other class that it is ranked rightly against, ties half.

    Args:
      score: (n,) scores, higher for class 1.
      y: (n,) labels, 0 or 1, both present.

    Returns:
      (n,) values in [0, 1]; their mean over the rows of either class is the AUROC.

    Reference:
      DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837.
    """
    ones, zeros = np.sort(score[y == 1]), np.sort(score[y == 0])
    above, under = (np.searchsorted(other, score, "left") + np.searchsorted(other, score, "right")
                    for other in (zeros, ones))
    return np.where(y == 1, above / (2 * len(zeros)), 1 - under / (2 * len(ones)))
