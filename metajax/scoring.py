"""From predictions to the arrays of a record: scores, bootstrap replicates, calibration (floor 5).

Scoring knows nothing of how the predictions were made, so learners and host baselines share it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from metajax import metrics, statistics
from metajax.benchmarks import Benchmark, episode_key
from metajax.evaluation import Predictions, score
from metajax.tasks import choose
from metajax.types import TaskSpec

DRAW_NAMES = ("natural", "balanced")
# Metrics with patient replicates, by draw: what depends on the prevalence, what ranks. A benchmark
# with one draw gets both.
BOOT_METRICS = {
    "multiclass": (("brier", "ece", "log_loss"), ("auroc", "auprc", "balanced_accuracy")),
    "multilabel": (("brier", "ece", "log_loss"), ("auroc", "auprc", "balanced_accuracy")),
    "regression": (("mse", "spearman"), ()),
}
ONE_DRAW = {kind: natural + balanced for kind, (natural, balanced) in BOOT_METRICS.items()}
ONE_DRAW["multiclass"] += ("accuracy",)
BOOT_DRAWS = 400


def _settings(benchmark: Benchmark) -> Iterator[tuple[int, int]]:
    """Support sizes and draws under which a benchmark is tested."""
    return ((shots, draw) for shots in benchmark.shots for draw in benchmark.draws)


def score_all(
    benchmark: Benchmark, outputs: Callable[..., Predictions], episodes_per_task: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], str]:
    """Scores a method in every setting and fold of a benchmark.

    Args:
      benchmark: what to score on.
      outputs: ``(fold number, fold, source, key, episodes) -> Predictions``.
      episodes_per_task: test episodes of every task, support size and draw.

    Returns:
      The arrays of ``scores.npz``; those of ``predictions.npz``, in which the query rows of all
      episodes follow each other in the order of the scores: ``queries`` (E,) how many an episode
      has, ``row`` (n,), ``y`` (n, C), ``outputs`` (n, C) in float16; a digest of the rows.
    """
    columns: dict[str, list[np.ndarray]] = {}
    boot: dict[str, list] = {"boot": [], "boot_shots": [], "boot_draw": [], "boot_metric": []}
    bins: dict[int, list[np.ndarray]] = {}
    digests, kept = [], {"queries": [], "row": [], "y": [], "outputs": []}
    for shots, way in _settings(benchmark):
        names = BOOT_METRICS[benchmark.spec.kind][way]
        if len(benchmark.draws) == 1:
            names = ONE_DRAW[benchmark.spec.kind]
        parts: list[tuple[Predictions, dict[str, np.ndarray]]] = []
        for i, fold in enumerate(benchmark.folds):
            source = choose(fold.test, shots=shots, draw=DRAW_NAMES[way])
            episodes = episodes_per_task * len(source.tasks)
            key = episode_key(benchmark, shots, way)
            guess = outputs(i, fold, source, key, episodes)
            digests.append(zlib.crc32(np.ascontiguousarray(guess.row).tobytes()))
            present = guess.mask.max(-1) > 0
            kept["queries"].append(present.sum(1).astype(np.int32))
            kept["row"].append(guess.row[present].astype(np.int32))
            kept["y"].append(guess.y[present])
            kept["outputs"].append(np.clip(guess.outputs[present], -6e4, 6e4).astype(np.float16))
            scores = score(benchmark.spec, guess)
            units = {
                "shots": np.full(episodes, shots, np.int32),
                "draw": np.full(episodes, way, np.int8),
                "episode": np.arange(episodes, dtype=np.int32),
                "task": guess.task.astype(np.int32),
                "cluster": guess.cluster.astype(np.int32),
            }
            for name, values in (units | scores).items():
                columns.setdefault(name, []).append(values)
            parts.append((guess, scores))
            if benchmark.spec.kind == "multiclass" and benchmark.spec.outputs == 2:
                table = bins.setdefault(shots, [np.zeros((10, 3)), np.zeros((10, 3))])
                table[way] += _calibration(guess)
        for name, by_task in _deviations(benchmark, parts, names).items():
            boot["boot"].append(np.stack([by_task[t] for t in sorted(by_task)]))
            boot["boot_shots"].append(shots)
            boot["boot_draw"].append(way)
            boot["boot_metric"].append(name)
            boot["boot_task"] = sorted(by_task)
    arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
    arrays |= {name: np.asarray(values) for name, values in boot.items()}
    arrays["boot"] = arrays["boot"].astype(np.float16)
    if bins:
        arrays["calibration"] = np.asarray(list(bins.values()), np.float32)
        arrays["calibration_shots"] = np.asarray(list(bins), np.int32)
    predictions = {name: np.concatenate(parts) for name, parts in kept.items()}
    return arrays, predictions, f"{zlib.crc32(np.asarray(digests, np.uint32).tobytes()):08x}"


def _deviations(
    benchmark: Benchmark, parts: list[tuple[Predictions, dict[str, np.ndarray]]], names
) -> dict[str, dict[int, np.ndarray]]:
    """Patient-bootstrap deviations of every task's mean score, by metric and task.

    Seeded by benchmark and task alone: equal patients are drawn for every learner.
    """
    seed = zlib.crc32(benchmark.name.encode())
    common = _common_draws(benchmark, [g for g, _ in parts], seed) if benchmark.common else None
    found: dict[str, dict[int, np.ndarray]] = {name: {} for name in names}
    for guess, scores in parts:
        influence = _influence(benchmark.spec, names, guess.outputs, guess.y, guess.mask)
        for task in np.unique(guess.task):
            mine = guess.task == task
            row = guess.row[mine]
            used = np.unique(row[row >= 0])  # of a family of half a million rows, a few hundred
            place = np.where(row >= 0, np.searchsorted(used, row), -1)
            patients, weights = benchmark.patients[used], None
            if common is not None:
                weights = common[1][:, np.searchsorted(common[0], np.unique(patients))]
            for name in names:
                found[name][int(task)] = statistics.patient_replicates(
                    scores[name][mine], np.asarray(influence[name])[mine], place, patients,
                    np.random.default_rng([seed, int(task)]), draws=BOOT_DRAWS, weights=weights,
                )  # fmt: skip
    return found


def _common_draws(
    benchmark: Benchmark, guesses: list[Predictions], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """All queried patients (P,), ascending, and their Poisson weights (draws, P)."""
    rows = np.concatenate([guess.row[guess.row >= 0] for guess in guesses])
    patients = np.unique(benchmark.patients[rows])
    rng = np.random.default_rng(seed)
    return patients, rng.poisson(1.0, (BOOT_DRAWS, len(patients))).astype(np.int8)


@partial(jax.jit, static_argnums=(0, 1))
def _influence(spec: TaskSpec, names: tuple[str, ...], outputs, y, mask):
    """The influence of every query row on every named score of every episode, each (E, Q)."""
    return jax.vmap(lambda *rows: metrics.influence(spec, *rows, names))(outputs, y, mask)


def _calibration(guess: Predictions) -> np.ndarray:
    """Sums of (probability, label, count) over all test rows, by probability bin (10, 3)."""
    logits = jnp.asarray(guess.outputs)
    probability = jax.nn.softmax(logits, -1)[..., 1].ravel()
    weights = jnp.asarray(guess.mask).max(-1).ravel()
    labels = jnp.asarray(guess.y)[..., 1].ravel()
    return np.asarray(metrics.calibration_bins(probability, labels, weights), np.float64)
