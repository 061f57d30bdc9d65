"""Losses against optax and arithmetic by hand, and what a mask must take out of them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats
from worlds import SPECS, examples, quick_jit

from metajax import losses
from metajax.losses import ABSENT, masked_logits
from metajax.types import Examples, TaskSpec

GAUSSIAN = TaskSpec(2, "regression", variance=True)
CASES = SPECS | {"gaussian": GAUSSIAN}

example_losses = quick_jit(losses.example_losses, static_argnums=0)
loss = quick_jit(losses.loss, static_argnums=0)
value_and_grad = quick_jit(jax.value_and_grad(losses.loss, argnums=1), static_argnums=0)


def case(name, rows=7, padded=2):
    """Outputs and rows of a kind, the last `padded` rows masked."""
    rng = np.random.default_rng(0)
    spec = CASES[name]
    part = examples(rng, spec, rows, padded)
    if spec.variance:
        outputs = rng.uniform(0.5, 2.0, size=(rows, spec.outputs, 2))
    else:
        outputs = rng.normal(size=(rows, spec.outputs))
    return spec, jnp.asarray(outputs, jnp.float32), part


def by_hand(spec, outputs, y, mask):
    """The loss of one row in numpy, cell by cell."""
    outputs, y, defined = np.asarray(outputs, float), np.asarray(y, float), np.asarray(mask) > 0
    if not defined.any():
        return 0.0
    if spec.kind == "multiclass":
        there = outputs[defined]
        return np.log(np.exp(there).sum()) - there[y[defined].argmax()]
    if spec.kind == "multilabel":
        chance = 1 / (1 + np.exp(-outputs))
        cells = -np.log(np.where(y == 1, chance, 1 - chance))
    elif spec.variance:
        cells = -stats.norm.logpdf(y, outputs[:, 0], np.sqrt(outputs[:, 1]))
    else:
        cells = (outputs - y) ** 2
    return cells[defined].mean()


@pytest.mark.parametrize("name", CASES)
def test_every_row_by_hand(name):
    spec, outputs, part = case(name)
    found = example_losses(spec, outputs, part.y, part.mask)
    expected = [by_hand(spec, *row) for row in zip(outputs, part.y, part.mask, strict=True)]
    assert found.shape == (7,) and (np.asarray(found[-2:]) == 0).all()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(loss(spec, outputs, part), np.mean(expected[:5]), rtol=1e-5)


def test_unmasked_losses_are_optax():
    spec, logits, part = case("multiclass", padded=0)
    expected = optax.softmax_cross_entropy(logits, part.y)
    np.testing.assert_allclose(example_losses(spec, logits, part.y, part.mask), expected, rtol=1e-6)
    spec, logits, part = case("multilabel", padded=0)
    expected = optax.sigmoid_binary_cross_entropy(logits, part.y).mean(-1)
    found = example_losses(spec, logits, part.y, jnp.ones_like(part.y))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    spec, means, part = case("regression", padded=0)
    expected = optax.squared_error(means, part.y).mean(-1)
    np.testing.assert_allclose(example_losses(spec, means, part.y, part.mask), expected, rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("garbage", [0.0, -7.0, 1e30, -3e38])
def test_masked_rows_count_for_nothing(name, garbage):
    """Whatever is predicted for a masked row: no loss, no gradient, and nobody else's changes."""
    spec, outputs, part = case(name)
    expected, grads = value_and_grad(spec, outputs, part)
    outputs = np.array(outputs)
    outputs[-2:] = garbage
    found, spoilt = value_and_grad(spec, outputs, part)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(spoilt, grads, rtol=1e-6)
    assert (np.asarray(grads[-2:]) == 0).all() and (np.abs(grads[:5]).max(-1) > 0).all()


@pytest.mark.parametrize("name", ["multilabel", "regression", "gaussian"])
def test_single_cells_are_masked_too(name):
    spec, outputs, part = case(name, padded=0)
    part = part._replace(mask=jnp.ones_like(part.mask).at[3, 1].set(0))
    one, first = value_and_grad(spec, outputs, part)
    two, second = value_and_grad(spec, outputs.at[3, 1].set(1e30), part)
    np.testing.assert_allclose(one, two, rtol=1e-6)
    np.testing.assert_allclose(first, second, rtol=1e-6)
    row = by_hand(spec, outputs[3, :1], part.y[3, :1], [1])
    found = example_losses(spec, outputs, part.y, part.mask)[3]
    np.testing.assert_allclose(found, row, rtol=1e-5)  # the mean over the cell that is left


def test_absent_classes_leave_the_softmax():
    """Three columns of which one is absent give the loss of two columns, and it no gradient."""
    three = TaskSpec(3, "multiclass")
    _, logits, _ = case("multiclass")
    y = jnp.eye(3)[jnp.array([0, 2, 0, 2, 2, 0, 0])]
    mask = jnp.ones((7, 3)).at[:, 1].set(0)
    expected = optax.softmax_cross_entropy(logits[:, ::2], y[:, ::2])
    np.testing.assert_allclose(example_losses(three, logits, y, mask), expected, rtol=1e-6)
    loud = logits.at[:, 1].set(1e6)
    np.testing.assert_allclose(example_losses(three, loud, y, mask), expected, rtol=1e-6)
    grads = value_and_grad(three, loud, Examples(None, y, mask))[1]
    assert (np.asarray(grads[:, 1]) == 0).all()
    masked = masked_logits(loud, mask)
    assert (masked[:, 1] == ABSENT).all() and (masked[:, 0] == loud[:, 0]).all()
    assert (jax.nn.softmax(masked)[:, 1] == 0).all()


@pytest.mark.parametrize("name", CASES)
def test_weights_make_a_weighted_mean_of_the_rows_present(name):
    spec, outputs, part = case(name)
    rows = np.asarray(example_losses(spec, outputs, part.y, part.mask))
    weights = np.array([0.0, 1.0, 2.0, 0.5, 0.0, 9.0, 9.0])  # the last two rows are masked
    found = loss(spec, outputs, part, jnp.asarray(weights, jnp.float32))
    np.testing.assert_allclose(found, (weights * rows)[:5].sum() / weights[:5].sum(), rtol=1e-5)
    ones = loss(spec, outputs, part, jnp.ones(7))
    np.testing.assert_allclose(ones, loss(spec, outputs, part), rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_nothing_present_is_zero(name):
    spec, outputs, part = case(name)
    empty = part._replace(y=part.y * 0, mask=part.mask * 0)
    for rows, weights in ((empty, None), (part, jnp.zeros(7))):
        value, grads = value_and_grad(spec, outputs, rows, weights)
        assert value == 0 and (np.asarray(grads) == 0).all()


def test_confident_logits_stay_finite():
    for name in ("multiclass", "multilabel"):
        spec, outputs, part = case(name, padded=0)
        value, grads = value_and_grad(spec, 1e4 * outputs, part)
        assert np.isfinite(value) and np.isfinite(grads).all()


def test_gaussian_loss_is_least_at_the_truth():
    """The best variance of a residual r is r squared, where the loss is log(2 pi e r^2) / 2."""
    residual = 0.3
    part = Examples(None, jnp.full((1, 2), residual), jnp.ones((1, 2)))

    def at(variance):
        outputs = jnp.stack([jnp.zeros((1, 2)), jnp.full((1, 2), variance)], -1)
        value, grads = value_and_grad(GAUSSIAN, outputs, part)
        return value, grads[..., 1].sum()

    best, slope = at(residual**2)
    np.testing.assert_allclose(best, 0.5 * np.log(2 * np.pi * np.e * residual**2), rtol=1e-5)
    assert abs(slope) < 1e-4
    assert at(0.5 * residual**2)[0] > best and at(2 * residual**2)[0] > best
