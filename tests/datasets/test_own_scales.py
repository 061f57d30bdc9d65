"""A user's table in other units is the same benchmark, or is refused: never another in silence."""

import jax
import numpy as np
import pandas as pd
import pytest
from worlds import quick_jit

from metajax.benchmarks import leave_one_task_out
from metajax.datasets import DataError, own
from metajax.tasks import chain, standardise_by_support, standardise_targets

RNG = np.random.default_rng(0)
ROWS = 120
X = RNG.normal(size=(ROWS, 3))
SITE = np.repeat(["a", "b", "c"], ROWS // 3)
QUANTITY = X @ [1.0, -2.0, 0.5] + 0.3 * RNG.normal(size=ROWS)
DEAD = (QUANTITY > 0).astype(int)


def family(folder, x, y):
    """The family of a file with these columns."""
    path = folder / "table.csv"
    columns = {"crp": x[:, 0], "weight": x[:, 1], "titre": x[:, 2], "y": y, "site": SITE}
    pd.DataFrame(columns).to_csv(path, index=False)
    return own.table_family(path, "y", "site")


def episode(made, prepare):
    """What a learner sees of the first test episode."""
    built = leave_one_task_out("own", made, range(3), shots=(8,), prepare=prepare)
    source = built.folds[0].test
    found = quick_jit(source.sample)(source.data, jax.random.key(0))
    return [np.asarray(leaf) for part in found for leaf in (part.x, part.y)]


@pytest.mark.parametrize("prepare", [None, standardise_by_support])
def test_features_in_any_unit_give_the_same_episodes(tmp_path, prepare):
    want = episode(family(tmp_path, X, DEAD), prepare)
    assert np.abs(want[0]).max() > 1
    for factors in ([1e-7] * 3, [1e7] * 3, [1e30, 1e-30, 1.0], [1e-20, 1e20, 1e-3]):
        found = episode(family(tmp_path, X * factors, DEAD), prepare)
        for one, same in zip(found, want, strict=True):
            np.testing.assert_allclose(one, same, atol=2e-5)


@pytest.mark.parametrize("factor", [1e-30, 1e-7, 1e7, 1e30])
def test_targets_in_any_unit_give_the_same_episodes(tmp_path, factor):
    prepare = chain(standardise_by_support, standardise_targets)
    want = episode(family(tmp_path, X, QUANTITY), prepare)
    found = episode(family(tmp_path, X, QUANTITY * factor), prepare)
    assert want[1].std() > 0.3
    for one, same in zip(found, want, strict=True):
        np.testing.assert_allclose(one, same, atol=2e-5)


@pytest.mark.parametrize("change", [lambda v: v * 1e-50, lambda v: v + 1e12, lambda v: v * 1e60])
def test_what_single_precision_loses_is_refused_by_name(tmp_path, change):
    with pytest.raises(DataError, match="'y' (cannot be held|is infinite).*Remedy"):
        family(tmp_path, X, change(QUANTITY))
    with pytest.raises(DataError, match="'crp' (cannot be held|is infinite).*Remedy"):
        family(tmp_path, np.c_[change(X[:, 0]), X[:, 1:]], DEAD)


def test_eighteen_digits_still_name_a_case(tmp_path):
    numbers = 10**16 + 8.0 * RNG.integers(0, 10**15, ROWS)
    with pytest.raises(DataError, match="as many digits in every row"):
        family(tmp_path, np.c_[numbers, X[:, 1:]], DEAD)


def test_a_class_of_tasks_that_are_left_out_is_no_output(tmp_path):
    """Where only such a task has a class, models had an output that is never right."""
    y = np.where(DEAD, "dead", "moved").astype(object)
    y[SITE == "c"] = "alive"
    x = np.r_[X, X[:40]]
    y, site = np.r_[y, y[:40]], np.r_[SITE, np.repeat("d", 40)]
    columns = {"crp": x[:, 0] + np.arange(160) * 1e-3, "y": y, "site": site}
    pd.DataFrame(columns).to_csv(tmp_path / "table.csv", index=False)
    made = own.table_family(tmp_path / "table.csv", "y", "site", rules=own.Rules(coding="keep"))
    with pytest.raises(DataError, match="has one class"):
        own.usable(made, (4,), skip=False)
    kept, skipped = own.usable(made, (4,), skip=True)
    assert made.classes == ("alive", "dead", "moved") and kept.classes == ("dead", "moved")
    told = np.array(kept.classes)[kept.y]
    np.testing.assert_array_equal(told, y[site != "c"])
    assert "class 'alive', of which no task that is left has a row" in skipped
    assert kept.card.counts.labels == tuple(np.bincount(kept.y).tolist())
    built = leave_one_task_out("own", kept, range(3), shots=(4,))
    assert built.spec.outputs == 2
