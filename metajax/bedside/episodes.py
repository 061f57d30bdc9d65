"""Supports of k patients from one file; all the other patients are judged."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from metajax.datasets import DataError

QUERIES = 512  # the most rows that an episode judges
FEWEST = 4  # labelled patients of a draw
SIZES = (8, 16, 32, 64, 128, 256)


class Episode(NamedTuple):
    """Rows of one draw.

    Attributes:
      support: labelled rows.
      query: rows to be judged, of no patient of the support.
    """

    support: np.ndarray
    query: np.ndarray


def strata(y: np.ndarray, group: np.ndarray, classes: int) -> np.ndarray:
    """(G,) the class of every patient: that of most rows, the rarer if level; 0 for a quantity."""
    patients = int(group.max()) + 1
    if not classes:
        return np.zeros(patients, int)
    counts = np.zeros((patients, classes))
    np.add.at(counts, (group, y), 1)
    rare = 1e-3 * (1 - np.bincount(y, minlength=classes) / len(y))
    return (counts + rare).argmax(1)


def shares(stratum: np.ndarray, k: int) -> np.ndarray | None:
    """(S,) patients that every class gives to a support of k, or None if the file is too small.

    In proportion to their number, no more than half of a class, rounded down; 2 at least, 1 where
    that is half of the class or there are more classes than k / 2.
    """
    count = np.bincount(stratum)
    classes = (count > 0).sum()
    room = count // 2
    least = np.where(count > 0, np.clip(room, 1, 2 if 2 * classes <= k else 1), 0)
    if (room < least).any() or least.sum() > k or room.sum() < k:
        return None
    given = np.clip(np.floor(k * count / count.sum()).astype(int), least, room)
    while given.sum() != k:
        lack = k * count / count.sum() - given
        if given.sum() < k:
            given[np.where(given < room, lack, -np.inf).argmax()] += 1
        else:
            given[np.where(given > least, lack, np.inf).argmin()] -= 1
    return given


def possible(stratum: np.ndarray) -> list[int]:
    """All support sizes that a file allows."""
    return [k for k in range(FEWEST, len(stratum)) if shares(stratum, k) is not None]


def sizes(
    stratum: np.ndarray, asked: tuple[int, ...] | None, classes: tuple[str, ...] = ()
) -> tuple[int, ...]:
    """The support sizes that a file allows.

    Args:
      stratum: (G,) see `strata`.
      asked: sizes that must do; None: those of `SIZES` that do, at least one.
      classes: their names, for messages.

    Raises:
      DataError: naming the largest size that would do, or that there is none.
    """
    fine = possible(stratum)
    counts = np.bincount(stratum)
    told = f"{len(stratum)} patients"
    if len(classes) == len(counts):
        told = ", ".join(f"{n} of {c!r}" for c, n in zip(classes, counts, strict=True))
    if not fine:
        raise DataError(f"the file is too small to be compared on: {told}. At most half of "
                        "the patients of a class are labelled at a time, and 4 in all are needed"
                        )  # fmt: skip
    if asked is None:
        return tuple(k for k in SIZES if k in fine) or (fine[-1],)
    if bad := [k for k in asked if k not in fine]:
        raise DataError(f"--shots {bad[0]}: this file allows {fine[0]} to {fine[-1]} ({told}; at "
                        f"most half of a class are labelled at a time). Remedy: --shots {fine[-1]}"
                        )  # fmt: skip
    return tuple(sorted(set(asked)))


def draw(
    stratum: np.ndarray, group: np.ndarray, given: np.ndarray, rng: np.random.Generator
) -> Episode:
    """One support, and the rows of all other patients (at most `QUERIES`, at random).

    Args:
      stratum: (G,) class of every patient.
      group: (R,) patient of every row.
      given: (S,) patients that every class gives, see `shares`.
      rng: draws.
    """
    chosen = np.concatenate([
        rng.permutation(np.flatnonzero(stratum == c))[:count] for c, count in enumerate(given)
    ])  # fmt: skip
    inside = np.zeros(len(stratum), bool)
    inside[chosen] = True
    support, query = np.flatnonzero(inside[group]), np.flatnonzero(~inside[group])
    if len(query) > QUERIES:
        query = np.sort(rng.permutation(query)[:QUERIES])
    return Episode(support, query)
