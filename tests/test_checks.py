"""The checks beside published figures: what their tables say of records made by hand."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metajax.tables import Run

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))

    def load(name):
        found = importlib.import_module(name)
        monkeypatch.setitem(sys.modules, name, found)
        return found

    return load


def config(learner, **train):
    return {"learner": learner, "seed": 0, "train": {"steps": 10} | train}


def test_omniglot_is_reached_where_the_interval_touches_the_band(script):
    omniglot = script("omniglot")

    def run(learner, accuracy):
        scores = {"accuracy": np.asarray(accuracy, np.float32), "task": np.zeros(len(accuracy))}
        result = {"seconds": {"fit": 60, "test": 60}, "curve": [[5, 0.5], [10, 0.75]]}
        return Run(learner, config(learner), {}, result, scores)

    low = run("maml", np.tile([0.9, 0.92], 300))
    high = run("protonet", np.tile([0.96, 1.0], 300))
    frame, page = omniglot.table([low, high])
    assert frame.learner.tolist() == ["protonet", "maml"]
    assert frame.verdict.tolist() == ["reached", "not reached"]
    np.testing.assert_allclose(frame["mean"], [0.98, 0.91], atol=1e-6)
    width = 1.96 * 0.01 / np.sqrt(600)  # of MAML's mean
    np.testing.assert_allclose(frame.high[1] - frame.low[1], 2 * width, rtol=0.1)
    assert "| maml | 10 | 2 | 0.9100 [0.9092, 0.9108] | 0.987 |" in page
    assert "- maml, after so many steps: 5: 0.500, 10: 0.750" in page


def test_fsmol_counts_the_panel_once_and_pairs_assays(script):
    fsmol = script("fsmol")
    names = ["A", "B", "C", "D"]  # A and B share a set of molecules
    rows = {"task": np.arange(4).repeat(2), "cluster": np.array([0, 0, 2, 3]).repeat(2)}
    ours = np.array([0.1, 0.1, 0.4, 0.6])
    scores = {
        **rows, "shots": np.full(8, 16), "draw": np.tile([0, 1], 4),
        "prevalence": np.full(8, 0.5),
        "auprc": np.stack([0.5 + ours, np.full(4, 9)], 1).ravel(),  # the balanced draw is not read
    }  # fmt: skip
    result = {"tasks": names, "seconds": {"total": 120.0}, "steps": [5]}
    theirs = pd.DataFrame({"task": names[::-1], "shots": 16, "method": "DKT"})
    theirs["gain"] = [0.8, 0.6, 0.2, 0.0]
    frame, page = fsmol.table([Run("x", config("dkt"), {}, result, scores)], theirs)
    found = frame.set_index("assays")
    assert found.n.to_dict() == {"all": 4, "kinase panel": 2, "other": 2}
    assert found.sets.to_dict() == {"all": 3, "kinase panel": 1, "other": 2}
    np.testing.assert_allclose(found.ours, [1.1 / 3, 0.1, 0.5])
    np.testing.assert_allclose(found.published, [1.5 / 3, 0.1, 0.7])
    np.testing.assert_allclose(found.ours_by_assay, [0.3, 0.1, 0.5])
    np.testing.assert_allclose(found.difference, found.ours - found.published)
    assert found.verdict[["kinase panel", "other"]].tolist() == ["reached", "not reached"]
    assert "| dkt | DKT | 16 | other | 2 (2) | 0.500 (0.500) | 0.700 (0.700) | -0.200" in page
    assert "10 steps, the network after 5 chosen by meta-validation; 2 minutes" in page
