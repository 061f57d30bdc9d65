"""Wrong labels and rare classes: what is drawn, what is looked at, and what is told."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import modified

from metajax import tables
from metajax.config import Encoder
from metajax.datasets import Card, Counts, Family
from metajax.sample_reweighting import pages, training
from metajax.sample_reweighting.draws import choose_rows, make_draws, parts
from metajax.sample_reweighting.runs import weights_told
from metajax.sample_reweighting.settings import DATA, Data, Setting

ROOT = Path(__file__).resolve().parents[1]


def toy(rows=800, seed=0):
    """A table of two classes that one column tells apart; some cells are missing."""
    rng = np.random.default_rng(seed)
    y = (np.arange(rows) % 2).astype(np.int32)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    x[:, 0] += 3 * y
    x[rng.uniform(size=x.shape) < 0.05] = np.nan
    card = Card(
        name="toy", title="", task="", label="", split_unit="task", row_group="none",
        cluster="task", splits="", protocol="", licence="", citation="", homepage="", files=(),
        prevalence=(), overlaps="", intended_use="", improper_use="", counts=Counts(1, rows, rows),
    )  # fmt: skip
    return Family(x, y, np.zeros(rows, np.int32), ("toy",), card, tuple("abcd"))


@pytest.fixture
def suite(monkeypatch):
    """The script with two small settings in place of its own."""
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    script = importlib.import_module("sample_reweighting")
    monkeypatch.setitem(sys.modules, "sample_reweighting", script)
    settings = (Setting("toy", "flip", 0.4), Setting("toy", "imbalance", 0.9))
    for module in (script, pages):
        monkeypatch.setattr(module, "SETTINGS", settings)
    monkeypatch.setattr(script, "load", lambda name, data_dir: toy())
    monkeypatch.setattr(script, "PRESETS", {"full": script.Flags(), "smoke": script.Flags()})
    monkeypatch.setattr(script.sweeps, "keep_compiled", lambda: None)
    return script


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A small data set, and two step sizes to choose from."""
    data = Data(120, 100, (0.9,), 2, 40, Encoder((8,), skip=False))
    monkeypatch.setitem(DATA, "toy", data)
    monkeypatch.setattr(training, "RATES", (0.01, 0.1))
    training.programs.cache_clear()


def command(suite, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["sample_reweighting.py", *arguments])
    return suite.main()


# Draws ----------------------------------------------------------------------------------------


def test_patients_are_dealt_out_once_and_by_class():
    family = toy()
    side = parts(family)
    for label in (0, 1):
        assert np.bincount(side[family.y == label]).tolist() == [200, 40, 160]
    np.testing.assert_array_equal(side, parts(family))


def test_published_parts_are_kept_but_for_rows_that_are_in_two():
    part = np.array([0, 0, 0, 1, 1, 2, 2], np.int8)
    group = np.array([0, 1, 2, 3, 1, 4, 2], np.int32)
    family = toy(7)._replace(part=part, group=group)
    np.testing.assert_array_equal(parts(family), [0, -1, -1, 1, 1, 2, 2])


def test_names_of_settings():
    names = [Setting("a", "imbalance", share).name[-4:] for share in (0.9, 0.95, 0.995)]
    assert names == ["ce90", "ce95", "e995"]
    assert Setting("a", "flip", 0.2).name == "a_flip20"


def test_flips_are_made_at_their_rate_and_spare_the_right_rows():
    family, setting = toy(), Setting("toy", "flip", 0.4)
    numbers = range(20)
    some, more = (make_draws(setting, family, right, numbers, 2) for right in (10, 50))
    support, query = some.episode
    present = support.mask[..., 0] > 0
    assert (present.sum(1) == 130).all() and (support.info["row"][~present] == -1).all()
    np.testing.assert_array_equal(support.info["trusted"].sum(1), 10)
    wrong = present & (support.y[..., 1] != some.truth)
    assert not wrong[:, :50].any()
    assert abs(wrong[:, 50:].mean() - 0.4) < 4 * np.sqrt(0.24 / (20 * 120))
    trusted = support.info["trusted"] > 0
    assert (some.truth[trusted].reshape(20, 10).mean(1) == 0.5).all()
    # The same damaged rows whatever the number of right rows, and others in every draw.
    np.testing.assert_array_equal(
        support.info["row"][:, 50:], more.episode.support.info["row"][:, 50:]
    )
    assert (support.info["row"][0, 50:] != support.info["row"][1, 50:]).any()
    for rows, asked in zip(support.info["row"], query.info["row"], strict=True):
        assert len(set(rows[rows >= 0].tolist())) == 130
        assert not set(rows.tolist()) & set(asked.tolist())
    ideal = make_draws(setting, family, 10, numbers, 2, ideal=True)
    np.testing.assert_array_equal(ideal.episode.support.info["row"], support.info["row"])
    mask = ideal.episode.support.mask[..., 1]
    np.testing.assert_array_equal(ideal.episode.support.y[..., 1], ideal.truth * mask)


def test_the_rare_class_is_as_rare_as_said():
    family, setting = toy(), Setting("toy", "imbalance", 0.9)
    for ideal, rare in ((False, 10), (True, 50)):
        draws = make_draws(setting, family, 10, range(3), 2, ideal=ideal)
        support = draws.episode.support
        labels, mask = support.y[..., 1], support.mask[..., 1]
        np.testing.assert_array_equal(mask.sum(1), 110)
        np.testing.assert_array_equal(labels[:, 50:].sum(1), rare)
        np.testing.assert_array_equal(labels[:, :50].sum(1), 5)
        np.testing.assert_array_equal(labels, draws.truth * mask)


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="toy_imbalance90: 70 training rows for 100"):
        choose_rows(Setting("toy", "imbalance", 0.9), np.arange(130) % 2, 0, 100)


def test_scales_come_from_the_rows_of_the_support():
    family, setting = toy(), Setting("toy", "flip", 0.4)
    support, query = make_draws(setting, family, 10, [0], 2).episode
    rows = support.info["row"][0]
    x = family.x[rows[rows >= 0]].astype(np.float64)
    z = (family.x[query.info["row"][0]] - np.nanmean(x, 0)) / np.nanstd(x, 0)
    np.testing.assert_allclose(query.x[0][:, :4], np.clip(np.nan_to_num(z), -4, 4), atol=1e-5)


# What is told of weights ----------------------------------------------------------------------


def test_what_is_told_of_weights():
    setting = Setting("toy", "flip", 0.4)
    draws = make_draws(setting, toy(), 10, range(2), 2)
    wrong = draws.episode.support.y[..., 1] != draws.truth
    told = weights_told(setting, np.where(wrong, 0.5, 2.0), draws)
    np.testing.assert_array_equal(told["weight_right"], 2)
    np.testing.assert_array_equal(told["weight_wrong"], 0.5)
    np.testing.assert_array_equal(told["weight_auroc"], 1)
    counts = told["weight_counts"]
    assert counts.sum() == 240 and counts[1].sum() == wrong[:, 50:].sum()
    assert counts[0, 20] == counts[0].sum() and counts[1, 5] == counts[1].sum()
    same = weights_told(setting, np.full(wrong.shape, 9.0), draws)
    np.testing.assert_array_equal(same["weight_auroc"], 0.5)
    assert same["weight_counts"][:, -1].sum() == 240  # above the last edge
    setting = Setting("toy", "imbalance", 0.9)
    draws = make_draws(setting, toy(), 10, range(2), 2)
    told = weights_told(setting, 1 + 2.0 * draws.truth, draws)
    assert (told["weight_rare"] == 3).all() and (told["weight_common"] == 1).all()


# Runs -----------------------------------------------------------------------------------------


def test_the_step_size_is_chosen_without_test_rows(tmp_path):
    setting, family = Setting("toy", "flip", 0.4), toy()
    x = np.where((parts(family) == 2)[:, None], 7, family.x)
    for name, one in (("a", family), ("b", family._replace(x=x))):
        (tmp_path / name).mkdir()
        training.best_rate("uniform", setting, one, 5, tmp_path / name)
    files = [(tmp_path / name / "validation.csv").read_text() for name in "ab"]
    assert files[0] == files[1]
    frame = pd.read_csv(tmp_path / "a/validation.csv")
    frame["auroc"] = [0.2, 0.9]
    frame.to_csv(tmp_path / "a/validation.csv", index=False)
    assert training.best_rate("uniform", setting, family, 5, tmp_path / "a") == 0.1  # looked up


def test_the_suite_from_flags_to_tables(suite, monkeypatch, tmp_path, capsys):
    methods = ("ideal", "right_rows", "uniform", "reweight", "lr_c0.01")
    flags = (f"--results={tmp_path}", "--methods", *methods)
    assert command(suite, monkeypatch, *flags) == 0
    folder = tmp_path / "sample_reweighting"
    runs = tables.load_runs(folder)
    assert len(runs) == 10
    by = {(r.config["benchmark"], r.config["learner"]): r.scores for r in runs}
    learned = by["toy_flip40", "reweight"]
    assert (learned["weight_wrong"] < learned["weight_right"]).all()
    assert (learned["weight_auroc"] > 0.6).all()
    assert by["toy_imbalance90", "reweight"]["weight_rare"].mean() > 1
    means = {name: by["toy_flip40", name]["auroc"].mean() for name in methods}
    assert means["uniform"] < means["reweight"] <= means["ideal"] + 0.02
    assert "weight_auroc" not in by["toy_flip40", "uniform"]
    assert len({r.result["episodes_digest"] for r in runs}) == 1
    page = (folder / "table.md").read_text()
    assert "| toy flip | 3 |" in page and "not refuted" in page
    assert "- AUROC, 4 settings: `reweight` is better than plain training in " in page
    assert "right label" in (folder / "report.html").read_text()

    before = modified(folder / "runs")
    assert command(suite, monkeypatch, *flags) == 0
    assert modified(folder / "runs") == before
    assert "finished before" in capsys.readouterr().out
    assert pages.write_tables(folder, tables.load_runs(folder)) == page

    # Differences are signed so that more is better.
    frame = tables.long_table(runs, by_task=False)
    numbers = frame.set_index(["metric", "benchmark", "shots", "learner"])["mean"].sort_index()
    where = (pages.SETTINGS[0], 20)
    for metric, sign in (("auroc", 1), ("brier", -1)):
        scores = numbers[metric, "toy_flip40", 20]
        row = pages.against(runs, metric, {where: scores})["reweight", "uniform", where]
        assert row["mean"] == pytest.approx(sign * (scores.reweight - scores.uniform))
        assert row.low < row["mean"] < row.high


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--benchmark=toy_flip41", "toy_flip41"),
        ("--methods=maml", "unknown 'maml'"),
        ("--draws=1", "--draws"),
        ("--steps=0", "--steps"),
    ],
)
def test_bad_flags_exit_2(suite, monkeypatch, tmp_path, capsys, flag, said):
    assert command(suite, monkeypatch, flag, f"--results={tmp_path}") == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_misspelt_flag_exits_2(suite, monkeypatch, capsys):
    with pytest.raises(SystemExit) as stopped:
        command(suite, monkeypatch, "--step=3")
    assert stopped.value.code == 2
