"""A benchmark of four small tasks and a run of seconds, for the tests of runs and commands."""

import dataclasses
import json
import sys
from functools import cache
from pathlib import Path

import numpy as np

from metajax import runs
from metajax.benchmarks import leave_one_task_out
from metajax.config import Encoder, Evaluate, Inner, RunConfig, Train, resolved
from metajax.datasets import Card, Table

NAMES = ("north", "east", "south", "west")
ROWS = 30
SHOTS = (4, 6)


def table(replaced=None):
    """Four tasks of 30 rows; `replaced` names one whose rows are others, as many in each class."""
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(4, dtype=np.int32), ROWS)
    y = (np.arange(4 * ROWS) % 3 == 0).astype(np.int32)
    x = (rng.normal(size=(4 * ROWS, 3)) + y[:, None] * [1.5, -1.0, 0.0]).astype(np.float32)
    if replaced is not None:
        mine = task == replaced
        x[mine] = 100 * np.random.default_rng(1).normal(size=(ROWS, 3)) - 7
        y[mine] = y[mine][::-1]
    card = Card(
        name="tiny", title="", task="", label="", split_unit="task", row_group="none",
        cluster="task", splits="", protocol="", licence="", citation="", homepage="", files=(),
        prevalence=tuple((n, ROWS, ROWS // 3) for n in NAMES), overlaps="", intended_use="",
    )  # fmt: skip
    return Table(x, y, task, None, NAMES, ("a", "b", "c"), card)


@cache
def build(benchmark="tiny", shots=SHOTS, data_dir=None, replaced=None):
    """Tasks 0, 1 and 2 in turn are the target; task 3 is a source in every fold."""
    return leave_one_task_out(benchmark, table(replaced), (0, 1, 2), shots=shots, train_queries=8)


def config(learner="maml", seed=0, lr=None, benchmark="tiny", shots=SHOTS):
    """Twelve outer steps in six calls; one inner step."""
    inner = Inner(lr=lr, steps=1 if learner == "maml" else None)
    train = Train(steps=12, tasks_per_step=2, steps_per_call=2, lr=0.02)
    return resolved(
        RunConfig(
            "suite", benchmark, learner, seed, shots, inner, train, Encoder((4,)),
            Evaluate(episodes=3, validation_episodes=3),
        ),
        strict=True,
    )  # fmt: skip


def lines(folder):
    """The lines of metrics.jsonl."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def numbers(folder):
    """The bytes of the files that hold the numbers of a run."""
    return {name: (folder / name).read_bytes() for name in ("metrics.jsonl", "scores.npz")}


def modified(folder):
    """When every file below a folder was last written."""
    return {p: p.stat().st_mtime_ns for p in sorted(folder.rglob("*")) if p.is_file()}


if __name__ == "__main__":
    # A process of its own, for tests that kill it: says when it starts, checkpoints every call.
    runs.CHECKPOINT_SECONDS = 0
    benchmark = build()
    print("ready", flush=True)
    where = runs.run(dataclasses.replace(config()), benchmark, Path(sys.argv[1]), print)
    print(where)
