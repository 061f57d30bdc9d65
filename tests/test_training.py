"""The trainer: how steps are cut, laid out, aggregated, sharded or stopped changes no result."""

import functools
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from worlds import cut, key

from metajax import training
from metajax.learners import LEARNERS
from metajax.nn import Identity
from metajax.training import fit, init_state
from metajax.types import Always, Examples, TaskSource, TaskSpec

LEARNER = LEARNERS["maml"](TaskSpec(2, "multiclass"), Identity(), inner_steps=1)
RATE = 0.1
OPTIMIZER = optax.sgd(RATE, momentum=0.5)


def sample(data, key, task=None):
    """Ten rows of a task, drawn with replacement: the cheapest sampler to compile."""
    bits = jax.random.bits(key, (11,))
    task = data["tasks"][bits[10] % data["tasks"].size] if task is None else task
    x, y = data["x"][task, bits[:10] % 20], jax.nn.one_hot(data["y"][task, bits[:10] % 20], 2)
    return cut(Examples(x, y, jnp.ones_like(y)), 4)


def pool(seed=0, tasks=(0, 1, 2, 3), lift=1.0):
    """Four tasks of 20 rows in two classes; `lift` is how far the classes lie apart."""
    rng = np.random.default_rng(seed)
    y = np.tile([0, 1], (4, 10))
    x = rng.normal(size=(4, 20, 3)) + (np.broadcast_to(lift, 4)[:, None] * y)[..., None]
    data = {"x": jnp.asarray(x, jnp.float32), "y": jnp.asarray(y), "tasks": jnp.asarray(tasks)}
    return TaskSource(TaskSpec(2, "multiclass"), data, sample, np.asarray(tasks))


POOL = pool()


def train(source=POOL, seed=0, **options):
    options = {"steps": 20, "tasks_per_step": 4, "steps_per_call": 10} | options
    return fit(LEARNER, source, OPTIMIZER, key(seed), **options)


@functools.cache
def reference():
    """20 steps in two calls, as host arrays."""
    return host(train())


def host(state):
    def plain(leaf):
        typed = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if typed else leaf)

    return jax.tree.map(plain, state)


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def close(a, b, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), a, b)


def distance(a, b):
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(np.abs(a - b).max()) for a, b in leaves)


@pytest.mark.parametrize("steps_per_call", [20, 7])
def test_how_steps_are_cut_into_calls_changes_no_bit(steps_per_call):
    same(host(train(steps_per_call=steps_per_call)), reference())


@pytest.mark.parametrize("first", [10, 13])
def test_going_on_from_a_state_changes_no_bit(first):
    middle = train(steps=first)
    assert int(middle.step) == first
    # The key of the call is not used: the state has its own.
    same(host(train(seed=5, state=middle)), reference())


def test_training_is_deterministic_and_depends_on_the_key():
    same(host(train()), reference())
    assert distance(host(train(seed=1)).params, reference().params) > 1e-3


def test_training_learns():
    losses = []
    train(pool(lift=3), steps=200, on_call=lambda state, means: losses.append(means["loss"]))
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("task_axis", ["scan", "chunk:2"])
def test_the_layout_of_tasks_changes_float_rounding_only(task_axis):
    close(host(train(task_axis=task_axis)), reference(), rtol=1e-4, atol=1e-6)


def test_only_another_form_compiles_again():
    train()
    programs = training._call._cache_size()
    train(steps=13)  # the last call is shorter
    train(seed=7)
    train(pool(seed=3))
    assert training._call._cache_size() == programs > 0


def test_what_is_reported_are_means_over_the_steps_that_ran():
    whole, parts = [], []
    train(steps_per_call=20, on_call=lambda state, means: whole.append(means))
    train(steps_per_call=7, on_call=lambda state, means: parts.append(means))
    assert [means["step"] for means in parts] == [7, 14, 20]
    for name in ("loss", "gradient_norm"):
        mean = sum(means[name] * n for means, n in zip(parts, (7, 7, 6), strict=True)) / 20
        assert mean == pytest.approx(whole[0][name], rel=1e-5)


def test_on_call_sees_the_state_and_can_stop():
    seen = []

    def on_call(state, means):
        seen.append((int(state.step), means["step"]))
        return means["step"] >= 10

    state = train(steps=40, on_call=on_call)
    assert seen == [(10, 10)] and int(state.step) == 10
    same(host(train(state=state)), reference())


def test_a_state_given_stays_valid():
    start = init_state(LEARNER, POOL, OPTIMIZER, key())
    before = host(start)
    same(host(train(state=start)), reference())
    same(host(start), before)
    same(host(train(state=start)), reference())


def test_no_step_changes_nothing():
    start = init_state(LEARNER, POOL, OPTIMIZER, key())
    same(host(train(steps=0)), host(start))
    same(host(train(steps=10, state=train())), reference())  # there already


@functools.cache
def one_step_gradients():
    """The first parameters and the meta-gradients of the tasks of the first step, written out."""
    start = init_state(LEARNER, POOL, OPTIMIZER, key())

    @jax.jit
    @jax.vmap
    def gradient(task_key):
        sample_key, _, adapt_key = jax.random.split(task_key, 3)
        episode = POOL.sample(POOL.data, sample_key)
        return jax.grad(LEARNER.meta_loss, has_aux=True)(start.params, episode, adapt_key)[0]

    grads = host(gradient(jax.random.split(jax.random.fold_in(start.key, 0), 4)))
    return host(start.params), [jax.tree.map(lambda g, i=i: g[i], grads) for i in range(4)]


def stepped(factors):
    """The parameters after a step along the weighted mean of the tasks' gradients."""
    start, grads = one_step_gradients()
    return jax.tree.map(
        lambda p, *g: p - RATE * sum(f * g for f, g in zip(factors, g, strict=True)) / 4,
        start, *grads,
    )  # fmt: skip


def test_a_step_is_the_optimiser_on_the_mean_of_the_task_gradients():
    close(host(train(steps=1)).params, stepped([1, 1, 1, 1]), rtol=1e-4, atol=1e-6)


def test_private_aggregation_without_noise_is_the_mean_of_clipped_gradients():
    norms = [float(optax.tree.norm(g)) for g in one_step_gradients()[1]]
    bound = float(np.median(norms))
    assert min(norms) < bound < max(norms)
    expected = stepped([min(1.0, bound / norm) for norm in norms])
    private = optax.contrib.differentially_private_aggregate(bound, 0.0, key=key(3))
    first = host(train(steps=1, aggregate=private))
    close(first.params, expected, rtol=1e-4, atol=1e-6)
    # Its initial state is its own key: a first training must not have taken that away.
    same(host(train(steps=1, aggregate=private)), first)


def test_aggregating_by_the_mean_is_the_default():
    mean = optax.GradientTransformation(
        lambda params: jnp.int32(0),
        lambda grads, count, params: (jax.tree.map(lambda g: g.mean(0), grads), count + 1),
    )
    half = train(aggregate=mean, task_axis="chunk:2", steps=10)
    whole = train(aggregate=mean, task_axis="chunk:2", state=half)
    close(host(whole.params), reference().params, rtol=1e-4, atol=1e-6)
    assert [int(state.opt_state[0]) for state in (half, whole)] == [10, 20]


def test_task_sampler_weights_decide_what_is_drawn():
    calls = []

    def sampler(weights, tasks, losses):
        calls.append((weights, tasks, losses))
        return np.array([0, 0, 3, 1], np.float32) if len(calls) > 1 else weights

    train(POOL._replace(tasks=np.array([0, 2, 3])), steps=195, task_sampler=sampler)
    assert [len(tasks) for _, tasks, _ in calls] == [40] * 19 + [20]
    assert all(tasks.shape == losses.shape for _, tasks, losses in calls)
    assert all(np.isfinite(losses).all() for *_, losses in calls)
    # Uniform at first over the source's tasks, of which 1 is none.
    np.testing.assert_array_equal(calls[0][0], [1, 0, 1, 1])
    assert set(calls[0][1]) | set(calls[1][1]) == {0, 2, 3}
    np.testing.assert_array_equal(calls[2][0], [0, 0, 3, 1])
    later = np.concatenate([tasks for _, tasks, _ in calls[2:]])
    assert set(later) == {2, 3}
    assert abs((later == 2).mean() - 0.75) < 4 * np.sqrt(0.75 * 0.25 / len(later))


def test_task_sampler_sees_the_losses_of_its_tasks():
    """Task 0 has labels that nobody can learn, so its losses are the highest."""
    found = []

    def sampler(weights, tasks, losses):
        found.append([losses[tasks == t].mean() for t in range(4)])
        return weights

    train(pool(lift=[0, 4, 4, 4]), steps=200, task_sampler=sampler)
    assert np.argmax(np.mean(found[-5:], 0)) == 0


TWO_DEVICES = """
    import sys
    sys.path[:0] = {paths!r}
    import jax, numpy as np
    from test_training import host, train
    assert jax.device_count() == 2
    mesh = jax.make_mesh((2,), ("tasks",), axis_types=(jax.sharding.AxisType.Auto,))
    state = train(mesh=mesh)
    leaves = jax.tree.leaves(state.params)
    assert all(len(leaf.sharding.device_set) == 2 for leaf in leaves)
    np.savez({file!r}, *jax.tree.leaves(host(state.params)))
"""


def test_two_devices_agree_with_one(request, tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    root = request.config.rootpath
    paths, file = [str(root), str(root / "tests")], str(tmp_path / "params.npz")
    command = [sys.executable, "-c", textwrap.dedent(TWO_DEVICES.format(paths=paths, file=file))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(file) as found:
        assert distance(list(found.values()), reference().params) < 1e-5


def primitives(jaxpr):
    """The names of all primitives of a jaxpr and of those inside it."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for part in jax.tree.leaves(list(equation.params.values()), is_leaf=is_jaxpr):
            if is_jaxpr(part):
                yield from primitives(getattr(part, "jaxpr", part))


def is_jaxpr(part):
    return hasattr(getattr(part, "jaxpr", part), "eqns")


def touching_the_host(learner):
    make = Always(training.Trial(learner, OPTIMIZER))
    plan = training.Plan(make, POOL.sample, 4, "vmap")
    start = init_state(learner, POOL, OPTIMIZER, key())
    traced = training._call.trace(plan, 5, start, (), POOL.data, jnp.zeros(1), jnp.int32(5))
    names = set(primitives(traced.jaxpr.jaxpr))
    assert "scan" in names and "dot_general" in names  # it looked inside
    return {n for n in names if any(w in n for w in ("callback", "feed", "device_put"))}


def test_no_step_touches_the_host_inside_a_call():
    assert touching_the_host(LEARNER) == set()

    def loud(params, episode, key):
        value, metrics = LEARNER.meta_loss(params, episode, key)
        jax.debug.callback(lambda value: None, value)
        return value, metrics

    assert touching_the_host(LEARNER._replace(meta_loss=loud))  # such a thing would be seen


@pytest.mark.parametrize("fastest", ["scan", "chunk:2", "vmap"])
def test_the_layout_that_measures_fastest_is_kept(monkeypatch, fastest):
    spent = {axis: 1.0 if axis == fastest else 2.0 for axis in ("scan", "chunk:2", "vmap")}
    clock, run = [0.0], training._call

    def call(plan, *arguments):
        # The first call compiles: what it takes must not count.
        first = plan.task_axis not in timed
        timed.append(plan.task_axis)
        clock[0] += 100.0 if first and plan.task_axis == fastest else spent[plan.task_axis]
        return run(plan, *arguments)

    timed = []
    monkeypatch.setattr(training, "_call", call)
    monkeypatch.setattr(training.time, "perf_counter", lambda: clock[0])
    found = training.lay_out(LEARNER, POOL, tasks_per_step=4, task_axis="measure")
    assert found == fastest and set(timed) == set(spent)
    timed.clear()
    close(host(train(task_axis="measure")), reference(), rtol=1e-4, atol=1e-6)
    assert timed[-2:] == [fastest] * 2  # the training itself


@pytest.mark.parametrize(
    "task_axis", ["pmap", "", "vmap:2", "scan:1", "chunk", "chunk:0", "chunk:3", "chunk:-2"]
)
def test_a_layout_that_does_not_fit_is_refused(task_axis):
    with pytest.raises(ValueError, match=f"chunk:n with n dividing .* got '{task_axis}' with 4"):
        train(task_axis=task_axis)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"steps": -1}, "steps=-1"),
        ({"steps_per_call": 0}, "steps_per_call=0"),
        ({"tasks_per_step": 0}, "tasks_per_step=0"),
    ],
)
def test_numbers_out_of_range_are_refused(options, named):
    with pytest.raises(ValueError, match=named):
        train(**options)


def test_task_sampler_needs_tasks_to_weigh():
    with pytest.raises(ValueError, match="task_sampler needs a source with enumerated tasks"):
        train(POOL._replace(tasks=None), task_sampler=lambda weights, tasks, losses: weights)
