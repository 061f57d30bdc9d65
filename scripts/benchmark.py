"""How fast the trainer is: its workloads, against PyTorch, and what its choices cost.

    python scripts/benchmark.py                          steady state of all workloads, 5 minutes
    python scripts/benchmark.py --peer=torch             against PyTorch (extra: bench), 40 minutes
    python scripts/benchmark.py --what=layouts           task axes, convolution forms, precisions
    python scripts/benchmark.py --what=curves            inner steps 1-64, tasks 1-1024
    python scripts/benchmark.py --what=fused             seeds in one program against one by one
    python scripts/benchmark.py --what=processes         the same, every training a process
    python scripts/benchmark.py --what=real --data-dir=DIR  real Omniglot against random images

Every time is a median of rounds through `metajax.training.fit`, compilation apart. Ratios are
medians of interleaved pairs, with their quartiles. Writes results/speed/<what>-<device>.csv, one
line a measurement, with hardware, versions and commit.
"""

from __future__ import annotations

import os

os.environ.setdefault("JAX_ENABLE_COMPILATION_CACHE", "false")  # compile times are of cold starts

from metajax import surroundings

surroundings.check()

import dataclasses
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import tyro
from workloads import (
    WORKLOADS,
    Trainer,
    described,
    episodes,
    gigaflops,
    matmul_peak,
    meta_gradient,
)

from metajax import commands, disk, layout, limits, records, suites, training
from metajax.learners import LEARNERS
from metajax.nn import MLP
from metajax.suites import Entry
from metajax.tasks.decoding import strokes
from metajax.trials import fit_many
from metajax.types import TaskSpec

What = Literal["workloads", "layouts", "curves", "fused", "processes", "real"]
PARITY = 1e-8  # the largest difference of meta-gradients in float64, relative to the largest entry


@dataclass(frozen=True)
class Flags:
    """How fast the trainer is."""

    what: What = "workloads"
    """What is measured."""
    peer: Literal["none", "torch"] = "none"
    """Against whom (workloads only)."""
    only: tuple[str, ...] = ()
    """Names of workloads; none: all."""
    rounds: int = 7
    """Rounds, of which the median counts."""
    seconds: float = 1.0
    """The least a round of the peer takes."""
    form: Literal["auto", "matmul", "lax"] = "auto"
    """Of the convolutions, see `metajax.nn.convolve` (workloads only)."""
    naive: bool = False
    """Also time the plain form: vmap over tasks, lax.conv, one outer step a call."""
    devices: int = 0
    """CPU devices the tasks are split over; 0: one per core."""
    data_dir: str | None = None
    """Folder of the real data (real only; default: METAJAX_DATA)."""
    results: str = "results"
    """Where the table goes, in its folder speed/."""


def hardware() -> dict[str, Any]:
    """What every line says of where it was measured."""
    told = records.environment(())
    kind = told["device"]["kind"] if jax.default_backend() != "cpu" else told["hardware"]["cpu"]
    return {
        "device": kind, "devices": jax.device_count(), "cores": os.cpu_count(),
        "jax": jax.__version__, "commit": (told["commit"] or "")[:12],
        "modified": told["modified"],
    }  # fmt: skip


def quartiles(values: Any) -> tuple[float, float, float]:
    """Median, lower and upper quartile."""
    return tuple(float(np.quantile(values, q)) for q in (0.5, 0.25, 0.75))


def split_over(tasks: int):
    """The mesh over all devices if they divide the tasks, as in a run."""
    return layout.device_mesh(tasks)


class Peer:
    """The PyTorch process: started once, asked by messages, idle while we are timed."""

    def __init__(self) -> None:
        import torch_peer

        # Threads that spin while they wait would be timed on our side.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=torch_peer.serve, args=(theirs,), daemon=True)
        self.process.start()

    def ask(self, *request: Any) -> Any:
        """The answer, or None if that request failed there (its reason is printed)."""
        self.connection.send(request)
        status, answer = self.connection.recv()
        if status == "ok":
            return answer
        print(f"  peer: {request[0]} {request[1:2]}: {answer}", file=sys.stderr)
        return None


def against(peer: Peer, flags: Flags, trainer: Trainer, params: Any) -> dict[str, Any]:
    """Checks parity in float64, finds the peer's fastest form and times it in turn with ours."""
    workload = trainer.workload
    device = "cpu" if jax.default_backend() == "cpu" else "cuda"
    with jax.enable_x64(True):
        data = episodes(workload, np.float64).data
        exact = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        ours = jax.device_get(meta_gradient(workload, exact, data))
    arrays = [data.support.x, data.support.y, data.query.x, data.query.y]
    arrays = [np.asarray(array) for array in arrays]
    told = described(workload) | {"device": device}
    versions = peer.ask("load", told, jax.device_get(params), arrays)
    best, seconds, parity, compile_s, forms = "", np.inf, 0.0, {}, []
    for form in peer.ask("forms"):
        theirs = peer.ask("gradient", form)
        warm = None if theirs is None else peer.ask("warm", form)
        if warm is None:
            continue
        largest = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(ours))
        gaps = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), ours, theirs)
        gap = max(jax.tree.leaves(gaps)) / largest
        if not gap < PARITY:
            raise ArithmeticError(f"{workload.name}, {form}: meta-gradients differ by {gap:.1e}")
        parity, compile_s[form] = max(parity, gap), warm
        once = peer.ask("time", form, 1)[0]
        found = float(np.median(peer.ask("time", form, max(3, int(flags.seconds / once)))))
        forms.append(f"{form} {1e3 * found:.4g}")
        print(f"  {form}: {1e3 * found:.3f} ms", file=sys.stderr)
        if found < seconds:
            best, seconds = form, found
    pairs = []
    for _ in range(flags.rounds):
        mine = trainer.round()
        count = max(1, int(flags.seconds / seconds))
        pairs.append((mine, float(np.median(peer.ask("time", best, count)))))
    mine, theirs = np.array(pairs).T
    ratio = quartiles(theirs / mine)
    return {
        "ms": 1e3 * np.median(mine), "peer": f"torch {versions['torch']}", "peer_form": best,
        "peer_forms_ms": "; ".join(forms), "peer_ms": 1e3 * np.median(theirs),
        "ratio": ratio[0], "ratio_low": ratio[1], "ratio_high": ratio[2], "parity": parity,
        "peer_warm_s": compile_s[best], "peer_peak_mb": peer.ask("memory") / 1e6,
    }  # fmt: skip


def workloads(flags: Flags) -> Iterator[dict[str, Any]]:
    """Steady state, compile time, memory and share of the peak of every workload."""
    peer = Peer() if flags.peer == "torch" else None
    for name in flags.only or WORKLOADS:
        workload = WORKLOADS[name]
        peak = matmul_peak()
        encoder = {"form": flags.form} if workload.model == "conv4" else {}
        trainer = Trainer(workload, mesh=split_over(workload.tasks), **encoder)
        row = {"workload": name, "tasks": workload.tasks} | encoder | trainer.compiled()
        trainer.round()
        times = quartiles([trainer.round() for _ in range(flags.rounds)])
        row |= {"ms": 1e3 * times[0], "ms_low": 1e3 * times[1], "ms_high": 1e3 * times[2]}
        if peer is not None:
            fresh = Trainer(workload, **encoder)
            fresh.round()
            row |= against(peer, flags, trainer, fresh.state.params)
        work = gigaflops(workload)
        row |= {"gflop": work, "peak_gflops": max(peak, matmul_peak())}
        row["share"] = work / (row["ms"] / 1e3) / row["peak_gflops"]
        if flags.naive:
            form = {"form": "lax"} if workload.model == "conv4" else {}
            plain = Trainer(workload, task_axis="vmap", steps=1, **form)
            plain.round()
            row["naive_ms"] = 1e3 * float(np.median([plain.round() for _ in range(3)]))
        yield shown(row)
    if peer is not None:
        peer.connection.send(("close",))


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """Prints a line as soon as it is measured."""
    cells = {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()}
    print(" ".join(f"{k}={v}" for k, v in cells.items()), flush=True)
    return row


def layouts(flags: Flags) -> Iterator[dict[str, Any]]:
    """Every way to lay out the tasks, with every form and precision of the convolutions."""
    cpu = jax.default_backend() == "cpu"
    for name in flags.only or WORKLOADS:
        workload = WORKLOADS[name]
        sizes = {n for n in (8, 128, workload.tasks) if workload.tasks % n == 0}
        sizes |= {1} if cpu else set()  # one by one leaves an accelerator idle
        encoders: list[dict[str, Any]] = [{}]
        if workload.model == "conv4":
            encoders = [{"form": form} for form in ("matmul", "lax")]
            encoders += [] if cpu else [one | {"dtype": jnp.bfloat16} for one in encoders]
        for size in sorted(sizes, reverse=True):
            if workload.model == "mlp" and size == 1:
                continue  # a program of tiny operations, never the choice
            for encoder in encoders:
                axis = layout.strategy(size, workload.tasks)
                if cpu and encoder.get("form") == "lax" and size > 1:
                    continue  # a grouped convolution: minutes a step on CPUs
                trainer = Trainer(workload, task_axis=axis, **encoder)
                row = {"workload": name, "form": encoder.get("form", "")}
                row["precision"] = "bfloat16" if "dtype" in encoder else "float32"
                try:
                    row |= trainer.compiled()
                    trainer.round()
                    row["ms"] = 1e3 * float(
                        np.median([trainer.round() for _ in range(flags.rounds)])
                    )
                except jax.errors.JaxRuntimeError as error:  # out of memory is a finding
                    row |= {"task_axis": axis, "failed": str(error).splitlines()[0][:60]}
                yield shown(row)


def curves(flags: Flags) -> Iterator[dict[str, Any]]:
    """Time and temporary memory over inner steps and over tasks."""
    for name, axis in (("sinusoid-25", "auto"), ("omniglot-1-step", "auto")):
        base = WORKLOADS[name]
        most = 64 if base.model == "conv4" else 1024
        changes = [
            {"inner_steps": n, "remat": remat}
            for n in (1, 2, 4, 8, 16, 32, 64)
            for remat in (False, True)
        ]
        changes += [{"tasks": n} for n in (1, 4, 16, 64, 256, 1024) if n <= most]
        for change in changes:
            small = {"tasks": 2} if base.model == "conv4" and "tasks" not in change else {}
            workload = dataclasses.replace(base, steps=1, **small | change)
            trainer = Trainer(workload, task_axis=axis, mesh=split_over(workload.tasks))
            row = {"workload": name, "tasks": workload.tasks, "inner_steps": workload.inner_steps}
            row["remat"] = workload.remat
            row |= trainer.compiled()
            trainer.round()
            times = quartiles([1e3 * trainer.round() for _ in range(flags.rounds)])
            yield shown(row | dict(zip(("ms", "ms_low", "ms_high"), times, strict=True)))


def _trial(hyper: dict[str, Any]) -> training.Trial:
    """A trial of the sinusoid workload, by its inner rate."""
    workload = WORKLOADS["sinusoid-25"]
    learner = LEARNERS["maml"](
        TaskSpec(1, "regression"), MLP(workload.widths), inner_lr=hyper["inner_lr"],
        inner_steps=1,
    )  # fmt: skip
    return training.Trial(learner, optax.adam(1e-3))


def fused(flags: Flags) -> Iterator[dict[str, Any]]:
    """Seeds of sinusoid MAML in one program, against as many trainings one after the other."""
    workload = WORKLOADS["sinusoid-25"]
    source, length = episodes(workload), 200
    single = Trainer(workload, steps=length)
    single.round()
    for seeds in (1, 8, 16, 64):
        keys = jnp.stack([jax.random.key(i) for i in range(seeds)])
        hypers = {"inner_lr": jnp.full(seeds, workload.inner_lr)}
        mesh = layout.device_mesh(seeds) if seeds > 1 else None
        states = None

        def together(keys=keys, hypers=hypers, mesh=mesh) -> float:
            nonlocal states
            done = 0 if states is None else int(states.step[0])
            began = time.perf_counter()
            states = fit_many(
                _trial, source, hypers, keys, steps=done + length, mesh=mesh, states=states,
                tasks_per_step=workload.tasks, steps_per_call=length,
            )  # fmt: skip
            jax.block_until_ready(states)
            return time.perf_counter() - began

        first = together()
        pairs = []
        for _ in range(flags.rounds):
            alone = sum(single.round() * length for _ in range(min(seeds, 16)))
            pairs.append((together(), alone * seeds / min(seeds, 16)))
        mine, theirs = np.array(pairs).T
        ratio = quartiles(theirs / mine)
        row = {"seeds": seeds, "outer_steps": length, "first_call_s": first}
        row |= {"fused_s": np.median(mine), "one_by_one_s": np.median(theirs), "ratio": ratio[0]}
        row |= {"ratio_low": ratio[1], "ratio_high": ratio[2]}
        yield shown(row)


def _train_seeds(seeds: range, steps: int, cache: str) -> None:
    """What one process does: start, compile (or find it compiled), train these seeds together."""
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    layout.use_cpu_devices()
    workload = WORKLOADS["sinusoid-25"]
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    hypers = {"inner_lr": jnp.full(len(seeds), workload.inner_lr)}
    mesh = layout.device_mesh(len(seeds)) if len(seeds) > 1 else None
    states = fit_many(
        _trial, episodes(workload), hypers, keys, steps=steps, mesh=mesh, steps_per_call=1000,
        tasks_per_step=workload.tasks,
    )  # fmt: skip
    jax.block_until_ready(states)


def processes(flags: Flags) -> Iterator[dict[str, Any]]:
    """16 seeds as a user starts them: one process for all, against a process for each in turn."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as cache:

        def timed(seeds: range, steps: int) -> float:
            began = time.perf_counter()
            process = context.Process(target=_train_seeds, args=(seeds, steps, cache))
            process.start()
            process.join()
            if process.exitcode:
                raise RuntimeError(f"a training process ended with exit code {process.exitcode}")
            return time.perf_counter() - began

        timed(range(16), 1), timed(range(1), 1)  # fills the compilation cache for both
        for steps in (1_000, 10_000):
            fused_s = timed(range(16), steps)
            alone_s = sum(timed(range(seed, seed + 1), steps) for seed in range(16))
            row = {"seeds": 16, "outer_steps": steps, "one_process_s": fused_s}
            yield shown(row | {"sixteen_processes_s": alone_s, "ratio": alone_s / fused_s})


def real(flags: Flags) -> Iterator[dict[str, Any]]:
    """Training on Omniglot's drawings, sampled and decoded as in a run, against random images."""
    for name, shots in (("omniglot-1-step", 1), ("omniglot-5-steps", 1), ("protonet-5w5s", 5)):
        if flags.only and name not in flags.only:
            continue
        workload = WORKLOADS[name]
        entry = Entry(
            "omniglot", name="omniglot_5way", shots=(shots,), how="classes", queries=15,
            by_task=False, prepare=strokes,
        )  # fmt: skip
        source = suites.build((entry,), entry.name, (shots,), flags.data_dir).folds[0].train
        mesh = split_over(workload.tasks)
        sources = {"random": None, "drawings": source}
        trainers = {n: Trainer(workload, steps=3, mesh=mesh, source=s) for n, s in sources.items()}
        for trainer in trainers.values():
            trainer.round()
        times = [[one.round() for one in trainers.values()] for _ in range(flags.rounds)]
        mine, theirs = np.array(times).T
        ratio = quartiles(mine / theirs)
        row = {"workload": name, "tasks": workload.tasks, "random_ms": 1e3 * np.median(mine)}
        row |= {"drawings_ms": 1e3 * np.median(theirs), "speed": ratio[0]}
        yield shown(row | {"speed_low": ratio[1], "speed_high": ratio[2]})


MEASURES: dict[str, Callable[[Flags], Iterator[dict[str, Any]]]] = {
    "workloads": workloads, "layouts": layouts, "curves": curves, "fused": fused,
    "processes": processes, "real": real,
}  # fmt: skip


@surroundings.guarded
def main() -> int:
    """Measures and writes the table."""
    flags = tyro.cli(Flags, description=__doc__)
    unknown = set(flags.only) - set(WORKLOADS)
    if unknown:
        return commands.fail(f"--only knows {', '.join(WORKLOADS)}; got {', '.join(unknown)}")
    limits.positive({"rounds": flags.rounds})
    if os.environ.get("JAX_PLATFORMS", "cpu") == "cpu":
        layout.use_cpu_devices(flags.devices or None)
    place = hardware()
    folder = Path(flags.results) / "speed"
    folder.mkdir(parents=True, exist_ok=True)
    short = "cpu" if jax.default_backend() == "cpu" else place["device"].split()[1].lower()
    name = flags.what + ("-torch" if flags.peer == "torch" else "")
    path = folder / f"{name}-{short}.csv"
    rows = []
    for row in MEASURES[flags.what](flags):  # written line by line: what was measured stays
        rows.append(row | place)
        table = pd.DataFrame(rows)
        text = table.to_csv(index=False, float_format="%.5g", lineterminator="\n")
        disk.write(path, text)
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
