"""A prior-fitted network for disease tables, trained on synthetic tables only.

    python experiments/prior_fitted.py            about 25 minutes on two cores
    python experiments/prior_fitted.py --preset=smoke    a minute, its own folder

Every step draws new diseases from `metajax.tasks.disease_prior`: 3 to 48 columns, 8, 16, 32 or 64
labelled patients, 32 to be judged. Adam (b2 .98) behind a bound of 1 on the gradient's norm, weight
decay 1e-4, warm-up of 100 steps, cosine to 2 % of the rate. Every call of 50 steps is followed by
the score on 128 diseases that are never trained on, and a checkpoint: an interrupted command goes
on where it stopped, with the same bits. Writes results/<suite>/curve.csv, config.json and the
checkpoint, and prints how the untrained network scores, a linear vote of the columns.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from typing import Literal

import jax
import numpy as np
import optax
import pandas as pd
from rich.console import Console

from metajax import checkpoints, commands, records, sweeps
from metajax.evaluation import evaluate
from metajax.learners import LEARNERS
from metajax.nn import Identity
from metajax.tasks import disease_prior
from metajax.training import TrainState, fit, init_state

SUITE = "prior_fitted"
HELD_OUT = 128


@dataclasses.dataclass(frozen=True)
class Flags:
    """A prior-fitted network for disease tables, trained on synthetic tables only."""

    preset: Literal["smoke", "full"] = "full"
    """smoke: a tiny network, few steps; full: 25 minutes on two cores."""
    steps: int = 1500
    """Outer steps, above 0; the rate of learning falls over all of them."""
    minutes: float = 28.0
    """Stop after so many minutes of this command, above 0; the next one goes on."""
    tasks_per_step: int = 16
    """Diseases a step."""
    steps_per_call: int = 50
    """Steps between two scores."""
    lr: float = 2e-3
    """Largest step size of Adam, above 0."""
    width: int = 32
    """Of the tokens; 96 to 128 on a GPU."""
    blocks: int = 3
    """Blocks of the network; 6 on a GPU."""
    heads: int = 2
    """Of every attention."""
    task_axis: str = "auto"
    """How the tasks of a step are laid out: vmap, scan, chunk:n, auto, measure."""
    seed: int = 0
    """Of the network and of the training tasks, 0 or more."""
    results: str = "results"
    """Where the curve and the checkpoint go."""


SMOKE = Flags(
    preset="smoke", steps=20, tasks_per_step=4, steps_per_call=10, width=8, blocks=1, heads=1
)
PRESETS = {"full": Flags(), "smoke": SMOKE}


def optimizer(flags: Flags) -> optax.GradientTransformation:
    """The outer optimiser."""
    warm = min(100, flags.steps // 2)
    rate = optax.warmup_cosine_decay_schedule(0.0, flags.lr, warm, flags.steps, 0.02 * flags.lr)
    adam = optax.adamw(rate, b2=0.98, weight_decay=1e-4)
    return optax.chain(optax.clip_by_global_norm(1.0), adam)


def as_arrays(state: TrainState) -> TrainState:
    """The state with its key as numbers, which a checkpoint holds."""
    return state._replace(key=jax.random.key_data(state.key))


def run(flags: Flags, folder: Path, console: Console) -> None:
    """Trains from the newest checkpoint on, scoring and saving after every call."""
    began = time.monotonic()
    small = {"queries": 8, "columns": 8} if flags.preset == "smoke" else {}
    source = disease_prior(**small)
    learner = LEARNERS["pfn"](
        source.spec, Identity(), width=flags.width, blocks=flags.blocks, heads=flags.heads
    )
    chosen = optimizer(flags)
    state = init_state(learner, source, chosen, jax.random.key(flags.seed))
    manager = checkpoints.open_manager(folder / "checkpoints")
    config = dataclasses.asdict(flags) | {"minutes": None, "results": None}
    found = checkpoints.restore(manager, as_arrays(state))
    curve = []
    if found is not None:
        if found.meta["config"] != config:
            raise ValueError(f"{folder} holds a run with other flags: {found.meta['config']}")
        state = found.tree._replace(key=jax.random.wrap_key_data(found.tree.key))
        curve = found.meta["curve"]

    def score(state: TrainState, step: int, means: dict[str, float]) -> None:
        # Key 2017 is no run's: the same held-out diseases after every call.
        scores = evaluate(
            learner, state.params, source, jax.random.key(2017), tasks=HELD_OUT, batch=32
        )
        row = {"step": step, "seconds": round(time.monotonic() - began, 1)}
        row |= {"train_loss": means.get("loss"), "gradient_norm": means.get("gradient_norm")}
        row |= {name: float(np.nanmean(scores[name])) for name in ("log_loss", "auroc")}
        curve.append(row)
        loss = "-" if row["train_loss"] is None else f"{row['train_loss']:.4f}"
        console.print(
            f"step {step}, {row['seconds']:.0f} s: training loss {loss}, held out: log-loss "
            f"{row['log_loss']:.4f}, AUROC {row['auroc']:.4f}"
        )

    if not curve:
        score(state, 0, {})

    def on_call(state: TrainState, means: dict[str, float]) -> bool:
        score(state, means["step"], means)
        meta = {"config": config, "curve": curve}
        checkpoints.save(manager, means["step"], as_arrays(state), meta)
        pd.DataFrame(curve).to_csv(
            folder / "curve.csv", index=False, float_format="%.6g", lineterminator="\n"
        )
        return time.monotonic() - began > 60 * flags.minutes

    fit(
        learner, source, chosen, jax.random.key(flags.seed), steps=flags.steps,
        tasks_per_step=flags.tasks_per_step, steps_per_call=flags.steps_per_call,
        task_axis=flags.task_axis, on_call=on_call, state=state,
    )  # fmt: skip
    records.write_json(folder / "config.json", config)


def main() -> int:
    """Trains, or goes on training."""
    flags = commands.parse(Flags, PRESETS, default="full")
    counts = (flags.steps, flags.tasks_per_step, flags.steps_per_call)
    if min(counts) < 1 or min(flags.lr, flags.minutes) <= 0 or flags.seed < 0:
        return commands.fail("steps, tasks, lr and minutes must be above 0, --seed 0 or more")
    sweeps.keep_compiled()
    folder = Path(flags.results) / (SUITE if flags.preset == "full" else f"smoke-{SUITE}")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        run(flags, folder, Console())
    except ValueError as error:
        return commands.fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
