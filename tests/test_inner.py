"""The inner loop against a loop in Python."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from worlds import quick_jit

from metajax.inner import descend

OPTIMIZERS = {
    "sgd": optax.sgd(0.1),
    "momentum": optax.sgd(0.1, momentum=0.9, nesterov=True),
    "adam": optax.adam(0.05),
    "chain": optax.chain(optax.clip_by_global_norm(0.5), optax.adamw(0.05, weight_decay=0.1)),
    "schedule": optax.sgd(optax.exponential_decay(0.2, 1, 0.5)),
}
START = {"w": jnp.array([0.5, -1.0, 2.0]), "b": jnp.array(0.3)}


def quartic(params, step):
    """Neither quadratic nor separable, and another function at every step."""
    target = 0.1 * step.astype(jnp.float32)
    return ((params["w"] - target) ** 4).sum() / 4 + params["b"] ** 2 * (1 + params["w"][0])


def close(found, expected, rtol=1e-5):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6), found, expected
    )


def loop(start, optimizer, steps):
    """The same in Python, step by step."""
    params, state, losses = start, optimizer.init(start), []
    for i in range(steps):
        value, grads = jax.value_and_grad(quartic)(params, jnp.int32(i))
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        losses.append(value)
    return params, jnp.stack(losses)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_matches_a_python_loop(name):
    found = quick_jit(lambda start: descend(quartic, start, OPTIMIZERS[name], 4))(START)
    close(found, quick_jit(lambda start: loop(start, OPTIMIZERS[name], 4))(START))
    assert found[1].shape == (4,)


def outer(params):
    """What is done with the result; its gradient is the meta-gradient."""
    return jnp.sin(params["w"]).sum() + params["b"] ** 2


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_the_gradient_goes_through_every_step(name):
    optimizer = OPTIMIZERS[name]
    found = quick_jit(jax.grad(lambda s: outer(descend(quartic, s, optimizer, 3)[0])))(START)
    unrolled = quick_jit(jax.grad(lambda s: outer(loop(s, optimizer, 3)[0])))(START)
    close(found, unrolled, rtol=1e-4)


def test_first_order_is_the_gradient_at_the_end():
    def value(start, first_order):
        return outer(descend(quartic, start, OPTIMIZERS["sgd"], 3, first_order=first_order)[0])

    end = quick_jit(lambda s: descend(quartic, s, OPTIMIZERS["sgd"], 3, first_order=True)[0])(START)
    same = quick_jit(lambda start: loop(start, OPTIMIZERS["sgd"], 3)[0])(START)
    close(end, same)  # only the gradient is another one
    gradient = quick_jit(jax.grad(value), static_argnums=1)
    first, exact = (gradient(START, flag) for flag in (True, False))
    close(first, quick_jit(jax.grad(outer))(end))
    assert not np.allclose(first["w"], exact["w"], rtol=1e-2)


@pytest.mark.parametrize("first_order", [False, True])
def test_remat_changes_neither_values_nor_gradients(first_order):
    def value(start, remat):
        options = {"first_order": first_order, "remat": remat}
        end, losses = descend(quartic, start, OPTIMIZERS["momentum"], 4, **options)
        return outer(end) + losses.sum()

    plain, spared = (
        quick_jit(jax.value_and_grad(value), static_argnums=1)(START, r) for r in (0, 1)
    )
    close(spared, plain, rtol=1e-6)
    text = str(jax.make_jaxpr(jax.grad(value), static_argnums=1)(START, True))
    assert "remat" in text or "checkpoint" in text


def test_many_steps_are_recomputed_unless_told_otherwise():
    def text(steps, **options):
        run = lambda s: outer(descend(quartic, s, OPTIMIZERS["sgd"], steps, **options)[0])  # noqa: E731
        return str(jax.make_jaxpr(jax.grad(run))(START))

    recomputed = [n for n in (1, 2, 15, 16, 40) if "checkpoint" in text(n) or "remat" in text(n)]
    assert recomputed == [16, 40]
    assert "checkpoint" not in text(40, remat=False) and "remat" not in text(40, remat=False)


def test_no_steps_is_the_start():
    end, losses = quick_jit(lambda s: descend(quartic, s, OPTIMIZERS["adam"], 0))(START)
    jax.tree.map(np.testing.assert_array_equal, end, START)
    assert losses.shape == (0,)
    through = quick_jit(jax.grad(lambda s: outer(descend(quartic, s, OPTIMIZERS["adam"], 0)[0])))
    close(through(START), quick_jit(jax.grad(outer))(START))


def test_negative_steps_are_refused():
    with pytest.raises(ValueError, match="steps >= 0; got -1"):
        descend(quartic, START, OPTIMIZERS["sgd"], -1)
