"""The estimators on what people have: frames with texts and gaps, and mistakes."""

from __future__ import annotations

import datetime
import pickle
import subprocess
import sys
import threading
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metajax import FewShotClassifier, FewShotRegressor
from metajax.baselines import REGRESSORS, TARGET_ONLY
from metajax.estimator import DataWarning, SchemeWarning


def patients(rows=40, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.normal(60, 10, rows).round(1)
    table = pd.DataFrame({
        "age": age,
        "sex": rng.choice(["f", "m"], rows),
        "stage": pd.Categorical(rng.choice(["I", "II", "III"], rows), ordered=True),
        "site": rng.choice(["lung", "skin", "colon"], rows),
        "smoker": rng.random(rows) < 0.5,
        "crp": pd.array(rng.integers(1, 9, rows), dtype="Int64"),
    })  # fmt: skip
    died = np.where(age + rng.normal(0, 5, rows) > 60, "yes", "no")
    table.loc[3, "age"] = np.nan
    table.loc[5, "site"] = None
    table.loc[7, "crp"] = pd.NA
    return table, died


def test_three_lines_on_a_frame_with_texts_and_gaps():
    table, died = patients(120)
    model = FewShotClassifier().fit(table[:40], died[:40])
    told = model.predict_proba(table[40:])
    assert told.shape == (80, 2) and model.classes_.tolist() == ["no", "yes"]
    np.testing.assert_allclose(told.sum(1), 1, atol=1e-6)
    assert roc_auc_score(died[40:] == "yes", told[:, 1]) > 0.8
    assert model.feature_names_in_.tolist() == list(table) and model.n_features_in_ == 6


def test_columns_are_read_as_they_say():
    table, died = patients()
    model = FewShotClassifier("lr").fit(table, died)
    kinds = {column.name: (column.kind, column.levels) for column in model.columns_}
    assert kinds["stage"] == ("order", ("I", "II", "III"))
    assert kinds["sex"] == ("levels", ("f", "m")) and kinds["smoker"][0] == "number"
    outputs = [name for column in model.columns_ for name in column.outputs]
    assert outputs == ["age", "sex=m", "stage", "site=colon", "site=lung", "site=skin", "smoker",
                       "crp"]  # fmt: skip
    np.testing.assert_array_equal(model.fitted_.scaling.flagged.nonzero()[0], [0, 3, 4, 5, 7])


def test_columns_are_matched_by_name_and_others_are_refused_by_name():
    table, died = patients()
    model = FewShotClassifier().fit(table, died)
    wanted = model.predict_proba(table)
    np.testing.assert_array_equal(model.predict_proba(table[list(table)[::-1]]), wanted)
    with pytest.raises(ValueError, match=r"'age' is missing \(is it 'Age' here\?\), 'Age' is new"):
        model.predict_proba(table.rename(columns={"age": "Age"}))
    with pytest.raises(ValueError, match="'height' is new"):
        model.predict_proba(table.assign(height=1))


def test_a_value_that_is_not_known_is_told_and_other_codes_are_refused():
    table, died = patients()
    model = FewShotClassifier().fit(table, died)
    new = table.copy()
    new.loc[0, "site"] = "bone"
    gap = table.copy()
    gap.loc[0, "site"] = None
    with pytest.warns(DataWarning, match="'site': 'bone'"):
        told = model.predict_proba(new)
    np.testing.assert_array_equal(told, model.predict_proba(gap))
    with pytest.raises(ValueError, match="'sex' is coded differently.*'f', 'm'.*'1', '2'"):
        model.predict_proba(table.assign(sex=np.arange(len(table)) % 2 + 1))
    with pytest.raises(ValueError, match="'crp' is a number.*row 1 says 'low'"):
        model.predict_proba(table.assign(crp="low"))


@pytest.mark.parametrize(("column", "words"), [
    (pd.to_datetime(["2020-01-01"] * 40), "'new' holds dates.*days since"),
    ([datetime.date(2020, 1, 1)] * 40, "'new' holds dates"),
    (["2020-01-0" + str(i % 5 + 1) for i in range(40)], "'new' holds dates"),
    (["01/02/2020"] * 40, "'new' holds dates"),
    (pd.to_timedelta(np.arange(40), unit="D"), "'new' holds dates"),
    ([f"note {i}" for i in range(40)], "'new' has 40 different texts.*row 1 says 'note 0'"),
    ([1.0] * 39 + [np.inf], "infinity: column 'new', row 40"),
    ([{"a": 1}] * 40, "'new'.*string or a number"),
])  # fmt: skip
def test_what_is_no_number_or_category_is_refused_with_the_remedy(column, words):
    table, died = patients()
    table["new"] = column
    with pytest.raises((ValueError, TypeError), match=words):
        FewShotClassifier().fit(table, died)


def test_labels_that_cannot_be_used_are_refused():
    table, died = patients()
    with pytest.raises(ValueError, match="all labelled rows have one class, 'a'"):
        FewShotClassifier().fit(table, ["a"] * 40)
    with pytest.raises(ValueError, match="no label in rows 2, 4"):
        FewShotClassifier().fit(table, pd.Series(died).mask(np.isin(np.arange(40), [1, 3])))
    with pytest.raises(ValueError, match="another order"):
        FewShotClassifier().fit(table, pd.Series(died, index=table.index[::-1]))
    with pytest.raises(ValueError, match="method must be one of auto, pfn"):
        FewShotClassifier("best").fit(table, died)
    with pytest.raises(ValueError, match="several columns are named 'age'"):
        FewShotClassifier().fit(pd.concat([table, table[["age"]]], axis=1), died)


@pytest.mark.parametrize("labels", [[0, 1], [True, False], ["b", "a"], [2.0, 7.0], [-1, 1]])
def test_labels_of_any_kind(labels):
    table, died = patients()
    y = np.where(died == "yes", labels[1], labels[0])
    model = FewShotClassifier("lr").fit(table, y)
    assert set(model.predict(table)) <= set(y.tolist())
    assert model.classes_.tolist() == sorted(set(y.tolist()))


def test_a_method_is_the_baseline_of_that_name_and_a_mean_is_the_mean():
    table, died = patients()
    told = {name: FewShotClassifier(name).fit(table, died).predict_proba(table)
            for name in ("pfn", "lr", "pfn+lr", "auto", "lr_c0.1")}  # fmt: skip
    fitted = FewShotClassifier("lr").fit(table, died).fitted_
    wanted = TARGET_ONLY["lr_c0.1"](fitted.x, fitted.y, fitted.x, seed=0, classes=2)
    np.testing.assert_allclose(told["lr"], np.exp(wanted), atol=1e-12)
    np.testing.assert_array_equal(told["lr"], told["lr_c0.1"])
    np.testing.assert_allclose(told["pfn+lr"], (told["pfn"] + told["lr"]) / 2, atol=1e-12)
    np.testing.assert_array_equal(told["auto"], told["pfn"])


def test_more_than_the_network_takes_is_told_and_works():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 60))
    y = x[:, 7].round().clip(-1, 1)
    with pytest.warns(SchemeWarning, match="3 classes: one against the rest.*60 columns.*48.*300 "
                      "labelled rows.*4 samples of 256"):  # fmt: skip
        model = FewShotClassifier().fit(x, y)
    told = model.predict_proba(x[:60])
    np.testing.assert_allclose(told.sum(1), 1, atol=1e-6)
    assert (model.classes_[told.argmax(1)] == y[:60]).mean() > 0.7


def test_the_same_seed_gives_the_same_bits_and_a_copy_is_the_model():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 4)), np.arange(300) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SchemeWarning)
        models = [FewShotClassifier(random_state=s).fit(x, y) for s in (3, 3, 4)]
    models.append(pickle.loads(pickle.dumps(models[0])))
    told = [model.predict_proba(x[:50]) for model in models]
    np.testing.assert_array_equal(told[0], told[1])
    np.testing.assert_array_equal(told[0], told[3])
    assert (told[0] != told[2]).any()


def test_threads_may_predict_at_once():
    table, died = patients()
    model = FewShotClassifier("pfn+lr").fit(table, died)
    wanted, found = model.predict_proba(table), [None] * 8
    threads = [threading.Thread(target=lambda i=i: found.__setitem__(i, model.predict_proba(table)))
               for i in range(8)]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(one, wanted) for one in found)


def test_scikit_learn_s_tools_take_it():
    table, died = patients(60)
    assert cross_val_score(FewShotClassifier("lr"), table, died, scoring="roc_auc").mean() > 0.7
    grid = {"method": ["lr", "class_mean"]}
    found = GridSearchCV(FewShotClassifier(), grid, cv=2).fit(table, died)
    assert found.best_estimator_.predict(table).shape == (60,)
    calibrated = CalibratedClassifierCV(FewShotClassifier("lr"), cv=2).fit(table, died)
    assert calibrated.predict_proba(table).shape == (60, 2)
    piped = make_pipeline(StandardScaler(), FewShotClassifier()).fit(table[["age"]], died)
    alone = FewShotClassifier().fit(table[["age"]], died)
    np.testing.assert_allclose(piped.predict_proba(table[["age"]]),
                               alone.predict_proba(table[["age"]]), atol=1e-5)  # fmt: skip


def test_a_quantity_is_predicted_as_the_regressor_of_that_name_does():
    table, _ = patients(60)
    y = table.age.fillna(60).to_numpy() * 2 + 1
    model = FewShotRegressor().fit(table, y)
    fitted = model.fitted_
    wanted = REGRESSORS["ridge_cv"](fitted.x, fitted.y, fitted.scaling.table(
        np.full((1, len(fitted.scaling.mean)), np.nan)), 0)  # fmt: skip
    none = table[:1].copy().convert_dtypes()
    none.loc[0] = pd.NA
    assert np.corrcoef(model.predict(table), y)[0, 1] > 0.9
    np.testing.assert_allclose(model.predict(none), wanted)


def test_importing_the_package_is_cheap():
    code = "import metajax, sys; print('jax' in sys.modules, 'sklearn' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "False"]
    with pytest.raises(AttributeError, match="no attribute 'FewShot'"):
        __import__("metajax").FewShot  # noqa: B018
