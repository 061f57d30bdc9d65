"""Evaluation: the same episodes for every learner and every host-side baseline (floor 4).

Episode i is drawn from ``fold_in(key, i)`` and uses task i mod T, so two methods evaluated with one
key can be compared episode by episode. Fitting and scoring are separate: `predict` gives outputs,
`score` judges outputs, whoever made them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metajax import layout, metrics
from metajax.types import (
    Always,
    Episode,
    Examples,
    Learner,
    PyTree,
    TaskSource,
    TaskSpec,
    require_same,
)

# Beyond this an output's square overflows float32: it counts as not finite.
LARGEST = 1e15


class Predictions(NamedTuple):
    """Outputs on the queries of E episodes, with all that is needed to score them (numpy).

    Attributes:
      outputs: (E, Q, C) or (E, Q, C, 2); chance where the learner's own were not finite.
      y: (E, Q, C) labels.
      mask: (E, Q, C).
      row: (E, Q) int32 rows of the pool, -1 where padded or not of a pool.
      task: (E,) int32 task ids (the episode number in a generative world).
      cluster: (E,) int32, the bootstrap's unit.
      nonfinite: (E,) float32, 1 where the learner's own outputs were not finite.
    """

    outputs: np.ndarray
    y: np.ndarray
    mask: np.ndarray
    row: np.ndarray
    task: np.ndarray
    cluster: np.ndarray
    nonfinite: np.ndarray


def _rows(examples: Examples) -> jax.Array:
    """The pool's rows (..., N) of some examples, -1 for those that come from no pool."""
    if isinstance(examples.info, dict) and "row" in examples.info:
        return examples.info["row"]
    return jnp.full(examples.y.shape[:-1], -1)


def _in_blocks(predict: Callable, params: PyTree, adapted: PyTree, x: PyTree, block: int):
    """Predicts a large query in blocks of fixed size, so that memory does not grow with it."""
    rows = jax.tree.leaves(x)[0].shape[0]
    if rows <= block:
        return predict(params, adapted, x)
    blocks = -(-rows // block)

    def cut(leaf: jax.Array) -> jax.Array:
        pad = [(0, blocks * block - rows)] + [(0, 0)] * (leaf.ndim - 1)
        return jnp.pad(leaf, pad).reshape(blocks, block, *leaf.shape[1:])

    outputs = jax.lax.map(lambda part: predict(params, adapted, part), jax.tree.map(cut, x))
    return outputs.reshape(-1, *outputs.shape[2:])[:rows]


def _chance(spec: TaskSpec, episode: Episode, outputs: jax.Array) -> jax.Array:
    """The outputs of somebody who knows nothing: equal logits, or the support's mean target."""
    if spec.kind != "regression":
        return jnp.zeros_like(outputs)
    y, mask = episode.support.y, episode.support.mask
    mean = (y * mask).sum(0) / jnp.maximum(mask.sum(0), 1)
    if spec.variance:
        variance = (mask * (y - mean) ** 2).sum(0) / jnp.maximum(mask.sum(0), 1)
        mean = jnp.stack([mean, jnp.maximum(variance, 1e-6)], -1)
    return jnp.broadcast_to(mean, outputs.shape)


# Two programs, so that the sampler (compiled once for all learners) is not part of the learner's.
@partial(jax.jit, static_argnums=0)
def _draw_batch(sample, data, key, index, task):
    """Episodes (B, ...); `task` (B,) is the episode's number in generative worlds."""

    def one(index: jax.Array, task: jax.Array) -> Episode:
        return sample(data, jax.random.fold_in(jax.random.fold_in(key, index), 0), task)

    return jax.vmap(one)(index, task)


class _How(NamedTuple):
    """What the compiled prediction is specialised to; hashable."""

    make: Callable[[PyTree], Learner]
    trials: int
    spec: TaskSpec
    block: int
    task_axis: str
    trial_axis: str


@partial(jax.jit, static_argnums=0)
def _predict_batch(how: _How, params, hypers, episodes: Episode, key, index):
    """Outputs (K, B, Q, C) on the queries, and (K, B) 1 where a learner's own were not finite."""

    def one(params: PyTree, hyper: PyTree, episode: Episode, index: jax.Array, key: jax.Array):
        learner = how.make(hyper)
        adapt_key = jax.random.fold_in(jax.random.fold_in(key, index), 1)
        adapted = learner.adapt(params, episode.support, adapt_key)
        outputs = _in_blocks(learner.predict, params, adapted, episode.query.x, how.block)
        mask = episode.query.mask
        present = (mask > 0).reshape(*mask.shape, *[1] * how.spec.variance)
        bad = ~((jnp.abs(outputs) < LARGEST) | ~present).all()
        outputs = jnp.where(bad, _chance(how.spec, episode, outputs), outputs)
        return jnp.where(present, outputs, 0.0), bad.astype(jnp.float32)

    trials, tasks = (params, hypers), (episodes, index)
    task_axis, trial_axis, count = how.task_axis, how.trial_axis, index.shape[0]
    if "auto" in (task_axis, trial_axis):
        first = jax.tree.map(lambda leaf: leaf[0], (*trials, *tasks))
        needed = layout.intermediate_bytes(one, *first, key)
        task_axis = layout.choose(count, needed) if task_axis == "auto" else task_axis
        needed *= layout.chunk_size(task_axis, count)
        trial_axis = layout.choose(how.trials, needed) if trial_axis == "auto" else trial_axis

    def trial(weights: tuple[PyTree, PyTree]):
        chunk = layout.chunk_size(task_axis, count)
        return layout.over_chunks(lambda task: one(*weights, *task, key), tasks, chunk)

    if how.trials == 1:
        outputs = trial(jax.tree.map(lambda leaf: leaf[0], trials))
        return jax.tree.map(lambda leaf: leaf[None], outputs)
    return layout.over_chunks(trial, trials, layout.chunk_size(trial_axis, how.trials))


def _batches(source: TaskSource, tasks: int, batch: int):
    """Yields index (B,), task (B,) and how many of the batch count, the last batch filled up."""
    if tasks < 1 or batch < 1:
        raise ValueError(f"tasks and batch must be at least 1; got {tasks} and {batch}")
    for start in range(0, tasks, batch):
        index = np.arange(start, start + batch)
        task = index if source.tasks is None else source.tasks[index % len(source.tasks)]
        yield jnp.asarray(index), jnp.asarray(task), min(batch, tasks - start)


def _to_host(batch: PyTree, count: int) -> PyTree:
    """The first `count` episodes of a batch as numpy arrays."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:count], batch)


def _collect(parts: list) -> PyTree:
    """Joins batches of pytrees along their first axis."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def predict(
    learner: Learner,
    params: PyTree,
    source: TaskSource,
    key: jax.Array,
    *,
    tasks: int,
    batch: int,
    block: int = 4096,
    task_axis: str = "auto",
) -> Predictions:
    """Adapts to `tasks` episodes and predicts their queries.

    Args:
      learner: the learner.
      params: its meta-parameters.
      source: where episodes come from.
      key: the benchmark's key, never the run's: equal keys give equal episodes.
      tasks: E, the number of episodes.
      batch: episodes of one compiled call.
      block: the most query rows predicted at once.
      task_axis: how the episodes of a call are laid out: "auto", "vmap", "scan" or "chunk:n" (see
        `metajax.layout`); it changes the outputs within float tolerance only.

    Raises:
      ValueError: if `tasks` or `batch` is below 1, for a `task_axis` that does not fit, or a
        learner made for other tasks than the source's.
    """
    require_same(learner, source)
    options = {"trials": 1, "tasks": tasks, "batch": batch, "block": block, "task_axis": task_axis}
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], params)
    return predict_many(Always(learner), (), params, source, key, **options)[0]


def predict_many(
    make: Callable[[PyTree], Learner],
    hypers: PyTree,
    params: PyTree,
    source: TaskSource,
    key: jax.Array,
    *,
    trials: int,
    tasks: int,
    batch: int,
    block: int = 4096,
    task_axis: str = "auto",
    trial_axis: str = "auto",
) -> list[Predictions]:
    """`predict` for K trials in one program, on the same episodes.

    Args:
      make: ``hyper -> Learner``, called inside the compiled program; pass the same object again to
        re-use it.
      hypers: leaves (K, ...).
      params: leaves (K, ...).
      source: see `predict`.
      key: see `predict`.
      trials: K.
      tasks: see `predict`.
      batch: see `predict`.
      block: see `predict`.
      task_axis: see `predict`.
      trial_axis: how the trials are laid out, likewise.

    Returns:
      The predictions of every trial.
    """
    how = _How(make, trials, source.spec, block, task_axis, trial_axis)
    found: list[list] = [[] for _ in range(trials)]
    for index, task, count in _batches(source, tasks, batch):
        episodes = _draw_batch(source.sample, source.data, key, index, task)
        outputs, bad = _predict_batch(how, params, hypers, episodes, key, index)
        query = episodes.query
        rest = _to_host((query.y, query.mask, _rows(query)), count)
        for i, parts in enumerate(found):
            parts.append((*_to_host((outputs[i], bad[i]), count), *rest))
    units = episode_units(source, tasks)
    predictions = []
    for outputs, nonfinite, y, mask, row in map(_collect, found):
        predictions.append(Predictions(outputs, y, mask, row, *units, nonfinite))
    return predictions


def episode_units(source: TaskSource, tasks: int) -> tuple[np.ndarray, np.ndarray]:
    """The task ids and clusters (E,) of the episodes that `predict` enumerates."""
    index = np.arange(tasks, dtype=np.int32)
    task = index if source.tasks is None else source.tasks[index % len(source.tasks)]
    return task, task if source.clusters is None else source.clusters[task]


def draw(source: TaskSource, key: jax.Array, *, tasks: int, batch: int) -> Episode:
    """The very episodes of `predict`, as numpy arrays with a leading axis E, for host baselines."""
    parts = []
    for index, task, count in _batches(source, tasks, batch):
        result = _draw_batch(source.sample, source.data, key, index, task)
        parts.append(_to_host(result, count))
    return _collect(parts)


@partial(jax.jit, static_argnums=0)
def _score_batch(spec, outputs, y, mask):
    return jax.vmap(partial(metrics.score, spec))(outputs, y, mask)


def score(spec: TaskSpec, predictions: Predictions) -> dict[str, np.ndarray]:
    """Scores every episode; NaN where the query leaves a metric undefined.

    Returns:
      Metric names of `metajax.metrics.METRICS` to (E,) float32, and ``nonfinite``.
    """
    scores = _score_batch(spec, predictions.outputs, predictions.y, predictions.mask)
    return {name: np.asarray(values) for name, values in scores.items()} | {
        "nonfinite": predictions.nonfinite
    }


def evaluate(
    learner: Learner,
    params: PyTree,
    source: TaskSource,
    key: jax.Array,
    *,
    tasks: int,
    batch: int,
    task_axis: str = "auto",
) -> dict[str, np.ndarray]:
    """Scores a learner on `tasks` episodes; see `predict` and `score`.

    Returns:
      Every metric, ``nonfinite``, ``task`` and ``cluster``, each an array (tasks,).
    """
    options = {"tasks": tasks, "batch": batch, "task_axis": task_axis}
    return scores_of(source.spec, predict(learner, params, source, key, **options))


def scores_of(spec: TaskSpec, predictions: Predictions) -> dict[str, np.ndarray]:
    """`score`, and the ``task`` and ``cluster`` of every episode."""
    units = {"task": predictions.task, "cluster": predictions.cluster}
    return score(spec, predictions) | units
