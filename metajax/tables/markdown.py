"""The Markdown page of a suite (a part of `metajax.tables`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from metajax.tables.layout import (
    FEW,
    SHOWN,
    benchmarks,
    best,
    cell,
    footer,
    name_of,
    number,
    order,
    part,
    ranking,
    shown,
)  # fmt: skip
from metajax.tables.long import compare
from metajax.tables.records import Run, groups

HEADROOM = "benchmark shots metric ceiling better_mean headroom low high tasks".split()
VERDICT = "this family cannot rank meta-learners"


def markdown(
    table: pd.DataFrame,
    runs: Sequence[Run],
    *,
    metrics: Sequence[str] = SHOWN,
    meta: Sequence[str] = (),
    headroom: pd.DataFrame | None = None,
) -> str:
    """Write a suite's tables: one per benchmark and metric, learners by shots.

    Args:
      table: what `long_table` gave.
      runs: the runs it was made of.
      metrics: which metrics to show, in this order; learners are sorted by the first.
      meta: names of the meta-learners; the best of them is compared with all others, paired.
      headroom: the suite's adaptation headroom, with the columns `HEADROOM`; None if not measured.

    Returns:
      The page; the same text for the same records.

    Raises:
      ValueError: if none of the metrics was measured, or `headroom` lacks a column.
    """
    out = [f"# {', '.join(sorted({suite for suite, _ in benchmarks(runs)}))}"]
    for suite, benchmark in benchmarks(runs):
        rows = part(table, suite, benchmark)
        members = [r for r in runs if r.config["suite"] == suite]
        members = [r for r in members if r.config["benchmark"] == benchmark]
        if not (present := shown(rows, metrics)):
            raise ValueError(f"no run of {benchmark} has any of {', '.join(metrics)}")
        out += ["", f"## {benchmark}"]
        learners = order(rows, present[0])
        for metric in present:
            out += ["", *_grid(rows, members, (suite, benchmark), learners, metric)]
        out += ["", *footer(rows, members, present)]
        if meta:
            out += _differences(members, benchmark, learners, meta, present[0])
    if headroom is not None:
        out += ["", headroom_markdown(headroom).rstrip()]
    return "\n".join(out) + "\n"


def headroom_markdown(frame: pd.DataFrame) -> str:
    """Write the table of adaptation headroom and what follows from it.

    Args:
      frame: columns `HEADROOM`; one row per benchmark, shots, metric and ceiling.

    Returns:
      A Markdown section. A benchmark is judged at each number of shots by the larger of its
      ceilings: unless that interval lies above 0 it cannot rank meta-learners.

    Raises:
      ValueError: if a column is missing.
    """
    if lacking := [c for c in HEADROOM if c not in frame.columns]:
        raise ValueError(f"the headroom table lacks the column {', '.join(lacking)}")
    ceilings = sorted(frame.ceiling.unique())
    out = ["## Adaptation headroom", ""]
    out += _line(["benchmark", "k", "metric", "best without adaptation", *ceilings, "tasks"])
    out += _line(["---"] * (5 + len(ceilings)))
    cannot = []
    for (benchmark, shots, metric), rows in frame.groupby(["benchmark", "shots", "metric"]):
        by = rows.drop_duplicates("ceiling").set_index("ceiling")
        cells = ["".join(cell(*by.loc[c, ["headroom", "low", "high"]], sign=True))
                 if c in by.index else "–" for c in ceilings]  # fmt: skip
        base = number(by.better_mean.iloc[0])
        out += _line([benchmark, shots, name_of(metric), base, *cells, by.tasks.iloc[0]])
        # No headroom measured at all is no headroom shown.
        top = rows.loc[rows.headroom.idxmax()] if rows.headroom.notna().any() else None
        if top is None or not top.low > 0:
            cannot.append(f"- {benchmark}, k = {shots} ({name_of(metric)}): {VERDICT}.")
    out += ["", "Gain of labels of the target task beyond the better of pooled zero-label and "
            "target-only models, 95 % intervals."]  # fmt: skip
    return "\n".join([*out, *([""] if cannot else []), *cannot]) + "\n"


def _grid(
    rows: pd.DataFrame, runs: Sequence[Run], where: tuple[str, str], learners: list[str],
    metric: str,
) -> list[str]:  # fmt: skip
    """One metric's table, and the line on p-values."""
    rows = rows[rows.metric == metric]
    shots, top = sorted(set(rows.shots)), best(rows, metric)
    ranks, pvalues, first = ranking(runs, where, metric)
    head = [f"{name_of(metric)}: learner", *(f"k = {s}" for s in shots), "average rank"]
    out = _line(head + ["p (Holm)"] * bool(pvalues))
    out += _line(["---"] * (len(head) + bool(pvalues)))
    at = rows.set_index(["learner", "shots"])
    for learner in learners:
        cells = []
        for s in shots:
            if (learner, s) not in at.index:
                cells.append("")
                continue
            row = at.loc[(learner, s)]
            mean, ends = cell(row["mean"], row["low"], row["high"], row["interval"])
            cells.append(f"**{mean}**{ends}" if row["mean"] == top[s] else mean + ends)
        rank = ranks.get(learner, np.nan)
        cells.append("–" if np.isnan(rank) else f"{rank:.1f}")
        if pvalues:
            p = pvalues.get(learner, np.nan)
            cells.append("best" if learner == first else "–" if np.isnan(p) else f"{p:.2g}")
        out += _line([learner, *cells])
    said = f"p: Wilcoxon on cluster means, averaged over k, against {first}; Holm."
    return [*out, "", said if pvalues else f"{FEW}."]


def _differences(
    runs: Sequence[Run], benchmark: str, learners: list[str], meta: Sequence[str], metric: str
) -> list[str]:
    """The best meta-learner minus everything that is none, paired."""
    lost = {name for (*_, name), seeds in groups(runs).items()
            if any(run.result["status"] == "diverged" for run in seeds)}  # fmt: skip
    ours = [n for n in learners if n.split(" (")[0] in meta and n not in lost]
    rivals = [n for n in learners if n.split(" (")[0] not in meta and n not in lost]
    if not ours or not rivals:
        return []
    found, unpaired = [], []
    for rival in rivals:
        try:
            found.append(compare(runs, benchmark, ours[0], [rival], metric))
        except ValueError:  # not on the same episodes: said, not compared
            unpaired.append(rival)
    said = f"{name_of(metric)}; paired, 95 % intervals, not corrected for their number"
    out = ["", f"Best meta-learner, {ours[0]} (chosen on these very scores), minus the models that "
           f"do not meta-learn ({said}):"]  # fmt: skip
    if found:
        rows = pd.concat(found)
        shots = sorted(set(rows.shots))
        out += ["", *_line(["minus", *(f"k = {s}" for s in shots)])]
        out += _line(["---"] * (1 + len(shots)))
        at = rows.set_index(["rival", "shots"])
        for rival in dict.fromkeys(rows.rival):
            out += _line([rival, *("".join(cell(*at.loc[(rival, s), ["mean", "low", "high"]],
                                                sign=True)) if (rival, s) in at.index else ""
                                   for s in shots)])  # fmt: skip
    return out + ["", f"Not on the same episodes: {', '.join(unpaired)}."] * bool(unpaired)


def _line(cells: Sequence[object]) -> list[str]:
    """One line of a Markdown table; a bar in a name must not end its cell."""
    return ["| " + " | ".join(str(c).replace("|", "\\|").replace("\n", " ") for c in cells) + " |"]
