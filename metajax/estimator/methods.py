"""What can be fitted to labelled rows alone: the network, the host baselines, means of both.

Tables larger than the network takes:

* More than two classes: one against the rest for every class; the odds of the classes are divided
  by their sum. (On 8 tables of 3 to 10 classes its log-loss was below that of the network with a
  label column a class, which it never saw in training, and level with pairwise coupling, which
  costs C times as much.)
* More than `network.COLUMNS` columns of numbers: those that correlate most with the class in the
  labelled rows, chosen anew for every class.
* More than `MOST_ROWS` labelled rows: the mean over `MEMBERS` samples of so many rows, the classes
  in their proportions.

`schemes` says in words which of these apply.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from metajax.baselines import REGRESSORS, TARGET_ONLY
from metajax.baselines.threads import one_thread
from metajax.estimator import network
from metajax.estimator.scaling import Scaling, fit_scaling

# A name stands for the mean of the probabilities of its parts; of "auto" see `parts_of`.
PARTS: dict[str, tuple[str, ...]] = {
    "auto": ("pfn",),
    "pfn": ("pfn",),
    "lr": ("lr_c0.1",),
    "pfn+lr": ("pfn", "lr_c0.1"),
} | {name: (name,) for name in TARGET_ONLY}
QUANTITY_PARTS: dict[str, str] = {"auto": "ridge_cv"} | {name: name for name in REGRESSORS}
MOST_ROWS, MEMBERS = 256, 4
TRAINED_ROWS = 64  # the largest support that the network has seen in training
FLOOR = 1e-6


class Fitted(NamedTuple):
    """Labelled rows, read by a method.

    Attributes:
      parts: the methods whose mean this is.
      scaling: of the columns.
      x: (N, K) the labelled rows as host models take them.
      y: (N,) classes 0 to `classes` - 1, or targets.
      classes: their number; 0 for a quantity.
      seed: of whatever is random.
      memories: of the network, by class (one of two) and member; () without the network.
    """

    parts: tuple[str, ...]
    scaling: Scaling
    x: np.ndarray
    y: np.ndarray
    classes: int
    seed: int
    memories: tuple[tuple[network.Memory, ...], ...] = ()


def checked(method: str, known: dict) -> str:
    """A method's name.

    Raises:
      ValueError: for an unknown one.
    """
    if not isinstance(method, str) or method not in known:
        raise ValueError(f"method must be one of {', '.join(known)}; got {method!r}")
    return method


def parts_of(method: str, rows: int) -> tuple[str, ...]:
    """The methods whose mean a name stands for, with so many labelled rows.

    "auto" is the network alone up to `TRAINED_ROWS`, its mean with logistic regression beyond.
    """
    return PARTS["pfn+lr"] if method == "auto" and rows > TRAINED_ROWS else PARTS[method]


def fit(method: str, x: np.ndarray, y: np.ndarray, classes: int, seed: int) -> Fitted:
    """Reads labelled rows.

    Args:
      method: a key of `PARTS`.
      x: (N, D) float64, NaN where missing.
      y: (N,) classes, each of 0 to `classes` - 1 at least once.
      classes: 2 or more.
      seed: 0 or more.

    Raises:
      ValueError: for an unknown method.
    """
    parts, scaling = parts_of(checked(method, PARTS), len(y)), fit_scaling(x)
    fitted = Fitted(parts, scaling, scaling.table(x), y, classes, seed)
    if "pfn" not in parts:
        return fitted
    z, rng = scaling.scores(x), np.random.default_rng(seed)
    rows = _samples(y, rng)
    asked = range(1, 2) if classes == 2 else range(classes)
    memories = tuple(
        tuple(
            network.remember(network.shipped(), z[some], (y[some] == c).astype(int))
            for some in rows
        )
        for c in asked
    )
    return fitted._replace(memories=memories)


def probabilities(fitted: Fitted, x: np.ndarray) -> np.ndarray:
    """(Q, C) probabilities of other rows (Q, D)."""
    told = []
    for part in fitted.parts:
        if part == "pfn":
            told.append(_network(fitted, fitted.scaling.scores(x)))
        elif not fitted.x.shape[1]:  # no column has two values: nothing but the frequencies
            share = np.bincount(fitted.y, minlength=fitted.classes) + 1.0
            told.append(np.tile(share / share.sum(), (len(x), 1)))
        else:
            with one_thread():
                output = TARGET_ONLY[part](
                    fitted.x, fitted.y, fitted.scaling.table(x), seed=fitted.seed,
                    classes=fitted.classes,
                )  # fmt: skip
            told.append(np.exp(output))
    mean = np.mean(told, axis=0)
    return mean / mean.sum(axis=1, keepdims=True)


def fit_quantity(method: str, x: np.ndarray, y: np.ndarray, seed: int) -> Fitted:
    """Reads rows with a target each; see `fit`, with the keys of `QUANTITY_PARTS`."""
    part, scaling = QUANTITY_PARTS[checked(method, QUANTITY_PARTS)], fit_scaling(x)
    table = scaling.table(x)
    # One order for one set of rows, so that nothing depends on how they came.
    order = sorted(range(len(y)), key=lambda i: (y[i], table[i].tobytes()))
    return Fitted((part,), scaling, table[order], y[order], 0, seed)


def quantities(fitted: Fitted, x: np.ndarray) -> np.ndarray:
    """(Q,) predictions of other rows (Q, D)."""
    if not fitted.x.shape[1]:
        return np.full(len(x), fitted.y.mean())
    with one_thread():
        table = fitted.scaling.table(x)
        return REGRESSORS[fitted.parts[0]](fitted.x, fitted.y, table, fitted.seed)


def schemes(fitted: Fitted) -> list[str]:
    """In words, how a table that is larger than the network takes was made to fit."""
    if not fitted.memories:
        return []
    told, columns = [], int(fitted.scaling.kept.sum())
    if fitted.classes > 2:
        told.append(f"{fitted.classes} classes: one against the rest, for each")
    if columns > network.COLUMNS[-1]:
        told.append(
            f"{columns} columns of numbers: the {network.COLUMNS[-1]} that go best with the class "
            "in the labelled rows"
        )
    if len(fitted.y) > MOST_ROWS:
        told.append(
            f"{len(fitted.y)} labelled rows: the mean over {MEMBERS} samples of {MOST_ROWS}"
        )
    return told


def _samples(y: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Rows of every member: all, or samples with the classes in proportion, 2 at least of each."""
    if len(y) <= MOST_ROWS:
        return [np.arange(len(y))]
    found = []
    for _ in range(MEMBERS):
        parts = []
        for label in np.unique(y):
            rows = np.flatnonzero(y == label)
            count = max(2, round(MOST_ROWS * len(rows) / len(y)))
            parts.append(rng.permutation(rows)[:count])
        found.append(np.sort(np.concatenate(parts)))
    return found


def _network(fitted: Fitted, z: np.ndarray) -> np.ndarray:
    shipped = network.shipped()
    each = [
        np.mean([network.judge(shipped, one, z) for one in members], axis=0)
        for members in fitted.memories
    ]
    if fitted.classes == 2:
        return np.stack([1 - each[0], each[0]], axis=1)
    one = np.clip(np.stack(each, axis=1), FLOOR, 1 - FLOOR)
    odds = one / (1 - one)
    return odds / odds.sum(axis=1, keepdims=True)
