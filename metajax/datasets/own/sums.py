"""What a card counts, of the rows that are used."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np

from metajax.datasets.cards import Card, Counts
from metajax.datasets.family import Family


def counted(family: Family) -> Card:
    """The card of a family with the counts of its rows, tasks and classes.

    Tasks that were left out since it was read change its name: its numbers are about others.
    """
    card, y, classes = family.card, family.y, family.classes
    label = card.label.partition(": 0 = ")[0].removesuffix(", a number")
    name, version = card.name, card.version
    counts = np.bincount(y, minlength=len(classes)) if classes else np.zeros(0, int)
    told = ", ".join(
        f"{i} = {c} ({n} rows)" for i, (c, n) in enumerate(zip(classes, counts, strict=True))
    )
    sizes = np.bincount(family.task, minlength=len(family.task_names))
    ones = [int((y[family.task == t] == 1).sum()) for t in range(len(sizes))]
    if card.prevalence and len(card.prevalence) != len(sizes):
        mark = hashlib.sha256("\n".join((name, *family.task_names)).encode()).hexdigest()[:8]
        name, version = f"{name.rpartition('_')[0]}_{mark}", f"{version}.{mark}"
    return dataclasses.replace(
        card,
        name=name,
        version=version,
        label=f"{label}: {told}" if classes else f"{label}, a number",
        counts=Counts(
            len(sizes), len(y), len(family.x), tuple(counts.tolist()),
            () if family.split is None else tuple(np.bincount(family.split, minlength=3).tolist()),
        ),
        prevalence=tuple(
            (task, int(n), one if classes else 0)
            for task, n, one in zip(family.task_names, sizes, ones, strict=True)
        ),
    )  # fmt: skip
