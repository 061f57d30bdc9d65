"""Meta-training: `steps_per_call` outer steps are one compiled program (floor 4).

Sampling, adaptation, meta-gradient and optimiser run on the device; the host only sees what a call
returns. The key of a step is folded from the step counter, so the result does not depend on how
the steps are cut into calls, or on an interruption between two of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from metajax.types import Episode, Learner, PyTree, TaskSource


class TrainState(NamedTuple):
    """All that training carries from one outer step to the next.

    Attributes:
      params: the learner's meta-parameters.
      opt_state: the optimiser's state (a pair with that of `aggregate` if there is one).
      key: the run's key; the key of a step is ``fold_in(key, step)``.
      step: int32, outer steps done.
    """

    params: PyTree
    opt_state: PyTree
    key: jax.Array
    step: jax.Array


def chunk_size(task_axis: str, tasks_per_step: int) -> int:
    """The number of tasks laid out side by side under a strategy.

    Args:
      task_axis: "vmap" (all), "scan" (one at a time) or "chunk:n" (n at a time).
      tasks_per_step: tasks of an outer step.

    Raises:
      ValueError: for an unknown strategy, or an n that does not divide `tasks_per_step`.
    """
    name, _, number = task_axis.partition(":")
    size = {"vmap": tasks_per_step, "scan": 1}.get(task_axis, 0)
    if name == "chunk" and number.isdecimal():
        size = int(number)
    if size < 1 or tasks_per_step < 1 or tasks_per_step % size:
        raise ValueError(
            f"task_axis must be vmap, scan or chunk:n with n dividing tasks_per_step; got "
            f"{task_axis!r} with {tasks_per_step} tasks"
        )
    return size


def init_state(
    learner: Learner,
    source: TaskSource,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    aggregate: optax.GradientTransformation | None = None,
) -> TrainState:
    """Draws the meta-parameters and makes the state of step 0."""
    # Only shapes matter to an initialisation; drawing an episode would compile the sampler again.
    shapes = jax.eval_shape(source.sample, source.data, key)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    params = _init_params(learner, jax.random.fold_in(key, 0), zeros)
    opt_state = optimizer.init(params)
    if aggregate is not None:
        opt_state = (aggregate.init(params), opt_state)
    return TrainState(params, opt_state, jax.random.fold_in(key, 1), jnp.int32(0))


@partial(jax.jit, static_argnums=0)
def _init_params(learner: Learner, key: jax.Array, episode: Episode) -> PyTree:
    return learner.init(key, episode)


class _Plan(NamedTuple):
    """What the compiled call is specialised to; hashable."""

    learner: Learner
    sample: Callable
    optimizer: optax.GradientTransformation
    aggregate: optax.GradientTransformation | None
    tasks_per_step: int
    chunk: int
    mesh: Mesh | None
    weighted: bool


def _gradients(plan: _Plan, params: PyTree, data: PyTree, keys: jax.Array, weights: jax.Array):
    """Meta-gradients and metrics of the tasks of one step.

    Returns the mean gradient, or every task's (leading axis B) if there is an `aggregate`; and
    metrics with a leading axis B.
    """

    def task_loss(params: PyTree, key: jax.Array):
        sample_key, task_key, adapt_key = jax.random.split(key, 3)
        if not plan.weighted:
            episode, drawn = plan.sample(data, sample_key), {}
        else:
            task = jax.random.categorical(task_key, jnp.log(weights))
            episode, drawn = plan.sample(data, sample_key, task), {"task": task}
        value, metrics = plan.learner.meta_loss(params, episode, adapt_key)
        return value, metrics | drawn

    def chunk_gradient(keys: jax.Array):
        if plan.aggregate is not None:
            task_gradient = jax.grad(task_loss, has_aux=True)
            return jax.vmap(task_gradient, in_axes=(None, 0))(params, keys)

        def mean_loss(params: PyTree):
            values, metrics = jax.vmap(task_loss, in_axes=(None, 0))(params, keys)
            return values.mean(), metrics

        return jax.grad(mean_loss, has_aux=True)(params)

    chunks = plan.tasks_per_step // plan.chunk
    if chunks == 1:
        return chunk_gradient(keys)
    keys = keys.reshape(chunks, plan.chunk)
    if plan.aggregate is not None:
        return jax.tree.map(
            lambda leaf: leaf.reshape(plan.tasks_per_step, *leaf.shape[2:]),
            jax.lax.map(chunk_gradient, keys),
        )

    def accumulate(total: PyTree, keys: jax.Array):
        grads, metrics = chunk_gradient(keys)
        return jax.tree.map(lambda a, b: a + b / chunks, total, grads), metrics

    grads, metrics = jax.lax.scan(accumulate, jax.tree.map(jnp.zeros_like, params), keys)
    return grads, jax.tree.map(lambda leaf: leaf.reshape(plan.tasks_per_step), metrics)


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def _call(plan: _Plan, length: int, state: TrainState, data: PyTree, weights, steps):
    """Runs up to `length` outer steps, none beyond `steps` in all."""

    def step(state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
        keys = jax.random.split(jax.random.fold_in(state.key, state.step), plan.tasks_per_step)
        if plan.mesh is not None:
            axis = NamedSharding(plan.mesh, PartitionSpec(plan.mesh.axis_names[0]))
            keys = jax.lax.with_sharding_constraint(keys, axis)
        grads, metrics = _gradients(plan, state.params, data, keys, weights)
        opt_state = state.opt_state
        if plan.aggregate is not None:
            collected, opt_state = opt_state
            grads, collected = plan.aggregate.update(grads, collected, state.params)
        updates, opt_state = plan.optimizer.update(grads, opt_state, state.params)
        if plan.aggregate is not None:
            opt_state = (collected, opt_state)
        params = optax.apply_updates(state.params, updates)
        metrics["gradient_norm"] = jnp.broadcast_to(optax.tree.norm(grads), plan.tasks_per_step)
        return state._replace(params=params, opt_state=opt_state, step=state.step + 1), metrics

    shapes = jax.eval_shape(step, state)[1]
    empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def guarded(state: TrainState, _):
        # A condition, not a shorter scan: the last call of a run re-uses the program of the others.
        return jax.lax.cond(state.step < steps, step, lambda state: (state, empty), state)

    return jax.lax.scan(guarded, state, length=length)


def fit(
    learner: Learner,
    source: TaskSource,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    *,
    steps: int,
    tasks_per_step: int,
    steps_per_call: int = 100,
    task_axis: str = "vmap",
    aggregate: optax.GradientTransformation | None = None,
    task_sampler: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None = None,
    mesh: Mesh | None = None,
    on_call: Callable[[TrainState, dict[str, Any]], Any] | None = None,
    state: TrainState | None = None,
) -> TrainState:
    """Meta-trains a learner on a source of tasks.

    Args:
      learner: what to train. Pass the same object again to re-use its compiled program.
      source: where episodes come from; its data is an argument of the compiled program.
      optimizer: the outer optimiser, any optax transformation.
      key: the run's key (`jax.random.key`).
      steps: outer steps in all, including those `state` has already done.
      tasks_per_step: episodes whose meta-gradients are averaged in one step.
      steps_per_call: outer steps of one compiled call; it does not change the result.
      task_axis: how the tasks of a step are laid out: "vmap", "scan" (one at a time, gradients
        accumulated) or "chunk:n"; it changes the result within float tolerance only.
      aggregate: an optax transformation that receives per-task gradients (leading axis
        `tasks_per_step`) and returns one, e.g.
        `optax.contrib.differentially_private_aggregate`; None: their mean.
      task_sampler: ``(weights (T,), tasks (n,), losses (n,)) -> weights (T,)``, called between
        calls with what the last call drew; the weights start uniform over ``source.tasks``. For
        difficulty-aware sampling; an interrupted run starts again from uniform weights.
      mesh: shards the tasks of a step over the first axis of the mesh (made with
        ``axis_types=(AxisType.Auto,)``); parameters are replicated.
      on_call: ``(state, metrics) -> stop`` after every call; metrics holds the step reached and
        the means over the call's steps; a true result ends the training. The state's buffers are
        re-used by the next call: copy what must outlive it.
      state: where to go on from; None: from ``init_state(learner, source, optimizer, key)``.

    Returns:
      The state after the last step.

    Raises:
      ValueError: for steps or sizes below 1, a `task_axis` that does not fit, or a `task_sampler`
        on a source without enumerated tasks.
    """
    chunk = chunk_size(task_axis, tasks_per_step)
    if steps < 0 or steps_per_call < 1:
        raise ValueError(
            f"got steps={steps} and steps_per_call={steps_per_call}; they must be at least 0 and 1"
        )
    if task_sampler is not None and source.tasks is None:
        raise ValueError("task_sampler needs a source with enumerated tasks")
    if state is None:
        state = init_state(learner, source, optimizer, key, aggregate)
    # The caller's state stays valid after donation, and so do arrays that belong to an
    # optimiser or an aggregation, such as the key that its initial state is made of.
    state = jax.tree.map(jnp.copy, state)
    weighted = task_sampler is not None
    plan = _Plan(
        learner, source.sample, optimizer, aggregate, tasks_per_step, chunk, mesh, weighted
    )
    weights = np.zeros(1 + max(source.tasks, default=0) if weighted else 1, np.float32)
    weights[source.tasks if weighted else 0] = 1.0
    done = int(state.step)
    while done < steps:
        state, history = _call(
            plan, steps_per_call, state, source.data, jnp.asarray(weights), jnp.int32(steps)
        )
        ran, done = int(state.step) - done, int(state.step)
        history = {name: np.asarray(values)[:ran] for name, values in history.items()}
        if task_sampler is not None:
            drawn = history.pop("task").ravel()
            weights = np.asarray(task_sampler(weights, drawn, history["loss"].ravel()), np.float32)
        means = {name: float(values.mean()) for name, values in history.items()}
        if on_call is not None and on_call(state, {"step": done} | means):
            break
    return state
