"""What would make numbers on a user's own data a lie: leaks, copies, patients on two sides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from metajax.datasets.family import Family, of_tasks
from metajax.datasets.files import DataError
from metajax.datasets.own.cells import LEVELS, listed, missing, numbers

Shared = Literal["refuse", "drop", "divide", "distinct"]
LEAST_ROWS = 20  # fewer rows follow a label by chance


def no_leak(cells: pd.DataFrame, y: np.ndarray) -> None:
    """Refuses a feature that tells the label.

    That is a column each of whose values, missing among them, goes with one label (it is the label
    under another name, or was filled in afterwards: a cause of death); a number that is missing
    for some labels only; a number that splits two labels, or orders targets, without an error.

    Args:
      cells: (R, columns) text cells of the features.
      y: (R,) int classes or float targets.

    Raises:
      DataError: naming the column and how it tells the label.
    """
    if len(y) < LEAST_ROWS:
        return
    for name in cells:
        gone, values = missing(cells[name]), numbers(cells[name])
        seen = ~np.isnan(values)
        how = ""
        if y.dtype.kind == "i":
            if _tells(pd.factorize(cells[name].mask(gone), use_na_sentinel=False)[0], y):
                how = "each of its values goes with one label"
            elif _tells(gone.astype(np.int64), y):
                how = "whether it is missing goes with one label"
            elif y.max() == 1 and (seen | gone).all() and _splits(values[seen], y[seen]):
                how = "it splits the labels without an error"
        elif seen.sum() >= LEAST_ROWS and (seen | gone).all():
            one, other = rankdata(values[seen]), rankdata(y[seen])
            if (one == other).all() or (one == len(other) + 1 - other).all():
                how = "it puts the rows in the order of the label"
        if how:
            raise DataError(f"column {name!r} tells the label: {how}. Remedy: --drop {name!r} if "
                            "it is not known before the label, else --leaks keep")  # fmt: skip


def _tells(codes: np.ndarray, y: np.ndarray) -> bool:
    """Whether a column of few values has one label for each."""
    values = int(codes.max()) + 1
    if not 2 <= values <= LEVELS + 1 or len(y) < 5 * values:
        return False
    low, high = np.full(values, y.max()), np.zeros(values, y.dtype)
    np.minimum.at(low, codes, y)
    np.maximum.at(high, codes, y)
    return bool((low == high).all())


def _splits(values: np.ndarray, y: np.ndarray) -> bool:
    """Whether a threshold separates two labels with rows enough of each."""
    zero, one = values[y == 0], values[y == 1]
    if min(len(zero), len(one)) < LEAST_ROWS // 2:
        return False
    return bool(zero.max() < one.min() or one.max() < zero.min())


def copies(x: np.ndarray, y: np.ndarray | None) -> np.ndarray:
    """(R,) int numbers of cases: rows of equal inputs (and labels, if given) have one number."""
    flat = np.ascontiguousarray(x)
    ends = y if y is not None else np.zeros(len(x), np.int8)
    both = zip(flat, ends, strict=True)
    keys = [hashlib.sha256(row.tobytes() + end.tobytes()).digest() for row, end in both]
    return pd.factorize(np.array(keys, object))[0]


def no_copies(case: np.ndarray, task: np.ndarray, what: str) -> None:
    """Refuses copies of a row: without a row group, nothing says whether they are one case.

    Raises:
      DataError: naming two rows that are alike.
    """
    _, first, number = np.unique(case, return_index=True, return_inverse=True)
    first = first[number]
    copy = first != np.arange(len(case))
    if copy.any():
        row = int(np.argmax(copy))
        away = int((task[first[copy]] != task[copy]).sum())
        raise DataError(
            f"{int(copy.sum())} rows are copies of another row ({what}), {away} of them in another "
            f"task; row {row + 1} is row {first[row] + 1} again. Remedy: --group COLUMN if a "
            "column says who they are; --duplicates drop to keep the first of each; --duplicates "
            "keep if different cases may look alike"
        )


def apart(
    group: np.ndarray, names: Sequence[str], side: np.ndarray, task: np.ndarray, how: Shared
) -> np.ndarray:
    """Row groups of which none is on two sides of a meta-split, unless these are dealt out later.

    Args:
      group: (R,) int numbers of the row groups.
      names: the name of every group.
      side: (R,) int: where the row is put; its task, where tasks are held out in turn.
      task: (R,) int task ids.
      how: "refuse" shared groups; "distinct": a name is another group in every task; "drop" and
        "divide": leave them to `metajax.benchmarks.separated`.

    Returns:
      (R,) int32 row groups.

    Raises:
      DataError: naming some that are shared.
    """
    if how == "distinct":
        pairs = task.astype(np.int64) * (int(group.max()) + 1) + group
        return np.unique(pairs, return_inverse=True)[1].astype(np.int32)
    pairs = np.unique(np.stack([group, side]), axis=1)[0]
    shared = np.unique(pairs[1:][pairs[1:] == pairs[:-1]])
    if len(shared) and how == "refuse":
        raise DataError(
            f"{len(shared)} of {len(names)} row groups are in several tasks, so on both sides of a "
            f"meta-split: {listed([names[i] for i in shared], 5)}. Remedy: --shared drop (training "
            "loses their rows to the test), --shared divide (if most are shared: every group is "
            "dealt to one side), or --shared distinct (if each task counts its groups anew)"
        )
    return group.astype(np.int32)


class Usable(NamedTuple):
    """The part of a family that can be used at some shots.

    Attributes:
      family: its usable tasks.
      skipped: one line for each of the others.
    """

    family: Family
    skipped: tuple[str, ...]


def usable(family: Family, shots: Sequence[int], *, skip: bool = False, least: int = 3) -> Usable:
    """Checks that every task can give its supports and leave rows to be tested on.

    A support takes at most half of the rows of each class, fewer row groups than there are, and a
    row at least of each class.

    Args:
      family: as read.
      shots: support sizes, labelled rows in all.
      skip: leave tasks out that cannot; otherwise they are refused.
      least: tasks that must be left, 3 for training, validation and test.

    Raises:
      DataError: naming tasks, their counts and the shots that would work; too few tasks.
    """
    tasks = len(family.task_names)
    if family.y.dtype.kind == "i":
        classes = family.classes or tuple(map(str, range(int(family.y.max()) + 1)))
    else:
        classes = ()
    reasons: dict[int, str] = {}
    most = []
    for t in range(tasks):
        mine = family.task == t
        room = len(np.unique(family.groups[mine])) - 1
        if classes:
            counts = np.bincount(family.y[mine], minlength=len(classes))
            told = ", ".join(f"{n} of {c}" for c, n in zip(classes, counts, strict=True))
            present = counts[counts > 0]
            wanted = len(present)
            if wanted < 2 or present.min() < 2:
                what = "has one class" if wanted < 2 else "has a single row of a class"
                reasons[t] = f"{family.task_names[t]!r} {what} ({told})"
                continue
        else:
            present, wanted, told = np.array([mine.sum()]), 1, f"{mine.sum()} rows"
            if len(np.unique(family.y[mine])) < 2:
                reasons[t] = f"{family.task_names[t]!r} has one value in all of its {told}"
                continue
        room = min(room, int((present // 2).sum()))
        if room < wanted:
            reasons[t] = f"{family.task_names[t]!r} is too small for any ({told})"
            continue
        if room < max(shots) or wanted > min(shots):
            reasons[t] = f"{family.task_names[t]!r} could give {wanted} to {room} ({told})"
        most.append((wanted, room))
    # What would suit all tasks that suit any.
    low, high = max((a for a, _ in most), default=1), min((b for _, b in most), default=0)
    if reasons and not skip:
        works = f"--shots {max(low, min(high, max(shots)))} or " if low <= high else ""
        works = works if len(most) == tasks else ""
        raise DataError(
            f"{len(reasons)} of {tasks} tasks cannot give supports of {listed(list(shots))} rows "
            f"and be tested: {listed(list(reasons.values()))}. Remedy: {works}--unusable skip, "
            "which leaves these tasks out"
        )
    if tasks - len(reasons) < least:
        left = f"; left out: {listed(list(reasons.values()))}" if reasons else ""
        raise DataError(
            f"{tasks - len(reasons)} usable tasks ({listed(family.task_names)}){left}. At least "
            f"{least} are needed, to train, select and test on. Remedy: name a --task column with "
            "more values, or lower --shots"
        )
    return Usable(of_tasks(family, np.array([t not in reasons for t in range(tasks)])),
                  tuple(reasons.values()))  # fmt: skip
