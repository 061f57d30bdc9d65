"""Training on many draws side by side, with the step size that validation rows choose."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from metajax import baselines, describe, disk, precision, records
from metajax.config import Encoder, Inner, build_encoder
from metajax.datasets import Family
from metajax.evaluation import Predictions, score
from metajax.hyper import HYPER
from metajax.learners import LEARNERS
from metajax.sample_reweighting.draws import Draws, make_draws
from metajax.sample_reweighting.settings import (
    DATA,
    HOST,
    METHODS,
    OWN,
    PLAIN,
    RIGHT,
    SPEC,
    Setting,
)
from metajax.types import Episode, Examples, Learner

BATCH, MOMENTUM = 100, 0.9
RATES = (0.001, 0.003, 0.01, 0.03)
TUNING = {"flip": (0.4, 20), "imbalance": (0.95, 10)}  # the setting and right rows it is done on
TUNING_DRAWS = 4
VALIDATION = ["data", "damage", "method", "steps", "draws", "rate", "auroc", "brier", "protocol"]


def definition(setting: Setting) -> dict[str, Any]:
    """What makes a setting's benchmark, JSON: part of the identity of its runs."""
    data = DATA[setting.data]
    told = {"damage": setting.damage, "share": setting.share, "family": setting.data}
    told |= {"right": RIGHT, "flipped": data.flipped, "imbalanced": data.imbalanced}
    told |= {"rates": RATES, "tuned_on": TUNING[setting.damage], "tuning_draws": TUNING_DRAWS}
    return {name: describe.plain(value) for name, value in told.items()}


def tuning_protocol(setting: Setting, method: str) -> str:
    """A digest of what decides the step size of a method, beside its steps and draws."""
    told = definition(setting) | {"share": None, "encoder": describe.text(DATA[setting.data])}
    told |= {"inner": describe.text(inner_of(method, setting, 0))}
    content = json.dumps([told, precision.unusual(), records.NUMBERS_VERSION], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:8]


@cache
def programs(inner: Inner, name: str, encoder: Encoder) -> tuple:
    """A learner's ``(support, numbers, rate) -> (networks, weights)`` and predictions, compiled.

    All inputs have a leading axis, of draws that are trained side by side; `numbers` (E,) are those
    of the draws and fix the start and the mini-batches.
    """
    extra = {HYPER[flag]: value for flag, value in dataclasses.asdict(inner).items()}
    extra = {argument: value for argument, value in extra.items() if value is not None}

    def build(rate: jax.Array) -> Learner:
        return LEARNERS[name](SPEC, build_encoder(encoder), **extra | {"inner_lr": rate})

    def train(support: Examples, numbers: jax.Array, rate: jax.Array):
        def one(support: Examples, number: jax.Array):
            key = jax.random.fold_in(jax.random.key(0), number)
            learner, (start, luck) = build(rate), jax.random.split(key)
            params = learner.init(start, Episode(support, support))
            return learner.adapt(params, support, luck)

        return jax.vmap(one)(support, numbers)

    def predict(adapted, x: jax.Array) -> jax.Array:
        return jax.vmap(lambda one, x: build(0.1).predict({}, one, x))(adapted, x)

    return jax.jit(train), jax.jit(predict)


def inner_of(method: str, setting: Setting, steps: int, rate: float | None = None) -> Inner:
    """The hyper-parameters of a method."""
    extra = OWN[method]
    if method == "meta_weight_net":
        extra = extra | {"normalise": setting.damage == "imbalance"}  # as the authors' two codes
    return Inner(lr=rate, steps=steps, momentum=MOMENTUM, batch=BATCH, **extra)


def train_all(
    method: str, setting: Setting, draws: Draws, numbers: Sequence[int], steps: int, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """Trains a method on draws.

    Returns:
      Outputs on the query rows (E, Q, 2); the mean weight of every support row (E, N).
    """
    support, query = draws.episode
    if method == "right_rows":
        mask = support.mask * support.info["trusted"][..., None]
        support = support._replace(mask=mask)
    if method == HOST:
        outputs = baselines.predict_episodes(
            HOST, support.x, support.y, support.mask, query.x, seed=0
        )
        return outputs, np.ones(support.mask.shape[:2])
    data, found = DATA[setting.data], []
    name = "uniform" if method in PLAIN else method
    train, predict = programs(inner_of(method, setting, steps), name, data.encoder)
    # Networks of convolutions train faster one after the other.
    size = 1 if data.encoder.name == "conv4" else len(numbers)
    for start in range(0, len(numbers), size):
        at = slice(start, start + size)
        some = jax.tree.map(lambda leaf, at=at: leaf[at], support)
        adapted = train(some, np.asarray(numbers[at]), np.float32(rate))
        found.append((np.asarray(predict(adapted, query.x[at])), np.asarray(adapted.weights)))
    return tuple(map(np.concatenate, zip(*found, strict=True)))


def best_rate(method: str, setting: Setting, family: Family, steps: int, folder: Path) -> float:
    """The step size of a method; see `tuned`."""
    return tuned(method, setting, family, steps, folder)[0]


def tuned(
    method: str, setting: Setting, family: Family, steps: int, folder: Path, *, again: bool = False
) -> tuple[float, float]:
    """The step size of a method and its AUROC on validation rows.

    Looked up in validation.csv, if the same protocol has written it there, unless told to choose
    again.
    """
    data, path = DATA[setting.data], folder / "validation.csv"
    draws = min(data.draws, TUNING_DRAWS) if data.encoder.name == "conv4" else data.draws
    own = (setting.data, setting.damage, method, steps, draws)
    protocol = tuning_protocol(setting, method)
    known = {name: str for name in VALIDATION[:3] + VALIDATION[8:]}
    frame = pd.read_csv(path, dtype=known) if path.exists() else pd.DataFrame(columns=VALIDATION)
    frame = frame.reindex(columns=VALIDATION)
    mine = frame[(frame[VALIDATION[:5]] == pd.Series(own, VALIDATION[:5])).all(axis=1)]
    mine = mine[mine.protocol == protocol]
    if mine.empty or again:
        share, right = TUNING[setting.damage]
        tuned = Setting(setting.data, setting.damage, share)
        numbers = range(1000, 1000 + draws)
        made = make_draws(tuned, family, right, numbers, 1, ideal=method == "ideal")
        rows = []
        for rate in RATES:
            outputs, _ = train_all(method, tuned, made, numbers, steps, rate)
            scores = score(SPEC, predictions(outputs, made.episode.query))
            told = (float(scores[name].mean()) for name in VALIDATION[6:8])
            rows.append((*own, rate, *told, protocol))
        mine = pd.DataFrame(rows, columns=VALIDATION)
        keep_validation(path, mine)
    best = mine.iloc[int(mine.auroc.argmax())]
    return float(best.rate), float(best.auroc)


def keep_validation(path: Path, rows: pd.DataFrame) -> None:
    """Adds a method's rows to validation.csv, which other processes may be writing as well."""
    with records.claim(path.parent / "runs", [path.name]):
        if path.exists():
            before = pd.read_csv(path, dtype={"protocol": str}).reindex(columns=VALIDATION)
            rows = pd.concat([before, rows])
        order = {name: i for i, name in enumerate([*DATA, "flip", "imbalance", *METHODS])}
        rows = rows.drop_duplicates(VALIDATION[:6], keep="last").sort_values(
            VALIDATION[:6], key=lambda c: c.map(order) if c.name in VALIDATION[:3] else c
        )
        # It is read without a claim: never half written.
        disk.write(path, rows.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def renew_validation(path: Path, write: bool) -> dict[tuple[str, str, str], float]:
    """Gives the rows of validation.csv today's protocol; for scripts/migrate_records.py.

    Args:
      path: validation.csv.
      write: change it; otherwise only read it.

    Returns:
      The AUROC of the chosen step size by data set, damage and method.
    """
    frame = pd.read_csv(path).reindex(columns=VALIDATION)
    frame["protocol"] = [
        tuning_protocol(Setting(data, damage, 0.0), method)
        for data, damage, method in zip(frame["data"], frame.damage, frame.method, strict=True)
    ]
    if write:
        keep_validation(path, frame)
    return frame.groupby(VALIDATION[:3]).auroc.max().to_dict()


def predictions(outputs: np.ndarray, query: Examples) -> Predictions:
    """Outputs with what is needed to score them; chance where they are not finite."""
    bad = ~np.isfinite(outputs).all((1, 2))
    outputs = np.where(bad[:, None, None], 0, outputs).astype(np.float32)
    one = np.zeros(len(outputs), np.int32)
    return Predictions(
        outputs, query.y, query.mask, query.info["row"], one, one, bad.astype(np.float32)
    )
