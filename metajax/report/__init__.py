"""One self-contained HTML page per suite (floor 7).

Nothing is fetched: figures are SVG, style and script are inside the page, and without the script it
is whole but for sorting, filtering and the scatter. Everything that comes from a record is escaped.
The same records give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from importlib import resources
from pathlib import Path

import matplotlib
import pandas as pd

from metajax import disk, tables
from metajax.report import boards, facts, figures, provenance
from metajax.tables.figures import (
    INK,
    MOST,
    axes_in,
    curves_caption,
    draw_curves,
    highlighted,
    new_figure,
    ranks_figure,
    svg,
)
from metajax.tables.grids import Grid, Ranks, grids, overall
from metajax.tables.layout import SHOWN, footer, name_of, part
from metajax.tables.markdown import BOLD
from metajax.tables.published import Line
from metajax.tables.records import Run, groups

ROOM = 1_000_000  # bytes for figures
READING = """<p>Scores are means over tasks of the mean over each task's test episodes and over
seeds. The 95 % interval in brackets says how far the mean could be by chance. From 10 clusters on
it resamples clusters (the units that the data cards name) and speaks for new ones. Below 10 it
resamples patients within these tasks: it says nothing of other hospitals or diseases, and no
p-value is given. Two learners whose intervals overlap may still differ, because their episodes are
the same: bold marks the best and those whose <em>paired</em> difference from it may be 0. The
spread over seeds is not in the interval. Whether a metric is of balanced draws of the support, or
of natural ones, which have the task's own prevalence, is said below each leaderboard; calibration
and decision curves are of natural draws where there are any. In a rank diagram bars join learners
whose average ranks differ by less than the critical difference. A decision curve asks at which
threshold of probability a model is worth acting on: it should lie above treating all and treating
none.</p>"""


def write(
    folder: Path, runs: Sequence[Run], title: str | None = None,
    damaged: list[str] | None = None,
) -> Path:  # fmt: skip
    """Write ``report.html`` of a suite.

    Args:
      folder: ``results/<suite>``; kept predictions and ``../published.csv`` are read.
      runs: what `tables.load_runs` gave.
      title: heading of the page; None: the suite's name.
      damaged: see `report`.

    Returns:
      Its path.

    Raises:
      ValueError: if a benchmark has none of the metrics that tables show, or see `damaged`.
      OSError: if the page cannot be written.
    """
    table = tables.long_table(runs, by_task=False)
    page = report(
        table, runs, title or f"MetaJAX: {folder.name}", folder=folder,
        published=tables.published_lines(folder, runs), damaged=damaged,
    )  # fmt: skip
    disk.write(folder / "report.html", page)
    return folder / "report.html"


def report(
    table: pd.DataFrame,
    runs: Sequence[Run],
    title: str,
    *,
    folder: Path | None = None,
    published: Sequence[Line] = (),
    damaged: list[str] | None = None,
) -> str:
    """Make the HTML page of a suite.

    Args:
      table: what `tables.long_table` gave.
      runs: the runs it was made of.
      title: heading of the page, plain text.
      folder: ``results/<suite>``, where kept predictions lie; None: they are not read.
      published: what `tables.published_lines` gave.
      damaged: receives a message for every file of predictions that cannot be read, whose curves
        are then drawn from the scores; without it the first raises.

    Returns:
      The page; the same bytes for the same records and the same matplotlib.

    Raises:
      ValueError: if a benchmark has none of the metrics that tables show, or see `damaged`.
    """
    made = grids(table, runs, SHOWN)
    firsts = list({(g.suite, g.benchmark): g for g in reversed(made)}.values())[::-1]
    seeds: dict[tuple[str, str], dict[str, list[Run]]] = {}
    for (suite, benchmark, learner), own in groups(runs).items():
        seeds.setdefault((suite, benchmark), {})[learner] = own
    data, left = boards.scatter_data(firsts, seeds)
    draw = _Pen()
    sections = [
        ("leaderboard", "Leaderboard", _leaderboard(made, firsts, table, runs)),
        ("ranks", "Average ranks", _ranks(firsts, draw)),
        ("curves", "Learning curves", _each(firsts, lambda g: _curves(g, draw))),
        ("probabilities", "Calibration and decision curves",
         _each(firsts, lambda g: _probabilities(g, seeds[g.suite, g.benchmark], folder, draw,
                                                damaged))),
        ("pairs-section", "Task by task", _scatter(data, left)),
        ("weights", "Sample weights", _each(firsts, lambda g: draw(
            *figures.weights(seeds[g.suite, g.benchmark])))),
        ("published", "Published numbers", boards.published(published) if published else ""),
        ("cards", "Data", provenance.cards(runs)),
        ("environment", "Environment", provenance.environment(runs)),
        ("checklists", "Reporting checklists",
         "<p class=\"note\">What the records can answer; the rest is for the authors.</p>"
         + facts.checklists(runs, made)),
        ("reading", "How to read this", READING),
    ]  # fmt: skip
    sections = [one for one in sections if one[2]]
    links = "".join(f'<li><a href="#{key}">{escape(name)}</a></li>' for key, name, _ in sections)
    body = "\n".join(
        f'<section id="{key}" aria-labelledby="h-{key}"><h2 id="h-{key}">{escape(name)}</h2>{text}'
        "</section>" for key, name, text in sections
    )  # fmt: skip
    own = resources.files("metajax.report")
    style, script = ((own / f"page.{kind}").read_text() for kind in ("css", "js"))
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>\n<body>"
        f'<a class="skip" href="#main">Skip to the results</a><header><h1>{escape(title)}</h1>'
        f'<p class="note">{len(runs)} runs of {len({n for g in made for n in g.learners})} '
        f"learners; benchmarks: {len(firsts)}.</p>"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n<main id="main">{body}</main>'
        f'<script type="application/json" id="tasks">{data}</script><script>{script}</script>'
        f"\n</body></html>\n<!-- matplotlib {matplotlib.__version__} -->\n"
    )


class _Pen:
    """Writes figures into the page until there is no room left."""

    def __init__(self) -> None:
        self.room, self.number = ROOM, 0

    def __call__(self, figure, caption: str, label: str = "", *, wide: bool = False) -> str:
        if figure is None:
            return ""
        if self.room < 0:
            return '<p class="note">Left out to keep the page small; scripts/table.py draws it.</p>'
        self.number += 1
        drawn = svg(figure, f"f{self.number}", label or caption)
        self.room -= len(drawn)
        if wide:  # it scrolls on a phone, by keyboard too
            drawn = (f'<div class="scroll" tabindex="0" role="region" aria-label="'
                     f'{escape(label or caption)}">{drawn}</div>')  # fmt: skip
        return f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"


def _each(firsts: Sequence[Grid], write_one: Callable[[Grid], str]) -> str:
    """One part for every benchmark that has it, in a grid."""
    parts = [(grid, write_one(grid)) for grid in firsts]
    text = "".join(f'<div data-benchmark="{escape(grid.benchmark)}"><h3>{escape(grid.benchmark)}'
                   f"</h3>{part}</div>" for grid, part in parts if part)  # fmt: skip
    return f'<div class="figures">{text}</div>' if text else ""


def _leaderboard(made, firsts, table, runs) -> str:
    out = [boards.filters(made), f'<p class="note">{escape(BOLD)}</p>']
    if len(firsts) > 1:
        out.append(f'<div class="allboards"><h3>All benchmarks</h3>'
                   f"{boards.overview(firsts, overall(made))}</div>")  # fmt: skip
    for grid in firsts:
        own = [g for g in made if (g.suite, g.benchmark) == (grid.suite, grid.benchmark)]
        rows = part(table, grid.suite, grid.benchmark)
        where = (grid.suite, grid.benchmark)
        members = [r for r in runs if (r.config["suite"], r.config["benchmark"]) == where]
        out += [boards.board(g, g is grid) for g in own]
        said = " ".join(footer(rows, members, [g.metric for g in own]))
        out.append(f'<p class="note" data-benchmark="{escape(grid.benchmark)}">'
                   f"{escape(grid.benchmark)}: {escape(said)}</p>")  # fmt: skip
    return "".join(out)


def _ranks(firsts: Sequence[Grid], draw: _Pen) -> str:
    said = "Average ranks over clusters and numbers of shots; 1 is best."

    def one(ranks: Ranks, name: str) -> str:
        more = len(ranks.mean) - MOST
        hidden = f" {more} further learners are not drawn." if more > 0 else ""
        return draw(ranks_figure([("", ranks)]), f"{name}. {said}{hidden}", wide=True)

    whole = ""
    if len(firsts) > 1 and (whole := one(overall(firsts), "All benchmarks")):
        whole = f'<div class="figures"><div><h3>All benchmarks</h3>{whole}</div></div>'
    return whole + _each(firsts, lambda g: one(g.ranks, name_of(g.metric)))


def _curves(grid: Grid, draw: _Pen) -> str:
    if not any(row["mean"] == row["mean"] for row in grid.cells.values()):
        return ""
    figure = new_figure()
    axes = axes_in(figure, xlabel="labelled patients or rows, k", ylabel=name_of(grid.metric))
    draw_curves(axes, grid, highlighted(grid))
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8, labelcolor=INK)
    return draw(figure, curves_caption(grid))


def _probabilities(
    grid: Grid, seeds: figures.Seeds, folder: Path | None, draw: _Pen, damaged: list[str] | None
) -> str:
    chosen = {name: seeds[name] for name in highlighted(grid)}
    return draw(*figures.calibration(chosen)) + draw(*figures.decision(chosen, folder, damaged))


def _scatter(data: str, left: str) -> str:
    if data == "[]":
        return ""
    fields = "".join(f'<label>{text}<select id="s-{name}"></select></label>'
                     for name, text in (("benchmark", "benchmark"), ("shots", "labels"),
                                        ("x", "learner across"), ("y", "learner up")))  # fmt: skip
    return (
        "<noscript><p>This section needs JavaScript; its numbers are in table.csv.</p></noscript>"
        f'<div id="pairs" hidden><form class="tools" aria-label="Choose two learners">{fields}'
        f'</form><figure><svg id="scatter" viewBox="0 0 440 440" role="img"></svg><figcaption>'
        f'<output id="s-said" aria-live="polite"></output> {escape(left)}</figcaption></figure>'
        '<details><summary>The numbers behind it</summary><div class="scroll" tabindex="0" '
        'role="region" aria-label="Scores of every task"><table><thead><tr>'
        '<th scope="col">task</th><th scope="col" id="s-xhead"></th><th scope="col" id="s-yhead">'
        '</th><th scope="col">difference</th></tr></thead><tbody id="s-rows"></tbody></table></div>'
        "</details></div>"
    )
