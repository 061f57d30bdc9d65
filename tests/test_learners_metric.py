"""Closed forms and known answers of the metric and closed-form learners."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from jax.flatten_util import ravel_pytree
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from worlds import FEATURES, SPECS, episode, key, quick_jit

from metajax.inner import minimum
from metajax.learners import LEARNERS, adkf
from metajax.learners.gp import FLOOR
from metajax.learners.heads import logistic, support_vector
from metajax.losses import loss
from metajax.nn import MLP, Identity
from metajax.types import Episode, Examples, TaskSpec

GAUSSIAN = TaskSpec(2, "regression", variance=True)


@pytest.fixture(autouse=True)
def digits():
    """Closed forms are compared in float64."""
    with jax.enable_x64(True):
        yield


def double(tree):
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), tree)


def setting(name, spec, encoder=None, seed=0, **hyper):
    """A learner, its meta-parameters, and one task, in float64."""
    one = episode(spec, seed, dtype=np.float64)
    learner = LEARNERS[name](spec, encoder or Identity(), **hyper)
    return learner, double(learner.init(key(), one)), one


# Gaussian processes --------------------------------------------------------------------------

AMPLITUDE, LENGTH, NOISE, MEAN = 1.7, 0.8, 0.3, np.array([0.5, -0.25])
WEIGHTS = np.array([[1, 2, 1, 0, 1, 0.5, 0, 0, 0], [1, 1, 0, 1, 3, 1, 0, 0, 0]], float).T


def gaussian(name, **hyper):
    """A learner with given hyper-parameters, and a task with weighted and with missing labels."""
    learner, params, one = setting(name, GAUSSIAN, **hyper)
    kind = next(k for k in params["theta"] if k != "noise")
    scales = {"amplitude": jnp.log(AMPLITUDE), "length": jnp.log(LENGTH)}
    params |= {"theta": {kind: scales, "noise": jnp.log(NOISE)}}
    return learner, params, one._replace(support=one.support._replace(mask=jnp.asarray(WEIGHTS)))


def regressor(kernel, rows, c, mean):
    """Scikit-learn's Gaussian process for output c of a support."""
    there = np.asarray(rows.mask)[:, c] > 0
    x, y, w = (np.asarray(a)[there] for a in (rows.x, rows.y[:, c], rows.mask[:, c]))
    # Our distances are divided by the number of features.
    kernel = ConstantKernel(AMPLITUDE) * kernel(LENGTH * np.sqrt(FEATURES))
    noise = NOISE + FLOOR * AMPLITUDE
    return GaussianProcessRegressor(kernel, alpha=noise / w, optimizer=None).fit(x, y - mean), noise


def matern(length):
    return Matern(length, nu=2.5)


def test_dkt_is_scikit_learns_gaussian_process():
    learner, params, one = gaussian("dkt")
    params |= {"mean": jnp.asarray(MEAN)}
    found = learner.predict(params, learner.adapt(params, one.support, key()), one.query.x)
    for c in range(2):
        process, noise = regressor(RBF, one.support, c, MEAN[c])
        mean, deviation = process.predict(one.query.x, return_std=True)
        np.testing.assert_allclose(found[:, c, 0], mean + MEAN[c], rtol=1e-8)
        np.testing.assert_allclose(found[:, c, 1], deviation**2 + noise, rtol=1e-8)


def test_dkt_is_trained_by_the_marginal_likelihood_of_all_rows():
    learner, params, one = gaussian("dkt")
    params |= {"mean": jnp.asarray(MEAN)}
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *one)
    total = sum(
        regressor(RBF, both, c, MEAN[c])[0].log_marginal_likelihood_value_ for c in range(2)
    )
    value = learner.meta_loss(params, one, key())[0]
    np.testing.assert_allclose(value, -total / (both.mask > 0).sum(), rtol=1e-8)


def test_adkf_that_fits_nothing_is_scikit_learns_gaussian_process():
    learner, params, one = gaussian("adkf", inner_steps=0)
    adapted = learner.adapt(params, one.support, key())
    found = learner.predict(params, adapted, one.query.x)
    joint = 0.0
    for c in range(2):
        centre = np.average(one.support.y[:, c], weights=WEIGHTS[:, c])
        process, noise = regressor(matern, one.support, c, centre)
        mean, covariance = process.predict(one.query.x, return_cov=True)
        covariance = covariance + noise * np.eye(len(mean))
        np.testing.assert_allclose(found[:, c, 0], mean + centre, rtol=1e-8)
        np.testing.assert_allclose(found[:, c, 1], np.diagonal(covariance), rtol=1e-8)
        y = one.query.y[:, c] - centre
        joint += scipy.stats.multivariate_normal.logpdf(y, mean, covariance)
    value = learner.meta_loss(params, one, key())[0]  # the joint density of all queries
    np.testing.assert_allclose(value, -joint / one.query.y.size, rtol=1e-7)


def test_adkf_fits_the_likelihood_with_a_prior_as_scipy_does():
    spread, start = 0.5, np.log([AMPLITUDE, LENGTH, NOISE])
    learner, params, one = gaussian("adkf", inner_steps=25, spread=spread)
    adapted = learner.adapt(params, one.support, key())
    for c in range(2):
        centre = np.average(one.support.y[:, c], weights=WEIGHTS[:, c])
        there = WEIGHTS[:, c] > 0
        x, y, w = (np.asarray(a)[there] for a in (one.support.x, one.support.y, one.support.mask))

        def objective(u, x=x, y=y[:, c] - centre, w=w[:, c]):
            amplitude, length, noise = np.exp(start + 5 * np.tanh(u / 5))
            gram = amplitude * matern(length * np.sqrt(FEATURES))(x)
            gram += np.diag((noise + FLOOR * amplitude) / w)
            likelihood = scipy.stats.multivariate_normal.logpdf(y, np.zeros(len(y)), gram)
            return -likelihood + 0.5 * (u**2).sum() / spread**2

        u = scipy.optimize.minimize(objective, np.zeros(3), tol=1e-10).x
        assert np.abs(u).max() > 0.05  # something was fitted
        fitted = adapted.theta["matern"] | {"noise": adapted.theta["noise"]}
        found = [fitted[name][c] for name in ("amplitude", "length", "noise")]
        np.testing.assert_allclose(found, start + 5 * np.tanh(u / 5), atol=1e-5)


def objective(u, args):
    """Not quadratic; its Hessian depends on the solution and on the arguments."""
    return jnp.cosh(u - args[:3]).sum() + 0.5 * (u.sum() - args[3]) ** 2 * jnp.exp(args[4] * u[0])


ARGUMENTS = np.array([0.4, -2.0, 1.5, 0.7, 0.1])


def test_the_inner_minimum_has_the_gradient_of_a_long_unrolled_descent():
    weights = jnp.array([1.0, -2.0, 0.5])

    def implicit(args):
        return weights @ minimum(lambda u: objective(u, args), jnp.zeros(3), 12)

    def unrolled(args):
        step = lambda _, u: u - 0.1 * jax.grad(objective)(u, args)  # noqa: E731
        return weights @ jax.lax.fori_loop(0, 400, step, jnp.zeros(3))

    found, expected = implicit(jnp.asarray(ARGUMENTS)), unrolled(jnp.asarray(ARGUMENTS))
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    found, expected = jax.grad(implicit)(ARGUMENTS), jax.jacfwd(unrolled)(ARGUMENTS)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_inner_minimum_takes_bad_steps_back_and_leaves_saddles():
    # A full Newton step from 3 goes to about -18 and further at every step: log cosh is nearly
    # linear. At 0 the double well curves downwards.
    far = minimum(lambda u: jnp.log(jnp.cosh(4 * u)).sum(), jnp.array([3.0]), 20)
    np.testing.assert_allclose(far, 0, atol=1e-8)
    well = minimum(lambda u: ((u**2 - 1) ** 2).sum(), jnp.array([0.1]), 20)
    np.testing.assert_allclose(well, 1, atol=1e-8)
    start = jnp.array([0.3])
    np.testing.assert_array_equal(minimum(lambda u: (u**2).sum(), start, 0), start)


def test_adkfs_gradient_includes_the_move_of_the_hyper_parameters(monkeypatch):
    """It agrees with differences, and without the theorem's term it would not."""
    encoder = MLP((3,), activation=jnp.tanh)
    learner, params, one = setting("adkf", GAUSSIAN, encoder, inner_steps=12)
    flat, unravel = ravel_pytree(params)
    value = lambda w: learner.meta_loss(unravel(w), one, key())[0]  # noqa: E731
    direction = np.random.default_rng(1).normal(size=flat.shape)
    ends = jnp.stack([flat + 1e-5 * direction, flat - 1e-5 * direction])
    numeric = jnp.diff(quick_jit(jax.vmap(value))(ends))[0] / -2e-5
    np.testing.assert_allclose(quick_jit(jax.grad(value))(flat) @ direction, numeric, rtol=1e-6)
    fixed = lambda *problem: jax.lax.stop_gradient(minimum(*problem))  # noqa: E731
    monkeypatch.setattr(adkf, "minimum", fixed)
    partial = quick_jit(jax.grad(lambda w: value(w)))(flat) @ direction
    assert abs(partial / numeric - 1) > 1e-3


def test_mixture_kernel_with_tanimoto_by_hand():
    spec = TaskSpec(2, "multiclass")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, size=(7, 5)).astype(float)  # counts: bits are those above 0
    x[5] = 0
    labels = np.array([0, 1, 1, 0, 1])
    y, ones = np.eye(2)[labels], np.ones((5, 2))
    support = Examples(*map(jnp.asarray, (x[:5], y, ones)))
    learner = LEARNERS["mixture_kernel"](spec, Identity())
    params = double(learner.init(key(), Episode(support, support)))
    scalars = {"a": 0.8, "l": 1.3, "t": 0.6, "noise": 0.4, "scale": 3.0, "shift": 0.2}
    theta = {
        "rbf": {"amplitude": jnp.log(scalars["a"]), "length": jnp.log(scalars["l"])},
        "tanimoto": {"amplitude": jnp.log(scalars["t"])},
        "noise": jnp.log(scalars["noise"]),
    }
    params |= {"theta": theta, "scale": scalars["scale"], "shift": scalars["shift"]}
    gram = np.zeros((7, 7))
    for i in range(7):
        for j in range(7):
            bits = (set(np.flatnonzero(x[i])), set(np.flatnonzero(x[j])))
            either = len(bits[0] | bits[1])
            shared = len(bits[0] & bits[1]) / either if either else 1
            distance = ((x[i] - x[j]) ** 2).sum() / 5
            gram[i, j] = scalars["a"] * np.exp(-distance / (2 * scalars["l"] ** 2))
            gram[i, j] += scalars["t"] * shared
    noise = scalars["noise"] + FLOOR * (scalars["a"] + scalars["t"])
    target = 2 * y - 1
    solved = np.linalg.solve(gram[:5, :5] + noise * np.eye(5), target - target.mean(0))
    expected = 3.0 * (gram[5:, :5] @ solved + target.mean(0)) + 0.2
    found = learner.predict(params, learner.adapt(params, support, key()), jnp.asarray(x[5:]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_gaussian_logits_are_log_odds_under_the_predictive_density():
    learner, params, one = setting("dkt", SPECS["multilabel"])
    found = learner.predict(params, learner.adapt(params, one.support, key()), one.query.x)
    twin = LEARNERS["dkt"](GAUSSIAN, Identity())
    signs = one.support._replace(y=2 * one.support.y - 1)
    params["theta"]["noise"] = jnp.log(jnp.float64(np.float32(0.1)))
    density = twin.predict(params, twin.adapt(params, signs, key()), one.query.x)
    deviation = np.sqrt(density[..., 1])
    odds = [scipy.stats.norm.logpdf(y, density[..., 0], deviation) for y in (1, -1)]
    np.testing.assert_allclose(found, odds[0] - odds[1], rtol=1e-6)


@pytest.mark.parametrize("name", ["dkt", "adkf", "mixture_kernel"])
def test_unknown_kernels_are_refused(name):
    for kernel in ("rbf+rbf", "cubic", ""):
        with pytest.raises(ValueError, match="kernel is a sum"):
            LEARNERS[name](GAUSSIAN, Identity(), kernel=kernel)


@pytest.mark.parametrize("kernel", ["linear", "cosine", "raw_matern", "tanimoto+raw_rbf"])
def test_every_kernel_gives_finite_gradients_where_rows_are_equal(kernel):
    learner, params, one = setting("dkt", GAUSSIAN, MLP((3,), activation=jnp.tanh), kernel=kernel)
    same = one._replace(support=one.support._replace(x=0 * one.support.x))
    value, gradient = jax.value_and_grad(lambda p: learner.meta_loss(p, same, key())[0])(params)
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


# Comparisons ---------------------------------------------------------------------------------


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_matchingnet_is_an_average_of_labels_by_attention(distance):
    learner, params, one = setting("matchingnet", SPECS["multiclass"], distance=distance)
    support = one.support._replace(
        mask=one.support.mask.at[1].set(2.0)
    )  # as if it were there twice
    outputs = learner.predict(params, learner.adapt(params, support, key()), one.query.x)
    x, y, weight = (np.asarray(a) for a in (support.x, support.y, support.mask.max(-1)))
    for found, q in zip(jax.nn.softmax(outputs), np.asarray(one.query.x), strict=True):
        if distance == "euclidean":
            alike = -((x - q) ** 2).sum(1)
        else:
            alike = x @ q / np.linalg.norm(x, axis=1) / np.linalg.norm(q)
        attention = weight * np.exp(alike)
        np.testing.assert_allclose(found, attention @ y / attention.sum(), rtol=1e-6)
    with pytest.raises(ValueError, match="euclidean or cosine; got 'l1'"):
        LEARNERS["matchingnet"](SPECS["multiclass"], Identity(), distance="l1")


def test_relationnet_by_hand():
    learner, params, one = setting("relationnet", SPECS["multiclass"], width=5)
    outputs = learner.predict(params, learner.adapt(params, one.support, key()), one.query.x)
    (first, second), last = (
        [layer["kernel"] for layer in params["relation"]["params"]["layers_0"].values()],
        params["relation"]["params"]["layers_1"]["kernel"],
    )
    x, labels = np.asarray(one.support.x), np.asarray(one.support.y)
    scores = np.zeros(outputs.shape)
    for i, q in enumerate(np.asarray(one.query.x)):
        for c in range(3):
            pair = np.concatenate([x[labels[:, c] > 0].mean(0), q])  # biases start at 0
            hidden = jax.nn.gelu(jax.nn.gelu(pair @ first) @ second)
            scores[i, c] = 1 / (1 + np.exp(-(hidden @ last)[0]))
    chances = scores / scores.sum(-1, keepdims=True)
    np.testing.assert_allclose(jax.nn.softmax(outputs), chances, rtol=1e-6)
    value = learner.meta_loss(params, one, key())[0]
    np.testing.assert_allclose(value, ((scores - np.asarray(one.query.y)) ** 2).mean(), rtol=1e-6)


def test_simpleshot_by_hand():
    learner, params, one = setting("simpleshot", SPECS["multiclass"], scale=3.0)
    params["mean"] = jnp.array([0.5, -1.0, 0.2, 0.0])
    outputs = learner.predict(params, learner.adapt(params, one.support, key()), one.query.x)

    def unit(x):
        away = np.asarray(x) - np.asarray(params["mean"])
        return away / np.linalg.norm(away, axis=1, keepdims=True)

    for c in range(3):
        mean = unit(one.support.x)[np.asarray(one.support.y[:, c]) > 0].mean(0)
        expected = -3 * ((unit(one.query.x) - mean) ** 2).sum(1)
        np.testing.assert_allclose(outputs[:, c], expected, rtol=1e-6)


@pytest.mark.parametrize("shared", [False, True])
def test_simpleshot_is_pre_trained_on_all_rows_and_its_mean_follows_them(shared):
    learner, params, one = setting("simpleshot", SPECS["multiclass"], MLP((3,)), shared=shared)
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *one)
    there, features = both.mask.max(-1) > 0, MLP((3,)).apply(params["body"], both.x)
    gradient = quick_jit(jax.grad(learner.meta_loss, has_aux=True))
    grads, metrics = gradient(params, one, key())
    np.testing.assert_allclose(grads["mean"], params["mean"] - features[there].mean(0), rtol=1e-6)
    if shared:
        pooled = LEARNERS["pooled"](SPECS["multiclass"], MLP((3,)))
        same = {name: params[name] for name in ("body", "head")}
        expected = jax.grad(pooled.meta_loss, has_aux=True)(same, one, key())[0]
        np.testing.assert_allclose(
            ravel_pytree({name: grads[name] for name in same})[0], ravel_pytree(expected)[0]
        )
        return
    x, y = np.asarray(features[there]), np.asarray(both.y[there]).argmax(1)
    head = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10, max_iter=1000).fit(x, y)
    total = -np.log(head.predict_proba(x)[np.arange(len(y)), y]).sum() + (head.coef_**2).sum() / 2
    np.testing.assert_allclose(metrics["loss"], total / len(y), rtol=1e-6)

    def value(body):
        return learner.meta_loss(params | {"body": body}, one, key())[1]["loss"]

    flat, unravel = ravel_pytree(params["body"])
    direction = np.random.default_rng(2).normal(size=flat.shape)
    ends = quick_jit(jax.vmap(lambda step: value(unravel(flat + step * direction))))(
        jnp.array([1e-5, -1e-5])
    )
    slope = ravel_pytree(grads["body"])[0] @ direction
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-5, rtol=1e-6)


# Heads ---------------------------------------------------------------------------------------


def rows_with_weights():
    """Features (9, 4), labels and a mask with a weight of 2, a masked row and an absent class."""
    rng = np.random.default_rng(5)
    x, labels = rng.normal(size=(9, 4)), np.arange(9) % 3
    x[:3] += 2 * np.eye(3, 4)
    mask = np.ones((9, 4))
    mask[4], mask[6], mask[:, 3] = 2, 0, 0
    y = np.eye(4)[labels]
    return x, labels, *(jnp.asarray(a) for a in (y * (mask > 0), mask))


@pytest.mark.parametrize("l2", [0.02, 1.0, 30.0])
def test_the_logistic_head_is_that_of_scikit_learn(l2):
    x, labels, y, mask = rows_with_weights()
    found = quick_jit(lambda z: logistic(z, y, mask, l2, 12))(x)
    fitted = LogisticRegression(C=1 / l2, fit_intercept=False, tol=1e-12, max_iter=10_000)
    fitted.fit(x, labels, sample_weight=np.asarray(mask.max(-1)))
    np.testing.assert_allclose(found[:, :3], fitted.coef_.T, atol=1e-5)
    np.testing.assert_array_equal(found[:, 3], 0)
    with jax.enable_x64(False):  # and the digits of float32 are enough
        single = [jnp.asarray(np.asarray(a), jnp.float32) for a in (x, y, mask)]
        rough = quick_jit(lambda *rows: logistic(*rows, l2, 12))(*single)
    np.testing.assert_allclose(rough, found, atol=2e-4 * float(jnp.abs(found).max()))


def test_the_logistic_head_of_findings_uses_the_rows_that_have_them():
    learner, params, one = setting("logistic_head", SPECS["multilabel"], l2=0.5, inner_steps=12)
    head = learner.adapt(params, one.support, key())
    for c in range(2):
        there = np.asarray(one.support.mask[:, c]) > 0
        x = np.column_stack([one.support.x, np.ones(len(there))])[there]
        fitted = LogisticRegression(C=2.0, fit_intercept=False, tol=1e-12, max_iter=10_000)
        fitted.fit(x, np.asarray(one.support.y[:, c])[there])
        np.testing.assert_allclose(head[:, c], fitted.coef_[0], atol=1e-5)


def implicit_agrees_with_differences(head, strength, rtol):
    """The gradient of a function of the head in the features and in l2."""
    x, _, y, mask = rows_with_weights()
    flat, unravel = ravel_pytree({"z": jnp.asarray(x), "l2": jnp.float64(strength)})
    rng = np.random.default_rng(1)
    direction, target = rng.normal(size=flat.shape), rng.normal(size=(4, 4))

    def value(at):
        args = unravel(at)
        return (target * head(args["z"], y, mask, args["l2"], 25)).sum()

    ends = quick_jit(jax.vmap(value))(jnp.stack([flat + 1e-6 * direction, flat - 1e-6 * direction]))
    slope = quick_jit(jax.grad(value))(flat)
    assert np.isfinite(slope).all()
    np.testing.assert_allclose(slope @ direction, (ends[0] - ends[1]) / 2e-6, rtol=rtol)


@pytest.mark.parametrize("strength", [0.1, 1.0, 10.0])
def test_the_heads_have_the_implicit_gradient(strength):
    implicit_agrees_with_differences(logistic, strength, 1e-6)
    implicit_agrees_with_differences(support_vector, strength, 1e-6)


@pytest.mark.parametrize("l2", [0.1, 1.0, 10.0])
def test_the_support_vector_head_is_that_of_scikit_learn(l2):
    x, labels, y, mask = rows_with_weights()
    found = quick_jit(lambda z: support_vector(z, y, mask, l2, 25))(x)
    # The identity in the dual is one more feature a row.
    wide = np.column_stack([x, np.eye(9)])
    machine = LinearSVC(
        C=1 / l2, multi_class="crammer_singer", fit_intercept=False, tol=1e-10, max_iter=100_000
    ).fit(wide, labels, sample_weight=np.asarray(mask.max(-1)))
    np.testing.assert_allclose(found[:, :3], machine.coef_.T[:4], atol=1e-6)
    np.testing.assert_array_equal(found[:, 3], 0)
    with jax.enable_x64(False):  # and the digits of float32 and the default steps are enough
        single = [jnp.asarray(np.asarray(a), jnp.float32) for a in (x, y, mask)]
        rough = quick_jit(lambda *rows: support_vector(*rows, l2, 15))(*single)
    np.testing.assert_allclose(rough, found, atol=1e-3 * float(jnp.abs(found).max()))


def test_metaoptnet_is_scaled_and_its_query_loss_is_the_usual():
    learner, params, one = setting("metaoptnet", SPECS["multiclass"])
    params["scale"] = jnp.float64(7.0)
    head = support_vector(one.support.x, one.support.y, one.support.mask, 10.0, 40)
    expected = loss(SPECS["multiclass"], 7 * one.query.x @ head, one.query)
    np.testing.assert_allclose(learner.meta_loss(params, one, key())[0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    "name,steps", [("logistic_head", -1), ("simpleshot", -1), ("metaoptnet", 0), ("adkf", -1)]
)
def test_impossible_numbers_of_steps_are_refused(name, steps):
    with pytest.raises(ValueError, match=f"{name} needs inner_steps >= .; got {steps}"):
        LEARNERS[name](SPECS["multiclass"], Identity(), inner_steps=steps)
