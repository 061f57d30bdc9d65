"""What the amortised learners must give: identities, by hand, and learning in context."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from worlds import PADDED, ROWS, SPECS, episode, key, quick_jit

from metajax.evaluation import evaluate
from metajax.learners import LEARNERS
from metajax.losses import loss
from metajax.nn import MLP, CellTransformer, Identity
from metajax.nn.attention import attend, key_bias
from metajax.tasks import features_by_support, linear_gaussian
from metajax.training import fit
from metajax.types import Episode, Examples, TaskSpec

VARIANCE = TaskSpec(2, "regression", variance=True)
SMALL = {"width": 8, "blocks": 2, "heads": 2}


def moved(params, size=0.3):
    """Parameters that are not at their start, where last layers are zero."""
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key(5), len(leaves))
    told = [w + size * jax.random.normal(k, w.shape) for w, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(structure, told)


def fitted(learner, one, size=0.3):
    """Moved parameters, and the outputs on the query as a function of the episode."""
    params = moved(learner.init(key(), one), size)

    @quick_jit
    def outputs(one, params=params):
        return learner.predict(params, learner.adapt(params, one.support, key()), one.query.x)

    return params, outputs


# Prior-fitted network ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table():
    """A network with moved parameters on a table of columns, some cells missing."""
    one = episode(SPECS["multiclass"])
    gaps = np.random.default_rng(1).uniform(size=one.support.x.shape) < 0.15
    one = one._replace(support=one.support._replace(x=jnp.where(gaps, jnp.nan, one.support.x)))
    learner = LEARNERS["pfn"](SPECS["multiclass"], Identity(), **SMALL)
    told = features_by_support(one)
    params, outputs = fitted(learner, told)
    return learner, one, told, params, outputs


def columns(one, change):
    """An episode whose tables have their columns changed."""
    parts = (part._replace(x={n: change(a, n) for n, a in part.x.items()}) for part in one)
    return Episode(*parts)


def test_pfn_has_no_order_of_rows_columns_or_classes(table):
    *_, told, _, outputs = table
    plain = outputs(told)
    assert np.ptp(plain, axis=0).max() > 0.1  # the network has something to say
    order = np.random.default_rng(3).permutation(ROWS + PADDED)
    rows = told._replace(support=jax.tree.map(lambda leaf: leaf[order], told.support))
    np.testing.assert_allclose(outputs(rows), plain, atol=1e-5)
    swapped = columns(told, lambda a, _: a[:, np.array([2, 0, 3, 1])])
    np.testing.assert_allclose(outputs(swapped), plain, atol=1e-5)
    names = np.array([2, 0, 1])
    renamed = columns(told, lambda a, name: a[..., names] if name == "relevance" else a)
    renamed = Episode(*(p._replace(y=p.y[:, names], mask=p.mask[:, names]) for p in renamed))
    np.testing.assert_allclose(outputs(renamed), plain[:, names], atol=1e-5)


def test_pfn_does_not_see_columns_that_do_not_exist(table):
    *_, told, _, outputs = table

    def wider(leaf, name):
        rubbish = jnp.full((len(leaf), 3, *leaf.shape[2:]), 0.0 if name == "feature" else 7.0)
        return jnp.concatenate([leaf, rubbish], 1)

    np.testing.assert_allclose(outputs(columns(told, wider)), outputs(told), atol=1e-5)


def test_pfn_reads_a_plain_array_as_the_table_that_it_is(table):
    learner, one, told, params, outputs = table
    adapted = learner.adapt(params, one.support, key())
    np.testing.assert_allclose(
        learner.predict(params, adapted, one.query.x), outputs(told), atol=1e-5
    )


def test_pfn_without_support_says_nothing_and_with_one_class_nothing_of_the_others(table):
    *_, told, _, outputs = table
    support = told.support
    none = support._replace(y=jnp.zeros_like(support.y), mask=jnp.zeros_like(support.mask))
    untold = columns(told, lambda a, name: jnp.zeros_like(a) if name == "relevance" else a)
    found = outputs(untold._replace(support=none._replace(x=untold.support.x)))
    np.testing.assert_allclose(found, np.broadcast_to(found[:, :1], found.shape), atol=1e-5)
    one = episode(SPECS["multiclass"])
    first = one.support._replace(y=jnp.zeros_like(support.y).at[:, 0].set(support.mask[:, 0]))
    found = outputs(features_by_support(one._replace(support=first)))
    np.testing.assert_allclose(found[:, 1], found[:, 2], atol=1e-5)
    assert np.abs(found[:, 0] - found[:, 1]).min() > 1e-3


@pytest.mark.parametrize("spec", [*SPECS.values(), VARIANCE], ids=[*SPECS, "variance"])
def test_pfn_trains_on_what_it_predicts(spec):
    """One pass over support and query gives what adapting first and predicting then gives."""
    one = episode(spec)
    learner = LEARNERS["pfn"](spec, MLP((5,)), **SMALL)
    params, outputs = fitted(learner, one)
    found = outputs(one)
    value = quick_jit(learner.meta_loss)(params, one, key())[0]
    np.testing.assert_allclose(value, loss(spec, found, one.query), rtol=1e-5)
    if spec.variance:
        assert found.shape == (*one.query.y.shape, 2) and found[..., 1].min() > 0
        assert np.isfinite(value)


def test_pfn_regression_follows_the_units_of_its_targets():
    one = episode(SPECS["regression"])
    learner = LEARNERS["pfn"](VARIANCE, Identity(), **SMALL)
    _, outputs = fitted(learner, one)
    plain = outputs(one)
    y = jnp.where(one.support.mask > 0, 10 * one.support.y - 3, 0)
    other = outputs(one._replace(support=one.support._replace(y=y)))
    np.testing.assert_allclose(other[..., 0], 10 * plain[..., 0] - 3, rtol=2e-4, atol=1e-3)
    np.testing.assert_allclose(other[..., 1], 100 * plain[..., 1], rtol=1e-3)


def test_untrained_pfn_is_a_vote_of_the_columns():
    one = episode(SPECS["multiclass"])
    learner = LEARNERS["pfn"](SPECS["multiclass"], Identity(), **SMALL)
    _, outputs = fitted(learner, one, size=0.0)
    x, y = np.asarray(one.support.x)[:ROWS], np.asarray(one.support.y)[:ROWS]
    z = (np.asarray(one.query.x) - x.mean(0)) / x.std(0)
    relevance = np.corrcoef(x.T, y.T)[:4, 4:]
    np.testing.assert_allclose(outputs(one), z @ relevance / 2, atol=1e-5)


def test_a_support_row_of_weight_two_counts_as_two_rows():
    rng = np.random.default_rng(0)
    net = CellTransformer(8, 2, 2)

    x = {"z": rng.normal(size=(4, 3)), "missing": np.zeros((4, 3)), "feature": np.ones((4, 3))}
    x |= {"relevance": rng.uniform(-1, 1, size=(4, 3, 2))}
    x, y = jax.tree.map(jnp.float32, (x, rng.normal(size=(4, 2))))
    table = {"weight": jnp.array([1.0, 2.0, 1.0, 0.0]), "present": jnp.ones(2)}
    params = moved(net.init(key(), x, y, np.ones_like(y), table))
    twice = np.array([0, 1, 1, 2])
    again = {"weight": jnp.ones(4), "present": jnp.ones(2)}
    found = net.apply(params, x, y, np.ones_like(y), table)[0]
    other = net.apply(
        params, jax.tree.map(lambda a: a[twice], x), y[twice], np.ones_like(y), again
    )[0]
    np.testing.assert_allclose(found[:3], other[np.array([0, 1, 3])], atol=1e-5)


def test_attention_is_a_weighted_mean_and_nothing_without_keys():
    rng = np.random.default_rng(0)
    q, k, v = (jnp.asarray(rng.normal(size=(n, 1, 4)), jnp.float32) for n in (3, 5, 5))
    weight = jnp.array([1.0, 0.0, 2.5, 1.0, 0.0])
    share = np.exp(np.asarray(q)[:, 0] @ np.asarray(k)[:, 0].T / 2) * np.asarray(weight)
    expected = share @ np.asarray(v)[:, 0] / share.sum(1, keepdims=True)
    np.testing.assert_allclose(attend(q, k, v, key_bias(weight)), expected, rtol=1e-5)
    np.testing.assert_array_equal(attend(q, k, v, key_bias(0 * weight)), np.zeros((3, 4)))


class Bent:
    """Two classes that differ in the distance of one column from its mean: no vote sees them."""

    @staticmethod
    def sample(data, key, task=None):
        base = LINEAR.sample(LINEAR.data, key, task)

        def bend(part):
            far = (jnp.abs(part.x[:, :1]) > 0.67) * part.mask[:, :1]
            return part._replace(y=jnp.concatenate([part.mask[:, :1] - far, far], 1))

        return Episode(*map(bend, base))


LINEAR = linear_gaussian(features=2, shots=16, queries=16, noise=0.1, classes=2)


@pytest.mark.parametrize(
    "bent,steps", [(False, 120), pytest.param(True, 800, marks=pytest.mark.long)]
)
def test_pfn_learns_to_learn_in_context(bent, steps):
    """On tasks never seen it beats chance, and its own start, after a short training."""
    source = LINEAR._replace(sample=Bent.sample) if bent else LINEAR
    learner = LEARNERS["pfn"](source.spec, Identity(), width=16, blocks=2)
    state = fit(
        learner, source, optax.adam(0.005), key(), steps=steps, tasks_per_step=8, steps_per_call=40
    )
    start = learner.init(key(), source.sample(source.data, key()))
    before, after = (
        evaluate(learner, params, source, key(9), tasks=100, batch=100)
        for params in (start, state.params)
    )
    assert after["log_loss"].mean() < before["log_loss"].mean() - 0.1
    assert after["accuracy"].mean() > 0.75


def test_pfn_refuses_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="width=10, blocks=3, heads=4"):
        LEARNERS["pfn"](SPECS["multiclass"], Identity(), width=10, heads=4)


# Neural processes --------------------------------------------------------------------------------


def dense(params, x):
    return x @ np.asarray(params["kernel"]) + np.asarray(params["bias"])


def two_layers(params, x):
    return dense(params["layers_2"], np.asarray(jax.nn.gelu(dense(params["layers_0"], x))))


def test_cnp_by_hand():
    """Regression: the mean over rows of h(x, y) goes with every query through g."""
    one = episode(VARIANCE)
    learner = LEARNERS["cnp"](VARIANCE, Identity(), width=8)
    params, outputs = fitted(learner, one)
    parts, (x, y) = params["net"]["params"], (np.asarray(a)[:ROWS] for a in one.support[:2])
    r = two_layers(parts["h"], np.concatenate([x, y, np.ones_like(y)], 1)).mean(0)
    queries = np.asarray(one.query.x)
    g = two_layers(parts["g"], np.concatenate([queries, np.tile(r, (len(queries), 1))], 1))
    found = outputs(one)
    np.testing.assert_allclose(found[..., 0], g[:, :2], atol=1e-5)
    softplus = np.log1p(np.exp(g[:, 2:]))
    np.testing.assert_allclose(found[..., 1], (0.1 + 0.9 * softplus) ** 2, rtol=1e-4)
    assert np.isfinite(loss(VARIANCE, found, one.query))


def test_cnp_of_classes_by_hand():
    """A class's logit comes from the mean over its own rows; a class without any has mean 0."""
    one = episode(SPECS["multiclass"])
    keep = 1 - one.support.y[:, 2:]
    support = one.support._replace(y=one.support.y * keep, mask=one.support.mask * keep)
    learner = LEARNERS["cnp"](SPECS["multiclass"], Identity(), width=8)
    params, outputs = fitted(learner, one)
    parts, (x, y) = params["net"]["params"], (np.asarray(a)[:ROWS] for a in one.support[:2])
    queries, found = np.asarray(one.query.x), outputs(one._replace(support=support))
    for c in range(3):
        r = two_layers(parts["h"], x)[y[:, c] > 0].mean(0) if c < 2 else np.zeros(8)
        g = two_layers(parts["g"], np.concatenate([queries, np.tile(r, (len(queries), 1))], 1))
        np.testing.assert_allclose(found[:, c], g[:, 0], atol=1e-5)


@pytest.mark.parametrize("kind", SPECS)
def test_uniform_attention_is_the_mean(kind):
    one = episode(SPECS[kind])
    mean, attentive = (
        LEARNERS[name](SPECS[kind], MLP((5,)), width=8) for name in ("cnp", "attentive_cnp")
    )
    params, outputs = fitted(attentive, one)
    told = outputs(one)
    parts = params["net"]["params"]
    parts = parts | {"query": jax.tree.map(jnp.zeros_like, parts["query"])}
    uniform = params | {"net": {"params": parts}}
    plain = params | {"net": {"params": {name: parts[name] for name in ("h", "g")}}}
    expected = mean.predict(plain, mean.adapt(plain, one.support, key()), one.query.x)
    np.testing.assert_allclose(outputs(one, uniform), expected, atol=1e-5)
    assert np.abs(told - expected).max() > 1e-3


def test_attentive_cnp_by_hand():
    one = episode(SPECS["regression"])
    learner = LEARNERS["attentive_cnp"](SPECS["regression"], Identity(), width=8, heads=2)
    params, outputs = fitted(learner, one)
    parts, (x, y) = params["net"]["params"], (np.asarray(a)[:ROWS] for a in one.support[:2])
    queries = np.asarray(one.query.x)
    values = two_layers(parts["h"], np.concatenate([x, y, np.ones_like(y)], 1))
    q, k = dense(parts["query"], queries), dense(parts["key"], x)
    read = []
    for head in (slice(0, 4), slice(4, 8)):
        share = np.exp(q[:, head] @ k[:, head].T / 2)
        read.append(share @ values[:, head] / share.sum(1, keepdims=True))
    expected = two_layers(parts["g"], np.concatenate([queries, *read], 1))
    np.testing.assert_allclose(outputs(one), expected, atol=1e-4)


# Hypernetwork ------------------------------------------------------------------------------------


def test_hypernetwork_by_hand():
    """What it emits comes from the mean over rows, and is a network that anybody can run."""
    spec = TaskSpec(1, "regression")
    one = episode(spec)
    learner = LEARNERS["hypernetwork"](spec, Identity(), width=8, hidden=3)
    params, outputs = fitted(learner, one)
    emitted = jax.tree.map(np.asarray, learner.adapt(params, one.support, key()))
    parts, (x, y) = params["net"]["params"], (np.asarray(a)[:ROWS] for a in one.support[:2])
    cells = np.concatenate([x, y, x * y], 1)
    units = np.asarray(jax.nn.gelu(dense(parts["Dense_0"], cells)))
    r = dense(parts["Dense_1"], units).mean(0)
    bend, last = dense(parts["Dense_2"], r), dense(parts["Dense_3"], r)
    w1 = np.asarray(parts["first"]) + bend[:12].reshape(4, 3)
    np.testing.assert_allclose(emitted["w1"], w1, atol=1e-5)
    np.testing.assert_allclose(emitted["b1"], bend[12:], atol=1e-5)
    np.testing.assert_allclose(emitted["w2"][:, 0], last[:3], atol=1e-5)
    hidden = np.asarray(jax.nn.gelu(np.asarray(one.query.x) @ emitted["w1"] + emitted["b1"]))
    by_hand = hidden @ emitted["w2"] + emitted["b2"]
    assert emitted["b2"].shape == (1,) and emitted["w2"].shape == (3, 1)
    np.testing.assert_allclose(outputs(one), by_hand, atol=1e-5)


def test_hypernetwork_emits_the_last_layer_output_by_output():
    """Renamed classes are renamed outputs, and rows of weight two are two rows."""
    one = episode(SPECS["multiclass"])
    learner = LEARNERS["hypernetwork"](SPECS["multiclass"], MLP((5,)), width=8, hidden=3)
    _, outputs = fitted(learner, one)
    names = np.array([1, 2, 0])
    renamed = one._replace(support=one.support._replace(y=one.support.y[:, names]))
    np.testing.assert_allclose(outputs(renamed), outputs(one)[:, names], atol=1e-5)
    support = one.support
    heavy = support._replace(mask=support.mask.at[0].set(2.0))
    twice = Examples(*(leaf.at[ROWS].set(leaf[0]) for leaf in support[:3]), support.info)
    np.testing.assert_allclose(
        outputs(one._replace(support=heavy)), outputs(one._replace(support=twice)), atol=1e-5
    )
