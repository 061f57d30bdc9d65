"""Do the kernel learners learn? Mixture kernel and DKT on FS-Mol's fingerprints, beside the papers.

    python experiments/fsmol.py --data-dir=DIR           about 20 minutes on one core
    python experiments/fsmol.py --preset=smoke           a minute, its own folder

A check, short of a reproduction: the published methods read graphs and descriptors and train on a
GPU, ours read ECFP4 counts only. 16 episodes a step, 16, 32 or 64 labelled molecules, at most 256
others to be judged; Adam. Meta-validation chooses among the network after every 100 steps. Test:
157 assays, 3 draws of each, the support in the class ratio of the assay; area under the
precision-recall curve minus the queries' share of actives.

73 test assays share one panel of 157 compounds, which meta-training helps most; so panel and other
assays have rows of their own. Differences are paired with the authors' figures of the same assays;
intervals by bootstrap over sets of molecules, on the panel (one set) over assays. Writes
results/fsmol/table.md and table.csv.

Expected: on the panel near the published, elsewhere below; the table says how far.
"""

from __future__ import annotations

from metajax import surroundings

surroundings.check()

import dataclasses
import sys
from pathlib import Path
from typing import Any, Literal

import drug_discovery
import numpy as np
import pandas as pd
from rich.console import Console

from metajax import commands, disk, runs, suites, sweeps
from metajax.config import Encoder, Evaluate, RunConfig, Train, resolved
from metajax.datasets.drug import fsmol
from metajax.statistics import cluster_bootstrap, cluster_means
from metajax.tables import Run, same_settings, write_page

SUITE, BENCHMARK = "fsmol", "fsmol_published"
# Ours, and the published method that it is compared with.
METHODS = {"mixture_kernel": "ADKF-IFT", "dkt": "DKT"}
PANEL, SIDES = "kinase panel", ("ours", "gain")


@dataclasses.dataclass(frozen=True)
class Flags:
    """Mixture kernel and DKT on FS-Mol's fingerprints, beside the papers."""

    preset: Literal["smoke", "full"] = "full"
    """smoke: a few steps of a narrow network; full: as above."""
    methods: tuple[str, ...] = tuple(METHODS)
    """mixture_kernel, dkt."""
    shots: tuple[int, ...] = (16, 64)
    """Support sizes that are tested, of 16, 32 and 64."""
    train: Train = Train(steps=1000, tasks_per_step=16, lr=0.001)
    """Meta-training."""
    encoder: Encoder = Encoder((1024, 512, 256), name="fingerprint")
    """The encoder."""
    evaluate: Evaluate = Evaluate(episodes=3, validation_episodes=39)
    """Testing and model selection."""
    seed: int = 0
    """0 or more."""
    data_dir: str | None = None
    """Folder of the real data (default: METAJAX_DATA); absent files are downloaded."""
    results: str = "results"
    """Where records and tables go."""
    again: bool = False
    """Make finished runs anew whose source files have changed since; otherwise they are named."""


SMOKE = Flags(
    preset="smoke", train=Train(steps=4, steps_per_call=2, tasks_per_step=2, lr=0.001),
    encoder=Encoder((16,), name="fingerprint"), shots=(16,), evaluate=Evaluate(1, 4),
)  # fmt: skip
PRESETS = {"full": Flags(), "smoke": SMOKE}


def published(data_dir: str | None) -> pd.DataFrame:
    """The authors' scores of every test assay: task, method, shots, gain."""
    found = fsmol.published(data_dir)
    found = found[found.method.isin(METHODS.values())]
    found = found.assign(shots=found.support, gain=found.auprc - found.frac_pos_test)
    return found[["task", "method", "shots", "gain"]].sort_values(["method", "shots", "task"])


def gains(run: Run) -> pd.DataFrame:
    """A line per assay and support size: our mean gain over the draws in the assay's ratio."""
    scores = run.scores
    frame = pd.DataFrame({name: scores[name] for name in ("task", "shots", "cluster")})
    frame["ours"] = scores["auprc"] - scores["prevalence"]
    frame = frame[scores["draw"] == 0].groupby(["task", "shots"]).mean().reset_index()
    return frame.assign(task=np.array(run.result["tasks"])[frame.task])


def table(runs: list[Run], theirs: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Tabulates the records beside the authors' figures of the same assays."""
    rows, lines = [], [
        "# fsmol",
        "",
        "Area under the precision-recall curve minus the queries' share of actives; means over "
        "sets of molecules, on the panel (one set) over its assays. Difference: ours minus "
        "published, paired; 95 % intervals by bootstrap over the same. *Reached*: the interval "
        "includes 0 or lies above. In brackets the plain means over assays, which the papers "
        "print: there the panel counts 73 times.",
        "",
        "| method | beside | support | assays | number (sets) | ours | published | difference | |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    runs = sorted(runs, key=lambda run: list(METHODS).index(run.config["learner"]))
    for run in runs:
        learner = run.config["learner"]
        other = METHODS[learner]
        paired = gains(run).merge(theirs[theirs.method == other], on=["task", "shots"])
        panel = paired.cluster == paired.cluster.mode()[0]  # the commonest set of molecules
        for shots in sorted(paired.shots.unique()):
            for name, kept in (("all", panel | ~panel), (PANEL, panel), ("other", ~panel)):
                mine = paired[kept & (paired.shots == shots)]
                if mine.empty:
                    continue
                unit = mine.task if name == PANEL else mine.cluster
                unit = np.unique(unit, return_inverse=True)[1]
                told = [cluster_means(mine[side].to_numpy(), unit).mean() for side in SIDES]
                gap = (mine.ours - mine.gain).to_numpy()
                mean, low, high, *_ = cluster_bootstrap(gap, unit, np.random.default_rng(0))
                verdict = "reached" if high >= 0 else "not reached"
                plain = [mine[side].mean() for side in SIDES]
                sets = mine.cluster.nunique()
                cells = [f"{one:.3f} ({two:.3f})" for one, two in zip(told, plain, strict=True)]
                lines.append(
                    f"| {learner} | {other} | {shots} | {name} | {len(mine)} ({sets}) | "
                    f"{' | '.join(cells)} | {mean:+.3f} [{low:+.3f}, {high:+.3f}] | {verdict} |"
                )
                row = (SUITE, BENCHMARK, learner, other, shots, name, len(mine), sets)
                rows.append((*row, *told, *plain, mean, low, high, verdict))
    lines += ["", "Runs:", ""]
    for run in runs:
        config, minutes = run.config, run.result["seconds"]["total"] / 60
        lines.append(
            f"- {config['learner']}, seed {config['seed']}: {config['train']['steps']} steps, the "
            f"network after {run.result['steps'][0]} chosen by meta-validation; {minutes:.0f} "
            "minutes in all"
        )
    columns = "suite benchmark learner beside shots assays n sets ours published ours_by_assay"
    columns = [*columns.split(), *"published_by_assay difference low high verdict".split()]
    return pd.DataFrame(rows, columns=columns), "\n".join(lines) + "\n"


def write_tables(folder: Path, runs: list[Run]) -> str:
    """Writes table.md and table.csv; returns the page. scripts/table.py calls it, too."""
    same_settings(runs, ("definition", "jax"))  # of which the page says nothing
    return write_page(folder, *table(runs, pd.read_csv(folder / "published.csv")))


def as_today(config: RunConfig) -> tuple[RunConfig, dict[str, Any]]:
    """Configuration and definition of a run, for scripts/migrate_records.py."""
    entry = suites.find(drug_discovery.ENTRIES, config.benchmark)
    return resolved(config, strict=True), suites.definition(entry)


@surroundings.guarded
def main() -> int:
    """Runs what is missing and writes the table."""
    flags = commands.parse(Flags, PRESETS, default="full")
    unknown = set(flags.methods) - set(METHODS)
    if unknown:
        return commands.fail(f"--methods: unknown {', '.join(sorted(unknown))}; see --help")
    folder = commands.folder_of(flags, SUITE)
    console = Console()
    sweeps.keep_compiled()
    try:
        shared = {"train": flags.train, "encoder": flags.encoder, "evaluate": flags.evaluate}
        configs = [
            resolved(
                RunConfig(SUITE, BENCHMARK, method, flags.seed, flags.shots, **shared), strict=True
            )
            for method in flags.methods
        ]
        commands.make_folder(folder)
        found = published(flags.data_dir)
        text = found.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        disk.write(folder / "published.csv", text)
        benchmark = drug_discovery.build(BENCHMARK, flags.shots, flags.data_dir)
        for config in configs:
            runs.run_many([config], benchmark, folder, console.print, again=flags.again)
    except (ValueError, OSError) as error:
        return commands.fail(error)
    return commands.finish(console, folder, write_tables)


if __name__ == "__main__":
    sys.exit(main())
