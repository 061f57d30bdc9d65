"""Honest opponents on the host: scikit-learn models on exactly the episodes of a benchmark."""

from metajax.baselines.classification import POOLED, PROBABILITY_FLOOR, TARGET_ONLY
from metajax.baselines.episodes import predict_episodes
from metajax.baselines.regression import REGRESSORS

__all__ = ["POOLED", "PROBABILITY_FLOOR", "REGRESSORS", "SEEDED", "TARGET_ONLY", "predict_episodes"]
# Those that draw at random: bootstraps, folds, the rows that bins are made of. All others give the
# same numbers with every seed.
SEEDED = ("lr_cv", "random_forest", "lr_forest", "pooled_gradient_boosting", "pooled_lr_boosting")
