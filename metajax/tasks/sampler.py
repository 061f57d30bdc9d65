"""The device side of a pool: its arrays, and the one sampler that draws episodes from them.

Rows are drawn without replacement by random priorities; support and query share no row and no row
group. What may vary without recompilation is an array in `PoolData`: the shots, the draw, the
weights of the tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metajax.types import Episode, Examples, PyTree, TaskSource

Draw = Literal["balanced", "natural", "mixed"]
# The share of balanced supports under each name; "mixed" follows the prior-fitted network recipe.
DRAWS: dict[str, float] = {"balanced": 1.0, "natural": 0.0, "mixed": 0.75}


class PoolData(NamedTuple):
    """The device side of a pool; R rows over I items, T tasks, C classes, L rows in the longest.

    Attributes:
      x: inputs of the items, leaves (I, ...); uint8 stays uint8 until `prepare` decodes it.
      y: (R, K) labels, one-hot over the task's classes, findings, or targets; 0 where missing.
      mask: (R, K) the row's weight (usually 1) where the label is defined, else 0.
      item: (R,) int32, the item that a row shows.
      group: (R,) int32 row groups, never on both sides of an episode.
      rows: (T, C, L) int32 row indices, any value beyond the count.
      counts: (T, C) int32.
      weights: (T,) float32 relative frequency of the tasks; 0 excludes one.
      shots: (S,) int32, one of which is drawn for every episode.
      balanced: () float32, the share of episodes whose support is balanced over the classes.
    """

    x: PyTree
    y: jax.Array
    mask: jax.Array
    item: jax.Array
    group: jax.Array
    rows: jax.Array
    counts: jax.Array
    weights: jax.Array
    shots: jax.Array
    balanced: jax.Array


def _quotas(
    key: jax.Array,
    shots: jax.Array,
    counts: jax.Array,
    balanced: jax.Array,
    most: int,
    keep_half: bool,
) -> jax.Array:
    """Splits `shots` labelled rows over C classes, evenly or in proportion to `counts`.

    Every class that exists gets one row first and keeps one (or half of its rows) for the query.
    Seats then go to the smallest keys: the seat number (even shares, ties at random), or
    (seat + 1/2) / count (Webster's rule, proportional shares). A class that runs short gives what
    it may and the others fill up.

    Args:
      key: breaks the ties.
      shots: () int32, at most `most`.
      counts: (C,) rows of every class, 0 if it does not exist.
      balanced: () bool.
      most: a static bound of the shots.
      keep_half: a class gives at most half of its rows.

    Returns:
      (C,) int32.
    """
    seat = jnp.arange(most)
    tie = 0.5 * jax.random.uniform(key, counts.shape)[:, None]
    even, proportional = seat + tie, (seat + 0.5) / jnp.maximum(counts, 1)[:, None]
    order = jnp.where(balanced, even, proportional)
    order = jnp.where(seat == 0, tie - 1.0, order)
    kept = jnp.maximum((counts + 1) // 2, 1) if keep_half else 1
    order = jnp.where(seat < (counts - kept)[:, None], order, jnp.inf)
    rank = jnp.argsort(jnp.argsort(order.ravel())).reshape(order.shape)
    return ((rank < shots) & jnp.isfinite(order)).sum(1)


def _take(priority: jax.Array, quota: jax.Array, most: int, size: int):
    """Chooses cells of a (W, L) table by priority, at most `quota` of each row of the table.

    Args:
      priority: (W, L) in [0, 1), or -1 where the cell may not be chosen.
      quota: (W,) the most cells of each row.
      most: a static bound of every quota.
      size: how many cells to return (static).

    Returns:
      (size,) flat cell indices and (size,) booleans, False where there was nothing left to choose.
    """
    longest = priority.shape[1]
    best, places = jax.lax.top_k(priority, min(most, longest))
    chosen = (jnp.arange(best.shape[1]) < quota[:, None]) & (best >= 0)
    cells = (places + longest * jnp.arange(len(quota))[:, None]).ravel()
    front = jnp.argsort(~chosen.ravel(), stable=True)[:size]
    pad = size - front.shape[0]
    return jnp.pad(cells[front], (0, pad)), jnp.pad(chosen.ravel()[front], (0, pad))


def _reserved(
    key: jax.Array, group: jax.Array, exists: jax.Array, per_class: bool
) -> jax.Array:
    """The rows of a group drawn at random, never all rows of a class.

    Args:
      key: of the draw.
      group: (C, L) row groups.
      exists: (C, L) bool.
      per_class: one group of every class; otherwise one for all of them.

    Returns:
      (C, L) bool.
    """
    # Equal groups must get equal lots, wherever their rows are: a hash, salted with random bits.
    salt = jax.random.bits(key, (), jnp.uint32)
    lots = (group.astype(jnp.uint32) ^ salt) * jnp.uint32(2654435769)
    lots = (lots ^ (lots >> 15)) * jnp.uint32(2246822519)
    lots = jnp.where(exists, (lots ^ (lots >> 13)) >> 1, 0)
    reserved = exists & (lots == lots.max(axis=1 if per_class else None, keepdims=True))
    return reserved & (exists & ~reserved).any(1, keepdims=True)


@cache  # one function per form: pools of one shape share compiled programs
def sampler(
    ways: int,
    size: int,
    queries: int,
    per_class: bool,
    relabel: bool,
    grouped: bool,
    keep_half: bool,
    prepare: Callable[[Episode], Episode] | None,
) -> Callable[..., Episode]:
    """The sampler of both pools; all its arguments are static.

    Args:
      ways: classes of an episode.
      size: rows of the padded support.
      queries: rows of the padded query, per class if `per_class`.
      per_class: shots and queries are counted per class; otherwise per episode.
      relabel: the classes are drawn from the task's, in random order, and labels are the position
        among them; otherwise all classes are used and labels are the stored `y`.
      grouped: row groups are checked (a row is its own group otherwise, at no cost).
      keep_half: without `per_class`, a class gives at most half of its rows to the support.
      prepare: maps the raw episode to the one the learner sees.

    Raises:
      ValueError: for fewer than one query row.
    """
    if queries < 1:
        raise ValueError(f"queries must be at least 1; got {queries}")

    def sample(data: PoolData, key: jax.Array, task: jax.Array | None = None) -> Episode:
        keys = jax.random.split(key, 7)
        task_key, class_key, shot_key, draw_key, tie_key, support_key, query_key = keys
        if task is None:
            task = jax.random.categorical(task_key, jnp.log(data.weights))
        rows, counts = data.rows[task], data.counts[task]
        classes, longest = rows.shape
        if relabel:
            lot = jnp.where(counts > 0, jax.random.uniform(class_key, (classes,)), -1.0)
            chosen = jax.lax.top_k(lot, ways)[1]  # a task of fewer classes leaves ways empty
            rows, counts = rows[chosen], counts[chosen]
        exists = jnp.arange(longest) < counts[:, None]
        shots = data.shots[jax.random.randint(shot_key, (), 0, data.shots.size)]
        balanced = jax.random.bernoulli(draw_key, data.balanced)
        if per_class:
            quota = jnp.full(ways, shots)
        else:
            quota = _quotas(tie_key, shots, counts, balanced, size, keep_half)
        eligible = exists
        if grouped:
            # One group of every task (or class) stays out of the support: else a support that
            # meets all of a patient's time blocks would leave no query.
            reserve_key = jax.random.fold_in(tie_key, 1)
            eligible &= ~_reserved(reserve_key, data.group[rows], exists, per_class)
        priority = jnp.where(eligible, jax.random.uniform(support_key, exists.shape), -1.0)
        cells, present = _take(priority, quota, size // ways if per_class else size, size)
        left = exists.ravel().at[jnp.where(present, cells, exists.size)].set(False, mode="drop")
        if grouped:
            used = jnp.where(present, data.group[rows.ravel()[cells]], -1)
            left &= ~(data.group[rows.ravel()][:, None] == used).any(1)
        left = left.reshape(exists.shape)
        priority = jnp.where(left, jax.random.uniform(query_key, exists.shape), -1.0)
        if per_class:
            query = _take(priority, jnp.full(ways, queries), queries, queries * ways)
        else:
            query = _take(priority.reshape(1, -1), jnp.array([queries]), queries, queries)

        def examples(cells: jax.Array, present: jax.Array) -> Examples:
            row = rows.ravel()[cells]
            keep = present.astype(jnp.float32)[:, None]
            if relabel:
                y = jax.nn.one_hot(cells // longest, ways)
                mask = jnp.broadcast_to(counts > 0, y.shape).astype(jnp.float32)
            else:
                y, mask = data.y[row], data.mask[row]
            x = jax.tree.map(lambda leaf: leaf[data.item[row]], data.x)
            info = {"row": jnp.where(present, row, -1), "task": jnp.full_like(row, task)}
            return Examples(x, y * keep, mask * keep, info)

        episode = Episode(examples(cells, present), examples(*query))
        return episode if prepare is None else prepare(episode)

    return sample


def choose(
    source: TaskSource,
    *,
    shots: int | None = None,
    draw: Draw | None = None,
    tasks: Sequence[int] | None = None,
) -> TaskSource:
    """The same pool (or world) with other shots, another draw or other tasks: nothing recompiles.

    Args:
      source: a source of `task_pool`, `class_pool` or a world with `shots` in its data.
      shots: every episode has this many; at most the largest that the source was built for.
      draw: "balanced", "natural" or "mixed".
      tasks: the ids that episodes are drawn from and `evaluate` enumerates (pools only).

    Raises:
      ValueError: if the source was not built for it.
    """
    data = source.data._asdict() if hasattr(source.data, "_asdict") else dict(source.data)
    if draw is not None and (draw not in DRAWS or "balanced" not in data):
        known = f"one of {', '.join(DRAWS)}" if "balanced" in data else "None for this source"
        raise ValueError(f"draw must be {known}; got {draw!r}")
    if tasks is not None and source.tasks is None:
        raise ValueError(f"this source enumerates no tasks to choose from; got tasks={tasks}")
    if shots is not None:
        least, most = 1, int(data["shots"].max())
        per_task = source.tasks is not None and data["y"].shape[1] == source.spec.outputs
        if per_task and source.spec.kind == "multiclass":
            least = int((data["counts"][source.tasks] > 0).sum(1).max())  # one of each class
        if not least <= shots <= most:
            raise ValueError(f"shots must be from {least} to {most}; got {shots}")
        data["shots"] = jnp.full_like(data["shots"], shots)
    if draw is not None:
        data["balanced"] = jnp.full_like(data["balanced"], DRAWS[draw])
    if tasks is not None:
        ids, known = np.asarray(tasks, np.int32), [int(t) for t in source.tasks]
        if ids.size == 0 or not np.isin(ids, known).all():
            raise ValueError(f"tasks must be among {known}; got {list(tasks)}")
        data["weights"] = jnp.zeros_like(data["weights"]).at[ids].set(1.0)
        source = source._replace(tasks=ids)
    packed = type(source.data)(**data) if hasattr(source.data, "_asdict") else data
    return source._replace(data=packed)
