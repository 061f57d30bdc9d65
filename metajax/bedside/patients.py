"""One file of labelled patients, and files of new ones, as frames that an estimator takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from metajax.datasets import DataError
from metajax.datasets.own import Reading, Rules, cells, codes, leaks, tables, text
from metajax.datasets.own.columns import FLAGS, Examined
from metajax.datasets.own.reports import listed, rows
from metajax.estimator.frames import Column, encode, learn_columns
from metajax.estimator.scaling import fit_scaling

# Rows that differ by less than this share of a standard deviation everywhere are one patient.
ALIKE = 0.01


class Patients(NamedTuple):
    """R labelled rows of a file.

    Attributes:
      looked: the file, as it was read.
      frame: the features: numbers, and categories as such.
      columns: how an estimator reads them.
      x: (R, D) float64 the features as numbers, NaN where missing.
      y: (R,) classes by number, or targets.
      classes: their names; () for a quantity.
      group: (R,) int, the patient of every row, 0 to G - 1.
      reading: what every column was taken for.
      notes: what else should be known, a sentence each.
    """

    looked: tables.Looked
    frame: pd.DataFrame
    columns: tuple[Column, ...]
    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]
    group: np.ndarray
    reading: Reading
    notes: tuple[str, ...]


def read(
    path: str | Path,
    label: str,
    group: str | None = None,
    drop: Sequence[str] = (),
    rules: Rules = Rules(),  # noqa: B008  (frozen)
    types: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> Patients:
    """Reads labelled patients; see `metajax.datasets.own.table_family` for the arguments.

    Raises:
      DataError: naming the column or rows at fault, and the remedy.
    """
    path = present(path)
    if group is not None and group == label:
        raise DataError(f"--label and --group both name column {label!r}")
    looked = tables.look(path, {"label": label, "group": group}, drop, types, missing)
    cells.known(path, list(looked.named.values()), list(looked.raw))
    tables.features(looked)  # refuses what is no feature, by name
    choice = looked.choices.of(label)
    y, classes = cells.labels(label, looked.raw[label], rules.kind, rules.positive, choice)
    if rules.leaks == "refuse":
        leaks.no_leak(looked.columns, y, classes)
    table = frame_of(looked, looked.raw)
    columns = learn_columns(table)
    x = encode(columns, table)
    patient, notes = _patients(looked, x)
    return Patients(
        looked, table, columns, x, y if classes else y.astype(np.float64), classes, patient,
        tables.reading(looked, rules), notes,
    )  # fmt: skip


def present(path: str | Path) -> Path:
    """The path of a file that exists.

    Raises:
      DataError: it does not, or is a folder.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise DataError(f"{path} {what}. Remedy: check the path")
    return path


def frame_of(looked: tables.Looked, raw: pd.DataFrame) -> pd.DataFrame:
    """The features of a file's rows as a frame, read as those of the labelled file were.

    Args:
      looked: the labelled file.
      raw: text cells, its features among the columns.

    Raises:
      DataError: naming a cell that cannot be read as its column was.
    """
    return pd.DataFrame({
        each.column.name: _column(looked, each, raw[each.column.name]) for each in looked.columns
    })  # fmt: skip


def read_new(path: str | Path, labelled: Patients, ignored: Sequence[str] = ()):
    """New rows, read as the labelled ones were.

    Args:
      path: a file of the same columns, by name, in any order.
      labelled: see `read`.
      ignored: columns that are none of the features (the label, an identifier).

    Returns:
      The features as a frame, all text cells, and notes, a sentence each.

    Raises:
      DataError: naming the columns that are not there, or cells that cannot be read.
    """
    path = present(path)
    raw, notes = text.sheet(path)
    looked = labelled.looked
    wanted = [each.column.name for each in looked.columns]
    known = {*wanted, *looked.named.values(), *looked.drop, *ignored}
    new = [name for name in raw if name not in known]
    if gone := [name for name in wanted if name not in raw]:
        like = {name.lower().strip(): name for name in new}
        said = [f"{name!r}" + (f" (is it {like[name.lower()]!r}?)" if name.lower() in like else "")
                for name in gone]  # fmt: skip
        also = f" New here: {listed([repr(name) for name in new])}." if new else ""
        raise DataError(f"{path} lacks {listed(said)} of the labelled file's columns.{also} "
                        "Remedy: give the same columns, by the same names")  # fmt: skip
    told = [*notes]
    if new:
        told.append(f"not used, since no labelled row has them: {listed([repr(n) for n in new])}")
    return frame_of(looked, raw), raw, tuple(told)


def _column(looked: tables.Looked, each: Examined, column: pd.Series) -> pd.Series:
    """Text cells as numbers or categories."""
    name, kind = each.column.name, each.column.kind
    choice = looked.choices.of(name)
    level, texts = pd.factorize(column)
    texts = [str(one) for one in texts]
    values = codes.numbers(texts)
    gone, doubtful = codes.unsaid(texts, values, choice.missing, choice.exact)
    if kind == "category":
        shown = [None if lost else one for one, lost in zip(texts, gone, strict=True)]
        return pd.Series(pd.Categorical([shown[i] for i in level]), index=column.index)
    gone |= np.isin(texts, doubtful)
    if kind in ("yes-no", "ordered"):
        values = _flags(looked, each, texts, gone)
    odd = ~gone & ~np.isfinite(values)
    if odd.any():
        said = [repr(one) for one, wrong in zip(texts, odd, strict=True) if wrong]
        were = "numbers" if kind == "number" else each.column.values
        raise DataError(f"column {name!r} is coded differently: {rows(odd[level])} says "
                        f"{listed(said, 4)}, the labelled rows have {were}. Remedy: the same "
                        "codes, or leave these cells empty")  # fmt: skip
    return pd.Series(np.where(gone, np.nan, values)[level], index=column.index)


def _flags(looked: tables.Looked, each: Examined, texts: Sequence[str], gone: np.ndarray):
    """(texts,) the numbers that the labelled file has for them, NaN for a text it does not know."""
    levels = looked.choices.of(each.column.name).levels
    known = {one: float(i) for i, one in enumerate(levels)}
    if not known:
        seen = {one.lower() for one in each.texts}
        codings = [*FLAGS, {"0": 0, "1": 1}]
        known = next((c for c in codings if seen <= set(c)), {})
        return np.array([known.get(one.lower(), np.nan) for one in texts], np.float64)
    return np.array([known.get(one, np.nan) for one in texts], np.float64)


def _patients(looked: tables.Looked, x: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """The patient of every row: of one group, or (nearly) the same in every column."""
    name = looked.named.get("group")
    count = len(x)
    pairs, notes = [np.zeros((0, 2), int)], []
    if name is not None:
        choice = looked.choices.of(name)
        code, names = cells.coded(name, looked.raw[name], choice, "group")
        first = np.full(len(names), count)
        np.minimum.at(first, code, np.arange(count))
        pairs.append(np.stack([first[code], np.arange(count)], 1))
        if len(names) < count:
            notes.append(f"{count} rows of {len(names)} patients ({name!r}): a patient's rows are "
                         "never on two sides")  # fmt: skip
    scaling = fit_scaling(x)
    z = np.nan_to_num(scaling.scores(x), nan=1e3)
    if z.shape[1]:
        near = cKDTree(z).query_pairs(ALIKE, p=np.inf, output_type="ndarray")
        pairs.append(near)
        if len(near):
            alike = len(np.unique(near))
            notes.append(f"{alike} rows are the same, or nearly so, as another in every column: "
                         "they are kept on one side, as if they were one patient")  # fmt: skip
    ends = np.concatenate(pairs)
    graph = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64), tuple(notes)
