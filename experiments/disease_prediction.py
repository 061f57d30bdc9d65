"""Disease prediction: given k labelled patients of a new disease or hospital, which method?

    python experiments/disease_prediction.py --preset=quickstart
    python experiments/disease_prediction.py --preset=full --data-dir=DIR
    python experiments/disease_prediction.py --learner=maml --shots=16 --seed=0

Benchmarks: `sklearn_tables` (meta-trained on random clinical tables, tested on the two real ones
that ship with scikit-learn; nothing to download), `heart_uci` (leave one hospital out) and
`support2` (leave one disease out, in-hospital death). A preset runs every method with every seed
and writes results/<suite>/table.md, table.csv and report.html: quickstart takes about 4 minutes on
2 cores, full about an hour. Naming a learner runs that alone. An interrupted command goes on where
it stopped when it is given again.
"""

from __future__ import annotations

import dataclasses
import sys
from functools import cache
from typing import Literal

import pandas as pd

from metajax import commands, datasets
from metajax.baselines import POOLED
from metajax.benchmarks import Benchmark, from_world, leave_one_task_out
from metajax.config import Encoder, Evaluate, Inner, Method, Train
from metajax.headroom import headroom
from metajax.tasks.clinical import clinical_tables
from metajax.tasks.standardise import standardise_by_support

SUITE = "disease_prediction"
SHOTS = {
    "sklearn_tables": (4, 8, 16, 32),
    "heart_uci": (8, 16, 32),
    "support2": (8, 16, 32, 64),
}
# Held-out tasks by id. Switzerland (2) has 8 patients without disease: a source, never a target.
TARGETS = {"heart_uci": (0, 1, 3), "support2": tuple(range(8))}


@cache
def build(benchmark: str, shots: tuple[int, ...], data_dir: str | None) -> Benchmark:
    """Builds a benchmark by name."""
    table = datasets.load(benchmark, data_dir)
    if benchmark != "sklearn_tables":
        return leave_one_task_out(benchmark, table, TARGETS[benchmark], shots=shots)
    world = clinical_tables(
        shots=shots, queries=64, columns=32, draw="mixed", prepare=standardise_by_support
    )
    return from_world(benchmark, world, table, shots=shots, prepare=standardise_by_support)


def measure_headroom(benchmark: str, shots: tuple[int, ...], data_dir: str | None) -> pd.DataFrame:
    """What target labels could still add: ceilings against the better of pooled and target-only.

    The pooled prior is gradient boosting + logistic regression on the other tasks; the bundled
    tables share no columns, so they have none.
    """
    table = datasets.load(benchmark, data_dir)
    shared = benchmark in TARGETS
    return headroom(
        table.x, table.y, table.task, targets=TARGETS.get(benchmark, (0, 1)), shots=shots,
        draws=20, seed=0, prior=POOLED["pooled_lr_boosting"] if shared else None,
        scale=lambda rows: datasets.scaled(table, rows), groups=table.group, benchmark=benchmark,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Flags:
    """Few-shot disease prediction: train, test, tabulate."""

    preset: Literal["smoke", "quickstart", "full"] = "full"
    """smoke: seconds; quickstart: the embedded benchmark, all methods; full: all benchmarks."""
    benchmark: Literal["sklearn_tables", "heart_uci", "support2"] | None = None
    """One benchmark only."""
    learner: Method | None = None
    """One learner or host baseline only."""
    shots: tuple[int, ...] | None = None
    """Support sizes (labelled patients in all); default: the benchmark's."""
    seed: int | None = None
    """One seed only; default: 0, 1 and 2 (host baselines: 0)."""
    inner: Inner = dataclasses.field(default_factory=Inner)
    """The learner's own hyper-parameters."""
    train: Train = dataclasses.field(default_factory=Train)
    """Meta-training."""
    encoder: Encoder = dataclasses.field(default_factory=Encoder)
    """The network's body."""
    evaluate: Evaluate = dataclasses.field(default_factory=Evaluate)
    """Testing and model selection."""
    data_dir: str | None = None
    """Folder of the real data (default: METAJAX_DATA); absent files are downloaded."""
    results: str = "results"
    """Where records and tables go."""
    wandb: Literal["online", "offline", "disabled"] | None = None
    """Mirror runs to Weights & Biases; default: WANDB_MODE, or offline."""
    workers: int = 2
    """Processes of one core each."""


PRESETS = {
    "smoke": Flags(
        preset="smoke",
        benchmark="sklearn_tables",
        train=Train(steps=20, steps_per_call=10, tasks_per_step=4),
        evaluate=Evaluate(episodes=2, validation_episodes=8),
    ),
    "quickstart": Flags(preset="quickstart", benchmark="sklearn_tables"),
    "full": Flags(),
}
SMOKE_METHODS = ("maml", "ridge", "lr_c0.01", "pooled_lr")


def main() -> int:
    """Runs what the flags ask for."""
    flags = commands.parse(Flags, PRESETS, default="full")
    return commands.run_suite(
        SUITE,
        flags,
        build,
        SHOTS,
        methods=SMOKE_METHODS if flags.preset == "smoke" else None,
        headroom=measure_headroom if flags.preset == "full" else None,
    )


if __name__ == "__main__":
    sys.exit(main())
