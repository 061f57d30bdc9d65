"""Intervals against simulated coverage; tests and ranks against scipy and by hand."""

import numpy as np
import pytest
from scipy import stats

from metajax import statistics

NAN = np.nan


def test_t_interval_is_scipys_and_leaves_nan_out():
    scores = np.random.default_rng(0).normal(size=12)
    low, high = stats.t.interval(0.9, 11, scores.mean(), stats.sem(scores))
    found = statistics.t_interval(np.append(scores, [NAN, NAN]), 0.9)
    np.testing.assert_allclose(found[:3], (scores.mean(), low, high))
    assert found[3:] == (12, 2)
    assert np.isnan(statistics.t_interval([0.5]).low)
    assert np.isnan(statistics.t_interval([NAN]).mean)


def test_cluster_means_by_hand():
    found = statistics.cluster_means([1, 3, NAN, 5, NAN], [7, 7, 7, 2, 9])
    np.testing.assert_array_equal(found, [5, 2, NAN])


def test_cluster_bootstrap_weighs_clusters_alike_and_counts():
    scores, clusters = [1.0, 1, 1, 0, NAN, NAN], [0, 0, 0, 1, 1, 2]
    found = statistics.cluster_bootstrap(scores, clusters, np.random.default_rng(0))
    assert (found.mean, found.n, found.undefined) == (0.5, 2, 2)
    again = statistics.cluster_bootstrap(scores, clusters, np.random.default_rng(0))
    assert found == again
    alone = statistics.cluster_bootstrap(scores[:3], clusters[:3], np.random.default_rng(0))
    assert alone.mean == 1 and np.isnan(alone.low)


def test_cluster_bootstrap_is_close_to_student_when_normal():
    means = stats.norm.ppf((np.arange(16) + 0.5) / 16)
    found = statistics.cluster_bootstrap(means, np.arange(16), np.random.default_rng(0))
    expected = statistics.t_interval(means)
    np.testing.assert_allclose(found.high, expected.high, rtol=0.06)
    np.testing.assert_allclose(found.low, expected.low, rtol=0.06)


def cluster_coverage(clusters, repeats, skewed, seed=0):
    """Return how often the interval holds the truth: unequal clusters around random means."""
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(repeats):
        means = 1 - rng.exponential(size=clusters) if skewed else rng.normal(size=clusters)
        place = np.repeat(np.arange(clusters), rng.integers(1, 6, clusters))
        scores = 0.1 * means[place] + rng.normal(0, 0.05, place.size)
        found = statistics.cluster_bootstrap(scores, place, rng, draws=1000)
        hits += found.low <= 0 <= found.high
    return hits / repeats


@pytest.mark.parametrize("clusters", [83, 16])
def test_cluster_bootstrap_covers(clusters):
    assert 0.90 <= cluster_coverage(clusters, 300, False) <= 0.985


@pytest.mark.long
@pytest.mark.parametrize("clusters", [83, 16])
@pytest.mark.parametrize("skewed", [False, True])
def test_cluster_bootstrap_covers_long(clusters, skewed):
    assert 0.91 + 0.01 * (not skewed) <= cluster_coverage(clusters, 3000, skewed) <= 0.965


def placements(scores, labels):
    """Return the AUROC (no ties) and the influence of every row on it."""
    rank = np.argsort(np.argsort(scores)) + 1.0
    positive = labels == 1
    n1, n0 = positive.sum(), (~positive).sum()
    within = np.zeros(len(scores))
    for group in (positive, ~positive):
        within[group] = np.argsort(np.argsort(scores[group])) + 1.0
    beaten = np.where(positive, (rank - within) / n0, 1 - (rank - within) / n1)
    auroc = beaten[positive].mean()
    return auroc, (beaten - auroc) / np.where(positive, n1, n0)


def patient_coverage(repeats, shots, patients=300, episodes=20, features=6, gap=0.4, seed=0):
    """Return how often the interval holds the AUROC that these supports have on new patients.

    Nearest-class-mean fits to `shots` patients of each class, judged on all others; scores of new
    patients are normal, so a fit's AUROC on them is known. The truth is its mean over many supports
    drawn from the same patients.
    """
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(repeats):
        labels = (rng.random(patients) < 0.4).astype(int)
        x = rng.normal(size=(patients, features)) + labels[:, None] * gap
        scores, influence, rows, exact = [], [], [], []
        for episode in range(episodes + 150):
            pick = [rng.permutation(np.flatnonzero(labels == c))[:shots] for c in (0, 1)]
            direction = x[pick[1]].mean(axis=0) - x[pick[0]].mean(axis=0)
            distance = gap * direction.sum() / np.linalg.norm(direction)
            exact.append(stats.norm.cdf(distance / np.sqrt(2)))
            if episode < episodes:
                query = np.setdiff1d(np.arange(patients), np.concatenate(pick))
                value, moved = placements(x[query] @ direction, labels[query])
                scores.append(value), influence.append(moved), rows.append(query)
        case = scores, influence, rows, np.arange(patients)
        deviation = statistics.patient_replicates(*case, rng)
        found = statistics.replicate_interval(np.mean(scores), deviation)
        hits += found.low <= np.mean(exact) <= found.high
    return hits / repeats


def test_patient_replicates_cover():
    assert 0.89 <= patient_coverage(200, 16) <= 0.985


@pytest.mark.long
@pytest.mark.parametrize("shots", [8, 16, 32])
def test_patient_replicates_cover_long(shots):
    assert 0.91 <= patient_coverage(1500, shots) <= 0.965


def replicate_case(seed=0, episodes=8, queries=30, rows=50):
    rng = np.random.default_rng(seed)
    picked = np.stack([rng.permutation(rows)[:queries] for _ in range(episodes)])
    influence = rng.normal(size=(episodes, queries))
    return rng.normal(size=episodes), influence, picked, np.arange(rows) // 2


def test_patient_replicates_have_the_variance_of_the_formula():
    scores, influence, rows, patient = replicate_case()
    rng = np.random.default_rng(1)
    found = statistics.patient_replicates(scores, influence, rows, patient, rng, draws=40000)
    each = np.zeros(25)
    np.add.at(each, patient[rows], influence / len(scores))
    variance = np.square(each - each.mean()).sum() + scores.var(ddof=1) / len(scores)
    np.testing.assert_allclose(found.var(), variance, rtol=0.04)
    np.testing.assert_allclose(found.mean(), 0, atol=5 * np.sqrt(variance / 40000))


def test_patient_replicates_are_paired_by_the_seed():
    scores, influence, rows, patient = replicate_case()
    equal = np.zeros(len(scores))  # equal scores: only the patients' part is left

    def draw(times, episodes):
        rng = np.random.default_rng(3)
        case = equal[:episodes], times * influence[:episodes], rows[:episodes]
        return statistics.patient_replicates(*case, patient, rng)

    np.testing.assert_allclose(draw(2, 8), 2 * draw(1, 8))
    # Another number of episodes still draws the same patients.
    halves = draw(1, 4), draw(1, 8)
    other = statistics.patient_replicates(
        equal[4:], influence[4:], rows[4:], patient, np.random.default_rng(3)
    )
    np.testing.assert_allclose((halves[0] + other) / 2, halves[1], atol=1e-12)


def test_patient_replicates_leave_out_undefined_episodes_padding_and_other_tasks():
    scores, influence, rows, patient = replicate_case()
    plain = statistics.patient_replicates(
        scores, influence, rows, patient, np.random.default_rng(0)
    )
    more = [np.concatenate([a, a[:1]]) for a in (scores, influence, rows)]
    more[0][-1] = NAN
    padding = [(0, 0), (0, 2)]
    more[1] = np.pad(more[1], padding, constant_values=9.0)
    more[2] = np.pad(more[2], padding, constant_values=-1)
    everyone = np.concatenate([patient * 3, [-1, -1]])  # any numbering, and rows not of this task
    found = statistics.patient_replicates(*more, everyone, np.random.default_rng(0))
    np.testing.assert_allclose(found, plain)
    none = statistics.patient_replicates(
        scores * NAN, influence, rows, patient, np.random.default_rng(0)
    )
    assert none.shape == (400,) and np.isnan(none).all()


def test_patient_replicates_refuse_what_does_not_fit():
    scores, influence, rows, patient = replicate_case()
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="must agree"):
        statistics.patient_replicates(scores[:3], influence, rows, patient, rng)
    with pytest.raises(ValueError, match="patient_of_row -1"):
        statistics.patient_replicates(scores, influence, rows, np.full(50, -1), rng)
    with pytest.raises(ValueError, match="weights must be"):
        statistics.patient_replicates(
            scores, influence, rows, patient, rng, draws=10, weights=np.ones((10, 7))
        )


def test_replicate_interval_is_the_percentile():
    found = statistics.replicate_interval(0.5, np.linspace(-0.2, 0.2, 401), 0.9, n=7)
    np.testing.assert_allclose(found[:3], (0.5, 0.32, 0.68))
    assert found.n == 7


def test_wilcoxon_is_scipys_on_defined_pairs():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 20))
    expected = stats.wilcoxon(a, b).pvalue
    gaps = np.full(3, NAN)
    found = statistics.paired_wilcoxon(np.append(a, gaps), np.append(b, 1 + 0 * gaps))
    np.testing.assert_allclose(found, expected)
    assert statistics.paired_wilcoxon(a, a) == 1.0
    for pairs in (10, 13, 49, 60):  # 60: the normal approximation
        a, b = rng.normal(size=(2, pairs))
        found = statistics.paired_wilcoxon(a, b + 0.3)
        np.testing.assert_allclose(found, stats.wilcoxon(a, b + 0.3).pvalue, rtol=1e-9)
    # ties and zeros: scipy goes through all signs, for as few pairs as these
    tied = np.array([0.0, 1, 1, 2, -1, 2, 3, 3, -2, 4, 5])
    found = statistics.paired_wilcoxon(tied, 0 * tied)
    np.testing.assert_allclose(found, stats.wilcoxon(tied).pvalue, rtol=1e-9)
    assert statistics.paired_wilcoxon(a[:9], b[:9]) is None
    assert statistics.paired_wilcoxon(a[:10], b[:10]) is not None
    tied = np.round(a), np.round(b)
    np.testing.assert_allclose(statistics.paired_wilcoxon(*tied), stats.wilcoxon(*tied).pvalue)


def test_holm_by_hand():
    found = statistics.holm([0.01, 0.04, None, 0.03, 0.005])
    np.testing.assert_allclose(found, [0.03, 0.06, NAN, 0.06, 0.02])
    np.testing.assert_array_equal(statistics.holm([0.6, 0.7]), [1, 1])
    assert statistics.holm([]).shape == (0,)


def test_average_ranks_are_scipys():
    scores = np.array([[0.9, 0.8, 0.8], [0.5, NAN, 0.6], [0.1, 0.2, 0.3]])
    np.testing.assert_allclose(statistics.average_ranks(scores, True), [2, 2.25, 1.75])
    np.testing.assert_allclose(statistics.average_ranks(scores, False), [2, 1.75, 2.25])
    full = np.round(np.random.default_rng(0).normal(size=(30, 5)), 1)
    expected = np.mean([stats.rankdata(row) for row in full], axis=0)
    np.testing.assert_allclose(statistics.average_ranks(full, False), expected)
    assert np.isnan(statistics.average_ranks(scores[1:2], True)).all()


def test_friedman_is_scipys_and_one_for_equals():
    scores = np.random.default_rng(0).normal(size=(12, 4))
    expected = stats.friedmanchisquare(*scores.T).pvalue
    np.testing.assert_allclose(statistics.friedman(scores), expected)
    assert statistics.friedman(np.ones((12, 4))) == 1.0


def test_critical_difference_is_that_of_the_paper():
    # Demsar (2006), table 5(a) and section 3.2.2: four classifiers on 14 data sets.
    for learners, q in ((2, 1.960), (4, 2.569), (10, 3.164)):
        factor = np.sqrt(learners * (learners + 1) / (6 * 14))
        found = statistics.nemenyi_difference(learners, 14)
        np.testing.assert_allclose(found / factor, q, atol=1e-3)
    np.testing.assert_allclose(statistics.nemenyi_difference(4, 14), 1.25, atol=0.01)


def test_nemenyi_agrees_with_scikit_posthocs():
    posthocs = pytest.importorskip("scikit_posthocs")
    scores = np.random.default_rng(1).normal(size=(15, 6)) + np.arange(6) * 0.6
    pvalues = posthocs.posthoc_nemenyi_friedman(scores).to_numpy()
    ranks = statistics.average_ranks(scores, True)
    apart = abs(ranks[:, None] - ranks) >= statistics.nemenyi_difference(6, 15)
    np.testing.assert_array_equal(apart, pvalues < 0.05)
    assert 0 < apart.sum() < 30


def test_cliques_are_the_largest_groups():
    ranks = np.array([1.0, 1.5, 2.4, 4.0, 5.2])
    assert statistics.cliques(ranks, 1.45) == [(0, 2), (3, 4)]
    assert statistics.cliques(ranks, 1.7) == [(0, 2), (2, 3), (3, 4)]
    assert statistics.cliques(ranks, 0.5) == []  # a difference of exactly CD is told apart
    assert statistics.cliques(ranks, 9.0) == [(0, 4)]
