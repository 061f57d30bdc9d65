"""The network inside the package, against the committed one and its evaluation's own code."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metajax.estimator import network
from metajax.estimator.scaling import fit_scaling
from metajax.tasks import features_by_support
from metajax.types import Episode, Examples

COMMITTED = Path(__file__).parents[2] / "results/prior_fitted/network.npz"


@pytest.fixture(scope="module")
def committed():
    with np.load(COMMITTED, allow_pickle=False) as archive:
        arrays = {name: jnp.asarray(archive[name]) for name in archive.files}
    return network.Network(network.shipped().learner, {"body": {}} | network.unflatten(arrays))


def world(rows, columns, seed, gaps=0.1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows + 50, columns)) * rng.lognormal(size=columns) + 10
    y = (x[:, 0] + x[:, 1] + rng.normal(size=len(x)) > np.median(x[:, 0] + x[:, 1])).astype(int)
    x[rng.random(x.shape) < gaps] = np.nan
    y[:2] = 0, 1
    return x[:rows], y[:rows], x[rows:]


def directly(params, learner, x, y, asked):
    """The prediction without padding, blocks, or scaling on the host."""
    labels = jnp.eye(2)[y]
    none = jnp.zeros((len(asked), 2))
    support = Examples(jnp.asarray(x, jnp.float32), labels, jnp.ones_like(labels))
    episode = Episode(support, Examples(jnp.asarray(asked, jnp.float32), none, none))
    episode = features_by_support(episode)
    adapted = learner.adapt(params, episode.support, jax.random.key(0))
    return np.asarray(jax.nn.softmax(learner.predict(params, adapted, episode.query.x)))[:, 1]


def test_sixteen_bits_change_no_probability_by_a_thousandth(committed):
    for seed, (rows, columns) in enumerate([(8, 5), (16, 16), (32, 40), (64, 48)]):
        x, y, asked = world(rows, columns, seed)
        scaling = fit_scaling(x)
        both = [
            network.judge(one, network.remember(one, scaling.scores(x), y), scaling.scores(asked))
            for one in (committed, network.shipped())
        ]
        assert np.abs(both[0] - both[1]).max() < 1e-3


def test_padding_and_blocks_change_nothing():
    shipped = network.shipped()
    for rows, columns in [(9, 3), (20, 17)]:
        x, y, asked = world(rows, columns, rows)
        scaling = fit_scaling(x)
        memory = network.remember(shipped, scaling.scores(x), y)
        found = network.judge(shipped, memory, scaling.scores(asked))
        wanted = directly(shipped.params, shipped.learner, x, y, asked)
        np.testing.assert_allclose(found, wanted, atol=2e-5)
        alone = network.judge(shipped, memory, scaling.scores(asked[7:8]))
        assert alone[0] == found[7]


def test_a_table_of_many_columns_is_judged_by_those_that_go_with_the_class():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 120))
    y = (z[:, [100, 110]].sum(1) > 0).astype(int)
    chosen = network.strongest(z, y, 48)
    strength = [abs(np.corrcoef(z[:, d], y)[0, 1] * z[:, d].std()) for d in range(120)]
    assert {100, 110} <= set(chosen.tolist()) and len(chosen) == 48
    assert set(chosen.tolist()) == set(np.argsort(strength)[-48:].tolist())


def test_large_numbers_are_scaled_in_double_precision():
    x, y, asked = world(16, 4, 3, gaps=0)
    plain, moved = fit_scaling(x), fit_scaling(x * 1e200 + 0.0)
    np.testing.assert_allclose(plain.scores(asked), moved.scores(asked * 1e200), rtol=1e-9)
    far = fit_scaling(x + 1e9)
    np.testing.assert_allclose(plain.scores(asked), far.scores(asked + 1e9), atol=1e-4)


def test_new_sizes_of_table_share_programs():
    shipped = network.shipped()
    read, judge = network._programs(shipped.learner)
    for rows, columns in [(17, 5), (33, 9), (64, 16)]:
        x, y, asked = world(rows, columns, rows)
        scaling = fit_scaling(x)
        memory = network.remember(shipped, scaling.scores(x), y)
        network.judge(shipped, memory, scaling.scores(asked))
    before = judge._cache_size(), read._cache_size()
    x, y, asked = world(40, 11, 5)
    scaling = fit_scaling(x)
    memory = network.remember(shipped, scaling.scores(x), y)
    network.judge(shipped, memory, scaling.scores(asked[:1]))
    assert (judge._cache_size(), read._cache_size()) == before
