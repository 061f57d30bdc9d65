"""The benchmarks of a suite as data, and how they are built (floor 6).

An experiment script lists `Entry` objects; everything else is the same for all suites.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from metajax import datasets, describe, records
from metajax.baselines import REGRESSORS
from metajax.benchmarks import (
    Benchmark,
    Shared,
    from_classes,
    from_splits,
    from_world,
    leave_one_task_out,
)
from metajax.config import HOST_BASELINES, METHODS, Encoder, Evaluate, RunConfig, Train
from metajax.given import EncoderFlags, EvaluateFlags, TrainFlags, given
from metajax.learners import BASELINES
from metajax.learners import METHODS as LEARNED
from metajax.tasks.clinical import clinical_tables
from metajax.types import Episode

How = Literal["leave_one_out", "splits", "classes", "world"]
POOLED_METHODS = ("pooled", "pooled_lr", "pooled_gradient_boosting", "pooled_lr_boosting")
# Learners that weigh rows are for wrong labels and imbalance: experiments/sample_reweighting.py.
WEIGHING = tuple(name for name, one in LEARNED.items() if one.pillar == "sample")
SHARED_METHODS = tuple(name for name in METHODS if name not in (*WEIGHING, "ridge_cv"))
# Labels mean something within a task only: nothing can be pooled.
CLASS_METHODS = tuple(name for name in SHARED_METHODS if name not in POOLED_METHODS)
# Where no task comes twice, or labels are names of the episode: no learner that knows its task.
WORLD_METHODS = tuple(n for n in SHARED_METHODS if n not in LEARNED or not LEARNED[n].needs)
WAYS_METHODS = tuple(name for name in WORLD_METHODS if name not in POOLED_METHODS)
REGRESSION_METHODS = tuple(
    name
    for name in METHODS
    if name in REGRESSORS
    or (name in LEARNED and name not in WEIGHING and "regression" in LEARNED[name].kinds)
)
# What runs unless methods are named: the best known of every family, and what they must beat.
CORE_METHODS = (
    "maml", "fomaml", "anil", "meta_sgd", "reptile", "protonet", "ridge", *BASELINES,
    *HOST_BASELINES,
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One benchmark of a suite.

    Attributes:
      family: name of the data set.
      how: "leave_one_out" (every target in turn), "splits" (fixed meta-train, meta-validation,
        meta-test tasks), "classes" (N-way episodes) or "world" (meta-train on synthetic tables,
        test on all tasks).
      shots: support sizes: labelled rows in all, or per class ("classes").
      name: in tables; default: the family's.
      transform: changes the family first, e.g. to another split.
      prepare: decodes or scales an episode; None: a table scaled on the training tasks.
      targets: tasks by id that are held out in turn ("leave_one_out"); None: all.
      folds: into how many folds the targets are dealt ("leave_one_out"); None: each has its own.
      shared: what is done with a case on two sides; "shared" is a published protocol.
      least: rows that a class of a task must have ("splits").
      ways: classes of an episode ("classes").
      by_task: its classes come from one data set ("classes").
      queries: the most query rows of a test episode, per class ("classes"); None: all.
      encoder: the benchmark's own encoder.
      train: its meta-training.
      evaluate: its evaluation.
      methods: that apply to it; `CORE_METHODS` of them run unless others are named.
    """

    family: str
    how: How
    shots: tuple[int, ...]
    name: str = ""
    transform: Callable[[datasets.Family], datasets.Family] | None = None
    prepare: Callable[[Episode], Episode] | None = None
    targets: tuple[int, ...] | None = None
    folds: int | None = None
    shared: Shared = "drop"
    least: int = 8
    ways: int = 5
    by_task: bool = True
    queries: int | None = 256
    encoder: Encoder = Encoder()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    methods: tuple[str, ...] = SHARED_METHODS

    @property
    def label(self) -> str:
        """The benchmark's name."""
        return self.name or self.family


# What of an entry is in the configuration of a run, or says only which runs there are.
APART = ("name", "shots", "encoder", "train", "evaluate", "methods")


def definition(entry: Entry) -> dict[str, Any]:
    """What makes the benchmark of an entry, JSON: part of the identity of its runs.

    Raises:
      ValueError: for a function that has no name; see `metajax.describe`.
    """
    try:
        return {
            field.name: describe.plain(getattr(entry, field.name))
            for field in dataclasses.fields(entry)
            if field.name not in APART
        }
    except ValueError as error:
        raise ValueError(f"benchmark {entry.label}: {error}") from error


def find(entries: Sequence[Entry], name: str) -> Entry:
    """The entry of a benchmark.

    Raises:
      ValueError: for an unknown name, with a suggestion.
    """
    known = {entry.label: entry for entry in entries}
    if name not in known:
        close = difflib.get_close_matches(name, known)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(f"unknown benchmark {name!r}; there are {', '.join(known)}{hint}")
    return known[name]


def planned(entries: Sequence[Entry], config: RunConfig) -> str | None:
    """The name of the record that a run will have; None if only its data tell.

    Raises:
      ValueError: for an unknown benchmark, or a function that has no name.
    """
    entry = find(entries, config.benchmark)
    card = datasets.CARDS.get(entry.family)
    if card is None or entry.transform is not None:  # which may change the card
        return None
    return records.run_id(config, [card], definition(entry))


@cache
def load(family: str, data_dir: str | None) -> datasets.Family:
    """A family, read once in this process."""
    return datasets.load(family, data_dir)


@cache
def build(
    entries: tuple[Entry, ...], name: str, shots: tuple[int, ...], data_dir: str | None
) -> Benchmark:
    """Builds a benchmark of a suite by its name.

    Raises:
      ValueError: for an unknown name, or shots that no task can give.
      DataError: if its data are absent or damaged.
    """
    entry = find(entries, name)
    return build_entry(entry, load(entry.family, data_dir), name, shots)


def build_entry(
    entry: Entry, family: datasets.Family, name: str, shots: tuple[int, ...]
) -> Benchmark:
    """Builds a benchmark of a family at hand; of `Entry.family` only the name is kept.

    Raises:
      ValueError: for shots that no task can give, or a function that has no name.
    """
    told = definition(entry)
    made = _build_entry(entry, family, name, shots)
    given = describe.functions((entry.transform, entry.prepare))
    return made._replace(definition=told, functions=tuple(given))


def _build_entry(
    entry: Entry, family: datasets.Family, name: str, shots: tuple[int, ...]
) -> Benchmark:
    family = entry.transform(family) if entry.transform else family
    if entry.how == "leave_one_out":
        targets = range(len(family.task_names)) if entry.targets is None else entry.targets
        return leave_one_task_out(
            name, family, tuple(targets), shots=shots, folds=entry.folds, prepare=entry.prepare,
            test_queries=entry.queries, shared=entry.shared,
        )  # fmt: skip
    if entry.how == "splits":
        return from_splits(
            name, family, shots=shots, prepare=entry.prepare, shared=entry.shared,
            least=entry.least, test_queries=entry.queries,
        )  # fmt: skip
    if entry.how == "classes":
        return from_classes(
            name, family, ways=entry.ways, shots=shots, queries=entry.queries or 15,
            by_task=entry.by_task, prepare=entry.prepare, shared=entry.shared,
        )  # fmt: skip
    world = clinical_tables(
        shots=shots, queries=64, columns=family.x.shape[1], draw="mixed", prepare=entry.prepare
    )
    return from_world(name, world, family, shots=shots, prepare=entry.prepare)


def own_settings(
    entry: Entry, encoder: EncoderFlags, train: TrainFlags, evaluate: EvaluateFlags
) -> tuple[Encoder, Train, Evaluate]:
    """The settings of a run: what the flags do not give is the benchmark's own."""
    return tuple(
        dataclasses.replace(own, **given(flags))
        for flags, own in (
            (encoder, entry.encoder), (train, entry.train), (evaluate, entry.evaluate)
        )
    )  # fmt: skip
