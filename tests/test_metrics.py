"""Metrics against scikit-learn and scipy; influences against finite differences and DeLong."""

import functools

import jax
import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from metajax import metrics
from metajax.types import TaskSpec

BINARY, SEVERAL = TaskSpec(2, "multiclass"), TaskSpec(4, "multiclass")
SPECS = [BINARY, SEVERAL, TaskSpec(3, "multilabel"), TaskSpec(2, "regression")]
N = 40  # one size for nearly all tests, so that each kind is compiled once


@functools.partial(jax.jit, static_argnums=0)
def judge(spec, outputs, y, mask):
    """Return the scores and all their influences."""
    case = spec, outputs, y, mask
    return metrics.score(*case), metrics.influence(*case, metrics.METRICS[spec.kind])


def one_hot(labels, classes):
    return np.eye(classes, dtype=np.float32)[labels]


def binary_case(seed, n=N, ties=True, integer=False):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    scores = rng.normal(labels * 0.8, 1.0, n)
    scores = np.round(scores * 2) / 2 if ties else scores
    weights = rng.integers(0, 4, n) if integer else rng.uniform(0, 2, n) * (rng.random(n) < 0.8)
    return scores.astype(np.float32), labels.astype(np.float32), weights.astype(np.float32)


def make_case(spec, seed=0, n=N):
    rng = np.random.default_rng(seed)
    c = spec.outputs
    outputs = np.round(rng.normal(size=(n, c)), 1).astype(np.float32)
    if spec.kind == "multiclass":
        y, mask = one_hot(rng.integers(0, c, n), c), np.ones((n, c), np.float32)
    else:
        y = rng.integers(0, 2 if spec.kind == "multilabel" else 9, (n, c)).astype(np.float32)
        mask = (rng.random((n, c)) < 0.8).astype(np.float32)
    return outputs, y, mask


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_binary_metrics_agree_with_scikit_learn(seed, ties):
    scores, labels, weights = binary_case(seed, ties=ties)
    p = 1.0 / (1.0 + np.exp(-scores))
    called, kwargs = p > 0.5, {"sample_weight": weights}
    fpr, tpr, _ = reference.roc_curve(labels, scores, drop_intermediate=False, **kwargs)
    expected = {
        "auroc": reference.roc_auc_score(labels, scores, **kwargs),
        "auprc": reference.average_precision_score(labels, scores, **kwargs),
        "balanced_accuracy": reference.balanced_accuracy_score(labels, called, **kwargs),
        "accuracy": reference.accuracy_score(labels, called, **kwargs),
        "brier": reference.brier_score_loss(labels, p, **kwargs),
        "log_loss": reference.log_loss(labels, p, **kwargs),
        "sensitivity_at_90_specificity": tpr[1 - fpr >= 0.9].max(),
        "prevalence": np.average(labels, weights=weights),
    }
    bins = np.minimum((p * 10).astype(int), 9)
    gaps = [abs((weights * (p - labels))[bins == b].sum()) for b in range(10)]
    expected["ece"] = sum(gaps) / weights.sum()
    outputs = np.stack([np.zeros_like(scores), scores], axis=1)
    mask = np.repeat(weights[:, None], 2, axis=1)
    found, _ = judge(BINARY, outputs, one_hot(labels.astype(int), 2), mask)
    assert set(found) == set(metrics.METRICS["multiclass"]) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", ["auroc", "auprc", "sensitivity_at_specificity", "spearman"])
def test_integer_weights_repeat_rows(name):
    metric = jax.jit(getattr(metrics, name))
    scores, labels, weights = binary_case(7, integer=True)
    labels = np.round(scores + labels) if name == "spearman" else labels
    times = weights.astype(int)
    repeated = metric(np.repeat(scores, times), np.repeat(labels, times), np.ones(times.sum()))
    np.testing.assert_allclose(metric(scores, labels, weights), repeated, rtol=1e-5)


def test_ties_by_hand():
    ones, labels = np.ones(4), np.array([1.0, 0, 1, 0])
    assert metrics.auroc(np.zeros(4), labels, ones) == 0.5
    assert metrics.auprc(np.zeros(4), labels, ones) == 0.5
    assert metrics.auroc(np.array([2.0, 1, 1, 0]), labels, ones) == 0.875


def test_sensitivity_at_the_exact_specificity():
    # One negative of ten may be called at a specificity of exactly 0.9, whatever the rounding.
    labels, sensitivity = np.array([0.0, 1] + [0] * 9), jax.jit(metrics.sensitivity_at_specificity)
    assert sensitivity(-np.arange(11.0), labels, np.ones(11), 0.9) == 1.0
    assert sensitivity(-np.arange(11.0), labels, np.ones(11), 0.91) == 0.0
    assert sensitivity(np.zeros(11), labels, np.ones(11), 0.9) == 0.0


def test_saturated_probabilities_keep_their_order():
    labels = np.arange(N) // (N // 2)
    outputs = np.stack([np.zeros(N), 30.0 + np.arange(N)], axis=1).astype(np.float32)
    found, _ = judge(BINARY, outputs, one_hot(labels, 2), np.ones((N, 2), np.float32))
    assert found["auroc"] == 1.0
    np.testing.assert_allclose(found["log_loss"], -np.log(1e-7) / 2, rtol=1e-5)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_nan_for_ranking_only_and_has_no_gradient(label):
    outputs, _, mask = make_case(BINARY)
    found, moved = judge(BINARY, outputs, one_hot(np.full(N, label), 2), mask)
    undefined = {name for name, value in found.items() if np.isnan(value)}
    ranking = {"auroc", "auprc", "balanced_accuracy", "sensitivity_at_90_specificity"}
    assert undefined == ranking
    assert found["prevalence"] == label
    assert all((moved[name] == 0).all() for name in ranking)
    assert all(np.isfinite(values).all() for values in moved.values())


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_an_empty_query_is_undefined_everywhere(spec):
    found, moved = judge(spec, *(0 * leaf for leaf in make_case(spec)))
    assert all(np.isnan(value) for value in found.values())
    assert all((values == 0).all() for values in moved.values())


def several_case(seed=0, n=N):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, 3], n)  # class 2 never occurs
    outputs = (rng.normal(size=(n, 4)) + one_hot(labels, 4)).astype(np.float32)
    return outputs, labels, one_hot(labels, 4)


def test_several_classes_agree_with_scikit_learn():
    outputs, labels, y = several_case()
    found, _ = judge(SEVERAL, outputs, y, np.ones_like(y))
    p = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    top, right = p.max(axis=1), p.argmax(axis=1) == labels
    for name, function in (
        ("auroc", reference.roc_auc_score),
        ("auprc", reference.average_precision_score),
    ):
        expected = np.mean([function(labels == c, p[:, c]) for c in (0, 1, 3)])
        np.testing.assert_allclose(found[name], expected, rtol=1e-5)
    with pytest.warns(UserWarning, match="y_pred contains classes"):
        balanced = reference.balanced_accuracy_score(labels, p.argmax(axis=1))
    np.testing.assert_allclose(found["balanced_accuracy"], balanced, rtol=1e-5)
    np.testing.assert_allclose(found["accuracy"], right.mean(), rtol=1e-5)
    np.testing.assert_allclose(found["brier"], np.square(p - y).sum(axis=1).mean(), rtol=1e-5)
    expected = reference.log_loss(labels, p, labels=range(4))
    np.testing.assert_allclose(found["log_loss"], expected, rtol=1e-5)
    bins = np.minimum((top * 10).astype(int), 9)
    gaps = [abs((top - right)[bins == b].sum()) for b in range(10)]
    np.testing.assert_allclose(found["ece"], sum(gaps) / len(labels), rtol=1e-4)
    assert np.isnan(found["prevalence"])


def test_an_absent_class_is_as_if_it_had_no_output():
    outputs, labels, y = several_case()
    mask = np.ones_like(y)
    mask[:, 2] = 0
    found, _ = judge(SEVERAL, outputs, y, mask)
    kept, score = [0, 1, 3], jax.jit(metrics.score, static_argnums=0)
    expected = score(TaskSpec(3, "multiclass"), outputs[:, kept], y[:, kept], mask[:, kept])
    for name in metrics.METRICS["multiclass"]:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_absent_rows_change_nothing_whatever_they_hold(spec):
    clean = make_case(spec)
    for leaf in clean:
        leaf[-5:] = 0
    junk = [leaf.copy() for leaf in clean]
    junk[0][-5:], junk[1][-5:] = np.nan, np.nan
    (plain, moved), (same, moved_too) = judge(spec, *clean), judge(spec, *junk)
    for name in plain:
        np.testing.assert_array_equal(plain[name], same[name], err_msg=name)
        np.testing.assert_array_equal(moved[name], moved_too[name], err_msg=name)
        assert (moved[name][-5:] == 0).all()


def test_padding_is_as_if_it_were_not_there():
    outputs, y, mask = make_case(BINARY)
    mask[-5:] = 0
    padded, moved = judge(BINARY, outputs, y, mask)
    plain, moved_plain = judge(BINARY, outputs[:-5], y[:-5], mask[:-5])
    for name in padded:
        np.testing.assert_allclose(padded[name], plain[name], rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(moved[name][:-5], moved_plain[name], atol=1e-6, err_msg=name)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_vmap_agrees_with_one_by_one(spec):
    cases = [make_case(spec, seed) for seed in range(3)]
    stacked = [np.stack(leaf) for leaf in zip(*cases, strict=True)]
    together = jax.jit(jax.vmap(lambda *case: metrics.score(spec, *case)))(*stacked)
    for i, case in enumerate(cases):
        for name, value in judge(spec, *case)[0].items():
            np.testing.assert_allclose(together[name][i], value, rtol=1e-5, err_msg=name)


def test_findings_are_averaged_over_those_defined():
    outputs, y, mask = make_case(TaskSpec(3, "multilabel"))
    y[:, 1] = 0  # never positive: no AUROC, but a Brier score
    found, _ = judge(TaskSpec(3, "multilabel"), outputs, y, mask)
    p = 1 / (1 + np.exp(-outputs))

    def each(function, columns):
        rows = [mask[:, c] > 0 for c in columns]
        return np.mean([function(y[r, c], p[r, c]) for r, c in zip(rows, columns, strict=True)])

    np.testing.assert_allclose(found["auroc"], each(reference.roc_auc_score, [0, 2]), rtol=1e-5)
    expected = each(lambda seen, told: np.square(seen - told).mean(), [0, 1, 2])
    np.testing.assert_allclose(found["brier"], expected, rtol=1e-5)


def test_regression_agrees_with_scipy_and_ignores_variance():
    spec = TaskSpec(2, "regression", variance=True)
    outputs, y, mask = make_case(spec)
    outputs_and_variance = np.stack([outputs, np.full_like(outputs, 7)], axis=2)
    found, _ = judge(spec, outputs_and_variance, y, mask)
    rows = [mask[:, c] > 0 for c in range(2)]
    rho = np.mean([stats.spearmanr(outputs[r, c], y[r, c])[0] for c, r in enumerate(rows)])
    error = np.mean([np.square(outputs[r, c] - y[r, c]).mean() for c, r in enumerate(rows)])
    np.testing.assert_allclose(found["spearman"], rho, rtol=1e-5)
    np.testing.assert_allclose(found["mse"], error, rtol=1e-5)


def test_spearman_of_constants():
    values, constant, weights = np.arange(6.0), np.full(6, 0.1), np.linspace(0.1, 1, 6)
    spearman = jax.jit(jax.value_and_grad(metrics.spearman, argnums=2))
    value, gradient = spearman(values, constant, weights)
    assert np.isnan(value) and (gradient == 0).all()
    value, gradient = spearman(constant, values, weights)
    assert value == 0.0 and (gradient == 0).all()


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_influence_is_the_derivative_by_the_row_weight(spec):
    outputs, y, mask = make_case(spec, 1)
    mask[:7] *= 2.5
    plain, moved = judge(spec, outputs, y, mask)
    step = 0.02  # float32: rounding costs about 1e-7 / step, curvature far less
    for row in (0, 5, 11, 30):
        up, down = mask.copy(), mask.copy()
        up[row] *= 1 + step
        down[row] *= 1 - step
        high, low = judge(spec, outputs, y, up)[0], judge(spec, outputs, y, down)[0]
        for name in set(plain) - {"sensitivity_at_90_specificity"}:
            slope = np.nan_to_num(high[name] - low[name]) / (2 * step)
            slack = 2e-5 * max(1.0, np.nan_to_num(plain[name]))
            np.testing.assert_allclose(moved[name][row], slope, 1e-3, slack, err_msg=name)


def test_influence_of_auroc_is_delongs_placement():
    scores, labels, _ = binary_case(3)
    outputs = np.stack([np.zeros_like(scores), scores], axis=1)
    y, mask = one_hot(labels.astype(int), 2), np.ones((len(scores), 2), np.float32)
    moved = judge(BINARY, outputs, y, mask)[1]["auroc"]
    positive, negative = scores[labels == 1], scores[labels == 0]
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    placement = np.zeros(len(scores))
    placement[labels == 1] = (wins.mean(axis=1) - wins.mean()) / len(positive)
    placement[labels == 0] = (wins.mean(axis=0) - wins.mean()) / len(negative)
    np.testing.assert_allclose(moved, placement, atol=1e-6)


def test_influence_refuses_an_unknown_name():
    with pytest.raises(ValueError, match="'auc'.*auroc"):
        metrics.influence(BINARY, *make_case(BINARY), ("auc",))


def test_calibration_bins_by_hand():
    p, labels = np.array([0.0, 0.05, 0.1, 0.95, 1.0]), np.array([0.0, 1, 0, 1, 1])
    found = metrics.calibration_bins(p, labels, np.array([1.0, 2, 1, 1, 0]))
    expected = np.zeros((10, 3))
    expected[0], expected[1], expected[9] = (0.1, 2, 3), (0.1, 0, 1), (0.95, 1, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
