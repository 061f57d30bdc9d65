"""Labels, names and sides of a user's own file; what cannot be read is refused by its name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from metajax.columns import lost
from metajax.datasets.files import DataError
from metajax.datasets.own import codes, text
from metajax.datasets.own.choices import GUESSED, Choice
from metajax.datasets.own.reports import LEVELS, listed, rows
from metajax.datasets.own.seen import alike, same

Kind = Literal["auto", "classification", "regression"]
MOST_CLASSES = 10  # a label of more different numbers is a quantity
SIDES = {"train": 0, "training": 0, "validation": 1, "valid": 1, "val": 1, "dev": 1, "test": 2}


def known(path: Path, names: Sequence[str], columns: Sequence[str]) -> None:
    """Refuses names that are no column, with those that are spelled alike."""
    for name in names:
        if name not in columns:
            close = difflib.get_close_matches(name, columns, cutoff=0.5)
            hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else "."
            if len(columns) == 1 and len(columns[0]) > len(name) and name in columns[0]:
                hint = ", but one name that holds it: its columns are separated by another sign? "
                hint += "Remedy: save it with commas, names and cells each in quotes or none."
            raise DataError(f"{path} has no column {name!r}{hint} It has {listed(columns, 40)}")


def table(path: Path) -> pd.DataFrame:
    """All cells of a csv or tsv file as text, without the blanks around them; see `text.sheet`."""
    return text.sheet(path).cells


class Parsed(NamedTuple):
    """A column of R cells that is no feature.

    Attributes:
      level: (R,) int, which of the texts each row has.
      texts: the different texts, in the order in which they come.
      values: of the texts as numbers, NaN where one is none.
      gone: which texts say nothing.
    """

    level: np.ndarray
    texts: list[str]
    values: np.ndarray
    gone: np.ndarray


def parsed(cells: pd.Series, choice: Choice = GUESSED) -> Parsed:
    """Looks at a column; a text that may be a name as well as a code counts as missing."""
    level, texts = pd.factorize(cells.to_numpy(object))
    texts = texts.tolist()
    values = codes.numbers(texts)
    gone, doubtful = codes.unsaid(texts, values, choice.missing, choice.exact)
    return Parsed(level, texts, values, gone | np.isin(texts, doubtful))


def missing(cells: pd.Series) -> np.ndarray:
    """(R,) bool: which cells say nothing."""
    found = parsed(cells)
    return found.gone[found.level]


def _complete(what: str, name: str, found: Parsed, remedy: str) -> None:
    """Refuses missing cells, with what they say."""
    if found.gone.any():
        said = [repr(t) for t, gone in zip(found.texts, found.gone, strict=True) if gone and t]
        told = f" ({listed(said)})" if said else ""
        kind = "class" if what == "label" else "name"
        also = f"; or --missing {f'{name}='!r} if that is a {kind}" if said else ""
        raise DataError(f"{what} {name!r} is missing in {rows(found.gone[found.level])}{told}. "
                        f"Remedy: {remedy}{also}")  # fmt: skip
    counts = np.bincount(found.level, minlength=len(found.texts))
    finite = np.isfinite(found.values)
    odd = codes.suspects(found.values, counts) if finite.all() else []
    if what == "label" and set(found.values.tolist()) == {-1.0, 0.0, 1.0}:
        odd = [-1.0]
    # A site may well be called 9, a class hardly.
    least = {"label": -1, "group": np.inf}.get(what, 77)
    if odd := [value for value in odd if value < 0 or value >= least]:
        said = [t for t, v in zip(found.texts, found.values, strict=True) if v in odd]
        where = rows(np.isin(found.values, odd)[found.level])
        raise DataError(f"{what} {name!r} is {listed(said)} in {where}, far outside its other "
                        "values: a code for a missing cell? Remedy: delete these rows, or "
                        f"--missing {f'{name}='!r} if it is a value like the others"
                        )  # fmt: skip


def labels(
    name: str, cells: pd.Series, kind: Kind, positive: str | None, choice: Choice = GUESSED
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The column to predict.

    Args:
      name: of the column.
      cells: (R,) its cells.
      kind: "auto": classes if it holds texts or at most `MOST_CLASSES` different numbers.
      positive: the class that is 1, of two; None: the last one in order.
      choice: what the user says of its codes.

    Returns:
      (R,) int32 classes and their names, or (R,) float32 targets and ().

    Raises:
      DataError: naming the cells that are missing or no numbers, or what is wrong with the classes.
    """
    found = parsed(cells, choice)
    if not choice.exact or found.gone.any():
        _complete("label", name, found, "delete rows without a label from the file")
    text = np.isnan(found.values)
    distinct = len(found.texts)
    example = ""
    if text.any():
        where = text[found.level]
        example = f"{rows(where)} (the first says {cells[where].iloc[0]!r})"
    if kind == "auto" and text.any() and distinct > LEVELS:
        raise DataError(f"label {name!r} has {distinct} different values, too many for classes, "
                        f"and is no number in {example}. Remedy: correct these cells, or name "
                        "another column")  # fmt: skip
    numbers = int((~text).sum())
    if kind == "auto" and text.any() and 2 * numbers >= distinct and numbers > 1:
        raise DataError(f"label {name!r} is no number in {example}, but in most others. Remedy: "
                        "correct or delete these rows, or --kind classification if they are "
                        "classes")  # fmt: skip
    how = list(filter(None, map(codes.written, found.texts))) if text.all() else []
    how = [each for each in how if each != "limits of detection"]  # bands are classes
    if kind == "auto" and len(how) > 2 and 2 * len(how) >= distinct:
        raise DataError(f"label {name!r} holds {how[0]}, as {found.texts[0]!r}, which is no plain "
                        "number. Remedy: write plain numbers, or --kind classification if they are "
                        "classes")  # fmt: skip
    if kind == "auto":
        quantity = not text.any() and len(np.unique(found.values)) > MOST_CLASSES
        kind = "regression" if quantity else "classification"
    if kind == "regression":
        if text.any():
            raise DataError(f"label {name!r} is no number in {example}. Remedy: correct these "
                            "cells, or --kind classification")  # fmt: skip
        with np.errstate(over="ignore"):
            y = found.values.astype(np.float32)[found.level]
        if not np.isfinite(y).all():
            raise DataError(f"label {name!r} is infinite in {rows(~np.isfinite(y))}. Remedy: "
                            "correct these cells")  # fmt: skip
        if lost(found.values[:, None])[0]:
            raise DataError(f"label {name!r} cannot be held in single precision: "
                            f"{found.values.min():.9g} to {found.values.max():.9g}. Remedy: "
                            "another unit, or subtract a constant")  # fmt: skip
        if positive is not None:
            raise DataError(f"--positive {positive} names a class, but {name!r} is a quantity")
        return y, ()
    y, classes = coded(name, cells, choice, "label")
    if choice.kind != "names" and (both := same([*classes])):
        raise DataError(f"label {name!r} has both {both[0]!r} and {both[1]!r}: one class? Remedy: "
                        f"spell them alike, or --types {f'{name}=names'!r} if they are different "
                        "classes")  # fmt: skip
    if len(classes) < 2:
        raise DataError(f"label {name!r} is {classes[0]!r} in every row: nothing to predict")
    if len(classes) > LEVELS:
        also = "" if text.any() else ", or --kind regression"
        raise DataError(f"label {name!r} has {len(classes)} classes, at most {LEVELS} can be used. "
                        f"Remedy: name another column{also}")  # fmt: skip
    if positive is not None:
        if len(classes) != 2 or positive not in classes:
            raise DataError(f"--positive {positive} is none of two classes of {name!r}; it has "
                            f"{', '.join(classes)}")  # fmt: skip
        if positive == classes[0]:
            return 1 - y, classes[::-1]
    return y, classes


def canonical(name: str) -> str:
    """A number that is a name, in one spelling: 7.0 is 7; 007 stays, and so does every digit."""
    if not codes.NUMBER.fullmatch(name) or codes.ZEROS.fullmatch(name):
        return name
    number = Decimal(name)
    if not -30 < number.adjusted() < 30:
        return name
    if number == number.to_integral_value():
        return f"{int(number)}"
    return f"{number.normalize():f}"


def coded(
    name: str, cells: pd.Series, choice: Choice = GUESSED, what: str = "column"
) -> tuple[np.ndarray, tuple[str, ...]]:
    """A column of names as (R,) int32 numbers, and the names in order.

    Names that are numbers are exact, of any length, and equal if the numbers are: 7 and 7.0.

    Raises:
      DataError: a cell is missing, or two names differ in case, blanks or leading zeros only.
    """
    found = parsed(cells, choice)
    remedy = "fill these cells, or delete the rows from the file"
    if found.gone.any() or not (choice.exact or choice.kind == "names"):
        _complete(what, name, found, remedy)
    keep = f"--types {f'{name}=names'!r} if they are different names"
    if choice.kind == "names":
        known = list(found.texts)
    else:
        known = [canonical(each) for each in found.texts]
        short = [t for t, n in zip(found.texts, known, strict=True)
                 if "e" in t.lower() and codes.NUMBER.fullmatch(t) and len(n) > 11]  # fmt: skip
        if short:
            raise DataError(f"{what} {name!r} says {short[0]!r}: a spreadsheet has cut the digits "
                            f"of its names. Remedy: save the column as text, or {keep}"
                            )  # fmt: skip
        if both := alike(list(dict.fromkeys(known))):
            raise DataError(f"{what} {name!r} has both {listed(both)}. Remedy: spell them alike, "
                            f"or {keep}")  # fmt: skip
    numeric = choice.kind != "names" and all(map(codes.NUMBER.fullmatch, known))
    order = sorted(set(known), key=(lambda each: (Decimal(each), each)) if numeric else str)
    place = {each: i for i, each in enumerate(order)}
    return np.array([place[each] for each in known], np.int32)[found.level], tuple(order)


def sides(name: str, cells: pd.Series, task: np.ndarray, tasks: Sequence[str]) -> np.ndarray:
    """(T,) int8: the side of the meta-split that a column puts every task on.

    Raises:
      DataError: an unknown side, a task on two sides, or a side without tasks.
    """
    side = cells.str.lower().map(SIDES)
    if side.isna().any():
        raise DataError(f"split {name!r} is {cells[side.isna()].iloc[0]!r} in "
                        f"{rows(side.isna().to_numpy())}; it must be train, validation or "
                        "test")  # fmt: skip
    side = side.to_numpy(np.int8)
    first = np.full(len(tasks), 3, np.int8)
    np.minimum.at(first, task, side)
    twice = np.unique(task[first[task] != side])
    if len(twice):
        raise DataError(f"split {name!r} puts task {tasks[twice[0]]!r} on two sides; a task is "
                        "held out as a whole")  # fmt: skip
    for number, what in enumerate(("train", "validation", "test")):
        if not (first == number).any():
            raise DataError(f"split {name!r} has no task for {what}")
    return first
