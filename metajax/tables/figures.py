"""Figures as SVG: learning curves and critical differences (a part of `metajax.tables`).

The same records give the same bytes with the same matplotlib; text stays text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from metajax.statistics import cliques
from metajax.tables.grids import Grid, Ranks, overall
from metajax.tables.layout import LOWER_IS_BETTER, name_of

# Told apart by colour-blind readers as well, and in print by their markers.
COLOURS = ("#2f7fc1", "#d9730d", "#2a9d6f", "#c0508f", "#8a7fd1", "#a58a00")
MARKERS = ("o", "s", "^", "D", "v", "P")
GREY = "#8b8f94"
INK = "#010203"  # replaced by the text colour around the figure, so that it follows light and dark
MOST = 40  # learners in one figure
LONGEST = 26  # letters of a name beside a rank
ALONE = ("<style>svg{color:#1c1e21;font-family:system-ui,sans-serif}"
         "@media(prefers-color-scheme:dark){svg{color:#e6e7e9}}</style>")  # fmt: skip


def highlighted(grid: Grid) -> list[str]:
    """Choose the learners to draw in colour.

    Args:
      grid: a benchmark's first metric.

    Returns:
      The best three, the best logistic regression of the target alone, and the best pooled model.
    """
    told = {name for (name, _), row in grid.cells.items() if np.isfinite(row["mean"])}
    alive = [name for name in grid.learners if name in told]
    kinds = [[n for n in alive if n.startswith(kind)][:1] for kind in ("lr_", "pooled")]
    return list(dict.fromkeys(alive[:3] + sum(kinds, [])))


def axes_in(figure: Figure, *place: int, xlabel: str = "", ylabel: str = "") -> Any:
    """Add axes in the page's ink, on no background."""
    axes = figure.add_subplot(*place)
    axes.patch.set_alpha(0)
    axes.set_xlabel(xlabel, color=INK)
    axes.set_ylabel(ylabel, color=INK)
    axes.tick_params(colors=INK, which="both")
    for side, spine in axes.spines.items():
        spine.set_color(INK)
        spine.set_visible(side in ("left", "bottom"))
    return axes


def new_figure(width: float = 6.0, height: float = 4.2) -> Figure:
    """Return an empty figure without a background."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0)
    return figure


def draw_curves(axes: Any, grid: Grid, chosen: Sequence[str]) -> None:
    """Draw scores over shots: chosen learners with intervals, the best of the others in grey.

    Args:
      axes: where to draw.
      grid: the metric and its benchmark.
      chosen: learners in colour, at most six.
    """

    def points(name: str) -> np.ndarray:
        rows = [(k, *(grid.cells[name, k][c] for c in ("mean", "low", "high")))
                for k in grid.shots if (name, k) in grid.cells]  # fmt: skip
        return np.array(rows, np.float64).reshape(-1, 4)

    for i, name in enumerate([n for n in grid.learners if n not in chosen][:MOST]):
        one = points(name)
        axes.plot(one[:, 0], one[:, 1], color=GREY, lw=0.8, alpha=0.6, marker=".", ms=3,
                  label="others" if i == 0 else None)  # fmt: skip
    for i, (name, colour, marker) in enumerate(zip(chosen, COLOURS, MARKERS, strict=False)):
        k, mean, low, high = points(name).T
        x = k * 1.03 ** (i - (len(chosen) - 1) / 2)  # side by side: intervals stay visible
        ends = np.nan_to_num(np.maximum(0, [mean - low, high - mean]))
        axes.errorbar(x, mean, yerr=ends, color=colour, marker=marker, ms=4, lw=1.5, elinewidth=1,
                      label=name)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks(grid.shots, [str(s) for s in grid.shots])
    axes.minorticks_off()


def curves_caption(grid: Grid) -> str:
    """Say what a learning curve shows."""
    more = len(grid.learners) - len(highlighted(grid)) - MOST
    hidden = f" {more} further learners are not drawn." if more > 0 else ""
    better = "lower" if grid.metric in LOWER_IS_BETTER else "higher"
    return (f"{name_of(grid.metric)} by number of labels, with 95 % intervals; {better} is "
            f"better.{hidden}")  # fmt: skip


def learning_curves(firsts: Sequence[Grid]) -> Figure:
    """Draw the learning curves of several benchmarks side by side."""
    columns = min(2, len(firsts))
    rows = -(-len(firsts) // columns)
    figure = new_figure(6 * columns, 4.2 * rows)
    for i, grid in enumerate(firsts):
        axes = axes_in(figure, rows, columns, i + 1, xlabel="labelled patients or rows, k",
                       ylabel=name_of(grid.metric))  # fmt: skip
        axes.set_title(grid.benchmark, color=INK, fontsize=11)
        draw_curves(axes, grid, highlighted(grid))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, frameon=False,
                    fontsize=7, labelcolor=INK)  # fmt: skip
    return figure


def draw_ranks(axes: Any, ranks: Ranks) -> None:
    """Draw average ranks on a line, bars joining learners that are not told apart.

    Args:
      axes: where to draw; its frame is removed.
      ranks: what `grids` or `overall` gave; only the best `MOST` are named.
    """
    place = sorted(ranks.mean.items(), key=lambda item: (item[1], item[0]))
    place = [(name, value) for name, value in place if np.isfinite(value)][:MOST]
    names, value = [name for name, _ in place], np.array([v for _, v in place])
    low, high = 1.0, max(2.0, float(np.ceil(value.max())))
    bars = cliques(value, ranks.difference) if ranks.difference else []
    half, step, gap = (len(names) + 1) // 2, 1.0, 0.45
    top = -1.0 - gap * len(bars)
    pad = 0.04 * (high - low)
    axes.set(xlim=(low - 0.75 * (high - low), high + 0.75 * (high - low)),
             ylim=(top - step * half - 0.3, 2.2 if ranks.difference else 1.2))  # fmt: skip
    axes.set_axis_off()
    ink = {"color": INK, "clip_on": False}
    axes.plot([low, high], [0, 0], lw=1, **ink)
    for tick in np.arange(low, high + 1, max(1, np.ceil((high - low) / 12))):
        axes.plot([tick, tick], [0, 0.25], lw=1, **ink)
        axes.text(tick, 0.4, f"{tick:.0f}", ha="center", va="bottom", fontsize=8, **ink)
    for i, (name, v) in enumerate(zip(names, value, strict=True)):
        left = i < half
        y = top - step * (i if left else len(names) - 1 - i)
        end = low - pad if left else high + pad
        axes.plot([v, v, end], [0, y, y], color=GREY, lw=0.8, clip_on=False)
        name = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
        label = f"{name}  {v:.1f}" if left else f"{v:.1f}  {name}"
        axes.text(end - pad / 2 if left else end + pad / 2, y, label, fontsize=8,
                  ha="right" if left else "left", va="center", **ink)  # fmt: skip
    for i, (first, last) in enumerate(bars):
        axes.plot(value[[first, last]], [-0.6 - gap * i] * 2, lw=3.5, solid_capstyle="round", **ink)
    if ranks.difference:
        reach = min(ranks.difference, high - low)
        axes.plot([low, low + reach], [1.5, 1.5], lw=1.5, marker="|", **ink)
        axes.text(low + reach / 2, 1.7, f"critical difference {ranks.difference:.2f}", ha="center",
                  va="bottom", fontsize=8, **ink)  # fmt: skip


def _height_of_bars(ranks: Ranks) -> float:
    """What the bars of a rank diagram add to its height, in inches."""
    if not ranks.difference:
        return 0.0
    value = np.sort([v for v in ranks.mean.values() if np.isfinite(v)])[:MOST]
    return 0.8 + 0.09 * max(0, len(cliques(value, ranks.difference)) - 12)


def ranks_figure(parts: Sequence[tuple[str, Ranks]]) -> Figure | None:
    """Draw one rank diagram under the other; None if nothing is ranked."""
    parts = [(title, ranks) for title, ranks in parts if len(ranks.mean) > 1]
    if not parts:
        return None
    heights = [1.4 + 0.2 * (min(len(ranks.mean), MOST) + 1) // 2 for _, ranks in parts]
    heights = [h + _height_of_bars(ranks) for h, (_, ranks) in zip(heights, parts, strict=True)]
    figure = new_figure(6.2, sum(heights))
    spec = figure.add_gridspec(len(parts), 1, height_ratios=heights)
    for i, (title, ranks) in enumerate(parts):
        axes = axes_in(figure, spec[i])
        draw_ranks(axes, ranks)
        if title:
            axes.set_title(title, color=INK, fontsize=11)
    return figure


def suite_figures(made: Sequence[Grid]) -> dict[str, str]:
    """Draw the two figures of a suite's table.

    Args:
      made: what `grids` gave.

    Returns:
      SVG files by name, that can stand alone in light and dark.
    """
    first = list({(g.suite, g.benchmark): g for g in reversed(made)}.values())[::-1]
    parts = [(f"{g.benchmark}, {name_of(g.metric)}", g.ranks) for g in first]
    parts = ([("all benchmarks", overall(made))] if len(first) > 1 else []) + parts
    found = {"learning_curves": learning_curves(first), "critical_difference": ranks_figure(parts)}
    out = {}
    for name, figure in found.items():
        if figure is not None:
            out[f"{name}.svg"] = standalone(figure, name.replace("_", " "))
    return out


def standalone(figure: Figure, label: str) -> str:
    """Write a figure as an SVG file, for light and dark; `label` as in `svg`."""
    text = svg(figure, "f", label)
    text = text.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    text = text.replace(">", f">{ALONE}", 1)
    return f"{text}\n<!-- matplotlib {matplotlib.__version__} -->\n"


def svg(figure: Figure, name: str, label: str) -> str:
    """Write a figure as SVG that can share a page with others.

    Args:
      figure: the figure.
      name: its ids begin with it.
      label: what it shows, for who cannot see it.

    Returns:
      An ``<svg>`` element that fills its place; ink is the text colour around it.
    """
    target = io.StringIO()
    # parse_math: a dollar sign in a learner's name is no formula.
    settings = {"svg.hashsalt": "metajax", "svg.fonttype": "none", "text.parse_math": False}
    with matplotlib.rc_context(settings):
        for text in figure.findobj(lambda artist: hasattr(artist, "set_parse_math")):
            text.set_parse_math(False)
        figure.savefig(target, format="svg", metadata=dict.fromkeys(
            ("Date", "Creator", "Format", "Type")))  # fmt: skip
    text = target.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    box = re.search(r'viewBox="([^"]*)"', text)
    body = _small(text[text.index(">") + 1 :])
    # Ids are unique in the page.
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", body)
    return f'<svg viewBox="{box[1] if box else ""}" role="img" aria-label="{escape(label)}">{body}'


def _small(body: str) -> str:
    """Leave out what only matplotlib reads: a third of the bytes shows the same."""
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", body, flags=re.S)
    used = set(re.findall(r"(?:href=\"#|url\(#)([^\")]*)", body))
    body = re.sub(r' id="([^"]*)"', lambda f: f[0] if f[1] in used else "", body)

    def tag(found: re.Match) -> str:
        text = re.sub(r"-?\d+\.\d{2,}", lambda f: f"{float(f[0]):.1f}".removesuffix(".0"), found[0])
        text = re.sub(r"font-family: [^;\"]*; | transform=\"rotate\(-0 [^\"]*\"", "", text)
        text = text.replace("xlink:href", "href").replace("; ", ";").replace(": ", ":")
        text = re.sub(r"\s*\n\s*", " ", text)
        return re.sub(r" ?\b([MLQCz])\b ?", r"\1", text) if text.startswith("<path") else text

    body = re.sub(r"<[^>]*>", tag, body)
    body = re.sub(r'<path d="[^"]*" style="fill:none;opacity:0"/>', "", body)
    body = re.sub(r">\s*\n\s*<", "><", body).strip()
    shorter = None
    while shorter != body:  # groups of one or none
        body, shorter = re.sub(r"<g>((?:<(?:path|use)[^>]*/>|<text[^>]*>[^<]*</text>)?)</g>", r"\1",
                               body), body  # fmt: skip
    return re.sub(r"<defs></defs>", "", body)
