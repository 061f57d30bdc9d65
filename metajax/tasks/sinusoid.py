"""Sinusoid regression, the toy world of the MAML paper, and the helpers all worlds share.

A task is ``y = A sin(x - phi)`` with A ~ U[0.1, 5], phi ~ U[0, pi] and x ~ U[-5, 5], without noise.

Reference: Finn, Abbeel, Levine 2017, "Model-Agnostic Meta-Learning", section 5.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from metajax.types import Episode, Examples, TaskSource, TaskSpec

AMPLITUDE = (0.1, 5.0)
PHASE = (0.0, float(np.pi))
INPUT = (-5.0, 5.0)


def shot_choices(shots: int | Sequence[int], *, least: int = 1) -> np.ndarray:
    """Turn `shots` into the (S,) int32 choices of a world.

    Args:
      shots: one number of labelled support rows, or several, each at least `least`.
      least: the smallest number that makes sense.

    Raises:
      ValueError: if there is no choice, or one is not an integer of at least `least`.
    """
    choices = np.atleast_1d(np.asarray(shots))
    if choices.ndim != 1 or not choices.size or not np.issubdtype(choices.dtype, np.integer):
        raise ValueError(f"shots must be an integer or a sequence of integers; got {shots!r}")
    if choices.min() < least:
        raise ValueError(f"every number of shots must be at least {least}; got {shots!r}")
    return choices.astype(np.int32)


def task_key(key: jax.Array, task: jax.Array | int | None) -> jax.Array:
    """Return the key of a generative task: `key` itself, or `task` folded into it."""
    return key if task is None else jax.random.fold_in(key, task)


def split_rows(
    x: jax.Array, y: jax.Array, shots: jax.Array, most: int, row: jax.Array | None = None
) -> Episode:
    """Split N drawn rows into a support of `shots` rows, padded to `most`, and the query.

    The query does not depend on `shots` and smaller supports are the beginnings of larger ones, so
    that one key gives paired episodes at every number of shots.

    Args:
      x: (N, D) inputs; the first `most` rows are the support's.
      y: (N, C) targets.
      shots: int32 scalar, at most `most`; beyond it the support has `most` rows.
      most: static size of the padded support.
      row: (N,) int32 row ids; 0 .. N - 1 if None.
    """
    row = jnp.arange(x.shape[0], dtype=jnp.int32) if row is None else row
    used = jnp.arange(most) < shots
    support = Examples(
        x=jnp.where(used[:, None], x[:most], 0.0),
        y=jnp.where(used[:, None], y[:most], 0.0),
        mask=jnp.broadcast_to(used[:, None], y[:most].shape).astype(jnp.float32),
        info={"row": jnp.where(used, row[:most], -1)},
    )
    query = Examples(x[most:], y[most:], jnp.ones_like(y[most:]), {"row": row[most:]})
    return Episode(support, query)


def sinusoid(
    *, shots: int | Sequence[int] = 10, queries: int = 10, oracle: bool = False
) -> TaskSource:
    """Sinusoids of random amplitude and phase; every key is a new task.

    Args:
      shots: support rows; if several are given, one is drawn uniformly for each episode.
      queries: query rows of an episode, at least 1.
      oracle: append A and phi to every input, which makes the tasks solvable without a support.

    Returns:
      A regression world with one output; x is (N, 1), or (N, 3) with `oracle`. `data` is
      ``{"shots": (S,) int32}``; other shots up to the largest re-use the compiled program.

    Raises:
      ValueError: for shots or queries below 1.

    Reference:
      Finn, Abbeel, Levine 2017, "Model-Agnostic Meta-Learning", section 5.1.
    """
    choices = shot_choices(shots)
    if queries < 1:
        raise ValueError(f"queries must be at least 1; got {queries}")
    most = int(choices.max())

    def sample(data, key, task=None):
        key_shots, key_wave, key_x = jax.random.split(task_key(key, task), 3)
        count = jax.random.choice(key_shots, data["shots"])
        low, high = jnp.array([AMPLITUDE, PHASE]).T
        wave = jax.random.uniform(key_wave, (2,), minval=low, maxval=high)
        x = jax.random.uniform(key_x, (most + queries, 1), minval=INPUT[0], maxval=INPUT[1])
        y = wave[0] * jnp.sin(x - wave[1])
        if oracle:
            x = jnp.concatenate([x, jnp.broadcast_to(wave, (most + queries, 2))], axis=1)
        return split_rows(x, y, count, most)

    return TaskSource(TaskSpec(1, "regression"), {"shots": jnp.asarray(choices)}, sample)
