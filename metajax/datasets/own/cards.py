"""How a user's own file is read, and the card that is made of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from metajax.datasets.cards import Card, Counts, File
from metajax.datasets.family import Family
from metajax.datasets.files import digest
from metajax.datasets.own.cells import Kind
from metajax.datasets.own.guards import Shared
from metajax.datasets.own.sums import counted


@dataclass(frozen=True)
class Rules:
    """How a file is read, and what is done about what would make its numbers a lie."""

    split: str | None = None
    """Column with train, validation or test for every task; default: tasks are held out in turn."""
    kind: Kind = "auto"
    """Of the label; auto: classes if it holds texts or at most 10 different numbers."""
    positive: str | None = None
    """The class that is 1, of two; default: the last in order (1 of 0 and 1, yes of no and yes)."""
    shared: Shared = "refuse"
    """A row group in several tasks. drop: training loses its rows to the test; divide: every group
    is dealt to one side; distinct: each task counts its groups anew."""
    duplicates: Literal["refuse", "drop", "keep"] = "refuse"
    """Copies of a row, where no group says who is who. drop: keep the first; keep: all."""
    leaks: Literal["refuse", "keep"] = "refuse"
    """A column of a table that tells the label."""
    coding: Literal["refuse", "keep"] = "refuse"
    """Tasks whose classes have other names. keep: they are different classes."""


class Roles(NamedTuple):
    """The columns that are not inputs, as text cells of R rows."""

    label: pd.Series
    task: pd.Series
    group: pd.Series | None
    split: pd.Series | None


def card_of(path: Path, made: Family, roles: Roles, rules: Rules, told: Mapping[str, Any]) -> Card:
    """The card of a file whose meaning only its owner knows.

    Its name ends in a digest of the file's content and of how it is read: results of another file
    or another reading never count as results of this one.
    """
    label, task = roles.label.name, roles.task.name
    group = None if roles.group is None else roles.group.name
    sha256 = digest(path)
    content = [sha256, label, task, group, dict(told), asdict(rules)]
    mark = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
    slug = re.sub("[^A-Za-z0-9]+", "_", f"{path.name.partition('.')[0]}_{label}").strip("_")
    row_group = f"{group!r}" if group else "none"
    if not group and "alphabet" in told:
        row_group = "near-duplicate sequences" if told["alphabet"] == "dna" else "equal sequences"
    card = Card(
        name=f"{slug}_{mark}",
        title=f"The user's own file {path.name}",
        task=f"one value of {task!r}",
        label=f"{label!r}",
        split_unit=f"{task!r}",
        row_group=row_group,
        cluster=f"{task!r}",
        splits=f"as {rules.split!r} says" if rules.split else "tasks are held out in turn",
        protocol=", ".join(f"{name}={value}" for name, value in asdict(rules).items()),
        counts=Counts(0, 0, 0),
        licence="not stated",
        citation="not stated",
        homepage="",
        files=(File(path.name, "", sha256, size=path.stat().st_size),),
        overlaps="not known; copies and shared row groups were looked for as the protocol says",
        intended_use="for its owner to decide",
        improper_use="for its owner to decide; a few labelled cases are no validation of a model",
        domain="own",
        version=f"1.0.0+{mark}",
        reading=json.dumps(told["reading"]) if "reading" in told else "",
    )  # fmt: skip
    return counted(made._replace(card=card))
