"""Linear-Gaussian tasks, the world whose best possible predictor is known in closed form.

A task is ``y = x . w + e`` with w ~ N(0, s^2 I), x ~ N(0, I) and e ~ N(0, noise^2). No learner can
beat `bayes_predict` in expected squared error, which makes this world a test of the harness.

Reference: Bishop 2006, "Pattern Recognition and Machine Learning", section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from metajax.tasks.sinusoid import shot_choices, split_rows, task_key
from metajax.types import Examples, TaskSource, TaskSpec


def linear_gaussian(
    *,
    features: int = 8,
    shots: int | Sequence[int] = 16,
    queries: int = 32,
    noise: float = 0.5,
    weight_scale: float = 1.0,
    classes: int | None = None,
) -> TaskSource:
    """Linear tasks with Gaussian weights, inputs and noise; every key is a new task.

    Args:
      features: D, the number of inputs, at least 1.
      shots: support rows; if several are given, one is drawn uniformly for each episode.
      queries: query rows of an episode, at least 1.
      noise: standard deviation of the label noise, at least 0.
      weight_scale: standard deviation of each weight, positive.
      classes: None for regression; C >= 2 for classes, the largest of C noisy linear scores (for
        these there is no closed-form predictor).

    Returns:
      A world with x (N, D) and one regression output or C classes. `data` is
      ``{"shots": (S,) int32}``; other shots up to the largest re-use the compiled program.

    Raises:
      ValueError: for an argument outside its range.
    """
    choices = shot_choices(shots)
    if features < 1 or queries < 1:
        raise ValueError(f"features and queries must be at least 1; got {features}, {queries}")
    if noise < 0 or weight_scale <= 0:
        raise ValueError(f"need noise >= 0 and weight_scale > 0; got {noise}, {weight_scale}")
    if classes is not None and classes < 2:
        raise ValueError(f"classes must be None or at least 2; got {classes}")
    most, outputs = int(choices.max()), classes or 1
    rows = most + queries

    def sample(data, key, task=None):
        key_shots, key_w, key_x, key_e = jax.random.split(task_key(key, task), 4)
        count = jax.random.choice(key_shots, data["shots"])
        w = weight_scale * jax.random.normal(key_w, (features, outputs))
        x = jax.random.normal(key_x, (rows, features))
        y = x @ w + noise * jax.random.normal(key_e, (rows, outputs))
        if classes is not None:
            y = jax.nn.one_hot(jnp.argmax(y, axis=1), classes)
        return split_rows(x, y, count, most)

    spec = TaskSpec(outputs, "regression" if classes is None else "multiclass")
    return TaskSource(spec, {"shots": jnp.asarray(choices)}, sample)


def bayes_predict(
    support: Examples, x: jax.Array, *, noise: float, weight_scale: float
) -> jax.Array:
    """Predict the exact posterior mean of ``x . w`` given the support; masked rows do not count.

    Args:
      support: the labelled rows of one regression task, x (S, D), y and mask (S, 1).
      x: (N, D) inputs.
      noise: the world's label noise, positive.
      weight_scale: the world's weight scale, positive.

    Returns:
      (N, 1) posterior means, the predictor of least expected squared error.
    """
    _, weights = _posterior(support, noise, weight_scale)
    return x @ weights


def bayes_risk(support: Examples, x: jax.Array, *, noise: float, weight_scale: float) -> jax.Array:
    """Return the expected squared error of `bayes_predict` at each x, label noise included.

    Args:
      support: the labelled rows of one regression task, x (S, D), mask (S, 1).
      x: (N, D) inputs.
      noise: the world's label noise, positive.
      weight_scale: the world's weight scale, positive.

    Returns:
      (N,) expected squared errors given the support's inputs.
    """
    factor, _ = _posterior(support, noise, weight_scale)
    spread = jax.scipy.linalg.cho_solve(factor, x.T)
    return noise**2 + jnp.sum(x.T * spread, axis=0)


def _posterior(support, noise, weight_scale):
    """Cholesky factor of the posterior precision of w (as of cho_factor), and its mean (D, 1)."""
    seen = support.x * support.mask
    precision = seen.T @ seen / noise**2 + jnp.eye(seen.shape[1]) / weight_scale**2
    factor = jax.scipy.linalg.cho_factor(precision, lower=True)
    return factor, jax.scipy.linalg.cho_solve(factor, seen.T @ support.y / noise**2)
