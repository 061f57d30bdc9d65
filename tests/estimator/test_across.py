"""Thresholds of other diseases: the file is the study's, and sets are what it says."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from metajax import FewShotClassifier, FewShotRegressor
from metajax.estimator.across import limit_of, sets_across

ROOT = Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3))
Y = np.where(X[:, 0] + 0.5 * RNG.normal(size=30) > 0, "a", "b")


def test_the_file_is_that_of_the_study():
    ours = (ROOT / "metajax" / "estimator" / "limits.csv").read_bytes()
    assert ours == (ROOT / "results" / "uncertainty" / "limits.csv").read_bytes()


def test_the_next_smaller_number_of_labels_counts():
    table = pd.read_csv(ROOT / "results" / "uncertainty" / "limits.csv")
    at = table[(table.method == "pfn") & (table.alpha == 0.1)].set_index("shots")
    for labelled, shots in ((8, 8), (15, 8), (16, 16), (63, 32), (64, 64)):
        found = limit_of("auto", labelled)
        assert found.shots == shots and found.limit == at.limit[shots]
    # Beyond 64 rows "auto" is the mean with logistic regression.
    assert limit_of("pfn", 128) == limit_of("pfn", 64) != limit_of("auto", 128)
    assert limit_of("auto", 128) == limit_of("pfn+lr", 128)
    assert limit_of("lr", 30, 1 - 0.95) == limit_of("lr_c0.1", 30, 0.05)
    assert limit_of("pfn+lr", 30).limit != limit_of("pfn", 30).limit
    # Higher coverage needs a higher threshold.
    assert (table.pivot(index=["method", "shots"], columns="alpha", values="limit")
            .diff(axis=1).iloc[:, 1:] <= 0).all(axis=None)  # fmt: skip


def test_sets_hold_what_the_threshold_lets_in():
    model = FewShotClassifier("lr").fit(X, Y)
    new = RNG.normal(size=(50, 3))
    found = sets_across(model, new)
    limit = limit_of("lr", 30)
    assert (found.inside == (1 - model.predict_proba(new) <= limit.limit)).all()
    assert f"the {limit.diseases} diseases" in found.way and np.isnan(found.p).all()
    assert 0 < found.inside.sum(1).mean() <= 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: limit_of("knn", 30), "thresholds for .*pfn.* and alpha"),
        (lambda: limit_of("auto", 30, 0.07), "alpha = 0.05, 0.1, 0.2"),
        (lambda: limit_of("auto", 7), "8 to 128 labelled rows; got 7"),
        (lambda: limit_of("auto", 129), "got 129. Remedy: prediction_sets"),
        (lambda: sets_across(FewShotClassifier(), X), "fitted FewShotClassifier of two"),
        (lambda: sets_across(LogisticRegression().fit(X, Y), X), "fitted FewShotClassifier"),
        (lambda: sets_across(FewShotRegressor().fit(X, X[:, 0]), X), "fitted FewShotClassifier"),
        (lambda: sets_across(FewShotClassifier("lr").fit(X, np.resize(["a", "b", "c"], 30)), X),
         "of two classes"),
    ],
)  # fmt: skip
def test_refusals(call, said):
    with pytest.raises(ValueError, match=said):
        call()
