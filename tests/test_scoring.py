"""Scoring: the bootstrap of patients that several tasks share."""

from types import SimpleNamespace

import numpy as np
import pytest

from metajax import scoring
from metajax.benchmarks.protocol import common_patients
from metajax.evaluation import Predictions, score
from metajax.types import TaskSpec

SPEC, PATIENTS = TaskSpec(2, "multiclass"), 300


def guesses(rows, tasks, rng):
    """Two equal episodes a task, over these rows; every task has the same outputs and labels."""
    label = rng.integers(0, 2, PATIENTS)
    outputs = np.stack([np.zeros(PATIENTS), label + rng.normal(size=PATIENTS)], -1)
    episodes = 2 * len(tasks)
    stacked = [np.broadcast_to(one, (episodes, PATIENTS, 2)).astype(np.float32)
               for one in (outputs, np.eye(2)[label], np.ones((PATIENTS, 2)))]  # fmt: skip
    task = np.repeat(tasks, 2)
    return Predictions(*stacked, np.repeat(rows, 2, axis=0), task, task, np.zeros(episodes))


def spread(parts, patients):
    """Standard deviations of each task's AUROC and of their mean, over the bootstrap."""
    row, task = (np.concatenate([getattr(one, name) for one in parts]) for name in ("row", "task"))
    rows = SimpleNamespace(
        groups=patients[row], task=np.broadcast_to(task[:, None], row.shape), clusters=np.arange(2)
    )
    common = common_patients(rows, np.ones(row.shape, bool))
    benchmark = SimpleNamespace(name="b", spec=SPEC, patients=patients, common=common)
    parts = [(part, score(SPEC, part)) for part in parts]
    found = scoring._deviations(benchmark, parts, ("auroc",))["auroc"]
    each = np.stack(list(found.values()))
    return each.std(1), each.mean(0).std()


@pytest.mark.parametrize("folds", [1, 2])
def test_tasks_on_the_same_patients_are_not_independent(folds):
    """Equal tasks err alike: the mean of two is no surer than one, in one fold or in two."""
    rows = np.arange(2 * PATIENTS).reshape(2, -1)
    for patients, factor in ((np.arange(2 * PATIENTS) % PATIENTS, 1), (np.arange(2 * PATIENTS), 2)):
        tasks = np.array([0, 1])
        parts = [guesses(rows[one], tasks[one], np.random.default_rng(0))
                 for one in np.split(np.arange(2), folds)]  # fmt: skip
        each, mean = spread(parts, patients)
        assert each == pytest.approx(each[0], rel=0.15)
        assert mean == pytest.approx(each.mean() / factor**0.5, rel=0.12 if factor == 2 else 1e-6)


@pytest.mark.parametrize(
    ("shared", "clusters", "common"), [(0, 9, False), (4, 9, False), (5, 9, True), (100, 10, False)]
)
def test_tasks_are_drawn_together_if_they_share_patients_and_are_few(shared, clusters, common):
    """100 patients, `shared` of them in two tasks, the others in one of the other tasks."""
    others = np.arange(100) % (clusters - 1) + 1
    task = np.concatenate([others, np.zeros(max(shared, 1), int)])
    groups = np.concatenate([np.arange(100), np.arange(shared) if shared else [100]])
    family = SimpleNamespace(groups=groups, task=task, clusters=np.arange(clusters))
    assert common_patients(family, np.ones(len(task), bool)) is common
    assert not common_patients(family, task > 0)  # what no test task queries is not counted


def test_common_draws_are_poisson():
    rows = np.arange(2 * PATIENTS).reshape(2, -1)
    part = guesses(rows, np.array([0, 1]), np.random.default_rng(0))
    ids = np.arange(2 * PATIENTS) % PATIENTS
    patients, weights = scoring._common_draws(SimpleNamespace(patients=ids), [part], 0)
    assert patients.tolist() == list(range(PATIENTS))
    assert weights.shape == (scoring.BOOT_DRAWS, PATIENTS)
    assert weights.mean() == pytest.approx(1, abs=0.01)
    assert weights.var() == pytest.approx(1, abs=0.02)
