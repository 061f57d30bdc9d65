"""A user's own table, images or sequences as a family of tasks, its card made on the fly.

The same guards as for the families of this package, with the remedy in every message; see
docs/own_data.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metajax.datasets.family import Family
from metajax.datasets.files import DataError
from metajax.datasets.genomics import sequences
from metajax.datasets.own import (
    arrays,
    cells,
    choices,
    guards,
    leaks,
    letters,
    reports,
    tables,
    text,
)
from metajax.datasets.own.cards import Roles, Rules, card_of
from metajax.datasets.own.letters import Alphabet
from metajax.datasets.own.reports import listed

AS_IS = Rules()
NOTHING_SAID = choices.Choices({})


def table_family(
    path: str | os.PathLike,
    label: str,
    task: str,
    group: str | None = None,
    drop: Sequence[str] = (),
    rules: Rules = AS_IS,
    types: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> Family:
    """The tasks of a table: a row a case, with a header.

    Every column but label, task, group, split and those dropped is a feature: numbers as they are,
    yes/no and true/false as 1 and 0, other texts as one column for each of at most
    `reports.LEVELS` values. An empty cell and the codes of `codes.MISSING` are missing. The card
    says what every column was taken for.

    Args:
      path: a csv file, or tsv if ``.tsv`` is in its name; also ``.gz``, or alone in a ``.zip``.
      label: the column to predict.
      task: the column whose values are the tasks.
      group: the column of row groups (patients), never in both support and query nor on two sides
        of a meta-split; None: every row is its own.
      drop: columns that are no features.
      rules: see `Rules`.
      types: files that say what columns are, or ``column=kind``; see `choices.choices`.
      missing: codes of missing cells, or ``column=code``.

    Raises:
      DataError: naming the column, rows or tasks at fault, and the remedy.
    """
    looked = look(path, label, task, group, drop, rules, types, missing)
    named = looked.named
    roles = _roles(looked.path, looked.raw, label, task, named.get("group"), rules)
    x, columns = tables.features(looked)
    read = reports.plain(tables.reading(looked, rules))
    told = {"table": sorted(looked.drop), "reading": read}
    return _family(looked.path, x, roles, rules, told, columns=columns, looked=looked)


def look(
    path: str | os.PathLike,
    label: str,
    task: str,
    group: str | None = None,
    drop: Sequence[str] = (),
    rules: Rules = AS_IS,
    types: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> tables.Looked:
    """What the columns of a table are, also where one cannot be used; see `table_family`."""
    path = _present(path)
    named = {"label": label, "task": task, "group": group, "split": rules.split}
    flags = [flag for flag, name in named.items() if name is not None]
    for i, flag in enumerate(flags):
        if twice := [other for other in flags[i + 1 :] if named[other] == named[flag]]:
            raise DataError(f"--{flag} and --{twice[0]} both name column {named[flag]!r}")
    return tables.look(path, named, drop, types, missing)


def image_family(
    path: str | os.PathLike,
    label: str,
    task: str,
    group: str | None = None,
    rules: Rules = AS_IS,
    types: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> Family:
    """The tasks of images: an npz file of plain arrays.

    Args:
      path: with ``images``, uint8 (N, H, W) or (N, H, W, 3), and arrays of N numbers or texts.
      label: the array to predict.
      task: the array whose values are the tasks.
      group: the array of row groups; None: every image is its own.
      rules: see `Rules`.
      types: what label, task and group are, see `table_family`.
      missing: codes of missing values in them.

    Raises:
      DataError: naming the array, rows or tasks at fault, and the remedy.
    """
    path = _present(path)
    names = dict.fromkeys(filter(None, (label, task, group, rules.split)))
    found = arrays.load(path, list(names))
    roles = _roles(path, found.raw, label, task, group, rules)
    looked = tables.roles_only(path, found.raw, found.notes, roles._asdict(), types, missing)
    told = {"images": 1, "reading": reports.plain(tables.reading(looked, rules, found.column))}
    return _family(path, found.x, roles, rules, told, said=looked.choices)


def sequence_family(
    path: str | os.PathLike,
    label: str,
    task: str,
    group: str | None = None,
    sequence: str = "sequence",
    alphabet: Alphabet = "dna",
    rules: Rules = AS_IS,
    types: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> Family:
    """The tasks of DNA, RNA or protein sequences: a table with a sequence a row.

    Args:
      path: a csv file, or tsv if ``.tsv`` is in its name; also ``.gz``, or alone in a ``.zip``.
      label: the column to predict.
      task: the column whose values are the tasks.
      group: the column of row groups; None: near-duplicates (`letters.STRETCH` letters shared, or
        the whole of a shorter one, on either strand) of DNA, identical sequences of protein.
      sequence: the column of sequences; other columns are not used.
      alphabet: "dna" (A, C, G, T or U, and the letters of ambiguous bases) or "protein".
      rules: see `Rules`.
      types: what label, task and group are, see `table_family`.
      missing: codes of missing cells; ``column=`` of the sequences: none but an empty one.

    Raises:
      DataError: naming the column, rows or tasks at fault, and the remedy.
    """
    path = _present(path)
    letters.no_fasta(path)
    raw, notes = text.sheet(path)
    roles = _roles(path, raw, label, task, group, rules)
    cells.known(path, [sequence], list(raw))
    used = [sequence, *(each.name for each in roles if each is not None)]
    if sequence in used[1:]:
        raise DataError(f"--sequence {sequence!r}: it is the label, task, group or split")
    if other := [name for name in raw if name not in used]:
        notes = (*notes, f"left out: columns {listed(other)}, which no flag names")
    looked = tables.roles_only(path, raw[used], notes, roles._asdict(), types, missing)
    if kind := looked.choices.of(sequence).kind:
        raise DataError(f"--types calls column {sequence!r} {kind!r}, but it holds the sequences. "
                        "Remedy: leave it out there")  # fmt: skip
    found = letters.read(path, sequence, raw[sequence], alphabet, looked.choices.of(sequence))
    looked = looked._replace(raw=raw[used[1:]], notes=(*notes, *found.notes))
    read = reports.plain(tables.reading(looked, rules, found.column))
    told = {"sequence": sequence, "alphabet": alphabet, "reading": read}
    return _family(path, found.x, roles, rules, told, item=found.item, alike=found.alike,
                   said=looked.choices)  # fmt: skip


def _present(path: str | os.PathLike) -> Path:
    """The path of a file that exists."""
    path = Path(path).expanduser()
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise DataError(f"{path} {what}. Remedy: check the path")
    return path


def _roles(path: Path, raw: pd.DataFrame, label, task, group, rules: Rules) -> Roles:
    """The columns that are not inputs; each may be one thing only."""
    named = {"--label": label, "--task": task, "--group": group, "--split": rules.split}
    given = {flag: name for flag, name in named.items() if name is not None}
    cells.known(path, list(given.values()), list(raw))
    for flag, name in given.items():
        if twice := [other for other in given if other != flag and given[other] == name]:
            raise DataError(f"{flag} and {twice[0]} both name column {name!r}")
    return Roles(*(raw[name] if name is not None else None for name in named.values()))


def _family(
    path: Path,
    x: np.ndarray,
    roles: Roles,
    rules: Rules,
    told: Mapping[str, Any],
    *,
    columns: tuple[str, ...] = (),
    looked: tables.Looked | None = None,
    said: choices.Choices = NOTHING_SAID,
    item: np.ndarray | None = None,
    alike: np.ndarray | None = None,
) -> Family:
    """Labels, tasks, groups and split of checked rows, and their card."""
    said = said if looked is None else looked.choices
    name = roles.label.name
    y, classes = cells.labels(name, roles.label, rules.kind, rules.positive, said.of(name))
    if looked is not None and rules.leaks == "refuse":
        leaks.no_leak(looked.columns, y, classes)
    task, tasks = cells.coded(roles.task.name, roles.task, said.of(roles.task.name))
    if classes and rules.coding == "refuse":
        guards.one_coding(name, y, classes, task, tasks)
    split = None
    if roles.split is not None:
        split = cells.sides(roles.split.name, roles.split, task, tasks)
    keep = np.ones(len(y), bool)
    if roles.group is not None:
        name = roles.group.name
        group, names = cells.coded(name, roles.group, said.of(name), "group")
        if looked is not None and rules.duplicates != "keep":
            levels = [each.level for each in looked.columns]
            keep = guards.no_hidden_copies(x, y, levels, group, rules.duplicates)
    elif alike is not None:
        group, first = alike, np.unique(alike, return_index=True)[1]
        names = [f"that of row {row + 1}" for row in first]
    else:
        group, names = np.arange(len(y)), []
        if rules.duplicates != "keep":
            # A copied picture is one picture, whatever its label.
            case = guards.copies(x, y if columns else None)
            keep = ~pd.Series(case).duplicated().to_numpy()
            if rules.duplicates == "refuse":
                what = "same values, same label" if columns else "same image"
                guards.no_copies(case, task, what)
    group = guards.apart(group, names, task if split is None else split[task], task,
                             rules.shared)  # fmt: skip
    made = Family(
        x=x if item is not None else x[keep],
        y=y[keep],
        task=task[keep],
        task_names=tasks,
        card=None,
        columns=columns,
        group=sequences.numbered(group[keep]),
        item=None if item is None else item[keep],
        split=split,
        classes=classes,
    )
    return made._replace(card=card_of(path, made, roles, rules, told))
