"""The Markdown page of a suite (a part of `metajax.tables`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from metajax.statistics import MIN_CLUSTERS
from metajax.tables.grids import Grid, Ranks, grids, overall
from metajax.tables.layout import FEW, SHOWN, cell, counts, footer, name_of, number, part
from metajax.tables.long import compare
from metajax.tables.published import Line
from metajax.tables.records import Run, groups, mixed_sources

HEADROOM = "benchmark shots metric ceiling better_mean headroom low high tasks".split()
BOLD = (
    "Bold: the best, and every learner whose paired 95 % interval of the difference from it holds "
    "0 (not corrected for their number)."
)
COUNTS = "tasks / seeds / undefined"
VERDICT = "this family cannot rank meta-learners"


def markdown(
    table: pd.DataFrame,
    runs: Sequence[Run],
    *,
    metrics: Sequence[str] = SHOWN,
    meta: Sequence[str] = (),
    headroom: pd.DataFrame | None = None,
    published: Sequence[Line] = (),
    made: Sequence[Grid] | None = None,
    figures: bool = False,
) -> str:
    """Write a suite's tables: learners by benchmark and shots, then one per benchmark and metric.

    Args:
      table: what `long_table` gave.
      runs: the runs it was made of.
      metrics: which metrics to show, in this order; learners are sorted by the first.
      meta: names of the meta-learners; the best of them is compared with all others, paired.
      headroom: the suite's adaptation headroom, with the columns `HEADROOM`; None if not measured.
      published: numbers of papers and ours, as `published.lines` gives them.
      made: what `grids` gave for these metrics; None: made here.
      figures: name the figures that lie beside the page.

    Returns:
      The page; the same text for the same records.

    Raises:
      ValueError: if none of the metrics was measured, or `headroom` lacks a column.
    """
    made = grids(table, runs, metrics) if made is None else made
    out = [f"# {', '.join(sorted({grid.suite for grid in made}))}"]
    where = list(dict.fromkeys((grid.suite, grid.benchmark) for grid in made))
    if len(where) > 1:
        out += ["", "## All benchmarks", "", *_wide(made)]
    if figures:
        out += ["", "![Learning curves](learning_curves.svg)", "",
                "![Average ranks with critical difference](critical_difference.svg)"]  # fmt: skip
    for suite, benchmark in where:
        rows = part(table, suite, benchmark)
        members = [r for r in runs if r.config["suite"] == suite]
        members = [r for r in members if r.config["benchmark"] == benchmark]
        own = [grid for grid in made if (grid.suite, grid.benchmark) == (suite, benchmark)]
        out += ["", f"## {benchmark}"]
        for grid in own:
            out += ["", *_grid(grid)]
        out += ["", BOLD, *footer(rows, members, [grid.metric for grid in own])]
        if mixed := mixed_sources(members):
            out += ["- Made by different versions of " + "; ".join(
                f"{file} ({', '.join(learners)})" for file, learners in mixed.items()
            ) + ": these rows may not be comparable; `--again` runs what is out of date anew."]
        if meta:
            out += _differences(members, benchmark, own[0].learners, meta, own[0].metric)
        if mine := [line for line in published if line.benchmark == benchmark]:
            out += _published(mine)
    out = [line if line.startswith("![") else _harmless(line) for line in out]
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


def _shown(grid: Grid, learner: str, shots: int) -> str:
    """One cell, empty if the learner was not tested there."""
    if (learner, shots) not in grid.cells:
        return ""
    row = grid.cells[learner, shots]
    mean, ends = cell(row["mean"], row["low"], row["high"], row["interval"], metric=grid.metric)
    return f"**{mean}**{ends}" if (learner, shots) in grid.bold else mean + ends


def _rank(ranks: Ranks, learner: str) -> str:
    value = ranks.mean.get(learner, np.nan)
    return "–" if np.isnan(value) else f"{value:.1f}"


def tests(ranks: Ranks) -> str:
    """What Friedman and Nemenyi say, as a sentence."""
    if ranks.friedman is None:
        return f"{FEW}." if ranks.tested < MIN_CLUSTERS else ""
    return (
        f"Ranks: Friedman p = {ranks.friedman:.2g} over {ranks.tested} clusters; average ranks "
        f"that differ by less than {ranks.difference:.2f} are not told apart (Nemenyi, 5 % over "
        "all pairs)."
    )


def _grid(grid: Grid) -> list[str]:
    """One metric's table, and the line on p-values."""
    head = [f"{name_of(grid.metric)}: learner", *(f"k = {s}" for s in grid.shots), "average rank",
            *["p (Holm)"] * bool(grid.pvalues), COUNTS]  # fmt: skip
    out = _line(head) + _line(["---"] * len(head))
    for learner in grid.learners:
        cells = [_shown(grid, learner, s) for s in grid.shots] + [_rank(grid.ranks, learner)]
        if grid.pvalues:
            p = grid.pvalues.get(learner, np.nan)
            cells.append("best" if learner == grid.best else "–" if np.isnan(p) else f"{p:.2g}")
        out += _line([learner, *cells, counts(grid.cells, learner)])
    said = f"p: Wilcoxon on cluster means, averaged over k, against {grid.best}; Holm."
    return [*out, "", *[said] * bool(grid.pvalues), *filter(None, [tests(grid.ranks)])]


def _wide(made: Sequence[Grid]) -> list[str]:
    """Each benchmark's first metric: learners by benchmark and shots."""
    first = {(grid.suite, grid.benchmark): grid for grid in reversed(made)}
    own, ranks = [first[key] for key in sorted(first)], overall(made)
    head = [f"{grid.benchmark}, {name_of(grid.metric)}, k = {s}" for grid in own
            for s in grid.shots]  # fmt: skip
    out = _line(["learner", *head, "average rank"]) + _line(["---"] * (2 + len(head)))
    for learner in by_rank(own, ranks):
        cells = [_shown(grid, learner, s) for grid in own for s in grid.shots]
        out += _line([learner, *cells, _rank(ranks, learner)])
    return [*out, "", "Average ranks are over all clusters of all benchmarks, for learners that "
            "have them all.", tests(ranks)]  # fmt: skip


def by_rank(own: Sequence[Grid], ranks: Ranks) -> list[str]:
    """The learners of several benchmarks: ranked ones first, best rank first."""
    names = {name for grid in own for name in grid.learners}
    return sorted(names, key=lambda n: (ranks.mean.get(n, np.inf), n))


def _published(lines: Sequence[Line]) -> list[str]:
    """Numbers of papers beside ours."""
    head = ["metric", "method", "k", "published", "source", "reproduced", "within the interval",
            "what differs"]  # fmt: skip
    out = ["", "Published numbers (trust: as marked in the source column) and ours:", "",
           *_line(head), *_line(["---"] * len(head))]  # fmt: skip
    for line in lines:
        ours = "".join(cell(line.mean, line.low, line.high, sign=line.sign))
        out += _line([
            name_of(line.metric), line.method, line.shots, number(line.published, line.sign),
            line.source, ours if np.isfinite(line.mean) else "not reproduced", line.within,
            line.differs,
        ])  # fmt: skip
    return out


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
    texts = [str(c).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ") for c in cells]
    return ["| " + " | ".join(texts) + " |"]


def _harmless(line: str) -> str:
    """A line in which names of tasks, learners and benchmarks open no tag, code or link."""
    return line.replace("<", "&lt;").replace("`", "\\`").replace("](", "]\\(")
