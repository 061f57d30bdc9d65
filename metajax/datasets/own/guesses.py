"""A column of which a user says nothing: guessed where only one guess is possible, or refused."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from metajax.datasets.own import codes, identifiers
from metajax.datasets.own.choices import Choice
from metajax.datasets.own.reports import LEVELS, Column, listed
from metajax.datasets.own.seen import (
    EXACT,
    FLAGS,
    Refused,
    Seen,
    as_flags,
    as_levels,
    as_number,
    endless,
    one_spelling,
)

MONTH = re.compile(r"(?:0[1-9]|1[0-2])\.(?:19|20)\d\d", re.ASCII)


def guessed(seen: Seen, choice: Choice, column: Column):
    """What can be nothing else."""
    if not seen.texts:
        raise Refused(f"is empty: every cell is missing. {seen.drop}")
    lower = [text.lower() for text in seen.texts] if len(seen.texts) < 9 else []
    for flags in FLAGS:
        if lower and set(lower) <= set(flags):
            return as_flags(seen, column, [flags[text] for text in lower])
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
    if len(distinct) > 2 and _days(distinct, seen.texts):
        raise Refused(f"holds dates, as {seen.texts[0]}. {seen.drop}, or turn it into days since "
                      f"an event, or {keep}")  # fmt: skip
    endless(seen)
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
    return as_number(seen, column)


def _texts(seen: Seen, choice: Choice, column: Column):
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
    one_spelling(seen)
    if len(seen.texts) > 2 and identifiers.named(name):
        raise Refused(f"looks like the name of a case, which is no feature. {seen.drop}, --group "
                      f"{name!r} if it says who the patient is, or --types "
                      f"{f'{name}=category'!r} if it is a category")  # fmt: skip
    return as_levels(seen, column, sorted(seen.texts))


def _days(values: np.ndarray, texts: Sequence[str]) -> bool:
    """Whether all numbers are dates: 20200131, 31012020, 202001, 200131, 310120 or 01.2020."""
    if all(MONTH.fullmatch(text) for text in texts):
        return True
    if not (np.isfinite(values).all() and (values == np.round(values)).all()):
        return False
    first, middle, last = values // 10000, values // 100 % 100, values % 100

    def among(part, low, high):
        return (part >= low) & (part <= high)

    days = (
        among(first, 1900, 2099) & among(middle, 1, 12) & among(last, 1, 31),
        among(values // 10**6, 1, 31)
        & among(first % 100, 1, 12)
        & among(values % 10000, 1900, 2099),
        among(values // 100, 1900, 2099) & among(last, 1, 12),
    )  # fmt: skip
    if len(values) >= 8:  # fewer numbers of 6 digits look so by chance
        days += (among(first, 10, 99) & among(middle, 1, 12) & among(last, 1, 31),
                 among(first, 10, 31) & among(middle, 1, 12) & among(last, 0, 99))  # fmt: skip
    return any(bool(each.all()) for each in days)
