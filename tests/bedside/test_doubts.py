"""Sets and reasons of new patients: those of the estimator, on the page and in the file."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from metajax import FewShotClassifier, FewShotRegressor
from metajax import __main__ as command
from metajax.bedside import doubts, patients, predict
from metajax.estimator.across import limit_of
from metajax.estimator.sets import prediction_intervals, prediction_sets

NASTY = "<script>alert(1)</script>"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """40 labelled patients with two rows each, and 6 new ones; the outcome is that of age."""
    monkeypatch.setattr("metajax.compiled.keep_compiled", lambda: None)
    monkeypatch.setattr("metajax.surroundings.check", lambda: None)
    rng = np.random.default_rng(0)
    age = np.repeat(rng.normal(60, 10, 46), 2).round(1) + rng.choice([-0.1, 0.1], 92)
    made = pd.DataFrame({
        "patient": np.repeat([f"P{i:02d}" for i in range(46)], 2), "age": age,
        "noise": rng.normal(size=92).round(2), NASTY: rng.choice(["x", "y"], 92),
        "died": np.where(age + rng.normal(0, 4, 92) > 60, "yes", "no"),
        "days": (age * 2 + rng.normal(0, 4, 92)).round(1),
    })  # fmt: skip
    made[:80].to_csv(tmp_path / "labelled.csv", index=False)
    made[80:].drop(columns=["died", "days"]).to_csv(tmp_path / "new.csv", index=False)
    return tmp_path


def run(files, capsys, label, *more):
    other = {"died": "days", "days": "died"}[label]
    code = command.main([
        "predict", "--table", str(files / "labelled.csv"), "--label", label, "--group", "patient",
        "--drop", other, "--new", str(files / "new.csv"), "--out", str(files / "out.csv"),
        "--method", "lr" if label == "died" else "auto", *more,
    ])  # fmt: skip
    told = capsys.readouterr()
    return code, told.out, told.err


def test_sets_are_those_of_the_labelled_patients(files, capsys):
    code, out, err = run(files, capsys, "died")
    assert code == 0, err
    read = patients.read(files / "labelled.csv", "died", "patient", ["days"])
    frame, _, _ = patients.read_new(files / "new.csv", read, [])
    found = prediction_sets(
        FewShotClassifier("lr"), read.frame, read.y, frame, groups=read.group, alpha=0.1
    )
    names = [" or ".join(np.array(["no", "yes"])[row]) or "none of them" for row in found.inside]
    made = pd.read_csv(files / "out.csv")
    assert made.set.tolist() == names and "reasons" not in made
    assert "Sets: aimed at 90 % of patients, at least 80 % guaranteed" in out
    assert "the 40 labelled ones" in out  # and not 80 rows
    sure = [i for i, row in enumerate(found.inside) if row.sum() == 1]
    assert sure and all(made.prediction[i] == names[i] for i in sure)


def test_wider_coverage_is_a_larger_set_and_rare_classes_are_named(files, capsys):
    sizes = []
    for coverage in ("0.7", "0.97"):
        assert run(files, capsys, "died", "--coverage", coverage)[0] == 0
        sizes.append(pd.read_csv(files / "out.csv").set.str.count(" or ").sum())
    assert sizes[0] < sizes[1]
    labelled = pd.read_csv(files / "labelled.csv")
    died = labelled[labelled.died == "yes"].patient.unique()[:5]
    labelled[(labelled.died == "no") | labelled.patient.isin(died)].to_csv(
        files / "labelled.csv", index=False
    )
    _, out, _ = run(files, capsys, "died", "--by-class")
    assert re.search(r"always in the set, for want of 9 patients: 'yes' \(\d\)", out)
    assert pd.read_csv(files / "out.csv").set.str.contains("yes").all()


def test_thresholds_of_other_diseases(files, capsys):
    labelled = pd.read_csv(files / "labelled.csv")
    labelled.drop_duplicates("patient").to_csv(files / "labelled.csv", index=False)
    code, out, err = run(files, capsys, "died", "--calibrate", "diseases")
    assert code == 0, err
    made = pd.read_csv(files / "out.csv")
    limit = limit_of("lr", 40).limit
    assert made.set.str.contains("yes").tolist() == (made.p_yes >= 1 - limit).tolist()
    assert "90 % guaranteed over diseases" in out and "nothing for this disease alone" in out
    for more in (("--by-class",), ("--coverage", "0.93")):
        code, _, err = run(files, capsys, "died", "--calibrate", "diseases", *more)
        assert code == 2 and ("--calibrate diseases" in err or "alpha = 0.05, 0.1, 0.2" in err)


def test_intervals_of_a_quantity(files, capsys):
    code, out, err = run(files, capsys, "days")
    assert code == 0, err
    read = patients.read(files / "labelled.csv", "days", "patient", ["died"])
    frame, _, _ = patients.read_new(files / "new.csv", read, [])
    ends = prediction_intervals(
        FewShotRegressor(), read.frame, read.y, frame, groups=read.group, alpha=0.1
    ).ends
    made = pd.read_csv(files / "out.csv")
    assert np.allclose(made[["low", "high"]], ends, rtol=1e-4) and "Intervals: aimed" in out
    assert ((made.low < made.prediction) & (made.prediction < made.high)).all()


def test_reasons_are_told_and_drawn_and_names_stay_text(files, capsys):
    code, _, err = run(
        files, capsys, "died", "--reasons", "3", "--report", str(files / "page.html")
    )
    assert code == 0, err
    made = pd.read_csv(files / "out.csv")
    assert made.reasons[:3].str.startswith("age ").all() and made.reasons[3:].isna().all()
    read = patients.read(files / "labelled.csv", "died", "patient", ["days"])
    frame, _, _ = patients.read_new(files / "new.csv", read, [])
    found = predict.predict(read, frame, method="lr", reasons=3)
    assert np.abs(found.why.shares.gap).max() < 1e-6
    told = doubts.reasons(found.why, found.output)
    share = found.why.shares.values[0, :, found.output[0].argmax()]
    assert told[0].split(", ")[0] == f"age {share[0]:+.3g}" and told[3] == ""
    text = (files / "page.html").read_text()
    assert text.count("<details>") == 3 and "<script" not in text and "&lt;script" in text
    assert "cannot be ruled out" in text and "no cause" in text


@pytest.mark.parametrize(
    "given", [("--coverage", "1"), ("--coverage", "nan"), ("--coverage", "90")]
)
def test_a_coverage_is_a_share(files, capsys, given):
    code, _, err = run(files, capsys, "died", *given)
    assert code == 2 and "--coverage is between 0 and 1" in err and not (files / "out.csv").exists()


def test_a_class_of_one_patient_has_predictions_without_sets(files, capsys):
    labelled = pd.read_csv(files / "labelled.csv")
    labelled["died"] = np.where(labelled.patient == "P03", "yes", "no")
    labelled.to_csv(files / "labelled.csv", index=False)
    code, out, err = run(files, capsys, "died", "--leaks", "keep")
    assert code == 0, err
    assert "There are no prediction sets: class 'yes' has too few patients" in out
    assert "set" not in pd.read_csv(files / "out.csv")
