"""The leaderboards, the scores behind the scatter, and published numbers, as HTML and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from metajax.config import HOST_BASELINES
from metajax.learners import BASELINES, META_LEARNERS
from metajax.tables.grids import Grid, Ranks
from metajax.tables.layout import LOWER_IS_BETTER, cell, counts, name_of, number
from metajax.tables.markdown import COUNTS, by_rank, tests
from metajax.tables.published import Line
from metajax.tables.records import Run
from metajax.tables.scores import shots_of, task_scores

KINDS = {"meta": "meta-learners", "trained": "trained baselines", "host": "scikit-learn baselines",
         "other": "others"}  # fmt: skip
MOST_ROWS = 150  # of a metric that is not the benchmark's first
MOST_SCORES = 60_000  # numbers behind the scatter


def kind_of(learner: str) -> str:
    """Return what a learner of the table is: a key of `KINDS`."""
    name = learner.split(" (")[0]
    kinds = (("meta", META_LEARNERS), ("trained", BASELINES), ("host", HOST_BASELINES))
    return next((kind for kind, names in kinds if name in names), "other")


def _shown(grid: Grid, learner: str, shots: int) -> str:
    row = grid.cells.get((learner, shots))
    if row is None:
        return ""
    mean, ends = cell(row["mean"], row["low"], row["high"], row["interval"], metric=grid.metric)
    mean = f"<b>{escape(mean)}</b>" if (learner, shots) in grid.bold else escape(mean)
    return f"{mean}<i>{escape(ends)}</i>" if ends else mean


def _rank(ranks: Ranks, learner: str) -> str:
    value = ranks.mean.get(learner, np.nan)
    return "–" if np.isnan(value) else f"{value:.1f}"


def _board(caption: str, head: Sequence[tuple[str, str]], rows: Sequence[tuple[str, list]]) -> str:
    """A table whose heads say with which order they begin."""
    top = "".join(f'<th scope="col" data-best="{best}">{escape(name)}</th>' for name, best in head)
    body = "\n".join(
        f'<tr data-kind="{kind_of(name)}"><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{text}</td>" for text in cells)
        + "</tr>"
        for name, cells in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table class="board"><caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _best(metric: str) -> str:
    return "ascending" if metric in LOWER_IS_BETTER else "descending"


def overview(firsts: Sequence[Grid], ranks: Ranks) -> str:
    """Write the board of all benchmarks, each with its first metric."""
    head = [("learner", "ascending"), ("average rank", "ascending")]
    head += [(f"{g.benchmark}, {name_of(g.metric)}, k = {k}", _best(g.metric))
             for g in firsts for k in g.shots]  # fmt: skip
    rows = [(name, [_rank(ranks, name), *(_shown(g, name, k) for g in firsts for k in g.shots)])
            for name in by_rank(firsts, ranks)[: 2 * MOST_ROWS]]  # fmt: skip
    said = f'<p class="note">{escape(tests(ranks))}</p>'
    return f'<div class="overview">{_board("All benchmarks", head, rows)}{said}</div>'


def board(grid: Grid, first: bool) -> str:
    """Write one metric's board."""
    head = [("learner", "ascending"), *((f"k = {k}", _best(grid.metric)) for k in grid.shots),
            ("average rank", "ascending"), *[("p (Holm)", "ascending")] * bool(grid.pvalues),
            (COUNTS, "descending")]  # fmt: skip
    rows = []
    learners = grid.learners if first else grid.learners[:MOST_ROWS]
    for name in learners:
        cells = [_shown(grid, name, k) for k in grid.shots] + [_rank(grid.ranks, name)]
        if grid.pvalues:
            p = grid.pvalues.get(name, np.nan)
            cells.append("best" if name == grid.best else "–" if np.isnan(p) else f"{p:.2g}")
        rows.append((name, [*cells, counts(grid.cells, name)]))
    left = len(grid.learners) - len(learners)
    said = tests(grid.ranks)
    if grid.pvalues:
        said = f"p: Wilcoxon on cluster means against {grid.best}. {said}"
    if left:
        said += f" {left} further learners: table.csv."
    caption = f"{grid.benchmark}: {name_of(grid.metric)}"
    return (
        f'<div class="boardbox" data-benchmark="{escape(grid.benchmark)}" data-metric="'
        f'{escape(grid.metric)}" data-first="{int(first)}"><h3>{escape(caption)}</h3>'
        f'{_board(caption, head, rows)}<p class="note">{escape(said)}</p></div>'
    )


def filters(made: Sequence[Grid]) -> str:
    """Write the form that filters the boards; hidden until its script runs."""

    def options(values: Sequence[tuple[str, str]]) -> str:
        return "".join(f'<option value="{escape(v)}">{escape(text)}</option>' for v, text in values)

    names = list(dict.fromkeys(grid.benchmark for grid in made))
    metrics = list(dict.fromkeys(grid.metric for grid in made))
    kinds = {kind_of(name) for grid in made for name in grid.learners}
    parts = {
        "benchmark": options([("", "all"), *((name, name) for name in names)]),
        "metric": options([("", "each benchmark's first"), *((m, name_of(m)) for m in metrics)]),
        "kind": options([("", "all"), *((k, t) for k, t in KINDS.items() if k in kinds)]),
    }
    fields = "".join(f'<label>{name}<select id="{name}">{text}</select></label>'
                     for name, text in parts.items())  # fmt: skip
    return (
        f'<form id="filter" class="tools" role="search" aria-label="Filter the leaderboard" hidden>'
        f'{fields}<label>learner contains<input id="learner" type="search" autocomplete="off">'
        '</label><output id="count" aria-live="polite"></output></form>'
    )


def scatter_data(
    firsts: Sequence[Grid], seeds: dict[tuple[str, str], dict[str, list[Run]]]
) -> tuple[str, str]:
    """Gather the mean of every task, for the scatter of two learners.

    Args:
      firsts: the first grid of every benchmark.
      seeds: the runs of every learner, by (suite, benchmark).

    Returns:
      JSON that can stand in a script element; what was left out to keep the page small.
    """
    out, left, budget = [], 0, MOST_SCORES // max(len(firsts), 1)
    for grid in firsts:
        own = seeds[grid.suite, grid.benchmark]
        alive = [n for n in grid.learners if n in grid.columns]
        if len(alive) < 2:
            continue
        named = [run.result["tasks"] for n in alive for run in own[n] if run.result.get("tasks")]
        titles = named[0] if named else []
        shots = shots_of(own[alive[0]])
        first = task_scores(own[alive[0]], grid.metric, shots[0]).tasks
        room = max(2, budget // max(len(shots) * len(first), 1))
        left += max(0, len(alive) - room)
        scores = [[_tasks(own[n], grid.metric, k, first) for k in shots] for n in alive[:room]]
        names = [str(titles[t]) if t < len(titles) else f"task {t}" for t in first.tolist()]
        out.append({
            "benchmark": grid.benchmark, "metric": name_of(grid.metric), "shots": shots,
            "lower": grid.metric in LOWER_IS_BETTER, "learners": alive[:room], "tasks": names,
            "scores": scores,
        })  # fmt: skip
    text = json.dumps(out, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    said = f"The {left} learners with the lowest scores are left out here." if left else ""
    return text, said


def _tasks(runs: Sequence[Run], metric: str, shots: int, tasks: np.ndarray) -> list[float | None]:
    found = task_scores(runs, metric, shots)
    at = {int(t): float(m) for t, m in zip(found.tasks, found.mean, strict=True)}
    values = [at.get(int(t), np.nan) for t in tasks]
    return [float(f"{v:.4g}") if np.isfinite(v) else None for v in values]


def published(lines: Sequence[Line]) -> str:
    """Write the numbers of papers beside ours."""
    head = ("benchmark", "metric", "method", "k", "published", "source", "reproduced",
            "within the interval", "what differs")  # fmt: skip
    top = "".join(f'<th scope="col">{name}</th>' for name in head)
    body = []
    for line in lines:
        ours = "".join(cell(line.mean, line.low, line.high, sign=line.sign))
        cells: list[Any] = [
            line.benchmark, name_of(line.metric), line.method, line.shots,
            number(line.published, line.sign), line.source,
            ours if np.isfinite(line.mean) else "not reproduced", line.within, line.differs,
        ]  # fmt: skip
        body.append("<tr>" + "".join(f"<td>{escape(str(c))}</td>" for c in cells) + "</tr>")
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Published numbers"><table>'
        f"<thead><tr>{top}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )
