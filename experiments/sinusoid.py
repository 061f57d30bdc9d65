"""The sinusoid of the MAML paper: does a learner keep improving after the step it was trained for?

    python experiments/sinusoid.py            about 20 minutes on one core
    python experiments/sinusoid.py --preset=smoke    1 minute, its own folder

Protocol (Finn et al. 2017, https://arxiv.org/abs/1703.03400): y = A sin(x - phi), A in [.1, 5], phi
in [0, pi], x in [-5, 5]; a 1-40-40-1 ReLU network, weights from a truncated normal of standard
deviation .01; 10 labelled points, 25 tasks a step, one inner step of size .01, Adam 1e-3, 70,000
steps; 600 test tasks, squared error on 10 points after 0 to 10 inner steps of the same size. Three
seeds. Writes results/sinusoid/table.md and table.csv.

Expected: MAML improves from step 1 to step 10, Meta-SGD lies below MAML after the step it was
trained for, and a network pre-trained on all tasks stays far above both.
"""

from __future__ import annotations

from metajax import surroundings

surroundings.check()

import dataclasses
import sys
import time
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import optax
import pandas as pd
from rich.console import Console

from metajax import commands, describe, limits, origins, records, sweeps
from metajax.config import Encoder, Evaluate, Inner, RunConfig, Train, build_encoder, complete
from metajax.evaluation import evaluate
from metajax.learners import LEARNERS
from metajax.statistics import Interval, cluster_bootstrap, cluster_means
from metajax.tables import Run, same_settings, write_page
from metajax.tasks.sinusoid import sinusoid
from metajax.training import fit
from metajax.types import Learner

SUITE = "sinusoid"
SHOTS, QUERIES, TEST_TASKS = 10, 10, 600
STEPS = tuple(range(11))
SHOWN = (0, 1, 2, 3, 5, 10)
INNER_LR, START = 0.01, 0.01
METHODS = ("maml", "fomaml", "meta_sgd", "anil", "pooled", "oracle")
LABELS = {
    "pooled": "pre-trained on all tasks, then fine-tuned",
    "oracle": "oracle: amplitude and phase given",
}


@dataclasses.dataclass(frozen=True)
class Flags:
    """The sinusoid of the MAML paper."""

    preset: Literal["smoke", "full"] = "full"
    """smoke: few steps, one seed; full: the paper's protocol."""
    steps: int = 70_000
    """Outer steps, above 0."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds."""
    results: str = "results"
    """Where records and tables go."""
    again: bool = False
    """Make finished runs anew whose source files have changed since; otherwise they are named."""


PRESETS = {"full": Flags(), "smoke": Flags(preset="smoke", steps=500, seeds=(0,))}


def build(method: str, inner_steps: int) -> Learner:
    """A learner with the paper's network and initialisation."""
    spec = sinusoid(shots=SHOTS).spec
    encoder = build_encoder(Encoder((40, 40), skip=False))
    if method in ("pooled", "oracle"):
        # Pre-trained on all tasks; at test its adaptation is MAML's.
        learner = LEARNERS["pooled"](spec, encoder)
        tuned = LEARNERS["maml"](spec, encoder, inner_lr=INNER_LR, inner_steps=inner_steps)
        learner = learner._replace(adapt=tuned.adapt, predict=tuned.predict)
    else:
        name = LEARNERS[method]
        learner = name(spec, encoder, inner_lr=INNER_LR, inner_steps=inner_steps)

    def init(key, episode):
        params = learner.init(key, episode)
        network = params.get("net", params)
        leaves, structure = jax.tree.flatten(network)
        keys = jax.random.split(jax.random.fold_in(key, 1), len(leaves))
        drawn = [
            START * jax.random.truncated_normal(k, -2.0, 2.0, leaf.shape) if leaf.ndim > 1 else leaf
            for k, leaf in zip(keys, leaves, strict=True)
        ]
        network = jax.tree.unflatten(structure, drawn)
        return params | {"net": network} if "net" in params else network

    return learner._replace(init=init)


def configuration(method: str, seed: int, steps: int) -> RunConfig:
    """The configuration of a run; without meta-learning the test's adaptation is MAML's."""
    adapts = "maml" if method in ("pooled", "oracle") else method
    inner = complete(Inner(lr=INNER_LR, steps=1), adapts)
    train = Train(steps=steps, tasks_per_step=25, steps_per_call=1000, lr=1e-3)
    return RunConfig(
        SUITE, SUITE, method, seed, (SHOTS,), inner, train, Encoder((40, 40), False),
        Evaluate(TEST_TASKS),
    )  # fmt: skip


def definition() -> dict[str, Any]:
    """What makes the benchmark, JSON: part of the identity of its runs."""
    world = describe.text(sinusoid(shots=SHOTS, queries=QUERIES).sample)
    return {"tested_after": list(STEPS), "start": START, "world": world}


def as_today(config: RunConfig) -> tuple[RunConfig, dict[str, Any]]:
    """Configuration and definition of a run, for scripts/migrate_records.py."""
    return configuration(config.learner, config.seed, config.train.steps), definition()


def run(method: str, seed: int, steps: int, folder: Path, *, again: bool = False) -> str:
    """Trains one method with one seed and writes its record, unless that is there: what is said."""
    config = configuration(method, seed, steps)
    train = config.train
    name = records.run_id(config, (), definition())
    own = origins.of_script(__file__, config, learners=("pooled", "maml"))
    if said := records.standing(folder / "runs" / name, own, again=again):
        return said
    started = time.perf_counter()
    world = sinusoid(shots=SHOTS, queries=QUERIES, oracle=method == "oracle")
    history = []
    state = fit(
        build(method, 1), world, optax.adam(train.lr), jax.random.key(seed), steps=steps,
        tasks_per_step=train.tasks_per_step, steps_per_call=train.steps_per_call,
        on_call=lambda _, means: history.append(means),
    )  # fmt: skip
    fitted = time.perf_counter()
    arrays = {}
    for inner_steps in STEPS:
        scores = evaluate(
            build(method, inner_steps), state.params, world, jax.random.key(2017),
            tasks=TEST_TASKS, batch=TEST_TASKS,
        )  # fmt: skip
        arrays[f"mse_step_{inner_steps}"] = scores["mse"]
    columns = {
        "shots": np.full(TEST_TASKS, SHOTS, np.int32), "draw": np.zeros(TEST_TASKS, np.int8),
        "episode": np.arange(TEST_TASKS), "task": scores["task"], "cluster": scores["cluster"],
        "nonfinite": scores["nonfinite"],
    }  # fmt: skip
    result = {
        "status": "complete" if np.isfinite(history[-1]["loss"]) else "diverged",
        "protocol": "disjoint", "tasks": [], "clusters": [],
        "seconds": {"fit": fitted - started, "test": time.perf_counter() - fitted},
    }  # fmt: skip
    records.write_record(
        folder / "runs" / f".tmp-{name}", folder / "runs" / name,
        identity=records.identity(config, definition()), environment=records.environment(()),
        history=history, result=result, arrays=columns | arrays, origins=own, replace=True,
    )  # fmt: skip
    return f"{fitted - started:.0f} s"


def runs_of(runs: list[Run], method: str) -> list[Run]:
    """The seeds of a method."""
    return [run for run in runs if run.config["learner"] == method]


def by_task(runs: list[Run], method: str, n: int) -> np.ndarray:
    """The mean over seeds of the error of every test task after n steps, (TEST_TASKS,)."""
    seeds = [run.scores for run in runs_of(runs, method)]
    scores = np.concatenate([seed[f"mse_step_{n}"] for seed in seeds]).astype(np.float64)
    return cluster_means(scores, np.concatenate([seed["task"] for seed in seeds]))


def interval(scores: np.ndarray) -> Interval:
    """The mean over tasks with its interval; tasks are independent, each its own cluster."""
    return cluster_bootstrap(scores, np.arange(len(scores)), np.random.default_rng(0))


def table(runs: list[Run]) -> tuple[pd.DataFrame, str]:
    """Tabulates the records: mean and median squared error, intervals over tasks."""

    def said(found: Interval) -> str:
        return f"{found.mean:.3g} [{found.low:.3g}, {found.high:.3g}]"

    def head(title: str) -> list[str]:
        steps = " | ".join(f"n = {n}" for n in SHOWN)
        return [f"| {title} | {steps} |", "|" + " --- |" * (1 + len(SHOWN)), ""]

    seeds = len({run.config["seed"] for run in runs})
    rows, means, medians, lost = [], head("mean"), head("median over tasks"), []
    for method in METHODS:
        name = LABELS.get(method, method)
        scores = {n: by_task(runs, method, n) for n in STEPS}
        found = {n: interval(scores[n]) for n in STEPS}
        for n in STEPS:
            rows.append((SUITE, SUITE, method, SHOTS, f"mse_step_{n}", *found[n][:4], seeds))
        means[-1:] = [f"| {name} | {' | '.join(said(found[n]) for n in SHOWN)} |", ""]
        middle = " | ".join(f"{np.median(scores[n]):.3g}" for n in SHOWN)
        medians[-1:] = [f"| {name} | {middle} |", ""]
        bad = sum(int(run.scores["nonfinite"].sum()) for run in runs_of(runs, method))
        lost += [f"{name} {bad}"] if bad else []
    gain = interval(by_task(runs, "maml", 1) - by_task(runs, "maml", 10))
    other = interval(by_task(runs, "maml", 1) - by_task(runs, "meta_sgd", 1))
    lines = [
        "# sinusoid",
        "",
        f"Squared error after n gradient steps on {SHOTS} labelled points.",
        "",
        *means,
        *medians,
        f"- MAML, error after step 1 minus after step 10, paired: {said(gain)}.",
        f"- MAML minus Meta-SGD after step 1, paired: {said(other)}.",
        f"- Overflowed by step 10, scored as chance there, of {seeds * TEST_TASKS} episodes: "
        f"{', '.join(lost) or 'none'}.",
        "",
        f"{TEST_TASKS} test tasks, {seeds} seed(s), errors averaged over seeds within a task; "
        "intervals: 95 %, bootstrap over tasks. All learners were meta-trained for one step: "
        "beyond it gradient descent at the same rate diverges on a few tasks, which carry the "
        "means (see the medians), and Meta-SGD's learned rates are not meant for more. The paper "
        "prints curves, no table to compare with.",
    ]
    columns = "suite benchmark learner shots metric mean low high tasks seeds".split()
    return pd.DataFrame(rows, columns=columns), "\n".join(lines) + "\n"


def write_tables(folder: Path, runs: list[Run]) -> str:
    """Writes table.md and table.csv; returns the page. scripts/table.py calls it, too."""
    same_settings(runs)  # which are averaged by name
    return write_page(folder, *table(runs))


@surroundings.guarded
def main() -> int:
    """Runs what is missing and writes the table."""
    flags = commands.parse(Flags, PRESETS, default="full")
    limits.positive({"steps": flags.steps})
    limits.seeds(*flags.seeds, name="seeds")
    if not flags.seeds:
        raise ValueError("--seeds is empty; give at least one")
    sweeps.keep_compiled()
    folder = commands.folder_of(flags, SUITE)
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    console = Console()
    for method in METHODS:
        for seed in flags.seeds:
            said = run(method, seed, flags.steps, folder, again=flags.again)
            console.print(f"{method}, seed {seed}: {said}", soft_wrap=True)
    return commands.finish(console, folder, write_tables)


if __name__ == "__main__":
    sys.exit(main())
