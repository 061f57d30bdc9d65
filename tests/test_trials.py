"""Fused sweeps: every trial ends as if it had been trained alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_training import POOL, close, host, same
from worlds import key

from metajax import evaluation, trials
from metajax.learners import LEARNERS
from metajax.nn import MLP
from metajax.training import Trial, fit
from metajax.trials import fit_many, init_many
from metajax.types import TaskSpec

NET = MLP((4,))
RATES = np.array([0.05, 0.1, 0.2, 0.4], np.float32)
HYPERS = {"inner_lr": jnp.asarray(RATES), "lr": jnp.asarray(RATES[::-1] / 10)}
KEYS = jnp.stack([key(i) for i in (0, 0, 1, 2)])


def learner(inner_lr):
    return LEARNERS["maml"](TaskSpec(2, "multiclass"), NET, inner_steps=1, inner_lr=inner_lr)


def make(hyper):
    return Trial(learner(hyper["inner_lr"]), optax.adam(hyper["lr"]))


def train(make=make, hypers=HYPERS, **options):
    options = {"steps": 12, "tasks_per_step": 4, "steps_per_call": 5} | options
    return fit_many(make, POOL, hypers, KEYS, **options)


def alone(i, steps=12):
    rate, outer = (float(HYPERS[name][i]) for name in ("inner_lr", "lr"))
    options = {"steps": steps, "tasks_per_step": 4, "steps_per_call": 5}
    return host(fit(learner(rate), POOL, optax.adam(outer), KEYS[i], **options))


def of(states, i):
    return jax.tree.map(lambda leaf: leaf[i], host(states))


@pytest.mark.parametrize("trial_axis", ["auto", "vmap", "scan", "chunk:2"])
def test_every_trial_is_what_it_is_alone(trial_axis):
    states = train(trial_axis=trial_axis)
    for i in range(4):
        close(of(states, i), alone(i), rtol=1e-4, atol=1e-6)


def test_trials_differ_and_one_trial_is_a_training():
    states = train()
    assert np.ptp(np.asarray(jax.tree.leaves(states.params)[0]), axis=0).max() > 1e-3
    one = fit_many(
        make, POOL, jax.tree.map(lambda leaf: leaf[:1], HYPERS), KEYS[:1],
        steps=12, tasks_per_step=4, steps_per_call=5,
    )  # fmt: skip
    close(of(one, 0), alone(0), rtol=1e-5, atol=1e-7)


def test_every_trial_has_its_own_end_and_can_be_stopped():
    seen = []

    def on_call(states, metrics):
        seen.append(metrics)
        return metrics["step"] >= np.array([10, 99, 99, 5])

    states = train(steps=np.array([12, 7, 12, 12]), on_call=on_call)
    assert list(np.asarray(states.step)) == [10, 7, 12, 5]
    for i, steps in enumerate((10, 7, 12, 5)):
        close(of(states, i), alone(i, steps), rtol=1e-4, atol=1e-6)
    assert [list(m["step"]) for m in seen] == [[5, 5, 5, 5], [10, 7, 10, 5], [10, 7, 12, 5]]
    assert [list(np.isfinite(m["loss"])) for m in seen][1:] == [
        [True, True, True, False], [False, False, True, False],
    ]  # fmt: skip


def test_cut_anywhere_it_ends_with_the_same_bits():
    middle = train(steps=np.array([3, 12, 7, 0]), steps_per_call=2)
    same(host(train(states=middle)), host(train()))
    start = init_many(make, POOL, HYPERS, KEYS)
    before = host(start)
    same(host(train(states=start, steps_per_call=12)), host(train()))
    same(host(start), before)


def test_a_trial_that_diverges_stops_alone():
    hypers = HYPERS | {"lr": HYPERS["lr"].at[1].set(jnp.inf)}
    losses = []
    states = train(hypers=hypers, on_call=lambda states, m: losses.append(m["loss"]))
    assert list(np.asarray(states.step)) == [12, 5, 12, 12]
    assert np.isnan(losses[0][1]) and np.isfinite(np.stack(losses)[:, [0, 2, 3]]).all()
    for i in (0, 2, 3):
        same(of(states, i), of(train(), i))


def test_other_numbers_do_not_compile_again():
    train()
    programs = trials._call._cache_size()
    train(hypers=jax.tree.map(lambda leaf: leaf * 1.1, HYPERS), steps=7)
    assert trials._call._cache_size() == programs > 0


def noisy(hyper):
    """A number of the tasks as hyper-parameter: noise on the inputs."""

    def sample(data, key, task=None):
        episode = POOL.sample(data, key, task)
        x = episode.support.x
        noise = hyper["noise"] * jax.random.normal(jax.random.fold_in(key, 9), x.shape)
        return episode._replace(support=episode.support._replace(x=x + noise))

    return Trial(learner(0.1), optax.sgd(0.1), None, sample)


def test_noise_of_the_tasks_is_a_hyper_parameter():
    states = train(noisy, {"noise": jnp.array([0.0, 1.0, 0.0, 0.0])})
    quiet = fit(learner(0.1), POOL, optax.sgd(0.1), KEYS[0], steps=12, tasks_per_step=4)
    close(of(states, 0).params, host(quiet).params, rtol=1e-4, atol=1e-6)
    moved = [np.abs(a - b).max() for a, b in zip(
        jax.tree.leaves(of(states, 0).params), jax.tree.leaves(of(states, 1).params), strict=True
    )]  # fmt: skip
    assert max(moved) > 1e-3


def test_predictions_of_trials_are_those_of_each_alone():
    states = train()
    many = evaluation.predict_many(
        lambda hyper: learner(hyper["inner_lr"]), HYPERS, states.params, POOL, key(9),
        trials=4, tasks=6, batch=4,
    )  # fmt: skip
    for i, found in enumerate(many):
        params = jax.tree.map(lambda leaf, i=i: leaf[i], states.params)
        one = evaluation.predict(
            learner(float(RATES[i])), params, POOL, key(9), tasks=6, batch=4, task_axis="scan"
        )
        close(found, one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"steps": -1}, "steps=-1"),
        ({"trial_axis": "chunk:3"}, "trial_axis .* got 'chunk:3' with 4 trials"),
        ({"task_axis": "pmap"}, "got 'pmap' with 4"),
    ],
)
def test_what_does_not_fit_is_refused(options, named):
    with pytest.raises(ValueError, match=named):
        train(**options)
