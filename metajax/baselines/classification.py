"""Classifiers of scikit-learn, fitted on a few rows (a part of `metajax.baselines`).

`TARGET_ONLY` models see the support of one task and nothing else; `POOLED` models see every
labelled row of the training tasks and no label of the target. On clinical tables a well-shrunk
logistic regression and a pooled gradient boosting are harder to beat than most meta-learners, so
every table has them. No hyper-parameter here was tuned on test tasks.

Inputs are used as they come: the benchmark imputes and scales them (on support or training rows).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy.special import log_expit, log_softmax
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier

from metajax.baselines.threads import one_thread

# A forest's votes can be exactly 0: the floor keeps their logarithm finite. It is also the
# probability given to a class that the support does not contain.
PROBABILITY_FLOOR = 1e-6
CV_STRENGTHS = tuple(np.logspace(-3, 1, 5))
TREES = 100


def _log_floored(probabilities):
    clipped = np.maximum(probabilities, PROBABILITY_FLOOR)
    return np.log(clipped / clipped.sum(axis=1, keepdims=True))


def _two_sided(decision):
    """Decision values to (q, C) scores whose softmax is the model's probability."""
    if decision.ndim == 1:
        return np.stack([np.zeros_like(decision), decision], axis=1)
    return decision


def _log_probabilities(scores):
    # From scores, not from log(predict_proba): saturated probabilities would tie in a ranking.
    if scores.shape[1] == 2:
        logit = scores[:, 1] - scores[:, 0]
        return np.stack([log_expit(-logit), log_expit(logit)], axis=1)
    return log_softmax(scores, axis=1)


def _logistic(x, y, strength):
    """Fit logistic regression, L2 with inverse strength C and a free intercept; return its scores.

    newton-cholesky is the solver that stayed free of convergence warnings on raw tables, where
    lbfgs did not; unlike liblinear it leaves the intercept unpenalised (which matters for Brier and
    calibration at low prevalence) and takes several classes.
    """
    basis = None
    if x.shape[1] > x.shape[0]:
        # The optimum lies in the span of the rows, and the penalty does not feel a rotation:
        # solving in that span is exact and keeps the Hessian n x n instead of D x D.
        basis = np.linalg.svd(x, full_matrices=False)[2].T
    model = LogisticRegression(C=strength, solver="newton-cholesky", max_iter=1000)
    model.fit(x if basis is None else x @ basis, y)
    return lambda q: _two_sided(model.decision_function(q if basis is None else q @ basis))


def _fixed_lr(strength):
    def fit(x, y, query, seed):
        return _log_probabilities(_logistic(x, y, strength)(query))

    return fit


def _lr_cv(x, y, query, seed):
    """C by stratified cross-validation of the log-loss; ties go to the stronger shrinkage."""
    counts = np.unique(y, return_counts=True)[1]
    strength = 0.1
    if counts.min() >= 2:
        splitter = StratifiedKFold(min(4, counts.min()), shuffle=True, random_state=seed)
        folds = list(splitter.split(x, y))
        losses = [sum(_fold_loss(x, y, c, *fold) for fold in folds) for c in CV_STRENGTHS]
        strength = CV_STRENGTHS[int(np.argmin(losses))]
    return _log_probabilities(_logistic(x, y, strength)(query))


def _fold_loss(x, y, strength, train, test):
    position = np.searchsorted(np.unique(y), y[test])
    scores = _logistic(x[train], y[train], strength)(x[test])
    return -_log_probabilities(scores)[np.arange(len(test)), position].sum()


def _forest_probabilities(x, y, query, seed):
    forest = RandomForestClassifier(TREES, n_jobs=1, random_state=seed)
    return forest.fit(x, y).predict_proba(query)


def _random_forest(x, y, query, seed):
    return _log_floored(_forest_probabilities(x, y, query, seed))


def _lr_forest(x, y, query, seed):
    linear = np.exp(_fixed_lr(0.01)(x, y, query, seed))
    return _log_floored(0.5 * (linear + _forest_probabilities(x, y, query, seed)))


def _boosting(x, y, query, seed):
    """Histogram gradient boosting that can split at 4 to 64 rows.

    scikit-learn's 20 rows a leaf never split fewer than 40 rows (the output would be the
    prevalence). An eighth of the rows a leaf, at least 2 so that no leaf memorises one patient and
    at most the usual 20, allows a stump at 4 rows and about three levels of splits from 16 on. The
    value is this rule of thumb, not tuned.
    """
    leaf = int(np.clip(len(y) // 8, 2, 20))
    model = HistGradientBoostingClassifier(
        max_iter=60, learning_rate=0.1, max_leaf_nodes=8, min_samples_leaf=leaf,
        l2_regularization=1.0, early_stopping=False, random_state=seed)
    return _log_probabilities(_two_sided(model.fit(x, y).decision_function(query)))


def _class_mean(x, y, query, seed):
    means = np.stack([x[y == label].mean(axis=0) for label in np.unique(y)])
    # |q|^2 is the same for every class: leaving it out avoids a difference of large numbers.
    return _log_probabilities(2 * query @ means.T - (means**2).sum(axis=1))


def neighbours(rows):
    """The square root of the number of rows, made odd: a usual rule, not tuned."""
    return int(np.sqrt(rows)) // 2 * 2 + 1


def _knn(x, y, query, seed):
    model = KNeighborsClassifier(min(neighbours(len(y)), len(y)), weights="distance")
    return _log_floored(model.fit(x, y).predict_proba(query))


def smooth_kernel(columns):
    """A scaled Gaussian kernel; lengths in units of the typical distance of scaled rows."""
    length = np.sqrt(columns)
    return ConstantKernel(1.0, (1e-2, 1e2)) * RBF(length, (0.1 * length, 10 * length))


def _gaussian_process(x, y, query, seed):
    """Laplace's approximation, the kernel by marginal likelihood; several classes one by one."""
    model = GaussianProcessClassifier(smooth_kernel(x.shape[1]), random_state=seed)
    with warnings.catch_warnings():
        # On a few rows the likelihood is often best at a bound of the kernel.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _log_floored(model.fit(x, y).predict_proba(query))


def _checked_table(x, y, classes):
    x, y = np.asarray(x, np.float64), np.asarray(y)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(f"x must be (n, D) and y (n,); got {x.shape} and {y.shape}")
    if not np.isfinite(x).all():
        raise ValueError("x has values that are not finite: impute before a baseline is fitted")
    present = np.unique(y)
    if (present != present.astype(np.int64)).any() or (present < 0).any():
        raise ValueError("y must hold class indices 0, 1, ...")
    if len(present) < 2:
        raise ValueError(f"a baseline needs at least two classes; got only {present.tolist()}")
    present = present.astype(np.int64)
    classes = int(present[-1]) + 1 if classes is None else classes
    if present[-1] >= classes:
        raise ValueError(f"label {present[-1]} does not fit into classes={classes}")
    return x, y.astype(np.int64), present, classes


def _spread(output, present, classes):
    full = np.full((len(output), classes), np.log(PROBABILITY_FLOOR))
    full[:, present] = output
    return full


def _target_only(body):
    def fit_predict(x, y, query, *, seed, classes=None):
        x, y, present, classes = _checked_table(x, y, classes)
        # One order for one set of rows: neither bootstraps nor folds then depend on how the
        # support happened to be ordered.
        order = sorted(range(len(y)), key=lambda i: (y[i], x[i].tobytes()))
        output = body(x[order], y[order], np.asarray(query, np.float64), seed)
        return _spread(output, present, classes)

    return fit_predict


def _pooled_boosting(x, y, seed):
    model = HistGradientBoostingClassifier(
        max_iter=100, max_leaf_nodes=12, learning_rate=0.06, l2_regularization=5.0,
        early_stopping=False, random_state=seed).fit(x, y)
    return lambda q: _two_sided(model.decision_function(q))


def _pooled(linear_weight, boosting_weight):
    def fit(x, y, *, seed, classes=None):
        x, y, present, classes = _checked_table(x, y, classes)
        parts = []
        with one_thread():
            if linear_weight:
                parts.append((linear_weight, _logistic(x, y, 0.1)))
            if boosting_weight:
                parts.append((boosting_weight, _pooled_boosting(x, y, seed)))

        def predict(query):
            query = np.asarray(query, np.float64)
            with one_thread():
                scores = sum(weight * part(query) for weight, part in parts)
            return _spread(_log_probabilities(scores), present, classes)

        return predict

    return fit


# name -> fit_predict(x (n, D), y (n,), query (q, D), *, seed, classes=None) -> log-probabilities
# (q, classes); y holds class indices; ValueError where the support has a single class.
TARGET_ONLY: dict[str, Callable] = {
    "lr_c0.01": _target_only(_fixed_lr(0.01)),
    "lr_c0.1": _target_only(_fixed_lr(0.1)),
    "lr_cv": _target_only(_lr_cv),
    "random_forest": _target_only(_random_forest),
    "gradient_boosting": _target_only(_boosting),
    "lr_forest": _target_only(_lr_forest),
    "class_mean": _target_only(_class_mean),
    "knn": _target_only(_knn),
    "gaussian_process": _target_only(_gaussian_process),
}

# name -> fit(x, y, *, seed, classes=None) -> predict(query (q, D)) -> log-probabilities.
POOLED: dict[str, Callable] = {
    "pooled_lr": _pooled(1.0, 0.0),
    "pooled_gradient_boosting": _pooled(0.0, 1.0),
    "pooled_lr_boosting": _pooled(0.5, 1.0),
}
