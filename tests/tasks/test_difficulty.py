"""Which tasks are drawn: probabilities by hand, draws by chi-square, and inside the trainer."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from test_training import pool, train

from metajax.tasks import bandit, easy_first, loss_proportional, remembering
from metajax.tasks.difficulty import Difficulty, mixed, observe

EXISTS = np.array([True, False, True, True, True])
SEEN = Difficulty(np.array([1.0, np.nan, 3.0, 0.0, 4.0]), EXISTS, 2)


def fits(weights, expected, draws=20_000):
    """The chi-square p-value of what the trainer draws from these weights."""
    weights = np.asarray(weights, np.float32)
    drawn = jax.random.categorical(jax.random.key(0), jnp.log(weights), shape=(draws,))
    counts = np.bincount(np.asarray(drawn), minlength=len(weights))
    there = expected > 0
    assert counts[~there].sum() == 0
    return stats.chisquare(counts[there], draws * expected[there]).pvalue


def test_loss_proportional_draws_in_proportion_to_the_loss_above_a_floor():
    expected = 0.8 * np.array([1, 0, 3, 0, 4]) / 8 + 0.2 * EXISTS / 4
    weights = loss_proportional(SEEN, floor=0.2)
    np.testing.assert_allclose(weights, expected, rtol=1e-12)
    assert fits(weights, expected) > 0.01
    assert fits(weights, np.array([0.2, 0, 0.3, 0.1, 0.4])) < 1e-6  # the test can tell


def test_powers_and_losses_that_are_no_losses():
    np.testing.assert_allclose(loss_proportional(SEEN, floor=0.3, power=0.0), EXISTS / 4)
    squared = loss_proportional(SEEN, floor=0.0, power=2.0)
    np.testing.assert_allclose(squared, np.array([1, 0, 9, 0, 16]) / 26)
    lower = SEEN._replace(losses=np.array([-1.0, np.nan, 2.0, np.nan, 4.0]))
    np.testing.assert_allclose(
        loss_proportional(lower, floor=0.0), np.array([0, 0, 2, 2, 4]) / 8
    )  # the task not yet drawn counts as the mean of 0, 2 and 4
    nobody = SEEN._replace(losses=np.full(5, np.nan))
    np.testing.assert_allclose(loss_proportional(nobody), EXISTS / 4)
    np.testing.assert_allclose(mixed(np.zeros(5), EXISTS, 0.1), EXISTS / 4)


def test_observe_is_an_exponential_moving_average_of_means():
    tasks, losses = np.array([0, 0, 4, 2, 2]), np.array([2.0, 4.0, 1.0, np.nan, np.inf])
    found = observe(SEEN._replace(losses=np.array([1.0, np.nan, 3, 0, np.nan])), tasks, losses)
    np.testing.assert_allclose(found.losses, [0.7 * 1 + 0.3 * 3, np.nan, 3, 0, 1])
    assert found.calls == 3


def test_easy_first_admits_the_tasks_of_small_loss_and_then_all():
    admitted = []
    for calls in range(5):
        weights = easy_first(SEEN._replace(calls=calls), calls=4, first=0.25, floor=0.0)
        np.testing.assert_allclose(weights[weights > 0], 1 / (weights > 0).sum())
        admitted.append(set(np.flatnonzero(weights)))
    assert admitted == [{3}, {3, 0}, {3, 0, 2}, {3, 0, 2, 4}, {3, 0, 2, 4}]
    weights = easy_first(SEEN._replace(calls=1), calls=4, first=0.25, floor=0.2)
    expected = np.array([0.45, 0, 0.05, 0.45, 0.05])
    np.testing.assert_allclose(weights, expected, rtol=1e-12)
    assert fits(weights, expected) > 0.01
    unknown = SEEN._replace(losses=np.array([1.0, np.nan, 3, 0, np.nan]))
    np.testing.assert_allclose(easy_first(unknown, calls=4), EXISTS / 4)


def test_a_step_of_the_bandit_by_hand():
    weights = np.array([2.0, 0.0, 1.0, 1.0])  # probabilities 1/2, 0, 1/4, 1/4
    tasks, losses = np.array([0, 2, 2, 0, 0]), np.array([1.0, 3.0, 3.0, 1.0, 1.0])
    found = bandit(weights, tasks, losses, rate=0.5, floor=0.1)
    # Rewards 0 and 1: task 2 has two draws of five, 2 / 5 / (1 / 4) = 1.6.
    grown = np.array([0.5, 0, 0.25 * np.exp(0.8), 0.25])
    expected = 0.9 * grown / grown.sum() + 0.1 * np.array([1, 0, 1, 1]) / 3
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert fits(found, expected) > 0.01


def test_the_rewards_of_the_bandit_are_unbiased():
    """Averaged over draws, the exponent of a task is rate times its reward."""
    rng = np.random.default_rng(0)
    chance, losses = np.array([0.4, 0.3, 0.3]), np.array([0.0, 0.5, 1.0])
    gains = []
    for _ in range(400):
        tasks = rng.choice(3, 200, p=chance)
        ratio = bandit(chance, tasks, losses[tasks], rate=1.0, floor=0.0) / chance
        gains.append(np.log(ratio) - np.log(ratio[0]))
    error = np.std(gains, 0) / 20
    # The 20th and the 80th percentile are 0 and 1: losses are their own rewards.
    assert np.abs(np.mean(gains, 0) - losses).max() < 4 * error.max() + 0.02


def test_the_bandit_survives_losses_that_are_not_finite_or_all_equal():
    weights, tasks = np.ones(3), np.array([0, 1, 2])
    for losses in (np.full(3, np.nan), np.full(3, 2.0)):
        np.testing.assert_allclose(bandit(weights, tasks, losses), np.full(3, 1 / 3))
    many = bandit(weights, tasks, np.array([0.0, 0, 1]), rate=1e6)
    np.testing.assert_allclose(many, [0.1 / 3, 0.1 / 3, 0.9 + 0.1 / 3])


@pytest.mark.parametrize(
    ("make", "favourite"),
    [
        (lambda: remembering(partial(loss_proportional, power=4.0)), 0),
        (lambda: partial(bandit, rate=0.5), 0),
        (lambda: remembering(partial(easy_first, calls=10_000, first=0.3)), None),
    ],
)
def test_in_the_trainer(make, favourite):
    """Task 0 has labels that nobody can learn: it is drawn most, or shut out by a curriculum."""
    sampler, drawn = make(), []

    def watched(weights, tasks, losses):
        drawn.append(tasks)
        return sampler(weights, tasks, losses)

    train(pool(lift=[0, 4, 4, 4]), steps=200, task_sampler=watched)
    share = np.bincount(np.concatenate(drawn[5:]), minlength=4) / np.concatenate(drawn[5:]).size
    assert share.min() > 0.005
    if favourite is not None:
        assert share.argmax() == favourite and share[0] > 0.4
    else:
        assert share.argmin() == 0 and share[0] < 0.06
