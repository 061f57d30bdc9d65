"""How a prior-fitted network is compared on real tables, and what the prior is compared by."""

import dataclasses
import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from metajax.learners import LEARNERS
from metajax.nn import Identity
from metajax.types import TaskSpec

ROOT = Path(__file__).resolve().parents[1]


def module(monkeypatch, name, folder):
    monkeypatch.syspath_prepend(str(ROOT / folder))
    found = importlib.import_module(name)
    monkeypatch.setitem(sys.modules, name, found)
    return found


@pytest.fixture
def real(monkeypatch):
    return module(monkeypatch, "real_tables", "experiments")


def toy(real, rows=200, columns=6, seed=0, group=None):
    """A table in which column 0 tells of the label."""
    rng = np.random.default_rng(seed)
    y = (np.arange(rows) % 4 == 0).astype(int)
    x = rng.normal(size=(rows, columns)).astype(np.float32)
    x[:, 0] += 2 * y
    x[rng.uniform(size=x.shape) < 0.1] = np.nan
    group = np.arange(rows) if group is None else group
    return real.Table(f"toy {seed}", f"disease {seed}", True, x, y, np.ones(rows), group)


@pytest.mark.parametrize("draw", ["balanced", "natural"])
def test_sides_of_an_episode_share_no_patient(real, draw):
    table = toy(real, group=np.arange(200) // 2)
    support, query = real.split(table, 16, draw, 0)
    assert table.y[support].sum() == {"balanced": 8, "natural": 4}[draw]
    assert len(set(support.tolist())) == 16
    assert not set(table.group[support].tolist()) & set(table.group[query].tolist())
    again = real.split(table, 16, draw, 0)
    np.testing.assert_array_equal(np.concatenate([support, query]), np.concatenate(again))
    assert set(support.tolist()) != set(real.split(table, 16, draw, 1)[0].tolist())


def test_tables_too_small_for_a_support_are_left_out(real):
    table = toy(real, rows=60)  # 15 of class 1
    assert real.split(table, 20, "balanced", 0) is not None  # 10 and 5 are left
    assert real.split(table, 22, "balanced", 0) is None
    one = toy(real, group=np.zeros(200, int))
    assert real.split(one, 8, "balanced", 0) is None


def test_scales_come_from_the_support_alone(real):
    table = toy(real)
    support, query = real.split(table, 32, "balanced", 0)
    given, asked = real.inputs(table, support, query)
    x = table.x[support].astype(np.float64)
    z = np.nan_to_num((x - np.nanmean(x, 0)) / np.nanstd(x, 0))
    np.testing.assert_allclose(given[:, :6], z, atol=1e-6)
    flags = np.isnan(x).any(0)
    np.testing.assert_array_equal(given[:, 6:], np.isnan(x[:, flags]))
    other = table._replace(x=table.x.copy())
    other.x[query[1:]] *= 3
    np.testing.assert_array_equal(real.inputs(other, support, query)[1][0], asked[0])


def test_the_network_reads_the_columns_that_tell_most_and_no_padding(real):
    """An untrained network is a vote: on a wide table it must find the one column that tells."""
    import jax

    from metajax.tasks import disease_prior

    learner = LEARNERS["pfn"](TaskSpec(2, "multiclass"), Identity(), width=8, blocks=1, heads=1)
    source = disease_prior(shots=8, queries=8, columns=8)
    params = learner.init(jax.random.key(0), source.sample(source.data, jax.random.key(0)))
    predict = real.in_context(learner, params)
    table = toy(real)
    support, query = real.split(table, 16, "balanced", 0)
    plain = predict(table, support, query)
    assert plain.shape == query.shape and plain.min() > 0 and plain.max() < 1
    sick = table.y[query] == 1
    assert plain[sick].mean() > plain[~sick].mean() + 0.1
    np.testing.assert_allclose(predict(table, support, query[:3]), plain[:3], atol=1e-6)
    # Constant columns fill the table up to 60: the same 6 are chosen.
    wide = np.concatenate([np.ones((200, 54), np.float32), table.x], 1)
    np.testing.assert_allclose(predict(table._replace(x=wide), support, query), plain, atol=1e-5)


def records(real, gains):
    """AUROC .7 for every method but `pfn`, which gains so many points on each table."""
    rows = []
    for t, gain in enumerate(gains):
        for k in (8, 16):
            for method in real.METHODS:
                value = 0.7 + 0.01 * gain * (method == "pfn")
                rows.append({"table": f"t{t}", "disease": f"d{t // 2}", "seen": True, "shots": k,
                             "draw": "natural", "method": method, "auroc": value})  # fmt: skip
    return pd.DataFrame(rows)


def test_summary_by_hand(real):
    gains = np.arange(1, 25)
    found = real.summary(records(real, gains)).set_index(["k", "method"])
    assert set(found.index.get_level_values("k")) == {0, 8, 16}
    row = found.loc[(0, "lr_cv")]
    assert (row.tables, row.diseases, row.pfn_won, row.pfn_lr_won) == (24, 12, 24, 0)
    np.testing.assert_allclose(
        [row.auroc, row.pfn_gain, row.pfn_lr_gain], [0.7, 12.5, 0], atol=1e-9
    )
    assert row.pfn_low < 12.5 < row.pfn_high
    # 12 diseases, all won: two-sided exact p of 2 / 2 ** 12, times 8 methods.
    np.testing.assert_allclose(row.pfn_p, 8 * 2 / 2**12)
    ranks = found.loc[0, "rank"]
    assert ranks["pfn"] == 1
    np.testing.assert_allclose(ranks.drop("pfn"), np.mean(np.arange(2, 10)))
    few = real.summary(records(real, gains[:8]))
    assert few.pfn_p.isna().all()  # 4 diseases: no p-value
    page = real.markdown(real.summary(records(real, gains)), 5)
    assert "24 at k = 8, 24 at k = 16" in page and "nan" not in page


def test_statistics_of_a_table_by_hand(monkeypatch):
    script = module(monkeypatch, "prior_statistics", "scripts")
    rng = np.random.default_rng(0)
    n = 4000
    y = (np.arange(n) % 4 == 0).astype(int)
    first = rng.normal(size=n) + y
    x = np.stack([first, -first, (rng.uniform(size=n) < 0.5) * 1.0, np.ones(n)], 1)
    x[::10, 2] = np.nan
    found = script.statistics(x, y, rng)
    assert found["columns"] == 3 and found["prevalence"] == 0.25
    expected = norm.cdf(1 / np.sqrt(2)) - 0.5
    for name in ("best single abs(AUROC - .5)", "median single abs(AUROC - .5)"):
        assert abs(found[name] - expected) < 0.02
    assert found["largest absolute correlation"] > 0.999
    assert found["median absolute correlation"] < 0.05
    np.testing.assert_allclose(found["binary columns"], 1 / 3)
    np.testing.assert_allclose(found["missing cells"], 0.1 / 3)
    assert 0.7 < found["AUROC of LR C = .01 on 64 rows"] < 0.8


def test_a_network_is_read_back_from_its_file_and_another_size_refused(monkeypatch, tmp_path):
    import jax

    from metajax.datasets.files import DataError

    script = module(monkeypatch, "prior_fitted", "experiments")
    _, held_out = script.sources(script.SMOKE)

    def params(width, seed):
        learner = script.network(dataclasses.replace(script.SMOKE, width=width), held_out.spec)
        return script.init_state(
            learner, held_out, script.optimizer(script.SMOKE), jax.random.key(seed)
        ).params

    saved, path = params(8, 0), tmp_path / "network.npz"
    script.save_network(path, saved)
    assert [one.name for one in tmp_path.iterdir()] == ["network.npz"]
    found = script.load_network(path, params(8, 1))
    assert jax.tree.structure(found) == jax.tree.structure(saved)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(saved), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match=r"another size: .* by the flags"):
        script.load_network(path, params(16, 0))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="cannot read"):
        script.load_network(path, saved)


COMMITTED = {"full": "prior_fitted", "large": "prior_fitted_large"}


@pytest.mark.parametrize("preset", COMMITTED)
def test_the_committed_network_fits_its_preset(preset, monkeypatch):
    """A clean clone can evaluate it, and finds the last scores of its curve again."""
    import jax

    script = module(monkeypatch, "prior_fitted", "experiments")
    flags, folder = script.PRESETS[preset], ROOT / "results" / COMMITTED[preset]
    _, held_out = script.sources(flags)
    learner = script.network(flags, held_out.spec)
    like = script.init_state(learner, held_out, script.optimizer(flags), jax.random.key(0)).params
    params = script.load_network(folder / "network.npz", like)
    curve = pd.read_csv(folder / "curve.csv")
    assert curve.step.iloc[-1] == flags.steps
    # The held-out diseases of the curve, perhaps on another device than it was made on.
    scores = script.evaluate(
        learner, params, held_out, jax.random.key(2017), tasks=script.HELD_OUT, batch=32
    )
    for name in ("log_loss", "auroc"):
        np.testing.assert_allclose(np.nanmean(scores[name]), curve[name].iloc[-1], atol=2e-3)


@pytest.mark.parametrize("suite", COMMITTED.values())
def test_the_committed_tables_regenerate_byte_for_byte(suite, real, tmp_path):
    folder = ROOT / "results" / suite
    (tmp_path / "tables.csv").write_bytes((folder / "tables.csv").read_bytes())
    real.tabulate(tmp_path)
    for name in ("summary.csv", "table.md"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
