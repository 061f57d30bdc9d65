"""The source files that the numbers of a run come from (a part of the record, floor 5)."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from metajax import datasets, describe, sources
from metajax.benchmarks import Benchmark
from metajax.config import Encoder, RunConfig, build_encoder
from metajax.learners import LEARNERS

HOWS = ("classes", "leave_one_out", "splits", "world")
BASELINES = ("classification", "episodes", "regression")


def of_run(config: RunConfig, benchmark: Benchmark) -> dict[str, str]:
    """Digests of the files that a run's numbers come from, by path; see `metajax.sources`.

    Learner with encoder, or baseline; training and evaluation; the builder of the benchmark, the
    functions it was given and the reader of its data.
    """
    told = benchmark.definition or {}
    hows = [told["how"]] if told.get("how") in HOWS else HOWS
    modules = ["metajax.runs", *(f"metajax.benchmarks.{how}" for how in hows)]
    if config.learner not in LEARNERS:
        modules += [f"metajax.baselines.{name}" for name in BASELINES]
    families = [told["family"]] if "family" in told else [card.name for card in benchmark.cards]
    samples = [
        source.sample
        for fold in benchmark.folds
        for source in (fold.train, fold.validation, fold.test)
    ]
    return _digests(modules, config, families, [*benchmark.functions, *samples])


def of_script(
    script: str | Path, config: RunConfig, *, families: Iterable[str] = (),
    learners: Sequence[str] = (),
) -> dict[str, str]:  # fmt: skip
    """The same of a script that makes its runs itself: the script and all that it imports.

    Args:
      script: its file.
      config: of the run; a method that is no learner is the script's own.
      families: whose readers it uses.
      learners: that the method is made of, beside its own.
    """
    modules = [LEARNERS[name].__module__ for name in learners]
    return _digests(modules, config, families, [], [Path(script)])


def _digests(
    modules: Iterable[str], config: RunConfig, families: Iterable[str], functions: Iterable[Any],
    files: Iterable[Path] = (),
) -> dict[str, str]:  # fmt: skip
    named = {*modules}
    if config.learner in LEARNERS:
        named.add(LEARNERS[config.learner].__module__)
        named |= set(_encoder_modules(config.encoder))
    found = [*files]
    for family in families:
        if family in datasets.DATASETS:
            named.add(datasets.DATASETS[family].read.__module__)
        else:
            found += sorted((sources.ROOT / "metajax" / "datasets" / "own").glob("*.py"))
    for name in named:
        spec = importlib.util.find_spec(name)
        found += [Path(spec.origin)] if spec is not None and spec.origin else []
    for function in describe.functions(tuple(functions)):
        try:
            file = Path(inspect.getfile(function))
        except (TypeError, OSError):  # a class that is built in
            continue
        if file.is_file() and "site-packages" not in file.parts:
            found.append(file)
    return sources.digests(found)


def _encoder_modules(encoder: Encoder) -> Iterator[str]:
    """The modules of a network and of those inside it."""

    def walk(part: Any) -> Iterator[str]:
        if dataclasses.is_dataclass(part):
            yield type(part).__module__
            for field in dataclasses.fields(part):
                yield from walk(getattr(part, field.name, None))
        elif isinstance(part, tuple | list):
            for one in part:
                yield from walk(one)

    return (name for name in walk(build_encoder(encoder)) if name.startswith("metajax."))
