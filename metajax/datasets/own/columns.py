"""What a column of a table is: guessed where only one guess is possible, otherwise refused."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from metajax.datasets.own import codes, identifiers
from metajax.datasets.own.choices import Choice
from metajax.datasets.own.reports import LEVELS, Column, listed, rows
from metajax.datasets.own.text import UNSEEN

FLAGS = ({"no": 0, "yes": 1}, {"n": 0, "y": 1}, {"false": 0, "true": 1}, {"f": 0, "t": 1})
SAME = (
    {"m", "male", "males", "man"}, {"f", "female", "females", "woman"}, {"y", "yes"}, {"n", "no"},
    {"t", "true"}, {"f", "false"}, {"pos", "positive", "+"}, {"neg", "negative", "-"},
    {"unk", "unknown", "unkn"},
)  # fmt: skip
EXACT = 2.0**53  # whole numbers above it are no longer exact
DIGITS = 1e-6  # what single precision leaves of a number


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


class Refused(Exception):
    """Why a column is no feature, and the remedy; told with those of the other columns."""


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
    seen = _Seen(name, cells, number[level], [texts[i] for i in keep], values[keep], counts[keep])
    try:
        if doubtful:
            found = listed([repr(each) for each in doubtful])
            raise Refused(f"says {found} in {seen.rows(doubtful)}: a value, or a missing cell? "
                          f"Remedy: --missing {f'{name}={doubtful[0]}'!r}, or --missing "
                          f"{f'{name}='!r} if nothing but an empty cell is missing")  # fmt: skip
        column, parts = (_told if choice.kind else _guessed)(seen, choice, column)
    except Refused as problem:
        column, parts = column._replace(problem=f"column {name!r} {problem}"), ()
    return Examined(column, tuple(parts), seen.level, tuple(seen.texts), seen.values)


class _Seen(NamedTuple):
    """The cells of a column that say something: (levels,) texts, values, counts; (R,) levels."""

    name: str
    cells: pd.Series
    level: np.ndarray
    texts: list[str]
    values: np.ndarray
    counts: np.ndarray

    @property
    def drop(self) -> str:
        return f"Remedy: --drop {self.name!r}"

    def rows(self, texts: Sequence[str]) -> str:
        """Names the rows of some texts."""
        return rows(self.cells.isin(list(texts)).to_numpy())

    def spread(self, values: np.ndarray) -> np.ndarray:
        """(R,) float32 of (levels,) values."""
        full = np.append(np.asarray(values, np.float64), np.nan)
        return full[self.level].astype(np.float32)


def _guessed(seen: _Seen, choice: Choice, column: Column):
    """What can be nothing else."""
    if not seen.texts:
        raise Refused(f"is empty: every cell is missing. {seen.drop}")
    lower = [text.lower() for text in seen.texts] if len(seen.texts) < 9 else []
    for flags in FLAGS:
        if lower and set(lower) <= set(flags):
            return _flags(seen, column, [flags[text] for text in lower])
    if np.isnan(seen.values).any():
        return _texts(seen, choice, column)
    keep = f"--types {f'{seen.name}=number'!r} if it is measured"
    distinct = np.unique(seen.values)
    whole = np.isfinite(distinct).all() and (distinct == np.round(distinct)).all()
    long = [t for t in seen.texts if len(t) > 15 and t.lstrip("+-").isdigit()] if whole else []
    if long and np.abs(distinct).max() >= EXACT:
        raise Refused(f"holds codes, no numbers: {long[0]} has more digits than a number "
                      f"keeps. {seen.drop}, or --group {seen.name!r} if it says who the patient is"
                      )  # fmt: skip
    if zeros := [t for t in seen.texts if codes.ZEROS.fullmatch(t)] if whole else []:
        raise Refused(f"holds codes, no numbers: {listed(zeros, 3)} in {seen.rows(zeros)}. "
                      f"{seen.drop}, or --types {f'{seen.name}=category'!r}, or {keep}"
                      )  # fmt: skip
    if whole and len(distinct) > 2 and _days(distinct):
        raise Refused(f"holds dates, as {seen.texts[0]}. {seen.drop}, or turn it into days since "
                      f"an event, or {keep}")  # fmt: skip
    _endless(seen)
    if whole and len(distinct) > 2 and identifiers.named(seen.name):
        raise Refused(f"looks like the number of a case, which is no feature. {seen.drop}, or "
                      f"--group {seen.name!r} if it says who the patient is, or {keep}"
                      )  # fmt: skip
    if found := codes.suspects(seen.values, seen.counts):
        what = [text for text, value in zip(seen.texts, seen.values, strict=True) if value in found]
        others = seen.values[~np.isin(seen.values, found)]
        flags = " ".join(f"{f'{seen.name}={text}'!r}" for text in what)
        raise Refused(
            f"is {listed(what)} in {seen.rows(what)}, far outside its other values "
            f"({others.min():g} to {others.max():g}): a code for a missing cell? Remedy: "
            f"--missing {flags}, or {keep}"
        )
    if how := identifiers.counts_rows(seen.values[seen.level[seen.level >= 0]]):
        raise Refused(f"{how}: it is no feature. {seen.drop}, --group {seen.name!r} if it says who "
                      f"the patient is, or {keep}")  # fmt: skip
    return _numbers(seen, column)


def _texts(seen: _Seen, choice: Choice, column: Column):
    """A category, if its texts are neither numbers, dates nor names in disguise."""
    name, text = seen.name, np.isnan(seen.values)
    how = [codes.written(t) if is_text else "" for t, is_text in zip(seen.texts, text, strict=True)]
    if text.all():  # under 20, 20 to 50, over 50: bands, where no plain number is among them
        how = ["" if h == "limits of detection" else h for h in how]
    like = ~text | np.array([bool(h) for h in how])
    if like.mean() >= 0.5 or seen.counts[like].sum() >= seen.counts.sum() / 2:
        kinds = [h for h in how if h]
        what = max(dict.fromkeys(kinds), key=kinds.count) if kinds else ""
        odd = [t for t, h in zip(seen.texts, how, strict=True) if (h == what if what else False)]
        odd = odd or [t for t, is_text in zip(seen.texts, text, strict=True) if is_text]
        said = f"{seen.rows(odd)} ({listed([repr(t) for t in odd], 4)})"
        says = "say" if said.startswith("rows") else "says"
        also = "" if what not in ("", "limits of detection") or len(odd) > 4 else (
            " --missing " + " ".join(repr(f"{name}={t}") for t in odd[:4])
            + " if that is no value,")  # fmt: skip
        mostly = f"holds {what}" if what else "is a number in most rows but not in all"
        raise Refused(f"{mostly}: {said} {says} what is no plain number. Remedy: write plain "
                      f"numbers,{also} --drop {name!r}, or --types {f'{name}=category'!r}"
                      )  # fmt: skip
    rows_seen = int(seen.counts.sum())
    many, alone = len(seen.texts) > LEVELS, rows_seen >= 8 and len(seen.texts) > 0.9 * rows_seen
    if many or alone:
        row = int(np.argmax(np.append(text, False)[seen.level]))
        raise Refused(
            f"has {len(seen.texts)} different texts, "
            + (f"at most {LEVELS} can be used" if many else f"in {rows_seen} rows")
            + f"; row {row + 1} says {seen.cells.iloc[row][:60]!r}, which is no number. "
            f"{seen.drop}, --group {name!r} if it says who the patient is, or correct it"
        )
    _one_spelling(seen)
    if len(seen.texts) > 2 and identifiers.named(name):
        raise Refused(f"looks like the name of a case, which is no feature. {seen.drop}, --group "
                      f"{name!r} if it says who the patient is, or --types "
                      f"{f'{name}=category'!r} if it is a category")  # fmt: skip
    return _levels(seen, column, sorted(seen.texts))


def _told(seen: _Seen, choice: Choice, column: Column):
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
        _endless(seen)
        return _numbers(seen, column)
    order = {level: float(i) for i, level in enumerate(choice.levels)}
    if choice.kind == "yes-no":
        lower = [t.lower() for t in seen.texts]
        for flags in (order, *FLAGS, {"0": 0, "1": 1}):
            own = seen.texts if flags is order else lower
            if set(own) <= set(flags):
                return _flags(seen, column, [flags[t] for t in own])
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
    _one_spelling(seen)
    if len(seen.texts) > LEVELS:
        raise Refused(f"has {len(seen.texts)} different texts, at most {LEVELS} can be used. "
                      f"{seen.drop}")  # fmt: skip
    levels = choice.levels or tuple(sorted(seen.texts))
    return _levels(seen, column, [each for each in levels if each in seen.texts])


def _one_spelling(seen: _Seen) -> None:
    """Refuses two spellings of one level."""
    if both := alike(seen.texts):
        raise Refused(f"has both {listed(both)}. Remedy: spell them alike, or --drop "
                      f"{seen.name!r}")  # fmt: skip
    lower = {text.lower(): text for text in seen.texts}
    for same in SAME:
        if len(both := [lower[word] for word in lower if word in same]) > 1:
            raise Refused(f"has both {both[0]!r} and {both[1]!r}: one level? Remedy: spell them "
                          f"alike, or --drop {seen.name!r}")  # fmt: skip


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


def _endless(seen: _Seen) -> None:
    """Refuses numbers that single precision cannot hold."""
    with np.errstate(over="ignore"):
        small = seen.values.astype(np.float32)
    if np.isinf(small).any():
        odd = [t for t, one in zip(seen.texts, small, strict=True) if np.isinf(one)]
        raise Refused(f"is infinite in {seen.rows(odd)}. Remedy: leave these cells empty, or "
                      f"--drop {seen.name!r}")  # fmt: skip
    largest = np.abs(seen.values).max()
    spread = np.ptp(seen.values)
    if ((small == 0) & (seen.values != 0)).any() or 0 < spread < DIGITS * largest:
        raise Refused(f"cannot be held in single precision: {seen.values.min():.9g} to "
                      f"{seen.values.max():.9g}. Remedy: another unit, or subtract a constant, or "
                      f"--drop {seen.name!r}")  # fmt: skip


def _days(values: np.ndarray) -> bool:
    """Whether all numbers are dates as 20200131."""
    month, day = values // 100 % 100, values % 100
    fine = (values >= 19000101) & (values < 21000101) & (month >= 1) & (month <= 12)
    return bool((fine & (day >= 1) & (day <= 31)).all())


def _numbers(seen: _Seen, column: Column):
    distinct = np.unique(seen.values)
    span = f"{distinct[0]:.6g} to {distinct[-1]:.6g}"
    if len(distinct) <= 3:
        span = ", ".join(f"{value:.6g}" for value in distinct)
    column = column._replace(kind="number", values=span, treatment="scaled",
                             distinct=len(distinct), note=_same(len(distinct)))  # fmt: skip
    return column, [(seen.name, seen.spread(seen.values))]


def _flags(seen: _Seen, column: Column, values: Sequence[float]):
    told = ", ".join(f"{text} = {int(value)}" for text, value in zip(seen.texts, values,
                                                                     strict=True))  # fmt: skip
    column = column._replace(kind="yes-no", values=told, treatment="0 or 1, scaled",
                             distinct=len(set(values)), note=_same(len(set(values))))  # fmt: skip
    return column, [(seen.name, seen.spread(values))]


def _levels(seen: _Seen, column: Column, levels: Sequence[str]):
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
