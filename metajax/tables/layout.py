"""What Markdown and the HTML page share: names, cells, order, ranks, footers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from metajax.statistics import MIN_CLUSTERS
from metajax.tables.records import Run

NAMES = {
    "auroc": "AUROC", "auprc": "AUPRC", "brier": "Brier", "ece": "ECE", "mse": "MSE",
    "spearman": "Spearman", "log_loss": "log-loss", "auprc_gain": "AUPRC minus prevalence",
}  # fmt: skip
SHOWN = ("accuracy", "auroc", "auprc", "brier", "ece", "spearman", "mse")
LOWER_IS_BETTER = ("brier", "ece", "log_loss", "mse")
IN_UNITS = ("mse",)  # of the target: three decimals may be none of its digits
FEW = f"fewer than {MIN_CLUSTERS} clusters: no p-values"
# What the simulated coverage of the intervals is about, and what it is not (tests/test_statistics).
_PATIENTS = (
    "They cover other query patients and other supports drawn from these patients, not a wholly "
    "new sample of patients, and not the seeds."
)
_NAMED_TASKS = 12  # more are counted, not named


def name_of(metric: str) -> str:
    """Return a metric's name as papers write it."""
    return NAMES.get(metric, metric.replace("_", " "))


def number(value: float, sign: bool = False) -> str:
    """Write a score with three decimals and no leading zero; a dash if undefined."""
    if not np.isfinite(value):
        return "–"
    text = f"{abs(value):.3f}"
    minus = "-" if value < 0 and float(text) else "+" if sign else ""
    return minus + (text[1:] if text.startswith("0.") else text)


def amount(value: float) -> str:
    """Write a number that has a unit: three digits, whatever its size; a dash if undefined."""
    if not np.isfinite(value) or 1e-3 <= abs(value) < 1e5 or value == 0:
        return number(value)
    return f"{value:.2e}"


def cell(
    mean: float, low: float, high: float, kind: str = "", sign: bool = False, metric: str = ""
) -> tuple[str, str]:
    """Return a cell's mean and interval as text: ``(".743", " [.701, .785]")``."""
    if kind.startswith("diverged"):
        return kind, ""
    write = amount if metric in IN_UNITS else partial(number, sign=sign)
    if not np.isfinite(low):
        return write(mean), ""
    return write(mean), f" [{write(low)}, {write(high)}]"


def benchmarks(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return the (suite, benchmark) pairs of the runs, in alphabetical order."""
    return sorted({(run.config["suite"], run.config["benchmark"]) for run in runs})


def part(table: pd.DataFrame, suite: str, benchmark: str) -> pd.DataFrame:
    """Return the long table's rows of one benchmark, those of its single tasks left out."""
    return table[(table.suite == suite) & (table.benchmark == benchmark)]


def shown(table: pd.DataFrame, metrics: Sequence[str]) -> list[str]:
    """Return those of the wanted metrics that a benchmark has, in the wanted order.

    Accuracy is one of N-way benchmarks only (balanced draws and no others): where classes are
    unequal it says little.
    """
    ways = set(table.draw) - {""} == {"balanced"}
    have = set(table.metric) - (set() if ways else {"accuracy"})
    return [metric for metric in metrics if metric in have]


def order(table: pd.DataFrame, metric: str) -> list[str]:
    """Return a benchmark's learners, best mean over all shots first, diverged ones last."""
    by = table[table.metric == metric].groupby("learner")["mean"]
    mean = by.agg(lambda x: x.mean(skipna=False))
    mean = mean if metric in LOWER_IS_BETTER else -mean
    rest = sorted(set(table.learner) - set(mean.index))
    return sorted(mean.index, key=lambda n: (np.isnan(mean[n]), mean[n], n)) + rest


def counts(cells: dict[tuple[str, int], dict], learner: str) -> str:
    """Return a learner's tasks, seeds and undefined episodes of all shots: ``3 / 3 / 0``."""
    own = [row for (name, _), row in cells.items() if name == learner]
    if not own:
        return "–"
    most = {key: max(row[key] for row in own) for key in ("tasks", "seeds")}
    return f"{most['tasks']} / {most['seeds']} / {sum(row['undefined'] for row in own)}"


def footer(table: pd.DataFrame, runs: Sequence[Run], metrics: Sequence[str]) -> list[str]:
    """Say what stands behind the numbers of one benchmark.

    Args:
      table: the benchmark's rows of the long table.
      runs: its runs.
      metrics: the metrics shown.

    Returns:
      Sentences: tasks, clusters, seeds, protocol, kind of interval, draws, undefined episodes.
    """
    ids = sorted({int(t) for run in runs for t in run.scores.get("task", ())})
    titles = next((run.result["tasks"] for run in runs if run.result.get("tasks")), [])
    tasks = f"{len(ids)} tasks" if len(ids) != 1 else "1 task"
    if titles and ids and len(ids) <= _NAMED_TASKS:
        tasks += f" ({', '.join(str(titles[i]) for i in ids)})"
    clusters = len({int(c) for run in runs for c in run.scores.get("cluster", ())})
    kinds = {k for k in table.interval if not k.startswith("diverged")} - {"none"}
    kind = {"clusters": "bootstrap over clusters"}
    said = "; ".join(sorted(kind.get(k, f"bootstrap over {k}") for k in kinds))
    rows = table[table.metric.isin(metrics)]
    draws = rows[rows.draw != ""].groupby("metric")["draw"].first()
    lines = [
        f"{tasks}, {_count(clusters, 'cluster')}, {_span(table.seeds)} a learner; protocol: "
        f"{', '.join(sorted({p for p in table.protocol if p})) or 'not stated'}.",
        f"Intervals: 95 %, {said}." if said else "No intervals: no replicates were kept.",
        *[_PATIENTS] * any("patients" in k for k in kinds),
        "Draws: " + ", ".join(f"{name_of(m)} {draws[m]}" for m in metrics if m in draws) + ".",
    ]
    prevalence = table[table.metric == "prevalence"]
    if len(prevalence) and prevalence["mean"].notna().any():
        draw = prevalence.draw[prevalence.draw != ""].iloc[0]
        lines.append(f"Prevalence of the queries ({draw} draws): "
                     f"{number(prevalence['mean'].mean())}.")  # fmt: skip
    # Undefined is a property of the query labels, hence the same for all learners and seeds.
    each = (rows.undefined / rows.seeds).groupby([rows.metric, rows.shots]).max()
    undefined = each.groupby("metric").sum()
    told = [f"{name_of(m)} {undefined[m]:.0f}" for m in metrics if undefined.get(m, 0)]
    lines.append(f"Undefined episodes (of all k), left out for all: {', '.join(told) or 'none'}.")
    failed = rows.groupby(["learner", "shots", "draw"])["nonfinite"].max().groupby("learner").sum()
    if failed.any():
        told = [f"{n} {c}" for n, c in failed.items() if c]
        lines.append(f"Non-finite outputs, scored as chance: {', '.join(told)}.")
    tested = [run for run in runs if run.result["status"] != "diverged"]
    if len({repr(run.result.get("episodes_digest")) for run in tested}) > 1:
        lines.append("Not all learners were scored on the same episodes.")
    return lines


def _count(n: int, noun: str) -> str:
    """Say how many, in the right number."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _span(seeds: pd.Series) -> str:
    """Say how many seeds, a range where learners differ."""
    low, high = int(seeds.min()), int(seeds.max())
    return _count(low, "seed") if low == high else f"{low} to {high} seeds"
