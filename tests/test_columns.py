"""A column varies or does not, whatever its unit: z-scores, models and AUROC stay."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from worlds import key, quick_jit

from experiments import real_tables
from metajax import columns
from metajax.baselines import predict_episodes
from metajax.datasets import Family, scaled
from metajax.family_headroom.inputs import best_columns
from metajax.learners.context import scaled_labels
from metajax.tasks import (
    features_by_support,
    select_by_support,
    standardise_by_support,
    standardise_targets,
    task_pool,
)
from metajax.types import Episode, Examples

SCALES = (1e-30, 1e-7, 1e7, 1e30)
OFFSET = 1e9
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5)) + 0.5
X[RNG.random(X.shape) < 0.1] = np.nan
X[:, 4] = 0.1  # constant; its mean is not exactly 0.1
Y = (np.arange(40) % 2).astype(np.int32)
X[:, 0] += 2 * Y
TASK = np.arange(40) // 20


def part(x, y=None):
    y = np.eye(2)[Y[: len(x)]] if y is None else y
    return Examples(*map(jnp.float32, (x, y, np.ones(y.shape))))


def halves(x, y=None):
    return Episode(*(part(x[i : i + 20], None if y is None else y[i : i + 20]) for i in (0, 20)))


@pytest.mark.parametrize("factor", SCALES)
@pytest.mark.parametrize("xp,kind", [(np, np.float64), (jnp, np.float32)])
def test_z_scores_are_scikit_learns_in_every_unit(factor, xp, kind):
    raw = xp.asarray((X * factor).astype(kind))
    fitted = columns.moments(raw, ~xp.isnan(raw), xp)
    want = StandardScaler().fit(X[:, :4]).transform(X[:, :4])
    z = columns.scores(fitted, raw, xp)
    np.testing.assert_allclose(z[:, :4], want, atol=1e-5)
    np.testing.assert_array_equal(z[:, 4], 0)
    np.testing.assert_array_equal(fitted.varied, [True] * 4 + [False])


def test_a_power_of_two_changes_no_bit():
    one = columns.moments(X, ~np.isnan(X), np)
    many = columns.moments(X * 2.0**40, ~np.isnan(X), np)
    np.testing.assert_array_equal(columns.scores(one, X, np), columns.scores(many, X * 2.0**40, np))
    np.testing.assert_array_equal(many.unit, one.unit * 2.0**40)


def test_nothing_seen_zeros_and_single_values():
    x = np.array([[np.nan, 0.0, 3.0], [np.nan, 0.0, np.nan]])
    for xp in (np, jnp):
        fitted = columns.moments(xp.asarray(x), ~xp.isnan(xp.asarray(x)), xp)
        assert not np.asarray(fitted.varied).any()
        np.testing.assert_array_equal(fitted.unit, [1, 1, 2])
        np.testing.assert_array_equal(fitted.mean * fitted.unit, [0, 0, 3])
        np.testing.assert_array_equal(columns.scores(fitted, xp.asarray(x), xp), 0)


def table(x):
    zeros = np.zeros(len(x), np.int32)
    return Family(x.astype(np.float32), zeros, zeros, ("t",), None)


# What turns a raw table into inputs; each had a rule of its own for "constant".
WAYS = {
    "scaled": lambda x: scaled(table(x), np.arange(40) < 20),
    "best_columns": lambda x: best_columns(x, Y, np.arange(40) < 20, 3),
    "real_tables": lambda x: np.hstack(real_tables.standard(x[:20], x[20:])[:2]),
    "standardise": lambda x: standardise_by_support(halves(x)).query.x,
    "select": lambda x: select_by_support(halves(x), 3).query.x,
    "features": lambda x: features_by_support(halves(x)).query.x["z"],
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_scale_a_table_is_free_of_its_unit(way):
    want = np.asarray(WAYS[way](X))
    assert np.abs(want).max() > 1
    for factor in SCALES:
        np.testing.assert_allclose(WAYS[way](X * factor), want, atol=2e-5, err_msg=f"{factor}")


def test_baselines_for_numbers_are_free_of_the_unit():
    x, y = np.nan_to_num(X)[None], X[None, :, :1].copy()
    y[np.isnan(y)] = 0
    x[0, 20:, 4] = 0.2  # constant in the support: a departure from it is nothing, not infinite
    for name in ("ridge_cv", "knn"):
        arguments = {"seed": 0, "kind": "regression"}
        ones = np.ones_like(y[:, :20])
        want = predict_episodes(name, x[:, :20], y[:, :20], ones, x[:, 20:], **arguments)
        assert np.abs(want).max() < 10
        for factor in (1e-7, 1e7):
            found = predict_episodes(name, factor * x[:, :20], y[:, :20], ones,
                                     factor * x[:, 20:], **arguments)  # fmt: skip
            np.testing.assert_allclose(found, want, atol=1e-5)


@pytest.mark.parametrize("factor", SCALES)
def test_targets_are_free_of_their_unit(factor):
    y = np.nan_to_num(X[:, :2])
    want = standardise_targets(halves(X, y))
    found = standardise_targets(halves(X, factor * y))
    for one, same in zip(found, want, strict=True):
        np.testing.assert_allclose(one.y, same.y, atol=2e-5)
    z, mean, scale = scaled_labels(part(X, factor * y), "regression")
    np.testing.assert_allclose(z, StandardScaler().fit_transform(y), atol=2e-5)
    np.testing.assert_allclose(z * scale + mean, factor * y, rtol=1e-4, atol=1e-5 * factor)


def test_the_auroc_of_a_pool_is_that_of_any_unit():
    def auroc(x):
        pool = task_pool(x, Y, TASK, shots=8, prepare=standardise_by_support)
        keys = jax.random.split(key(), 8)
        one = quick_jit(jax.vmap(pool.sample, (None, 0)))(pool.data, keys)
        told = predict_episodes("lr_c0.1", *one.support[:3], one.query.x, seed=0)
        truth = np.asarray(one.query.y)[..., 1].ravel()
        here = np.asarray(one.query.mask)[..., 0].ravel() > 0
        return roc_auc_score(truth[here], told[..., 1].ravel()[here])

    want = auroc(X)
    assert want > 0.65
    for factor in (1e-30, 1e-7, 1e7, 1e30):
        assert auroc(X * factor) == pytest.approx(want, abs=1e-4)


@pytest.mark.parametrize("raw", [X * 1e-50, X * 1e60, X + OFFSET, X * 1e-3 + 1e8])
def test_what_float32_would_lose_is_seen(raw):
    # A constant that float32 rounds has lost nothing; one that it cannot hold has.
    np.testing.assert_array_equal(columns.lost(raw), [True] * 4 + [raw[0, 4] > 1e38])


@pytest.mark.parametrize("factor", [1e-30, 1e-7, 1.0, 1e7, 1e30])
def test_ordinary_columns_are_not_lost(factor):
    assert not columns.lost(X * factor).any()
