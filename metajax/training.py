"""Meta-training: `steps_per_call` outer steps are one compiled program (floor 4).

Sampling, adaptation, meta-gradient and optimiser run on the device; the host only sees what a call
returns. The key of a step is folded from the step counter, so the result does not depend on how
the steps are cut into calls, or on an interruption between two of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from metajax import layout
from metajax.types import Always, Episode, Learner, PyTree, TaskSource, require_same


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


class Trial(NamedTuple):
    """What is trained: a learner, how its meta-gradients become updates, and on what episodes.

    Attributes:
      learner: the learner.
      optimizer: the outer optimiser, any optax transformation.
      aggregate: an optax transformation from per-task gradients (leading axis B) to one, e.g.
        `optax.contrib.differentially_private_aggregate`; None: their mean.
      sample: draws the episodes in place of the source's own `sample`, with its signature.
    """

    learner: Learner
    optimizer: optax.GradientTransformation
    aggregate: optax.GradientTransformation | None = None
    sample: Callable | None = None


def init_state(
    learner: Learner,
    source: TaskSource,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    aggregate: optax.GradientTransformation | None = None,
) -> TrainState:
    """Draws the meta-parameters and makes the state of step 0.

    Raises:
      ValueError: if the learner is made for other tasks than the source's.
    """
    require_same(learner, source)
    return _start(Always(Trial(learner, optimizer, aggregate)), (), key, blank_episode(source))


def blank_episode(source: TaskSource) -> Episode:
    """Zeros in the shapes of a source's episodes."""
    # Only shapes matter to an initialisation; drawing an episode would compile the sampler again.
    shapes = jax.eval_shape(source.sample, source.data, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def start(make: Callable, hyper: PyTree, key: jax.Array, blank: Episode) -> TrainState:
    """The state of step 0 of the trial ``make(hyper)``; pure."""
    learner, optimizer, aggregate, _ = make(hyper)
    params = learner.init(jax.random.fold_in(key, 0), blank)
    opt_state = optimizer.init(params)
    if aggregate is not None:
        opt_state = (aggregate.init(params), opt_state)
    return TrainState(params, opt_state, jax.random.fold_in(key, 1), jnp.int32(0))


_start = jax.jit(start, static_argnums=0)


class Plan(NamedTuple):
    """What a compiled training is specialised to; hashable.

    Attributes:
      make: ``hyper -> Trial``, called inside the compiled program.
      sample: the source's.
      tasks_per_step: tasks of an outer step.
      task_axis: how they are laid out on a device.
      mesh: whose first axis shards them; None: one device.
      weighted: whether task ids are drawn from weights.
    """

    make: Callable[[PyTree], Trial]
    sample: Callable
    tasks_per_step: int
    task_axis: str
    mesh: Mesh | None = None
    weighted: bool = False


def _task_loss(plan: Plan, trial: Trial) -> Callable:
    """``(params, data, weights, keys (3,)) -> (meta-loss, metrics)`` of one task."""
    draw = trial.sample or plan.sample

    def task_loss(params: PyTree, data: PyTree, weights: jax.Array, keys: jax.Array):
        sample_key, task_key, adapt_key = keys
        if not plan.weighted:
            episode, drawn = draw(data, sample_key), {}
        else:
            task = jax.random.categorical(task_key, jnp.log(weights))
            episode, drawn = draw(data, sample_key, task), {"task": task}
        value, metrics = trial.learner.meta_loss(params, episode, adapt_key)
        return value, metrics | drawn

    return task_loss


def _gradients(plan: Plan, trial: Trial, *arguments):
    """Meta-gradients and metrics of tasks: of `params`, `data` and `weights`, and their `keys`.

    Returns the mean gradient (empty if there is an `aggregate`), and with a leading axis B every
    task's gradient (only if there is one) and metrics.
    """
    params, data, weights, keys = arguments
    task_loss, tasks = _task_loss(plan, trial), keys.shape[0]
    task_axis = plan.task_axis
    if task_axis == "auto":
        needed = layout.intermediate_bytes(task_loss, params, data, weights, keys[0])
        task_axis = layout.choose(tasks, needed)
    chunk = layout.chunk_size(task_axis, tasks)
    if trial.aggregate is not None:

        def task_gradient(keys: jax.Array):
            return jax.grad(task_loss, has_aux=True)(params, data, weights, keys)

        return (), layout.over_chunks(task_gradient, keys, chunk)

    def chunk_gradient(keys: jax.Array):
        def mean_loss(params: PyTree):
            each = jax.vmap(task_loss, in_axes=(None, None, None, 0))
            values, metrics = each(params, data, weights, keys)
            return values.mean(), metrics

        return jax.grad(mean_loss, has_aux=True)(params)

    if chunk == tasks:
        grads, metrics = chunk_gradient(keys)
        return grads, ((), metrics)
    chunks = tasks // chunk

    def accumulate(total: PyTree, keys: jax.Array):
        grads, metrics = chunk_gradient(keys)
        return jax.tree.map(lambda a, b: a + b / chunks, total, grads), metrics

    nothing = jax.tree.map(jnp.zeros_like, params)
    grads, metrics = jax.lax.scan(accumulate, nothing, keys.reshape(chunks, chunk, 3))
    return grads, ((), jax.tree.map(lambda leaf: leaf.reshape(tasks), metrics))


def advance(
    plan: Plan,
    length: int,
    state: TrainState,
    hyper: PyTree,
    data: PyTree,
    weights: jax.Array,
    steps: jax.Array,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Runs up to `length` outer steps of the trial ``plan.make(hyper)``, none beyond `steps`; pure.

    Returns the state, and metrics (length, B), zero for steps that did not run.
    """
    trial = plan.make(hyper)
    gradients = layout.over_devices(partial(_gradients, plan, trial), plan.mesh, shared=3)

    def step(state: TrainState, keys: jax.Array) -> tuple[TrainState, dict[str, jax.Array]]:
        grads, (each, metrics) = gradients(state.params, data, weights, keys)
        opt_state = state.opt_state
        if trial.aggregate is not None:
            collected, opt_state = opt_state
            grads, collected = trial.aggregate.update(each, collected, state.params)
        updates, opt_state = trial.optimizer.update(grads, opt_state, state.params)
        if trial.aggregate is not None:
            opt_state = (collected, opt_state)
        params = optax.apply_updates(state.params, updates)
        metrics["gradient_norm"] = jnp.broadcast_to(optax.tree.norm(grads), plan.tasks_per_step)
        return state._replace(params=params, opt_state=opt_state, step=state.step + 1), metrics

    # All keys at once: step by step, the many small operations behind them would take longer than
    # the gradients of a small network.
    keys = jax.vmap(partial(_keys, plan, state.key))(state.step + jnp.arange(length))
    shapes = jax.eval_shape(step, state, keys[0])[1]
    empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def guarded(state: TrainState, keys: jax.Array):
        # A condition, not a shorter scan: the last call of a run re-uses the program of the others.
        return jax.lax.cond(state.step < steps, step, lambda state, _: (state, empty), state, keys)

    return jax.lax.scan(guarded, state, keys)


def _keys(plan: Plan, key: jax.Array, step: jax.Array) -> jax.Array:
    """The keys (B, 3) of the tasks of an outer step: to sample, to draw the task, to adapt."""
    tasks = jax.random.split(jax.random.fold_in(key, step), plan.tasks_per_step)
    return jax.vmap(partial(jax.random.split, num=3))(tasks)


def bytes_per_step(plan: Plan, state: TrainState, hyper: PyTree, data: PyTree, weights) -> int:
    """Bytes of intermediate values that are alive together in a step of a trial on one device."""
    tasks = plan.tasks_per_step // layout.devices_of(plan.mesh)
    task_loss = _task_loss(plan, plan.make(hyper))
    keys = _keys(plan, state.key, state.step)
    needed = layout.intermediate_bytes(task_loss, state.params, data, weights, keys[0])
    axis = layout.choose(tasks, needed) if plan.task_axis == "auto" else plan.task_axis
    return needed * layout.chunk_size(axis, tasks)


_call = jax.jit(advance, static_argnums=(0, 1), donate_argnums=2)


def lay_out(
    learner: Learner,
    source: TaskSource,
    *,
    tasks_per_step: int,
    task_axis: str = "auto",
    mesh: Mesh | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> str:
    """The strategy that `fit` uses: what "auto" means for these tasks, or "measure" finds.

    Args:
      learner: the learner.
      source: its tasks.
      tasks_per_step: tasks of an outer step.
      task_axis: "auto": the rule of `metajax.layout`. "measure": times one step of every strategy
        that differs by a factor of two, which compiles each. Else it is returned as it is.
      mesh: see `fit`.
      optimizer: for "measure"; None: plain gradient descent.

    Raises:
      ValueError: for an unknown strategy, or tasks that the devices or the chunks do not divide.
    """
    tasks = tasks_per_step // layout.devices_of(mesh)
    if task_axis not in layout.AUTOMATIC:
        layout.chunk_size(task_axis, tasks)
        return task_axis
    trial = Trial(learner, optimizer or optax.sgd(1e-3))
    plan = Plan(Always(trial), source.sample, tasks_per_step, task_axis, mesh)
    if task_axis == "auto":
        params = jax.eval_shape(learner.init, jax.random.key(0), blank_episode(source))
        keys = jax.random.split(jax.random.key(0), 3)
        needed = layout.intermediate_bytes(
            _task_loss(plan, trial), params, source.data, jnp.ones(1), keys
        )
        return layout.choose(tasks, needed)
    sizes = layout.divisors(tasks)
    kept = [n for i, n in enumerate(sizes) if i in (0, len(sizes) - 1) or n >= 2 * sizes[i - 1]]
    seconds = {}
    for axis in (layout.strategy(size, tasks) for size in kept):
        state = init_state(learner, source, trial.optimizer, jax.random.key(0))
        state, data = layout.replicate((state, source.data), mesh)
        for _ in range(3):  # the first compiles
            began = time.perf_counter()
            inputs = (state, (), data, np.ones(1, np.float32), np.int32(2**30))
            state = jax.block_until_ready(_call(plan._replace(task_axis=axis), 2, *inputs))[0]
            seconds[axis] = time.perf_counter() - began
    return min(seconds, key=seconds.get)


def fit(
    learner: Learner,
    source: TaskSource,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    *,
    steps: int,
    tasks_per_step: int,
    steps_per_call: int = 100,
    task_axis: str = "auto",
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
      task_axis: how the tasks of a step are laid out on a device: "vmap", "scan" (one at a time,
        gradients accumulated), "chunk:n", "auto" or "measure" (see `lay_out`); it changes the
        result within float tolerance only.
      aggregate: an optax transformation that receives per-task gradients (leading axis
        `tasks_per_step`) and returns one, e.g.
        `optax.contrib.differentially_private_aggregate`; None: their mean.
      task_sampler: ``(weights (T,), tasks (n,), losses (n,)) -> weights (T,)``, called between
        calls with what the last call drew; the weights start uniform over ``source.tasks``. For
        difficulty-aware sampling; an interrupted run starts again from uniform weights.
      mesh: shards the tasks of a step over the first axis of a mesh, which may span processes, e.g.
        `metajax.layout.device_mesh(tasks_per_step)`; parameters are replicated.
      on_call: ``(state, metrics) -> stop`` after every call; metrics holds the step reached and
        the means over the call's steps; a true result ends the training. The state's buffers are
        re-used by the next call: copy what must outlive it.
      state: where to go on from; None: from ``init_state(learner, source, optimizer, key)``.

    Returns:
      The state after the last step.

    Raises:
      ValueError: for steps or sizes below 1, a `task_axis` that does not fit, a `task_sampler`
        on a source without enumerated tasks, or a learner made for other tasks than the source's.
    """
    require_same(learner, source)
    if steps < 0 or steps_per_call < 1 or tasks_per_step < 1:
        raise ValueError(
            f"got steps={steps}, steps_per_call={steps_per_call} and tasks_per_step="
            f"{tasks_per_step}; they must be at least 0, 1 and 1"
        )
    if task_sampler is not None and source.tasks is None:
        raise ValueError("task_sampler needs a source with enumerated tasks")
    if tasks_per_step % layout.devices_of(mesh):
        raise ValueError(
            f"{layout.devices_of(mesh)} devices do not divide {tasks_per_step} tasks a step"
        )
    if task_axis != "auto":  # that is decided where the program is compiled
        task_axis = lay_out(
            learner, source, tasks_per_step=tasks_per_step, task_axis=task_axis, mesh=mesh,
            optimizer=optimizer,
        )  # fmt: skip
    if state is None:
        state = init_state(learner, source, optimizer, key, aggregate)
    # The caller's state stays valid after donation, and so do arrays that belong to an
    # optimiser or an aggregation, such as the key that its initial state is made of.
    state = layout.replicate(jax.tree.map(jnp.copy, state), mesh)
    weighted = task_sampler is not None
    make = Always(Trial(learner, optimizer, aggregate))
    plan = Plan(make, source.sample, tasks_per_step, task_axis, mesh, weighted)
    data = layout.replicate(source.data, mesh)
    weights = np.zeros(1 + max(source.tasks, default=0) if weighted else 1, np.float32)
    weights[source.tasks if weighted else 0] = 1.0
    done = int(state.step)
    while done < steps:
        state, history = _call(plan, steps_per_call, state, (), data, weights, np.int32(steps))
        ran, done = int(state.step) - done, int(state.step)
        history = {name: np.asarray(values)[:ran] for name, values in history.items()}
        if task_sampler is not None:
            drawn = history.pop("task").ravel()
            weights = np.asarray(task_sampler(weights, drawn, history["loss"].ravel()), np.float32)
        means = {name: float(values.mean()) for name, values in history.items()}
        if on_call is not None and on_call(state, {"step": done} | means):
            break
    return state
