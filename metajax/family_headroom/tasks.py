"""Binary tasks cut out of a family: targets, the rows pooled for each, and which k they can give.

All that is random here comes from seed 0 and sorted names, never from inputs or scores.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np

from metajax.benchmarks import separated
from metajax.datasets import Family
from metajax.family_headroom.plans import Plan
from metajax.shrinkage import folds

MOST_TARGETS, MOST_ROWS, MOST_SOURCES = 24, 2000, 10_000


class Rows(NamedTuple):
    """R rows: those of the targets, and those pooled for them.

    Attributes:
      item: (R,) the item of the family that a row shows.
      y: (R,) labels, 0 or 1.
      task: (R,) number of the target, or of the block of rows pooled for some targets.
      group: (R,) row groups.
      names: of the targets 0, 1, ...
      clusters: of each target.
      sources: from target to the block pooled for it; empty without sources.
    """

    item: np.ndarray
    y: np.ndarray
    task: np.ndarray
    group: np.ndarray
    names: tuple[str, ...]
    clusters: tuple[int, ...]
    sources: dict[int, int]


def labels(family: Family, common: bool) -> np.ndarray:
    """Binary labels of every row.

    Regression targets become "above the median of the task". Of more than two classes the most
    frequent one is 0 and all others are 1.

    Args:
      family: its labels are classes, or one target a row.
      common: the most frequent class of the family instead of the task's own, where labels mean
        the same in all tasks.

    Raises:
      ValueError: for several targets a row.
    """
    y, task = family.y, family.task
    if y.ndim != 1:
        raise ValueError(f"{family.card.name} has {y.ndim} axes of labels; headroom needs one")
    if y.dtype.kind != "f":
        if y.max() <= 1:
            return y.astype(np.int64)
        count = np.zeros((len(family.task_names), int(y.max()) + 1), np.int64)
        np.add.at(count, (task, y), 1)
        largest = np.full(len(count), count.sum(0).argmax()) if common else count.argmax(1)
        return (y != largest[task]).astype(np.int64)
    middle = np.array([np.nanmedian(y[task == t]) if (task == t).any() else 0.0
                       for t in range(len(family.task_names))])  # fmt: skip
    return (y > middle[task]).astype(np.int64)


def can_give(y: np.ndarray, groups: np.ndarray, shots: int) -> bool:
    """Whether half of a target holds k balanced labels, and as many again to correct a prior with.

    Args:
      y: (n,) labels, 0 or 1.
      groups: (n,) row groups: a random half of them is held out.
      shots: labelled rows k.
    """
    if len(y) < 4 * shots or np.bincount(y, minlength=2).min() < max(shots, 4):
        return False
    rng, fine = np.random.default_rng(0), 0
    for _ in range(20):
        halves = folds(y, groups, rng, largest=2)
        fine += any(min(np.bincount(y[h], minlength=2).min() for h in (held, ~held)) >= 2
                    for held in halves)  # fmt: skip
    return fine >= 10  # `headroom` tries a hundred times


def fewer(y: np.ndarray, groups: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Random whole groups of at most so many rows; those with the rarer class may fill half.

    Args:
      y: (n,) labels, 0 or 1.
      groups: (n,) row groups.
      most: the number of rows.
      seed: of the choice.

    Returns:
      Sorted positions. Ranking metrics do not depend on the prevalence, which this may change.
    """
    if len(y) <= most:
        return np.arange(len(y))
    names, inverse, size = np.unique(groups, return_inverse=True, return_counts=True)
    rare = np.zeros(len(names), bool)
    rare[inverse[y == np.bincount(y, minlength=2).argmin()]] = True
    order = np.random.default_rng(seed).permutation(len(names))

    def take(those, room):
        return those[np.cumsum(size[those]) <= room]

    first = take(order[rare[order]], most // 2)
    rest = take(order[~rare[order]], most - size[first].sum())
    more = take(np.setdiff1d(order[rare[order]], first, assume_unique=True),
                most - size[first].sum() - size[rest].sum())  # fmt: skip
    return np.flatnonzero(np.isin(inverse, np.concatenate([first, rest, more])))


def _candidates(plan, family):
    """(name, cluster, rows, labels, rows that may be pooled) of every possible target."""
    task, tasks = family.task, len(family.task_names)
    if plan.targets == "classes":
        if family.class_split is not None:
            side = np.asarray(family.class_split, np.int64)[family.y]
        else:
            split = np.full(tasks, 2) if family.split is None else np.asarray(family.split)
            side = split.astype(np.int64)[task]
        side = np.where(side == 1, 0, side)
        keep = separated(family, side, plan.shared)
        pooled, held = np.flatnonzero(keep & (side == 0)), keep & (side == 2)
        for c in np.unique(family.y[held]):
            home = task[held & (family.y == c)][0]
            rows = np.flatnonzero(held & (task == home))
            if len(np.unique(family.y[rows])) == 2 and c != family.y[rows].max():
                continue  # the one against the other is the other against the one
            name = family.classes[c] if family.classes else f"class {c}"
            yield name, family.clusters[home], rows, (family.y[rows] == c).astype(np.int64), pooled
        return
    y = labels(family, plan.prior)
    defined = np.isfinite(family.y)
    if plan.targets == "split":
        if family.split is None:
            raise ValueError(f"{family.card.name} has no meta-split")
        of_task = np.where(np.asarray(family.split) == 1, 0, np.asarray(family.split, np.int64))
        side = of_task[task]
        keep = separated(family, side, plan.shared) & defined
        pooled = np.flatnonzero(keep & (side == 0))
        for t in np.flatnonzero(of_task == 2):
            rows = np.flatnonzero(keep & (task == t))
            yield family.task_names[t], family.clusters[t], rows, y[rows], pooled
        return
    part = np.array([name.startswith(plan.part) for name in family.task_names])
    for t in np.flatnonzero(part) if plan.only is None else plan.only:
        of_task = np.where(part & (family.units != family.units[t]), 0, -1)
        of_task[t] = 2
        side = of_task[task]
        keep = separated(family, side, plan.shared) & defined
        rows, pooled = np.flatnonzero(keep & (side == 2)), np.flatnonzero(keep & (side == 0))
        yield family.task_names[t], family.clusters[t], rows, y[rows], pooled


def chosen(names, clusters, most: int = MOST_TARGETS) -> list[int]:
    """Positions of at most so many targets: one of every cluster in turn, at random."""
    order = np.random.default_rng(0).permutation(np.argsort(names, kind="stable"))
    turn, seen = {}, {}
    for i in order:
        turn[i] = seen.get(clusters[i], 0)
        seen[clusters[i]] = turn[i] + 1
    return sorted(sorted(order, key=turn.get)[:most])


def cut(plan: Plan, family: Family, least: int) -> Rows:
    """The targets of a family and the rows pooled for them.

    Args:
      plan: of this family.
      family: its rows.
      least: the smallest k; a target that cannot give it is none.

    Raises:
      ValueError: if no target is left.
    """
    found = []
    for name, cluster, rows, y, pooled in _candidates(plan, family):
        few = fewer(y, family.groups[rows], MOST_ROWS, zlib.crc32(name.encode()))
        if can_give(y[few], family.groups[rows[few]], least):
            found.append((name, int(cluster), rows[few], y[few], pooled))
    if not found:
        raise ValueError(f"{plan.family}: no task can give {least} labelled rows")
    found = [found[i] for i in chosen([f[0] for f in found], [f[1] for f in found])]
    parts = [(rows, y, np.full(len(y), i)) for i, (_, _, rows, y, _) in enumerate(found)]
    sources, blocks, y = {}, {}, None
    for i, (*_, pooled) in enumerate(found if plan.fit == "sources" else ()):
        if not len(pooled):
            raise ValueError(f"{plan.family}, {found[i][0]}: no row of another task is left")
        if id(pooled) not in blocks:
            blocks[id(pooled)] = number = len(found) + len(blocks)
            # A class is no binary label; without a prior nothing looks at those of the sources.
            y = labels(family, True) if plan.prior and y is None else y
            mine = y[pooled] if plan.prior else np.zeros(len(pooled), np.int64)
            few = fewer(mine, np.arange(len(pooled)), MOST_SOURCES, 0)
            parts.append((pooled[few], mine[few], np.full(len(few), number)))
        sources[i] = blocks[id(pooled)]
    rows, y, task = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Rows(
        family.items[rows], y, task, family.groups[rows], tuple(f[0] for f in found),
        tuple(f[1] for f in found), sources,
    )  # fmt: skip
