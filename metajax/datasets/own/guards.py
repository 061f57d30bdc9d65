"""What would make numbers on a user's own data a lie: copies, patients on two sides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import poisson

from metajax.datasets.family import Family, of_tasks
from metajax.datasets.files import DataError
from metajax.datasets.own.reports import listed
from metajax.datasets.own.sums import counted

COINCIDENCE = 1e-2  # how seldom chance gives as many copies
ABSENT = 0.01  # how seldom chance leaves a class out
Shared = Literal["refuse", "drop", "divide", "distinct"]


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


def no_hidden_copies(
    x: np.ndarray,
    y: np.ndarray,
    levels: Sequence[np.ndarray],
    group: np.ndarray,
    how: Literal["refuse", "drop"],
) -> np.ndarray:
    """Copies of rows that a row group tells apart: an identifier numbers them like other cases.

    Few and coarse columns let different cases look alike, so only more copies than chance would
    give count.

    Args:
      x: (R, D) features.
      y: (R,) labels.
      levels: (R,) ints of every column, which of its values each row has.
      group: (R,) int row groups.
      how: refuse such copies, or leave them out.

    Returns:
      (R,) bool, the rows to be kept.

    Raises:
      DataError: naming two rows that are alike but of different groups.
    """
    case = copies(x, y)
    _, first, number = np.unique(case, return_index=True, return_inverse=True)
    first = first[number]
    copy = (first != np.arange(len(case))) & (group[first] != group)
    pairs = len(y) * (len(y) - 1)
    chance = pairs / 2  # expected pairs that are alike, were the columns independent
    for column in [*levels, y]:
        counts = np.unique(column, return_counts=True)[1]
        chance *= (counts * (counts - 1)).sum() / max(pairs, 1)
    found = int(copy.sum())
    if found and how == "refuse" and poisson.sf(found - 1, chance) < COINCIDENCE:
        row = int(np.argmax(copy))
        raise DataError(
            f"{found} rows are copies of another row (same values, same label), but of another row "
            f"group; row {row + 1} is row {first[row] + 1} again. Remedy: name the --group that "
            "says who the patient is; --duplicates drop to keep the first of each; --duplicates "
            "keep if different cases may look alike"
        )
    return ~copy if how == "drop" else np.ones(len(y), bool)


def one_coding(
    name: str, y: np.ndarray, classes: Sequence[str], task: np.ndarray, tasks: Sequence[str]
) -> None:
    """Refuses tasks that call the label by other names: their classes are no common ones.

    Two tasks differ if each has a class that the other would have too, were its classes as frequent
    there. A class that some tasks lack is fine, as long as one task has all.

    Raises:
      DataError: naming two such tasks and their counts.
    """
    table = np.zeros((len(tasks), len(classes)), int)
    np.add.at(table, (task, y), 1)
    rows = table.sum(1, keepdims=True)
    several = np.flatnonzero((table > 0).sum(1) > 1)
    if len(classes) < 3 or (table > 0).all(1).any():
        return
    share = table / np.maximum(rows, 1)
    for i in several:
        for j in several[several > i]:
            lacks = [
                ((table[a] == 0) & ((1 - share[b]) ** rows[a] < ABSENT)).any()
                for a, b in ((i, j), (j, i))
            ]
            if all(lacks):
                said = " and ".join(
                    f"{tasks[t]!r} has " + ", ".join(
                        f"{c} ({n})" for c, n in zip(classes, table[t], strict=True) if n)
                    for t in (i, j)
                )  # fmt: skip
                common = int(((table[i] > 0) & (table[j] > 0)).sum())
                raise DataError(f"label {name!r} is coded differently: {said}, {common or 'none'} "
                                "in common. Remedy: write it alike in all tasks, or --coding keep "
                                "if these are different classes")  # fmt: skip


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
    kept = of_tasks(family, np.array([t not in reasons for t in range(tasks)]))
    kept, lost = _classes_left(kept)
    kept = kept._replace(card=counted(kept)) if reasons else kept
    return Usable(kept, (*reasons.values(), *lost))


def _classes_left(family: Family) -> tuple[Family, list[str]]:
    """A family without classes of no row, which a model would have outputs for; they are told."""
    present = np.unique(family.y)
    if not family.classes or len(present) == len(family.classes):
        return family, []
    lost = [f"class {name!r}, of which no task that is left has a row"
            for i, name in enumerate(family.classes) if i not in present]  # fmt: skip
    classes = tuple(family.classes[i] for i in present)
    y = np.searchsorted(present, family.y).astype(np.int32)
    return family._replace(y=y, classes=classes), lost
