"""Host baselines against direct scikit-learn calls, by hand, and under padding and permutation."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, Ridge
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from metajax import baselines
from metajax.baselines import POOLED, REGRESSORS, TARGET_ONLY, classification, predict_episodes


@pytest.fixture(autouse=True)
def one_thread():
    with threadpool_limits(1):
        yield


def table(n, d, classes=2, seed=0, queries=30):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = rng.normal(size=(n, d)) + y[:, None] * rng.normal(size=d)
    order = sorted(range(n), key=lambda i: (y[i], x[i].tobytes()))
    return x[order], y[order], rng.normal(size=(queries, d))


def lr(c):
    return LogisticRegression(C=c, solver="lbfgs", tol=1e-9, max_iter=10_000)


def forest():
    return RandomForestClassifier(100, random_state=3)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("d", [5, 60])  # 60 > n: solved in the span of the rows
@pytest.mark.parametrize("name,c", [("lr_c0.01", 0.01), ("lr_c0.1", 0.1)])
def test_logistic_regression_is_scikit_learns(name, c, d, classes):
    x, y, q = table(24, d, classes)
    got = np.exp(TARGET_ONLY[name](x, y, q, seed=3))
    np.testing.assert_allclose(got, lr(c).fit(x, y).predict_proba(q), atol=2e-4)


def test_cross_validated_strength_is_scikit_learns():
    for seed in range(4):
        x, y, q = table(32, 6, seed=seed)
        x = x * (0.2 + 0.3 * seed)
        folds = list(StratifiedKFold(4, shuffle=True, random_state=3).split(x, y))
        reference = LogisticRegressionCV(
            Cs=list(classification.CV_STRENGTHS), cv=folds, scoring="neg_log_loss", l1_ratios=(0,),
            use_legacy_attributes=False, tol=1e-9, max_iter=10_000).fit(x, y)
        got = np.exp(TARGET_ONLY["lr_cv"](x, y, q, seed=3))
        np.testing.assert_allclose(got, reference.predict_proba(q), atol=2e-3)


def test_cross_validation_falls_back_with_a_single_row_of_a_class():
    x, y, q = table(8, 3)
    y = (np.arange(8) == 7).astype(int)
    got = TARGET_ONLY["lr_cv"](x, y, q, seed=0)
    np.testing.assert_array_equal(got, TARGET_ONLY["lr_c0.1"](x, y, q, seed=0))


@pytest.mark.parametrize("classes", [2, 3])
def test_forests_are_scikit_learns(classes):
    x, y, q = table(18, 5, classes)
    votes = forest().fit(x, y).predict_proba(q)
    got = np.exp(TARGET_ONLY["random_forest"](x, y, q, seed=3))
    np.testing.assert_allclose(got, votes, atol=1e-5)
    mean = 0.5 * (votes + lr(0.01).fit(x, y).predict_proba(q))
    got = np.exp(TARGET_ONLY["lr_forest"](x, y, q, seed=3))
    np.testing.assert_allclose(got, mean, atol=2e-4)


@pytest.mark.parametrize("n,leaf", [(8, 2), (32, 4), (64, 8)])
def test_boosting_is_scikit_learns_and_splits_small_tables(n, leaf):
    x, y, q = table(n, 5)
    model = HistGradientBoostingClassifier(
        max_iter=60, learning_rate=0.1, max_leaf_nodes=8, min_samples_leaf=leaf,
        l2_regularization=1.0, early_stopping=False, random_state=3).fit(x, y)
    got = np.exp(TARGET_ONLY["gradient_boosting"](x, y, q, seed=3))
    np.testing.assert_allclose(got, model.predict_proba(q), atol=1e-6)
    assert np.unique(got[:, 1]).size > 1


def test_class_mean_by_hand():
    x = np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    got = TARGET_ONLY["class_mean"](x, np.array([0, 0, 1]), np.array([[1.0, 0.0]]), seed=0)
    # means (0, 1) and (2, 0): squared distances 2 and 1
    np.testing.assert_allclose(np.exp(got), [[1 / (1 + np.e), np.e / (1 + np.e)]], rtol=1e-12)


def test_nearest_rows_by_hand():
    x, y = np.array([[0.0], [2.0], [10.0]]), np.array([0, 1, 1])
    got = TARGET_ONLY["knn"](x, y, np.array([[3.0], [0.0]]), seed=0)  # one neighbour of three rows
    np.testing.assert_allclose(np.exp(got), [[0, 1], [1, 0]], atol=2e-6)
    # Nine rows: the three nearest to 1.5 are at distances 0.5, 0.5 and 1.5.
    x, y = np.arange(1.0, 10)[:, None], np.array([0, 1, 1, 0, 0, 0, 0, 1, 1])
    got = TARGET_ONLY["knn"](x, y, np.array([[1.5]]), seed=0)
    np.testing.assert_allclose(np.exp(got), [[2 / (2 + 2 + 2 / 3), 1 - 2 / (2 + 2 + 2 / 3)]])


@pytest.mark.parametrize("classes", [2, 3])
def test_gaussian_process_knows_what_it_has_not_seen(classes):
    x, y, _ = table(30, 2, classes)
    far = np.full((1, 2), 1e4)
    got = np.exp(TARGET_ONLY["gaussian_process"](x, y, np.concatenate([x, far]), seed=0))
    assert (got[:-1].argmax(1) == y).mean() > 0.7
    np.testing.assert_allclose(got[-1], 1 / classes, atol=1e-3)  # the prior


def test_regressors_follow_a_smooth_function_and_units_do_not_matter():
    x = np.linspace(-2, 2, 40)[:, None]
    y, query = np.sin(2 * x[:, 0]), np.array([[-1.03], [0.52]])
    for name, bound in {"gaussian_process": 0.02, "knn": 0.1}.items():
        got = REGRESSORS[name](x, y, query, 0)
        np.testing.assert_allclose(got, np.sin(2 * query[:, 0]), atol=bound)
        other = REGRESSORS[name](1000 * x + 5, 3 * y - 1, 1000 * query + 5, 0)
        np.testing.assert_allclose(other, 3 * got - 1, atol=1e-4)
        constant = REGRESSORS[name](x, np.full(40, 7.0), query, 0)
        assert np.isfinite(constant).all()


@pytest.mark.parametrize("name", TARGET_ONLY)
def test_padding_and_order_do_not_matter(name):
    x, y, q = table(10, 4)
    want = TARGET_ONLY[name](x, y, q, seed=1)
    order = np.random.default_rng(5).permutation(14)
    support_x = np.concatenate([x, np.full((4, 4), 1e3)])[order]
    support_y = np.concatenate([np.eye(2)[y], np.tile([0.0, 1.0], (4, 1))])[order]
    mask = np.concatenate([np.ones((10, 2)), np.zeros((4, 2))])[order]
    got = predict_episodes(name, support_x[None], support_y[None], mask[None], q[None], seed=1)
    assert got.dtype == np.float32 and got.shape == (1, 30, 2)
    np.testing.assert_allclose(got[0], want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.exp(want).sum(1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(TARGET_ONLY[name](x, y, q, seed=1), want)


@pytest.mark.parametrize("name", TARGET_ONLY)
def test_one_class_and_missing_values_are_errors(name):
    x, y, q = table(6, 3)
    with pytest.raises(ValueError, match="two classes"):
        TARGET_ONLY[name](x, np.ones(6, int), q, seed=0)
    with pytest.raises(ValueError, match="finite"):
        TARGET_ONLY[name](np.where(x > 1, np.nan, x), y, q, seed=0)


def test_absent_class_and_one_class_support():
    x, _, q = table(6, 3)
    y = np.array([0, 0, 0, 2, 2, 2])
    got = TARGET_ONLY["lr_c0.1"](x, y, q, seed=0, classes=4)
    assert got.shape == (30, 4)
    np.testing.assert_allclose(got[:, [1, 3]], np.log(baselines.PROBABILITY_FLOOR))
    args = (x[None], np.eye(2)[np.ones(6, int)][None], np.ones((1, 6, 2)), q[None])
    with pytest.raises(ValueError, match="episode 0"):
        predict_episodes("lr_c0.1", *args, seed=0)
    flat = np.exp(predict_episodes("lr_c0.1", *args, seed=0, one_class="constant"))
    np.testing.assert_allclose(flat, np.tile([1 / 8, 7 / 8], (1, 30, 1)), rtol=1e-6)


@pytest.mark.parametrize("name", POOLED)
def test_pooled_models_are_their_parts_and_ignore_the_support(name):
    x, y, q = table(300, 4)
    linear = lr(0.1).fit(x, y).decision_function(q)
    boosted = HistGradientBoostingClassifier(
        max_iter=100, max_leaf_nodes=12, learning_rate=0.06, l2_regularization=5.0,
        random_state=2).fit(x, y).decision_function(q)
    want = {"pooled_lr": linear, "pooled_gradient_boosting": boosted,
            "pooled_lr_boosting": boosted + 0.5 * linear}[name]
    predict = POOLED[name](x, y, seed=2, classes=2)
    supports = np.random.default_rng(0).normal(size=(2, 6, 4))
    labels = np.stack([np.eye(2)[[0, 1] * 3], np.eye(2)[[1] * 6]])
    got = predict_episodes(name, supports, labels, np.ones((2, 6, 2)), np.stack([q, q]), seed=0,
                           pooled=predict)
    np.testing.assert_allclose(got[0, :, 1] - got[0, :, 0], want, atol=1e-3)
    np.testing.assert_array_equal(got[0], got[1])


def test_raw_columns_raise_no_warning_and_keep_a_ranking():
    rng = np.random.default_rng(0)
    scales = 10.0 ** rng.integers(-3, 4, size=30)
    x, y, q = table(64, 30)
    x[:, 5] = 0.0
    for name in ("lr_c0.01", "lr_cv", "gradient_boosting", "class_mean"):
        out = TARGET_ONLY[name](x * scales, y, q * scales, seed=0)
        assert np.isfinite(out).all()
        if name != "gradient_boosting":  # saturated, yet no ties at a floor
            assert np.unique(out[:, 1] - out[:, 0]).size == len(q)


def test_wrong_use_says_what_is_possible():
    x, y, q = table(6, 3)
    args = (x[None], np.eye(2)[y][None], np.ones((1, 6, 2)), q[None])
    with pytest.raises(ValueError, match="random_forest"):
        predict_episodes("forest", *args, seed=0)
    with pytest.raises(ValueError, match="needs"):
        predict_episodes("pooled_lr", *args, seed=0)
    with pytest.raises(ValueError, match="does not take"):
        predict_episodes("lr_c0.1", *args, seed=0, pooled=lambda q: q)
    with pytest.raises(ValueError, match="C >= 2"):
        predict_episodes("lr_c0.1", x[None], y[None, :, None], y[None, :, None], q[None], seed=0)
    with pytest.raises(ValueError, match="class indices"):
        TARGET_ONLY["lr_c0.1"](x, y - 0.5, q, seed=0)


def regression(rows=20, queries=7, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows + queries, 3)) * [1.0, 10.0, 0.1]
    y = x @ [1.0, 0.05, -3.0] + 0.1 * rng.normal(size=rows + queries)
    return x, y


def test_ridge_is_the_best_strength_of_the_leave_one_out_error():
    x, y = regression()
    told = REGRESSORS["ridge_cv"](x[:20], y[:20], x[20:], 0)
    mean, spread = x[:20].mean(0), x[:20].std(0)
    z = (x - mean) / spread

    def fit(rows, strength, at):
        return Ridge(alpha=strength).fit(z[rows], y[rows]).predict(z[at])

    every = np.arange(20)
    errors = {
        s: sum((fit(every[every != i], s, [i])[0] - y[i]) ** 2 for i in every)
        for s in 3 * np.logspace(-3, 3, 7)
    }
    best = min(errors, key=errors.get)
    np.testing.assert_allclose(told, fit(every, best, np.arange(20, 27)), rtol=1e-6)


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors_on_padded_episodes_learn_and_do_not_depend_on_order_or_padding(name):
    x, y = regression(60, 40)
    support, query = (x[None, :60], y[None, :60, None]), x[None, 60:]
    mask = np.ones((1, 60, 1))
    told = predict_episodes(name, *support, mask, query, seed=0, kind="regression")
    assert told.shape == (1, 40, 1)
    assert np.corrcoef(told[0, :, 0], y[60:])[0, 1] > 0.7
    order = np.random.default_rng(1).permutation(60)
    padded = [np.concatenate([a[:, order], np.zeros((1, 5, a.shape[2]))], 1) for a in support]
    again = predict_episodes(
        name, *padded, np.arange(65)[None, :, None] < 60, query, seed=0, kind="regression"
    )
    np.testing.assert_allclose(again, told, rtol=1e-5, atol=1e-5)


def test_a_classifier_is_not_a_regressor():
    x, y = regression()
    with pytest.raises(ValueError, match="lr_c0.1.*regression.*ridge_cv"):
        predict_episodes("lr_c0.1", x[None], y[None, :, None], np.ones((1, 27, 1)), x[None],
                         seed=0, kind="regression")  # fmt: skip
