"""Regressors of scikit-learn, fitted on a few rows (a part of `metajax.baselines`)."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import WhiteKernel
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor

from metajax.baselines.classification import neighbours, smooth_kernel
from metajax.columns import moments

# In units of the number of columns, so that the range suits tables of any width.
STRENGTHS = np.logspace(-3, 3, 7)


def _scaled(x, query):
    """Both in units of the support's standard deviations; a constant column is 0."""
    unit, mean, deviation, varied = moments(x, np.ones(x.shape, bool), np)
    scale = np.where(varied, 1 / deviation, 0.0)
    return (x / unit - mean) * scale, (query / unit - mean) * scale


def _ridge(x, y, query, seed):
    """Ridge regression, strength by generalised cross-validation; inputs scaled by the support."""
    x, query = _scaled(x, query)
    return RidgeCV(STRENGTHS * x.shape[1]).fit(x, y).predict(query)


def _knn(x, y, query, seed):
    """Nearest rows, weighted by inverse distance; inputs scaled by the support."""
    x, query = _scaled(x, query)
    model = KNeighborsRegressor(min(neighbours(len(y)), len(y)), weights="distance")
    return model.fit(x, y).predict(query)


def _gaussian_process(x, y, query, seed):
    """Kernel and noise by marginal likelihood; inputs and targets scaled by the support."""
    x, query = _scaled(x, query)
    kernel = smooth_kernel(x.shape[1]) + WhiteKernel(1.0, (1e-3, 1e1))
    model = GaussianProcessRegressor(kernel, normalize_y=bool(np.ptp(y) > 0), random_state=seed)
    with warnings.catch_warnings():
        # On a few rows the likelihood is often best at a bound of the kernel.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, y).predict(query)


def _forest(x, y, query, seed):
    return RandomForestRegressor(100, n_jobs=1, random_state=seed).fit(x, y).predict(query)


def _boosting(x, y, query, seed):
    """The same rule for small supports as the classifier's."""
    leaf = int(np.clip(len(y) // 8, 2, 20))
    model = HistGradientBoostingRegressor(
        max_iter=60, learning_rate=0.1, max_leaf_nodes=8, min_samples_leaf=leaf,
        l2_regularization=1.0, early_stopping=False, random_state=seed)
    return model.fit(x, y).predict(query)


# name -> fit_predict(x (n, D), y (n,), query (q, D), seed) -> predictions (q,)
REGRESSORS: dict[str, Callable] = {
    "ridge_cv": _ridge,
    "random_forest": _forest,
    "gradient_boosting": _boosting,
    "knn": _knn,
    "gaussian_process": _gaussian_process,
}
