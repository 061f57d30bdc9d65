"""One file, no tasks: draws, scores, intervals, words and the page."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import log_loss, r2_score, roc_auc_score

from metajax import __main__ as command
from metajax.bedside import compare, episodes, intervals, page, patients, scores, words
from metajax.datasets import DataError


def table(rows=60, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.normal(60, 10, rows).round(1)
    made = pd.DataFrame({
        "patient": [f"P{i:03d}" for i in range(rows)],
        "age": age,
        "sex": rng.choice(["male", "female"], rows),
        "site": rng.choice(["lung", "<script>alert(1)</script>", "skin"], rows),
        "crp": np.exp(rng.normal(2, 1, rows)).round(2),
    })  # fmt: skip
    made["died"] = np.where(age + rng.normal(0, 8, rows) > 60, "yes", "no")
    made.loc[3, "crp"] = np.nan
    return made


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "patients.csv"
    table().to_csv(path, index=False)
    return path


def test_scores_are_those_of_scikit_learn_and_influences_their_derivatives():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 40)
    p = rng.dirichlet(np.ones(3), 40).round(2) + 0.01
    p /= p.sum(1, keepdims=True)
    two = np.stack([1 - p[:, 0], p[:, 0]], 1)
    sick = (y == 0).astype(int)
    cases = [
        (scores.of_classes(two, sick), two, sick, {
            "auroc": lambda w: roc_auc_score(sick, two[:, 1], sample_weight=w),
            "log_loss": lambda w: log_loss(sick, two, sample_weight=w),
            "brier": lambda w: np.average((two[:, 1] - sick) ** 2, weights=w)}),
        (scores.of_classes(p, y), p, y, {
            "auroc": lambda w: np.mean([roc_auc_score(y == c, p[:, c], sample_weight=w)
                                        for c in range(3)]),
            "log_loss": lambda w: log_loss(y, p, sample_weight=w)}),
        (scores.of_quantities(p[:, 0], p[:, 1] - p[:, 2]), None, None, {
            "r2": lambda w: r2_score(p[:, 1] - p[:, 2], p[:, 0], sample_weight=w),
            "mae": lambda w: np.average(np.abs(p[:, 1] - p[:, 2] - p[:, 0]), weights=w)}),
    ]  # fmt: skip
    for found, _, _, wanted in cases:
        for metric, theirs in wanted.items():
            ones = np.ones(40)
            assert found[metric].value == pytest.approx(theirs(ones), abs=1e-9), metric
            for row in (0, 7, 39):
                more = ones.copy()
                more[row] += 1e-5
                slope = (theirs(more) - theirs(ones)) / 1e-5
                assert found[metric].influence[row] == pytest.approx(slope, abs=2e-5), metric


def test_supports_have_their_size_their_classes_and_nobody_of_the_query():
    rng = np.random.default_rng(0)
    group = np.sort(rng.integers(0, 50, 120))
    group = np.unique(group, return_inverse=True)[1]
    y = (np.arange(120) % 4 == 0).astype(int)
    stratum = episodes.strata(y, group, 2)
    for k in (4, 8, 16):
        given = episodes.shares(stratum, k)
        assert given.sum() == k and given.min() >= 2
        one = episodes.draw(stratum, group, given, rng)
        assert not set(group[one.support]) & set(group[one.query])
        assert len(set(group[one.support])) == k
        assert len(one.support) + len(one.query) == 120
    counts = np.bincount(stratum)
    assert episodes.shares(stratum, 2 * counts.sum()) is None
    assert (episodes.shares(np.repeat([0, 1], [40, 40]), 16) == 8).all()
    assert (episodes.shares(np.repeat([0, 1], [60, 20]), 16) == [12, 4]).all()
    # A rare class gives what it can, and does not keep the others from being many.
    assert (episodes.shares(np.repeat([0, 1, 2], [11, 10, 3]), 11) == [5, 5, 1]).all()
    assert episodes.shares(np.repeat([0, 1], [20, 1]), 8) is None


def _world(rng, rows):
    y = (np.arange(rows) < 0.4 * rows).astype(int)
    return rng.normal(size=(rows, 3)) + y[:, None] * np.array([0.7, 0.4, 0.0]), y


def _tallies(x, y, k, count, rng):
    """AUROC of two simple scores: the difference of class means, and of the first column alone."""
    group = np.arange(len(y))
    stratum = episodes.strata(y, group, 2)
    given = episodes.shares(stratum, k)
    told = {"all": [], "first": []}
    inside, judged = np.zeros((2, count, len(y)), bool)
    for e in range(count):
        one = episodes.draw(stratum, group, given, rng)
        inside[e, one.support], judged[e, one.query] = True, True
        z, label = x[one.support], y[one.support]
        slope = z[label == 1].mean(0) - z[label == 0].mean(0)
        for name, weight in (("all", slope), ("first", slope * [1, 0, 0])):
            p = norm.cdf(x[one.query] @ weight)
            score = scores.of_classes(np.stack([1 - p, p], 1), y[one.query])["auroc"]
            influence = np.zeros(len(y))
            influence[one.query] = score.influence
            told[name].append((score.value, influence))
    return {
        name: intervals.Tally(*map(np.array, zip(*found, strict=True)), inside, judged, stratum)
        for name, found in told.items()
    }


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    truth = [_tallies(*_world(rng, 2000), 16, 4, rng) for _ in range(60)]
    wanted = {name: np.mean([one[name].value.mean() for one in truth]) for name in truth[0]}
    held, narrow, paired = [], [], []
    for _ in range(150):
        found = _tallies(*_world(rng, 60), 16, 30, rng)
        one = intervals.estimate(found["all"])
        whole = intervals.interval(one)
        held.append(whole.low <= wanted["all"] <= whole.high)
        judged_only = intervals.interval(one._replace(teaching=0 * one.teaching, noise=0.0))
        narrow.append(judged_only.low <= wanted["all"] <= judged_only.high)
        gap = intervals.interval(intervals.estimate(found["all"], found["first"]))
        paired.append(gap.low <= wanted["all"] - wanted["first"] <= gap.high)
    # 150 worlds: a coverage of 95 % is measured to within 1.8 points.
    assert 0.90 <= np.mean(held) <= 0.995
    assert 0.90 <= np.mean(paired)
    # What resampling the judged patients alone would say is too narrow, by far.
    assert np.mean(narrow) < 0.90


def test_groups_and_near_copies_are_one_patient(tmp_path):
    made = table(40)
    made.loc[20, ["age", "sex", "site", "crp"]] = made.loc[5, ["age", "sex", "site", "crp"]].values
    made.loc[20, "age"] += 0.01
    made.loc[30, "patient"] = "P031"
    path = tmp_path / "p.csv"
    made.to_csv(path, index=False)
    read = patients.read(path, "died", "patient")
    assert read.group[20] == read.group[5] and read.group[30] == read.group[31]
    assert int(read.group.max()) + 1 == 38
    assert any("39 patients" in note for note in read.notes)
    assert any("2 rows are the same, or nearly so" in note for note in read.notes)


def test_a_comparison_says_who_is_best_and_what_more_labels_are_worth(file):
    read = patients.read(file, "died", "patient")
    assert read.frame.dtypes["site"] == "category" and read.frame.dtypes["age"].kind == "f"
    found = compare.compare(read, names=["class_mean", "lr_c0.1", "knn"], count=12)
    assert found.sizes == (8, 16)
    metric = words.table(found).query("metric == 'auroc' and labelled == 16")
    assert metric["mean"].is_monotonic_decreasing and len(metric) == 3
    best, level = found.chosen(16)
    said = words.verdict(found, 16)
    told = r"With 16 labelled patients use .*: AUROC \.\d\d, 95 % interval \.\d\d to \.\d\d"
    assert re.match(told, said)
    assert words.name_of(best) in said and all(words.name_of(m) in said for m in level)
    worth = r"8 more labels, 8 to 16, were worth [+-]?\.\d\d AUROC"
    assert re.match(worth, words.more_labels(found))
    again = compare.compare(read, names=["class_mean", "lr_c0.1", "knn"], count=12)
    pd.testing.assert_frame_equal(words.table(found), words.table(again))


def test_the_page_is_whole_and_escaped(file):
    read = patients.read(file, "died", "patient")
    found = compare.compare(read, names=["class_mean", "lr_c0.1"], count=4)
    text = page.comparison(found, read.reading, read.notes, "<b>died</b>")
    assert "<script" not in text and "&lt;script&gt;alert(1)" in text and "<b>died" not in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert text.count("<table>") == 3 and text.count('role="img"') == 1
    assert words.verdict(found, 16) in text


def test_a_quantity_is_compared_too(tmp_path):
    made = table(60).drop(columns="died")
    made["stay"] = (made.age / 3 + np.arange(60) / 7).round(2)
    made.to_csv(tmp_path / "p.csv", index=False)
    read = patients.read(tmp_path / "p.csv", "stay", "patient")
    found = compare.compare(read, names=["ridge_cv", "knn"], count=6)
    assert list(found.metrics) == ["r2", "mae"]
    assert "share of variance explained" in words.verdict(found, 16)


def test_what_the_file_does_not_allow_is_said_with_what_it_does(file, tmp_path):
    read = patients.read(file, "died", "patient")
    allowed = r"--shots 64: this file allows \d+ to \d+ .*Remedy: --shots"
    with pytest.raises(DataError, match=allowed):
        compare.compare(read, shots=(8, 64))
    with pytest.raises(ValueError, match="--methods best: there are pfn, pfn\\+lr"):
        compare.compare(read, names=["best"])
    table(6).assign(died=["yes"] * 5 + ["no"]).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(DataError, match="too small to be compared on: 1 of 'no', 5 of 'yes'"):
        compare.compare(patients.read(tmp_path / "p.csv", "died", "patient"))


def test_the_command_writes_the_page_and_the_scores(file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("metajax.compiled.keep_compiled", lambda: None)
    monkeypatch.setattr("metajax.surroundings.check", lambda: None)
    out = tmp_path / "out"
    flags = ["compare", "--table", str(file), "--label", "died", "--group", "patient", "--episodes",
             "3", "--shots", "8", "--methods", "class_mean", "--out", str(out)]  # fmt: skip
    assert command.main(flags) == 0
    told = capsys.readouterr().out
    assert "With 8 labelled patients use the nearest class mean: AUROC" in told
    assert (out / "report.html").stat().st_size > 4000
    assert list(pd.read_csv(out / "scores.csv").metric) == ["auroc", "log_loss", "brier"]
    assert command.main([*flags[:-1], str(file)]) == 2
    assert "is a file. Remedy: name a folder" in capsys.readouterr().err
    assert command.main([*flags[:4], "dead", *flags[5:]]) == 2
    assert "has no column 'dead'; did you mean" in capsys.readouterr().err


def test_help_imports_nothing_heavy():
    code = ("import sys, metajax.__main__ as m\ntry: m.main(['compare', '--help'])\n"
            "except SystemExit: pass\n"
            "print(sorted({'jax', 'numpy', 'pandas', 'sklearn'} & set(sys.modules)))")
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[]" and "--shots" in told.stdout
