"""The three synthetic worlds, and standardisation by the support."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from metajax.tasks.clinical import clinical_tables
from metajax.tasks.linear_gaussian import bayes_predict, bayes_risk, linear_gaussian
from metajax.tasks.sinusoid import sinusoid
from metajax.tasks.standardise import standardise_by_support
from metajax.types import Episode, Examples, TaskSource

TASKS = 192
WORLDS = {
    "sinusoid": sinusoid(shots=(3, 6), queries=5),
    "linear_gaussian": linear_gaussian(features=3, shots=(3, 6), queries=5),
    "linear_classes": linear_gaussian(features=3, shots=(3, 6), queries=5, classes=4),
    "clinical": clinical_tables(shots=(3, 6), queries=5, columns=6),
}
WIDTH = {"sinusoid": 1, "linear_gaussian": 3, "linear_classes": 3, "clinical": 6}


def sampler(source: TaskSource):
    """Compile ``(data, key, tasks) -> episodes`` with numpy leaves and a leading task axis."""
    many = jax.jit(lambda data, key, i: jax.vmap(lambda t: source.sample(data, key, t))(i))
    return lambda *args: jax.tree.map(np.asarray, many(*args))


SAMPLERS = {name: sampler(source) for name, source in WORLDS.items()}  # compiled once for all tests


def draw(source: TaskSource, tasks: int) -> Episode:
    """Draw tasks 0 .. tasks - 1 of a source."""
    return sampler(source)(source.data, jax.random.key(0), jnp.arange(tasks))


@pytest.fixture(scope="module")
def clinic():
    """One compiled sampler of raw episodes, and draws with balanced and natural supports."""
    source = clinical_tables(shots=(4, 32, 32, 32), queries=64)
    traces = []

    @jax.jit
    def many(data, i):
        traces.append(0)
        return jax.vmap(lambda t: source.sample(data, jax.random.key(1), t))(i)

    def raw(shots, balanced):
        data = {"shots": jnp.asarray(shots, jnp.int32), "balanced": jnp.float32(balanced)}
        return jax.tree.map(np.asarray, many(data, jnp.arange(TASKS)))

    return raw, raw([32] * 4, 1.0), raw([32] * 4, 0.0), traces


@pytest.mark.parametrize("name", WORLDS)
def test_shapes_masks_and_determinism(name):
    source = WORLDS[name]
    outputs, width = source.spec.outputs, WIDTH[name]
    key, tasks = jax.random.key(0), jnp.arange(24)
    support, query = SAMPLERS[name](source.data, key, tasks)
    assert support.x.shape == (24, 6, width) and query.x.shape == (24, 5, width)
    assert support.y.shape == support.mask.shape == (24, 6, outputs)
    assert query.y.shape == (24, 5, outputs) and query.mask.min() == 1
    counts = support.mask[..., 0].sum(axis=1)
    assert set(counts) == {3, 6}
    assert (support.mask == (np.arange(6) < counts[:, None])[..., None]).all()
    padded = support.mask[..., 0] == 0
    assert (support.info["row"][padded] == -1).all() and (support.y[padded] == 0).all()
    for s, q in zip(support.info["row"], query.info["row"], strict=True):
        kept = np.concatenate([s[s >= 0], q])
        assert len(set(kept)) == len(kept)
    if source.spec.kind == "multiclass":
        assert (query.y.sum(axis=-1) == 1).all()
    # A task is a function of key and number, wherever in a batch it stands; others differ.
    again = SAMPLERS[name](source.data, key, tasks[::-1])
    jax.tree.map(np.testing.assert_array_equal, again.support, tree_reversed(support))
    other = SAMPLERS[name](source.data, jax.random.key(1), tasks).query
    assert len({q.tobytes() for q in (*query.x, *other.x)}) == 48
    single = jax.eval_shape(source.sample, source.data, key)
    assert single.query.x.shape == query.x.shape[1:]


def tree_reversed(tree):
    """Reverse the leading axis of every leaf."""
    return jax.tree.map(lambda a: a[::-1], tree)


def test_a_task_number_is_folded_into_the_key():
    source = WORLDS["linear_gaussian"]
    batch = SAMPLERS["linear_gaussian"](source.data, jax.random.key(0), jnp.arange(24))
    plain = jax.jit(source.sample)(source.data, jax.random.fold_in(jax.random.key(0), 7))
    np.testing.assert_allclose(plain.query.y, batch.query.y[7], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", WORLDS)
def test_one_key_gives_nested_supports_and_the_same_query(name):
    data = WORLDS[name].data
    small, large = (
        SAMPLERS[name]({**data, "shots": jnp.full(2, k)}, jax.random.key(3), jnp.arange(24))
        for k in (3, 6)
    )
    np.testing.assert_array_equal(small.query.x, large.query.x)
    np.testing.assert_array_equal(small.support.x[:, :3], large.support.x[:, :3])
    assert (small.support.mask.sum(axis=1) == 3).all()
    assert (large.support.mask.sum(axis=1) == 6).all()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: sinusoid(shots=0), "at least 1"),
        (lambda: sinusoid(shots=()), "shots"),
        (lambda: sinusoid(shots=2.5), "integer"),
        (lambda: sinusoid(queries=0), "queries"),
        (lambda: linear_gaussian(features=0), "features"),
        (lambda: linear_gaussian(noise=-1.0), "noise"),
        (lambda: linear_gaussian(classes=1), "classes"),
        (lambda: clinical_tables(shots=1), "at least 2"),
        (lambda: clinical_tables(least_columns=9, columns=8), "columns"),
        (lambda: clinical_tables(draw="stratified"), "balanced, natural, mixed"),
    ],
)
def test_arguments_outside_their_range_are_named(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_sinusoid_follows_the_protocol():
    source = sinusoid(shots=10, queries=50, oracle=True)
    support, query = draw(source, 400)
    x, amplitude, phase = np.moveaxis(query.x, -1, 0)
    np.testing.assert_allclose(query.y[..., 0], amplitude * np.sin(x - phase), atol=1e-5)
    np.testing.assert_array_equal(support.x[:, 0, 1:], query.x[:, 0, 1:])
    for values, low, high in ((amplitude[:, 0], 0.1, 5), (phase[:, 0], 0, np.pi), (x, -5, 5)):
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high >= values.max() > high - 0.05 * (high - low)
        assert abs(values.mean() - (low + high) / 2) < 0.06 * (high - low)


def test_bayes_predictor_is_ridge_and_ignores_masked_rows():
    source = linear_gaussian(features=5, shots=(4, 20), queries=9, noise=0.7, weight_scale=1.3)
    episodes = draw(source, 12)
    predict = jax.jit(lambda s, x: bayes_predict(s, x, noise=0.7, weight_scale=1.3))
    for t in range(12):
        support, query = jax.tree.map(lambda a, t=t: a[t], episodes)
        k = int(support.mask.sum())
        ridge = Ridge(alpha=0.7**2 / 1.3**2, fit_intercept=False).fit(support.x[:k], support.y[:k])
        spoilt = support._replace(x=np.where(support.mask > 0, support.x, 9.0))
        mean = predict(spoilt, query.x)
        np.testing.assert_allclose(mean[:, 0], ridge.predict(query.x).ravel(), atol=2e-4)


def test_bayes_risk_is_the_error_of_the_bayes_predictor():
    source = linear_gaussian(features=8, shots=6, queries=1, noise=0.5, weight_scale=2.0)
    support, query = draw(source, 20_000)
    world = {"noise": 0.5, "weight_scale": 2.0}
    mean = jax.jit(jax.vmap(lambda s, x: bayes_predict(s, x, **world)))(support, query.x)
    risk = jax.jit(jax.vmap(lambda s, x: bayes_risk(s, x, **world)))(support, query.x)
    risk = np.asarray(risk).ravel()
    error = np.square(np.asarray(mean) - query.y).ravel()
    assert abs(error.mean() / risk.mean() - 1) < 0.06
    ratio = error / risk  # each is a chi-square of one degree of freedom if the risk is right
    assert abs(ratio.mean() - 1) < 0.04 and abs(ratio.var() - 2) < 0.3


def test_clinical_class_counts(clinic):
    raw, balanced, natural, _ = clinic
    assert (balanced.support.y.sum(axis=1) == 16).all()
    rare = natural.support.y[..., 1].sum(axis=1)
    assert rare.min() >= 1 and rare.max() <= 16
    assert rare.min() <= 3 and rare.max() >= 15 and 7.5 < rare.mean() < 10.1  # 32 x 27.5 % = 8.8
    # Support and query of a natural draw share the prevalence, task by task; a balanced draw of
    # the same key is the same disease with the same query labels.
    share = natural.query.y[..., 1].mean(axis=1)
    assert np.corrcoef(share, rare)[0, 1] > 0.9
    np.testing.assert_array_equal(natural.query.y, balanced.query.y)
    few = raw([4] * 4, 0.0).support
    assert (few.mask[..., 0].sum(axis=1) == 4).all()
    assert (few.y.sum(axis=1).min(axis=1) >= 1).all()
    mixed = raw([32] * 4, 0.75).support.y[..., 1].sum(axis=1)
    assert 0.65 < (mixed == 16).mean() < 0.87


def test_clinical_shots_and_draw_are_run_time_values(clinic):
    raw, *_, traces = clinic
    raw([8, 8, 16, 16], 0.5)
    assert len(traces) == 1


def test_clinical_statistics_resemble_tables(clinic):
    _, _, natural, _ = clinic
    share = natural.query.y[..., 1].mean(axis=1)
    assert 0 <= share.min() < 0.08 and 0.45 < share.max() < 0.75 and 0.24 < share.mean() < 0.31
    x = np.concatenate([natural.support.x, natural.query.x], axis=1)
    columns, binary, missing, correlations = [], [], [], []
    for table in x:
        kept = ~np.isnan(table).all(axis=0)
        columns.append(kept.sum())
        table = table[:, kept]
        missing.append(np.isnan(table).mean())
        binary.append(np.mean([len(np.unique(c[~np.isnan(c)])) <= 2 for c in table.T]))
        filled = np.where(np.isnan(table), np.nanmean(table, axis=0), table)
        filled = filled[:, filled.std(axis=0) > 0]
        matrix = np.abs(np.corrcoef(filled.T))
        correlations.append(np.median(matrix[np.triu_indices(len(matrix), 1)]))
    assert min(columns) <= 5 and max(columns) == 32 and 16 < np.mean(columns) < 20
    assert 0.22 < np.mean(binary) < 0.38
    assert 0.03 < np.mean(missing) < 0.10 and np.min(missing) == 0 and np.max(missing) > 0.2
    assert 0.12 < np.mean(correlations) < 0.25


def test_clinical_tasks_are_learnable_but_not_trivial(clinic):
    _, balanced, _, _ = clinic
    tasks = jax.tree.map(np.asarray, jax.jit(jax.vmap(standardise_by_support))(balanced))
    scores = []
    for t in range(60):
        y = tasks.query.y[t, :, 1]
        if 3 <= y.sum() <= 61:
            model = LogisticRegression(C=0.01, solver="liblinear")
            model.fit(tasks.support.x[t], tasks.support.y[t, :, 1])
            scores.append(roc_auc_score(y, model.decision_function(tasks.query.x[t])))
    assert len(scores) > 50
    assert 0.68 < np.mean(scores) < 0.88


def test_support_and_query_of_a_disease_share_their_distribution(clinic):
    """Within a class, support and query rows have the same mean rank in the first column."""
    _, balanced, _, _ = clinic
    for label in (0, 1):
        gaps = []
        for t in range(TASKS):
            s = balanced.support.x[t][balanced.support.y[t, :, label] == 1]
            q = balanced.query.x[t][balanced.query.y[t, :, label] == 1]
            if len(q) < 3 or np.isnan(s[:, 0]).any() or np.isnan(q[:, 0]).any():
                continue
            pooled = np.concatenate([s[:, 0], q[:, 0]])
            rank = pooled.argsort().argsort()
            if len(np.unique(pooled)) == len(pooled):
                gaps.append((rank[len(s) :].mean() - rank[: len(s)].mean()) / len(pooled))
        assert len(gaps) > 30
        assert abs(np.mean(gaps)) < 4 * np.std(gaps) / np.sqrt(len(gaps))


def test_standardise_by_support():
    nan = np.nan
    support = np.array(
        [[1, 7, nan, 0.1, 5], [3, 7, nan, nan, nan], [nan, 7, nan, 0.1, 9], [99, 99, 99, 99, 99]]
    )
    query = np.array([[2, 8, 4, nan, 7], [nan, nan, nan, 0.1, 1e6]])
    mask = np.array([1.0, 1, 1, 0])[:, None] * np.ones(2)
    episode = Episode(
        Examples(jnp.float32(support), mask, mask), Examples(jnp.float32(query), None, None)
    )
    out = standardise_by_support(episode)
    z = [[-1, 0, 0, 0, -1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0] * 5]
    flag = [[0] * 5, [0, 0, 0, 1, 1], [1, 0, 0, 0, 0], [0] * 5]
    np.testing.assert_allclose(out.support.x, np.hstack([z, flag]), atol=1e-6)
    z, flag = [[0, 0, 0, 0, 0], [0, 0, 0, 0, 5]], [[0, 0, 0, 1, 0], [1, 1, 0, 0, 0]]
    np.testing.assert_allclose(out.query.x, np.hstack([z, flag]), atol=1e-6)


def test_query_rows_never_enter_the_statistics(clinic):
    episode = jax.tree.map(lambda a: a[0], clinic[1])
    changed = episode.query.x.copy()
    changed[1:] = 1e4
    standardise = jax.jit(standardise_by_support)
    other = standardise(episode._replace(query=episode.query._replace(x=changed)))
    plain = standardise(episode)
    np.testing.assert_array_equal(plain.support.x, other.support.x)
    np.testing.assert_array_equal(plain.query.x[0], other.query.x[0])
    assert np.isfinite(plain.query.x).all() and np.abs(plain.query.x).max() <= 5
    assert not np.isfinite(episode.query.x).all()
