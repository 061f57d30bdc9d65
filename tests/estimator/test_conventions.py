"""Scikit-learn's own list of checks."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from metajax import FewShotClassifier, FewShotRegressor

OTHERS = [FewShotClassifier("pfn+lr"), FewShotClassifier("random_forest"),
          FewShotRegressor("gaussian_process")]  # fmt: skip


@pytest.mark.filterwarnings("ignore::metajax.estimator.SchemeWarning")
@parametrize_with_checks([FewShotClassifier(), FewShotRegressor()])
def test_scikit_learn_s_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::metajax.estimator.SchemeWarning")
@parametrize_with_checks(OTHERS)
def test_scikit_learn_s_checks_pass_with_other_methods(estimator, check):
    check(estimator)
