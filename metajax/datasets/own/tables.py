"""A user's table, column by column: what each is, and the features that come of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from metajax.datasets.files import DataError
from metajax.datasets.own import cells, choices, codes, identifiers, leaks, reports, text
from metajax.datasets.own.choices import ROLES, Choices
from metajax.datasets.own.columns import Examined, examine
from metajax.datasets.own.reports import Column, Reading, listed


class Looked(NamedTuple):
    """A table of R rows that was looked at.

    Attributes:
      path: its file.
      raw: its cells.
      notes: see `text.Sheet`.
      choices: what the user says of its columns.
      named: the columns that are label, task, group and split, by these names.
      drop: columns that are left out.
      columns: its features, in the order of the file.
    """

    path: Path
    raw: pd.DataFrame
    notes: tuple[str, ...]
    choices: Choices
    named: Mapping[str, str]
    drop: tuple[str, ...]
    columns: tuple[Examined, ...]


def look(
    path: Path,
    named: Mapping[str, str | None],
    drop: Sequence[str],
    types: Sequence[str],
    missing: Sequence[str],
) -> Looked:
    """Reads a file and looks at every column; what is wrong with a feature is only noted.

    Args:
      path: the file.
      named: the columns that are label, task, group and split; None: there is none.
      drop: columns that are no features.
      types: see `choices.choices`.
      missing: likewise.

    Raises:
      DataError: it cannot be read, or names a column that is not there or is two things.
    """
    raw, notes = text.sheet(path)
    given = {role: name for role, name in named.items() if name is not None}
    _present(path, raw, given.values())
    cells.known(path, drop, list(raw))
    said = choices.choices(list(raw), types, missing)
    for name, choice in said.columns.items():
        if choice.kind == "group" and "group" not in given:
            given["group"] = name
        elif choice.kind == "drop" and name not in drop:
            drop = (*drop, name)
        elif choice.kind in ROLES and given.get(choice.kind) != name:
            raise DataError(f"--types calls column {name!r} the {choice.kind}, but --{choice.kind} "
                            f"is {given.get(choice.kind)!r}")  # fmt: skip
    for role, name in given.items():
        kind = said.of(name).kind
        if kind not in ("", role, "names", "drop"):
            raise DataError(f"--types calls column {name!r} {kind!r}, but it is the {role}. "
                            f"Remedy: leave it out there, or call it {role}")  # fmt: skip
    if clash := [name for name in drop if name in given.values()]:
        raise DataError(f"--drop {clash[0]!r}: it is the label, task, group or split")
    own = [name for name in raw if name not in given.values() and name not in drop]
    if not own:
        raise DataError(f"{path} has no column left to predict from; it has {listed(list(raw))}")
    looked = tuple(examine(name, raw[name], said.of(name)) for name in own)
    if given.get("task") in raw:
        looked = tuple(_numbered(each, raw[given["task"]], said) for each in looked)
    used(raw, said)
    return Looked(path, raw, notes, said, given, tuple(drop), looked)


def _present(path: Path, raw: pd.DataFrame, names: Sequence[str]) -> None:
    """Refuses a header that does not have the names, but a line below it does."""
    wanted = set(names)
    if wanted <= set(raw):
        return
    for i, row in enumerate(raw.head(20).itertuples(index=False), 1):
        if wanted <= set(row):
            raise DataError(f"{path}: its first line names {listed(list(raw))}; the names asked "
                            f"for stand in row {i} below it. Remedy: delete the lines above the "
                            "header")  # fmt: skip


def roles_only(
    path: Path,
    raw: pd.DataFrame,
    notes: Sequence[str],
    roles: Mapping[str, pd.Series | None],
    types: Sequence[str],
    missing: Sequence[str],
) -> Looked:
    """Columns beside inputs that are no table: label, task, group and split by these names."""
    named = {role: each.name for role, each in roles.items() if each is not None}
    said = choices.choices(list(raw), types, missing)
    used(raw, said)
    return Looked(path, raw, tuple(notes), said, named, (), ())


def used(raw: pd.DataFrame, said: Choices) -> None:
    """Refuses a code of missing cells that is nowhere: it would be told and do nothing."""
    for code in said.missing:
        if not any(_holds(raw[name], code) for name in raw):
            raise DataError(f"--missing {code}: no cell says so")
    for name, choice in said.columns.items():
        if lost := [code for code in choice.missing if not _holds(raw[name], code)]:
            raise DataError(f"--missing {name}={lost[0]}: no cell of column {name!r} says so")


def _holds(column: pd.Series, code: str) -> bool:
    """Whether a column has a code in some cell."""
    texts = [str(each) for each in column.unique()]
    gone, _ = codes.unsaid(texts, codes.numbers(texts), (code,), exact=True)
    return bool((gone & (np.array(texts) != "")).any())


def _numbered(each: Examined, task: pd.Series, said: Choices) -> Examined:
    """A column of numbers that rise within every task: each hospital numbers its patients."""
    name = each.column.name
    if each.column.kind != "number" or each.column.missing or said.of(name).kind:
        return each
    if not identifiers.counts_in_groups(each.values[each.level], pd.factorize(task)[0]):
        return each
    problem = (f"column {name!r} rises from row to row in every task: it is no feature. Remedy: "
               f"--drop {name!r}, --group {name!r} if it says who the patient is, or --types "
               f"{f'{name}=number'!r} if it is measured")  # fmt: skip
    return each._replace(column=each.column._replace(kind="?", problem=problem), parts=())


def features(looked: Looked) -> tuple[np.ndarray, tuple[str, ...]]:
    """The features of a table.

    Returns:
      (R, D) float32 with NaN where a value is missing, and the D names.

    Raises:
      DataError: naming the columns that are none, and the remedy.
    """
    if bad := [each.column for each in looked.columns if each.column.problem]:
        more = ""
        if len(bad) > 1:
            names = listed([repr(column.name) for column in bad[1:]], 12)
            more = (f". {len(bad) - 1} more cannot be used as they are: {names} "
                    "(--types-template FILE says why)")  # fmt: skip
        raise DataError(bad[0].problem + more)
    parts = [part for each in looked.columns for part in each.parts]
    names = tuple(name for name, _ in parts)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{looked.path}: two features would be called {twice[0]!r}. Remedy: rename "
                        "a column")  # fmt: skip
    return np.stack([values for _, values in parts], 1), names


def reading(looked: Looked, rules: Any, *inputs: Column) -> Reading:
    """The reading report of a table.

    Args:
      looked: the table.
      rules: see `metajax.datasets.own.Rules`.
      *inputs: what is told of inputs that are no columns of numbers.
    """
    found = {each.column.name: each.column for each in looked.columns}
    roles = {name: role for role, name in looked.named.items()}
    columns = list(inputs)
    name = looked.named["label"]
    try:
        y, classes = cells.labels(name, looked.raw[name], rules.kind, rules.positive,
                                  looked.choices.of(name))  # fmt: skip
    except DataError:  # told with its column
        y, classes = np.zeros(0), ()
    for each in looked.columns:
        if classes and (said := leaks.sign(each, y, classes)):
            old = found[each.column.name]
            note = "; ".join(filter(None, (old.note, said)))
            found[each.column.name] = old._replace(note=note)
    for name in looked.raw:
        if name in roles:
            columns.append(_role(looked, name, roles[name], rules))
        elif name in looked.drop:
            columns.append(Column(name, "left out", "", values="", note="--drop"))
        else:
            columns.append(found[name])
    return Reading(looked.path.name, len(looked.raw), tuple(columns), looked.notes)


def _role(looked: Looked, name: str, role: str, rules: Any) -> Column:
    """What is told of a column that is no feature."""
    column = looked.raw[name]
    choice = looked.choices.of(name)
    try:
        if role == "label":
            y, classes = cells.labels(name, column, rules.kind, rules.positive, choice)
        else:
            y, classes = cells.coded(name, column, choice, role)
    except DataError as error:
        return Column(name, role, "?", problem=str(error))
    if not classes:
        note = ""
        if rules.kind == "auto" and (y == np.round(y)).all():
            note = (f"{len(np.unique(y))} different whole numbers are taken as a quantity; "
                    "--kind classification makes classes of them")  # fmt: skip
        return Column(name, role, "quantity", values=f"{y.min():.6g} to {y.max():.6g}",
                      distinct=len(np.unique(y)), note=note)  # fmt: skip
    told, note = listed(classes, 20), ""
    if odd := [one for one in classes if one.lower() in codes.UNKNOWN]:
        note = f"is {odd[0]!r} a {role}, or a missing cell (--missing {f'{name}={odd[0]}'!r})?"
    if role == "group":
        told = f"{len(classes)} of them, the largest of {np.bincount(y).max()} rows"
    return Column(name, role, "classes" if role == "label" else "names", values=told,
                  distinct=len(classes), note=note)  # fmt: skip


def template(looked: Looked, rules: Any) -> str:
    """A file for `--types`, filled with what was guessed; ``?`` where a choice is needed."""
    exact = [name for name, choice in looked.choices.columns.items() if choice.exact]
    return choices.template(reports.lines(reading(looked, rules), exact))
