"""The shrunken regression against scikit-learn, and the headroom of families with known answers."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from metajax.baselines import POOLED
from metajax.headroom import _choices, _evidence, headroom
from metajax.shrinkage import _out_of_fold, folds, placements, shrunken_logistic


def family(tasks, rows, conflict, seed=0, d=6):
    """Tasks whose weights are shared (conflict 0) or drawn anew for every task (conflict 1)."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=d)
    x = rng.normal(size=(tasks, rows, d))
    own = rng.normal(size=(tasks, d))
    weights = np.sqrt(1 - conflict) * shared + np.sqrt(conflict) * own
    weights *= 2.5 / np.linalg.norm(weights, axis=1, keepdims=True)
    y = rng.random((tasks, rows)) < 1 / (1 + np.exp(-np.einsum("trd,td->tr", x, weights)))
    return x.reshape(-1, d), y.reshape(-1).astype(int), np.repeat(np.arange(tasks), rows)


def test_newton_is_scikit_learn_without_a_prior():
    x, y, _ = family(1, 60, 0.0)
    for d, rows in ((6, 60), (6, 5)):  # the second is solved in the span of the rows
        a, b = x[:rows, :d], y[:rows]
        got = shrunken_logistic(a, b, np.zeros(rows), [10.0, 100.0])
        for coefficients, c in zip(got, (0.1, 0.01), strict=True):
            # the small intercept penalty is reproduced by a column of its own
            wide = np.column_stack([a, np.full(rows, np.sqrt(1 / c / 1e-2))])
            model = LogisticRegression(C=c, fit_intercept=False, tol=1e-10, max_iter=5000)
            model.fit(wide, b)
            np.testing.assert_allclose(coefficients[:-2], model.coef_[0, :-1], atol=1e-4)
            np.testing.assert_allclose(coefficients[-1], model.coef_[0, -1] * wide[0, -1],
                                       atol=1e-3)
            assert coefficients[-2] == pytest.approx(1.0)


def test_newton_is_the_minimum_with_a_prior_and_weights():
    x, y, _ = family(1, 40, 0.0)
    prior = 3 * np.random.default_rng(1).normal(size=40)
    weights = (np.arange(40) % 4 > 0).astype(float)

    def objective(beta):
        z = beta[-2] * prior + x @ beta[:-2] + beta[-1]
        loss = (weights * (np.logaddexp(0, z) - y * z)).sum()
        return loss + 1.5 * (beta[:-2] @ beta[:-2] + (beta[-2] - 1) ** 2) + 0.005 * beta[-1] ** 2

    got = shrunken_logistic(x, y, prior, [3.0], weights[None])[0]
    best = minimize(objective, np.zeros(8), tol=1e-10)
    np.testing.assert_allclose(got, best.x, atol=1e-4)
    strong = shrunken_logistic(x, y, prior, [1e8])[0]
    np.testing.assert_allclose(strong[:-1], [0] * 6 + [1], atol=1e-5)


def test_placements_average_to_the_auroc_with_ties():
    rng = np.random.default_rng(0)
    score, y = rng.integers(0, 5, 50).astype(float), rng.integers(0, 2, 50)
    placed = placements(score, y)
    assert placed[y == 1].mean() == pytest.approx(roc_auc_score(y, score))
    assert placed[y == 0].mean() == pytest.approx(roc_auc_score(y, score))


def test_folds_keep_groups_whole_and_supports_are_nested_and_balanced():
    rng = np.random.default_rng(0)
    y, groups = rng.integers(0, 2, 60), np.arange(60) // 3
    tests = folds(y, groups, rng)
    np.testing.assert_array_equal(tests.sum(axis=0), 1)
    for test in tests:
        assert not np.intersect1d(groups[test], groups[~test]).size
    assert len(folds(np.array([0, 0, 0, 1]), np.arange(4), rng)) == 0
    y = np.array([1] * 10 + [0] * 90)
    chosen = _choices(y, np.arange(100), [8, 16, 32, 400], rng)
    assert [y[c].sum() for c in chosen.values()] == [4, 8, 10, 10]
    assert [len(c) for c in chosen.values()] == [8, 16, 32, 100]
    assert set(chosen[8]) < set(chosen[16]) < set(chosen[32])


def measure(conflict, prior=None, tasks=4, rows=240, draws=6, shots=(8,), **options):
    x, y, task = family(tasks, rows, conflict)
    return headroom(x, y, task, targets=options.pop("targets", range(tasks)), shots=list(shots),
                    draws=draws, seed=0, prior=prior, **options)


def test_no_headroom_where_tasks_share_their_weights():
    frame = measure(0.0, POOLED["pooled_lr"], benchmark="same")
    assert list(frame.columns[:10]) == [
        "benchmark", "shots", "metric", "ceiling", "better_mean", "ceiling_mean", "headroom", "low",
        "high", "tasks"]
    assert list(frame.ceiling) == ["4k labels + prior", "all labels + prior"]
    assert (frame.interval == "patients").all() and (frame.benchmark == "same").all()
    assert (frame.headroom.abs() < 0.02).all()
    assert (frame.low < frame.headroom).all() and (frame.headroom < frame.high).all()
    assert (frame.pooled_mean > 0.8).all()


def test_headroom_where_tasks_conflict():
    frame = measure(1.0, {name: POOLED[name] for name in ("pooled_lr", "pooled_lr_boosting")})
    assert (frame.low > 0.0).all()
    assert frame.headroom[1] > frame.headroom[0] > 0.05
    np.testing.assert_allclose(frame.headroom, frame.ceiling_mean - frame.better_mean)


def test_without_a_shared_label_scaling_sees_the_labelled_rows_only():
    x, y, task = family(3, 120, 1.0)
    seen = []

    def scale(marked):
        seen.append(marked.copy())
        return (x - x[marked].mean(axis=0)) / x[marked].std(axis=0)

    frame = headroom(x, y, task, targets=[0, 1, 2], shots=[8, 16], draws=2, seed=0, prior=None,
                     scale=scale)
    assert {8, 16, 32} <= {m.sum() for m in seen}
    assert max(m.sum() for m in seen) <= 61  # never a held-out row: half of a task is 60
    assert all(len(np.unique(task[m])) == 1 for m in seen)
    assert list(frame.ceiling) == ["4k labels", "all labels"] * 2
    np.testing.assert_allclose(frame.pooled_mean, 0.5)
    np.testing.assert_allclose(frame.better_mean, frame.target_mean)
    assert frame.headroom[1] > 0.03


def test_prior_is_fitted_and_scaled_on_the_sources_only():
    x, y, task = family(4, 80, 0.0)
    fitted, marked = [], []

    def prior(x, y, *, seed):
        fitted.append(len(y))
        return POOLED["pooled_lr"](x, y, seed=seed)

    def scale(rows):
        marked.append(np.unique(task[rows]).tolist())
        return x

    headroom(x, y, task, targets=[0, 2], shots=[8], draws=1, seed=0, prior=prior, scale=scale,
             sources={0: [1, 3], 2: [3]})
    assert fitted == [160, 80] and marked == [[1, 3], [3]]


def test_the_pooled_model_is_chosen_among_the_sources():
    def useless(x, y, *, seed):
        return lambda q: np.log(np.full((len(q), 2), 0.5))

    with_choice = measure(0.0, {"useless": useless, "pooled_lr": POOLED["pooled_lr"]}, draws=2)
    np.testing.assert_allclose(
        with_choice.headroom, measure(0.0, POOLED["pooled_lr"], draws=2).headroom)


def test_it_is_a_function_of_its_seed_and_many_tasks_resample_clusters():
    x, y, task = family(12, 60, 0.5)
    options = dict(targets=range(12), shots=[4], draws=2, prior=POOLED["pooled_lr"])
    a, b, c = (headroom(x, y, task, seed=s, **options) for s in (0, 0, 1))
    assert a.equals(b) and not a.equals(c)
    assert (a.interval == "clusters").all()
    grouped = headroom(x, y, task, seed=0, clusters={t: t // 2 for t in range(12)}, **options)
    assert (grouped.interval == "patients").all()
    np.testing.assert_allclose(grouped.headroom, a.headroom)


def test_held_out_rows_share_no_group_with_the_labelled_ones():
    x, y, task = family(1, 80, 1.0)
    groups = np.arange(80) // 4
    seen = []

    def scale(marked):
        seen.append(np.unique(groups[marked]).size)
        return x

    frame = headroom(x, y, task, targets=[0], shots=[4], draws=3, seed=0, prior=None, scale=scale,
                     groups=groups)
    assert max(seen) == 10 and np.isfinite(frame.headroom).all()


def test_intervals_within_tasks_have_about_the_right_width():
    """Their spread is that of fresh patients in the same task (one draw is all the noise there)."""
    estimates, widths = [], []
    for seed in range(40):
        rng = np.random.default_rng([9, seed])
        x = rng.normal(size=(120, 2))
        y = (rng.random(120) < 1 / (1 + np.exp(-2 * x[:, 0]))).astype(int)
        frame = headroom(x, y, np.zeros(120), targets=[0], shots=[8], draws=8, seed=seed,
                         prior=None)
        estimates.append(frame.headroom[1])
        widths.append((frame.high[1] - frame.low[1]) / 3.92)
    assert 0.6 < np.mean(widths) / np.std(estimates) < 1.7


def test_wrong_use_is_refused():
    x, y, task = family(2, 40, 0.0)
    options = dict(targets=[0], shots=[8], draws=1, seed=0, prior=None)
    for bad, text in [({"shots": [2]}, "shots"), ({"draws": 0}, "draws")]:
        with pytest.raises(ValueError, match=text):
            headroom(x, y, task, **{**options, **bad})
    with pytest.raises(ValueError, match="0 and 1"):
        headroom(x, y + 1, task, **options)
    with pytest.raises(ValueError, match="fewer than 4"):
        headroom(x, y * (np.arange(80) < 2), task, **options)
    with pytest.raises(ValueError, match="other than itself"):
        headroom(x, y, task, **{**options, "prior": POOLED["pooled_lr"], "sources": {0: [0]}})


def test_strengths_are_judged_by_out_of_fold_log_loss():
    x, y, _ = family(1, 32, 0.0)
    tests = folds(y, np.arange(32), np.random.default_rng(0))
    losses = []
    for test in tests:
        model = LogisticRegression(C=0.1, tol=1e-10, max_iter=5000).fit(x[~test], y[~test])
        losses.append(log_loss(y[test], model.predict_proba(x[test])[:, 1]) * test.sum())
    got = _out_of_fold(x, y, np.zeros(32), tests, [10.0])[0]
    assert got == pytest.approx(sum(losses) / 32, abs=2e-3)


def test_evidence_is_the_mean_auroc_inside_thefolds():
    x, y, _ = family(1, 32, 0.0)
    prior, groups = x[:, 0], np.arange(32)
    tests = folds(y, groups, np.random.default_rng(3))
    want = []
    for test in tests:
        model = LogisticRegression(C=0.1).fit(x[~test], y[~test])
        want.append(roc_auc_score(y[test], model.decision_function(x[test]))
                    - roc_auc_score(y[test], prior[test]))
    got = _evidence(x, y, prior, groups, np.random.default_rng(3))
    assert got == pytest.approx(np.mean(want), abs=1e-9)
    one = _evidence(x[:5], np.array([0, 0, 0, 0, 1]), prior[:5], groups[:5],
                    np.random.default_rng(0))
    assert one == 0.0  # a class with a single row: no fold can judge
