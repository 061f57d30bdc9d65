"""Shapley values against their definition, shap, and models whose shares are known."""

import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from metajax.learners import LEARNERS
from metajax.nn import Identity
from metajax.reasons import framed, shapley
from metajax.types import Episode, Examples, TaskSpec

RNG = np.random.default_rng(0)
BACKGROUND, ROWS = RNG.normal(size=(11, 5)), RNG.normal(size=(3, 5))


def twisted(x):
    """Two outputs with products and thresholds, of four columns: the last is not used."""
    first = x[:, 0] * x[:, 1] + np.sin(x[:, 2])
    return np.stack([first, (x[:, 0] > 0) * x[:, 3] + x[:, 1]], axis=1)


def knotted(x):
    """Three columns at a time: any two orders give other shares."""
    return np.stack([x[:, 0] * x[:, 1] * x[:, 2], np.tanh(x.sum(1)) * (x[:, 3] > 0)], axis=1)


def value(predict, row, background, known):
    rows = background.copy()
    rows[:, list(known)] = row[list(known)]
    return predict(rows).mean(0)


def by_definition(predict, row, background):
    """The mean over all orders of what a column adds."""
    columns = len(row)
    total = np.zeros((columns, predict(background).shape[1]))
    orders = list(itertools.permutations(range(columns)))
    for order in orders:
        for i, column in enumerate(order):
            with_it = value(predict, row, background, order[: i + 1])
            total[column] += with_it - value(predict, row, background, order[:i])
    return total / len(orders)


def test_exact_values_are_those_of_the_definition():
    found = shapley(twisted, ROWS, BACKGROUND)
    for row, values in zip(ROWS, found.values, strict=True):
        assert np.allclose(values, by_definition(twisted, row, BACKGROUND), atol=1e-12)
    assert found.exact and not found.error.any()
    assert np.abs(found.gap).max() < 1e-12
    assert np.abs(found.values[:, 4]).max() < 1e-12  # not used
    assert np.allclose(found.base, twisted(BACKGROUND).mean(0))


def test_a_linear_model():
    w = RNG.normal(size=(5, 2))
    wanted = (ROWS - BACKGROUND.mean(0))[:, :, None] * w
    exact = shapley(lambda x: x @ w, ROWS, BACKGROUND)
    assert np.abs(exact.values - wanted).max() < 1e-5
    sampled = shapley(
        lambda x: x @ w, ROWS, BACKGROUND, limit=2, pairs=2, rng=np.random.default_rng(1)
    )
    assert not sampled.exact and np.abs(sampled.values - wanted).max() < 1e-5
    assert sampled.error.max() < 1e-9  # what each column adds is the same in any order


def test_a_product_is_shared_evenly():
    found = shapley(lambda x: x[:, 0] * x[:, 1] * x[:, 2], np.full((1, 3), 2.0), np.zeros((4, 3)))
    assert np.allclose(found.values[0, :, 0], 8 / 3)


def test_shares_agree_with_shap():
    shap = pytest.importorskip("shap")
    forest = RandomForestClassifier(20, random_state=0)
    forest.fit(BACKGROUND, BACKGROUND[:, 0] * BACKGROUND[:, 1] > 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        masker = shap.maskers.Independent(BACKGROUND, max_samples=100)
        theirs = shap.explainers.Exact(forest.predict_proba, masker)(ROWS)
    ours = shapley(forest.predict_proba, ROWS, BACKGROUND)
    assert np.allclose(ours.values, theirs.values, atol=1e-6)
    assert np.allclose(ours.base, theirs.base_values, atol=1e-6)


def test_twelve_columns_of_a_learner_add_up():
    """A black box compiled once: all 4,096 sets of 12 columns of a learner's own episode."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(16, 12)).astype(np.float32), np.arange(16) % 2
    support = Examples(jnp.asarray(x), jnp.eye(2)[y], jnp.ones((16, 2)))
    learner = LEARNERS["protonet"](TaskSpec(2, "multiclass"), Identity())
    params = learner.init(jax.random.key(0), Episode(support, support))
    adapted = learner.adapt(params, support, jax.random.key(0))
    traced = []

    @jax.jit
    def predict(rows):
        traced.append(rows.shape)
        return jax.nn.softmax(learner.predict(params, adapted, rows))

    asked = rng.normal(size=(2, 12)).astype(np.float32)
    found = shapley(predict, asked, x)
    assert np.abs(found.gap).max() < 1e-5
    assert len(traced) == 2  # blocks of one shape, and the rows themselves
    assert np.allclose(found.values[..., 0], -found.values[..., 1], atol=1e-5)


@pytest.mark.parametrize("block", [1, 50, 333])
def test_blocks_change_nothing(block):
    whole, parts = (shapley(twisted, ROWS, BACKGROUND, block=b).values for b in (10_000, block))
    assert np.allclose(whole, parts, atol=1e-12)


def test_weights_repeat_background_rows():
    weights = np.array([2, 0, 1, 1, 3, 0, 1, 1, 1, 1, 1])
    one = shapley(twisted, ROWS, BACKGROUND, weights=weights)
    other = shapley(twisted, ROWS, np.repeat(BACKGROUND, weights, axis=0))
    assert np.allclose(one.values, other.values, atol=1e-12)


def test_groups_are_single_players():
    """Two columns as one: the values of the model in which they are one."""
    found = shapley(twisted, ROWS, BACKGROUND, groups=[[0, 3], [1], [2, 4]])
    sets = [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
    columns = [(0, 3), (1,), (2, 4)]
    v = {s: value(twisted, ROWS[0], BACKGROUND, sum((columns[i] for i in s), ())) for s in sets}
    first = (v[0,] - v[()]) / 3 + (v[0, 1] - v[1,] + v[0, 2] - v[2,]) / 6
    first += (v[0, 1, 2] - v[1, 2]) / 3
    assert np.allclose(found.values[0, 0], first) and found.values.shape == (3, 3, 2)


def sampled(predict, seed, pairs):
    rng = np.random.default_rng(seed)
    return shapley(predict, ROWS[:1], BACKGROUND, limit=0, pairs=pairs, rng=rng)


def test_sampled_values_are_right_on_average_and_know_their_error():
    exact = shapley(knotted, ROWS[:1], BACKGROUND).values[0]
    z, together = [], []
    for seed in range(120):
        found = sampled(knotted, seed, 12)
        assert np.abs(found.gap).max() < 1e-12  # whatever the orders
        together.append(found.values[0])
        varies = found.error[0] > 1e-9
        z.append(((found.values[0] - exact)[varies] / found.error[0][varies]).ravel())
    noise = np.std(together, axis=0) / np.sqrt(len(together))
    assert (np.abs(np.mean(together, axis=0) - exact) <= 4 * noise + 1e-9).all()
    assert 0.85 < np.std(np.concatenate(z)) < 1.35  # Student's t of 11 degrees has 1.11


def test_an_order_and_its_reverse_split_products_of_two_exactly():
    exact = shapley(twisted, ROWS[:1], BACKGROUND).values
    found = sampled(twisted, 0, 2)
    assert np.allclose(found.values, exact, atol=1e-12) and found.error.max() < 1e-12
    assert not np.allclose(sampled(knotted, 0, 2).values, sampled(knotted, 1, 2).values)


def test_frames_with_strings_categories_and_gaps():
    frame = pd.DataFrame({
        "age": [50.0, np.nan, 70.0, 61.0],
        "sex": ["f", "m", "m", None],
        "stage": pd.Categorical(["I", "II", "I", "III"], ["I", "II", "III"]),
        "smoker": [True, False, True, True],
    })  # fmt: skip
    seen = []

    def predict(rows):
        seen.append(rows.dtypes)
        score = (rows["age"].fillna(60) - 60) / 10 + (rows["sex"] == "m")
        return (score + 2.0 * rows["stage"].cat.codes * rows["smoker"]).to_numpy()

    cells = frame.to_numpy(object)
    found = shapley(framed(predict, frame), cells[:1], cells)
    assert all((types == frame.dtypes).all() for types in seen)
    assert np.abs(found.gap).max() < 1e-12
    assert np.isclose(found.values[0, 0, 0], -1 - (-1 + 0 + 1 + 0.1) / 4)
    assert np.isclose(found.values[0, 1, 0], 0 - 2 / 4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((twisted, ROWS[0], BACKGROUND), r"x is \(N, D\)"),
        ((twisted, ROWS[:, :4], BACKGROUND), r"\(3, 4\), \(11, 5\)"),
        ((twisted, ROWS, BACKGROUND[:0]), "needs a row"),
        ((lambda x: x[:3], ROWS, BACKGROUND), "for N rows"),
        ((lambda x: np.log(0 * x), ROWS, BACKGROUND), "not finite"),
    ],
)
def test_refusals(arguments, said):
    with pytest.raises(ValueError, match=said), np.errstate(divide="ignore"):
        shapley(*arguments)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"groups": [[0, 1], [1, 2, 3, 4]]}, "each of the columns 0 to 4 once"),
        ({"groups": [[0, 1, 2, 3, 4], []]}, "once"),
        ({"weights": np.zeros(11)}, "one above 0"),
        ({"limit": 2}, "needs rng"),
        ({"limit": 2, "pairs": 1, "rng": np.random.default_rng(0)}, "2 pairs"),
    ],
)
def test_options_refused(options, said):
    with pytest.raises(ValueError, match=said):
        shapley(twisted, ROWS, BACKGROUND, **options)
