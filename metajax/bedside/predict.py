"""What of the next patients? Probabilities, how good they are, and who is unlike the others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from metajax import disk
from metajax.bedside import doubts, episodes, unlike, words
from metajax.bedside.compare import Comparison, compare
from metajax.bedside.intervals import interval
from metajax.bedside.patients import Patients
from metajax.estimator import FewShotClassifier, FewShotRegressor, methods
from metajax.estimator.explain import Explanation
from metajax.estimator.sets import Intervals, Sets


class Prediction(NamedTuple):
    """Of Q new rows.

    Attributes:
      model: the fitted estimator; ``model.predict_proba(frame)`` (`predict` for a quantity) is the
        function, and the labelled frame the background, that sets and reasons need.
      frame: the new rows' features.
      output: (Q, C) probabilities, or (Q,) predictions.
      classes: the names of the C classes; () for a quantity.
      notes: what every row has that no labelled one has, sentences.
      quality: the scores that the method reaches with nearly as many labels; None if the file is
        too small to be divided.
      remarks: of the new file as a whole.
      doubt: sets, or intervals of a quantity; None: there are none.
      said: what they rest on, in words.
      why: the reasons of the first rows; None: they were not asked for.
    """

    model: FewShotClassifier | FewShotRegressor
    frame: pd.DataFrame
    output: np.ndarray
    classes: tuple[str, ...]
    notes: list[list[str]]
    quality: Comparison | None
    remarks: tuple[str, ...]
    doubt: Sets | Intervals | None = None
    said: str = ""
    why: Explanation | None = None


def predict(
    patients: Patients,
    frame: pd.DataFrame,
    *,
    method: str = "auto",
    seed: int = 0,
    coverage: float = 0.9,
    by_class: bool = False,
    calibrate: str = "labelled",
    reasons: int = 0,
) -> Prediction:
    """Fits a method to all labelled rows and judges new ones.

    Args:
      patients: the labelled file.
      frame: features of the new rows, see `metajax.bedside.patients.read_new`.
      method: see `metajax.FewShotClassifier` and `metajax.FewShotRegressor`.
      seed: of forests, and of the draws by which the quality is measured.
      coverage: that the sets aim at, in (0, 1).
      by_class: calibrate the sets of every class by its own patients.
      calibrate: the sets by "labelled" patients or other "diseases", see `doubts.doubt`.
      reasons: how many of the new rows are explained, about a second each.

    Raises:
      ValueError: for an unknown method, or another coverage.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"--coverage is between 0 and 1, such as 0.9; got {coverage:g}")
    classes = patients.classes
    if classes:
        model = FewShotClassifier(method, random_state=seed).fit(patients.frame, patients.y)
        output = model.predict_proba(frame)
    else:
        model = FewShotRegressor(method, random_state=seed).fit(patients.frame, patients.y)
        output = model.predict(frame)
    notes = unlike.rows(patients.columns, patients.frame, frame)
    remarks = unlike.columns_outside(patients.frame, frame)
    if told := unlike.summary(notes):
        remarks.append(told)
    doubt, said = doubts.doubt(model, patients, frame, coverage, by_class, seed, calibrate)
    why = doubts.why(model, patients, frame, reasons, seed) if reasons else None
    return Prediction(
        model, frame, output, classes, notes, quality(patients, method, seed), tuple(remarks),
        doubt, said, why,
    )  # fmt: skip


def quality(patients: Patients, method: str, seed: int) -> Comparison | None:
    """How good the method is with up to half of the labels, judged on the others."""
    stratum = episodes.strata(patients.y, patients.group, len(patients.classes))
    fine = episodes.possible(stratum)
    if not fine:
        return None
    if patients.classes:  # what "auto" is with all labels, not with half of them
        method = "+".join(methods.parts_of(method, len(patients.y))).replace("+lr_c0.1", "+lr")
    else:
        method = methods.QUANTITY_PARTS[method]
    return compare(patients, names=[method], shots=(fine[-1],), seed=seed)


def expected(found: Prediction, patients: int) -> str:
    """The expected quality, in words."""
    if found.quality is None:
        return (f"The {patients} labelled patients are too few to be divided: how good these "
                "predictions are is not known.")  # fmt: skip
    size, (method,) = found.quality.sizes[0], found.quality.methods
    scores = []
    for metric in found.quality.metrics:
        one = words.cut(interval(found.quality.score(method, size, metric)), metric)
        scores.append(f"{words.SHOWN[metric]} {words.number(one.mean)} (95 % interval "
                      f"{words.number(one.low)} to {words.number(one.high)})")  # fmt: skip
    return (f"Expected quality of {words.name_of(method)}, measured with {size} of the {patients} "
            f"labelled patients on the others: {', '.join(scores)}. With all {patients} expect no "
            "less, for patients like these only.")  # fmt: skip


def table(found: Prediction, names: list[str]) -> pd.DataFrame:
    """A row for each new patient, as predictions.csv has it; texts are no formulas.

    Args:
      found: the predictions.
      names: of the new rows.
    """
    made = {"id": [disk.cell(name) for name in names]}
    if found.classes:
        made["prediction"] = [disk.cell(found.classes[i]) for i in found.output.argmax(1)]
        for i, name in enumerate(found.classes):
            made[f"p_{name}"] = found.output[:, i]
    else:
        made["prediction"] = found.output
    for name, cells in doubts.column(found.doubt, found.classes).items():
        made[name] = [disk.cell(one) for one in cells] if name == "set" else cells
    if found.why:
        made["reasons"] = [disk.cell(one) for one in doubts.reasons(found.why, found.output)]
    made["unlike"] = [disk.cell("; ".join(one)) for one in found.notes]
    return pd.DataFrame(made)
