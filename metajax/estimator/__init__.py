"""Estimators by scikit-learn's conventions: from a few labelled rows to predictions."""

from metajax.estimator.classifier import FewShotClassifier, SchemeWarning
from metajax.estimator.frames import DataWarning
from metajax.estimator.regressor import FewShotRegressor

__all__ = ["DataWarning", "FewShotClassifier", "FewShotRegressor", "SchemeWarning"]
