"""Is the method as good for everybody? Scores by a column of the labelled file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from metajax.bedside import episodes
from metajax.bedside.patients import Patients
from metajax.datasets import DataError
from metajax.datasets.own import listed
from metajax.estimator import methods
from metajax.estimator.frames import MISSING as CODES
from metajax.subgroups import Subgroups, bands, by_group, named
from metajax.types import TaskSpec

CLASS_METRICS = ("auroc", "log_loss", "brier")
QUANTITY_METRICS = ("mse", "spearman")
VALUES = 10  # numbers of more values are put into bands
DRAWS = 400
FLOOR = 1e-7


def of_column(patients: Patients, column: str, edges: Sequence[float] = ()) -> np.ndarray:
    """The group (R,) of every labelled row: a value of a column, or a band of its numbers.

    Args:
      patients: the labelled file.
      column: any of its columns, a feature or not.
      edges: of the bands of a number; none: quarters, if it has more than 10 values.

    Raises:
      DataError: for a column that is not there, or bands of what is no number.
    """
    raw = patients.looked.raw
    if column not in raw:
        raise DataError(f"--by {column!r} is no column of the file; it has {listed(list(raw), 40)}")
    cells = raw[column].astype(str).str.strip()
    read = {each.column.name: each.column.kind for each in patients.looked.columns}
    if column in read:
        gone = patients.frame[column].isna().to_numpy()
    else:
        gone = cells.str.lower().isin(CODES).to_numpy()
    if read.get(column) == "number":
        numbers = patients.frame[column].to_numpy(np.float64)
    else:
        numbers = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    numbers = np.where(gone, np.nan, numbers)
    whole = bool((np.isfinite(numbers) | gone).all() and np.isfinite(numbers).any())
    if edges and not whole:
        raise DataError(f"--bands are for numbers; column {column!r} has others")
    if whole and (edges or len(np.unique(numbers[np.isfinite(numbers)])) > VALUES):
        quarters = np.unique(np.nanquantile(numbers, (0.25, 0.5, 0.75)))
        try:
            return bands(numbers, edges or quarters)
        except ValueError as error:
            raise DataError(f"--bands: {error}") from error
    return named(np.where(gone, None, cells.to_numpy(object)))


def by_column(
    patients: Patients, method: str, size: int, group: np.ndarray, *, count: int, seed: int
) -> Subgroups:
    """Scores by group of a method, on the draws on which `compare` judges it.

    Args:
      patients: the labelled file.
      method: as `compare` names it.
      size: patients in a support, one of the comparison's.
      group: (R,) from `of_column`.
      count: draws.
      seed: of the draws.
    """
    classes = len(patients.classes)
    stratum = episodes.strata(patients.y, patients.group, classes)
    given = episodes.shares(stratum, size)
    rng = np.random.default_rng([seed, size])
    drawn = [episodes.draw(stratum, patients.group, given, rng) for _ in range(count)]
    longest = max(len(one.query) for one in drawn)
    width = classes or 1
    outputs, y, mask = (np.zeros((count, longest, width), np.float32) for _ in range(3))
    place = np.zeros((count, longest), int)  # padding is a row of weight 0
    for i, one in enumerate(drawn):
        asked = len(one.query)
        x, labels = patients.x[one.support], patients.y[one.support]
        query, truth = patients.x[one.query], patients.y[one.query]
        if classes:
            told = methods.probabilities(methods.fit(method, x, labels, classes, seed), query)
            outputs[i, :asked] = np.log(np.maximum(told, FLOOR))
            y[i, np.arange(asked), truth] = 1
        else:
            told = methods.quantities(methods.fit_quantity(method, x, labels, seed), query)
            outputs[i, :asked, 0], y[i, :asked, 0] = told, truth
        mask[i, :asked], place[i, :asked] = 1, one.query
    spec = TaskSpec(width, "multiclass" if classes else "regression")
    return by_group(
        spec, outputs, y, mask, group[place], CLASS_METRICS if classes else QUANTITY_METRICS,
        np.random.default_rng(seed), clusters=patients.group[place], draws=DRAWS,
    )  # fmt: skip


def sentences(found: Subgroups, column: str) -> list[str]:
    """The gaps and the small groups in words."""
    said = []
    for gap in found.gaps:
        ends = f"simultaneous 95 % interval {gap.low:+.3f} to {gap.high:+.3f}"
        text = (f"{column}, {gap.metric}: {gap.highest} is {gap.value:.3f} above {gap.lowest} "
                f"({ends}; {gap.groups} groups)")  # fmt: skip
        said.append(text + (": not told apart." if not gap.low > 0 else "."))
    if not found.gaps:
        said.append(f"{column}: no two groups are large enough to be compared.")
    first = found.lines[0].metric if found.lines else ""
    few = [f"{one.group} ({one.note})" for one in found.lines if one.note and one.metric == first]
    if few:
        said.append(f"{column}: without a score {listed(few, 10)}.")
    return said


def table(found: dict[str, Subgroups]) -> pd.DataFrame:
    """A row for each column, metric and group."""
    rows = [{"column": column, **line._asdict()}
            for column, one in found.items() for line in one.lines]  # fmt: skip
    return pd.DataFrame(rows)
