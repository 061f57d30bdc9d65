"""The battery that every registered learner passes, and the closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from worlds import PADDED, ROWS, SPECS, blobs, episode, key, quick_jit

from metajax.evaluation import evaluate
from metajax.hyper import NUMBERS, arguments
from metajax.learners import LEARNERS, METHODS
from metajax.losses import loss
from metajax.nn import MLP, Identity
from metajax.training import fit
from metajax.types import Episode, Examples, TaskSource, TaskSpec

CASES = [(name, kind) for name, method in METHODS.items() for kind in method.kinds]
# A learner's gradient passes the same way in all kinds: one is enough every day.
EXACT = [
    pytest.param(name, kind, marks=[] if kind == METHODS[name].kinds[0] else pytest.mark.long)
    for name, kind in CASES
    if METHODS[name].exact
]


def numbers_of(build):
    """The hyper-parameters that may be traced, at their defaults."""
    return {k: v.default for k, v in arguments(build).items() if k in NUMBERS}


SMALL = {
    "scratch": {"inner_steps": 5},
    "finetune": {"inner_steps": 5},
    "pfn": {"width": 16, "blocks": 2},
}


def applied(learner):
    """``(params, support, x) -> outputs``."""
    return lambda params, support, x: learner.predict(
        params, learner.adapt(params, support, key(1)), x
    )


@functools.cache
def built(name, kind):
    """A learner with its compiled functions: one program each, shared by all tests."""
    learner = LEARNERS[name](SPECS[kind], MLP((8,), activation=jnp.tanh), **SMALL.get(name, {}))
    sample = episode(SPECS[kind])
    params = quick_jit(learner.init)(key(), sample)
    gradient = quick_jit(jax.grad(learner.meta_loss, has_aux=True))
    return learner, params, quick_jit(applied(learner)), gradient


@pytest.mark.parametrize("name,kind", CASES)
def test_shapes_under_vmap_and_determinism(name, kind):
    learner, params, outputs, _ = built(name, kind)
    one = episode(SPECS[kind])
    two = jax.tree.map(lambda a, b: jnp.stack([a, b]), one, episode(SPECS[kind], 1))
    batched = quick_jit(jax.vmap(applied(learner), (None, 0, 0)))
    batch = batched(params, two.support, two.query.x)
    alone = outputs(params, one.support, one.query.x)
    assert batch.shape == (2, *one.query.y.shape)
    np.testing.assert_allclose(batch[0], alone, atol=1e-5)
    np.testing.assert_array_equal(alone, outputs(params, one.support, one.query.x))


@pytest.mark.parametrize("name,kind", CASES)
def test_padded_rows_change_nothing(name, kind):
    _, params, outputs, _ = built(name, kind)
    one = episode(SPECS[kind])
    rubbish = one.support.x.at[ROWS:].set(37.0)
    np.testing.assert_allclose(
        outputs(params, one.support._replace(x=rubbish), one.query.x),
        outputs(params, one.support, one.query.x),
        atol=1e-5,
    )


@pytest.mark.parametrize("name,kind", CASES)
def test_the_order_of_the_support_changes_nothing(name, kind):
    _, params, outputs, _ = built(name, kind)
    one = episode(SPECS[kind])
    order = np.random.default_rng(3).permutation(ROWS + PADDED)
    shuffled = jax.tree.map(lambda leaf: leaf[order], one.support)
    np.testing.assert_allclose(
        outputs(params, shuffled, one.query.x), outputs(params, one.support, one.query.x), atol=1e-4
    )


@pytest.mark.parametrize("name,kind", CASES)
def test_other_queries_change_nothing(name, kind):
    _, params, outputs, _ = built(name, kind)
    one = episode(SPECS[kind])
    others = one.query.x.at[1:].set(-11.0)
    np.testing.assert_allclose(
        outputs(params, one.support, others)[0],
        outputs(params, one.support, one.query.x)[0],
        atol=1e-5,
    )


@pytest.mark.parametrize("name,kind", CASES)
def test_the_support_matters_unless_pooled(name, kind):
    _, params, outputs, _ = built(name, kind)
    one, two = episode(SPECS[kind]), episode(SPECS[kind], 1)
    gap = outputs(params, one.support, one.query.x) - outputs(params, two.support, one.query.x)
    assert (float(jnp.abs(gap).max()) < 1e-6) == (name == "pooled")


@pytest.mark.parametrize("name,kind", CASES)
def test_meta_gradients_are_finite(name, kind):
    _, params, _, gradient = built(name, kind)
    grads, metrics = gradient(params, episode(SPECS[kind]), key())
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
    assert jnp.isfinite(metrics["loss"])


@pytest.mark.parametrize("name,kind", EXACT)
def test_exact_gradients_agree_with_central_differences(name, kind):
    learner, params, _, _ = built(name, kind)
    with jax.enable_x64(True):
        one = episode(SPECS[kind], dtype=np.float64)
        params = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), params)
        flat, unravel = jax.flatten_util.ravel_pytree(params)
        both = quick_jit(jax.value_and_grad(lambda w: learner.meta_loss(unravel(w), one, key())[0]))
        direction = np.random.default_rng(0).normal(size=flat.shape)
        slope = both(flat)[1] @ direction
        step = 1e-5
        numeric = (both(flat + step * direction)[0] - both(flat - step * direction)[0]) / (2 * step)
        np.testing.assert_allclose(slope, numeric, rtol=2e-6, atol=1e-8)


@pytest.mark.parametrize("name", list(LEARNERS))
def test_learns_and_does_not_recompile(name):
    from metajax import training

    source = blobs()
    learner = LEARNERS[name](source.spec, MLP((16,)), **SMALL.get(name, {}))
    optimizer = optax.adam(0.01)
    state = fit(learner, source, optimizer, key(), steps=20, tasks_per_step=4, steps_per_call=20)
    programs = training._call._cache_size()
    state = fit(
        learner, source, optimizer, key(), steps=150, tasks_per_step=4, steps_per_call=20,
        state=state,
    )  # fmt: skip
    assert training._call._cache_size() == programs
    assert int(state.step) == 150
    scores = evaluate(learner, state.params, source, key(9), tasks=40, batch=40)
    # Classes are renamed in every episode: without the support nobody beats 1/3.
    if name == "pooled":
        assert abs(scores["accuracy"].mean() - 1 / 3) < 0.1
    else:
        assert scores["accuracy"].mean() > 0.6, scores["accuracy"].mean()


REFUSED = [(n, k) for n, method in METHODS.items() for k in SPECS if k not in method.kinds]


@pytest.mark.parametrize("name,kind", REFUSED)
def test_learners_refuse_what_they_are_not_defined_for(name, kind):
    with pytest.raises(ValueError, match=f"{name} is defined for .* tasks; got {kind}"):
        LEARNERS[name](SPECS[kind], MLP((8,)))


@pytest.mark.parametrize("name", LEARNERS)
def test_tasks_of_another_kind_are_refused_before_any_training(name):
    """The squared error of class indicators is a number, too, as is any other mistaken loss."""
    kind = METHODS[name].kinds[0]
    learner = LEARNERS[name](SPECS[kind], MLP((8,)), **SMALL.get(name, {}))
    assert learner.spec == SPECS[kind]
    other = SPECS["regression" if kind == "multiclass" else "multiclass"]
    more = TaskSpec(SPECS[kind].outputs + 1, kind)
    for spec in (other, more):
        source = TaskSource(spec, (), lambda data, key: episode(spec))  # noqa: B023
        message = f"made for {kind} tasks of .*the source has {spec.kind} tasks of {spec.outputs}"
        with pytest.raises(ValueError, match=message):
            fit(learner, source, optax.adam(0.01), key(), steps=1, tasks_per_step=1)
        with pytest.raises(ValueError, match=message):
            evaluate(learner, {}, source, key(), tasks=1, batch=1)


@pytest.mark.parametrize("name", [n for n, method in METHODS.items() if not method.variance])
def test_learners_without_a_predictive_variance_refuse_to_give_one(name):
    with pytest.raises(ValueError, match="variance|regression"):
        LEARNERS[name](TaskSpec(1, "regression", variance=True), MLP((8,)))


# Scratch draws a head of its own for every support: one of two ways is another than one of three.
@pytest.mark.parametrize("name", [name for name in LEARNERS if name != "scratch"])
def test_absent_ways_change_nothing(name):
    """Two real classes padded to three give the loss and the gradients of the two alone.

    The parameters of the two-way learner are those of the three-way one without what belongs to
    the third class: the last entry of an axis that has one entry fewer.
    """
    learner, params, _, gradient = built(name, "multiclass")
    three = episode(SPECS["multiclass"])

    def without_third(part):
        keep = part.y[:, 2:3] == 0
        return part._replace(
            y=(part.y * keep).at[:, 2].set(0), mask=(part.mask * keep).at[:, 2].set(0)
        )

    absent = Episode(without_third(three.support), without_third(three.query))
    two = Episode(*(part._replace(y=part.y[:, :2], mask=part.mask[:, :2]) for part in absent))
    alone = LEARNERS[name](TaskSpec(2, "multiclass"), MLP((8,), activation=jnp.tanh),
                           **SMALL.get(name, {}))  # fmt: skip
    shapes = jax.eval_shape(alone.init, key(), two)
    cut = jax.tree.map(lambda leaf, like: leaf[tuple(map(slice, like.shape))], params, shapes)
    expected, told = quick_jit(jax.grad(alone.meta_loss, has_aux=True))(cut, two, key())
    grads, metrics = gradient(params, absent, key())
    np.testing.assert_allclose(metrics["loss"], told["loss"], rtol=0, atol=1e-6)
    pairs = zip(jax.tree.leaves(grads), jax.tree.leaves(expected), strict=True)
    for grad, same in pairs:
        kept = tuple(map(slice, same.shape))
        np.testing.assert_allclose(grad[kept], same, rtol=1e-5, atol=1e-6)
        # Nothing is learned about the class that is not there.
        outside = np.asarray(grad).copy()
        outside[kept] = 0
        assert not outside.any()


# Closed forms --------------------------------------------------------------------------------


def linear(inner_steps=1, **hyper):
    """MAML-like learners on a linear regression, where everything can be written down."""
    spec = SPECS["regression"]
    one = episode(spec)
    return spec, one, {"inner_lr": 0.05, "inner_steps": inner_steps} | hyper


def support_loss(spec, one):
    net = LEARNERS["pooled"](spec, Identity())
    return lambda w: loss(spec, net.predict(w, {}, one.support.x), one.support)


def query_loss(spec, one):
    net = LEARNERS["pooled"](spec, Identity())
    return lambda w: loss(spec, net.predict(w, {}, one.query.x), one.query)


def test_one_step_maml_is_i_minus_a_hessian_times_gradient():
    spec, one, hyper = linear()
    learner = LEARNERS["maml"](spec, Identity(), **hyper)
    with jax.enable_x64(True):
        one = episode(spec, dtype=np.float64)
        start = jax.tree.map(lambda w: w.astype(jnp.float64), learner.init(key(), one))
        flat, unravel = jax.flatten_util.ravel_pytree(start)
        inner = lambda w: support_loss(spec, one)(unravel(w))  # noqa: E731
        adapted = flat - 0.05 * jax.grad(inner)(flat)
        outer = jax.grad(lambda w: query_loss(spec, one)(unravel(w)))(adapted)
        expected = (jnp.eye(flat.size) - 0.05 * jax.hessian(inner)(flat)) @ outer
        grads = jax.grad(learner.meta_loss, has_aux=True)(start, one, key())[0]
        np.testing.assert_allclose(jax.flatten_util.ravel_pytree(grads)[0], expected, rtol=1e-9)
        first = LEARNERS["fomaml"](spec, Identity(), **hyper)
        grads = jax.grad(first.meta_loss, has_aux=True)(start, one, key())[0]
        np.testing.assert_allclose(jax.flatten_util.ravel_pytree(grads)[0], outer, rtol=1e-9)
        assert not np.allclose(outer, expected, rtol=1e-3)


def test_reptile_follows_theta_minus_phi():
    spec, one, hyper = linear(inner_steps=3)
    learner = LEARNERS["reptile"](spec, Identity(), **hyper)
    start = learner.init(key(), one)
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *one)
    net = LEARNERS["pooled"](spec, Identity())
    phi = start
    for _ in range(3):
        grads = jax.grad(lambda w: loss(spec, net.predict(w, {}, both.x), both))(phi)
        phi = jax.tree.map(lambda w, g: w - 0.05 * g, phi, grads)
    found = jax.grad(learner.meta_loss, has_aux=True)(start, one, key())[0]
    expected = jax.tree.map(jnp.subtract, start, phi)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found, expected)


def test_meta_sgd_with_one_rate_is_maml():
    spec, one, hyper = linear(inner_steps=2)
    maml, sgd = (LEARNERS[name](spec, MLP((8,)), **hyper) for name in ("maml", "meta_sgd"))
    params = sgd.init(key(), one)
    adapted = maml.adapt(params["net"], one.support, key())
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
        adapted,
        sgd.adapt(params, one.support, key()),
    )


def test_anil_without_a_body_is_maml_on_a_linear_model():
    spec, one, hyper = linear(inner_steps=3)
    maml, anil = (LEARNERS[name](spec, Identity(), **hyper) for name in ("maml", "anil"))
    params = maml.init(key(), one)
    for a, b in zip(
        jax.tree.leaves(jax.grad(maml.meta_loss, has_aux=True)(params, one, key())[0]),
        jax.tree.leaves(jax.grad(anil.meta_loss, has_aux=True)(params, one, key())[0]),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("features", [3, 40])
def test_ridge_is_regularised_least_squares(features):
    rng = np.random.default_rng(0)
    spec = TaskSpec(2, "regression")
    x, y = rng.normal(size=(12, features)), rng.normal(size=(12, 2))
    mask = (rng.uniform(size=(12, 2)) < 0.7).astype(np.float32)
    learner = LEARNERS["ridge"](spec, Identity(), l2=0.7, bias=False)

    support = Examples(*(jnp.asarray(a, jnp.float32) for a in (x, y * mask, mask)))
    params = learner.init(key(), Episode(support, support))
    head = learner.adapt(params, support, key())
    for c in range(2):
        rows = mask[:, c] > 0
        design = np.concatenate([x[rows], np.sqrt(0.7) * np.eye(features)])
        target = np.concatenate([y[rows, c], np.zeros(features)])
        expected = np.linalg.lstsq(design, target, rcond=None)[0]
        np.testing.assert_allclose(head[:, c], expected, atol=2e-4)


def test_protonet_by_hand():
    spec = SPECS["multiclass"]
    one = episode(spec)
    learner = LEARNERS["protonet"](spec, Identity())
    outputs = learner.predict({}, learner.adapt({}, one.support, key()), one.query.x)
    x, labels = np.asarray(one.support.x)[:ROWS], np.asarray(one.support.y)[:ROWS].argmax(1)
    for c in range(3):
        gap = np.asarray(one.query.x) - x[labels == c].mean(0)
        np.testing.assert_allclose(outputs[:, c], -(gap**2).sum(1), rtol=1e-4)


@pytest.mark.parametrize("name", [name for name, build in LEARNERS.items() if numbers_of(build)])
def test_numbers_may_be_traced_as_in_a_fused_sweep(name):
    spec = SPECS[METHODS[name].kinds[0]]
    one, encoder, fixed = episode(spec), MLP((8,)), SMALL.get(name, {})

    def value(numbers):
        learner = LEARNERS[name](spec, encoder, **fixed, **numbers)
        params = learner.init(key(), one)
        outputs = learner.predict(params, learner.adapt(params, one.support, key(1)), one.query.x)
        return learner.meta_loss(params, one, key())[0], outputs

    numbers = numbers_of(LEARNERS[name])
    found, expected = quick_jit(value)(numbers), quick_jit(lambda: value(numbers))()
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # noqa: E731
    jax.tree.map(close, found, expected)


def test_multi_task_trains_the_body_and_the_head_of_its_task_alone():
    spec = SPECS["multilabel"]
    one = episode(spec)
    learner = LEARNERS["multi_task"](spec, MLP((8,)), heads_kept=5)
    params = learner.init(key(), one)
    value, grads = jax.value_and_grad(lambda p: learner.meta_loss(p, one, key())[0])(params)
    plain = LEARNERS["pooled"](spec, MLP((8,)))
    head = jax.tree.map(lambda leaf: leaf[3], params["heads"])
    same = {"body": params["body"], "head": head}
    expected, slope = jax.value_and_grad(lambda p: plain.meta_loss(p, one, key())[0])(same)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    for found, right in zip(*map(jax.tree.leaves, (grads["heads"], slope["head"])), strict=True):
        np.testing.assert_allclose(found[3], right, rtol=1e-5)
        assert not found[jnp.array([0, 1, 2, 4])].any()
    # Task 8 shares the head of task 3, and rows that do not say their task are refused.
    eight = jax.tree.map(lambda leaf: leaf, one)
    eight.support.info["task"] = jnp.full_like(one.support.info["task"], 8)
    np.testing.assert_allclose(learner.meta_loss(params, eight, key())[0], value, rtol=1e-6)
    with pytest.raises(ValueError, match="multi_task needs info.'task'"):
        learner.meta_loss(params, Episode(*(part._replace(info=()) for part in one)), key())
