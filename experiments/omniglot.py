"""Do the image learners learn? ProtoNet and MAML on Omniglot, 5-way 1-shot, beside their papers.

    python experiments/omniglot.py --data-dir=DIR        about 30 minutes on two cores
    python experiments/omniglot.py --preset=smoke        a minute, its own folder

A check, short of a reproduction: both papers train many times longer, on a GPU. Characters are
split by Vinyals' lists, rotations are classes of their own, drawings are 28 x 28, four blocks of 64
channels with batch statistics (transductive, as in both papers' code), Adam 1e-3.

* ProtoNet (Snell et al. 2017, https://arxiv.org/abs/1703.05175): max-pooling, one episode of 60
  classes and 5 queries each a step; the rate halves every 1,000 steps (theirs: 2,000).
* MAML (Finn et al. 2017, https://arxiv.org/abs/1703.03400): strides instead of pooling, 32 episodes
  of 5 classes a step, one query each, one inner step of size .4, three at test. Theirs averages
  over positions before the head, ours does not.

Accuracy on 200 episodes of validation classes is kept along the way (nothing is chosen by it), then
on 600 of test classes with 15 queries each. Writes results/omniglot/table.md and table.csv.

Expected: both curves rise towards the papers' figures; the table says how far they got.
"""

from __future__ import annotations

from metajax import surroundings

surroundings.check()

import dataclasses
import sys
import time
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import optax
import pandas as pd
from rich.console import Console

from metajax import commands, describe, layout, limits, nn, origins, records, suites, sweeps
from metajax.benchmarks import from_classes
from metajax.config import Encoder, Evaluate, Inner, RunConfig, Train, complete
from metajax.datasets import Family
from metajax.datasets.imaging.omniglot import rotated
from metajax.evaluation import evaluate
from metajax.learners import LEARNERS
from metajax.statistics import Interval, cluster_bootstrap
from metajax.tables import Run, same_settings, write_page
from metajax.tasks.decoding import strokes
from metajax.training import fit
from metajax.types import Learner, TaskSource, TaskSpec

SUITE, BENCHMARK = "omniglot", "omniglot_rotated_5way"
WAYS, SHOTS, QUERIES, TEST_EPISODES, VALIDATION_EPISODES = 5, 1, 15, 600, 200
INNER_LR, TEST_STEPS = 0.4, 3  # MAML's
SPEC = TaskSpec(WAYS, "multiclass")


class Protocol(NamedTuple):
    """How a method is trained, and what is known of it.

    Attributes:
      ways, queries: classes of a training episode, query drawings of each.
      tasks: episodes of a step.
      steps: outer steps.
      halve: steps after which the rate halves; 0: never.
      pool: max-pooling instead of strides.
      published: accuracy in the paper.
      band: lowest and highest of the paper's and independent runs: "reached" if the interval
        touches it.
    """

    ways: int
    queries: int
    tasks: int
    steps: int
    halve: int
    pool: bool
    published: float
    band: tuple[float, float]


PROTOCOLS = {
    "protonet": Protocol(60, 5, 1, 2500, 1000, True, 0.988, (0.980, 0.989)),
    "maml": Protocol(5, 1, 32, 6000, 0, False, 0.987, (0.981, 0.991)),
}


@dataclasses.dataclass(frozen=True)
class Flags:
    """ProtoNet and MAML on Omniglot, 5-way 1-shot, beside their papers."""

    preset: Literal["smoke", "full"] = "full"
    """smoke: a few steps of a narrow network; full: the protocol above."""
    methods: tuple[str, ...] = tuple(PROTOCOLS)
    """protonet, maml."""
    steps: int | None = None
    """Outer steps, above 0; default: the method's own."""
    steps_per_call: int = 250
    """Outer steps between two points of the curve, above 0."""
    channels: int = 64
    """Of every block."""
    seed: int = 0
    """0 or more."""
    data_dir: str | None = None
    """Folder of the real data (default: METAJAX_DATA); absent files are downloaded."""
    results: str = "results"
    """Where records and tables go."""
    again: bool = False
    """Make finished runs anew whose source files have changed since; otherwise they are named."""


SMOKE = Flags(preset="smoke", steps=4, steps_per_call=2, channels=8)
PRESETS = {"full": Flags(), "smoke": SMOKE}


def build(method: str, channels: int, *, test: bool) -> Learner:
    """The learner; MAML takes more inner steps in a test."""
    encoder = nn.Conv4(channels, PROTOCOLS[method].pool, "batch")
    if method == "maml":
        steps = TEST_STEPS if test else 1
        return LEARNERS["maml"](SPEC, encoder, inner_lr=INNER_LR, inner_steps=steps)
    return LEARNERS[method](SPEC, encoder)


def sources(family: Family, method: str) -> tuple[TaskSource, TaskSource, TaskSource]:
    """Episodes of training classes, of validation classes, of test classes."""
    how = PROTOCOLS[method]
    options = {"shots": (SHOTS,), "by_task": False, "prepare": strokes}
    trained = from_classes(BENCHMARK, family, ways=how.ways, queries=how.queries, **options)
    tested = from_classes(BENCHMARK, family, ways=WAYS, queries=QUERIES, **options)
    return trained.folds[0].train, tested.folds[0].validation, tested.folds[0].test


def configuration(method: str, flags: Flags) -> RunConfig:
    """The configuration of a run, resolved."""
    how = PROTOCOLS[method]
    train = Train(flags.steps or how.steps, how.tasks, flags.steps_per_call, 1e-3)
    inner = Inner(lr=INNER_LR, steps=1) if method == "maml" else Inner()
    return RunConfig(
        SUITE, BENCHMARK, method, flags.seed, (SHOTS,), complete(inner, method), train,
        Encoder((flags.channels,), name="conv4"), Evaluate(TEST_EPISODES, VALIDATION_EPISODES),
    )  # fmt: skip


def definition(method: str) -> dict[str, Any]:
    """What makes the benchmark for a method, JSON: part of the identity of its runs."""
    told = {k: v for k, v in PROTOCOLS[method]._asdict().items() if k not in ("published", "band")}
    told |= {"test_ways": WAYS, "test_queries": QUERIES, "test_steps": TEST_STEPS, "norm": "batch"}
    told |= {"transform": rotated, "prepare": strokes}
    return {name: describe.plain(value) for name, value in told.items()}


def as_today(config: RunConfig) -> tuple[RunConfig, dict[str, Any]]:
    """Configuration and definition of a run, for scripts/migrate_records.py."""
    flags = Flags(
        steps=config.train.steps, steps_per_call=config.train.steps_per_call, seed=config.seed,
        channels=config.encoder.widths[0],
    )  # fmt: skip
    return configuration(config.learner, flags), definition(config.learner)


def run(method: str, flags: Flags, family: Family, folder: Path, console: Console) -> None:
    """Trains and tests one method and writes its record, unless that is there."""
    how, config = PROTOCOLS[method], configuration(method, flags)
    train = config.train
    name = records.run_id(config, (family.card,), definition(method))
    own = origins.of_script(__file__, config, families=("omniglot",))
    if said := records.standing(folder / "runs" / name, own, again=flags.again):
        console.print(f"{method}: {said}", soft_wrap=True)
        return
    started = time.perf_counter()
    training, validation, test = sources(family, method)
    learner, tested = (build(method, flags.channels, test=one) for one in (False, True))
    rate = train.lr
    if how.halve:
        rate = optax.exponential_decay(train.lr, how.halve, 0.5, staircase=True)
    history = []

    def score(state, means) -> None:
        scores = evaluate(
            tested, state.params, validation, jax.random.key(7), tasks=VALIDATION_EPISODES, batch=20
        )
        row = {"step": means["step"], "loss": means["loss"]}
        row["validation_accuracy"] = float(scores["accuracy"].mean())
        row["seconds"] = time.perf_counter() - started
        history.append(row)
        console.print(
            f"{method}, step {row['step']}, {row['seconds']:.0f} s: loss {row['loss']:.4f}, "
            f"validation accuracy {row['validation_accuracy']:.4f}"
        )

    state = fit(
        learner, training, optax.adam(rate), jax.random.key(flags.seed), steps=train.steps,
        tasks_per_step=train.tasks_per_step, steps_per_call=train.steps_per_call,
        mesh=layout.device_mesh(train.tasks_per_step), on_call=score,
    )  # fmt: skip
    fitted = time.perf_counter()
    scores = evaluate(
        tested, state.params, test, jax.random.key(2017), tasks=TEST_EPISODES, batch=20
    )
    columns = {
        "shots": np.full(TEST_EPISODES, SHOTS, np.int32), "draw": np.zeros(TEST_EPISODES, np.int8),
        "episode": np.arange(TEST_EPISODES), "task": np.zeros(TEST_EPISODES, np.int32),
        "cluster": np.arange(TEST_EPISODES), "nonfinite": scores["nonfinite"],
        "accuracy": scores["accuracy"],
    }  # fmt: skip
    result = {
        "status": "complete" if np.isfinite(history[-1]["loss"]) else "diverged",
        "protocol": "disjoint", "tasks": [], "clusters": [],
        "seconds": {"fit": fitted - started, "test": time.perf_counter() - fitted},
        "curve": [[row["step"], row["validation_accuracy"]] for row in history],
    }  # fmt: skip
    records.write_record(
        folder / "runs" / f".tmp-{name}", folder / "runs" / name,
        identity=records.identity(config, definition(method)),
        environment=records.environment((family.card,)), history=history, result=result,
        arrays=columns, origins=own, replace=True,
    )  # fmt: skip


def interval(run: Run) -> Interval:
    """Mean accuracy over the test episodes, each its own cluster, as the papers count them."""
    scores = run.scores["accuracy"].astype(np.float64)
    return cluster_bootstrap(scores, np.arange(len(scores)), np.random.default_rng(0))


def table(runs: list[Run]) -> tuple[pd.DataFrame, str]:
    """Tabulates the records, with the papers' figures and the curves."""
    rows = []
    lines = [
        "# omniglot",
        "",
        f"{WAYS}-way {SHOTS}-shot accuracy on {TEST_EPISODES} episodes of test characters, 95 % "
        "interval over episodes. *Reached*: the interval touches the band of the paper's and of "
        "independent runs.",
        "",
        "| method | steps | minutes | accuracy | published | band | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    ordered = sorted(runs, key=lambda run: list(PROTOCOLS).index(run.config["learner"]))
    for run in ordered:
        method, found = run.config["learner"], interval(run)
        how, steps = PROTOCOLS[method], run.config["train"]["steps"]
        low, high = how.band
        reached = "reached" if found.high >= low and found.low <= high else "not reached"
        minutes = sum(run.result["seconds"].values()) / 60
        lines.append(
            f"| {method} | {steps} | {minutes:.0f} | {found.mean:.4f} [{found.low:.4f}, "
            f"{found.high:.4f}] | {how.published} | {low} to {high} | {reached} |"
        )
        row = (SUITE, BENCHMARK, method, SHOTS, "accuracy", *found[:4])
        rows.append((*row, run.config["seed"], steps, how.published, reached))
    lines += ["", f"Accuracy on {VALIDATION_EPISODES} episodes of validation characters:", ""]
    for run in ordered:
        curve = run.result["curve"]
        shown = np.linspace(0, len(curve) - 1, min(9, len(curve))).round().astype(int)
        told = ", ".join(f"{step}: {accuracy:.3f}" for step, accuracy in (curve[i] for i in shown))
        lines.append(f"- {run.config['learner']}, after so many steps: {told}")
    columns = "suite benchmark learner shots metric mean low high episodes seed steps published"
    return pd.DataFrame(rows, columns=[*columns.split(), "verdict"]), "\n".join(lines) + "\n"


def write_tables(folder: Path, runs: list[Run]) -> str:
    """Writes table.md and table.csv; returns the page. scripts/table.py calls it, too."""
    same_settings(runs, ("definition", "jax"))  # of which the page says nothing
    return write_page(folder, *table(runs))


@surroundings.guarded
def main() -> int:
    """Runs what is missing and writes the table."""
    flags = commands.parse(Flags, PRESETS, default="full")
    unknown = set(flags.methods) - set(PROTOCOLS)
    if unknown:
        return commands.fail(f"--methods: unknown {', '.join(sorted(unknown))}; see --help")
    counts = ("steps", "steps_per_call", "channels")
    limits.positive({name: getattr(flags, name) for name in counts})
    limits.seeds(flags.seed)
    sweeps.keep_compiled()
    layout.use_cpu_devices()
    folder = commands.folder_of(flags, SUITE)
    console = Console()
    try:
        commands.make_folder(folder)
        family = rotated(suites.load("omniglot", flags.data_dir))
        for method in flags.methods:
            run(method, flags, family, folder, console)
    except (ValueError, OSError) as error:
        return commands.fail(error)
    return commands.finish(console, folder, write_tables)


if __name__ == "__main__":
    sys.exit(main())
