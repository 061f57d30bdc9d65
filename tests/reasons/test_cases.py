"""Neighbours, prototypes and attention beside scikit-learn and the learners themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

from metajax.learners import LEARNERS
from metajax.learners.common import class_means
from metajax.learners.weighting import weights_of
from metajax.nn import MLP
from metajax.reasons import attention, distances, example_weights, nearest, prototypes
from metajax.types import Episode, Examples, TaskSpec

RNG = np.random.default_rng(0)
SPEC, ENCODER, KEY = TaskSpec(3, "multiclass"), MLP((8, 4)), jax.random.key(0)


def learned(name, **hyper):
    """A learner, its parameters, a support of 12 rows, two of them padded, and 5 queries."""
    x, y = RNG.normal(size=(12, 6)).astype(np.float32), np.arange(12) % 3
    mask = np.ones((12, 3), np.float32)
    mask[[4, 11]] = 0
    trusted = (np.arange(12) < 6).astype(np.float32)
    support = Examples(
        jnp.asarray(x), jnp.eye(3)[y] * mask, jnp.asarray(mask), {"trusted": trusted}
    )
    learner = LEARNERS[name](SPEC, ENCODER, **hyper)
    params = learner.init(KEY, Episode(support, support))
    return learner, params, support, jnp.asarray(RNG.normal(size=(5, 6)), jnp.float32)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_neighbours_are_those_of_scikit_learn(metric):
    query, support = RNG.normal(size=(7, 4)), RNG.normal(size=(20, 4))
    assert np.allclose(
        distances(query, support, metric), pairwise_distances(query, support, metric)
    )
    far, index = NearestNeighbors(n_neighbors=3, metric=metric).fit(support).kneighbors(query)
    found = nearest(query, support, 3, metric=metric)
    assert (found.index == index).all() and np.allclose(found.distance, far)


def test_padded_rows_are_no_neighbours():
    support = np.zeros((4, 2))
    found = nearest(np.zeros((1, 2)), support, 9, present=np.array([0, 1, 1, 0]))
    assert found.index.tolist() == [[1, 2]]  # ties: the first; no more than there are


def test_prototypes_are_those_of_the_learner():
    learner, params, support, query = learned("protonet")
    z = ENCODER.apply(params, support.x)
    means, sizes = class_means(z, support)
    found = prototypes(z, support.y * support.mask)
    assert np.allclose(found.mean, means, atol=1e-6) and np.allclose(found.size, sizes)
    far = distances(ENCODER.apply(params, query), found.mean)
    adapted = learner.adapt(params, support, KEY)
    assert np.allclose(-(far**2), learner.predict(params, adapted, query), atol=1e-5)
    y = np.asarray(support.y).argmax(1)
    for c, place in enumerate(found.typical):
        mine = np.flatnonzero((y == c) & (np.asarray(support.mask[:, 0]) > 0))
        assert place == mine[distances(found.mean[[c]], np.asarray(z)[mine]).argmin()]
    assert prototypes(np.ones((2, 2)), [[1, 0], [1, 0]]).typical.tolist() == [0, -1]


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_attention_is_all_of_a_matching_network(distance):
    learner, params, support, query = learned("matchingnet", distance=distance)
    told = jax.nn.softmax(learner.predict(params, learner.adapt(params, support, KEY), query))
    member = support.y * support.mask
    z = (ENCODER.apply(params, x) for x in (query, support.x))
    share = attention(*z, member, distance)
    assert np.allclose(share @ member, told, atol=1e-5) and np.allclose(share.sum(1), 1)
    assert (share[:, [4, 11]] == 0).all()


def test_example_weights_find_what_the_learner_used():
    learner, params, support, _ = learned("reweight")
    found = example_weights(learner, params, support, KEY)
    weights = np.asarray(weights_of(learner, params, support, KEY))
    assert sorted(found.index) == [i for i in range(12) if i not in (4, 11)]
    assert np.allclose(found.weights, weights[found.index])
    assert (np.diff(found.weights) >= 0).all()
    assert np.isclose(found.effective, weights.sum() ** 2 / (weights**2).sum())


def test_wrong_labels_are_the_lightest():
    """Two clouds far apart, two of twenty labels turned round, the first eight trusted."""
    rng = np.random.default_rng(3)
    y = np.arange(20) % 2
    x = (rng.normal(size=(20, 3)) + 3.0 * y[:, None]).astype(np.float32)
    y[[12, 17]] = 1 - y[[12, 17]]
    trusted = (np.arange(20) < 8).astype(np.float32)
    support = Examples(jnp.asarray(x), jnp.eye(2)[y], jnp.ones((20, 2)), {"trusted": trusted})
    learner = LEARNERS["reweight"](TaskSpec(2, "multiclass"), MLP((8,)), inner_steps=20)
    params = learner.init(KEY, Episode(support, support))
    found = example_weights(learner, params, support, KEY)
    place = {int(i): float(w) for i, w in zip(found.index, found.weights, strict=True)}
    assert max(place[12], place[17]) < np.median(found.weights)


def test_refusals():
    learner, params, support, _ = learned("protonet")
    with pytest.raises(ValueError, match="does not weigh rows"):
        example_weights(learner, params, support, KEY)
    with pytest.raises(ValueError, match="euclidean or cosine"):
        distances(np.ones((1, 2)), np.ones((1, 2)), "manhattan")
    with pytest.raises(ValueError, match=r"\(1, 2\) and \(1, 3\)"):
        distances(np.ones((1, 2)), np.ones((1, 3)))
    with pytest.raises(ValueError, match="not finite"):
        nearest(np.full((1, 2), np.nan), np.ones((1, 2)))
    with pytest.raises(ValueError, match="a row is there"):
        nearest(np.ones((1, 2)), np.ones((1, 2)), present=np.zeros(1))
