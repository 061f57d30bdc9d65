"""From configuration to record: train every fold, select, refit, test (floor 6).

Runs that differ in seed and numbers only are trained in one program. A run can be cut off at any
moment; called again it goes on from its last checkpoint and ends with the same bits. Nothing here
depends on the clock but when a checkpoint is written.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metajax import baselines, checkpoints, layout, origins, records, sources
from metajax.benchmarks import Benchmark, Fold, defined
from metajax.config import (
    HOST_BASELINES,
    RunConfig,
    alike,
    build_maker,
    hyper_used,
    learner_of,
    numbers,
)
from metajax.evaluation import Predictions, draw, episode_units, predict_many, score
from metajax.scoring import score_all
from metajax.tasks import choose
from metajax.training import TrainState, lay_out
from metajax.trials import fit_many, init_many
from metajax.types import PyTree, flat

logger = logging.getLogger(__name__)
# What model selection looks at, on meta-validation tasks: (metric, sign).
SELECTION = {"multiclass": ("auroc", 1), "multilabel": ("auroc", 1), "regression": ("mse", -1)}
CHECKPOINT_SECONDS = 10.0
Progress = Callable[[str], Any]


class _Training(NamedTuple):
    """All that K runs must remember between two calls; what a checkpoint holds."""

    state: TrainState  # of all runs (K, ...), its keys as raw data
    best: PyTree  # (K, ...)
    finished: PyTree  # the parameters of finished folds, stacked (folds, K, ...)


def run(
    config: RunConfig, benchmark: Benchmark, suite_folder: Path, progress: Progress = logger.info
) -> Path:
    """Runs a configuration, or finds its finished record; see `run_many`."""
    return run_many([config], benchmark, suite_folder, progress)[0]


def run_many(
    configs: Sequence[RunConfig],
    benchmark: Benchmark,
    suite_folder: Path,
    progress: Progress = logger.info,
    *,
    wait: bool = True,
    again: bool = False,
    on_kept: Callable[[str, str], Any] | None = None,
) -> list[Path]:
    """Runs configurations that are `alike` in one program, but those with a finished record.

    Args:
      configs: resolved (`metajax.config.resolved`); they differ in seed and numbers only.
      benchmark: the one they name, built for their shots.
      suite_folder: ``results/<suite>``; the records go to ``runs/<id>`` in it.
      progress: receives one line of text at a time.
      wait: for another process that makes one of these runs, instead of raising.
      again: makes those anew whose source files have changed since.
      on_kept: receives the name of every finished record that is kept, and what is to be said of it
        (`metajax.records.kept`).

    Returns:
      The folders of the records. A diverged run has one too; its status says so. Interrupted, the
      same call goes on from its last checkpoint, with the runs that it began with in one program:
      so every bit is what it would have been.

    Raises:
      ValueError: if the configurations are not alike.
      OSError: if a record cannot be written.
      metajax.records.Claimed: see `wait`.
    """
    if len({alike(config) for config in configs}) != 1:
        raise ValueError("runs of one program may differ in seed and numbers only")
    home = suite_folder / "runs"
    home.mkdir(parents=True, exist_ok=True)
    definition = defined(benchmark)
    names = [records.run_id(one, benchmark.cards, definition) for one in configs]
    every = dict(zip(names, configs, strict=True))
    with records.claim(home, names, wait=wait):
        own = origins.of_run(configs[0], benchmark)
        todo = []
        for name in every:
            said = records.standing(home / name, own, again=again)
            if not said:
                todo.append(name)
                continue
            progress(f"{name}: {said}")
            if on_kept is not None:
                on_kept(name, said)
        while todo:
            together = _interrupted(home, every, todo) or todo
            members = {name: every[name] for name in together}
            _run_together(members, benchmark, home, progress, own, {*todo})
            todo = [name for name in todo if name not in together]
        # Cut off after the last record, while it tidied up: nothing is left to do but that.
        _interrupted(home, every, [])
        if len(every) > 1:
            shutil.rmtree(_partial(home, list(every)), ignore_errors=True)
    return [home / name for name in names]


def _partial(home: Path, names: Sequence[str]) -> Path:
    """Where the runs of one program leave what they need to go on."""
    if len(names) == 1:
        return home / f".tmp-{names[0]}"
    digest = hashlib.sha256(" ".join(sorted(names)).encode()).hexdigest()[:10]
    return home / f".tmp-{len(names)}-{digest}"


def _interrupted(home: Path, every: dict[str, RunConfig], todo: list[str]) -> list[str]:
    """The runs of a program that was cut off, if one of them is still to do; else none.

    Some of its records may be there already: how many runs a program holds can change the last
    bits of each, so it starts again with all of them.
    """
    for path in sorted(home.glob(".tmp-*/together.json")):
        try:
            members = json.loads(path.read_text())
        except (OSError, ValueError):  # another process has just tidied it up
            continue
        if set(members) <= set(every):
            if set(members) & set(todo):
                return members
            shutil.rmtree(path.parent, ignore_errors=True)  # cut off while it was tidying up
    return []


def _run_together(
    configs: dict[str, RunConfig],
    benchmark: Benchmark,
    home: Path,
    progress: Progress,
    origin: dict[str, str],
    todo: set[str],
) -> None:
    """Trains and tests the runs of one program, and writes the records that are to do."""
    partial = _partial(home, list(configs))
    if files := sources.changed(records.sources_of(partial) or {}, origin):
        progress(f"{', '.join(files)} changed since the last checkpoint: it starts anew")
        shutil.rmtree(partial)
    partial.mkdir(parents=True, exist_ok=True)
    records.write_json(partial / records.SOURCES, origin)
    if len(configs) > 1:
        records.write_json(partial / "together.json", list(configs))
    redone = {name for name in todo if records.is_complete(home / name)}
    environment, definition = records.environment(benchmark.cards), defined(benchmark)
    started = time.perf_counter()
    members = list(configs.values())
    if members[0].learner in HOST_BASELINES:
        outcomes = [_run_baseline(config, benchmark) for config in members]
    else:
        outcomes = _run_learner(configs, benchmark, partial, progress)
    seconds = round(time.perf_counter() - started, 2)
    usage = records.usage(seconds)
    for (name, config), (history, result, arrays, predictions) in zip(
        configs.items(), outcomes, strict=True
    ):
        if name not in todo:
            continue
        result |= {
            "protocol": benchmark.protocol,
            "hyper": hyper_used(config),
            "tasks": list(benchmark.task_names),
            "clusters": [int(c) for c in benchmark.clusters],
        }
        result["seconds"]["total"] = seconds  # of all runs of the program together
        result |= usage
        own = partial if len(configs) == 1 else partial / name
        records.write_record(
            own, home / name, identity=records.identity(config, definition),
            environment=environment, history=history, result=result, arrays=arrays,
            predictions=predictions, origins=origin, replace=name in redone,
        )  # fmt: skip
        if own != home / f".tmp-{name}":  # of a command that made this run alone, cut off
            shutil.rmtree(home / f".tmp-{name}", ignore_errors=True)
        progress(f"{name}: {result['status']}, {seconds:.0f} s")
    if len(configs) > 1:
        shutil.rmtree(partial, ignore_errors=True)


def _run_learner(
    named: dict[str, RunConfig], benchmark: Benchmark, partial: Path, progress: Progress
) -> list[tuple]:
    """Trains on every fold and tests; returns history, result, scores, predictions of each."""
    started, configs = time.perf_counter(), list(named.values())
    make, hypers = build_maker(configs[0], benchmark.spec), numbers(configs)
    trained = _train(configs, benchmark, make, hypers, partial, progress)
    if len(configs) > 1 and trained.memory is not None:
        for k, name in enumerate(named):
            _save_own(partial / name / "checkpoints", trained, k)
    fitted = time.perf_counter()
    place, outcomes = trained.place, []
    common = {"runs_in_program": len(configs), "task_axis": place["task_axis"]}
    common |= {"seconds_to_first_call": place["first"]}
    for k, config in enumerate(configs):
        if place["lost"][k]:
            result = {"status": "diverged", "reason": place["lost"][k], "seconds": {}} | common
            outcomes.append((trained.history[k], result, {}, {}))
            continue
        began = time.perf_counter()
        one = slice(k, k + 1)

        def outputs(i: int, fold: Fold, source, key, episodes: int, one=one) -> Predictions:
            params = jax.tree.map(lambda leaf: leaf[i][one], trained.finished)
            hyper = jax.tree.map(lambda leaf: leaf[one], hypers)
            options = {"trials": 1, "tasks": episodes, "batch": min(episodes, 32)}
            return predict_many(learner_of(make), hyper, params, source, key, **options)[0]

        arrays, predictions, digest = score_all(benchmark, outputs, config.evaluate.episodes)
        seconds = {
            "fit": round(fitted - started, 2), "test": round(time.perf_counter() - began, 2)
        }  # fmt: skip
        steps = [fold[k] for fold in place["steps"]]
        result = {"status": "complete", "steps": steps, "seconds": seconds} | common
        result |= records.best_validation(trained.history[k])
        result["episodes_digest"] = digest
        outcomes.append((trained.history[k], result, arrays, predictions))
    return outcomes


def _run_baseline(config: RunConfig, benchmark: Benchmark):
    """Fits a host baseline on the very test episodes; returns what `_run_learner` does."""
    started = time.perf_counter()
    fitted: dict[int, Any] = {}

    def outputs(i: int, fold: Fold, source, key, episodes: int) -> Predictions:
        if config.learner in baselines.POOLED and i not in fitted:
            if fold.pooled_rows is None:
                raise ValueError(
                    f"{config.learner} needs labels that mean the same in every episode; those of "
                    f"{benchmark.name} do not"
                )
            rows = fold.pooled_rows()
            fitted[i] = baselines.POOLED[config.learner](
                *rows, seed=config.seed, classes=benchmark.spec.outputs
            )
        support, query = draw(source, key, tasks=episodes, batch=min(episodes, 32))
        guess = baselines.predict_episodes(
            config.learner, np.asarray(flat(support.x, 2)), support.y, support.mask,
            np.asarray(flat(query.x, 2)), seed=config.seed,
            pooled=fitted.get(i), kind=benchmark.spec.kind,
        )  # fmt: skip
        task, cluster = episode_units(source, episodes)
        guess = np.where(query.mask.max(-1, keepdims=True) > 0, guess, 0.0)
        fine = np.zeros(episodes, np.float32)
        return Predictions(guess, query.y, query.mask, query.info["row"], task, cluster, fine)

    arrays, predictions, digest = score_all(benchmark, outputs, config.evaluate.episodes)
    seconds = {"test": round(time.perf_counter() - started, 2)}
    result = {"status": "complete", "seconds": seconds, "episodes_digest": digest}
    return [], result, arrays, predictions


class _Trained(NamedTuple):
    """What `_train` leaves."""

    finished: PyTree  # parameters (folds, K, ...)
    place: dict[str, Any]
    history: list[list[dict[str, Any]]]  # of every run
    memory: _Training | None = None  # None if there is nothing to train


def _save_own(folder: Path, trained: _Trained, k: int) -> None:
    """Saves the checkpoint that run `k` of a program would have, had it been trained alone."""
    shutil.rmtree(folder, ignore_errors=True)  # of a call that was cut off after training
    memory, one = trained.memory, slice(k, k + 1)
    tree = _Training(
        *jax.tree.map(lambda leaf: leaf[one], (memory.state, memory.best)),
        jax.tree.map(lambda leaf: leaf[:, one], memory.finished),
    )
    lists = {name: trained.place[name][one] for name in ("best_step", "best_rank", "lost")}
    place = trained.place | lists | {"steps": [fold[one] for fold in trained.place["steps"]]}
    manager = checkpoints.open_manager(folder)
    checkpoints.save(manager, 1, tree, {"place": place, "history": [trained.history[k]]})
    manager.close()


def _train(configs, benchmark, make, hypers, partial: Path, progress: Progress) -> _Trained:
    """Meta-trains every fold of K runs at once."""
    train, runs_ = configs[0].train, len(configs)
    keys = [jax.random.key(config.seed) for config in configs]
    folds = len(benchmark.folds)

    def fresh(i: int) -> TrainState:
        own = jnp.stack([jax.random.fold_in(key, i) for key in keys])
        states = init_many(make, benchmark.folds[i].train, hypers, own)
        return states._replace(key=jax.random.key_data(states.key))

    start = fresh(0)
    place = {
        "fold": 0, "phase": "select", "steps": [], "best_step": [0] * runs_,
        "best_rank": [0.0] * runs_, "lost": [""] * runs_, "task_axis": train.task_axis,
        "first": None,
    }  # fmt: skip
    history: list[list[dict[str, Any]]] = [[] for _ in configs]
    if not jax.tree.leaves(start.params):
        return _Trained(start.params, place | {"steps": [[0] * runs_] * folds}, history)
    stacked = jax.tree.map(lambda leaf: jnp.zeros((folds, *leaf.shape), leaf.dtype), start.params)
    memory = _Training(start, start.params, stacked)
    manager = checkpoints.open_manager(partial / "checkpoints")
    found = checkpoints.restore(manager, memory)
    saves = 0
    if found is not None:
        memory = jax.tree.map(jnp.asarray, found.tree)
        place, saves = found.meta["place"], found.step
        history = found.meta["history"]
        progress(f"resumed in fold {place['fold']}, steps {memory.state.step.tolist()}")
    mesh = layout.device_mesh(runs_ if runs_ > 1 else train.tasks_per_step)
    if place["task_axis"] in layout.AUTOMATIC:
        first = jax.tree.map(lambda leaf: leaf[0], hypers)
        place["task_axis"] = lay_out(
            make(first).learner, benchmark.folds[0].train, tasks_per_step=train.tasks_per_step,
            task_axis=place["task_axis"], mesh=mesh if runs_ == 1 else None,
        )  # fmt: skip
    began = time.perf_counter()

    def save() -> None:
        nonlocal saves
        saves += 1
        checkpoints.save(manager, saves, memory, {"place": place, "history": history})

    metric, sign = SELECTION[benchmark.spec.kind]
    saved = time.monotonic()

    def on_call(states: TrainState, told: dict[str, np.ndarray]) -> None:
        nonlocal memory, saved
        if place["first"] is None:  # compilation included
            place["first"] = round(time.perf_counter() - began, 2)
        fold, selecting = benchmark.folds[place["fold"]], place["phase"] == "select"
        memory = memory._replace(
            state=jax.device_get(states._replace(key=jax.random.key_data(states.key)))
        )
        params, values = memory.state.params, None
        if selecting:
            values = _validate(configs[0], make, hypers, params, fold)
        better = np.zeros(runs_, bool)
        for k in np.flatnonzero(told["ran"]):
            line = {"fold": place["fold"], "phase": place["phase"], "step": int(told["step"][k])}
            means = {n: float(v[k]) for n, v in told.items() if n not in ("step", "ran")}
            line |= {f"train/{name}": value for name, value in means.items()}
            history[k].append(line)
            if not np.isfinite(means["loss"]):
                place["lost"][k] = f"loss {means['loss']} in fold {fold.name}, step {line['step']}"
                continue
            if selecting:
                line[f"validation/{metric}"] = value = float(values[k])
                rank = sign * value if np.isfinite(value) else -np.inf
                if place["best_step"][k] == 0 or rank > place["best_rank"][k]:
                    place["best_step"][k], place["best_rank"][k] = line["step"], rank
                    better[k] = True
        if better.any():
            memory = memory._replace(best=_chosen(better, params, memory.best))
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            save()
            saved = time.monotonic()

    while place["fold"] < folds and not all(place["lost"]):
        i, selecting = place["fold"], place["phase"] == "select"
        fold = benchmark.folds[i]
        steps = np.full(runs_, train.steps) if selecting else np.array(place["best_step"])
        end = fit_many(
            make, fold.train if selecting else fold.refit, hypers, jnp.stack(keys),
            steps=np.where([bool(lost) for lost in place["lost"]], 0, steps),
            tasks_per_step=train.tasks_per_step, steps_per_call=train.steps_per_call,
            task_axis=place["task_axis"], mesh=mesh, on_call=on_call,
            states=memory.state._replace(key=jax.random.wrap_key_data(memory.state.key)),
        )  # fmt: skip
        if selecting and fold.refit is not None:
            place["phase"] = "refit"
            memory = memory._replace(state=fresh(i))
            continue
        final = memory.best if selecting else end.params
        done = jax.tree.map(lambda all, one, i=i: all.at[i].set(one), memory.finished, final)
        place["steps"].append(place["best_step"])
        place.update(fold=i + 1, phase="select", best_step=[0] * runs_)
        following = fresh(i + 1) if i + 1 < folds else memory.state
        memory = memory._replace(state=following, finished=done)
    save()
    manager.close()
    return _Trained(memory.finished, place, history, memory)


def _chosen(better: np.ndarray, new: PyTree, old: PyTree) -> PyTree:
    """Leaves (K, ...) of `new` where a run is better, else of `old`."""

    def choose_leaf(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(better.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return jax.tree.map(choose_leaf, new, old)


def _validate(config: RunConfig, make, hypers: PyTree, params: PyTree, fold: Fold) -> np.ndarray:
    """The mean selection metric (K,) over the meta-validation episodes, always the same ones."""
    episodes = config.evaluate.validation_episodes
    source = fold.validation
    if source.spec.kind != "regression":
        source = choose(source, draw="balanced")
    metric = SELECTION[source.spec.kind][0]
    trials = len(hypers["lr"])
    options = {"trials": trials, "tasks": episodes, "batch": min(episodes, 32)}
    found = predict_many(
        learner_of(make), hypers, params, source, jax.random.key(1), **options
    )  # fmt: skip
    return np.array([np.nanmean(score(source.spec, one)[metric]) for one in found])


def trained(folder: Path, config: RunConfig, benchmark: Benchmark) -> PyTree:
    """The parameters that a finished run ended with, leaves (folds, ...).

    Args:
      folder: of its record, with the checkpoints that lie there only where it was trained.
      config: its configuration.
      benchmark: the one it was trained on.

    Raises:
      FileNotFoundError: there are no checkpoints, or none is whole.
    """
    make, hypers = build_maker(config, benchmark.spec), numbers([config])
    key = jax.random.fold_in(jax.random.key(config.seed), 0)
    start = init_many(make, benchmark.folds[0].train, hypers, key[None])
    folds = len(benchmark.folds)
    stacked = jax.tree.map(lambda leaf: jnp.zeros((folds, *leaf.shape), leaf.dtype), start.params)
    if jax.tree.leaves(stacked):
        like = _Training(start._replace(key=jax.random.key_data(start.key)), start.params, stacked)
        if not (folder / "checkpoints").is_dir():
            raise FileNotFoundError(
                f"{folder} has no checkpoints: they stay where a run was trained and are not "
                "committed. Remedy: train it again, by the same command"
            )
        manager = checkpoints.open_manager(folder / "checkpoints")
        found = checkpoints.restore(manager, like)
        manager.close()
        if found is None:
            raise FileNotFoundError(f"no checkpoint of {folder} is whole. Remedy: train it again")
        stacked = found.tree.finished
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:, 0], stacked)
