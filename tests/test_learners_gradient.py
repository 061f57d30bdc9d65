"""Closed forms and identities of the gradient-based learners."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from worlds import SPECS, episode, key, quick_jit

from metajax.learners import LEARNERS
from metajax.losses import loss
from metajax.nn import MLP

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
