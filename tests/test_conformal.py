"""Conformal sets against crepes, by hand, and by simulated coverage; temperature scaling."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from scipy.stats import kstest

from metajax import conformal
from metajax.calibration import BOUNDS, even_weights, temperature, tempered
from metajax.conformal import (
    aps,
    cross_interval,
    cross_p_values,
    enough,
    interval,
    label_scores,
    lac,
    least_rows,
    p_values,
    quality,
    residual,
    sets,
    task_p_values,
    task_threshold,
    threshold,
)


def world(rng, rows, classes=3, sharp=2.0):
    """Probabilities of a model that is too sure of itself, and labels: (N, C), (N,)."""
    logits = rng.normal(size=(rows, classes))
    labels = (rng.random((rows, 1)) > softmax(logits, 1).cumsum(1)).sum(1)
    return softmax(sharp * logits, 1), np.minimum(labels, classes - 1)


# --- split ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2, 0.3, 1 - 0.9, 1 / 3])
@pytest.mark.parametrize("n", [1, 2, 8, 9, 10, 18, 19, 20, 99, 100])
def test_the_quantile_is_that_of_whole_numbers(n, alpha):
    exact = Fraction(alpha).limit_denominator(1000)
    rank = n + 1 - int(exact * (n + 1))  # ceil((n + 1) (1 - alpha)), without rounding
    wanted = float(rank - 1) if rank <= n else np.inf
    assert threshold(np.arange(n)[::-1], alpha) == wanted
    assert (threshold(np.arange(n), alpha) < np.inf) == (n >= least_rows(alpha))


@pytest.mark.parametrize("score", [lac, aps])
def test_p_values_and_threshold_make_the_same_sets(score):
    rng = np.random.default_rng(0)
    (p, y), (q, _) = world(rng, 57), world(rng, 200)
    p, q = p.round(1), q.round(1)  # many ties
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    known, asked = label_scores(score(p), y), score(q)
    for alpha in (0.01, 0.1, 0.2, 0.5):
        inside = sets(p_values(known, asked), alpha)
        assert (inside == (asked <= threshold(known, alpha))).all()


def test_the_guarantee_is_met_with_equality():
    """A hundred thousand draws of 19 calibration rows: coverage is 18 / 20 at alpha = 0.1."""
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(100_000, 20))
    covered = scores[:, 19] <= np.sort(scores[:, :19], axis=1)[:, 17]
    assert threshold(scores[0, :19], 0.1) == np.sort(scores[0, :19])[17]
    assert abs(covered.mean() - 0.9) < 4 * np.sqrt(0.09 / 1e5)
    # 15 rows: (n + 1) alpha = 1.6, so the conservative set covers 15 / 16 and not 0.9.
    covered = [s[15] <= threshold(s[:15], 0.1) for s in scores[:20_000]]
    assert abs(np.mean(covered) - 15 / 16) < 4 * np.sqrt(15 / 256 / 2e4)


def test_smoothed_p_values_are_uniform_even_with_ties():
    rng = np.random.default_rng(2)
    scores = rng.integers(4, size=(5000, 8)).astype(float)
    smooth = [p_values(s[:7], s[7:], rng=rng)[0] for s in scores]
    assert kstest(smooth, "uniform").pvalue > 1e-3
    conservative = np.array([p_values(s[:7], s[7:])[0] for s in scores])
    assert all((conservative <= a).mean() <= a + 0.02 for a in (0.125, 0.25, 0.5))
    assert kstest(conservative, "uniform").pvalue < 1e-6


def test_too_few_rows_are_told_and_the_set_is_everything():
    assert [least_rows(a) for a in (0.5, 0.2, 0.1, 0.05, 1 - 0.9)] == [1, 4, 9, 19, 9]
    p, _ = world(np.random.default_rng(3), 5)
    few = np.zeros(8)
    assert sets(p_values(few, lac(p)), 0.1).all() and threshold(few, 0.1) == np.inf
    assert (interval(np.zeros(2), threshold(few, 0.1)) == [-np.inf, np.inf]).all()
    with pytest.raises(ValueError, match="8 calibration rows .* at least 9"):
        enough(8, 0.1)
    enough(9, 0.1)
    with pytest.raises(ValueError, match="tasks"):
        enough(4, 0.1, "tasks")


def test_sets_agree_with_crepes():
    crepes = pytest.importorskip("crepes")
    rng = np.random.default_rng(4)
    (p, y), (q, _) = world(rng, 83), world(rng, 50)
    known, asked = label_scores(lac(p), y), lac(q)
    theirs = crepes.ConformalClassifier().fit(known)
    assert np.allclose(theirs.predict_p(asked, smoothing=False), p_values(known, asked))
    inside = theirs.predict_set(asked, confidence=0.9, smoothing=False)
    assert (inside == sets(p_values(known, asked), 0.1)).all()
    by_class = crepes.ConformalClassifier().fit(known, bins=y)
    ours = p_values(known, asked, category=y, categories=np.arange(3))
    for c in range(3):
        told = by_class.predict_p(asked, bins=np.full(len(q), c), smoothing=False)
        assert np.allclose(told[:, c], ours[:, c])


def test_intervals_agree_with_crepes():
    crepes = pytest.importorskip("crepes")
    rng = np.random.default_rng(5)
    truth, scale, new = rng.normal(size=99), rng.uniform(0.5, 2, 99), rng.uniform(0.5, 2, 20)
    means = np.linspace(-1, 1, 20)
    theirs = crepes.ConformalRegressor().fit(truth, sigmas=scale)
    # Three quarters, because 1 - 0.9 is rounded in crepes: its interval is a rank wider.
    told = theirs.predict_int(means, sigmas=new, confidence=0.75)
    limit = threshold(residual(np.zeros(99), truth, scale), 0.25)
    assert np.allclose(interval(means, limit, new), told)


def test_class_conditional_sets_cover_the_rare_class():
    """A model that never names the rare class: marginal sets leave it out, Mondrian ones do not."""
    rng = np.random.default_rng(6)

    def draw(rows):
        y = (rng.random(rows) < 0.08).astype(int)
        p1 = np.clip(0.05 + 0.05 * y + 0.03 * rng.normal(size=rows), 0.001, 0.999)
        return np.stack([1 - p1, p1], 1), y

    (p, y), (q, truth) = draw(4000), draw(20_000)
    known, asked = label_scores(lac(p), y), lac(q)
    marginal = quality(sets(p_values(known, asked), 0.1), truth)
    assert marginal.coverage > 0.88 and marginal.by_class[1] < 0.5
    mondrian = quality(
        sets(p_values(known, asked, category=y, categories=np.arange(2)), 0.1), truth
    )
    assert (np.abs(mondrian.by_class - 0.9) < 0.035).all()
    none = p_values(known[y == 0], asked, category=y[y == 0], categories=np.arange(2))
    assert (none[:, 1] == 1).all()  # no calibration rows: nothing is left out


def test_aps_by_hand_and_ties_count_alike():
    p = np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]])
    assert np.allclose(aps(p), [[0.5, 0.8, 1.0], [0.8, 0.8, 1.0]])
    told = aps(np.repeat(p[:1], 40_000, 0), np.random.default_rng(7))
    for c, (low, high) in enumerate([(0, 0.5), (0.5, 0.8), (0.8, 1.0)]):
        assert kstest((told[:, c] - low) / (high - low), "uniform").pvalue > 1e-3


def test_randomised_aps_with_true_probabilities_needs_no_calibration():
    """With the true probabilities the randomised score of the truth is uniform."""
    rng = np.random.default_rng(8)
    p, y = world(rng, 20_000, sharp=1.0)
    assert kstest(label_scores(aps(p, rng), y), "uniform").pvalue > 1e-3


# --- cross ---------------------------------------------------------------------------------------


def test_cross_sets_are_those_of_cv_plus():
    """Romano, Sesia, Candes, definition 3, written out row by row."""
    rng = np.random.default_rng(9)
    n, folds, new, alpha = 21, 4, 30, 0.2
    fold, known = np.arange(n) % folds, rng.random(n).round(1)
    asked = rng.random((folds, new, 3)).round(1)
    inside = sets(cross_p_values(known, fold, asked), alpha)
    for i in range(new):
        for c in range(3):
            below = sum(known[j] < asked[fold[j], i, c] for j in range(n))
            assert inside[i, c] == (below < (1 - alpha) * (n + 1) - 1e-9)


def test_one_fold_is_split_conformal_and_leave_one_out_is_jackknife_plus():
    rng = np.random.default_rng(10)
    known, asked = rng.random(30), rng.random((1, 9, 2))
    assert np.allclose(cross_p_values(known, np.zeros(30, int), asked), p_values(known, asked[0]))
    means = rng.normal(size=(30, 4))
    low, high = cross_interval(known, np.arange(30), means, 0.1).T
    rank = int(np.ceil(0.9 * 31))
    assert np.allclose(high, np.sort(means + known[:, None], 0)[rank - 1])
    assert np.allclose(low, np.sort(means - known[:, None], 0)[30 - rank])
    assert np.isinf(cross_interval(known[:8], np.arange(8), means[:8], 0.1)).all()


def test_cross_conformal_covers():
    """Least squares on 20 rows, 5 folds: at least 1 - 2 alpha is promised, about 1 - alpha seen."""
    rng = np.random.default_rng(11)
    fold, hits = np.arange(20) % 5, []
    for _ in range(300):
        x, w = rng.normal(size=(70, 3)), rng.normal(size=3)
        y = x @ w + rng.normal(size=70)
        models = [np.linalg.lstsq(x[:20][fold != k], y[:20][fold != k])[0] for k in range(5)]
        means = np.stack([x @ m for m in models])
        rest = np.abs(y[:20] - means[fold, np.arange(20)])
        low, high = cross_interval(rest, fold, means[:, 20:], 0.2).T
        hits.append(((low <= y[20:]) & (y[20:] <= high)).mean())
    assert 0.78 < np.mean(hits) < 0.9


# --- across tasks --------------------------------------------------------------------------------


def by_hand(known, tasks, score):
    shares = [Fraction(int((known[tasks == t] >= score).sum()), int((tasks == t).sum()))
              for t in np.unique(tasks)]  # fmt: skip
    return (1 + sum(shares)) / Fraction(len(shares) + 1)


def test_task_p_values_by_hand_and_rows_of_their_own_are_split_conformal():
    rng = np.random.default_rng(12)
    tasks = np.repeat(np.arange(11), rng.integers(1, 8, 11))
    known, asked = rng.integers(6, size=len(tasks)) / 5, np.arange(-1, 8).reshape(3, 3) / 5
    p = task_p_values(known, tasks, asked)
    exact = np.array([[float(by_hand(known, tasks, s)) for s in row] for row in asked])
    assert np.allclose(p, exact, atol=1e-8)
    for alpha in (0.1, 0.25, 1 / 3, 0.5):
        limit = task_threshold(known, tasks, alpha)
        assert (sets(p, alpha) == (asked <= limit)).all()
    alone = np.arange(len(tasks))
    assert np.allclose(task_p_values(known, alone, asked), p_values(known, asked))
    given = {"category": alone % 2, "categories": np.array([0, 1, 0])}
    assert np.allclose(task_p_values(known, alone, asked, **given), p_values(known, asked, **given))


def test_weights_within_a_task_repeat_its_rows():
    rng = np.random.default_rng(17)
    tasks, known = np.repeat(np.arange(12), 5), rng.random(60)
    times, asked = rng.integers(1, 4, 60), rng.random((4, 2))
    weighed = task_p_values(known, tasks, asked, weights=times * (1.0 + tasks))
    again = task_p_values(np.repeat(known, times), np.repeat(tasks, times), asked)
    assert np.allclose(weighed, again, atol=1e-8)
    limit = task_threshold(known, tasks, 0.2, times)
    assert limit == task_threshold(np.repeat(known, times), np.repeat(tasks, times), 0.2)


def hierarchical(rng, tasks, rows=40):
    """Scores (T, rows) of tasks that differ: a task has its own level and spread."""
    level, spread = rng.normal(size=(tasks, 1)), rng.gamma(2.0, size=(tasks, 1))
    return level + spread * rng.normal(size=(tasks, rows))


def test_coverage_over_new_tasks():
    """12 calibration tasks: 90 % over new tasks and rows; pooling the rows as if alone does not."""
    rng = np.random.default_rng(13)
    hits, pooled, worst = [], [], []
    for _ in range(2500):
        scores = hierarchical(rng, 13)
        tasks = np.repeat(np.arange(12), 40)
        limit = task_threshold(scores[:12].ravel(), tasks, 0.1)
        hits.append((scores[12] <= limit).mean())
        pooled.append((scores[12] <= threshold(scores[:12].ravel(), 0.1)).mean())
        worst.append((scores[12] <= limit).mean() < 0.8)
    noise = 3 * np.std(hits) / np.sqrt(len(hits))
    assert 0.9 - noise <= np.mean(hits) < 0.97
    assert np.mean(pooled) < 0.9 - noise
    assert np.mean(worst) > 0.02  # below 80 %: there is no promise for each task


def test_what_certainty_costs_where_tasks_are_alike():
    """14 tasks that do not differ: 1 - (0.1 * 15 - 1) / 14 is covered, or 0.5 in place of 1."""
    rng = np.random.default_rng(18)
    tasks, sure, likely = np.repeat(np.arange(14), 300), [], []
    for _ in range(150):
        known = rng.random(len(tasks))
        sure.append(task_threshold(known, tasks, 0.1))
        likely.append(task_threshold(known, tasks, 0.1, certain=False))
    assert np.isclose(np.mean(sure), 1 - 0.5 / 14, atol=2e-3)
    assert np.isclose(np.mean(likely), 1 - 1.0 / 14, atol=2e-3)
    known, asked = rng.random(len(tasks)), rng.random((9, 2))
    p = task_p_values(known, tasks, asked, certain=False)
    limit = task_threshold(known, tasks, 0.1, certain=False)
    assert (sets(p, 0.1) == (asked <= limit)).all()
    assert task_threshold(np.ones(3), np.arange(3), 0.1, certain=False) == np.inf
    assert task_threshold(np.ones(4), np.arange(4), 0.1, certain=False) == 1


def test_few_tasks_however_many_rows_tell_nothing():
    known, tasks = np.random.default_rng(14).random(4000), np.arange(4000) % 8
    assert task_threshold(known, tasks, 0.1) == np.inf
    assert sets(task_p_values(known, tasks, np.array([[1e9]])), 0.1).all()
    assert task_threshold(known, np.arange(4000) % 9, 0.1) < np.inf


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: threshold([1.0, np.nan], 0.1), "1 of the calibration scores are not finite"),
        (lambda: threshold([1.0], 1.0), r"in \(0, 1\); got 1.0"),
        (lambda: sets(np.ones(3), 90), r"in \(0, 1\); got 90"),
        (lambda: lac(np.array([[2.0, -1.0]])), "0 or more and sum to 1"),
        (lambda: aps(np.array([[2.0, 3.0]])), "sums of 5"),
        (lambda: lac(np.ones(3) / 3), r"\(N, C\); got \(3,\)"),
        (lambda: label_scores(np.ones((2, 2)), np.array([0, 2])), "0 to 1"),
        (lambda: label_scores(np.ones((2, 2)), np.array([0.0, 1.0])), "whole numbers"),
        (lambda: residual([0.0], [1.0], 0.0), "above 0"),
        (lambda: p_values(np.ones(3), np.ones(3), category=np.ones(3)), "belong together"),
        (lambda: p_values(np.ones(3), np.ones(3), category=[1], categories=1), r"must be \(3,\)"),
        (lambda: cross_p_values(np.ones(2), np.array([0, 2]), np.ones((2, 1, 2))), "0 to 1; got"),
        (lambda: task_p_values(np.ones(3), np.ones(2), np.ones(2)), r"\(3,\) and \(2,\)"),
        (lambda: quality(np.ones((0, 2), bool), np.zeros(0, int)), "a row at least"),
        (lambda: temperature(np.ones((2, 2)), np.array([0, 5])), "0 to 1"),
        (lambda: temperature(np.full((2, 2), np.inf), np.array([0, 1])), "finite"),
        (lambda: temperature([[0.0, -1e9]], np.array([1])), "absent"),
        (lambda: tempered(np.ones((2, 2)), 0.0), "above 0"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_quality_by_hand():
    inside = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]])
    told = quality(inside, np.array([0, 2, 0, 2]))
    assert told[:4] == (0.5, 1.0, 0.5, 0.25)
    assert np.array_equal(told.by_class, [0.5, np.nan, 0.5], equal_nan=True)
    weighed = quality(inside, np.array([0, 2, 0, 2]), np.array([1, 0, 0, 3.0]))
    assert weighed.coverage == 1 and set(conformal.__all__) <= set(dir(conformal))


# --- temperature ---------------------------------------------------------------------------------


@pytest.mark.parametrize("true", [0.4, 1.0, 3.0])
def test_temperature_is_found_again(true):
    rng = np.random.default_rng(15)
    logits = rng.normal(size=(40_000, 3)) * 2
    y = (rng.random((len(logits), 1)) > softmax(logits, 1).cumsum(1)).sum(1)
    fitted = temperature(logits * true + 7, y)
    assert abs(np.log(fitted.value / true)) < 0.03 and not fitted.bound
    assert fitted.after <= fitted.before
    grid = [temperature_loss(logits * true, y, fitted.value * f) for f in (0.97, 1.0, 1.03)]
    assert grid[1] == min(grid) and np.isclose(grid[1], fitted.after)
    assert np.isclose(temperature_loss(logits * true, y, 1.0), fitted.before)


def temperature_loss(logits, y, value):
    return -log_softmax(logits / value, 1)[np.arange(len(y)), y].mean()


def test_temperature_at_a_bound_is_told():
    sure = temperature(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1]))
    assert sure.bound and sure.value == pytest.approx(BOUNDS[0])
    wrong = temperature(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 0]))
    assert wrong.bound and wrong.value == pytest.approx(BOUNDS[1])


def test_absent_classes_and_weights():
    rng = np.random.default_rng(16)
    logits, y = rng.normal(size=(300, 2)), rng.integers(2, size=300)
    plain = temperature(logits, y)
    absent = temperature(np.column_stack([logits, np.full(300, -1e9)]), y)
    assert absent.value == pytest.approx(plain.value)
    keep = np.arange(300) < 120
    assert temperature(logits, y, keep).value == pytest.approx(
        temperature(logits[keep], y[keep]).value
    )
    assert np.allclose(even_weights(np.array([5, 5, 5, 2])), [1 / 3, 1 / 3, 1 / 3, 1])
    assert np.allclose(tempered(np.log([[0.8, 0.2]]), 1.0), [[0.8, 0.2]])
