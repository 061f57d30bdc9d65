"""Encoders: shapes, that every row is encoded alone, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from worlds import quick_jit

from metajax.inner import descend
from metajax.nn import MLP, Conv1D, Conv4, Fingerprint, Fusion, Identity, SetEncoder
from metajax.nn.pooling import largest

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
    "signal": (Conv1D(16, blocks=3), (64,), 32),
    "sequence": (Conv1D(8, kernel=4, norm="none"), (41, 4), 16),
    "sequence, flat": (Conv1D(8, kernel=5, blocks=3, pool="flatten"), (41, 4), 48),  # 21, 11, 6
    "fingerprint": (Fingerprint((8, 5)), (32,), 5),
    "fingerprint with skip": (Fingerprint((8, 5), skip=True), (32,), 37),
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
        (Conv4(8, norm="layer"), (5, *IMAGES), "group, none or batch; got 'layer'"),
        (Conv1D(8), (5,), r"\(N, L, channels\); got shape \(5,\)"),
        (Conv1D(8), (5, *IMAGES), r"\(N, L, channels\); got shape \(5, 28, 28, 1\)"),
        (Conv1D(8, norm="batch"), (5, 9), "group or none; got 'batch'"),
        (Conv1D(8, pool="mean"), (5, 9), "global or flatten; got 'mean'"),
    ],
)
def test_what_does_not_fit_is_refused(encoder, shape, match):
    with pytest.raises(ValueError, match=match):
        encoder.init(jax.random.key(0), jnp.zeros(shape))


def test_conv1d_is_a_strided_convolution():
    x = np.random.default_rng(0).normal(size=(2, 11, 3)).astype(np.float32)
    for length, kernel in ((11, 5), (10, 4), (3, 9)):
        encoder = Conv1D(6, kernel=kernel, blocks=1, norm="none", pool="flatten")
        params = quick_jit(encoder.init)(jax.random.key(0), x[:, :length])
        weights = params["params"]["Dense_0"]
        convolved = jax.lax.conv_general_dilated(
            x[:, :length], weights["kernel"].reshape(kernel, 3, 6), (2,), "SAME",
            dimension_numbers=("NWC", "WIO", "NWC"),
        )  # fmt: skip
        expected = np.maximum(convolved, 0).reshape(2, -1)
        np.testing.assert_allclose(encoder.apply(params, x[:, :length]), expected, atol=1e-5)
        pooled = Conv1D(6, kernel=kernel, blocks=1, norm="none").apply(params, x[:, :length])
        maps = expected.reshape(2, -1, 6)
        np.testing.assert_allclose(pooled, np.hstack([maps.mean(1), maps.max(1)]), atol=1e-5)


def test_conv1d_finds_a_motif_anywhere():
    """Moved by a whole number of strides, far from the ends, a motif gives the same features."""
    motif = np.random.default_rng(0).normal(size=8).astype(np.float32)
    x = np.zeros((2, 128), np.float32)
    x[0, 40:48], x[1, 72:80] = motif, motif
    encoder = Conv1D(8, kernel=5, blocks=3)
    features = quick_jit(encoder.init_with_output)(jax.random.key(0), x)[0]
    np.testing.assert_allclose(features[0], features[1], atol=1e-5)
    assert np.abs(features[0]).max() > 0.1


def test_fingerprint_by_hand():
    counts = np.random.default_rng(0).poisson(0.5, size=(5, 12)).astype(np.uint8)
    encoder = Fingerprint((4, 3), skip=True)
    params = quick_jit(encoder.init)(jax.random.key(0), counts)
    x = hidden = np.log1p(counts.astype(np.float32))
    for i in range(2):
        dense = params["params"][f"Dense_{i}"]
        hidden = hidden @ dense["kernel"] + dense["bias"]
        hidden = hidden - hidden.mean(1, keepdims=True)
        hidden = np.asarray(jax.nn.gelu(hidden / np.sqrt((hidden**2).mean(1) + 1e-3)[:, None]))
    expected = np.hstack([x * 12**-0.5, hidden])
    np.testing.assert_allclose(encoder.apply(params, counts), expected, atol=1e-5)
    np.testing.assert_allclose(encoder.apply(params, x), expected, atol=1e-5)  # floats: as given


def test_fingerprint_weights_start_larger_for_sparse_inputs():
    x = jnp.zeros((1, 2048))
    weights = quick_jit(Fingerprint((64, 64)).init)(jax.random.key(0), x)["params"]
    first, second = (np.std(weights[f"Dense_{i}"]["kernel"]) for i in range(2))
    np.testing.assert_allclose([first, second], [3.2 / 2048**0.5, 1 / 8], rtol=0.05)


def fused(rng, rows=6, genes=7):
    """Two modalities, of which rows 1 and 2 miss one each."""
    x = {"clinical": rng.normal(size=(rows, 3)), "genes": rng.normal(size=(rows, genes, 2))}
    x = {name: jnp.asarray(leaf, jnp.float32) for name, leaf in x.items()}
    return x | {"present": jnp.ones((rows, 2)).at[1, 0].set(0).at[2, 1].set(0)}


FUSION = Fusion((("clinical", MLP((4,))), ("genes", Conv1D(4, kernel=3, blocks=1))), 5)


def test_fusion_by_hand():
    x = fused(np.random.default_rng(0))
    params = quick_jit(FUSION.init)(jax.random.key(0), x)
    weights = params["params"]
    assert set(weights) == {"clinical", "genes", "missing_clinical", "missing_genes", "Dense_0"}
    weights["missing_clinical"] = jnp.arange(4.0)
    weights["missing_genes"] = jnp.arange(8.0) - 3
    parts = []
    for i, (name, encoder) in enumerate(FUSION.encoders):
        own = encoder.apply({"params": weights[name]}, x[name])
        parts.append(np.where(x["present"][:, i : i + 1] > 0, own, weights[f"missing_{name}"]))
    joined = np.hstack([*parts, x["present"]])
    expected = jax.nn.gelu(joined @ weights["Dense_0"]["kernel"] + weights["Dense_0"]["bias"])
    features = FUSION.apply(params, x)
    np.testing.assert_allclose(features, expected, atol=1e-5)
    alone = FUSION.apply(params, {name: x[name] for name in ("clinical", "genes")})  # all present
    np.testing.assert_allclose(alone[3:], features[3:], atol=1e-6)
    assert (np.abs(alone[1:3] - features[1:3]).max(1) > 1e-3).all()


def test_what_stands_in_a_missing_modality_does_not_matter():
    x = fused(np.random.default_rng(0))
    params = quick_jit(FUSION.init)(jax.random.key(0), x)
    broken = x | {"clinical": x["clinical"].at[1].set(jnp.nan)}
    broken["genes"] = x["genes"].at[2].set(jnp.nan)

    def loss(params, x):
        return (FUSION.apply(params, x) ** 2).sum()

    def curved(params, x):  # second derivatives, as MAML takes them
        slope = jax.grad(loss)(params, x)
        return loss(jax.tree.map(lambda p, g: p - 0.1 * g, params, slope), x)

    for function in (FUSION.apply, jax.grad(loss), jax.grad(curved)):
        plain, other = quick_jit(function)(params, x), quick_jit(function)(params, broken)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(plain))
        jax.tree.map(np.testing.assert_array_equal, plain, other)
    slope = jax.grad(loss)(params, broken)["params"]
    assert np.abs(slope["missing_clinical"]).max() > 0  # the stand-in is learned


def test_fusion_refuses_other_inputs():
    x = fused(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"\['genes', 'present'\] lack the modalities \['clini"):
        FUSION.init(jax.random.key(0), {name: x[name] for name in ("genes", "present")})
    with pytest.raises(ValueError, match=r"present must be \(6, 2\); got shape \(6,\)"):
        FUSION.init(jax.random.key(0), x | {"present": x["present"][:, 0]})


SETS = {
    "deep sets": SetEncoder(8),
    "attention": SetEncoder(8, 2),
    "no blocks": SetEncoder(8, 0, 0),
}


def table(rng, rows=4, columns=6, outputs=2):
    """A table as `features_by_support` gives it, whose last two columns do not exist."""
    x = {name: rng.normal(size=(rows, columns)) for name in ("z", "missing")}
    x["missing"] = x["missing"] > 0.5
    x["feature"] = np.broadcast_to(np.arange(columns) < columns - 2, (rows, columns))
    x["relevance"] = rng.uniform(-1, 1, size=(rows, columns, outputs))
    return {name: jnp.asarray(leaf, jnp.float32) for name, leaf in x.items()}


@pytest.mark.parametrize("name", SETS)
def test_columns_are_a_set(name):
    encoder, x = SETS[name], table(np.random.default_rng(0))
    params = quick_jit(encoder.init)(jax.random.key(1), x)
    apply = quick_jit(encoder.apply)
    features = apply(params, x)
    assert features.shape == (4, 8) and np.ptp(features, axis=0).max() > 1e-3
    order = np.array([4, 2, 0, 5, 3, 1])
    moved = apply(params, {key: leaf[:, order] for key, leaf in x.items()})
    np.testing.assert_allclose(moved, features, atol=1e-5)
    cut = apply(params, {key: leaf[:, :4] for key, leaf in x.items()})
    np.testing.assert_allclose(cut, features, atol=1e-5)
    gone = x["feature"] == 0
    filled = {key: jnp.where(gone.reshape(4, 6, *[1] * (leaf.ndim - 2)), jnp.nan, leaf)
              for key, leaf in x.items() if key != "feature"}  # fmt: skip
    np.testing.assert_allclose(apply(params, x | filled), features, atol=1e-5)
    for key in ("z", "missing", "relevance"):  # every column that exists has a say
        for column in range(4):
            other = x | {key: x[key].at[:, column].add(1.0)}
            assert np.abs(apply(params, other) - features).max() > 1e-5
    alone = apply(params, {key: leaf.at[1:].set(0) for key, leaf in x.items()})
    np.testing.assert_allclose(alone[0], features[0], atol=1e-5)
    assert np.isfinite(alone).all()  # rows without any column


def test_set_encoder_refuses():
    x = table(np.random.default_rng(0))
    with pytest.raises(ValueError, match="3 heads do not divide the width 8"):
        SetEncoder(8, 3).init(jax.random.key(0), x)
    with pytest.raises(ValueError, match=r"\['relevance'\] are absent"):
        SetEncoder().init(jax.random.key(0), {k: v for k, v in x.items() if k != "relevance"})


@pytest.mark.parametrize("name", ["signal", "fingerprint", "fusion", "deep sets", "attention"])
def test_adaptation_of_many_tasks_differentiates(name):
    """One-step MAML under vmap: each task has its own parameters. The last row is padding."""
    rng = np.random.default_rng(0)
    tasks = 3
    if name == "fusion":
        encoder, one = FUSION, fused
    elif name in SETS:
        encoder, one = SETS[name], table
    else:
        encoder, shape, _ = ENCODERS[name]

        def one(rng):
            return jnp.asarray(rng.poisson(0.4, size=(4, *shape)), jnp.float32).at[3].set(0.0)

    x = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(one(rng) for _ in range(tasks)))
    params = quick_jit(encoder.init)(jax.random.key(0), jax.tree.map(lambda leaf: leaf[0], x))

    def after(params, x):
        def loss(params, step):
            return jnp.mean((encoder.apply(params, x)[:-1] - 1) ** 2)

        adapted, _ = descend(loss, params, optax.sgd(0.05), 1)
        return loss(adapted, 1)

    def meta_loss(params):
        return jax.vmap(after, (None, 0))(params, x).mean()

    value, slope = quick_jit(jax.value_and_grad(meta_loss))(params)
    assert np.isfinite(value) and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))
    flat = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(slope)])
    assert 1e-4 < np.linalg.norm(flat) < 1e3


def test_largest_has_finite_second_derivatives():
    """Without optimisation XLA rounds the entries and their maximum differently."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 7, 2)), jnp.float32)
    encoder = Conv1D(4, kernel=3, blocks=1)
    params = quick_jit(encoder.init)(jax.random.key(0), x)

    def loss(params):
        return (encoder.apply(params, x) ** 2).sum()

    def adapted(params):
        slope = jax.grad(loss)(params)
        return loss(jax.tree.map(lambda p, g: p - 0.1 * g, params, slope))

    slope = quick_jit(jax.grad(adapted))(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))
    values = jnp.array([[1.0, 3.0, 3.0], [-2.0, -1.0, -4.0]])
    np.testing.assert_array_equal(largest(values), [3, -1])
    np.testing.assert_array_equal(
        jax.grad(lambda v: largest(v).sum())(values), [[0, 1, 0], [0, 1, 0]]
    )
