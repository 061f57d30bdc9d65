"""Encoders: shapes, that every row is encoded alone, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import quick_jit

from metajax.nn import MLP, Conv4, Identity

IMAGES = (28, 28, 1)
# Every encoder with the shape of one input and the width of its features.
ENCODERS = {
    "identity": (Identity(), (3, 2), 6),
    "mlp": (MLP((8, 5)), (4,), 5),
    "mlp of images": (MLP((8,)), (3, 2), 8),
    "mlp with skip": (MLP((8, 5), skip=True), (4,), 9),
    "no layers": (MLP(()), (4,), 4),
    "conv with stride": (Conv4(8), IMAGES, 2 * 2 * 8),  # 28, 14, 7, 4, 2
    "conv with pooling": (Conv4(8, pool=True), IMAGES, 8),  # 28, 14, 7, 3, 1
    "conv without norm": (Conv4(6, norm="none"), IMAGES, 2 * 2 * 6),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_shapes_and_that_rows_are_encoded_alone(name):
    encoder, shape, width = ENCODERS[name]
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, *shape)), jnp.float32)
    params = quick_jit(encoder.init)(jax.random.key(0), x)
    apply = quick_jit(encoder.apply)
    features = apply(params, x)
    assert features.shape == (5, width) and features.dtype == jnp.float32
    assert np.isfinite(features).all() and np.ptp(features, axis=0).max() > 0
    others = apply(params, x.at[1:].set(9.0))
    np.testing.assert_allclose(others[0], features[0], atol=1e-5)
    order = jnp.array([3, 0, 4, 1, 2])
    np.testing.assert_allclose(apply(params, x[order]), features[order], atol=1e-5)
    assert set(params) <= {"params"}  # no running statistics


def test_identity_flattens_and_has_no_parameters():
    x = jnp.arange(12.0).reshape(2, 3, 2)
    assert not jax.tree.leaves(Identity().init(jax.random.key(0), x))
    np.testing.assert_array_equal(Identity().apply({}, x), np.arange(12).reshape(2, 6))


def test_mlp_by_hand():
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    encoder = MLP((3, 2), activation=jnp.tanh, skip=True)
    params = quick_jit(encoder.init)(jax.random.key(0), x)
    weights = params["params"]
    hidden = x
    for layer in ("Dense_0", "Dense_1"):
        assert (weights[layer]["bias"] == 0).all()
        hidden = np.tanh(hidden @ weights[layer]["kernel"])
    np.testing.assert_allclose(weights["skip"], 0.5)  # 1 / sqrt(4)
    expected = np.concatenate([x / 2, hidden], 1)
    np.testing.assert_allclose(encoder.apply(params, x), expected, atol=1e-5)
    rectified = quick_jit(MLP((6,)).init_with_output)(jax.random.key(1), x)[0]
    assert rectified.min() == 0 and rectified.max() > 0  # the last layer is activated, too


def test_conv4_parameters():
    shapes = jax.eval_shape(Conv4(8).init, jax.random.key(0), jnp.zeros((1, *IMAGES)))["params"]
    assert [shapes[f"Conv_{i}"]["kernel"].shape for i in range(4)] == [(3, 3, 1, 8)] + 3 * [
        (3, 3, 8, 8)
    ]
    assert sum(name.startswith("GroupNorm") for name in shapes) == 4
    plain = jax.eval_shape(Conv4(8, norm="none").init, jax.random.key(0), jnp.zeros((1, *IMAGES)))
    assert len(plain["params"]) == 4


def test_uint8_images_are_accepted():
    x = jnp.zeros((2, *IMAGES), jnp.uint8)
    features, params = jax.eval_shape(Conv4(4).init_with_output, jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves((features, params))} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("encoder", "shape", "match"),
    [
        (Conv4(8), (5, 28, 28), r"\(N, H, W, channels\); got shape \(5, 28, 28\)"),
        (Conv4(8, norm="batch"), (5, *IMAGES), "group or none; got 'batch'"),
    ],
)
def test_what_does_not_fit_is_refused(encoder, shape, match):
    with pytest.raises(ValueError, match=match):
        encoder.init(jax.random.key(0), jnp.zeros(shape))
