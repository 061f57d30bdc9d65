"""Sweeps as one program: seeds and numeric hyper-parameters as a leading axis (floor 5).

Whole trainings run side by side, or in turn, inside one compiled program: `make` builds a learner
and an optimiser from traced numbers. A trial that stops, or whose loss is no longer finite, does
not touch the others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from metajax import layout, training
from metajax.training import Plan, TrainState, Trial
from metajax.types import Episode, PyTree, TaskSource


@partial(jax.jit, static_argnums=0)
def _starts(make: Callable, hypers: PyTree, keys: jax.Array, blank: Episode) -> TrainState:
    # In turn, whatever the size: a start costs nothing, and has the bits it has alone.
    return jax.lax.map(lambda trial: training.start(make, *trial, blank), (hypers, keys))


def init_many(
    make: Callable[[PyTree], Trial], source: TaskSource, hypers: PyTree, keys: jax.Array
) -> TrainState:
    """The states of step 0 of K trials; see `fit_many`."""
    return _starts(make, hypers, keys, training.blank_episode(source))


@partial(jax.jit, static_argnums=(0, 1, 2, 3), donate_argnums=4)
def _call(
    plan: Plan, length: int, trial_axis: str, mesh: Mesh | None,
    states, hypers, data, weights, limits,
):  # fmt: skip
    """`training.advance` of every trial, each up to its own limit."""

    def trial(inputs: tuple):
        state, hyper, limit = inputs
        return training.advance(plan, length, state, hyper, data, weights, limit)

    def trials(*inputs: PyTree):
        count = inputs[2].shape[0]
        if count == 1:  # no axis at all: the very program of a single training
            outputs = trial(jax.tree.map(lambda leaf: leaf[0], inputs))
            return jax.tree.map(lambda leaf: leaf[None], outputs)
        axis = trial_axis
        if axis == "auto":
            first = jax.tree.map(lambda leaf: leaf[0], (inputs[0], inputs[1]))
            axis = layout.choose(count, training.bytes_per_step(plan, *first, data, weights))
        return layout.over_chunks(trial, inputs, layout.chunk_size(axis, count, "trial_axis"))

    if mesh is not None:
        side = PartitionSpec(mesh.axis_names[0])
        trials = jax.shard_map(trials, mesh=mesh, in_specs=side, out_specs=side, check_vma=False)
    return trials(states, hypers, limits)


def fit_many(
    make: Callable[[PyTree], Trial],
    source: TaskSource,
    hypers: PyTree,
    keys: jax.Array,
    *,
    steps: int | np.ndarray,
    tasks_per_step: int,
    steps_per_call: int = 100,
    task_axis: str = "auto",
    trial_axis: str = "auto",
    mesh: Mesh | None = None,
    on_call: Callable[[TrainState, dict[str, np.ndarray]], Any] | None = None,
    states: TrainState | None = None,
) -> TrainState:
    """Meta-trains K trials in one compiled program; each ends as if it had been trained alone.

    Args:
      make: ``hyper -> Trial``, called inside the compiled program with one trial's numbers (traced:
        they cannot decide shapes or Python branches, and their ranges must be checked before).
        Pass the same object again to re-use the program. To sweep over a number of the tasks
        themselves, such as noise, let `make` give the trial its own `sample`.
      source: where episodes come from.
      hypers: leaves (K, ...), a pytree of arrays, or empty if only the keys differ.
      keys: (K,) the keys of the runs.
      steps: outer steps in all, of all trials or (K,) of each.
      tasks_per_step: see `metajax.training.fit`.
      steps_per_call: likewise.
      task_axis: likewise, without "measure".
      trial_axis: how the trials of a device are laid out: "auto" (see `metajax.layout`), "vmap",
        "scan" or "chunk:n"; it changes results within float tolerance only.
      mesh: shards the trials over its first axis (the devices must be this process's), or the
        tasks if there is one trial.
      on_call: ``(states, metrics) -> stop (K,) bool`` (or None: none stops) after every call.
        Metrics are (K,): the ``step`` reached, how many of them ``ran`` in the call, and means over
        these, NaN if there were none. The states' buffers are re-used by the next call.
      states: where to go on from, leaves (K, ...); None: from `init_many`.

    Returns:
      The states (K, ...) after the last steps. A trial whose loss was not finite stopped there.

    Raises:
      ValueError: for sizes below 1, or an axis or a mesh that does not fit.
    """
    count = len(keys)
    limits = np.broadcast_to(np.asarray(steps, np.int32), count).copy()
    if limits.min() < 0 or steps_per_call < 1 or tasks_per_step < 1:
        raise ValueError(
            f"got steps={steps}, steps_per_call={steps_per_call} and tasks_per_step="
            f"{tasks_per_step}; they must be at least 0, 1 and 1"
        )
    task_mesh, mesh = (mesh, None) if count == 1 else (None, mesh)
    if tasks_per_step % layout.devices_of(task_mesh):
        raise ValueError(
            f"{layout.devices_of(task_mesh)} devices do not divide {tasks_per_step} tasks a step"
        )
    if task_axis != "auto":
        layout.chunk_size(task_axis, tasks_per_step // layout.devices_of(task_mesh))
    if count % layout.devices_of(mesh):
        raise ValueError(f"{layout.devices_of(mesh)} devices do not divide {count} trials")
    if trial_axis != "auto":
        layout.chunk_size(trial_axis, count // layout.devices_of(mesh), "trial_axis")
    states = init_many(make, source, hypers, keys) if states is None else states
    states = jax.tree.map(jnp.copy, states)  # the caller's stay valid after donation
    states, data = layout.replicate((states, source.data), task_mesh)
    plan = Plan(make, source.sample, tasks_per_step, task_axis, task_mesh)
    weights = jnp.ones(1)
    done = np.asarray(states.step)
    while (done < limits).any():
        states, history = _call(
            plan, steps_per_call, trial_axis, mesh, states, hypers, data, weights, limits
        )
        reached = np.asarray(states.step)
        ran, done = reached - done, reached
        means = {name: _mean_of_first(values, ran) for name, values in history.items()}
        lost = (ran > 0) & ~np.isfinite(means["loss"])
        told = {"step": done, "ran": ran} | means
        stop = on_call(states, told) if on_call is not None else None
        stopped = lost if stop is None else lost | np.asarray(stop, bool)
        limits = np.where(stopped, np.minimum(limits, done), limits)
    return states


def _mean_of_first(values: jax.Array, ran: np.ndarray) -> np.ndarray:
    """Means (K,) over the first `ran` (K,) steps of values (K, length, B); NaN over none."""
    return np.array(
        [
            float(mine[:n].mean()) if n else np.nan
            for mine, n in zip(np.asarray(values), ran, strict=True)
        ]
    )
