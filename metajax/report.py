"""One self-contained HTML page per suite: tables, learning curves, calibration (floor 7).

Nothing is fetched: figures are SVG inside the page. Everything that comes from a record is escaped.
The same records give the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from metajax.tables.layout import (
    LOWER_IS_BETTER,
    SHOWN,
    benchmarks,
    best,
    cell,
    footer,
    name_of,
    order,
    part,
    ranking,
    shown,
)  # fmt: skip
from metajax.tables.records import Run, groups

COLOURS = ("#2f7fc1", "#d9730d", "#2a9d6f", "#c0508f", "#8a7fd1", "#a58a00")
GREY = "#8b8f94"
INK = "#010203"  # replaced by the page's text colour, so that figures follow light and dark
LEAST = 10  # a calibration point stands for at least so many rows
STYLE = """
:root{color-scheme:light dark;--ink:#1c1e21;--page:#fff;--soft:#666b72;--line:#d9dce0}
@media(prefers-color-scheme:dark){:root{--ink:#e6e7e9;--page:#16181b;--soft:#a0a5ac;--line:#3a3e44}}
body{color:var(--ink);background:var(--page);font:16px/1.5 system-ui,sans-serif;margin:0 auto;
max-width:72rem;padding:1rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{border-bottom:1px solid var(--line);padding:.25rem .7rem;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
.i,.note,figcaption{color:var(--soft);font-size:.85rem}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr));gap:1rem}
figure{margin:0}svg{width:100%;height:auto}summary{cursor:pointer;margin:.5rem 0}
td.wrap{white-space:normal;text-align:left;overflow-wrap:anywhere}
"""
READING = """<p>Scores are means over tasks of the mean over each task's test episodes and over
seeds. The 95 % interval in brackets says how far the mean could be by chance. From 10 clusters on
it resamples clusters (tasks that share patients, molecules or a panel) and speaks for new ones.
Below 10 it resamples patients within these tasks: it says nothing of other hospitals or diseases,
and no p-value is given. Two learners whose intervals overlap may still differ, because their
episodes are the same: see the paired differences in the suite's table. The spread over seeds is
not in the interval. AUROC and AUPRC come from balanced draws; Brier, ECE and the calibration plot
from natural draws, where the support has the task's own prevalence.</p>"""


def report(table: pd.DataFrame, runs: Sequence[Run], title: str) -> str:
    """Write the HTML page of a suite.

    Args:
      table: what `tables.long_table` gave.
      runs: the runs it was made of.
      title: heading of the page, plain text.

    Returns:
      The page; the same bytes for the same records and the same matplotlib.

    Raises:
      ValueError: if a benchmark has none of the metrics that tables show.
    """
    body = []
    for number, (suite, benchmark) in enumerate(benchmarks(runs)):
        rows = part(table, suite, benchmark)
        own = [r for r in runs if (r.config["suite"], r.config["benchmark"]) == (suite, benchmark)]
        if not (metrics := shown(rows, SHOWN)):
            raise ValueError(f"no run of {benchmark} has any of {', '.join(SHOWN)}")
        learners = order(rows, metrics[0])
        chosen = highlighted(rows, learners, metrics[0])
        body.append(f"<h2>{escape(benchmark)}</h2>")
        body.append(_grid(rows, own, (suite, benchmark), learners, metrics[0]))
        body.append(f'<p class="note">{escape(" ".join(footer(rows, own, metrics)))}</p>')
        figures = [_curves(rows, learners, chosen, metrics[0]), _calibration(own, chosen)]
        pages = [_svg(figure, f"f{number}{i}", text)
                 for i, (figure, text) in enumerate(figures) if figure is not None]  # fmt: skip
        body.append(f'<div class="figures">{"".join(pages)}</div>')
        for metric in metrics[1:]:
            grid = _grid(rows, own, (suite, benchmark), learners, metric)
            body.append(f"<details><summary>{escape(name_of(metric))}</summary>{grid}</details>")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(body) + f"\n<h2>How to read this</h2>{READING}"
        f"\n<h2>Environment</h2>{_environment(runs)}\n</body></html>\n"
    )


def highlighted(rows: pd.DataFrame, learners: Sequence[str], metric: str) -> list[str]:
    """Choose the learners to draw in colour.

    Args:
      rows: a benchmark's rows of the long table.
      learners: its learners, best first.
      metric: the metric they are ordered by.

    Returns:
      The best three, the best logistic regression of the target alone, and the best pooled model.
    """
    means = rows[rows.metric == metric].groupby("learner")["mean"].count()
    alive = [name for name in learners if means.get(name, 0)]
    kinds = [[n for n in alive if n.startswith(kind)][:1] for kind in ("lr_", "pooled")]
    return list(dict.fromkeys(alive[:3] + sum(kinds, [])))


def _grid(
    rows: pd.DataFrame, runs: Sequence[Run], where: tuple[str, str], learners: Sequence[str],
    metric: str,
) -> str:  # fmt: skip
    """One metric's table."""
    rows = rows[rows.metric == metric]
    shots, top = sorted(set(rows.shots)), best(rows, metric)
    ranks, pvalues, first = ranking(runs, where, metric)
    head = [name_of(metric), *(f"k = {s}" for s in shots), "rank", *["p (Holm)"] * bool(pvalues)]
    lines = ["<tr>" + "".join(f"<th>{escape(h)}</th>" for h in head) + "</tr>"]
    at = rows.set_index(["learner", "shots"])
    for learner in learners:
        cells = [escape(learner)]
        for s in shots:
            if (learner, s) not in at.index:
                cells.append("")
                continue
            row = at.loc[(learner, s)]
            mean, ends = cell(row["mean"], row["low"], row["high"], row["interval"])
            mean = f"<b>{escape(mean)}</b>" if row["mean"] == top[s] else escape(mean)
            cells.append(f'{mean}<span class="i">{escape(ends)}</span>')
        rank = ranks.get(learner, np.nan)
        cells.append("–" if np.isnan(rank) else f"{rank:.1f}")
        if pvalues:
            p = pvalues.get(learner, np.nan)
            cells.append("best" if learner == first else "–" if np.isnan(p) else f"{p:.2g}")
        lines.append("<tr>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>")
    return '<div class="scroll"><table>' + "\n".join(lines) + "</table></div>"


def _axes(xlabel: str, ylabel: str) -> tuple[Figure, Any]:
    """Return an empty figure in the page's ink, on no background."""
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.set_xlabel(xlabel, color=INK)
    axes.set_ylabel(ylabel, color=INK)
    axes.tick_params(colors=INK, which="both")
    for side, spine in axes.spines.items():
        spine.set_color(INK)
        spine.set_visible(side in ("left", "bottom"))
    return figure, axes


def _curves(
    rows: pd.DataFrame, learners: Sequence[str], chosen: Sequence[str], metric: str
) -> tuple[Figure | None, str]:
    """Scores over shots: the chosen learners with intervals, all others in grey."""
    rows = rows[(rows.metric == metric) & rows["mean"].notna()]
    shots = sorted(set(rows.shots))
    if not shots:
        return None, ""
    figure, axes = _axes("labelled patients or rows, k", name_of(metric))
    rest = [name for name in learners if name not in chosen and name in set(rows.learner)]
    for i, name in enumerate(rest):
        one = rows[rows.learner == name]
        axes.plot(one.shots, one["mean"], color=GREY, lw=0.8, alpha=0.6, marker=".", ms=3,
                  label="others" if i == 0 else None)  # fmt: skip
    for i, (name, colour) in enumerate(zip(chosen, COLOURS, strict=False)):
        one = rows[rows.learner == name]
        x = one.shots * 1.03 ** (i - (len(chosen) - 1) / 2)  # side by side: intervals stay visible
        ends = np.maximum(0, [one["mean"] - one.low, one.high - one["mean"]])
        axes.errorbar(x, one["mean"], yerr=np.nan_to_num(ends), color=colour, marker="o", ms=4,
                      lw=1.5, elinewidth=1, label=name)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks(shots, [str(s) for s in shots])
    axes.minorticks_off()
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8, labelcolor=INK)
    better = "lower" if metric in LOWER_IS_BETTER else "higher"
    said = f"{name_of(metric)} by number of labels, with 95 % intervals; {better} is better."
    return figure, said


def _calibration(runs: Sequence[Run], chosen: Sequence[str]) -> tuple[Figure | None, str]:
    """How often class 1 came true by predicted probability, natural draws, largest k."""
    found = {name: seeds for (*_, name), seeds in groups(runs).items() if name in chosen}
    shots = {int(s) for seeds in found.values() for r in seeds
             for s in r.scores.get("calibration_shots", ())}  # fmt: skip
    if not shots:
        return None, ""
    k, drawn = max(shots), 0
    figure, axes = _axes("predicted probability", "observed frequency")
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls="--")
    for name, colour in zip(chosen, COLOURS, strict=False):
        parts = [r.scores["calibration"][r.scores["calibration_shots"] == k, 0].sum(axis=0)
                 for r in found.get(name, ()) if "calibration" in r.scores]  # fmt: skip
        sums = np.sum(parts, axis=0, dtype=np.float64) if parts else np.zeros((1, 3))
        sums = sums[sums[:, 2] >= LEAST]
        drawn += len(sums)
        if len(sums):
            axes.plot(sums[:, 0] / sums[:, 2], sums[:, 1] / sums[:, 2], color=colour, marker="o",
                      ms=4, lw=1.5, label=name)  # fmt: skip
    if not drawn:
        return None, ""
    axes.set(xlim=(0, 1), ylim=(0, 1))
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8, labelcolor=INK)
    said = f"Calibration at k = {k}, natural draws, all tasks and seeds together; bins with fewer "
    return figure, said + f"than {LEAST} rows are left out. The diagonal is perfect."


def _svg(figure: Figure, name: str, caption: str) -> str:
    """Draw a figure as SVG that can share a page with others."""
    target = io.StringIO()
    # parse_math: a dollar sign in a learner's name is no formula.
    settings = {"svg.hashsalt": "metajax", "svg.fonttype": "none", "text.parse_math": False}
    with matplotlib.rc_context(settings):
        for text in figure.findobj(lambda artist: hasattr(artist, "set_parse_math")):
            text.set_parse_math(False)
        figure.savefig(target, format="svg", metadata=dict.fromkeys(
            ("Date", "Creator", "Format", "Type")))  # fmt: skip
    svg = target.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1",
                                                              svg, count=1), count=1)  # fmt: skip
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)  # ids are unique in the page
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _environment(runs: Sequence[Run]) -> str:
    """What the runs say of where they were made; what differs between runs is listed."""
    seen: dict[str, list[str]] = {}

    def walk(value: Any, name: str) -> None:
        if isinstance(value, dict):
            for key in sorted(value):
                walk(value[key], f"{name}.{key}" if name else str(key))
        elif str(value) not in seen.setdefault(name, []):
            seen[name].append(str(value))

    for run in runs:
        walk(run.environment, "")
    seconds = [np.sum(list((r.result.get("seconds") or {}).values()), initial=0.0) for r in runs]
    lines = [("runs", str(len(runs))), ("seconds, all runs", f"{sum(seconds):.0f}")]
    for name, values in sorted(seen.items()):
        more = f" and {len(values) - 4} more" if len(values) > 4 else ""
        lines.append((name, ", ".join(sorted(values)[:4]) + more))
    cells = "\n".join(f'<tr><td>{escape(k)}</td><td class="wrap">{escape(v)}</td></tr>'
                      for k, v in lines)  # fmt: skip
    return f"<details><summary>{len(runs)} runs</summary><table>{cells}</table></details>"
