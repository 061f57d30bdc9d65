"""Scores by a column of the file: for which patients does the method work?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from metajax import __main__ as command
from metajax.bedside import compare, episodes, groups, patients
from metajax.estimator import methods


@pytest.fixture
def file(tmp_path, monkeypatch):
    """120 patients; the marker tells of the outcome in women, and says nothing in men."""
    monkeypatch.setattr("metajax.compiled.keep_compiled", lambda: None)
    monkeypatch.setattr("metajax.surroundings.check", lambda: None)
    rng = np.random.default_rng(0)
    sex, died = np.resize(["f", "m"], 120), np.repeat(["no", "yes"], 60)
    tells = np.where(sex == "f", 3.0 * (died == "yes"), 0.0)
    made = pd.DataFrame({
        "marker": (tells + rng.normal(size=120)).round(3), "other": rng.normal(size=120).round(3),
        "sex": sex, "age": np.r_[rng.uniform(20, 90, 117).round(1), [np.nan] * 3],
        "ward": np.r_[["<b>a|b</b>"] * 115, ["tiny"] * 5][rng.permutation(120)], "died": died,
    })  # fmt: skip
    made.to_csv(tmp_path / "a.csv", index=False)
    return tmp_path / "a.csv"


def test_a_method_that_works_for_women_only_is_seen(file, capsys):
    out = file.parent / "out"
    code = command.main([
        "compare", "--table", str(file), "--label", "died", "--drop", "sex", "ward", "--shots",
        "32", "--methods", "lr_c0.1", "class_mean", "--episodes", "6", "--by", "sex", "ward", "age",
        "--bands", "40", "65", "--out", str(out),
    ])  # fmt: skip
    told = capsys.readouterr()
    assert code == 2 and "--bands are for numbers; column 'sex' has others" in told.err
    code = command.main([
        "compare", "--table", str(file), "--label", "died", "--drop", "sex", "ward", "--shots",
        "32", "--methods", "lr_c0.1", "class_mean", "--episodes", "6", "--by", "sex", "ward", "age",
        "--out", str(out),
    ])  # fmt: skip
    told = capsys.readouterr()
    assert code == 0, told.err
    found = pd.read_csv(out / "groups.csv")
    found = found[found.metric == "auroc"]
    women, men = (found[(found.column == "sex") & (found.group == s)].iloc[0] for s in "fm")
    assert women.low > 0.8 > men.high and men.low < 0.5
    assert "sex, auroc: f is" in told.out and "ward: without a score tiny (5 patients" in told.out
    ages = found[found.column == "age"].group.tolist()
    assert len(ages) == 5 and ages[-1] == "missing"
    text = (out / "report.html").read_text()
    assert "By sex" in text and "&lt;b&gt;a|b" in text and "<b>a|b" not in text


def test_scores_are_those_of_the_comparison(file):
    """One group of all patients has the mean that `compare` gives, and by hand."""
    read = patients.read(file, "died", drop=["sex", "ward"])
    everyone = np.full(120, "all", object)
    found = groups.by_column(read, "lr_c0.1", 16, everyone, count=5, seed=3)
    other = compare.compare(read, names=["lr_c0.1"], shots=(16,), count=5, seed=3)
    for line in found.lines:
        assert line.score == pytest.approx(other.score("lr_c0.1", 16, line.metric).mean, abs=1e-4)
    stratum = episodes.strata(read.y, read.group, 2)
    rng = np.random.default_rng([3, 16])
    hand = []
    for _ in range(5):
        one = episodes.draw(stratum, read.group, episodes.shares(stratum, 16), rng)
        model = methods.fit("lr_c0.1", read.x[one.support], read.y[one.support], 2, 3)
        told = methods.probabilities(model, read.x[one.query])[:, 1]
        hand.append(roc_auc_score(read.y[one.query], told))
    assert found.lines[0].score == pytest.approx(np.mean(hand), abs=1e-5)


def test_groups_of_columns(file):
    read = patients.read(file, "died", drop=["sex", "ward"])
    assert set(groups.of_column(read, "sex")) == {"f", "m"}  # a dropped column
    assert set(groups.of_column(read, "died")) == {"no", "yes"}
    age = groups.of_column(read, "age", [40, 65])
    assert set(age) == {"under 40", "40 to under 65", "65 and over", "missing"}
    assert (age == "missing").sum() == 3
    assert len(set(groups.of_column(read, "age"))) == 5  # quarters, and missing
    with pytest.raises(ValueError, match="--by 'gender' is no column"):
        groups.of_column(read, "gender")
    with pytest.raises(ValueError, match="--bands: edges of bands rise"):
        groups.of_column(read, "age", [65, 40])


def test_a_quantity_by_group(file):
    made = pd.read_csv(file)
    made["days"] = (10 * made.marker + np.arange(120) % 7).round(1)
    made.to_csv(file, index=False)
    read = patients.read(file, "days", drop=["ward", "died"])
    found = groups.by_column(read, "ridge_cv", 16, groups.of_column(read, "sex"), count=3, seed=0)
    assert {line.metric for line in found.lines} == {"mse", "spearman"}
    assert all(line.note == "" for line in found.lines) and len(found.gaps) == 2
