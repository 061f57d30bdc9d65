"""From the record of a run to a bundle: a meta-trained learner that adapts to new patients."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np

import metajax
from metajax import records, suites
from metajax.benchmarks import defined
from metajax.config import Encoder, Evaluate, Inner, RunConfig, Train, build_maker, numbers
from metajax.datasets import Family
from metajax.estimator import programs
from metajax.estimator.cards import card_of, metrics_of
from metajax.estimator.portable import Bundle
from metajax.learners import LEARNERS, METHODS
from metajax.runs import trained
from metajax.suites import Entry

ROWS = (16, 64)
PARTS = {"inner": Inner, "train": Train, "encoder": Encoder, "evaluate": Evaluate}


def from_run(
    run: str | Path, *, data_dir: str | None = None, fold: int = 0, rows: Sequence[int] = ROWS
) -> Bundle:
    """A bundle of a finished run of one of the suites in `experiments`.

    Args:
      run: ``results/<suite>/runs/<id>``, where it was trained (checkpoints are not committed).
      data_dir: of its data (default METAJAX_DATA): they say how inputs were scaled.
      fold: which of its meta-splits; the learner never saw what that one holds out.
      rows: sizes of support that programs are made for.

    Raises:
      ValueError: the run is of another suite, of other data or code than these, or of a learner
        that cannot be used alone.
      FileNotFoundError: there is no record, or no checkpoint.
    """
    folder = Path(run)
    config = _config(folder)
    script = _script(folder, config.suite)
    entry = suites.find(script.ENTRIES, config.benchmark)
    family = suites.load(entry.family, data_dir)
    return bundle_of(folder, config, entry, family, fold=fold, rows=rows)


def bundle_of(
    folder: Path, config: RunConfig, entry: Entry, family: Family, *, fold: int = 0,
    rows: Sequence[int] = ROWS,
) -> Bundle:
    """A bundle of a run on a family at hand; see `from_run`."""
    if config.learner not in LEARNERS:
        raise ValueError(f"{config.learner} is a host baseline: it has nothing meta-trained. "
                         f"Remedy: FewShotClassifier({config.learner!r})")  # fmt: skip
    if needs := METHODS[config.learner].needs:
        raise ValueError(f"{config.learner} needs to know {', '.join(needs)} of its rows: it "
                         "cannot be used on new ones")  # fmt: skip
    benchmark = suites.build_entry(entry, family, config.benchmark, config.shots)
    if benchmark.spec.kind == "multilabel":
        raise ValueError("learners of several findings at once are not exported yet")
    name = records.run_id(config, benchmark.cards, defined(benchmark))
    if folder.name != name:
        raise ValueError(f"{folder.name} is a run of other data, settings or code than these, "
                         f"which would be {name}. Remedy: train it again")  # fmt: skip
    if not 0 <= fold < len(benchmark.folds):
        raise ValueError(f"fold must be from 0 to {len(benchmark.folds) - 1}; got {fold}")
    if not rows or min(rows) < 2:
        raise ValueError(f"rows must be numbers of 2 or more; got {list(rows)}")
    params = jax.tree.map(lambda leaf: leaf[fold], trained(folder, config, benchmark))
    family = entry.transform(family) if entry.transform else family
    arrays = {
        f"{i:03d}-{jax.tree_util.keystr(path, simple=True, separator='.')}": np.asarray(leaf)
        for i, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(params))
    }
    scaling = None if entry.prepare else programs.scaling(family, benchmark, fold)
    if scaling is not None:
        arrays |= {f"scaling-{name}": scaling[name] for name in sorted(scaling)}
    inputs = [
        {"name": jax.tree_util.keystr(path, simple=True, separator="/") or "x",
         "shape": list(leaf.shape[1:]), "dtype": str(_raw(leaf).dtype)}
        for path, leaf in jax.tree_util.tree_leaves_with_path(family.x)
    ]  # fmt: skip
    spec = benchmark.spec
    make, hyper = build_maker(config, spec), numbers([config])
    learner = make(jax.tree.map(lambda leaf: float(leaf[0]), hyper)).learner
    function = programs.function(learner, entry.prepare, params, family.x, benchmark, fold, scaling)
    told = {
        "inputs": inputs, "outputs": spec.outputs, "kind": spec.kind, "variance": spec.variance,
        "block": programs.BLOCK, "platforms": list(programs.PLATFORMS), "jax": jax.__version__,
        "kept": {},
    }  # fmt: skip
    codes = {}
    for size in sorted(set(rows)):
        made = programs.exported(function, arrays, inputs, spec.outputs, size)
        told["calling_convention"] = made.calling_convention_version
        told["kept"][str(size)] = list(made.module_kept_var_idx)
        codes[size] = made.mlir_module_serialized
    about = {
        "name": name, "config": dataclasses.asdict(config), "program": told,
        "fold": benchmark.folds[fold].name, "learner": config.learner,
        "columns": list(family.columns) if len(inputs) == 1 else [],
        "classes": list(family.classes), "metrics": metrics_of(folder),
        "metajax": metajax.__version__,
        "environment": _environment(folder),
        "data": [
            {"name": c.name, "title": c.title, "label": c.label, "licence": c.licence,
             "citation": c.citation, "homepage": c.homepage, "intended_use": c.intended_use,
             "improper_use": c.improper_use, "task": c.task, "overlaps": c.overlaps}
            for c in benchmark.cards
        ],
    }  # fmt: skip
    return Bundle(about, arrays, codes, card_of(about))


def _raw(leaf: np.ndarray) -> np.ndarray:
    """A leaf in a type that jax has: float32 for float64."""
    return np.asarray(leaf)[:0].astype(jax.dtypes.canonicalize_dtype(leaf.dtype))


def _environment(folder: Path) -> dict[str, Any]:
    """Where the run was made; not the command, which names paths and columns of its user."""
    told = json.loads((folder / "environment.json").read_text())
    kept = ("metajax", "numbers_version", "commit", "modified", "python", "packages", "device")
    return {name: told[name] for name in kept if name in told}


def _config(folder: Path) -> RunConfig:
    """The configuration of a record.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it cannot be read, or the run did not end well.
    """
    if not records.is_complete(folder):
        raise FileNotFoundError(f"{folder} is no record of a finished run. Remedy: give "
                                "results/<suite>/runs/<id>")  # fmt: skip
    try:
        told = json.loads((folder / "config.json").read_text())
        status = json.loads((folder / "result.json").read_text())["status"]
        values = {}
        for field in dataclasses.fields(RunConfig):
            value = told[field.name]
            if field.name in PARTS:
                lists = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
                value = PARTS[field.name](**lists)
            values[field.name] = tuple(value) if isinstance(value, list) else value
        config = RunConfig(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the record of {folder} cannot be read: {error}") from error
    if status != "complete":
        raise ValueError(f"{folder} ended as {status!r}: there is nothing to export")
    return config


def _script(folder: Path, suite: str) -> ModuleType:
    """The experiment script of a suite: beside the results, or in this checkout."""
    places = [folder.resolve().parents[i] for i in range(min(4, len(folder.resolve().parents)))]
    places = [one / "experiments" for one in (*places[3:], Path(metajax.__file__).parents[1])]
    for place in places:
        path = place / f"{suite}.py"
        if suite.isidentifier() and path.is_file():
            if suite in sys.modules and hasattr(sys.modules[suite], "ENTRIES"):
                return sys.modules[suite]
            made = importlib.util.spec_from_file_location(suite, path)
            script = importlib.util.module_from_spec(made)
            if str(place) not in sys.path:
                sys.path.append(str(place))
            made.loader.exec_module(script)
            if hasattr(script, "ENTRIES"):
                return script
            raise ValueError(f"experiments/{suite}.py does not say how its runs are built (it has "
                             "no ENTRIES); runs of one's own data are exported from Python, by "
                             "metajax.estimator.learned.bundle_of")  # fmt: skip
    raise ValueError(f"there is no experiments/{suite}.py beside {folder}: a run is exported in "
                     "the checkout where it was trained")  # fmt: skip
