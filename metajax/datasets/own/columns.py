"""What a column of a table is: as the user says, otherwise as it can only be."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from metajax.datasets.own import codes
from metajax.datasets.own.choices import Choice
from metajax.datasets.own.guesses import guessed
from metajax.datasets.own.reports import LEVELS, Column, listed
from metajax.datasets.own.seen import (
    FLAGS,
    Refused,
    Seen,
    as_flags,
    as_levels,
    as_number,
    endless,
    one_spelling,
)


class Examined(NamedTuple):
    """A column of R rows that was looked at.

    Attributes:
      column: what is told of it.
      parts: the features that it becomes, (name, (R,) float32 with NaN where it is missing).
      level: (R,) int32, which of its texts every row has; -1: missing.
      texts: (levels,) what they say.
      values: (levels,) the texts as numbers, NaN where one is none.
    """

    column: Column
    parts: tuple[tuple[str, np.ndarray], ...]
    level: np.ndarray
    texts: tuple[str, ...]
    values: np.ndarray


def examine(name: str, cells: pd.Series, choice: Choice) -> Examined:
    """Looks at a feature column.

    Args:
      name: of the column.
      cells: (R,) texts.
      choice: what the user says of it.

    Returns:
      What it is; `Column.problem` says why it cannot be used, if so.
    """
    level, texts = pd.factorize(cells.to_numpy(object))
    texts = texts.tolist()
    values = codes.numbers(texts)
    gone, doubtful = codes.unsaid(texts, values, choice.missing, choice.exact)
    counts = np.bincount(level, minlength=len(texts))
    told = tuple((texts[i], int(counts[i])) for i in np.flatnonzero(gone))
    column = Column(name, "feature", "?", int(counts[gone].sum()), told)
    keep = np.flatnonzero(~gone)
    number = np.full(len(texts), -1, np.int32)
    number[keep] = np.arange(len(keep))
    seen = Seen(name, cells, number[level], [texts[i] for i in keep], values[keep], counts[keep])
    try:
        if doubtful:
            found = listed([repr(each) for each in doubtful])
            raise Refused(f"says {found} in {seen.rows(doubtful)}: a value, or a missing cell? "
                          f"Remedy: --missing {f'{name}={doubtful[0]}'!r}, or --missing "
                          f"{f'{name}='!r} if nothing but an empty cell is missing")  # fmt: skip
        column, parts = (_told if choice.kind else guessed)(seen, choice, column)
    except Refused as problem:
        # A flag's value that begins with a hyphen would be taken for a flag.
        said = re.sub(r"(--[a-z]+) (?=['\"]-)", r"\1=", f"{problem}")
        column, parts = column._replace(problem=f"column {name!r} {said}"), ()
    return Examined(column, tuple(parts), seen.level, tuple(seen.texts), seen.values)


def _told(seen: Seen, choice: Choice, column: Column):
    """What the user says that it is."""
    name, text = seen.name, np.isnan(seen.values)
    if not seen.texts:
        raise Refused(f"is empty: every cell is missing. {seen.drop}")
    if choice.levels and (other := [t for t in seen.texts if t not in choice.levels]):
        raise Refused(f"says {listed([repr(t) for t in other])} in {seen.rows(other)}, which is "
                      "none of the levels in --types. Remedy: name it there")  # fmt: skip
    if choice.kind == "number":
        if text.any():
            odd = [t for t, is_text in zip(seen.texts, text, strict=True) if is_text]
            raise Refused(f"is no number in {seen.rows(odd)} ({listed(odd, 4)}), but --types calls "
                          f"it one. Remedy: --missing {f'{name}={odd[0]}'!r} if that is no value, "
                          "or correct it")  # fmt: skip
        endless(seen)
        return as_number(seen, column)
    order = {level: float(i) for i, level in enumerate(choice.levels)}
    if choice.kind == "yes-no":
        lower = [t.lower() for t in seen.texts]
        for flags in (order, *FLAGS, {"0": 0, "1": 1}):
            own = seen.texts if flags is order else lower
            if set(own) <= set(flags):
                return as_flags(seen, column, [flags[t] for t in own])
        raise Refused(f"is no yes or no: it says {listed(seen.texts)}. Remedy: write its levels "
                      "into --types, as absent|present")  # fmt: skip
    if choice.kind == "ordered":
        if not order:
            raise Refused("is called ordered, but its levels are not named. Remedy: name them in a "
                          "file of --types")  # fmt: skip
        shown = " < ".join(choice.levels)
        column = column._replace(kind="ordered", values=shown, treatment="0, 1, ... and scaled",
                                 distinct=len(seen.texts), levels=choice.levels)  # fmt: skip
        return column, [(name, seen.spread([order[t] for t in seen.texts]))]
    if choice.kind != "category":
        raise Refused(f"is called {choice.kind!r} in --types, but it is read as a feature. Remedy: "
                      "number, yes-no, category, ordered or drop")  # fmt: skip
    one_spelling(seen)
    if len(seen.texts) > LEVELS:
        raise Refused(f"has {len(seen.texts)} different texts, at most {LEVELS} can be used. "
                      f"{seen.drop}")  # fmt: skip
    levels = choice.levels or tuple(sorted(seen.texts))
    return as_levels(seen, column, [each for each in levels if each in seen.texts])
