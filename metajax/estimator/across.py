"""Prediction sets without a calibration row: thresholds learned on other diseases.

`limits.csv` is made by ``experiments/uncertainty.py`` on clinical tables: the threshold with which
a method covers a patient of a new disease, after so many labelled ones, drawn in proportion
(`metajax.conformal.task_threshold`). results/uncertainty/table.md has the coverage that was
measured on diseases that the thresholds had not seen.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier

from metajax import conformal
from metajax.estimator import methods
from metajax.estimator.sets import Sets

FILE = "limits.csv"
MOST = 128  # labelled rows: beyond, the labelled rows themselves say more


class Limit(NamedTuple):
    """A threshold of other diseases.

    Attributes:
      limit: scores (`metajax.conformal.lac`) up to this are in the set.
      shots: labelled rows that it was learned for.
      diseases: how many it was learned on.
      temperature: what the logits should be divided by, likewise (`metajax.calibration.tempered`).
    """

    limit: float
    shots: int
    diseases: int
    temperature: float


@cache
def _limits() -> dict[tuple[str, float], tuple[Limit, ...]]:
    """The thresholds by method and alpha, by rising shots."""
    found: dict[tuple[str, float], list[Limit]] = {}
    text = resources.files("metajax.estimator").joinpath(FILE).read_text()
    for row in csv.DictReader(text.splitlines()):
        one = Limit(float(row["limit"]), int(row["shots"]), int(row["diseases"]),
                    float(row["temperature"]))  # fmt: skip
        found.setdefault((row["method"], float(row["alpha"])), []).append(one)
    return {key: tuple(sorted(each, key=lambda one: one.shots)) for key, each in found.items()}


def limit_of(method: str, labelled: int, alpha: float = 0.1) -> Limit:
    """The threshold for a method after so many labelled rows: that of the next smaller number.

    Args:
      method: of `FewShotClassifier`.
      labelled: rows, 8 to 128.
      alpha: .05, .1 or .2.

    Raises:
      ValueError: for a method or an alpha that was not measured, or another number of rows.
    """
    parts = methods.parts_of(method, labelled) if method in methods.PARTS else (method,)
    name = "+".join(parts)
    known = {"pfn+lr_c0.1": "pfn+lr"}.get(name, name)
    every = _limits()
    if not (fitting := every.get((known, round(alpha, 6)))):
        names = ", ".join(sorted({key[0] for key in every}))
        shares = ", ".join(f"{a:g}" for a in sorted({key[1] for key in every}))
        raise ValueError(f"other diseases give thresholds for {names} and alpha = {shares}; got "
                         f"{method!r} and {alpha:g}")  # fmt: skip
    if not fitting[0].shots <= labelled <= MOST:
        raise ValueError(f"thresholds of other diseases are for {fitting[0].shots} to {MOST} "
                         f"labelled rows; got {labelled}. Remedy: prediction_sets")  # fmt: skip
    return [one for one in fitting if one.shots <= labelled][-1]


def sets_across(model: Any, new: Any, *, alpha: float = 0.1) -> Sets:
    """Which of two classes cannot be ruled out for new rows, by what was seen in other diseases.

    Args:
      model: a fitted `FewShotClassifier` of two classes.
      new: (Q, D) rows.
      alpha: the share of misses allowed, .05, .1 or .2.

    Returns:
      The sets; their `p` are NaN. The guarantee is over diseases like those of the table, and over
      their patients: it is none for a certain disease, nor for one that is unlike all of them.

    Raises:
      ValueError: as `limit_of`, and for another model or more than two classes.
    """
    fitted = getattr(model, "fitted_", None)
    if not is_classifier(model) or not isinstance(fitted, methods.Fitted) or fitted.classes != 2:
        raise ValueError("thresholds of other diseases are for a fitted FewShotClassifier of two "
                         "classes that was not meta-trained. Remedy: prediction_sets")  # fmt: skip
    found = limit_of(model.method, len(fitted.y), alpha)
    inside = conformal.lac(model.predict_proba(new)) <= found.limit
    way = (
        f"{100 * (1 - alpha):g} % guaranteed over diseases and their patients together, if this "
        f"one is like the {found.diseases} diseases whose patients, judged after {found.shots} "
        "labelled ones, gave the threshold; nothing for this disease alone"
    )
    return Sets(inside, np.full(inside.shape, np.nan), way)
