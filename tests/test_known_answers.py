"""Worlds whose answer is known: nobody beats Bayes, ridge reaches it, MAML learns sinusoids."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from worlds import key, quick_jit, trusting

from metajax.evaluation import draw, predict
from metajax.learners import LEARNERS, METHODS
from metajax.nn import MLP, Identity
from metajax.statistics import t_interval
from metajax.tasks.linear_gaussian import bayes_predict, linear_gaussian
from metajax.tasks.sinusoid import sinusoid
from metajax.training import fit, init_state
from metajax.types import Episode, TaskSource

WORLD = {"noise": 0.5, "weight_scale": 1.0}
LINEAR = linear_gaussian(features=4, shots=8, queries=16, **WORLD)
EPISODES = 400


@pytest.fixture(scope="module", autouse=True)
def little_optimisation():
    """Every program here runs for less time than it would take to optimise."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def stored(episodes):
    """A source of given episodes: cheaper to compile into every learner's program."""

    def sample(data, key, task=None):
        task = jax.random.randint(key, (), 0, len(data.query.y)) if task is None else task
        drawn = jax.tree.map(lambda leaf: leaf[task], data)
        number = lambda part: {"task": jnp.full(part.mask.shape[0], task)}  # noqa: E731
        return Episode(*(part._replace(info=number(part)) for part in drawn))

    return trusting(TaskSource(LINEAR.spec, jax.tree.map(jnp.asarray, episodes), sample))


@pytest.fixture(scope="module")
def test_source():
    return stored(draw(LINEAR, key(1), tasks=EPISODES, batch=EPISODES))


@pytest.fixture(scope="module")
def train_source():
    return stored(draw(LINEAR, key(2), tasks=5 * EPISODES, batch=EPISODES))


@pytest.fixture(scope="module")
def bayes(test_source):
    """The Bayes predictor's errors (EPISODES,) on the test episodes."""
    support, query = test_source.data
    means = quick_jit(jax.vmap(lambda s, x: bayes_predict(s, x, **WORLD)))(support, query.x)
    return squared(means, query)


def squared(outputs, query):
    return np.square(np.asarray(outputs) - np.asarray(query.y)).mean((1, 2))


def errors(learner, params, source):
    """A learner's squared errors (EPISODES,)."""
    found = predict(learner, params, source, key(1), tasks=EPISODES, batch=EPISODES)
    assert found.nonfinite.sum() == 0
    return squared(found.outputs, found)


def test_ridge_reaches_the_bayes_risk_from_any_start(test_source, bayes):
    learner = LEARNERS["ridge"](LINEAR.spec, Identity(), bias=False)
    optimizer = optax.adam(0.1)
    state = init_state(learner, LINEAR, optimizer, key())
    for wrong in (30.0, 0.01):
        log_l2 = jnp.log(wrong)
        start = state._replace(params=state.params | {"log_l2": log_l2})
        assert errors(learner, start.params, test_source).mean() > 1.05 * bayes.mean()
        found = fit(
            learner, LINEAR, optimizer, key(), steps=150, tasks_per_step=16, steps_per_call=150,
            state=start,
        ).params  # fmt: skip
        risk = errors(learner, found, test_source)
        assert risk.mean() < 1.05 * bayes.mean(), found["log_l2"]
        assert t_interval(risk - bayes).high > 0  # close to, but not below
        # What is learned is the ratio of the variances of noise and weights, 0.25.
        assert 0.15 < np.exp(found["log_l2"]) < 0.4


GRADIENT = [name for name, method in METHODS.items() if method.pillar in ("gradient", "sample")]
REGRESSION = [name for name, method in METHODS.items() if "regression" in method.kinds]


@pytest.mark.parametrize("name", REGRESSION)
def test_nobody_beats_bayes(name, train_source, test_source, bayes):
    # On squared errors plain gradient steps of the default size diverge in some tasks.
    hyper = {"inner_lr": 0.03} if name in GRADIENT else {}
    learner = LEARNERS[name](LINEAR.spec, MLP((8,), skip=True), **hyper)
    # Steps of 0.01 on MAML++'s inner rates soon make them so large that its inner loop diverges.
    outer = optax.adam(0.003 if name == "maml_plus" else 0.01)
    params = fit(
        learner, train_source, outer, key(), steps=200, tasks_per_step=8, steps_per_call=200
    ).params
    found = errors(learner, params, test_source)
    assert t_interval(found - bayes).high > 0
    support, query = test_source.data
    guess = squared(0 * query.y, query)
    if name != "pooled":  # and each is worth comparing: it beats the prior mean
        assert t_interval(found - guess).high < 0


def test_who_has_seen_the_query_beats_bayes(test_source, bayes):
    """The comparison is sharp enough: a fit to support and query is seen to be too good."""
    support, query = test_source.data
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), support, query)
    means = quick_jit(jax.vmap(lambda s, x: bayes_predict(s, x, **WORLD)))(both, query.x)
    assert t_interval(squared(means, query) - bayes).high < 0


def test_maml_keeps_improving_on_sinusoids_and_pooling_does_not_help():
    """The protocol of the MAML paper in miniature: 10 shots, one inner step in training."""
    source, encoder = sinusoid(shots=10, queries=10), MLP((40, 40))

    def learner(name, **hyper):
        return LEARNERS[name](source.spec, encoder, **hyper)

    def train(learner, steps):
        return fit(
            learner, source, optax.adam(2e-3), key(), steps=steps, tasks_per_step=16,
            steps_per_call=500,
        ).params  # fmt: skip

    maml = train(learner("maml", inner_lr=0.01, inner_steps=1), 1500)
    start, one, five = (
        errors(learner("maml", inner_lr=0.01, inner_steps=steps), maml, source)
        for steps in (0, 1, 5)
    )
    assert t_interval(one - start).high < 0 and t_interval(five - one).high < 0
    pooled = learner("pooled")
    floor = errors(pooled, train(pooled, 500), source)
    assert t_interval(one - floor).high < 0
    assert one.mean() < 1.2 and floor.mean() > 2  # far apart already
