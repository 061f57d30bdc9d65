"""The evaluator: the same episodes for everybody, and scores that only the outputs decide."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk
from worlds import cut, key

from metajax import evaluation
from metajax.evaluation import draw, evaluate, predict, score
from metajax.learners import LEARNERS
from metajax.metrics import METRICS
from metajax.nn import Identity
from metajax.tasks import task_pool
from metajax.types import Examples, Learner, TaskSource, TaskSpec

BINARY = TaskSpec(2, "multiclass")
SIZES = (24, 30, 18, 24)
TASK = np.repeat(np.arange(4), SIZES)
LABELS = np.arange(len(TASK)) % 3 == 0
TASKS, BATCH, EPISODES = (0, 2, 3), 4, 10
CLUSTERS = (7, 5, 7, 9)


@functools.cache
def pool():
    """Four tasks of other sizes, so queries are padded; the second is not among those drawn."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(len(TASK), 3)) + LABELS[:, None]).astype(np.float32)
    y = LABELS.astype(np.int32)
    return task_pool(x, y, TASK, shots=4, clusters=CLUSTERS, tasks=TASKS)


@functools.cache
def built(name="ridge"):
    learner = LEARNERS[name](BINARY, Identity())
    shapes = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), episodes())
    return learner, learner.init(key(1), shapes)


@functools.cache
def episodes(seed=0):
    return draw(pool(), key(seed), tasks=EPISODES, batch=BATCH)


def predicted(name="ridge", seed=0, tasks=EPISODES, batch=BATCH, **options):
    return predict(*built(name), pool(), key(seed), tasks=tasks, batch=batch, **options)


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_episode_i_uses_task_i_mod_t():
    found = predicted()
    expected = np.array(TASKS)[np.arange(EPISODES) % 3]
    np.testing.assert_array_equal(found.task, expected)
    np.testing.assert_array_equal(found.cluster, np.array(CLUSTERS)[expected])
    for task, query, support in zip(
        expected, found.row, episodes().support.info["row"], strict=True
    ):
        query, support = query[query >= 0], support[support >= 0]
        assert set(TASK[query]) == set(TASK[support]) == {task}
        # All rows of the task that the support left, each once.
        assert sorted([*query, *support]) == list(np.flatnonzero(TASK == task))


@pytest.mark.parametrize("name", ["ridge", "protonet", "pooled", "maml"])
def test_every_learner_sees_the_episodes_that_are_drawn(name):
    found, query = predicted(name), episodes().query
    equal((found.y, found.mask, found.row), (query.y, query.mask, query.info["row"]))
    assert found.outputs.shape == query.y.shape
    assert (found.outputs[query.mask == 0] == 0).all()


def test_the_outputs_are_those_of_the_learner_adapted_to_the_support():
    learner, params = built()
    support, query = jax.tree.map(lambda leaf: jnp.asarray(leaf[2]), episodes())
    alone = learner.predict(params, learner.adapt(params, support, key(5)), query.x)
    np.testing.assert_allclose(predicted().outputs[2], alone * query.mask, atol=1e-5)


def test_episodes_and_scores_are_the_same_whatever_their_number_and_batch():
    whole, other = predicted(), predicted(batch=3)
    equal((other.row, other.y, other.mask), (whole.row, whole.y, whole.mask))
    ours, theirs = score(BINARY, other), score(BINARY, whole)
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], atol=1e-5, err_msg=name)
    equal(predicted(tasks=5), jax.tree.map(lambda leaf: leaf[:5], whole))
    equal(draw(pool(), key(), tasks=5, batch=3), jax.tree.map(lambda leaf: leaf[:5], episodes()))


def test_episodes_of_one_task_differ():
    rows = np.sort(episodes().support.info["row"], 1)
    assert len(np.unique(rows, axis=0)) == EPISODES


def test_another_key_gives_other_episodes():
    assert (predicted(seed=1).row != predicted().row).any()


def test_a_query_in_blocks_is_the_same_query():
    assert episodes().query.y.shape[1] % 7
    np.testing.assert_allclose(predicted(block=7).outputs, predicted().outputs, atol=1e-5)


def test_evaluation_is_prediction_and_score():
    found = evaluate(*built(), pool(), key(), tasks=EPISODES, batch=BATCH)
    whole = predicted()
    expected = score(BINARY, whole) | {"task": whole.task, "cluster": whole.cluster}
    assert set(found) == {*METRICS["multiclass"], "nonfinite", "task", "cluster"}
    equal(found, expected)
    assert all(values.shape == (EPISODES,) for values in found.values())
    assert found["auroc"].mean() > 0.6


def test_no_second_compilation_for_another_key_or_other_parameters():
    learner, params = built("ridge")
    predicted()
    counts = evaluation._draw_batch._cache_size(), evaluation._predict_batch._cache_size()
    others = jax.tree.map(lambda leaf: leaf + 1, params)
    predict(learner, others, pool(), key(3), tasks=7, batch=BATCH)
    assert counts == (
        evaluation._draw_batch._cache_size(), evaluation._predict_batch._cache_size()
    )  # fmt: skip
    assert min(counts) > 0


def broken(value, spec=BINARY):
    """Outputs the first input; but `value` in the episode whose support rows sum to `rows`."""

    def predict(params, adapted, x):
        outputs = jnp.stack([-x[:, 0], x[:, 0]], -1)[:, : spec.outputs]
        row = jnp.arange(len(x)) == 1
        return jnp.where((adapted == params) & row[:, None], value, outputs)

    return Learner(
        lambda key, episode: jnp.int32(-1),
        lambda params, support, key: support.info["row"].sum(),
        predict,
        lambda params, episode, key: (jnp.float32(0), {}),
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_not_finite_scores_as_chance_and_is_counted(value):
    sums = episodes().support.info["row"].sum(1)
    bad = np.arange(EPISODES) == 3
    assert (sums == sums[3]).sum() == 1
    learner = broken(value)
    fine = evaluate(learner, jnp.int32(-1), pool(), key(), tasks=EPISODES, batch=BATCH)
    found = evaluate(learner, jnp.int32(sums[3]), pool(), key(), tasks=EPISODES, batch=BATCH)
    np.testing.assert_array_equal(fine["nonfinite"], np.zeros(EPISODES))
    np.testing.assert_array_equal(found["nonfinite"], bad)
    assert found["auroc"][3] == 0.5 and found["brier"][3] == 0.25
    assert found["log_loss"][3] == pytest.approx(np.log(2)) != fine["log_loss"][3]
    assert found["balanced_accuracy"][3] == 0.5
    for name in METRICS["multiclass"]:
        np.testing.assert_array_equal(found[name][~bad], fine[name][~bad], err_msg=name)


def world(data, key, task=None):
    """Regression on rows of no pool; every key is a new task."""
    x = jax.random.normal(key, (8, 2)) + data
    return cut(Examples(x, x[:, :1], jnp.ones((8, 1))), 3)


def test_a_world_without_rows_where_chance_is_the_mean_of_the_support():
    source = TaskSource(TaskSpec(1, "regression"), jnp.float32(1), world)
    learner = broken(np.nan, source.spec)._replace(adapt=lambda params, support, key: params)
    support = draw(source, key(), tasks=3, batch=BATCH).support
    found = predict(learner, jnp.int32(0), source, key(), tasks=3, batch=BATCH)
    np.testing.assert_array_equal(found.task, [0, 1, 2])
    np.testing.assert_array_equal(found.cluster, [0, 1, 2])
    assert (found.row == -1).all() and found.row.shape == (3, 5)
    np.testing.assert_array_equal(found.nonfinite, [1, 1, 1])
    means = np.broadcast_to(support.y.mean(1, keepdims=True), (3, 5, 1))
    np.testing.assert_allclose(found.outputs, means, 1e-6)
    assert (score(source.spec, found)["spearman"] == 0).all()


def test_what_is_not_finite_in_padding_does_not_count():
    rows = episodes().query.mask[..., 0]
    assert (rows.sum(1) < rows.shape[1]).any()

    def predict_padding(params, adapted, x):
        place = jnp.arange(len(x))[:, None]
        return jnp.where(place < adapted, 0.0, jnp.nan) * jnp.ones(2)

    learner = broken(0.0)._replace(
        adapt=lambda params, support, key: params, predict=predict_padding
    )
    least = int(rows.sum(1).min())
    found = predict(learner, jnp.int32(least), pool(), key(), tasks=EPISODES, batch=BATCH)
    np.testing.assert_array_equal(found.nonfinite, rows.sum(1) > least)
    assert 0 < found.nonfinite.sum() < EPISODES
    assert np.isfinite(found.outputs).all()


def test_a_query_of_one_class_leaves_metrics_undefined():
    whole = predicted()
    y = whole.y.copy()
    y[1] = np.array([1.0, 0.0]) * whole.mask[1]
    scores = score(BINARY, whole._replace(y=y))
    for name in ("auroc", "auprc", "balanced_accuracy", "sensitivity_at_90_specificity"):
        np.testing.assert_array_equal(np.isnan(scores[name]), np.arange(EPISODES) == 1)
    for name in ("accuracy", "brier", "log_loss", "ece", "prevalence", "nonfinite"):
        assert np.isfinite(scores[name]).all(), name
    assert scores["prevalence"][1] == 0


def test_scores_are_those_of_scikit_learn():
    whole = predicted()
    scores = score(BINARY, whole)
    for i in range(EPISODES):
        here = whole.mask[i, :, 0] > 0
        logits, y = whole.outputs[i][here].astype(np.float64), whole.y[i][here, 1]
        p = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
        expected = {
            "auroc": sk.roc_auc_score(y, p),
            "auprc": sk.average_precision_score(y, p),
            "balanced_accuracy": sk.balanced_accuracy_score(y, p > 0.5),
            "accuracy": sk.accuracy_score(y, p > 0.5),
            "brier": sk.brier_score_loss(y, p),
            "log_loss": sk.log_loss(y, p),
            "prevalence": y.mean(),
        }
        for name, value in expected.items():
            assert scores[name][i] == pytest.approx(value, abs=1e-5), name


@pytest.mark.parametrize("options", [{"tasks": 0}, {"batch": 0}, {"tasks": -3}])
def test_nothing_to_evaluate_is_refused(options):
    with pytest.raises(ValueError, match="tasks and batch must be at least 1; got "):
        predicted(**options)
    with pytest.raises(ValueError, match="tasks and batch must be at least 1; got "):
        draw(pool(), key(), **({"tasks": 4, "batch": 4} | options))
