"""The page of the estimator's rule: made of its records, by hand where that is short."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metajax import FewShotClassifier

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "results" / "estimator"


@pytest.fixture(scope="module")
def script():
    """The module of the script."""
    sys.path.insert(0, str(ROOT / "experiments"))
    try:
        spec = importlib.util.spec_from_file_location(
            "estimator_script", ROOT / "experiments" / "estimator.py"
        )
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(ROOT / "experiments"))


def test_the_committed_page_is_that_of_its_records(script, tmp_path):
    shutil.copy(FOLDER / "tables.csv", tmp_path)
    page = script.tabulate(tmp_path)
    assert page == (FOLDER / "table.md").read_text()
    assert (tmp_path / "summary.csv").read_text() == (FOLDER / "summary.csv").read_text()


def test_a_mean_over_diseases_and_its_difference_by_hand(script):
    records = pd.read_csv(FOLDER / "tables.csv")
    found = pd.read_csv(FOLDER / "summary.csv")
    mine = records[~records.seen & (records.shots == 32)]
    wide = mine.pivot_table(index=["disease", "table"], columns="method", values="log_loss")
    means = wide.groupby("disease").mean().mean()
    row = found[(found.tables != "all") & (found.shots == 32) & (found.score == "log_loss")]
    row = row.set_index("method")
    for method in script.METHODS:
        assert row["mean"][method] == pytest.approx(means[method], rel=1e-4)
        assert row["minus"][method] == pytest.approx(means["auto"] - means[method], abs=1e-5)


def test_the_numbers_of_the_docstring_are_those_of_the_page():
    found = pd.read_csv(FOLDER / "summary.csv")
    found = found.set_index(["tables", "shots", "score", "method"]).sort_index()
    told = re.sub(r"\s+", " ", FewShotClassifier.__doc__)
    one = found.loc["all", 0]
    for method in ("lr_c0.01", "lr_c1", "random_forest"):
        gain = one.loc["auroc", method]
        numbers = "{:+.2f} [{:+.2f}, {:+.2f}]".format(
            *(100 * gain[name] for name in ("minus", "low", "high"))
        )
        assert numbers in told, f"{method}: {numbers}"
    losses = [one.loc["log_loss", m]["mean"] for m in ("auto", "lr", "random_forest")]
    assert "{:.3f} against {:.3f} and {:.3f}".format(*losses).replace("0.", ".") in told
    assert f"{int(one.loc['auroc', 'auto']['count'])} real tables" in told
    assert np.isfinite(losses).all()
