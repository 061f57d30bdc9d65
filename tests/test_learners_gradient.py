"""Closed forms and identities of the gradient-based learners."""

import functools
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from worlds import SPECS, episode, key, quick_jit

from metajax.inner import conjugate_gradient, descend, implicit, neumann
from metajax.learners import LEARNERS
from metajax.losses import loss
from metajax.nn import MLP, Conv, Identity

SPEC = SPECS["regression"]
ENCODER = MLP((5,), activation=jnp.tanh)


def close(found, expected, rtol=1e-5, atol=1e-6):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), found, expected
    )


def differ(found, expected):
    """Some leaf is clearly another one."""
    gaps = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), found, expected)
    return max(jax.tree.leaves(gaps)) > 1e-4


def setting(name, encoder=ENCODER, spec=SPEC, **hyper):
    """A learner, its meta-parameters, and one task."""
    one = episode(spec)
    learner = LEARNERS[name](spec, encoder, **hyper)
    return learner, learner.init(key(), one), one


def losses(spec, encoder, one):
    """The losses of a network's weights on support and query."""
    net = LEARNERS["pooled"](spec, encoder)
    return (
        lambda weights, rows=rows: loss(spec, net.predict(weights, {}, rows.x), rows)
        for rows in (one.support, one.query)
    )


def meta_gradient(learner):
    return quick_jit(
        lambda params, one: jax.grad(learner.meta_loss, has_aux=True)(params, one, key())
    )


# MAML ----------------------------------------------------------------------------------------

BY_HAND = {
    "momentum": optax.sgd(0.05, momentum=0.9),
    "adam": optax.adam(0.05, eps_root=1e-8),
    "adam0": optax.adam(0.05, b1=0.0, eps_root=1e-8),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_maml_goes_through_any_inner_optimiser(name):
    learner, params, one = setting("maml", inner_optimizer=name, inner_lr=0.05, inner_steps=3)
    inner, outer = losses(SPEC, ENCODER, one)

    def by_hand(weights):
        start, state = weights, BY_HAND[name].init(weights)
        for _ in range(3):
            updates, state = BY_HAND[name].update(jax.grad(inner)(weights), state, weights)
            weights = optax.apply_updates(weights, updates)
        assert start is not weights
        return outer(weights)

    found, metrics = meta_gradient(learner)(params, one)
    value, expected = quick_jit(jax.value_and_grad(by_hand))(params)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-5)
    close(found, expected, rtol=1e-4, atol=1e-5)
    plain = LEARNERS["maml"](SPEC, ENCODER, inner_lr=0.05, inner_steps=3)
    assert differ(found, meta_gradient(plain)(params, one)[0])


def test_meta_gradients_through_adam_are_finite_where_an_inner_gradient_is_0():
    learner, params, one = setting("maml", MLP((5,)), inner_optimizer="adam")
    # One dead unit has no gradient at all.
    kernel = params["body"]["params"]["Dense_0"]["kernel"].at[:, 0].set(0)
    params["body"]["params"]["Dense_0"]["kernel"] = kernel
    params["body"]["params"]["Dense_0"]["bias"] -= jnp.array([1.0, 0, 0, 0, 0])
    found = meta_gradient(learner)(params, one)[0]
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize("name", ["maml", "fomaml"])
def test_unknown_inner_optimisers_are_refused(name):
    with pytest.raises(ValueError, match="one of sgd, momentum, adam, adam0; got 'adma'"):
        LEARNERS[name](SPEC, ENCODER, inner_optimizer="adma")


# MAML++ --------------------------------------------------------------------------------------


@pytest.mark.parametrize("multi_step", [None, 0.0])
def test_maml_plus_with_equal_rates_and_the_last_loss_is_maml(multi_step):
    plus, params, one = setting("maml_plus", inner_steps=3, multi_step=multi_step)
    maml = LEARNERS["maml"](SPEC, ENCODER, inner_steps=3)
    found, metrics = meta_gradient(plus)(params, one)
    expected, same = meta_gradient(maml)(params["net"], one)
    close(found["net"], expected)
    close(metrics, same)
    close(plus.adapt(params, one.support, key()), maml.adapt(params["net"], one.support, key()))


def test_maml_plus_has_a_rate_for_every_tensor_and_step():
    plus, params, one = setting("maml_plus", inner_steps=2)
    inner, _ = losses(SPEC, ENCODER, one)
    rates = jnp.array([[0.1, 0.2, 0.0, 0.3], [0.05, 0.0, 0.4, -0.1]])
    assert params["rate"].shape == rates.shape
    weights = params["net"]
    for step in rates:
        leaves, treedef = jax.tree.flatten(weights)
        grads = jax.tree.leaves(jax.grad(inner)(weights))
        moved = [leaf - rate * grad for leaf, rate, grad in zip(leaves, step, grads, strict=True)]
        weights = jax.tree.unflatten(treedef, moved)
    close(plus.adapt(params | {"rate": rates}, one.support, key()), weights)


def test_the_multi_step_loss_weighs_the_steps_as_the_authors_do():
    epoch, epochs, steps = 4, 10, 3
    # Their rule, written out: uniform at first, then towards the last step, with a floor.
    others = max(1 / steps - epoch * (1 / steps / epochs), 0.03 / steps)
    last = min(1 / steps + epoch * (steps - 1) / steps / epochs, 1 - (steps - 1) * 0.03 / steps)
    plus, params, one = setting("maml_plus", inner_steps=steps, multi_step=1 - epoch / epochs)
    after = [
        LEARNERS["maml"](SPEC, ENCODER, inner_steps=k).meta_loss(params["net"], one, key())[0]
        for k in range(1, steps + 1)
    ]
    expected = others * (after[0] + after[1]) + last * after[2]
    found, metrics = plus.meta_loss(params, one, key())
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"], after[2], rtol=1e-5)


# ANIL and BOIL -------------------------------------------------------------------------------


@pytest.mark.parametrize("name,frozen", [("anil", "body"), ("boil", "head")])
def test_anil_and_boil_are_maml_with_a_part_frozen(name, frozen):
    learner, params, one = setting(name, inner_lr=0.2, inner_steps=2)
    inner, outer = losses(SPEC, ENCODER, one)
    moving = {"anil": "head", "boil": "body"}[name]

    def by_hand(weights):
        for _ in range(2):
            step = jax.tree.map(lambda w, g: w - 0.2 * g, weights, jax.grad(inner)(weights))
            weights = {moving: step[moving], frozen: weights[frozen]}
        return outer(weights), weights[moving]

    expected, adapted = quick_jit(jax.grad(by_hand, has_aux=True))(params)
    close(meta_gradient(learner)(params, one)[0], expected)
    close(learner.adapt(params, one.support, key()), adapted)
    assert differ(adapted, params[moving])


def test_boil_without_a_body_cannot_adapt():
    boil, params, one = setting("boil", Identity())
    pooled = LEARNERS["pooled"](SPEC, Identity())
    adapted = boil.adapt(params, one.support, key())
    assert not jax.tree.leaves(adapted)
    close(boil.predict(params, adapted, one.query.x), pooled.predict(params, {}, one.query.x))


# CAVIA ---------------------------------------------------------------------------------------


def test_one_step_of_cavia_on_a_linear_model_by_hand():
    cavia, params, one = setting(
        "cavia", Identity(), inner_lr=0.7, inner_steps=1, context=3, join="inputs"
    )
    head = params["net"]["head"]["params"]
    weights, shared = head["kernel"][-3:], head["kernel"][:-3]
    x, y = one.support.x[:6], one.support.y[:6]  # the rest is padded
    # A linear model's mean squared error, over rows and outputs, has this slope in the context.
    slope = 2 * ((x @ shared + head["bias"] - y) @ weights.T).mean(0) / SPEC.outputs
    context = cavia.adapt(params, one.support, key())
    np.testing.assert_allclose(context, -0.7 * slope, rtol=1e-5)
    outputs = one.query.x @ shared + head["bias"] - 0.7 * slope @ weights
    np.testing.assert_allclose(cavia.predict(params, context, one.query.x), outputs, rtol=1e-4)


@pytest.mark.parametrize("join", ["features", "inputs"])
def test_cavia_without_steps_has_a_context_of_zeros(join):
    cavia, params, one = setting("cavia", inner_steps=0, context=3, join=join)
    np.testing.assert_array_equal(cavia.adapt(params, one.support, key()), np.zeros(3))


def test_cavia_joins_its_context_to_images_as_channels():
    one = episode(SPEC)
    images = jax.tree.map(
        lambda rows: rows.reshape(len(rows), 2, 2, 1), (one.support.x, one.query.x)
    )
    one = one._replace(
        support=one.support._replace(x=images[0]), query=one.query._replace(x=images[1])
    )
    cavia = LEARNERS["cavia"](SPEC, Identity(), context=3, join="inputs")
    params = cavia.init(key(), one)
    assert params["net"]["head"]["params"]["kernel"].shape == (2 * 2 * (1 + 3), 2)
    assert cavia.adapt(params, one.support, key()).any()


def test_cavia_refuses_what_it_cannot_join():
    with pytest.raises(ValueError, match="join is one of features, inputs; got 'both'"):
        LEARNERS["cavia"](SPEC, ENCODER, join="both")
    one = episode(SPEC)
    one = one._replace(support=one.support._replace(x={"a": one.support.x}))
    with pytest.raises(ValueError, match="one array"):
        LEARNERS["cavia"](SPEC, ENCODER, join="inputs").init(key(), one)


# Reptile -------------------------------------------------------------------------------------


def test_reptile_with_the_authors_adam_and_other_steps_at_test():
    learner, params, one = setting(
        "reptile", inner_optimizer="adam0", inner_lr=0.01, inner_steps=3, test_steps=2
    )
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *one)

    def by_hand(weights, rows, steps):
        inner, _ = losses(SPEC, ENCODER, one._replace(support=rows))
        second = jax.tree.map(jnp.zeros_like, weights)
        for t in range(1, steps + 1):
            grads = jax.grad(inner)(weights)
            second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, second, grads)
            size = jax.tree.map(lambda v, t=t: jnp.sqrt(v / (1 - 0.999**t)) + 1e-8, second)
            weights = jax.tree.map(lambda w, g, s: w - 0.01 * g / s, weights, grads, size)
        return weights

    by_hand = quick_jit(by_hand, static_argnums=2)
    close(learner.adapt(params, one.support, key()), by_hand(params, one.support, 2), rtol=1e-4)
    towards = jax.tree.map(jnp.subtract, params, by_hand(params, both, 3))
    close(meta_gradient(learner)(params, one)[0], towards, rtol=1e-3, atol=1e-5)


def test_reptile_draws_mini_batches_from_rows_that_are_present():
    one = episode(SPEC)
    rubbish = one.support._replace(x=one.support.x.at[6:].set(1e3))
    draw = lambda size, k: LEARNERS["reptile"](  # noqa: E731
        SPEC, Identity(), batch=size, inner_steps=1
    ).adapt(params, rubbish, key(k))
    whole, params, _ = setting("reptile", Identity(), inner_steps=1)
    full = whole.adapt(params, one.support, key())
    close(draw(6, 0), full)  # all that are present, in another order
    close(draw(50, 0), full)
    # A single row: the step is one of the six that there are.
    inner = [losses(SPEC, Identity(), one._replace(support=row)) for row in rows_of(one.support, 6)]
    steps = [
        jax.tree.map(lambda w, g: w - 0.1 * g, params, jax.grad(next(each))(params))
        for each in inner
    ]
    seen = set()
    for k in range(12):
        found = draw(1, k)
        equal = [i for i, step in enumerate(steps) if not differ(found, step)]
        assert len(equal) == 1
        seen |= set(equal)
    assert len(seen) > 2


def rows_of(examples, count):
    """Examples of one row each."""
    return [jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], examples) for i in range(count)]


# Implicit gradients --------------------------------------------------------------------------


def test_implicit_solutions_differentiate_in_everything_they_depend_on():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    matrix, vector = jnp.asarray(root @ root.T + np.eye(4)), jnp.asarray(rng.normal(size=4))
    inverse = partial(conjugate_gradient, steps=20)

    def found(args):
        solve = lambda args: jnp.linalg.solve(*args)  # noqa: E731
        slope = lambda phi, args: args[0] @ phi - args[1]  # noqa: E731
        return jnp.sin(implicit(solve, slope, args, inverse)).sum()

    expected = jax.grad(lambda args: jnp.sin(jnp.linalg.solve(*args)).sum())((matrix, vector))
    close(jax.grad(found)((matrix, vector)), expected, rtol=1e-3, atol=1e-4)


def test_conjugate_gradient_stops_where_a_matrix_is_not_positive():
    vector = jnp.array([3.0, 0.1])
    found = conjugate_gradient(lambda v: jnp.array([1.0, -1.0]) * v, vector, 9)
    # One step along the vector; the next direction is of negative curvature.
    np.testing.assert_allclose(found, vector * (9.01 / 8.99), rtol=1e-5)
    for nothing in (jnp.zeros(2), vector):
        found = conjugate_gradient(lambda v: v, nothing, 9)  # solved long before the last step
        np.testing.assert_allclose(found, nothing)


def test_the_neumann_series_by_powers_of_a_matrix():
    matrix, vector = jnp.array([[1.0, 0.2], [0.2, 0.5]]), jnp.array([1.0, -2.0])
    shrink = np.eye(2) - 0.3 * np.asarray(matrix)
    powers = sum(np.linalg.matrix_power(shrink, k) for k in range(4))
    found = neumann(lambda v: matrix @ v, vector, 4, 0.3)
    np.testing.assert_allclose(found, 0.3 * powers @ np.asarray(vector), rtol=1e-5)
    np.testing.assert_allclose(
        neumann(lambda v: matrix @ v, vector, 400, 0.3), np.linalg.solve(matrix, vector), rtol=1e-4
    )


def doubled(learner):
    """An episode and meta-parameters in float64; to be called under `enable_x64`."""
    one = episode(SPEC, dtype=np.float64)
    start = jax.tree.map(lambda w: w.astype(jnp.float64), learner.init(key(), one))
    return one, start


@pytest.mark.parametrize("solver,steps", [("cg", 10), ("neumann", 300)])
def test_imaml_on_a_linear_regression_is_the_closed_form(solver, steps):
    hyper = {"l2": 0.8, "inner_lr": 0.2, "inner_steps": 400}
    learner = LEARNERS["imaml"](SPEC, Identity(), solver=solver, solver_steps=steps, **hyper)
    with jax.enable_x64(True):
        one, start = doubled(learner)
        flat, unravel = jax.flatten_util.ravel_pytree(start)
        inner, outer = (lambda w, f=f: f(unravel(w)) for f in losses(SPEC, Identity(), one))
        hessian, slope = jax.hessian(inner)(flat), jax.grad(inner)(flat)
        matrix = hessian + 0.8 * jnp.eye(flat.size)
        phi = flat - jnp.linalg.solve(matrix, slope)  # a quadratic: one Newton step
        expected = 0.8 * jnp.linalg.solve(matrix, jax.grad(outer)(phi))
        adapted = learner.adapt(start, one.support, key())
        np.testing.assert_allclose(jax.flatten_util.ravel_pytree(adapted)[0], phi, rtol=1e-8)
        found = jax.flatten_util.ravel_pytree(meta_gradient(learner)(start, one)[0])[0]
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_converged_imaml_is_the_unrolled_gradient():
    hyper = {"l2": 1.0, "inner_lr": 0.3, "inner_steps": 200}
    learner = LEARNERS["imaml"](SPEC, ENCODER, solver_steps=60, **hyper)
    with jax.enable_x64(True):
        one, start = doubled(learner)
        inner, outer = losses(SPEC, ENCODER, one)

        def unrolled(theta):
            def proximal(phi, step):
                gaps = jax.tree.map(lambda p, t: ((p - t) ** 2).sum(), phi, theta)
                return inner(phi) + 0.5 * sum(jax.tree.leaves(gaps))

            return outer(descend(proximal, theta, optax.sgd(0.3), 200)[0])

        expected = quick_jit(jax.grad(unrolled))(start)
        close(meta_gradient(learner)(start, one)[0], expected, rtol=1e-6, atol=1e-9)
        first = jax.grad(outer)(learner.adapt(start, one.support, key()))
        assert differ(first, expected)


def test_imaml_as_the_authors_compute_it():
    hyper = {"l2": 2.0, "inner_lr": 0.1, "inner_steps": 3, "solver_steps": 30}
    learner = LEARNERS["imaml"](SPEC, Identity(), solver="authors", **hyper)
    with jax.enable_x64(True):
        one, start = doubled(learner)
        flat, unravel = jax.flatten_util.ravel_pytree(start)
        inner, outer = (lambda w, f=f: f(unravel(w)) for f in losses(SPEC, Identity(), one))
        phi = flat
        for _ in range(3):
            phi = phi - 0.1 * jax.grad(inner)(phi)
        adapted = jax.flatten_util.ravel_pytree(learner.adapt(start, one.support, key()))[0]
        np.testing.assert_allclose(adapted, phi, rtol=1e-9)
        phi = phi - 0.1 * 2.0 * (phi - flat)
        matrix = 2 * jnp.eye(flat.size) + jax.hessian(inner)(phi) / 12
        expected = jnp.linalg.solve(matrix, jax.grad(outer)(phi))
        grads, metrics = meta_gradient(learner)(start, one)
        np.testing.assert_allclose(jax.flatten_util.ravel_pytree(grads)[0], expected, rtol=1e-6)
        np.testing.assert_allclose(metrics["loss"], outer(phi), rtol=1e-9)


@pytest.mark.parametrize("solver", ["cg", "neumann", "authors"])
def test_imaml_takes_its_numbers_traced_and_images_as_bytes(solver):
    one = episode(SPEC)
    as_bytes = lambda rows: rows._replace(x=(10 * jnp.abs(rows.x)).astype(jnp.uint8))  # noqa: E731
    one = one._replace(support=as_bytes(one.support), query=as_bytes(one.query))

    def gradient(numbers):
        hyper = {"inner_lr": numbers[0], "l2": numbers[1], "inner_steps": 2, "solver": solver}
        learner = LEARNERS["imaml"](SPEC, ENCODER, **hyper)
        return jax.grad(lambda p: learner.meta_loss(p, one, key())[0])(learner.init(key(), one))

    numbers = jnp.array([[0.001, 0.5], [0.002, 2.0]])
    together = quick_jit(jax.vmap(gradient))(numbers)
    for i in range(2):
        alone = quick_jit(gradient)(numbers[i])
        close(jax.tree.map(lambda leaf, i=i: leaf[i], together), alone, rtol=1e-3, atol=1e-5)


def test_imaml_refuses_an_unknown_solver():
    with pytest.raises(ValueError, match="one of cg, neumann, authors; got 'qr'"):
        LEARNERS["imaml"](SPEC, ENCODER, solver="qr")


# Meta-Curvature ------------------------------------------------------------------------------


class Convolutional(nn.Module):
    """A convolution over four positions, its mean, and a normalisation."""

    @nn.compact
    def __call__(self, x):
        return nn.LayerNorm()(jnp.tanh(Conv(3, (2,))(x[..., None])).reshape(len(x), -1))


def test_meta_curvature_starts_as_maml():
    curved, params, one = setting("meta_curvature", Convolutional(), inner_steps=2)
    maml = LEARNERS["maml"](SPEC, Convolutional(), inner_steps=2)
    found, metrics = meta_gradient(curved)(params, one)
    expected, same = meta_gradient(maml)(params["net"], one)
    close(found["net"], expected, rtol=1e-4)
    close(metrics, same)
    # Bias, kernel; scale, bias; bias, kernel: every matrix is learned.
    shapes = [[leaf.shape for leaf in leaves] for leaves in params["curvature"]]
    assert shapes == [
        [(3,)],
        [(2, 2), (1, 1), (3, 3)],
        [(12,)],
        [(12,)],
        [(2,)],
        [(12, 12), (2, 2)],
    ]
    assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(found["curvature"]))


def test_meta_curvature_is_a_kronecker_product_times_the_gradient():
    curved, params, one = setting("meta_curvature", Convolutional(), inner_lr=0.3, inner_steps=1)
    rng = np.random.default_rng(0)
    params["curvature"] = jax.tree.map(
        lambda leaf: leaf + jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype),
        params["curvature"],
    )
    inner, _ = losses(SPEC, Convolutional(), one)
    moved = curved.adapt(params, one.support, key())
    grads = jax.tree.leaves(jax.grad(inner)(params["net"]))
    start, end = jax.tree.leaves(params["net"]), jax.tree.leaves(moved)
    for w, found, g, matrices in zip(start, end, grads, params["curvature"], strict=True):
        if g.ndim == 1:
            bent = matrices[0] * g
        else:
            bent = (functools.reduce(np.kron, matrices) @ np.asarray(g).ravel()).reshape(g.shape)
        np.testing.assert_allclose(found, w - 0.3 * bent, rtol=1e-4, atol=1e-5)


# Sharp-MAML ----------------------------------------------------------------------------------


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("inner_rho", [None, 0.0])
def test_sharp_maml_that_does_not_climb_is_maml(inner_rho, first_order):
    hyper = {"inner_steps": 2, "first_order": first_order}
    sharp, params, one = setting("sam_maml", rho=0.0, inner_rho=inner_rho, **hyper)
    maml = LEARNERS["maml"](SPEC, ENCODER, **hyper)
    close(meta_gradient(sharp)(params, one), meta_gradient(maml)(params, one), rtol=1e-4)


def test_sharp_maml_on_a_linear_model_by_hand():
    sharp, params, one = setting("sam_maml", Identity(), inner_lr=0.05, inner_steps=1, rho=0.3)
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    inner, outer = (lambda w, f=f: f(unravel(w)) for f in losses(SPEC, Identity(), one))
    shrink = jnp.eye(flat.size) - 0.05 * jax.hessian(inner)(flat)

    def slope(theta):
        return shrink @ jax.grad(outer)(theta - 0.05 * jax.grad(inner)(theta))

    top = flat + 0.3 * slope(flat) / jnp.linalg.norm(slope(flat))
    grads, metrics = meta_gradient(sharp)(params, one)
    np.testing.assert_allclose(jax.flatten_util.ravel_pytree(grads)[0], slope(top), rtol=1e-4)
    worst = outer(top - 0.05 * jax.grad(inner)(top))
    np.testing.assert_allclose(metrics["loss"], worst, rtol=1e-5)
    plain = LEARNERS["maml"](SPEC, Identity(), inner_lr=0.05, inner_steps=1)
    assert worst > plain.meta_loss(params, one, key())[0]


def test_the_inner_climb_of_sharp_maml_by_hand():
    sharp, params, one = setting("sam_maml", inner_lr=0.05, inner_steps=2, rho=0.0, inner_rho=0.3)
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    inner, outer = (lambda w, f=f: f(unravel(w)) for f in losses(SPEC, ENCODER, one))

    def adapted(weights):
        for _ in range(2):
            grads = jax.grad(inner)(weights)
            top = weights + 0.3 * grads / jnp.linalg.norm(grads)
            weights = weights - 0.05 * jax.grad(inner)(top)
        return weights

    found = jax.flatten_util.ravel_pytree(sharp.adapt(params, one.support, key()))[0]
    np.testing.assert_allclose(found, quick_jit(adapted)(flat), rtol=1e-4, atol=1e-6)
    expected = quick_jit(jax.grad(lambda w: outer(adapted(w))))(flat)
    grads = jax.flatten_util.ravel_pytree(meta_gradient(sharp)(params, one)[0])[0]
    np.testing.assert_allclose(grads, expected, rtol=1e-3, atol=1e-5)


def test_sharp_maml_without_any_label_has_no_gradient_and_no_nan():
    sharp, params, one = setting("sam_maml", inner_rho=0.1)
    one = jax.tree.map(jnp.zeros_like, one)
    for leaf in jax.tree.leaves(meta_gradient(sharp)(params, one)[0]):
        np.testing.assert_array_equal(leaf, 0)
