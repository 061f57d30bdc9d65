"""What a sweep costs beside its runs, and how listing and report grow with them.

    python scripts/benchmark_sweeps.py     15 minutes on two cores, no data needed

The smoke sweep of disease_prediction grown to 200 tiny runs, with one worker process and with two,
with and without copies in Weights & Biases; `runs.py ls` of 5,000 runs; the report of 1,000. The
runs to list and to report are the committed ones of disease_prediction under further seeds. Two
rounds, the cases in turn; programs are compiled before. Writes results/speed/sweeps-cpu.csv, one
line a measurement.
"""

from __future__ import annotations

import os

os.environ["JAX_PLATFORMS"] = "cpu"  # also of the scripts that are called

from metajax import surroundings

surroundings.check()

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pandas as pd
import yaml

from metajax import disk, records

ROOT = Path(__file__).parent.parent
RUNS, ROUNDS = 200, 2
SMOKE = ROOT / "experiments" / "sweeps" / "smoke" / "disease_prediction.yaml"
RATES = [0.03, 0.1, 0.3, 1.0]


def call(*command: object) -> float:
    """Seconds that a script takes, from start to end."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-500:]}")
    return time.perf_counter() - began


def sweep(folder: Path, workers: int, wandb: str) -> dict[str, float]:
    """A sweep of tiny runs: all of it; given again, when nothing is left to run; its programs."""
    folder.mkdir()
    content, learners = yaml.safe_load(SMOKE.read_text()), ["maml", "anil"]
    seeds = list(range(RUNS // (len(learners) * len(RATES))))
    more = {"learner": learners, "inner.lr": RATES, "seed": seeds}
    content["parameters"] |= {name: {"values": values} for name, values in more.items()}
    (file := folder / "sweep.yaml").write_text(yaml.safe_dump(content))
    command = ("scripts/sweep.py", file, f"--workers={workers}", f"--wandb={wandb}")
    command += (f"--results={folder}",)
    seconds, again = call(*command), call(*command)
    runs = list((folder / "smoke-disease_prediction" / "runs").glob("*/result.json"))
    if len(runs) != RUNS:
        raise RuntimeError(f"{len(runs)} runs instead of {RUNS}")
    results = [json.loads(path.read_text()) for path in runs]
    # Every run states what its whole program took.
    programs = sum(one["seconds"]["total"] / one["runs_in_program"] for one in results) / workers
    overhead = (seconds - again - programs) / programs
    return {"seconds": seconds, "again_s": again, "programs_s": programs, "overhead": overhead}


def multiplied(folder: Path, count: int) -> Path:
    """So many runs: links to the committed ones, under further seeds."""
    every = sorted((ROOT / "results" / "disease_prediction" / "runs").iterdir())
    pairs = ((turn, run) for turn in itertools.count() for run in every)
    for turn, run in itertools.islice(pairs, count):
        home = folder / "disease_prediction" / "runs" / f"{run.name}-{turn}"
        shutil.copytree(run, home, copy_function=os.symlink)
        config = json.loads((home / "config.json").read_text())
        records.write_json(home / "config.json", config | {"seed": config["seed"] + 3 * turn})
    return folder


def measured(base: Path) -> Iterator[dict[str, Any]]:
    """One line a measurement."""
    many, some = multiplied(base / "many", 5_000), multiplied(base / "some", 1_000)
    for _ in range(ROUNDS):
        seconds = call("scripts/runs.py", f"--results={many}", "ls")
        yield {"what": "runs.py ls", "runs": 5_000, "seconds": seconds}
        seconds = call("scripts/report.py", "disease_prediction", f"--results={some}")
        size = (some / "disease_prediction" / "report.html").stat().st_size / 1e6
        yield {"what": "report.py", "runs": 1_000, "seconds": seconds, "megabytes": size}
    cases = list(itertools.product((1, 2), ("disabled", "offline")))
    for workers in (1, 2):  # to compile
        sweep(base / f"first-{workers}", workers, "disabled")
    for turn in range(ROUNDS):
        for workers, wandb in cases[:: -1 if turn % 2 else 1]:
            case = {"what": "sweep", "runs": RUNS, "workers": workers, "wandb": wandb}
            yield case | sweep(base / f"{turn}-{workers}-{wandb}", workers, wandb)


@surroundings.guarded
def main() -> int:
    """Measures and writes the table."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False).parse_args()
    told, rows = records.environment(()), []
    with tempfile.TemporaryDirectory() as place:
        # Its own cache: programs of before would make the first round faster than the others.
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(place) / "compiled")
        for row in measured(Path(place)):
            print(row, flush=True)
            rows.append(row)
    table = pd.DataFrame(rows).assign(
        device=told["hardware"]["cpu"], cores=os.cpu_count(), jax=jax.__version__,
        commit=(told["commit"] or "")[:12], modified=told["modified"],
    )  # fmt: skip
    path = ROOT / "results" / "speed" / "sweeps-cpu.csv"
    disk.write(path, table.to_csv(index=False, float_format="%.4g", lineterminator="\n"))
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
