"""Convolution, max-pooling and batch normalisation against flax, to the second derivative."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import quick_jit

from metajax.nn import BatchNorm, Conv, Conv4, convolution, convolve, max_pool
from metajax.nn.product import product

# One case per path: stride and padding on both sides, even and odd sizes, kernels below the stride
# and above the size, one and two axes, unequal widths and strides.
CASES = [
    ((7, 8, 3), (3, 3), 2, "SAME"),
    ((7, 8, 3), (3, 3), 1, "SAME"),
    ((7, 8, 2), (3, 2), (1, 3), "VALID"),
    ((8, 7, 2), (2, 1), (3, 2), "SAME"),
    ((5, 4, 1), (5, 6), (2, 1), "SAME"),
    ((11, 3), (5,), 2, "SAME"),
    ((10, 1), (4,), 3, "VALID"),
    ((3, 2), (9,), 2, "SAME"),
]


def derivatives(module, reference, x, params):
    """Values, gradients and the gradients of a function of the gradients, of two layers."""

    def of(layer):
        def value(params, x):
            return jnp.tanh(layer.apply(params, x)).sum(), layer.apply(params, x)

        def gradient(params, x):
            grads, y = jax.grad(value, (0, 1), has_aux=True)(params, x)
            return sum(jnp.sin(3 * g).sum() for g in jax.tree.leaves(grads)), (grads, y)

        return quick_jit(jax.grad(gradient, (0, 1), has_aux=True))(params, x)

    return of(module), of(reference)


def assert_equal(ours, theirs, tolerance=1e-9):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=tolerance), ours, theirs)


@pytest.mark.parametrize(("shape", "kernel", "strides", "padding"), CASES)
def test_convolution_is_flax_convolution_to_the_second_derivative(shape, kernel, strides, padding):
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).normal(size=(2, *shape)))
        ours = Conv(4, kernel, strides, padding, form="matmul")
        theirs = nn.Conv(4, kernel, strides, padding)
        params = theirs.init(jax.random.key(0), x)
        assert_equal(ours.init(jax.random.key(0), x), params)
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64) + 0.1, params)
        assert_equal(*derivatives(ours, theirs, x, params))
        lax_form = Conv(4, kernel, strides, padding, form="lax")
        assert_equal(lax_form.apply(params, x), theirs.apply(params, x))


@pytest.mark.parametrize("images", [1, 2, 4, 7])
def test_convolution_by_blocks_of_images_is_the_same(monkeypatch, images):
    """A block of two, with and without one left over; of one; and more than all."""
    shape, kernel, strides, padding = CASES[0]
    patches = 4 * 4 * 9 * 3 * 8  # bytes of an image's patches
    monkeypatch.setattr(convolution, "BLOCK", images * patches)
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).normal(size=(9, *shape)))
        ours, theirs = Conv(4, kernel, strides, padding), nn.Conv(4, kernel, strides, padding)
        params = theirs.init(jax.random.key(0), x)
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64) + 0.1, params)
        assert_equal(*derivatives(ours, theirs, x, params))
        text = str(jax.make_jaxpr(ours.apply)(params, x))
    # 1 of 9, 2 with one left over, 3 of 9 (even, and more than half of 4), all at once.
    size = {1: 1, 2: 2, 4: 3, 7: 9}[images]
    assert ("scan" in text) == (size < 9) and (f"length={9 // size}" in text) == (size < 9)
    assert (f"f64[{9 % size},7,8,3]" in text) == (9 % size > 0)


def test_convolution_at_the_third_derivative_and_task_by_task():
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        x, kernel = jnp.asarray(rng.normal(size=(3, 5, 5, 2))), rng.normal(size=(4, 3, 3, 2, 3))

        def third(form):
            def value(kernel):
                return jnp.tanh(convolve(x, kernel, (2, 2), "SAME", form)).sum()

            def second(kernel):
                return jnp.sin(jax.grad(lambda k: (jax.grad(value)(k) ** 3).sum())(kernel)).sum()

            return quick_jit(jax.vmap(jax.grad(second)))(jnp.asarray(kernel))

        np.testing.assert_allclose(third("matmul"), third("lax"), rtol=1e-8, atol=1e-6)


def test_max_pool_is_flax_max_pool_and_a_tie_has_one_gradient():
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        for shape, window in (((2, 5, 6, 3), 2), ((2, 9, 3), 3)):
            axes = len(shape) - 2
            x = jnp.asarray(rng.integers(0, 3, size=shape).astype(float))  # many ties

            def gradient(pool, x):
                return jax.grad(lambda x: (jnp.arange(1.0, 4.0) * pool(x) ** 3).sum())(x)

            def theirs(x, axes=axes, window=window):
                return nn.max_pool(x, (window,) * axes, (window,) * axes)

            def ours(x, window=window):
                return max_pool(x, window)

            np.testing.assert_array_equal(ours(x), theirs(x))
            np.testing.assert_array_equal(gradient(ours, x), gradient(theirs, x))
            smooth = x + jnp.asarray(rng.normal(size=shape)) / 10
            second = [
                jax.grad(lambda x, p=p: jnp.sin(gradient(p, x)).sum())(smooth)
                for p in (ours, theirs)
            ]
            np.testing.assert_allclose(*second, atol=1e-9)


def test_batch_norm_is_flax_batch_norm_to_the_second_derivative():
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).normal(3.0, 2.0, size=(4, 3, 3, 2)))
        params = BatchNorm().init(jax.random.key(0), x)
        reference = nn.BatchNorm(use_running_average=False, use_fast_variance=False)
        assert_equal(params, {"params": reference.init(jax.random.key(0), x)["params"]})

        class Frozen:
            """The reference without its running averages."""

            @staticmethod
            def apply(params, x):
                return reference.apply(params, x, mutable="batch_stats")[0]

        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64) + 0.1, params)
        assert_equal(*derivatives(BatchNorm(), Frozen, x, params))


def test_batch_norm_of_a_large_mean_keeps_its_digits():
    x = jnp.asarray(np.random.default_rng(0).normal(1e3, 1.0, size=(64, 2)), jnp.float32)
    y = np.asarray(BatchNorm().init_with_output(jax.random.key(0), x)[0])
    np.testing.assert_allclose(y.std(0), 1.0, atol=1e-3)


def test_conv4_with_batch_statistics_sees_the_other_rows():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 28, 28, 1)), jnp.float32)
    encoder = Conv4(4, norm="batch", pool=True)
    features, params = quick_jit(encoder.init_with_output)(jax.random.key(0), x)
    assert set(params["params"]["BatchNorm_3"]) == {"scale", "bias"}
    other = encoder.apply(params, x.at[1:].multiply(3.0))
    assert np.abs(other[0] - features[0]).max() > 1e-2


def test_bfloat16_is_close_and_its_parameters_are_float32():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 28, 28, 1)), jnp.float32)
    params = quick_jit(Conv4(8).init)(jax.random.key(0), x)
    half = quick_jit(Conv4(8, dtype=jnp.bfloat16).init)(jax.random.key(0), x)
    assert_equal(half, params, 0)
    exact, rough = (Conv4(8, dtype=dtype).apply(params, x) for dtype in (jnp.float32, jnp.bfloat16))
    assert rough.dtype == jnp.float32
    assert 0 < np.abs(rough - exact).max() < 0.1 * np.abs(exact).max()


@pytest.mark.parametrize(
    ("conv", "shape", "match"),
    [
        (Conv(4, (3, 3)), (2, 9, 1), r"one or two axes between.*shape \(2, 9, 1\)"),
        (Conv(4, (3, 3), (1, 2, 1)), (2, 9, 9, 1), "a stride for each"),
        (Conv(4, (3, 3, 3)), (2, 9, 9, 9, 1), "one or two axes"),
        (Conv(4, (3,), padding="CIRCULAR"), (2, 9, 1), "SAME or VALID; got 'CIRCULAR'"),
        (Conv(4, (3,), form="fft"), (2, 9, 1), "auto, matmul or lax; got 'fft'"),
        (Conv(4, (10,), padding="VALID"), (2, 9, 1), "smaller than the kernel"),
    ],
)
def test_what_does_not_fit_is_refused(conv, shape, match):
    with pytest.raises(ValueError, match=match):
        conv.init(jax.random.key(0), jnp.zeros(shape))


def test_the_product_of_dense_layers_to_the_third_derivative_with_weights_by_task():
    rng = np.random.default_rng(2)
    with jax.enable_x64(True):
        x, ws = jnp.asarray(rng.normal(size=(4, 3))), jnp.asarray(rng.normal(size=(5, 3, 2)))

        def third(multiply):
            def value(x, w):
                return jnp.tanh(multiply(x, w)).sum()

            def second(x, w):
                grads = jax.grad(lambda *a: sum((g**3).sum() for g in jax.grad(value, (0, 1))(*a)))
                return jnp.sin(grads(x, w)).sum()

            return quick_jit(jax.vmap(jax.value_and_grad(second, (0, 1)), (None, 0)))(x, ws)

        assert_equal(third(product), third(jnp.matmul))
