"""What `prepare` functions make of stored inputs, value by value."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metajax import tasks
from metajax.nn import MLP, Conv1D, Fusion
from metajax.tasks import decoding
from metajax.types import Episode, Examples


def episode(x, query=None):
    """Two parts with the inputs given and no labels worth looking at."""

    def part(x):
        ones = jnp.ones((len(jax.tree.leaves(x)[0]), 1))
        return Examples(jax.tree.map(jnp.asarray, x), ones, ones, {"row": jnp.arange(len(ones))})

    return Episode(part(x), part(x if query is None else query))


def decoded(prepare, x):
    """What `prepare` makes of inputs, in either part alike, jitted and under vmap."""
    raw = episode(x)
    out = jax.jit(prepare)(raw)
    jax.tree.map(np.testing.assert_array_equal, out.support.x, out.query.x)
    for old, new in zip(raw, out, strict=True):
        jax.tree.map(np.testing.assert_array_equal, old._replace(x=()), new._replace(x=()))
    many = jax.vmap(prepare)(jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), raw))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, atol=1e-6), many, out)
    assert {leaf.dtype for leaf in jax.tree.leaves(out.support.x)} == {jnp.dtype("float32")}
    return out.support.x


def test_images_and_strokes():
    grey = np.array([[[0, 51], [255, 1]]], np.uint8)
    np.testing.assert_allclose(
        decoded(tasks.images, grey)[..., 0], [[[0, 0.2], [1, 1 / 255]]], rtol=1e-6
    )
    colour = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8)
    out = decoded(tasks.images, colour)
    assert out.shape == colour.shape
    np.testing.assert_allclose(out, colour / 255, rtol=1e-6)
    binary = np.array([[[0, 1], [1, 1]]], np.uint8)
    np.testing.assert_array_equal(decoded(tasks.strokes, binary), binary[..., None])
    for prepare in (tasks.images, tasks.strokes):
        with pytest.raises(ValueError, match=r"images are uint8 \(N, H, W\).*shape \(1, 4\)"):
            prepare(episode(grey.reshape(1, 4)))


def test_nucleotides():
    out = decoded(tasks.nucleotides, np.array([[0, 3, 4], [2, 1, 1]], np.uint8))
    zero, a, c, g, t = np.zeros(4), *np.eye(4)
    np.testing.assert_array_equal(out, [[a, t, zero], [g, c, c]])


def test_variants():
    code = decoding.AMINO_ACIDS.index
    x = {
        "window": np.array([[code("A"), code("R"), 20], [20, code("D"), code("Y")]], np.uint8),
        "reference": np.array([code("R"), code("D")], np.uint8),
        "variant": np.array([code("D"), 20], np.uint8),
        "position": np.array([12, 40], np.int32),  # not used
    }
    out = np.asarray(decoded(tasks.variants, x))
    assert out.shape == (2, 3 * 20 + 43)
    window = out[:, :60].reshape(2, 3, 20)
    np.testing.assert_array_equal(window.sum(-1), [[1, 1, 0], [0, 1, 1]])
    assert window[0, 1, code("R")] == window[1, 2, code("Y")] == 1
    assert out[0, 60 + code("R")] == out[0, 80 + code("D")] == out[1, 60 + code("D")] == 1
    np.testing.assert_array_equal(out[:, 60:100].sum(1), [2, 1])
    spread = decoding.RESIDUES.std(0)
    expected = np.array([-3.5 - -4.5, 111.1 - 173.4, -1 - 1]) / spread
    np.testing.assert_allclose(out[0, 100:], expected, rtol=1e-5)
    np.testing.assert_array_equal(out[1, 100:], 0)  # the variant is unknown


def test_the_properties_of_residues():
    table = dict(zip(decoding.AMINO_ACIDS, decoding.RESIDUES.tolist(), strict=True))
    assert "".join(sorted(table)) == decoding.AMINO_ACIDS and len(table) == 20
    hydropathy = {residue: row[0] for residue, row in table.items()}
    assert sorted(hydropathy, key=hydropathy.get)[0] == "R"
    assert max(hydropathy, key=hydropathy.get) == "I" and abs(sum(hydropathy.values()) + 9.8) < 1e-4
    volume = {residue: row[1] for residue, row in table.items()}
    assert min(volume, key=volume.get) == "G" and max(volume, key=volume.get) == "W"
    assert volume["I"] == volume["L"] and volume["D"] < volume["E"] and volume["S"] < volume["T"]
    charge = {residue: row[2] for residue, row in table.items() if row[2]}
    assert charge == {"D": -1, "E": -1, "K": 1, "R": 1}


def test_fingerprints():
    out = decoded(tasks.fingerprints, np.array([[0, 1, 255]], np.uint8))
    np.testing.assert_allclose(out, [[0, np.log(2), np.log(256)]], rtol=1e-6)


def test_beats():
    rng = np.random.default_rng(0)
    signal = np.stack([rng.integers(900, 1200, 256), np.full(256, 1024)]).astype(np.int16)
    rr = np.array([[180, 360], [-1, 288]], np.int32)
    x = {"signal": signal, "rr": rr, "lead": np.zeros(2, np.int8)}
    out = decoded(tasks.beats, x)
    assert set(out) == {"signal", "rr"}
    low, middle, high = np.percentile(signal[0], [5, 50, 95])
    assert out["signal"].shape == (2, 256, 1)
    np.testing.assert_allclose(
        out["signal"][0, :, 0], (signal[0] - middle) / (high - low), atol=1e-5
    )
    np.testing.assert_array_equal(out["signal"][1], 0)  # a flat line
    np.testing.assert_allclose(out["rr"], [[0.5, 1.0, np.log(0.5)], [0.8, 0.8, 0]], atol=1e-6)
    np.testing.assert_array_equal(decoded(tasks.beats_signal, x), out["signal"])
    # Gain and baseline are gone; so is one electrode spike of any height.
    other = x | {"signal": (3 * signal.astype(np.int32) - 500).astype(np.int16)}
    np.testing.assert_allclose(decoded(tasks.beats_signal, other), out["signal"], atol=1e-5)
    both = x | {"rr": np.array([[0, 0], [np.nan, 180]], np.float32)}
    np.testing.assert_allclose(decoded(tasks.beats, both)["rr"], [[0, 0, 0], [0.5, 0.5, 0]])


def test_beats_feed_a_fusion():
    x = {"signal": np.ones((2, 256), np.int16), "rr": np.full((2, 2), 300, np.int16)}
    encoder = Fusion((("signal", Conv1D(4)), ("rr", MLP((4,)))), 5)
    rows = jax.eval_shape(tasks.beats, episode(x)).support.x
    shape = jax.eval_shape(encoder.init_with_output, jax.random.key(0), rows)[0].shape
    assert shape == (2, 5)


def test_standardise_targets():
    mask = jnp.array([[1, 1, 1], [1, 0, 1], [0, 0, 0]], jnp.float32)
    y = jnp.array([[1, 5, 0.1], [3, 0, 0.1], [0, 0, 0]], jnp.float32)
    query = jnp.array([[4, 9, 0.3], [0, 0, 0]], jnp.float32)
    seen = jnp.array([[1, 1, 1], [0, 0, 0]], jnp.float32)
    raw = Episode(Examples(y, y, mask), Examples(query, query, seen))
    out = jax.jit(tasks.standardise_targets)(raw)
    np.testing.assert_allclose(out.support.y, [[-1, 0, 0], [1, 0, 0], [0, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(out.query.y, [[2, 4, 0.2], [0, 0, 0]], atol=1e-6)
    np.testing.assert_array_equal(out.support.x, y)
    other = raw._replace(query=raw.query._replace(y=1e3 * query))
    changed = tasks.standardise_targets(other)
    np.testing.assert_array_equal(changed.support.y, out.support.y)
    bare = tasks.standardise_targets(raw._replace(support=raw.support._replace(mask=0 * mask)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(bare))


def test_composition_has_one_identity_for_one_meaning():
    standard, targets = tasks.standardise_by_support, tasks.standardise_targets
    few = tasks.bind(tasks.select_by_support, width=2)
    assert tasks.bind(tasks.select_by_support, width=2) is few
    assert tasks.bind(tasks.select_by_support, width=3) is not few
    assert tasks.chain(few, targets) is tasks.chain(few, targets)
    assert tasks.chain(few, targets) is not tasks.chain(targets, few)
    assert tasks.within("genes", few) is tasks.within("genes", few)
    assert tasks.within("genes", few) is not tasks.within("clinical", few)
    assert len({standard, few, tasks.chain(few), tasks.within("genes", few)}) == 4


def test_composition_by_hand():
    rng = np.random.default_rng(0)
    support, query = (
        {
            "clinical": rng.normal(size=(n, 3)),
            "genes": rng.normal(size=(n, 6)),
            "present": np.ones((n, 2)),
        }
        for n in (5, 4)
    )
    raw = episode(support, query)
    y = jnp.eye(2)[jnp.arange(5) % 2]
    raw = raw._replace(support=raw.support._replace(y=y, mask=jnp.ones((5, 2))))
    few = tasks.bind(tasks.select_by_support, width=2)
    parts = (tasks.within("clinical", tasks.standardise_by_support), tasks.within("genes", few))
    out = tasks.chain(*parts)(raw)

    def alone(name):
        return Episode(*(part._replace(x=part.x[name]) for part in raw))

    clinical, genes = tasks.standardise_by_support(alone("clinical")), few(alone("genes"))
    for part, old, one, two in zip(out, raw, clinical, genes, strict=True):
        assert set(part.x) == {"clinical", "genes", "present"}
        np.testing.assert_array_equal(part.x["clinical"], one.x)
        np.testing.assert_array_equal(part.x["genes"], two.x)
        np.testing.assert_array_equal(part.x["present"], old.x["present"])
        np.testing.assert_array_equal(part.y, old.y)
    assert genes.support.x.shape == (5, 4)


def test_within_keeps_changed_targets():
    raw = episode({"a": np.ones((3, 2)), "b": np.zeros((3, 1))})
    raw = raw._replace(support=raw.support._replace(y=jnp.array([[1.0], [2.0], [3.0]])))
    out = tasks.within("a", tasks.standardise_targets)(raw)
    np.testing.assert_allclose(out.support.y[:, 0], [-(1.5**0.5), 0, 1.5**0.5], rtol=1e-6)
    np.testing.assert_array_equal(out.support.x["b"], 0)


IMAGES = np.zeros((4, 8, 8), np.uint8)
CODES = np.zeros((4, 6), np.uint8)
REFUSED = {
    "floats": (tasks.images, IMAGES / 255, r"got float.*Remedy: \(255 \* images\).round"),
    "16 bits": (tasks.images, IMAGES.astype(np.uint16), r"uint16.*images // 256"),
    "integers": (tasks.images, IMAGES.astype(np.int32), "int32.*scale them to 0 to 255"),
    "booleans": (tasks.images, IMAGES > 0, r"bool.*images.astype\(np.uint8\) \* 255"),
    "channels first": (tasks.images, np.zeros((4, 3, 8, 8), np.uint8), "np.moveaxis.images, 1, -1"),
    "grey first": (tasks.images, np.zeros((4, 1, 8, 8), np.uint8), "np.moveaxis.images, 1, -1"),
    "alpha": (tasks.images, np.zeros((4, 8, 8, 4), np.uint8), r"images\[..., :3\]"),
    "grey and alpha": (tasks.images, np.zeros((4, 8, 8, 2), np.uint8), r"images\[..., :1\]"),
    "volumes": (tasks.images, np.zeros((4, 8, 8, 8), np.uint8), "keep one or three channels"),
    "flat": (tasks.images, np.zeros((4, 64), np.uint8), "one image a row, not flattened"),
    "empty": (tasks.images, np.zeros((4, 0, 0), np.uint8), "they are empty"),
    "dict": (tasks.images, {"image": IMAGES}, "must be one array; got a dict.*within"),
    "float strokes": (tasks.strokes, IMAGES * 1.0, "images are uint8"),
    "one-hot bases": (tasks.nucleotides, np.zeros((4, 6, 4), np.uint8), "integer codes.*argmax"),
    "float bases": (tasks.nucleotides, CODES * 1.0, "nucleotides are integer codes"),
    "float residues": (tasks.residues, CODES * 1.0, "residues are integer codes"),
    "floats as counts": (tasks.fingerprints, CODES * 0.5, "fingerprints are counts or bits"),
    "no rhythm": (tasks.beats, {"signal": CODES}, "dict with signal and rr; got a dict of sig"),
    "bare signal": (tasks.beats_signal, CODES, "must be a dict with signal"),
    "leads": (tasks.beats_signal, {"signal": np.zeros((4, 8, 2))}, "signals are .N, L."),
    "no window": (tasks.variants, {"reference": CODES[:, 0]}, "a dict with reference and variant"),
    "table of images": (tasks.standardise_by_support, IMAGES, r"a table .N, D.; got \(4, 8, 8\)"),
    "table in a dict": (tasks.standardise_by_support, {"a": CODES}, "a table .N, D.; got dict"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_inputs_of_another_kind_are_refused_with_the_remedy(name):
    prepare, x, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(prepare, episode(x))


def test_residues():
    out = decoded(tasks.residues, np.array([[0, 19, 20]], np.uint8))
    np.testing.assert_array_equal(out, np.eye(21)[[[0, 19, 20]]][..., :20])


def test_a_signal_in_millivolts_is_that_in_steps_of_the_converter():
    steps = np.random.default_rng(0).integers(900, 1200, (2, 256))
    steps[1] = 1024
    want = decoded(tasks.beats_signal, {"signal": steps.astype(np.int16)})
    for factor in (1e-3, 1e-30):
        found = decoded(tasks.beats_signal, {"signal": np.float32(steps * factor)})
        np.testing.assert_allclose(found, want, atol=1e-4)
