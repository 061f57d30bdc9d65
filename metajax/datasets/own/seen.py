"""What every look at a column shares: its cells by level, the features it becomes, its spelling."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from metajax.datasets.own import codes
from metajax.datasets.own.reports import Column, listed, rows
from metajax.datasets.own.text import UNSEEN

FLAGS = ({"no": 0, "yes": 1}, {"n": 0, "y": 1}, {"false": 0, "true": 1}, {"f": 0, "t": 1})
SAME = (
    {"m", "male", "males", "man"}, {"f", "female", "females", "woman"}, {"y", "yes"}, {"n", "no"},
    {"t", "true"}, {"f", "false"}, {"pos", "positive", "+"}, {"neg", "negative", "-"},
    {"unk", "unknown", "unkn"},
)  # fmt: skip
EXACT = 2.0**53  # whole numbers above it are no longer exact
DIGITS = 1e-6  # what single precision leaves of a number


class Refused(Exception):
    """Why a column is no feature, and the remedy; told with those of the other columns."""


class Seen(NamedTuple):
    """The cells of a column that say something: (levels,) texts, values, counts; (R,) levels."""

    name: str
    cells: pd.Series
    level: np.ndarray
    texts: list[str]
    values: np.ndarray
    counts: np.ndarray

    @property
    def drop(self) -> str:
        """The remedy that is always there."""
        return f"Remedy: --drop {self.name!r}"

    def rows(self, texts: Sequence[str]) -> str:
        """Names the rows of some texts."""
        return rows(self.cells.isin(list(texts)).to_numpy())

    def spread(self, values: np.ndarray) -> np.ndarray:
        """(R,) float32 of (levels,) values."""
        full = np.append(np.asarray(values, np.float64), np.nan)
        return full[self.level].astype(np.float32)


def one_spelling(seen: Seen) -> None:
    """Refuses two spellings of one level."""
    if both := alike(seen.texts):
        raise Refused(f"has both {listed(both)}. Remedy: spell them alike, or --drop "
                      f"{seen.name!r}")  # fmt: skip
    if both := same(seen.texts):
        raise Refused(f"has both {both[0]!r} and {both[1]!r}: one level? Remedy: spell them "
                      f"alike, or --drop {seen.name!r}")  # fmt: skip


def same(texts: Sequence[str]) -> list[str]:
    """Two words for one level; empty: there are none."""
    lower = {text.lower(): text for text in texts}
    found = ([lower[word] for word in lower if word in words] for words in SAME)
    return next((both for both in found if len(both) > 1), [])


def alike(texts: Sequence[str]) -> list[str]:
    """Pairs of texts that a person reads as one: they differ in case, blanks, hyphens or zeros."""
    pairs = []
    found: dict[str, str] = {}
    for text in sorted(texts):
        key = unicodedata.normalize("NFKC", text).casefold()
        key = re.sub(r"(?<=\w)[-_\s]+(?=\w)", " ", re.sub(f"[{UNSEEN}\u00ad]", "", key))
        if codes.NUMBER.fullmatch(text):
            key = repr(float(text)) if abs(float(text)) < EXACT else text
        if found.setdefault(key, text) != text:
            pairs.append(f"{found[key]!r} and {text!r}")
    return pairs


def endless(seen: Seen) -> None:
    """Refuses numbers that single precision cannot hold."""
    with np.errstate(over="ignore"):
        small = seen.values.astype(np.float32)
    if np.isinf(small).any():
        odd = [t for t, one in zip(seen.texts, small, strict=True) if np.isinf(one)]
        raise Refused(f"is infinite in {seen.rows(odd)}. Remedy: leave these cells empty, or "
                      f"--drop {seen.name!r}")  # fmt: skip
    largest = np.abs(seen.values).max()
    spread = np.ptp(seen.values)
    # Devices take what is below the smallest normal number as 0; so does Python with 1e-400.
    near = np.flatnonzero(np.abs(small) < np.finfo(np.float32).tiny)
    lost = any(re.search("[1-9]", re.split("[eE]", seen.texts[i])[0]) for i in near)
    if lost or 0 < spread < DIGITS * largest:
        raise Refused(f"cannot be held in single precision: {seen.values.min():.9g} to "
                      f"{seen.values.max():.9g}. Remedy: another unit, or subtract a constant, or "
                      f"--drop {seen.name!r}")  # fmt: skip


def as_number(seen: Seen, column: Column):
    """A column of numbers, as they are."""
    distinct = np.unique(seen.values)
    span = f"{distinct[0]:.6g} to {distinct[-1]:.6g}"
    if len(distinct) <= 3:
        span = ", ".join(f"{value:.6g}" for value in distinct)
    column = column._replace(kind="number", values=span, treatment="scaled",
                             distinct=len(distinct), note=_same(len(distinct)))  # fmt: skip
    return column, [(seen.name, seen.spread(seen.values))]


def as_flags(seen: Seen, column: Column, values: Sequence[float]):
    """A column of 0 and 1: (levels,) values."""
    told = ", ".join(f"{text} = {int(value)}" for text, value in zip(seen.texts, values,
                                                                     strict=True))  # fmt: skip
    column = column._replace(kind="yes-no", values=told, treatment="0 or 1, scaled",
                             distinct=len(set(values)), note=_same(len(set(values))))  # fmt: skip
    return column, [(seen.name, seen.spread(values))]


def as_levels(seen: Seen, column: Column, levels: Sequence[str]):
    """A column for each level, in their order."""
    counts = dict(zip(seen.texts, seen.counts.tolist(), strict=True))
    told = ", ".join(f"{level} ({counts[level]})" for level in levels)
    note = _same(len(levels))
    mixed = [t for t in seen.texts if codes.NUMBER.fullmatch(t)]
    if mixed and len(mixed) < len(levels):
        note = f"numbers among its texts: {listed(mixed, 4)}"
    column = column._replace(
        kind="category", values=told, treatment="a column of 0 and 1 for each level",
        distinct=len(levels), levels=tuple(levels), note=note,
    )  # fmt: skip
    # A missing nominal is missing in all of its levels.
    parts = [(f"{seen.name}={level}", seen.spread([float(t == level) for t in seen.texts]))
             for level in levels]  # fmt: skip
    return column, parts


def _same(distinct: int) -> str:
    return "the same in every row" if distinct == 1 else ""
