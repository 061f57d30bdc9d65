"""Integrated gradients and mutagenesis: closed forms, completeness, planted motifs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from metajax.learners import LEARNERS
from metajax.nn import MLP
from metajax.reasons import integrated_gradients, mutagenesis
from metajax.types import Episode, Examples, TaskSpec

RNG = np.random.default_rng(0)
MOTIF = np.array([3, 0, 3, 0, 0, 3, 1])  # TATAATC


def rows(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def test_a_linear_model():
    w, x, base = rows(6, 3), rows(4, 6), rows(5, 6)
    found = integrated_gradients(lambda z: z @ w, x, base, np.array([0, 1, 2, 0]))
    wanted = (x - base.mean(0)) * w.T[[0, 1, 2, 0]]
    assert np.abs(found.values - wanted).max() < 1e-5
    assert np.abs(found.gap).max() < 1e-5 and found.complete().all() and found.steps == 32


def test_a_quadratic_form():
    """From 0 the attribution of ``x' A x`` is ``x_i (A x)_i``."""
    a, x = rows(5, 5), rows(3, 5)
    a = a + a.T
    found = integrated_gradients(
        lambda z: jnp.einsum("ni,ij,nj->n", z, a, z)[:, None], x, np.zeros((1, 5), np.float32), 0
    )
    assert np.allclose(found.values, x * (x @ a), atol=1e-4)


def test_several_baselines_are_the_mean_of_each():
    w, x, base = rows(4, 8), rows(2, 4), rows(3, 4)

    def predict(z):
        return jnp.tanh(z @ w) @ jnp.ones((8, 2))

    each = [integrated_gradients(predict, x, base[i : i + 1], 1).values for i in range(3)]
    assert np.allclose(
        integrated_gradients(predict, x, base, 1).values, np.mean(each, 0), atol=1e-5
    )


def test_modalities_of_a_dictionary():
    x, base = {"a": rows(2, 3), "b": rows(2, 2, 2)}, {"a": rows(1, 3), "b": rows(1, 2, 2)}

    def predict(z):
        return (z["a"].sum(1) * z["b"].sum((1, 2)))[:, None]

    found = integrated_gradients(predict, x, base, 0)
    assert found.values["b"].shape == (2, 2, 2) and np.abs(found.gap).max() < 1e-5


def test_completeness_of_a_learner_and_kinks_take_more_steps():
    x, y = rows(12, 6), np.arange(12) % 2
    support = Examples(jnp.asarray(x), jnp.eye(2)[y], jnp.ones((12, 2)))
    learner = LEARNERS["protonet"](TaskSpec(2, "multiclass"), MLP((16, 8)))
    params = learner.init(jax.random.key(0), Episode(support, support))
    adapted = learner.adapt(params, support, jax.random.key(0))

    def predict(z):
        return learner.predict(params, adapted, z)

    found = integrated_gradients(predict, rows(3, 6), x, 1, tolerance=5e-3)
    assert found.complete(5e-3).all() and found.steps >= 32

    def kinked(z):
        return jax.nn.relu(200 * (z - 0.123)).sum(1, keepdims=True)

    one, zero = np.ones((1, 3), np.float32), np.zeros((1, 3), np.float32)
    few = integrated_gradients(kinked, one, zero, 0, tolerance=1e-5, most=32)
    assert few.steps == 32 and not few.complete(1e-5).any()  # and it says so
    more = integrated_gradients(kinked, one, zero, 0, tolerance=1e-5, most=512)
    assert more.steps == 512 and abs(more.gap[0]) < abs(few.gap[0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x": np.ones((2, 4), np.uint8)}, "floats"),
        ({"x": np.ones((2, 3), np.float32)}, "alike"),
        ({"target": 2}, "0 to 1"),
        ({"steps": 20}, "multiple of 16"),
    ],
)
def test_refusals(change, said):
    given = {"x": rows(2, 4), "baselines": rows(1, 4), "target": 0} | change
    with pytest.raises(ValueError, match=said):
        integrated_gradients(lambda z: z[:, :2], **given)


# Letters -------------------------------------------------------------------------------------


def planted(count, rng, length=40):
    """Codes (N, L) with the motif at a place (N,) of its own."""
    codes = rng.integers(4, size=(count, length))
    places = rng.integers(length - len(MOTIF), size=count)
    for row, place in zip(codes, places, strict=True):
        row[place : place + len(MOTIF)] = MOTIF
    return codes, places


def best_match(x):
    """The best fit of the motif in one-hot sequences (N, L, 4), softly."""
    kernel = jnp.eye(4)[MOTIF]
    windows = jnp.stack([x[:, i : x.shape[1] - len(MOTIF) + 1 + i] for i in range(len(MOTIF))], 2)
    score = jnp.einsum("npij,ij->np", windows, kernel)
    return jax.nn.logsumexp(4 * score, axis=1, keepdims=True) / 4


def test_a_planted_motif_is_found_by_both_ways():
    codes, places = planted(6, np.random.default_rng(1))
    x = np.eye(4, dtype=np.float32)[codes]
    found = integrated_gradients(best_match, x, np.full((1, 40, 4), 0.25, np.float32), 0)
    assert found.complete().all()
    for row in range(6):
        there = np.arange(places[row], places[row] + len(MOTIF))
        by_gradient = np.argsort(-found.values[row].sum(-1))[: len(MOTIF)]
        assert set(by_gradient) == set(there)
        changed = mutagenesis(lambda z: np.asarray(best_match(jnp.asarray(z))), x[row])
        assert set(np.argsort(-changed.importance()[:, 0])[: len(MOTIF)]) == set(there)
        heights = changed.logo(0)
        assert (heights[there].argmax(1) == MOTIF).all()
        assert (np.count_nonzero(heights, axis=1) <= 1).all()


def test_a_motif_that_a_black_box_learned_is_found_again():
    """Logistic regression on counts of four letters, trained on sequences with and without."""
    rng = np.random.default_rng(2)
    codes = np.concatenate([planted(200, rng)[0], rng.integers(4, size=(200, 40))])
    texts = ["".join("ACGT"[c] for c in row) for row in codes]
    words = CountVectorizer(analyzer="char", ngram_range=(4, 4), lowercase=False)
    model = LogisticRegression(C=0.3, max_iter=1000)
    model.fit(words.fit_transform(texts), np.repeat([1, 0], 200))

    def predict(rows):
        return model.decision_function(
            words.transform("".join("ACGT"[c] for c in row) for row in rows)
        )

    fresh, places = planted(20, rng)
    share = []
    for row, place in zip(fresh, places, strict=True):
        top = np.argsort(-mutagenesis(predict, row).importance()[:, 0])[:5]
        share.append(np.mean((top >= place) & (top < place + len(MOTIF))))
    assert np.mean(share) > 0.9  # 5 letters at random: 0.175


def test_mutagenesis_by_hand_and_unknown_letters_stay():
    table = RNG.normal(size=(6, 5))  # a weight of each code at each place; 4 is unknown

    def predict(codes):
        return table[np.arange(6), codes].sum(1)

    codes = np.array([0, 3, 4, 1, 2, 4], np.int8)
    found = mutagenesis(predict, codes, block=5)
    for place, letter in enumerate(codes):
        wanted = table[place, :4] - table[place, letter] if letter < 4 else np.zeros(4)
        assert np.allclose(found.change[place, :, 0], wanted)
    assert found.letter.tolist() == [0, 3, -1, 1, 2, -1]
    others = [np.delete(table[p, :4], c).mean() for p, c in enumerate(codes[:2])]
    assert np.allclose(found.importance()[:2, 0], table[[0, 1], [0, 3]] - others)


@pytest.mark.parametrize(
    ("sequence", "said"),
    [
        (np.full(5, 9), "no known letter"),
        (np.full((5, 4), 0.25), "at most a single 1"),
        (np.ones(5), "whole numbers"),
    ],
)
def test_sequences_refused(sequence, said):
    with pytest.raises(ValueError, match=said):
        mutagenesis(lambda z: np.zeros(len(z)), sequence)
