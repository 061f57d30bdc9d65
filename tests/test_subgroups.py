"""Scores by group against fairlearn, gaps against simulated coverage, small groups named."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, roc_auc_score

from metajax.subgroups import bands, by_group, markdown, named
from metajax.types import TaskSpec

BINARY, NAMES = TaskSpec(2, "multiclass"), ("auroc", "accuracy", "brier")


def patients(rng, rows, shift=0.0, groups=2):
    """Logits of class 1, labels and groups; of the last group the model is worse by `shift`."""
    group, y = rng.integers(groups, size=rows), rng.integers(2, size=rows)
    z = (1.5 - shift * (group == groups - 1)) * (2 * y - 1) + 1.5 * rng.normal(size=rows)
    return z, y, group


def scored(z, y, group, names=NAMES, seed=0, **options):
    outputs, one_hot = np.stack([np.zeros(len(z)), z], 1), np.eye(2)[y]
    rng = np.random.default_rng(seed)
    return by_group(BINARY, outputs, one_hot, np.ones((len(z), 2)), group, names, rng, **options)


def test_scores_and_gaps_are_those_of_fairlearn():
    fairlearn = pytest.importorskip("fairlearn.metrics")
    z, y, group = patients(np.random.default_rng(0), 400, 0.5, 3)
    p = 1 / (1 + np.exp(-z))
    ways = {
        "auroc": roc_auc_score,
        "accuracy": lambda t, s: accuracy_score(t, s > 0.5),
        "brier": brier_score_loss,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = fairlearn.MetricFrame(
            metrics=ways, y_true=y, y_pred=p, sensitive_features=group, n_boot=300,
            ci_quantiles=[0.025, 0.975], random_state=0,
        )  # fmt: skip
        low, high = (one["auroc"].to_numpy() for one in frame.by_group_ci)
    found = scored(z, y, group)
    for metric in NAMES:
        mine = [line for line in found.lines if line.metric == metric]
        assert [line.group for line in mine] == ["0", "1", "2"]
        assert np.allclose([line.score for line in mine], frame.by_group[metric], atol=1e-5)
        gap = next(gap for gap in found.gaps if gap.metric == metric)
        assert np.isclose(gap.value, frame.difference()[metric], atol=1e-5)
    ours = [(line.low, line.high) for line in found.lines if line.metric == "auroc"]
    width = (high - low).mean()
    assert np.allclose(np.array(ours), np.stack([low, high], 1), atol=0.25 * width)


def test_facts_of_a_line():
    z, y, group = patients(np.random.default_rng(1), 200)
    line = scored(z, y, group).lines[0]
    assert (line.rows, line.positive) == ((group == 0).sum(), y[group == 0].sum())
    assert line.low < line.score < line.high and line.note == "" and line.patients == line.rows


def test_small_groups_are_named_and_not_compared():
    rng = np.random.default_rng(2)
    z, y, _ = patients(rng, 100)
    group = np.array(["f"] * 45 + ["m"] * 46 + [None] * 2 + ["x"] * 7, object)
    y[:5] = 0  # enough of both classes
    found = scored(z, y, group, ("auroc",))
    assert [line.group for line in found.lines] == ["f", "m", "x", "missing"]
    notes = {line.group: line.note for line in found.lines}
    assert notes["x"] == "7 patients, fewer than 10" and "2 patients" in notes["missing"]
    assert sum(line.rows for line in found.lines) == 100  # nobody is lost
    assert np.isnan(found.lines[2].score) and found.gaps[0].groups == 2
    one_class = np.where(group == "m", 0, y)
    lines = scored(z, one_class, group, ("auroc",)).lines
    assert lines[1].note == "0 patients of one class, fewer than 5"
    assert scored(z, one_class, group, ("auroc",)).gaps == ()


def test_rows_of_a_patient_are_drawn_together():
    z, y, group = patients(np.random.default_rng(3), 120)
    once = scored(z, y, group, ("accuracy",)).lines[0]
    rows = np.repeat(np.arange(120), 4)
    alone = scored(z[rows], y[rows], group[rows], ("accuracy",)).lines[0]
    whole = scored(z[rows], y[rows], group[rows], ("accuracy",), clusters=rows).lines[0]
    assert whole.patients == once.patients and whole.rows == 4 * once.rows
    assert np.isclose(whole.high - whole.low, once.high - once.low, rtol=0.15)
    assert np.isclose(alone.high - alone.low, (once.high - once.low) / 2, rtol=0.2)


@pytest.mark.parametrize(("groups", "shift"), [(2, 0.0), (4, 0.0), (2, 0.8)])
def test_the_interval_of_the_gap_covers(groups, shift):
    """The best and the worst of several equal groups: 95 % intervals of their gap hold 0."""
    truth = 0.0
    if shift:
        z, y, group = patients(np.random.default_rng(4), 400_000, shift, groups)
        right = (z > 0) == y
        truth = right[group == 0].mean() - right[group == 1].mean()
    covered = []
    for seed in range(150):
        z, y, group = patients(np.random.default_rng([5, seed]), 240, shift, groups)
        gap = scored(z, y, group, ("accuracy",), seed, draws=200).gaps[0]
        sign = 1 if (gap.highest == "0" or not shift) else -1
        covered.append(gap.low <= sign * truth <= gap.high)
    assert 0.9 <= np.mean(covered) <= 1.0


def test_the_naive_interval_would_not_cover():
    """What the simultaneous interval is for: four equal groups, the extreme pair as if alone."""
    misses = []
    for seed in range(150):
        z, y, group = patients(np.random.default_rng([5, seed]), 240, 0.0, 4)
        found = scored(z, y, group, ("accuracy",), seed, draws=200)
        gap = found.gaps[0]
        half = np.hypot(*(
            (line.high - line.low) / 2 for line in found.lines
            if line.group in (gap.highest, gap.lowest)
        ))  # fmt: skip
        misses.append(gap.value > half)
    assert np.mean(misses) > 0.1


def test_episodes_are_averaged_and_their_patients_drawn_together():
    """Three episodes judge overlapping patients; a score is the mean of the episodes' scores."""
    rng = np.random.default_rng(8)
    z, y, group = patients(rng, 90)
    rows = np.stack([rng.permutation(90)[:60] for _ in range(3)])
    noise = z[rows] + 0.3 * rng.normal(size=rows.shape)
    outputs, one_hot = np.stack([0 * noise, noise], -1), np.eye(2)[y[rows]]
    mask = np.ones_like(one_hot)
    mask[2, 50:] = 0  # padding
    found = by_group(BINARY, outputs, one_hot, mask, group[rows], ("auroc",), rng, clusters=rows,
                     draws=300)  # fmt: skip
    each = [
        roc_auc_score(y[r][m], o[m]) for o, r, keep in zip(noise, rows, mask[..., 0], strict=True)
        for m in [(group[r] == 0) & (keep > 0)]
    ]  # fmt: skip
    line = found.lines[0]
    assert np.isclose(line.score, np.mean(each), atol=1e-5)
    assert line.patients == len(np.unique(rows[(group[rows] == 0) & (mask[..., 0] > 0)]))
    apart = by_group(BINARY, outputs, one_hot, mask, group[rows], ("auroc",), rng, draws=300,
                     clusters=rows + 100 * np.arange(3)[:, None])  # fmt: skip
    # As if each episode had patients of its own: too narrow.
    assert apart.lines[0].high - apart.lines[0].low < 0.8 * (line.high - line.low)


def test_a_table_tells_small_groups_and_whether_groups_are_apart():
    z, y, _ = patients(np.random.default_rng(9), 220)
    group = np.array(["a|b"] * 100 + ["c\nd"] * 115 + ["few"] * 5)
    text = markdown(scored(z, y, group, ("accuracy",)))
    assert "| accuracy | a\\|b | 100 | 100 | 0." in text and "c d" in text
    assert "5 patients, fewer than 10" in text and "of 2 groups" in text
    assert "not told apart" in text
    assert "No two groups" in markdown(scored(z, y, np.zeros(220), ("accuracy",)))


def test_regression_and_bands():
    rng = np.random.default_rng(6)
    age = np.array([39.9, 40, 59, 60, 75, np.nan] * 30)
    group = bands(age, (40, 60, 75))
    assert group[:6].tolist() == [
        "under 40", "40 to under 60", "40 to under 60", "60 to under 75", "75 and over", "missing"
    ]  # fmt: skip
    y = rng.normal(size=(180, 1))
    found = by_group(TaskSpec(1, "regression"), y + 1, y, np.ones((180, 1)), group, ("mse",), rng)
    assert np.allclose([line.score for line in found.lines], 1, atol=1e-5)
    assert found.lines[-1].group == "missing" and found.lines[0].positive == -1
    gap = found.gaps[0]
    assert gap.value < 1e-5 and gap.groups == 4  # missing is no group to compare


def test_names_of_values():
    assert named([1, " a ", "", None, float("nan"), True]).tolist() == [
        "1", "a", "missing", "missing", "missing", "True"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"names": ("auc",)}, "unknown multiclass metric 'auc'; choose from auroc"),
        ({"group": np.arange(150)}, "150 groups are more than 100"),
        ({"group": np.zeros(3)}, "of the same rows"),
    ],
)
def test_refusals(change, said):
    z, y, group = patients(np.random.default_rng(7), 150)
    with pytest.raises(ValueError, match=said):
        scored(z, y, **({"group": group} | change))
    with pytest.raises(ValueError, match="rise"):
        bands(z, (60, 40))
