"""What of the next patients? Probabilities, how good they are, and who is unlike the others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from metajax import disk
from metajax.bedside import episodes, unlike, words
from metajax.bedside.compare import Comparison, compare
from metajax.bedside.intervals import interval
from metajax.bedside.patients import Patients
from metajax.estimator import FewShotClassifier, FewShotRegressor

# A method of the estimator as `compare` calls it.
ALIASES = {"auto": "pfn", "lr": "lr_c0.1"}
QUANTITY_ALIASES = {"auto": "ridge_cv"}


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
    """

    model: FewShotClassifier | FewShotRegressor
    frame: pd.DataFrame
    output: np.ndarray
    classes: tuple[str, ...]
    notes: list[list[str]]
    quality: Comparison | None
    remarks: tuple[str, ...]


def predict(
    patients: Patients, frame: pd.DataFrame, *, method: str = "auto", seed: int = 0
) -> Prediction:
    """Fits a method to all labelled rows and judges new ones.

    Args:
      patients: the labelled file.
      frame: features of the new rows, see `metajax.bedside.patients.read_new`.
      method: see `metajax.FewShotClassifier` and `metajax.FewShotRegressor`.
      seed: of forests, and of the draws by which the quality is measured.

    Raises:
      ValueError: for an unknown method.
    """
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
    return Prediction(
        model, frame, output, classes, notes, quality(patients, method, seed), tuple(remarks)
    )


def quality(patients: Patients, method: str, seed: int) -> Comparison | None:
    """How good the method is with up to half of the labels, judged on the others."""
    stratum = episodes.strata(patients.y, patients.group, len(patients.classes))
    fine = episodes.possible(stratum)
    if not fine:
        return None
    aliases = ALIASES if patients.classes else QUANTITY_ALIASES
    names = [aliases.get(method, method)]
    return compare(patients, names=names, shots=(fine[-1],), seed=seed)


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
    made["unlike"] = [disk.cell("; ".join(one)) for one in found.notes]
    return pd.DataFrame(made)
