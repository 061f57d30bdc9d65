"""Learners that weigh rows: hand-computed weights, what they do to wrong labels, and identities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import PADDED, ROWS, SPECS, episode, examples, key, quick_jit

from metajax.learners import LEARNERS, METHODS
from metajax.learners.hard_mining import hardest
from metajax.learners.importance import drawn
from metajax.learners.meta_weight_net import weigher
from metajax.learners.weighting import to_mean_one, weights_of, with_weights
from metajax.losses import example_losses, loss
from metajax.nn import MLP, Identity
from metajax.types import Episode, Examples, TaskSpec

WEIGHING = [name for name, method in METHODS.items() if method.pillar == "sample"]
BINARY = TaskSpec(2, "multiclass")
N, CLEAN, FEATURES = 200, 20, 5


def flipped(share, seed=0, rows=N):
    """Two well separated classes; the first `CLEAN` rows are trusted, a share of the rest wrong."""
    rng = np.random.default_rng(seed)
    truth = np.arange(rows) % 2
    x = rng.normal(size=(rows, FEATURES)) + 3 * truth[:, None] * np.eye(FEATURES)[0] * 2
    wrong = (np.arange(rows) >= CLEAN) & (rng.uniform(size=rows) < share)
    y = np.eye(2)[np.where(wrong, 1 - truth, truth)]
    trusted = (np.arange(rows) < CLEAN).astype(np.float32)
    info = {"row": jnp.arange(rows), "trusted": jnp.asarray(trusted)}
    part = Examples(*(jnp.asarray(a, jnp.float32) for a in (x, y, np.ones_like(y))), info)
    return part, wrong


def adapted(name, support, spec=BINARY, seed=0, **hyper):
    """A learner's `Weighted` of a support, from a random start."""
    learner = LEARNERS[name](spec, Identity(), **hyper)
    params = learner.init(key(seed), Episode(support, support))
    return quick_jit(learner.adapt)(params, support, key(seed + 1)), params, learner


# What must be given ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in WEIGHING if METHODS[name].needs])
def test_what_trusts_nothing_is_refused(name):
    one = episode(SPECS["multiclass"]).support
    learner = LEARNERS[name](SPECS["multiclass"], Identity())
    params = learner.init(key(), Episode(one, one))
    for info, has in (({"row": one.info["row"]}, "row"), ((), "nothing")):
        with pytest.raises(ValueError, match=f"{name} needs info.'trusted'.*info has {has}"):
            jax.eval_shape(learner.adapt, params, one._replace(info=info), key())


@pytest.mark.parametrize("name", [name for name in WEIGHING if not METHODS[name].needs])
def test_the_others_need_no_info(name):
    one = episode(SPECS["multiclass"]).support._replace(info=())
    assert np.isfinite(adapted(name, one, spec=SPECS["multiclass"])[0].weights).all()


def test_where_nobody_is_trusted_reweight_is_uniform_and_the_weigher_rests():
    support, _ = flipped(0.2)
    support = support._replace(info=support.info | {"trusted": jnp.zeros(N)})
    plain = adapted("uniform", support)[0]
    found = adapted("reweight", support)[0]
    np.testing.assert_array_equal(found.weights, 1)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found.net, plain.net)
    found, params, _ = adapted("meta_weight_net", support, inner_steps=1, weigher_lr=0.5)
    outputs = LEARNERS["pooled"](BINARY, Identity()).predict(params["net"], {}, support.x)
    losses = example_losses(BINARY, outputs, support.y, support.mask)
    np.testing.assert_allclose(found.weights, weigher(params["rule"], losses), atol=1e-6)


@pytest.mark.parametrize("name", ["uniform", "reweight"])
def test_batches_below_one_row_are_refused(name):
    with pytest.raises(ValueError, match=f"{name}: batches have at least 1 row; got 0"):
        LEARNERS[name](BINARY, Identity(), batch=0)


# By hand --------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_reweight_gives_the_clipped_dot_products_of_gradients(momentum):
    """Of a linear model, the gradient of row i is the outer product of x_i and p_i - y_i."""
    support, _ = flipped(0.3)
    support = support._replace(mask=support.mask.at[-7:].set(0), x=support.x.at[-7:].set(50.0))
    found, params, _ = adapted("reweight", support, inner_steps=1, momentum=momentum)
    kernel, bias = (np.asarray(params["net"]["head"]["params"][k]) for k in ("kernel", "bias"))
    x, y, mask = (np.asarray(a, np.float64) for a in (support.x, support.y, support.mask[:, 0]))
    p = np.asarray(jax.nn.softmax(jnp.asarray(x @ kernel + bias), axis=-1), np.float64)
    design = np.concatenate([x, np.ones((N, 1))], 1)
    gradients = np.einsum("ni,nc->nic", design, p - y).reshape(N, -1)
    judged = np.asarray(support.info["trusted"]) > 0
    products = np.maximum(gradients @ gradients[judged].mean(0), 0) * mask
    np.testing.assert_allclose(found.weights, products / products.sum() * mask.sum(), rtol=1e-4)


def test_hard_mining_and_its_mirror_pick_the_extreme_losses():
    losses = jnp.array([0.3, 2.0, 0.1, 1.0, 9.0, 0.7])
    present = jnp.array([1.0, 1, 1, 1, 0, 1])
    np.testing.assert_allclose(hardest(losses, present, 0.4), [0, 2.5, 0, 2.5, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(hardest(losses, present, 0.41)[jnp.array([1, 3, 5])], 5 / 3)
    np.testing.assert_allclose(hardest(-losses, present, 0.4), [2.5, 0, 2.5, 0, 0, 0], rtol=1e-6)
    np.testing.assert_array_equal(hardest(losses, present, 1.0), present)
    many = jnp.asarray(np.random.default_rng(0).normal(size=50))
    chosen = np.flatnonzero(hardest(many, jnp.ones(50), 0.2))
    assert set(chosen) == set(np.argsort(many)[-10:])


def test_self_paced_admits_more_and_more():
    support, _ = flipped(0.3)
    hyper = {"first": 0.25, "last": 1.0, "inner_lr": 1e-6}  # losses stay as they are
    weights = adapted("self_paced", support, inner_steps=4, **hyper)[0].weights
    # Shares 1/4, 1/2, 3/4, 1: the easiest quarter has weight 4, 2, 4/3, 1, the hardest 0, 0, 0, 1.
    levels = np.array([1, 7 / 3, 13 / 3, 25 / 3]) / 4
    np.testing.assert_allclose(np.sort(weights), np.repeat(levels, N // 4), rtol=1e-5)


def test_class_ratio_gives_every_class_the_same_total():
    y = np.eye(3)[[0, 0, 0, 0, 1, 1, 0, 1]]
    y[:, 2] = 0
    mask = np.repeat([[1, 1, 0]], 8, 0)
    mask[6:] = 0
    rng = np.random.default_rng(0)
    support = Examples(*(jnp.asarray(a, jnp.float32) for a in (rng.normal(size=(8, 2)), y, mask)))
    weights = adapted("class_ratio", support, spec=SPECS["multiclass"])[0].weights
    np.testing.assert_allclose(weights, [0.75] * 4 + [1.5] * 2 + [0] * 2, rtol=1e-6)


def test_class_ratio_of_findings_is_the_mean_over_those_defined():
    y = np.array([[1, 0], [0, 0], [0, 0], [0, 1]])
    mask = np.array([[1, 1], [1, 1], [1, 0], [1, 0]])
    support = Examples(*(jnp.asarray(a, jnp.float32) for a in (y, y * mask, mask)))
    weights = adapted("class_ratio", support, spec=SPECS["multilabel"])[0].weights
    # Finding 0: 2 and 2/3; finding 1 is absent in both of its defined rows: 1.
    np.testing.assert_allclose(weights, [1.5, 5 / 6, 2 / 3, 2 / 3], rtol=1e-6)


# Importance sampling --------------------------------------------------------------------------


@pytest.mark.parametrize("floor", [0.1, 1.0])
def test_the_importance_sampled_gradient_is_unbiased(floor):
    """Averaged over luck it is the gradient of uniform training; without correction it is not."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        rows = examples(rng, BINARY, 12, 3, np.float64)
        head = jnp.asarray(rng.normal(size=(4, 2)))
        present = rows.mask.max(-1)

        def losses(w):
            return example_losses(BINARY, rows.x @ w, rows.y, rows.mask)

        scores, gradients = losses(head), jax.jacrev(losses)(head)
        luck = jax.random.uniform(key(), (20_000, 12), jnp.float64)

        def averaged(correction):
            pick = lambda one: drawn(scores, present, one, 0.4, floor, correction)  # noqa: E731
            weights = jax.vmap(pick)(luck)
            each = jnp.einsum("kn,nij->kij", weights, gradients) / present.sum()
            error = each.std(0) / np.sqrt(len(luck))
            return each.mean(0), error, weights

        truth = gradients.sum(0) / present.sum()
        mean, error, weights = averaged(1.0)
        assert (np.abs(mean - truth) < 4.5 * error + 1e-12).all()
        np.testing.assert_array_equal(weights[:, -3:], 0)
        assert (weights[:, :9].mean(0) > 0.9).all() and (weights.std(0)[:9] > 0.1).all()
        leaning, error, weights = averaged(0.0)
        assert (np.abs(leaning - truth) > 10 * error).any() == (floor < 1)
        np.testing.assert_allclose(weights.sum(1).mean(), 9, rtol=0.02)


def test_rows_are_drawn_as_often_as_their_score_says():
    scores, luck = jnp.array([1.0, 3.0, 0.0, 6.0]), jax.random.uniform(key(), (20_000, 4))
    pick = jax.vmap(lambda one: drawn(scores, jnp.ones(4), one, 0.25, 0.2, 1.0))
    seen = (pick(luck) > 0).mean(0)
    np.testing.assert_allclose(seen, 0.8 * scores / 10 + 0.05, atol=0.012)


def test_the_score_of_importance_is_checked():
    with pytest.raises(ValueError, match="score must be one of loss, gradient; got 'size'"):
        LEARNERS["importance"](BINARY, Identity(), score="size")


# Wrong labels ---------------------------------------------------------------------------------

HYPER = {"inner_lr": 0.1, "inner_steps": 60, "momentum": 0.5}


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_reweight_hardly_looks_at_flipped_labels(share):
    support, wrong = flipped(share)
    weights = np.asarray(adapted("reweight", support, **HYPER)[0].weights)
    assert weights[wrong].mean() < 0.1 * weights[~wrong].mean()
    assert np.median(weights[wrong]) < 0.02


def test_the_weigher_of_meta_weight_net_falls_with_the_loss():
    support, wrong = flipped(0.4)
    hyper = HYPER | {"inner_steps": 150, "weigher_lr": 0.02}
    found, params, _ = adapted("meta_weight_net", support, **hyper)
    weights = np.asarray(found.weights)
    outputs = LEARNERS["pooled"](BINARY, Identity()).predict(found.net, {}, support.x)
    losses = np.asarray(example_losses(BINARY, outputs, support.y, support.mask))
    assert losses[wrong].mean() > losses[~wrong].mean()
    assert np.corrcoef(losses, weights)[0, 1] < -0.7
    assert weights[wrong].mean() < 0.7 * weights[~wrong].mean()
    still = adapted("meta_weight_net", support, **hyper | {"weigher_lr": 0.0})[0].weights
    untaught = np.asarray(still)
    assert untaught[wrong].mean() > 0.9 * untaught[~wrong].mean()


def test_normalised_weights_survive_a_weigher_that_trusts_no_row():
    params = {"w1": jnp.array([1.0]), "b1": jnp.array([0.0]), "w2": jnp.array([-1.0])}
    losses, present = jnp.array([0.5, 1.5, 0.1, 9.0]), jnp.array([1.0, 1.0, 0.0, 0.5])

    def weights(bias):
        return weigher(params | {"b2": bias}, losses, present)

    mild = weigher(params | {"b2": jnp.array(0.0)}, losses)
    expected = np.asarray(to_mean_one(mild, present) * (present > 0))
    np.testing.assert_allclose(weights(jnp.array(0.0)), expected, rtol=1e-6)
    sure = weights(jnp.array(-300.0))  # all sigmoids are 0
    share = np.exp(-np.asarray(losses)) * (np.asarray(present) > 0)
    np.testing.assert_allclose(sure, share * 2.5 / (share * present).sum(), rtol=1e-5)
    assert np.isfinite(jax.grad(lambda b: weights(b)[0])(jnp.array(-300.0)))
    np.testing.assert_array_equal(weigher(params | {"b2": 0.0}, losses, 0 * present), 0)


def test_hard_mining_prefers_what_self_paced_leaves_out():
    support, wrong = flipped(0.2)
    hard = np.asarray(adapted("hard_mining", support, share=0.3, **HYPER)[0].weights)
    easy = np.asarray(adapted("self_paced", support, last=0.7, **HYPER)[0].weights)
    assert hard[wrong].mean() > 1.5 * hard[~wrong].mean()
    assert easy[wrong].mean() < 0.3 * easy[~wrong].mean()


# Identities -----------------------------------------------------------------------------------


def test_uniform_is_maml():
    one = episode(SPECS["regression"])
    mine = LEARNERS["uniform"](SPECS["regression"], MLP((8,)), inner_lr=0.05)
    maml = LEARNERS["maml"](SPECS["regression"], MLP((8,)), inner_lr=0.05)
    params = mine.init(key(), one)
    found = quick_jit(jax.grad(mine.meta_loss, has_aux=True))(params, one, key())[0]["net"]
    expected = quick_jit(jax.grad(maml.meta_loss, has_aux=True))(params["net"], one, key())[0]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found, expected)


def test_maml_on_weighted_rows_is_class_ratio():
    one = episode(SPECS["multiclass"])
    support = one.support._replace(mask=one.support.mask.at[0].set(0), y=one.support.y.at[0].set(0))
    mine = LEARNERS["class_ratio"](SPECS["multiclass"], MLP((8,)))
    maml = LEARNERS["maml"](SPECS["multiclass"], MLP((8,)))
    params = mine.init(key(), one)

    def weigh(net, support, key):
        return weights_of(mine, params, support, key)

    wrapped = with_weights(maml, weigh)
    found = quick_jit(wrapped.adapt)(params["net"], support, key())
    expected = quick_jit(mine.adapt)(params, support, key()).net
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found, expected)
    plain = quick_jit(maml.adapt)(params["net"], support, key())
    assert not np.allclose(found["head"]["params"]["kernel"], plain["head"]["params"]["kernel"])
    weighted, _ = quick_jit(wrapped.meta_loss)(params["net"], Episode(support, one.query), key())
    query = loss(SPECS["multiclass"], maml.predict({}, found, one.query.x), one.query)
    np.testing.assert_allclose(weighted, query, rtol=1e-5)


@pytest.mark.parametrize("name", WEIGHING)
def test_masked_rows_have_no_weight(name):
    one = episode(SPECS["multiclass"]).support
    weights = np.asarray(adapted(name, one, spec=SPECS["multiclass"])[0].weights)
    assert weights.shape == (ROWS + PADDED,)
    np.testing.assert_array_equal(weights[ROWS:], 0)
    assert (weights >= 0).all() and weights[:ROWS].sum() > 0


@pytest.mark.parametrize("name", WEIGHING)
def test_batches_draw_present_rows_alike_whatever_their_order(name):
    support, _ = flipped(0.2, rows=40)
    support = support._replace(mask=support.mask.at[30:].set(0))
    order = np.random.default_rng(1).permutation(40)
    shuffled = jax.tree.map(lambda leaf: leaf[order], support)
    hyper = {"batch": 16, "inner_steps": 12}
    if METHODS[name].needs:
        hyper |= {"trusted_batch": 10}
    found, again = (adapted(name, rows, **hyper)[0] for rows in (support, shuffled))
    np.testing.assert_allclose(again.weights, np.asarray(found.weights)[order], atol=1e-4)
    np.testing.assert_array_equal(found.weights[30:], 0)
    if name == "uniform":  # every row was drawn: 12 steps of 16 of 30 rows
        np.testing.assert_array_equal(found.weights[:30], 1)


def test_the_metrics_say_how_weights_lie():
    support, wrong = flipped(0.4)
    learner = LEARNERS["reweight"](BINARY, Identity(), **HYPER)
    params = learner.init(key(), Episode(support, support))
    _, metrics = quick_jit(learner.meta_loss)(params, Episode(support, support), key())
    weights = np.asarray(weights_of(learner, params, support, key()))
    assert {name: value.shape for name, value in metrics.items()} == {
        name: () for name in ("loss", "weight_mean", "weight_trusted", "effective_rows")
    }
    np.testing.assert_allclose(metrics["weight_mean"], weights.mean(), rtol=1e-4)
    np.testing.assert_allclose(metrics["weight_trusted"], weights[:CLEAN].mean(), rtol=1e-4)
    effective = weights.sum() ** 2 / (weights**2).sum()
    np.testing.assert_allclose(metrics["effective_rows"], effective, rtol=1e-4)


def test_to_mean_one_counts_rows_by_their_weight():
    weights, present = jnp.array([1.0, 3.0, 5.0]), jnp.array([2.0, 1.0, 0.0])
    scaled = to_mean_one(weights, present)
    np.testing.assert_allclose((scaled * present).sum(), 3)
    np.testing.assert_array_equal(to_mean_one(jnp.zeros(3), present), 0)
