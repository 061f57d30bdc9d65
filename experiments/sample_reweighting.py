"""Wrong labels and rare classes: does it help to learn from a few clean rows what a row is worth?

    python experiments/sample_reweighting.py                   about 25 minutes on one core
    python experiments/sample_reweighting.py --preset=smoke    seconds, its own folder

Protocol, after Ren et al. 2018 (https://arxiv.org/abs/1803.09050) and Shu et al. 2019
(https://arxiv.org/abs/1902.07379), on medical data; sizes are ours:

* Patients are dealt into training, validation and test once (PneumoniaMNIST: as published, without
  training images that are also in another part; tables: 50, 10 and 40 % of either class).
* A draw takes training rows at random, damages them, and adds rows known to be right, half of them
  of either class. ``flip20``, ``flip40``: each other label is turned round with probability .2, .4,
  so that at .5 nothing would be left; 10, 20 or 50 rows are right. ``imbalance90`` to ``995``: the
  share of class 0 (the healthy) among the other rows is .9 to .995; their labels are right, and 10
  balanced rows are added. Test rows keep their labels and prevalence.
* Every method trains the same network from the same start on the same mini-batches of the damaged
  and the right rows together; only weights differ. The step size is the best of `RATES` by AUROC on
  the validation rows (draws of their own; 40 % flips with 20 right rows, a share of .95), once a
  data set, kind of damage and method. Test rows are read once, after that.
* `right_rows`: plain training on the right rows alone. `ideal`: plain training on as many rows with
  right labels, or with both classes equally frequent: what is to be gained. `lr_c0.01`: logistic
  regression on the same rows.

Writes results/sample_reweighting/: validation.csv, table.md, table.csv, report.html.
"""

from __future__ import annotations

import dataclasses
import sys
import time
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import numpy as np
import pandas as pd
from rich.console import Console
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from metajax import baselines, commands, metrics, records, report, sweeps, tables, tracking
from metajax.config import Encoder, Evaluate, Inner, RunConfig, Train, build_encoder
from metajax.datasets import Family, scaled
from metajax.evaluation import Predictions, score
from metajax.hyper import HYPER
from metajax.learners import LEARNERS
from metajax.statistics import patient_replicates
from metajax.suites import load
from metajax.tables.layout import LOWER_IS_BETTER, cell, name_of, number
from metajax.types import Episode, Examples, Learner, TaskSpec

SUITE = "sample_reweighting"
SPEC = TaskSpec(2, "multiclass")
RIGHT = (10, 20, 50)
BATCH, MOMENTUM = 100, 0.9
RATES = (0.001, 0.003, 0.01, 0.03)
TUNING = {"flip": (0.4, 20), "imbalance": (0.95, 10)}  # the setting and right rows it is done on
TUNING_DRAWS = 4
BOOT = ("auroc", "balanced_accuracy", "brier")
SHOWN = (*BOOT, "auprc", "ece")
KEPT = (*SHOWN, "log_loss", "prevalence", "nonfinite")
VALIDATION = ["data", "damage", "method", "steps", "draws", "rate", "auroc", "brier"]
EDGES = np.linspace(0, 4, 41, dtype=np.float32)  # of weights; the last bin has all above


class Data(NamedTuple):
    """A data set of the suite.

    Attributes:
      flipped: damaged rows of a draw whose labels are flipped.
      imbalanced: the same of an imbalanced draw.
      shares: of class 0 in imbalanced draws.
      draws: of a setting.
      steps: of training.
      encoder: the network's body.
    """

    flipped: int
    imbalanced: int
    shares: tuple[float, ...]
    draws: int
    steps: int
    encoder: Encoder


DATA = {
    "pneumoniamnist": Data(
        1000, 1000, (0.9, 0.95, 0.98, 0.99, 0.995), 10, 150, Encoder((8,), name="conv4")
    ),
    "heart_uci": Data(350, 200, (0.9, 0.95), 20, 200, Encoder((32, 32), skip=False)),
    "support2": Data(1000, 1000, (0.9, 0.95), 20, 200, Encoder((32, 32), skip=False)),
}


class Setting(NamedTuple):
    """A benchmark: a data set, what is done to its rows ("flip", "imbalance"), and how much."""

    data: str
    damage: str
    share: float

    @property
    def name(self) -> str:
        """The benchmark's name."""
        return f"{self.data}_{self.damage}{f'{self.share:.3f}'[2:].rstrip('0'):0<2}"

    @property
    def right(self) -> tuple[int, ...]:
        """The numbers of right rows."""
        return RIGHT if self.damage == "flip" else RIGHT[:1]


SETTINGS = tuple(
    Setting(name, damage, share)
    for name, data in DATA.items()
    for damage, shares in (("flip", (0.2, 0.4)), ("imbalance", data.shares))
    for share in shares
)
PLAIN = ("ideal", "right_rows", "uniform")
# Hyper-parameters beside the common ones.
OWN: dict[str, dict] = {
    "ideal": {}, "right_rows": {}, "uniform": {}, "class_ratio": {}, "hard_mining": {},
    "self_paced": {"first": 0.5, "last": 0.7}, "importance": {},
    "reweight": {"trusted_batch": max(RIGHT)},
    # V takes a few hundred steps, not the paper's 60,000: its step size is larger in turn.
    "meta_weight_net": {"trusted_batch": max(RIGHT), "weigher_lr": 0.1},
}  # fmt: skip
HOST = "lr_c0.01"
METHODS = (*OWN, HOST)
OURS = ("reweight", "meta_weight_net")
RIVALS = tuple(name for name in METHODS if name not in (*OURS, "ideal"))


@dataclasses.dataclass(frozen=True)
class Flags:
    """Wrong labels and rare classes: learned weights of rows against their rivals."""

    preset: Literal["smoke", "full"] = "full"
    """smoke: one setting, four methods, few steps and draws; full: the protocol above."""
    benchmark: tuple[str, ...] | None = None
    """These settings only."""
    methods: tuple[str, ...] | None = None
    """These methods only."""
    draws: int | None = None
    """Draws of a setting, 2 or more; default: the data set's."""
    steps: int | None = None
    """Training steps, above 0; default: the data set's."""
    data_dir: str | None = None
    """Folder of the real data (default: METAJAX_DATA); absent files are downloaded."""
    results: str = "results"
    """Where records and tables go."""
    wandb: Literal["online", "offline", "disabled"] | None = None
    """Mirror runs to Weights & Biases; default: WANDB_MODE, or offline (online under an agent)."""
    tables: bool = True
    """Write tables and report in the end; False where other commands make runs at the same time."""


PRESETS = {
    "full": Flags(),
    "smoke": Flags(
        "smoke", ("heart_uci_flip40",), ("uniform", "hard_mining", "reweight", HOST), 2, 10
    ),
}


# Draws ----------------------------------------------------------------------------------------


class Draws(NamedTuple):
    """E draws of a setting.

    Attributes:
      episode: leaves (E, ...); rows of the support: `max(RIGHT)` places for right rows, the rest.
      truth: (E, N) the right labels of the support.
    """

    episode: Episode
    truth: np.ndarray


def parts(family: Family) -> np.ndarray:
    """Training (0), validation (1) or test (2) of every row; -1: in a later part, too."""
    if family.part is None:
        side = np.zeros(len(family.y), np.int8)
        rng = np.random.default_rng(zlib.crc32(family.card.name.encode()))
        for label in (0, 1):
            rows = rng.permutation(np.flatnonzero(family.y == label))
            side[rows[: round(0.4 * len(rows))]] = 2
            side[rows[len(rows) - round(0.1 * len(rows)) :]] = 1
        return side
    side = family.part.astype(np.int8)
    last = np.full(family.groups.max() + 1, -1)
    np.maximum.at(last, family.groups, side)
    return np.where(last[family.groups] == side, side, -1)


def choose_rows(
    setting: Setting, y: np.ndarray, draw: int, rows: int, *, ideal: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a draw: places in `y`, and whether a label is turned round.

    The first ``max(RIGHT)`` alternate between the classes and are right; `rows` follow.

    Args:
      setting: the benchmark; its draws of one number are the same for every number of right rows.
      y: labels of the training rows.
      draw: its number.
      rows: damaged rows.
      ideal: no label is wrong, no class rare.

    Raises:
      ValueError: if there are too few rows.
    """
    rng = np.random.default_rng([zlib.crc32(setting.name.encode()), draw])
    order = rng.permutation(len(y))
    by_class = [order[y[order] == label] for label in (0, 1)]
    half = setting.right[-1] // 2
    first = np.stack([one[:half] for one in by_class], 1).ravel()
    by_class = [one[half:] for one in by_class]
    if setting.damage == "flip":
        rest = order[~np.isin(order, first)][:rows]
        wrong = (rng.uniform(size=rows) < setting.share) & (not ideal)
    else:
        common = round((0.5 if ideal else setting.share) * rows)
        rest = np.concatenate([by_class[0][:common], by_class[1][: rows - common]])
        wrong = np.zeros(rows, bool)
    if len(rest) < rows:
        raise ValueError(f"{setting.name}: {len(rest)} training rows for {rows}")
    first = np.resize(first, max(RIGHT))  # places that are never present
    return np.concatenate([first, rest]), np.concatenate([np.zeros(len(first), bool), wrong])


def make_draws(
    setting: Setting,
    family: Family,
    right: int,
    numbers: Sequence[int],
    side: int,
    *,
    ideal: bool = False,
) -> Draws:
    """Draws of a setting, judged on a part of the rows.

    Args:
      setting: the benchmark.
      family: its data.
      right: number of right rows.
      numbers: of the draws.
      side: 1: validation, 2: test.
      ideal: see `choose_rows`.
    """
    data, of = DATA[setting.data], parts(family)
    rows = data.flipped if setting.damage == "flip" else data.imbalanced
    size = max(RIGHT) + max(data.flipped, data.imbalanced)
    train, query = np.flatnonzero(of == 0), np.flatnonzero(of == side)
    episodes, truths = [], []
    for draw in numbers:
        place, wrong = choose_rows(setting, family.y[train], draw, rows, ideal=ideal)
        # One shape for all settings of a data set, so that they share programs.
        chosen, wrong = np.resize(train[place], size), np.resize(wrong, size)
        trusted = np.arange(size) < right
        present = trusted | (np.arange(size) >= max(RIGHT)) & (np.arange(size) < len(place))
        truth = family.y[chosen]
        x = inputs(family, chosen[present])
        episodes.append(
            Episode(
                examples(x[chosen], np.where(wrong, 1 - truth, truth), chosen, present, trusted),
                examples(x[query], family.y[query], query),
            )
        )
        truths.append(truth)
    return Draws(jax.tree.map(lambda *leaves: np.stack(leaves), *episodes), np.stack(truths))


def inputs(family: Family, given: np.ndarray) -> np.ndarray:
    """What the network sees of all rows (R, ...): grey levels, or z-scores of the given rows."""
    if family.x.dtype == np.uint8:
        return family.x.reshape(len(family.x), 28, 28, 1) / np.float32(64) - 2
    fit = np.isin(np.arange(len(family.y)), given)
    z = scaled(family, fit)
    return np.pad(z, [(0, 0), (0, 2 * family.x.shape[1] - z.shape[1])])  # flags vary by draw


def examples(x, y, row, present=None, trusted=None) -> Examples:
    """Rows as learners take them; those that are not present have a mask of 0."""
    present = np.ones(len(y), bool) if present is None else present
    trusted = np.zeros(len(y), bool) if trusted is None else trusted
    mask = np.repeat(present[:, None], 2, 1).astype(np.float32)
    row = np.where(present, row, -1).astype(np.int32)
    info = {"row": row, "trusted": trusted.astype(np.float32)}
    return Examples(x.astype(np.float32), np.eye(2, dtype=np.float32)[y] * mask, mask, info)


# Training -------------------------------------------------------------------------------------


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
    """The step size of a method, by validation rows; looked up in validation.csv if it is there."""
    data, path = DATA[setting.data], folder / "validation.csv"
    draws = min(data.draws, TUNING_DRAWS) if data.encoder.name == "conv4" else data.draws
    own = (setting.data, setting.damage, method, steps, draws)
    frame = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=VALIDATION)
    mine = frame[(frame[VALIDATION[:5]] == pd.Series(own, VALIDATION[:5])).all(axis=1)]
    if mine.empty:
        share, right = TUNING[setting.damage]
        tuned = Setting(setting.data, setting.damage, share)
        numbers = range(1000, 1000 + draws)
        made = make_draws(tuned, family, right, numbers, 1, ideal=method == "ideal")
        rows = []
        for rate in RATES:
            outputs, _ = train_all(method, tuned, made, numbers, steps, rate)
            scores = score(SPEC, predictions(outputs, made.episode.query))
            rows.append((*own, rate, *(float(scores[name].mean()) for name in VALIDATION[6:])))
        mine = pd.DataFrame(rows, columns=VALIDATION)
        keep_validation(path, mine)
    return float(mine.rate.iloc[int(mine.auroc.argmax())])


def keep_validation(path: Path, rows: pd.DataFrame) -> None:
    """Adds a method's rows to validation.csv, which other processes may be writing as well."""
    with records.claim(path.parent / "runs", [path.name]):
        if path.exists():
            rows = pd.concat([pd.read_csv(path), rows])
        order = {name: i for i, name in enumerate([*DATA, "flip", "imbalance", *METHODS])}
        rows = rows.drop_duplicates(VALIDATION[:6]).sort_values(
            VALIDATION[:6], key=lambda c: c.map(order) if c.name in VALIDATION[:3] else c
        )
        rows.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


# Records --------------------------------------------------------------------------------------


def predictions(outputs: np.ndarray, query: Examples) -> Predictions:
    """Outputs with what is needed to score them; chance where they are not finite."""
    bad = ~np.isfinite(outputs).all((1, 2))
    outputs = np.where(bad[:, None, None], 0, outputs).astype(np.float32)
    one = np.zeros(len(outputs), np.int32)
    return Predictions(
        outputs, query.y, query.mask, query.info["row"], one, one, bad.astype(np.float32)
    )


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
    method: str, setting: Setting, family: Family, draws: int, steps: int, folder: Path
) -> tuple[Path, bool]:
    """Trains and tests one method on one setting: its record, and whether it is a new one."""
    data, numbers = DATA[setting.data], range(draws)
    rate = None if method == HOST else best_rate(method, setting, family, steps, folder)
    inner = Inner() if method == HOST else inner_of(method, setting, steps, rate)
    config = RunConfig(
        SUITE, setting.name, method, 0, setting.right, inner, Train(steps=0), data.encoder,
        Evaluate(draws),
    )  # fmt: skip
    name = records.run_id(config, (family.card,))
    place = folder / "runs" / name
    if records.is_complete(place):
        return place, False
    started = time.perf_counter()
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
        "interval": "patients", "seconds": {"total": seconds},
        "hyper": {k: v for k, v in dataclasses.asdict(inner).items() if v is not None},
        "episodes_digest": f"{zlib.crc32(guess.row.tobytes()):08x}",
    }  # fmt: skip
    records.write_record(
        folder / "runs" / f".tmp-{name}", place, config=config,
        environment=records.environment((family.card,)), history=[],
        result=result | records.usage(seconds), arrays=arrays,
    )  # fmt: skip
    return place, True


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


# Tables ---------------------------------------------------------------------------------------

LABELS = {
    "ideal": "ideal: nothing damaged",
    "right_rows": "the right rows alone",
    HOST: "logistic regression",
}
INTRODUCTION = """\
Training rows with wrong labels (`flip20`, `flip40`: each label is turned round with probability
.2, .4) or with a rare class 1 (`imbalance90` to `imbalance995`: class 0 is .9 to .995 of the rows),
and k more rows, half of either class, that are known to be right. All methods train on all of these
rows, the networks from the same start; only *ideal* sees undamaged rows, and *the right rows alone*
no others. Means over draws of training rows, damage, right rows and start; test rows are as they
were recorded. Every network has the step size that was best on validation rows
([validation.csv](validation.csv)). Intervals: 95 %, bootstrap over test patients and draws
together, not corrected for their number; they speak of these data sets only. Those of single scores
are in [table.csv](table.csv); the protocol is in
[docs/sample_reweighting.md](../../docs/sample_reweighting.md)."""
PUBLISHED = """\
Ren et al. train on MNIST digits 4 and 9 at 200:1: at least 95 % accuracy with learned weights, near
75 % without. That was not run here (no copy of MNIST is at hand) and is not comparable: not
reproduced, and not refuted. The same holds for the CIFAR tables of either paper."""
PAIRS = [f"{ours} : {rival}" for ours in OURS for rival in ("uniform", "best rival")]
Where = tuple[Setting, int]  # a setting and its number of right rows


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)] + [""]


def title(where: Where) -> str:
    """The head of a column."""
    setting, right = where
    told = f"{setting.share:.3f}".rstrip("0").lstrip("0")
    return f"{told}, k = {right}" if setting.damage == "flip" else told


def label(method: str) -> str:
    """A method in a table."""
    return LABELS.get(method, method)


def difference(row: pd.Series) -> str:
    """A difference with its interval."""
    mean, interval = cell(row["mean"], row.low, row.high, sign=True)
    return mean + interval


def against(runs: Sequence[tables.Run], metric: str, means: dict) -> dict:
    """Differences, positive if ours is better: by (ours, "uniform" or "best rival", where)."""
    found, sign = {}, -1 if metric in LOWER_IS_BETTER else 1
    for name in dict.fromkeys(setting.name for setting, _ in means):
        mine = [run for run in runs if run.config["benchmark"] == name]
        learners = {run.config["learner"] for run in mine}
        rivals = [rival for rival in RIVALS if rival in learners]
        for ours in OURS if rivals else ():
            if ours not in learners:
                continue
            rows = tables.compare(mine, name, ours, rivals, metric)
            rows[["mean", "low", "high"]] *= sign
            if sign < 0:
                rows = rows.rename(columns={"low": "high", "high": "low"})
            for where, scores in means.items():
                if where[0].name != name:
                    continue
                at = rows[rows.shots == where[1]].set_index("rival", drop=False)
                best = max(rivals, key=lambda rival, s=scores: sign * s[rival])
                found[ours, "best rival", where] = at.loc[best]
                if "uniform" in rivals:
                    found[ours, "uniform", where] = at.loc["uniform"]
    return found


def table(runs: Sequence[tables.Run], frame: pd.DataFrame) -> str:
    """The page of the records."""
    numbers = frame.set_index(["metric", "benchmark", "shots", "learner"])["mean"].sort_index()
    have = {run.config["benchmark"] for run in runs}
    places = [(s, right) for s in SETTINGS if s.name in have for right in s.right]
    means = {
        metric: {(s, right): numbers[metric, s.name, right] for s, right in places}
        for metric in BOOT
    }
    differences = {metric: against(runs, metric, means[metric]) for metric in BOOT}
    out = [f"# {SUITE}", "", INTRODUCTION, "", "## Who wins", ""]
    kinds = dict.fromkeys((s.data, s.damage) for s, _ in places)
    for metric in ("auroc", "balanced_accuracy"):
        out += winners(metric, kinds, places, means[metric], differences[metric])
    out += [
        "In how many settings learned weights are better / not told apart / worse, by the paired "
        "interval. The best rival is the one with the best mean on the test rows themselves, which "
        "favours the rivals. Balanced accuracy, at a probability of one half, is what Ren et al. "
        "report: the accuracy on balanced test rows.",
        "",
    ]
    for metric, found in differences.items():
        out += [f"## Paired differences, {name_of(metric)}", ""]
        rows = []
        for where in places:
            row = [where[0].name, str(where[1])]
            for ours in OURS:
                for rival in ("uniform", "best rival"):
                    one = found.get((ours, rival, where))
                    name = "" if one is None or rival == "uniform" else f" ({label(one.rival)})"
                    row.append("–" if one is None else difference(one) + name)
            rows.append(row)
        out += grid(["setting", "k", *PAIRS], rows)
        if metric == "brier":
            out += ["Above 0: a smaller Brier score than the rival.", ""]
    for data, damage in kinds:
        mine = [where for where in places if (where[0].data, where[0].damage) == (data, damage)]
        out += [f"## {data}, {damage}", ""]
        for metric in BOOT:
            out += scores_of(metric, mine, means[metric])
        out += weights_of(damage, mine, numbers)
    return "\n".join([*out, "## Published numbers", "", PUBLISHED]) + "\n"


def winners(
    metric: str,
    kinds: Sequence[tuple[str, str]],
    places: Sequence[Where],
    means: dict,
    found: dict,
) -> list[str]:
    """Who has the best mean score, and how often the paired intervals tell ours from rivals."""

    def best(scores: pd.Series, without: Sequence[str]) -> str:
        scores = scores.drop(list(without), errors="ignore")
        return f"{label(scores.idxmax())} {number(scores.max())}"

    def counted(ours: str, rival: str, mine: Sequence[Where]) -> tuple[int, int, int] | None:
        some = [found.get((ours, rival, where)) for where in mine]
        if any(one is None for one in some):
            return None
        above, below = sum(one.low > 0 for one in some), sum(one.high < 0 for one in some)
        return above, len(some) - above - below, below

    rows, said = [], []
    for kind in kinds:
        mine = [where for where in places if (where[0].data, where[0].damage) == kind]
        average = sum(means[where] for where in mine) / len(mine)
        told = [counted(ours, rival, mine) for ours in OURS for rival in ("uniform", "best rival")]
        told = ["–" if one is None else "{} / {} / {}".format(*one) for one in told]
        two = [best(average, ["ideal"]), best(average, ["ideal", HOST])]
        rows.append([" ".join(kind), str(len(mine)), *two, *told])
    for ours in OURS:
        plain, strong = (counted(ours, rival, places) for rival in ("uniform", "best rival"))
        if plain and strong:
            said.append(
                f"- {name_of(metric)}, {len(places)} settings: `{ours}` is better than plain "
                f"training in {plain[0]} and worse in {plain[2]}; better than the best rival in "
                f"{strong[0]} and worse in {strong[2]}."
            )
    head = ["data, damage", "settings", f"best {name_of(metric)}", "best network", *PAIRS]
    return [*grid(head, rows), *said, ""]


def scores_of(metric: str, places: Sequence[Where], means: dict) -> list[str]:
    """A table of one metric: methods by settings, the best but for `ideal` in bold."""
    sign, rows = -1 if metric in LOWER_IS_BETTER else 1, []
    best = {where: (sign * means[where]).drop("ideal", errors="ignore").max() for where in places}
    for method in METHODS:
        if all(method in means[where].index for where in places):
            cells = [number(means[where][method]) for where in places]
            bold = [
                f"**{text}**" if method != "ideal" and sign * means[where][method] == best[where]
                else text for text, where in zip(cells, places, strict=True)
            ]  # fmt: skip
            rows.append([label(method), *bold])
    return grid([name_of(metric), *map(title, places)], rows)


def weights_of(damage: str, places: Sequence[Where], numbers: pd.Series) -> list[str]:
    """What the weights of the damaged rows say."""
    odd, usual = ("wrong", "right") if damage == "flip" else ("rare", "common")
    wanted = {f"{odd} : {usual}": None} | ({"AUROC": "weight_auroc"} if damage == "flip" else {})
    rows = {name: [] for name in wanted}
    for method in METHODS:
        keys = [(setting.name, right, method) for setting, right in places]
        if not all(("weight_" + odd, *key) in numbers.index for key in keys):
            continue
        for name, metric in wanted.items():
            values = [
                numbers[metric, *key] if metric
                else numbers["weight_" + odd, *key] / numbers["weight_" + usual, *key]
                for key in keys
            ]  # fmt: skip
            rows[name].append([method, *map(number, values)])
    titles = [title(where) for where in places]
    out = []
    for name, found in rows.items():
        out += grid([f"weights, {name}", *titles], found) if found else []
    if out and damage == "flip":
        out += [
            "Mean weight of rows with a wrong label over that of rows with a right one, and how "
            "often a right row outweighs a wrong one (.5: the weights know nothing).",
            "",
        ]
    elif out:
        out += ["Mean weight of a row of the rare class over that of a row of the common one.", ""]
    return out


def write_tables(folder: Path, runs: list[tables.Run]) -> str:
    """Writes table.md and table.csv; returns the page. scripts/table.py calls it, too."""
    frame = tables.long_table(runs, by_task=False)
    page = table(runs, frame)
    frame = frame[frame.metric.isin(SHOWN) | frame.metric.str.startswith("weight_")]
    (folder / "table.csv").write_text(tables.csv(frame))
    (folder / "table.md").write_text(page)
    return page


def check(flags: Flags) -> tuple[list[Setting], list[str]]:
    """The settings and methods that flags ask for.

    Raises:
      ValueError: for an unknown one, or a number out of range.
    """
    known = {setting.name: setting for setting in SETTINGS}
    settings = [known[name] for name in picked("--benchmark", flags.benchmark, known)]
    methods = picked("--methods", flags.methods, METHODS)
    if flags.draws is not None and flags.draws < 2 or flags.steps is not None and flags.steps < 1:
        raise ValueError("--draws must be at least 2 and --steps at least 1")
    return settings, methods


def main() -> int:
    """Runs what is missing and writes tables and report."""
    flags = commands.parse(Flags, PRESETS, default="full")
    folder = commands.folder_of(flags, SUITE)
    try:
        settings, methods = check(flags)
        families = {name: load(name, flags.data_dir) for name in {s.data for s in settings}}
        sweeps.keep_compiled()
        commands.make_folder(folder)
    except (ValueError, OSError) as error:
        return commands.fail(error)
    console = Console()
    for setting in settings:
        data = DATA[setting.data]
        for method in methods:
            started = time.monotonic()
            draws, steps = flags.draws or data.draws, flags.steps or data.steps
            made, new = run(method, setting, families[setting.data], draws, steps, folder)
            took = f"{time.monotonic() - started:.0f} s" if new else "finished before"
            console.print(f"{setting.name} {method}: {took}")
            tracking.mirror(made, mode=flags.wandb, folder=folder)
    if flags.tables:
        runs = tables.load_runs(folder)
        console.print(write_tables(folder, runs), markup=False)
        report.write(folder, runs)
    return 0


def picked(flag: str, given: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """The names given, in the order of those known; ValueError for another."""
    for name in given or ():
        if name not in known:
            raise ValueError(f"{flag}: unknown {name!r}; there are {', '.join(known)}")
    return [name for name in known if given is None or name in given]


if __name__ == "__main__":
    sys.exit(main())
