"""The study of uncertainty on worlds whose answer is known, and its committed page."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    for name in ("real_tables", "uncertainty_tables", "uncertainty_page"):
        monkeypatch.setitem(sys.modules, name, importlib.import_module(name))
    return sys.modules["uncertainty_tables"], sys.modules["uncertainty_page"]


def world(sharp, units=40, rows=240, shift=0.0, seed=0):
    """A model whose logits are `sharp` times the true ones; two tables a disease; two families."""
    rng = np.random.default_rng(seed)
    unit = np.repeat([f"d{i:02d}" for i in range(units)], 2)
    family = np.where(np.arange(2 * units) < units, "one", "two")
    level = np.repeat(rng.normal(size=units), 2)[:, None]
    z = level + 1.5 * rng.normal(size=(2 * units, rows))
    y = (rng.random(z.shape) < 1 / (1 + np.exp(-z))).astype(np.float32)
    told = np.where((family == "two")[:, None], sharp + shift, sharp) * z
    p = (1 / (1 + np.exp(-told)))[:, None].astype(np.float32)
    lengths = rng.integers(rows // 2, rows, 2 * units)
    y[np.arange(rows) >= lengths[:, None]] = np.nan
    return {
        "family": family, "table": np.char.add(unit, np.tile(["a", "b"], units)), "unit": unit,
        "shots": np.full(2 * units, 16), "p": p, "rows": np.stack([y, np.ones_like(y)], 1),
    }  # fmt: skip


def test_coverage_and_temperature_of_a_model_too_sure_of_itself(study):
    tables, _ = study
    found = tables.analyse(world(sharp=3.0), ["m"], [])
    assert len(found) == 80 and (found.pool == "diseases").all()
    assert abs(found.temperature.mean() - 3) < 0.1
    assert found.told_size.mean() < found["size"].mean() - 0.1  # it is sure where it should not be
    # 39 diseases that hardly differ: 0.9, and up to (1 - 0.1) / 39 for the guarantee; 19, of the
    # other family, likewise.
    assert 0.895 < found.coverage.mean() < 0.93 and 0.89 < found.likely_coverage.mean() < 0.92
    assert 0.895 < found.family_coverage.mean() < 0.955
    assert (found.ece_warm.mean(), found.brier_warm.mean(), found.log_loss_warm.mean()) < (
        found.ece.mean(), found.brier.mean(), found.log_loss.mean()
    )  # fmt: skip
    of_class = found[["class_coverage_0", "class_coverage_1"]].mean()
    assert (0.88 < of_class).all() and (of_class < 0.95).all()


def test_an_honest_model_needs_no_temperature_and_a_shift_is_seen(study):
    tables, _ = study
    honest = tables.analyse(world(sharp=1.0, seed=1), ["m"], [])
    assert abs(np.log(honest.temperature.mean())) < 0.05
    assert abs(honest.brier_warm.mean() - honest.brier.mean()) < 1e-3
    # Of family two the model is far too sure: thresholds of family one do not hold for it.
    shifted = tables.analyse(world(sharp=0.5, shift=4.0, seed=2), ["m"], [])
    by_family = shifted.groupby("family").family_coverage.mean()
    assert by_family["two"] < 0.85 < 0.9 < by_family["one"]
    assert abs(shifted.coverage.mean() - 0.91) < 0.03  # both kinds among those calibrated on


def test_no_disease_judges_itself(study):
    """One disease whose truth is stranger than all others' moves their limit and not its own."""
    tables, _ = study
    arrays = world(sharp=1.0, units=12)
    sites = tables.analyse(arrays | {"family": np.full(24, "sites")}, ["m"], ["sites"])
    assert (sites.pool == "sites").all() and "family_coverage" not in sites
    turned = arrays | {"rows": arrays["rows"].copy(), "family": np.full(24, "sites")}
    turned["rows"][:2, 0] = 1 - turned["rows"][:2, 0]
    other = tables.analyse(turned, ["m"], ["sites"])
    own = sites.unit == "d00"
    assert np.allclose(sites.limit[own], other.limit[own])
    assert (other.limit[~own] >= sites.limit[~own]).all() and not np.allclose(
        sites.limit[~own], other.limit[~own]
    )
    with pytest.raises(ValueError, match="1 unit"):
        tables.analyse({name: part[:2] for name, part in arrays.items()}, ["m"], [])


def test_sets_from_the_support_alone(study):
    tables, _ = study
    rng = np.random.default_rng(3)
    y, truth = rng.integers(2, size=8), rng.integers(2, size=30)
    few = tables.cross_quality(rng.random(8), y, np.zeros(8, int), rng.random((1, 30)), truth,
                               np.ones(30))  # fmt: skip
    assert few == {"coverage": 1.0, "size": 2.0, "everything": 1.0, "rows": 8}
    sure = np.where(truth == 1, 0.99, 0.01)[None].repeat(2, 0)
    held = np.where(np.resize(y, 20) == 1, 0.98, 0.02)
    known = tables.cross_quality(held, np.resize(y, 20), np.arange(20) % 2, sure, truth,
                                 np.ones(30))  # fmt: skip
    assert known["coverage"] == known["size"] == 1 and known["everything"] == 0


COMMITTED = ROOT / "results" / "uncertainty"


def test_the_committed_page_is_that_of_its_numbers(study, tmp_path):
    _, page = study
    if not COMMITTED.exists():
        pytest.skip("no committed numbers")
    for name in ("tasks.csv", "within.csv", "sites.csv"):
        (tmp_path / name).write_bytes((COMMITTED / name).read_bytes())
    page.tabulate(tmp_path)
    assert (tmp_path / "table.md").read_bytes() == (COMMITTED / "table.md").read_bytes()


def test_the_page_tells_what_the_numbers_are(study, tmp_path):
    tables, page = study
    tables.analyse(world(sharp=3.0), ["m"], []).to_csv(tmp_path / "tasks.csv", index=False)
    for name in ("within.csv", "sites.csv"):
        pd.DataFrame().to_csv(tmp_path / name, index=False)
    text = page.tabulate(tmp_path)
    assert "## Diseases: 40 diseases, 80 tables" in text
    row = next(line for line in text.splitlines() if line.startswith("| m | across tasks"))
    assert 89 < float(row.split("|")[3].split("[")[0]) < 93
