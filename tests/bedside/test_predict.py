"""New patients: the same columns by name, probabilities, and who is unlike the others."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from metajax import FewShotClassifier
from metajax import __main__ as command
from metajax.bedside import compare, patients, predict, unlike
from metajax.bedside.words import name_of as words_of
from metajax.datasets import DataError


def table(rows=48, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.normal(60, 10, rows).round(1)
    return pd.DataFrame({
        "patient": [f"P{i:03d}" for i in range(rows)],
        "age": age,
        "sex": rng.choice(["male", "female"], rows),
        "grade": rng.choice([1, 2, 3], rows),
        "smoker": rng.choice(["yes", "no"], rows),
        "crp": np.where(rng.random(rows) < 0.1, "n/a", np.exp(rng.normal(2, 1, rows)).round(2)),
        "died": np.where(age + rng.normal(0, 8, rows) > 60, "yes", "no"),
    })  # fmt: skip


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr("metajax.compiled.keep_compiled", lambda: None)
    monkeypatch.setattr("metajax.surroundings.check", lambda: None)
    made = table()
    made[:36].to_csv(tmp_path / "labelled.csv", index=False)
    made[36:].drop(columns="died").to_csv(tmp_path / "new.csv", index=False)
    return tmp_path


def run(files, capsys, *more, new="new.csv"):
    code = command.main([
        "predict", "--table", str(files / "labelled.csv"), "--label", "died", "--group", "patient",
        "--new", str(files / new), "--out", str(files / "out.csv"), *more,
    ])  # fmt: skip
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_column_of_names_need_not_be_dropped_as_well(files, capsys):
    command_line = [
        "predict", "--table", str(files / "labelled.csv"), "--label", "died", "--new",
        str(files / "new.csv"), "--out", str(files / "out.csv"),
    ]  # fmt: skip
    assert command.main([*command_line, "--id", "patient"]) == 0
    assert "'patient' says who a row is (--id) and is no feature" in capsys.readouterr().out
    assert pd.read_csv(files / "out.csv").id.tolist() == [f"P{i:03d}" for i in range(36, 48)]
    assert command.main(command_line) == 2  # without --id nobody said what it is
    assert "--drop 'patient'" in capsys.readouterr().err
    assert command.main([*command_line, "--id", "age"]) == 2  # another column's fault stays


def test_the_command_gives_what_the_estimator_gives(files, capsys):
    code, out, err = run(files, capsys, "--id", "patient", "--report", str(files / "page.html"))
    assert code == 0, err
    found = pd.read_csv(files / "out.csv")
    assert list(found) == ["id", "prediction", "p_no", "p_yes", "set", "reasons", "unlike"]
    assert found.id.tolist() == [f"P{i:03d}" for i in range(36, 48)]
    np.testing.assert_allclose(found.p_no + found.p_yes, 1, atol=1e-5)
    made = table()
    features = made.drop(columns=["patient", "died"])
    features["crp"] = pd.to_numeric(features.crp, errors="coerce")
    model = FewShotClassifier().fit(features[:36], made.died[:36])
    np.testing.assert_allclose(found.p_yes, model.predict_proba(features[36:])[:, 1], atol=2e-5)
    told = r"Expected quality of the prior-fitted network, measured with \d+ of the 36 labelled"
    assert re.search(told, out)
    text = (files / "page.html").read_text()
    assert "P036" in text and "Expected quality" in text and "<script" not in text


def test_columns_go_by_name_whatever_their_order_and_the_label_is_not_looked_at(files, capsys):
    assert run(files, capsys)[0] == 0
    wanted = (files / "out.csv").read_text()
    made = table()[36:]
    made[list(made)[::-1]].assign(bed=7).to_csv(files / "turned.csv", index=False)
    code, out, err = run(files, capsys, new="turned.csv")
    assert code == 0 and (files / "out.csv").read_text() == wanted
    assert "the new file has a column 'died': it is not looked at" in out
    assert "not used, since no labelled row has them: 'bed'" in out


@pytest.mark.parametrize(("change", "words"), [
    (lambda t: t.drop(columns="age"), "lacks 'age' of the labelled file's columns"),
    (lambda t: t.rename(columns={"age": "Age "}), "lacks 'age' (is it 'Age'?)"),
    (lambda t: t.assign(smoker=3), "'smoker' is coded differently"),
    (lambda t: t.assign(age="old"), "'age' is coded differently"),
    (lambda t: t.assign(sex=["1", "2"] * 6), "'sex' is coded differently"),
    (lambda t: t[:0], "has no row"),
])  # fmt: skip
def test_other_columns_and_codes_are_refused(files, capsys, change, words):
    change(table()[36:].drop(columns="died")).to_csv(files / "other.csv", index=False)
    code, _, err = run(files, capsys, new="other.csv")
    assert code == 2 and words in err and "Traceback" not in err, err
    assert not (files / "out.csv").exists()


def test_rows_unlike_the_labelled_ones_are_told_and_no_others(files, capsys):
    made = table()[36:].drop(columns="died").reset_index(drop=True)
    read = patients.read(files / "labelled.csv", "died", "patient")
    made[["age", "grade", "crp"]] = table()[["age", "grade", "crp"]][:12].to_numpy()
    made[["sex", "smoker"]] = table()[["sex", "smoker"]][:12].to_numpy()
    made.loc[0, "age"], made.loc[1, "sex"], made.loc[2, "grade"] = 140, "other", None
    made.to_csv(files / "odd.csv", index=False)
    frame, _, _ = patients.read_new(files / "odd.csv", read, ["patient"])
    told = unlike.rows(read.columns, read.frame, frame)
    assert "age is 140" in told[0][0] and "sex is 'other'" in told[1][0]
    assert "grade is missing" in told[2][0] and not any(told[3:])
    assert unlike.columns_outside(read.frame, frame) == []
    units = frame.assign(age=frame.age * 12)
    assert "age: 12 of 12" in unlike.columns_outside(read.frame, units)[0]
    assert "3 of 12 new rows are unlike" in unlike.summary(told)


def test_a_row_of_known_values_that_never_come_together_is_told():
    rng = np.random.default_rng(0)
    age = rng.uniform(0, 1, 200)
    labelled = pd.DataFrame({"a": age, "b": age + rng.normal(0, 0.01, 200)})
    new = pd.DataFrame({"a": [0.1, 0.5], "b": [0.9, 0.5]})
    columns = FewShotClassifier("lr").fit(labelled, age > 0.5).columns_
    told = unlike.rows(columns, labelled, new)
    assert "all of them together" in told[0][0] and not told[1]


def test_nothing_that_was_given_is_overwritten(files, capsys):
    for more in (["--out", str(files / "new.csv")], ["--report", str(files / "labelled.csv")]):
        code, _, err = run(files, capsys, *more)
        assert code == 2 and "would be overwritten" in err
    code, _, err = run(files, capsys, "--report", str(files / "out.csv"))
    assert code == 2 and "name one file" in err


def test_names_are_no_formulas(files, capsys):
    made = table()[36:].drop(columns="died")
    made.patient = ["=1+1", *made.patient[1:]]
    made.to_csv(files / "new.csv", index=False)
    assert run(files, capsys, "--id", "patient")[0] == 0
    assert (files / "out.csv").read_text().splitlines()[1].startswith("'=1+1,")
    code, _, err = run(files, capsys, "--id", "age")
    assert code == 2 and "--id 'age' is a feature" in err


def test_a_quantity_is_predicted(tmp_path):
    made = table(60).drop(columns=["died", "patient"])
    made["stay"] = (made.age / 3 + np.arange(60) / 7).round(2)
    made[:40].to_csv(tmp_path / "a.csv", index=False)
    made[40:].to_csv(tmp_path / "b.csv", index=False)
    read = patients.read(tmp_path / "a.csv", "stay")
    frame, _, _ = patients.read_new(tmp_path / "b.csv", read, ["stay"])
    found = predict.predict(read, frame)
    assert found.output.shape == (20,) and found.classes == ()
    assert "share of variance explained" in predict.expected(found, 40)
    assert list(predict.table(found, ["x"] * 20)) == ["id", "prediction", "low", "high", "unlike"]


def test_too_few_labels_to_be_divided_are_told(tmp_path):
    made = table(7).drop(columns="patient").assign(died=["no"] * 5 + ["yes"] * 2)
    made.to_csv(tmp_path / "a.csv", index=False)
    read = patients.read(tmp_path / "a.csv", "died")
    found = predict.predict(read, read.frame)
    assert found.quality is None and "too few to be divided" in predict.expected(found, 7)
    with pytest.raises(DataError, match="does not exist"):
        patients.read_new(tmp_path / "no.csv", read)


@pytest.mark.parametrize(("method", "rows", "words"), [
    ("auto", 40, "the prior-fitted network"),
    ("auto", 80, "the mean of network and logistic regression"),
    ("lr", 40, "logistic regression, C = .1"),
    ("lr_forest", 40, "lr_forest"),
])  # fmt: skip
def test_the_quality_is_that_of_the_method_that_judged(tmp_path, monkeypatch, method, rows, words):
    table(rows).drop(columns="patient").to_csv(tmp_path / "a.csv", index=False)
    read = patients.read(tmp_path / "a.csv", "died")
    asked = []
    monkeypatch.setattr(predict, "compare", lambda *_, names, **__: asked.append(names[0]))
    predict.quality(read, method, 0)
    assert words_of(asked[0]) == words
    monkeypatch.undo()
    assert compare.known(asked, 2) == tuple(asked)


def test_beyond_what_the_network_was_trained_on_it_does_not_judge_alone():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    y = (x[:, 0] > 0).astype(int)
    for rows, parts in [(64, "pfn"), (65, "pfn+lr")]:
        models = [FewShotClassifier(m).fit(x[:rows], y[:rows]) for m in ("auto", parts)]
        told = [model.predict_proba(x) for model in models]
        np.testing.assert_array_equal(*told)
