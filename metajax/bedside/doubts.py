"""How far a prediction can be believed, and what it rests on: sets, intervals, reasons in words."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from metajax.bedside.patients import Patients
from metajax.estimator.across import sets_across
from metajax.estimator.explain import Explanation, explain
from metajax.estimator.sets import Intervals, Sets, prediction_intervals, prediction_sets
from metajax.reasons.svg import bars_svg

BUDGET = 3000  # predictions that the reasons of a patient may cost: about a second
SHOWN = 3  # reasons in words


def doubt(
    model: Any,
    patients: Patients,
    frame: pd.DataFrame,
    coverage: float,
    by_class: bool,
    seed: int,
    calibrate: str = "labelled",
) -> tuple[Sets | Intervals | None, str]:
    """What cannot be ruled out for each new row, and in words what that rests on.

    Args:
      model: the estimator; it is fitted again without a fifth of the patients each time.
      patients: the labelled file.
      frame: features of the new rows.
      coverage: aimed at, in (0, 1).
      by_class: calibrate every class by its own patients.
      seed: of the folds.
      calibrate: "labelled", by these patients, or "diseases", by thresholds of other diseases.

    Raises:
      ValueError: for thresholds of other diseases that there are none of.
    """
    if calibrate == "diseases":
        if by_class or len(set(patients.group.tolist())) < len(patients.y):
            raise ValueError("--calibrate diseases is for one row a patient, without --by-class")
        found = sets_across(model, frame, alpha=1 - coverage)
        return found, f"Sets: {found.way}."
    ways = {"alpha": 1 - coverage, "groups": patients.group, "seed": seed}
    given = model, patients.frame, patients.y, frame
    with warnings.catch_warnings():
        # What a fold does not have, the whole file may have; the whole was warned of.
        warnings.simplefilter("ignore")
        try:
            if patients.classes:
                found = prediction_sets(*given, by_class=by_class, **ways)
                return found, f"Sets: {_named(found.way, patients.classes)}."
            found = prediction_intervals(*given, **ways)
            return found, f"Intervals: {found.way}."
        except ValueError as error:
            return None, f"There are no prediction sets: {_named(str(error), patients.classes)}."


def _named(text: str, classes: tuple[str, ...]) -> str:
    """A sentence about classes by number, by name."""
    for code, name in enumerate(classes):
        text = text.replace(f"class {code} ", f"class {name!r} ").replace(
            f" {code} (", f" {name!r} ("
        )
    return text


def column(found: Sets | Intervals | None, classes: tuple[str, ...]) -> dict[str, Any]:
    """The columns of predictions.csv that tell it: `set`, or `low` and `high`."""
    if found is None:
        return {}
    if isinstance(found, Intervals):
        return {"low": found.ends[:, 0], "high": found.ends[:, 1]}
    names = [[classes[c] for c in np.flatnonzero(row)] for row in found.inside]
    return {"set": [" or ".join(one) or "none of them" for one in names]}


def why(model: Any, patients: Patients, frame: pd.DataFrame, rows: int, seed: int) -> Explanation:
    """The reasons of the first rows, 1 or more, against the labelled patients."""
    return explain(model, frame[:rows], patients.frame, budget=BUDGET, seed=seed)


def reasons(found: Explanation | None, output: np.ndarray) -> list[str]:
    """The strongest reasons of every row in words; "" where there are none.

    Args:
      found: of the first rows; None: of none.
      output: (Q, C) probabilities, whose largest is explained, or (Q,) predictions.
    """
    told = []
    for i in range(len(output)):
        if found is None or i >= len(found.shares.values):
            told.append("")
            continue
        share = found.shares.values[i, :, _explained(output[i])]
        place = np.argsort(-np.abs(share), kind="stable")[:SHOWN]
        told.append(", ".join(f"{found.names[j]} {share[j]:+.3g}" for j in place))
    return told


def pictures(
    found: Explanation, output: np.ndarray, frame: pd.DataFrame, names: list[str], classes
) -> list[tuple[str, str]]:
    """A summary in plain text and a picture in HTML for each row that has reasons."""
    made = []
    for i, share in enumerate(found.shares.values):
        c = _explained(output[i])
        cells = [f"{name} = {_cell(frame.iloc[i][name])}" for name in found.names]
        what = f"the probability of {classes[c]}" if classes else "the prediction"
        base, value = found.shares.base[c], found.shares.output[i, c]
        title = f"{names[i]}: {what} is {value:.3g}, {base:.3g} on average of the labelled patients"
        made.append((title, bars_svg(share[:, c], cells, title)))
    return made


def _explained(output: np.ndarray) -> int:
    """The output that is explained: the most probable class."""
    return int(output.argmax()) if output.ndim else 0


def _cell(value: Any) -> str:
    if pd.isna(value):
        return "missing"
    return f"{value:g}" if isinstance(value, float) else str(value)
