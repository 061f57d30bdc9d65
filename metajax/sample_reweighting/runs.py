"""The record of a method on a setting: scores, their bootstrap, and what its weights say."""

from __future__ import annotations

import dataclasses
import shutil
import time
import zlib
from pathlib import Path

import jax
import numpy as np
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from metajax import metrics, origins, records
from metajax.config import Evaluate, Inner, RunConfig, Train, complete, used_encoder
from metajax.datasets import Family
from metajax.evaluation import Predictions, score
from metajax.sample_reweighting import training
from metajax.sample_reweighting.draws import Draws, make_draws
from metajax.sample_reweighting.settings import (
    BOOT,
    DATA,
    HOST,
    PLAIN,
    RIGHT,
    SHOWN,
    SPEC,
    SUITE,
    Setting,
)
from metajax.sample_reweighting.training import (
    definition,
    inner_of,
    predictions,
    train_all,
    tuned,
)
from metajax.statistics import patient_replicates

KEPT = (*SHOWN, "log_loss", "prevalence", "nonfinite")
EDGES = np.linspace(0, 4, 41, dtype=np.float32)  # of weights; the last bin has all above


def weights_told(setting: Setting, weights: np.ndarray, draws: Draws) -> dict[str, np.ndarray]:
    """What the weights of the damaged rows say, one number a draw; see `write_tables`."""
    data = DATA[setting.data]
    rows = data.flipped if setting.damage == "flip" else data.imbalanced
    damaged = slice(max(RIGHT), max(RIGHT) + rows)
    own, truth = weights[:, damaged], draws.truth[:, damaged]
    odd = truth == 1
    names = ("weight_common", "weight_rare")
    if setting.damage == "flip":
        odd = draws.episode.support.y[:, damaged, 1] != truth
        names = ("weight_right", "weight_wrong")
    told = {
        name: np.array([w[s].mean() for w, s in zip(own, side, strict=True)], np.float32)
        for name, side in zip(names, (~odd, odd), strict=True)
    }
    if setting.damage == "flip":
        told["weight_auroc"] = np.array(
            [roc_auc_score(~s, w) for w, s in zip(own, odd, strict=True)], np.float32
        )
        told["weight_counts"] = np.stack(
            [np.histogram(np.minimum(own[s], EDGES[-1]), EDGES)[0] for s in (~odd, odd)]
        ).astype(np.float32)
    return told


def run(
    method: str, setting: Setting, family: Family, draws: int, steps: int, folder: Path,
    *, again: bool = False,
) -> tuple[Path, str]:  # fmt: skip
    """Trains and tests one method on one setting: its record, and what is said of it if kept.

    Made again (see `metajax.records.standing`), its step size is chosen again as well.
    """
    rate, best = None, None
    if method != HOST:
        rate, best = tuned(method, setting, family, steps, folder)
    config = configuration(method, setting, draws, steps, rate)
    name = records.run_id(config, (family.card,), definition(setting))
    place = folder / "runs" / name
    own = origins_of(method, config, setting)
    with records.claim(place.parent, [name]):  # another sweep may be making it
        said = records.standing(place, own, again=again)
        if said:
            return place, said
        before = place if records.is_complete(place) else None
        if before is not None and method != HOST:
            rate, best = tuned(method, setting, family, steps, folder, again=True)
            config = configuration(method, setting, draws, steps, rate)
            name = records.run_id(config, (family.card,), definition(setting))
            place = place.with_name(name)
        _make(config, rate, best, setting, family, place, own)
        if before not in (None, place):  # another step size is another run: it replaces this one
            shutil.rmtree(before)
    return place, ""


def origins_of(method: str, config: RunConfig, setting: Setting) -> dict[str, str]:
    """Digests of the files that a run's numbers come from; see `metajax.origins`."""
    learners = ("uniform",) if method in PLAIN else ()
    modules = (training.__file__, __file__)
    own = {}
    for module in modules:
        families = (setting.data,)
        own |= origins.of_script(module, config, families=families, learners=learners)
    return own


def configuration(
    method: str, setting: Setting, draws: int, steps: int, rate: float | None
) -> RunConfig:
    """The configuration of a run, resolved: what is plain is trained as `uniform` is."""
    inner = Inner() if method == HOST else inner_of(method, setting, steps, rate)
    inner = complete(inner, "uniform" if method in PLAIN else method)
    return RunConfig(
        SUITE, setting.name, method, 0, setting.right, inner, Train(steps=0),
        used_encoder(DATA[setting.data].encoder), Evaluate(draws),
    )  # fmt: skip


def _make(
    config: RunConfig, rate: float | None, best: float | None, setting: Setting, family: Family,
    place: Path, own: dict[str, str],
) -> None:
    """Trains and tests, and writes the record."""
    started = time.perf_counter()
    method, steps, draws = config.learner, config.inner.steps, config.evaluate.episodes
    numbers = range(draws)
    columns: dict[str, list[np.ndarray]] = {}
    boot, bins = [], []
    for right in setting.right:
        made = make_draws(setting, family, right, numbers, 2, ideal=method == "ideal")
        outputs, weights = train_all(method, setting, made, numbers, steps, rate)
        guess = predictions(outputs, made.episode.query)
        scores = {name: values for name, values in score(SPEC, guess).items() if name in KEPT}
        units = {
            "shots": np.full(draws, right, np.int32), "draw": np.zeros(draws, np.int8),
            "episode": np.arange(draws, dtype=np.int32), "task": guess.task,
            "cluster": guess.cluster,
        }  # fmt: skip
        weighs = method not in (*PLAIN, HOST)
        told = weights_told(setting, weights, made) if weighs else {}
        for key, values in (units | scores | told).items():
            columns.setdefault(key, []).append(values)
        boot += deviations(setting, guess, scores, family)
        bins.append(calibration(guess))
    arrays = {
        key: sum(parts) if key == "weight_counts" else np.concatenate(parts)
        for key, parts in columns.items()
    }
    if "weight_counts" in arrays:
        arrays["weight_edges"] = EDGES
    arrays |= {
        "boot": np.stack(boot)[:, None].astype(np.float16),
        "boot_shots": np.repeat(setting.right, len(BOOT)),
        "boot_draw": np.zeros(len(boot), np.int8), "boot_metric": np.resize(BOOT, len(boot)),
        "boot_task": np.zeros(1, np.int32),
        "calibration": np.stack([bins, np.zeros_like(bins)], 1).astype(np.float32),
        "calibration_shots": np.asarray(setting.right, np.int32),
    }  # fmt: skip
    seconds = round(time.perf_counter() - started, 2)
    result = {
        "status": "complete", "protocol": "disjoint", "tasks": [setting.data], "clusters": [0],
        "seconds": {"total": seconds},
        "hyper": {k: v for k, v in dataclasses.asdict(config.inner).items() if v is not None},
        "episodes_digest": f"{zlib.crc32(guess.row.tobytes()):08x}",
    }  # fmt: skip
    if best is not None:
        result["best/validation/auroc"] = best
    records.write_record(
        place.with_name(f".tmp-{place.name}"), place,
        identity=records.identity(config, definition(setting)),
        environment=records.environment((family.card,)), history=[],
        result=result | records.usage(seconds), arrays=arrays, origins=own, replace=True,
    )  # fmt: skip


@jax.jit
def influences(outputs: jax.Array, y: jax.Array, mask: jax.Array) -> dict[str, jax.Array]:
    """The influence of every query row on the scores of its draw, each (E, Q)."""
    return jax.vmap(lambda *rows: metrics.influence(SPEC, *rows, BOOT))(outputs, y, mask)


def deviations(setting: Setting, guess: Predictions, scores, family: Family) -> list[np.ndarray]:
    """Bootstrap deviations (400,) of the mean over draws, of every metric of `BOOT`.

    Test patients and draws are resampled, equally for all methods.
    """
    influence = influences(guess.outputs, guess.y, guess.mask)
    rows = guess.row[0]
    place = np.broadcast_to(np.arange(len(rows)), guess.row.shape)
    seed = zlib.crc32(setting.name.encode())
    return [
        patient_replicates(
            scores[name], np.asarray(influence[name]), place, family.groups[rows],
            np.random.default_rng(seed),
        )
        for name in BOOT
    ]  # fmt: skip


def calibration(guess: Predictions) -> np.ndarray:
    """Sums of (probability, label, rows) by tenths of the probability (10, 3)."""
    margin = guess.outputs[..., 1] - guess.outputs[..., 0]
    labels = guess.y[..., 1].ravel()
    probability = expit(margin).ravel()
    return np.asarray(metrics.calibration_bins(probability, labels, np.ones_like(labels)))
