"""Sets, intervals and reasons of estimators: coverage, whole patients, columns as given."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from metajax import conformal
from metajax.baselines.threads import one_thread
from metajax.estimator import FewShotClassifier, FewShotRegressor
from metajax.estimator.explain import explain
from metajax.estimator.sets import _folds, prediction_intervals, prediction_sets


@pytest.fixture(autouse=True)
def alone():
    """Many small fits: threads would wait for each other."""
    with one_thread():
        yield


def draw(rng, rows):
    x = rng.normal(size=(rows, 2))
    return x, np.where(rng.random(rows) < 1 / (1 + np.exp(-2 * x[:, 0])), "sick", "well")


def test_sets_of_any_classifier_cover():
    """30 data sets of 30 patients: about 90 % of 200 new ones, and not everything."""
    rng, hits, sizes = np.random.default_rng(0), [], []
    for seed in range(30):
        (x, y), (new, truth) = draw(rng, 30), draw(rng, 200)
        found = prediction_sets(LogisticRegression(), x, y, new, seed=seed)
        hits.append(found.inside[np.arange(200), (truth == "well").astype(int)].mean())
        sizes.append(found.inside.sum(1).mean())
    assert 0.87 < np.mean(hits) < 0.97 and np.mean(sizes) < 1.7
    assert "at least 80 % guaranteed" in found.way and "30 labelled" in found.way


def test_sets_are_those_of_the_folds_by_hand():
    rng = np.random.default_rng(1)
    (x, y), (new, _) = draw(rng, 20), draw(rng, 7)
    frame = pd.DataFrame(x, columns=["a", "b"])
    found = prediction_sets(LogisticRegression(), frame, y, pd.DataFrame(new, columns=["a", "b"]))
    fold, _ = _folds((y == "well").astype(int), None, 5, 0)
    models = [LogisticRegression().fit(x[fold != k], y[fold != k]) for k in range(5)]
    for i in range(7):
        for c, name in enumerate(("sick", "well")):
            worse = 0
            for j in range(20):
                model = models[fold[j]]
                own = model.predict_proba(x[[j]])[0, int(y[j] == "well")]
                worse += 1 - own >= 1 - model.predict_proba(new[[i]])[0, c]
            assert found.p[i, c] == pytest.approx((worse + 1) / 21), name


def test_a_rare_class_is_calibrated_by_its_own():
    rng, hits = np.random.default_rng(2), {False: [], True: []}
    for seed in range(12):
        x = rng.normal(size=(400, 2))
        y = (x[:, 0] + rng.normal(size=400) > 2.2).astype(int)  # one in sixteen
        fit = np.sort(np.r_[np.flatnonzero(y == 1)[:12], np.flatnonzero(y == 0)[:180]])
        rest = np.setdiff1d(np.flatnonzero(y == 1), fit)
        for by_class in hits:
            found = prediction_sets(
                LogisticRegression(), x[fit], y[fit], x[rest], by_class=by_class, seed=seed
            )
            hits[by_class].append(found.inside[:, 1].mean())
    assert np.mean(hits[False]) < 0.6 < 0.85 < np.mean(hits[True])
    fit = np.r_[np.flatnonzero(y == 1)[:8], np.flatnonzero(y == 0)[:40]]
    few = prediction_sets(LogisticRegression(), x[fit], y[fit], x[:9], by_class=True)
    assert few.inside[:, 1].all() and "for want of 9 patients: 1 (8)" in few.way


def test_a_patient_is_in_one_fold_and_calibrates_once():
    codes, patient = np.tile([0, 1], 12), np.repeat(np.arange(8), 3)
    fold, kept = _folds(codes, patient, 3, 0)
    assert all(len(set(fold[patient == p])) == 1 for p in range(8))
    assert np.bincount(patient[kept]).tolist() == [1] * 8
    assert np.ptp(np.bincount(fold[kept])) <= 1
    even, _ = _folds(np.repeat([0, 1], 10), None, 5, 0)
    assert (np.bincount(even[:10]) == 2).all() and (np.bincount(even[10:]) == 2).all()


def test_too_few_patients_are_told():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(8, 2)), np.tile(["a", "b"], 4)
    found = prediction_sets(LogisticRegression(), x, y, x[:3])
    assert found.inside.all() and "8 patients are fewer than 9" in found.way
    ends = prediction_intervals(LinearRegression(), x, x[:, 0], x[:3])
    assert np.isinf(ends.ends).all() and "nothing can be ruled out" in ends.way
    y[:] = ["a"] * 7 + ["b"]
    with pytest.raises(ValueError, match="class 'b' has too few patients"):
        prediction_sets(LogisticRegression(), x, y, x[:3])
    with pytest.raises(ValueError, match="2 folds"):
        prediction_sets(LogisticRegression(), x, y, x[:3], folds=1)
    with pytest.raises(ValueError, match=r"groups must be \(8,\)"):
        prediction_sets(LogisticRegression(), x, y, x[:3], groups=[1, 2])


def test_intervals_are_cv_plus_and_cover():
    rng, hits = np.random.default_rng(4), []
    for seed in range(60):
        x = rng.normal(size=(140, 3))
        y = x @ [1.0, 2.0, 0.0] + rng.normal(size=140)
        found = prediction_intervals(LinearRegression(), x[:40], y[:40], x[40:], seed=seed)
        hits.append(((found.ends[:, 0] <= y[40:]) & (y[40:] <= found.ends[:, 1])).mean())
    assert 0.88 < np.mean(hits) < 0.95
    fold, _ = _folds(np.zeros(40, int), None, 5, seed)
    models = [LinearRegression().fit(x[:40][fold != k], y[:40][fold != k]) for k in range(5)]
    rest = [abs(y[i] - models[fold[i]].predict(x[[i]])[0]) for i in range(40)]
    means = np.stack([model.predict(x[40:]) for model in models])
    assert np.allclose(found.ends, conformal.cross_interval(np.array(rest), fold, means, 0.1))


def mixed(rng, rows):
    frame = pd.DataFrame({
        "age": rng.normal(60, 10, rows), "site": rng.choice(["a", "b", "c"], rows),
        "noise": rng.normal(size=rows),
    })  # fmt: skip
    frame.loc[::7, "age"] = np.nan
    return frame, (frame["age"].fillna(60) + 10 * (frame["site"] == "a") > 62).to_numpy()


def test_columns_are_explained_as_they_were_given():
    rng = np.random.default_rng(5)
    (frame, y), (new, _) = mixed(rng, 40), mixed(rng, 2)
    model = FewShotClassifier("lr").fit(frame, y)
    found = explain(model, new, frame)
    assert found.names == ("age", "site", "noise") and found.shares.exact
    assert found.shares.values.shape == (2, 3, 2) and found.background == 32
    assert np.abs(found.shares.gap).max() < 1e-6
    assert np.allclose(found.shares.output, model.predict_proba(new))
    sampled = explain(model, new, frame, budget=1)
    assert not sampled.shares.exact and np.abs(sampled.shares.gap).max() < 1e-6


def test_reasons_of_a_linear_quantity():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(30, 4))
    y = x @ [3.0, -2.0, 0.0, 0.0] + 0.01 * rng.normal(size=30)
    model = FewShotRegressor().fit(x, y)
    found = explain(model, x[:3], x)
    wanted = (x[:3] - x.mean(0)) * [3.0, -2.0, 0.0, 0.0]
    assert np.allclose(found.shares.values[:, :, 0], wanted, atol=0.05)


def test_models_without_columns_are_refused():
    with pytest.raises(ValueError, match="metajax.reasons.shapley"):
        explain(LogisticRegression(), np.ones((1, 2)), np.ones((2, 2)))
