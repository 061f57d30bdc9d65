"""A prior-fitted network for disease tables, trained on synthetic tables only.

    python experiments/prior_fitted.py                              17 minutes on two cores
    python experiments/prior_fitted.py --mode=evaluate --data-dir=DIR             half an hour
    python experiments/prior_fitted.py --preset=large       5 minutes on an NVIDIA H200, own folder
    python experiments/prior_fitted.py --preset=smoke                   a minute, own folder

Every step draws new diseases from `metajax.tasks.disease_prior`: 3 to 48 columns, 8, 16, 32 or 64
labelled patients, 32 to be judged. Calls of 10 steps take turns with four shapes of table, few or
many rows and columns: padding all to the largest would double the time. Adam (b2 .98) behind a
bound of 1 on the gradient's norm, weight decay 1e-4, warm-up of 100 steps, cosine to 2 % of the
rate. Every 200 steps come a score on 128 diseases that are never trained on, and a checkpoint: an
interrupted command goes on from there, with the same bits. Writes curve.csv and network.npz to
results/<suite>. Step 0 of the curve is the untrained network, a linear vote of the columns.
`evaluate` compares network.npz with other models on real tables (`real_tables.py`) and writes
tables.csv, summary.csv and table.md there; `tabulate` makes the last two from the first.
"""

from __future__ import annotations

from metajax import surroundings

surroundings.check()

import dataclasses
import hashlib
import io
import itertools
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import real_tables
from rich.console import Console
from rich.markdown import Markdown

from metajax import checkpoints, commands, describe, disk, limits, precision, sweeps
from metajax.datasets import reading
from metajax.evaluation import evaluate
from metajax.learners import LEARNERS
from metajax.nn import Identity
from metajax.tasks import disease_prior
from metajax.training import TrainState, fit, init_state
from metajax.types import Learner, PyTree, TaskSource, TaskSpec

SUITE = "prior_fitted"
HELD_OUT = 128
# What may differ between the commands that train one network.
FREE = ("mode", "minutes", "families", "tables", "shots", "repeats", "data_dir", "results")
# Most support rows, columns: the ranges that a shape stands for.
ROWS, COLUMNS = ((8, 16), (32, 64)), ((3, 16), (17, 48))


@dataclasses.dataclass(frozen=True)
class Flags:
    """A prior-fitted network for disease tables, trained on synthetic tables only."""

    preset: Literal["smoke", "full", "large"] = "full"
    """smoke: a tiny network, few steps; full: 17 minutes on two cores; large: for a GPU."""
    mode: Literal["train", "evaluate", "tabulate"] = "train"
    """train; or evaluate network.npz on real tables, against other models; or only tabulate anew
    what was evaluated."""
    steps: int = 1600
    """Outer steps, above 0; the rate of learning falls over all of them."""
    minutes: float = 28.0
    """Stop after so many minutes of this command, above 0; the next one goes on."""
    tasks_per_step: int = 16
    """Diseases a step."""
    steps_per_call: int = 10
    """Steps with one shape of table, above 0."""
    score_every: int = 200
    """Steps between two scores, a multiple of steps_per_call."""
    lr: float = 2e-3
    """Largest step size of Adam, above 0."""
    width: int = 32
    """Of the tokens."""
    blocks: int = 3
    """Blocks of the network."""
    heads: int = 2
    """Of every attention."""
    task_axis: str = "auto"
    """How the tasks of a step are laid out: vmap, scan, chunk:n, auto, measure."""
    seed: int = 0
    """Of the network and of the training tasks, 0 or more."""
    families: tuple[str, ...] = real_tables.FAMILIES
    """evaluate: the families of tables."""
    tables: int = 40
    """evaluate: the most tables of a family, above 0."""
    shots: tuple[int, ...] = (8, 16, 32, 64)
    """evaluate: labelled rows, 4 or more."""
    repeats: int = 5
    """evaluate: draws of every table, support size and kind of draw, above 0."""
    data_dir: str | None = None
    """evaluate: folder of the real data (default: METAJAX_DATA); absent files are downloaded."""
    results: str = "results"
    """Where the curve, the network and the tables go."""


SMOKE = Flags(
    preset="smoke", steps=8, tasks_per_step=4, steps_per_call=2, score_every=4, width=8, blocks=1,
    heads=1, families=("sklearn_tables",), shots=(8,), repeats=1,
)  # fmt: skip
LARGE = Flags(
    preset="large", steps=9200, tasks_per_step=32, lr=1e-3, width=96, blocks=6, heads=4
)
PRESETS = {"full": Flags(), "large": LARGE, "smoke": SMOKE}


def optimizer(flags: Flags) -> optax.GradientTransformation:
    """The outer optimiser."""
    warm = min(100, flags.steps // 2)
    rate = optax.warmup_cosine_decay_schedule(0.0, flags.lr, warm, flags.steps, 0.02 * flags.lr)
    adam = optax.adamw(rate, b2=0.98, weight_decay=1e-4)
    return optax.chain(optax.clip_by_global_norm(1.0), adam)


def fixed(config: dict) -> dict:
    """What all commands that train one network must agree on."""
    return {name: value for name, value in config.items() if name not in FREE}


def definition(parts: Sequence[TaskSource], held_out: TaskSource) -> dict[str, Any]:
    """What else decides the network, JSON: the tasks, and what JAX is told that changes numbers."""
    told = describe.text(([part.sample for part in parts], held_out.sample, HELD_OUT))
    return {"tasks": hashlib.sha256(told.encode()).hexdigest()[:12], "jax": precision.unusual()}


def as_arrays(state: TrainState) -> TrainState:
    """The state with its key as numbers, which a checkpoint holds."""
    return state._replace(key=jax.random.key_data(state.key))


def sources(flags: Flags) -> tuple[list[TaskSource], TaskSource]:
    """The prior in every shape that is trained on, and the held-out tasks, of all sizes."""
    if flags.preset == "smoke":
        small = disease_prior(shots=(4, 8), queries=8, columns=8)
        return [small], small
    shapes = itertools.product(ROWS, COLUMNS)
    trained = [
        disease_prior(shots=rows, least_columns=least, columns=most)
        for rows, (least, most) in shapes
    ]
    return trained, disease_prior()


def network(flags: Flags, spec: TaskSpec) -> Learner:
    """The network that the flags describe, on columns as they come."""
    sizes = {"width": flags.width, "blocks": flags.blocks, "heads": flags.heads}
    return LEARNERS["pfn"](spec, Identity(), **sizes)


def named(params: PyTree) -> dict[str, np.ndarray]:
    """The arrays of a network as network.npz names them."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in leaves
    }


def save_network(path: Path, params: PyTree) -> None:
    """Writes a network's arrays to an npz file, whole or not at all."""
    np.savez_compressed(stream := io.BytesIO(), **named(params))
    disk.write(path, stream.getvalue())


def load_network(path: Path, like: PyTree) -> PyTree:
    """The network of an npz file.

    Args:
      path: the file.
      like: a network of the same size.

    Raises:
      ValueError: for a file of a network of another size.
      DataError: for another file, or a damaged one.
    """
    wanted = named(like)
    found = reading.arrays(path, list(wanted))
    for name, array in found.items():
        if array.shape != wanted[name].shape:
            raise ValueError(
                f"{path} holds a network of another size: {name} is {array.shape}, "
                f"{wanted[name].shape} by the flags"
            )
    leaves = [jnp.asarray(found[name]) for name in wanted]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def run(flags: Flags, folder: Path, console: Console) -> None:
    """Trains from the newest checkpoint on, scoring and saving every `score_every` steps."""
    began = time.monotonic()
    parts, held_out = sources(flags)
    learner = network(flags, held_out.spec)
    chosen, key = optimizer(flags), jax.random.key(flags.seed)
    state = init_state(learner, parts[0], chosen, key)
    manager = checkpoints.open_manager(folder / "checkpoints")
    config = fixed(dataclasses.asdict(flags)) | {"definition": definition(parts, held_out)}
    found, curve = checkpoints.restore(manager, as_arrays(state)), []
    if found is not None:
        if fixed(found.meta["config"]) != config:
            raise ValueError(f"{folder} holds a run with other flags: {found.meta['config']}")
        state = found.tree._replace(key=jax.random.wrap_key_data(found.tree.key))
        curve = found.meta["curve"]
    before = curve[-1]["seconds"] if curve else 0.0

    def score(losses: list[float]) -> None:
        # Key 2017 is no run's: the same held-out diseases every time.
        scores = evaluate(
            learner, state.params, held_out, jax.random.key(2017), tasks=HELD_OUT, batch=32
        )
        row = {"step": int(state.step), "seconds": round(before + time.monotonic() - began, 1)}
        row["train_loss"] = float(np.mean(losses)) if losses else None
        row |= {name: float(np.nanmean(scores[name])) for name in ("log_loss", "auroc")}
        curve.append(row)
        told = "-" if not losses else f"{row['train_loss']:.4f}"
        console.print(
            f"step {row['step']}, {row['seconds']:.0f} s: training loss {told}, held out: log-loss "
            f"{row['log_loss']:.4f}, AUROC {row['auroc']:.4f}"
        )
        meta = {"config": config, "curve": curve}
        checkpoints.save(manager, row["step"], as_arrays(state), meta)
        save_network(folder / "network.npz", state.params)
        text = pd.DataFrame(curve).to_csv(index=False, float_format="%.6g", lineterminator="\n")
        disk.write(folder / "curve.csv", text)

    if not curve:
        score([])
    losses: list[float] = []
    while (step := int(state.step)) < flags.steps:
        # The part follows from the step: an interrupted run goes on with the same tasks.
        state = fit(
            learner, parts[step // flags.steps_per_call % len(parts)], chosen, key,
            steps=min(step + flags.steps_per_call, flags.steps),
            tasks_per_step=flags.tasks_per_step, steps_per_call=flags.steps_per_call,
            task_axis=flags.task_axis, state=state,
            on_call=lambda _, means, losses=losses: losses.append(means["loss"]),
        )  # fmt: skip
        late = time.monotonic() - began > 60 * flags.minutes
        if late or int(state.step) % flags.score_every == 0 or int(state.step) == flags.steps:
            score(losses)
            losses = []
        if late:
            return


def test(flags: Flags, folder: Path, console: Console) -> None:
    """Compares the network of a folder with other models on real tables.

    Raises:
      FileNotFoundError: if there is no network.
      ValueError: if it is of another size.
    """
    path = folder / "network.npz"
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}. Remedy: train it first, --mode=train")
    _, held_out = sources(flags)
    learner = network(flags, held_out.spec)
    like = init_state(learner, held_out, optimizer(flags), jax.random.key(0)).params
    predict = real_tables.in_context(learner, load_network(path, like))
    tables = real_tables.tables(flags.families, flags.tables, flags.data_dir)
    page = real_tables.compare(predict, tables, folder, flags.shots, flags.repeats, console.print)
    console.print(Markdown(page))


def tabulate(flags: Flags, folder: Path, console: Console) -> None:
    """Tabulates the scores of the last evaluation."""
    console.print(Markdown(real_tables.tabulate(folder)))


@surroundings.guarded
def main() -> int:
    """Trains, or goes on training; or evaluates; or tabulates."""
    flags = commands.parse(Flags, PRESETS, default="full")
    numbers = ("steps", "tasks_per_step", "steps_per_call", "score_every", "lr", "minutes", "width",
               "blocks", "heads", "tables", "repeats")  # fmt: skip
    limits.positive({name: getattr(flags, name) for name in numbers})
    limits.positive({"shots": max(flags.shots, default=None)})
    limits.seeds(flags.seed)
    if flags.score_every % flags.steps_per_call:
        return commands.fail("--score_every must be a multiple of --steps_per_call")
    if min(flags.shots, default=0) < 4:
        return commands.fail("--shots must be 4 or more")
    sweeps.keep_compiled()
    folder = commands.folder_of(flags, SUITE)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        {"train": run, "evaluate": test, "tabulate": tabulate}[flags.mode](flags, folder, Console())
    except (ValueError, OSError) as error:
        return commands.fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
