"""LaTeX tables and the wide CSV: learners by benchmark and shots (a part of `metajax.tables`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from metajax.tables.grids import Grid, Ranks, ranked_together
from metajax.tables.layout import cell, counts, name_of, number
from metajax.tables.long import harmless
from metajax.tables.markdown import BOLD, by_rank, tests
from metajax.tables.published import Line

WIDEST = 12  # columns of scores in one table
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "_": r"\_", "%": r"\%", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "–": "--", "\n": " ",
}  # fmt: skip


def escaped(text: object) -> str:
    """Write plain text so that LaTeX prints it."""
    text = "".join(_SPECIAL.get(letter, letter) for letter in str(text))
    # After the end of a row either of them would belong to that.
    return f"{{{text[0]}}}{text[1:]}" if text.startswith(("[", "*")) else text


def latex(made: Sequence[Grid], published: Sequence[Line] = ()) -> str:
    r"""Write one booktabs table per metric; a wide one is split between benchmarks.

    Args:
      made: what `grids` gave.
      published: what `published.lines` gave.

    Returns:
      The file, to be read by ``\input`` where booktabs is loaded; the same for the same records.
    """
    out = ["% Made by scripts/table.py; needs \\usepackage{booktabs} and \\usepackage{graphicx}."]
    for metric, own, ranks in wide(made):
        columns, last = _chunks(own), len(_chunks(own)) - 1
        for i, chunk in enumerate(columns):
            out += ["", *_table(metric, chunk, by_rank(own, ranks), ranks, i == last)]
    if published:
        out += ["", *_published(published)]
    return "\n".join(out) + "\n"


def wide(made: Sequence[Grid]) -> Iterator[tuple[str, list[Grid], Ranks]]:
    """Every metric with its benchmarks, and the ranks over all of them."""
    for metric in dict.fromkeys(grid.metric for grid in made):
        own = [grid for grid in made if grid.metric == metric]
        ranks = own[0].ranks
        if len(own) > 1:
            ranks = ranked_together(own)
        yield metric, own, ranks


def summary(made: Sequence[Grid]) -> str:
    """Write the same tables as CSV: per benchmark and shots mean, ends of the interval and bold."""
    rows = []
    for metric, own, ranks in wide(made):
        for learner in by_rank(own, ranks):
            row = {"metric": metric, "learner": learner}
            for grid in own:
                for k in grid.shots:
                    found = grid.cells.get((learner, k), {})
                    name = f"{grid.benchmark} k={k}"
                    row |= {f"{name} {end}": found.get(end, np.nan)
                            for end in ("mean", "low", "high")}  # fmt: skip
                    row[f"{name} bold"] = int((learner, k) in grid.bold)
                row[f"{grid.benchmark} tasks / seeds / undefined"] = counts(grid.cells, learner)
            rows.append(row | {"average rank": ranks.mean.get(learner, np.nan)})
    table = harmless(pd.DataFrame(rows))
    return table.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def _chunks(own: Sequence[Grid]) -> list[list[Grid]]:
    """Benchmarks that fit side by side."""
    chunks: list[list[Grid]] = [[]]
    for grid in own:
        if chunks[-1] and sum(len(g.shots) for g in [*chunks[-1], grid]) > WIDEST:
            chunks.append([])
        chunks[-1].append(grid)
    return chunks


def _table(
    metric: str, own: Sequence[Grid], learners: Sequence[str], ranks: Ranks, ranked: bool
) -> list[str]:
    """One table; only the last of a metric carries the ranks."""
    width = sum(len(grid.shots) for grid in own)
    heads, rules, at = [], [], 2
    for grid in own:
        end = at + len(grid.shots) - 1
        heads.append(f"\\multicolumn{{{len(grid.shots)}}}{{c}}{{{escaped(grid.benchmark)}}}")
        rules.append(f"\\cmidrule(lr){{{at}-{end}}}")
        at = end + 1
    more = len(own) + ranked
    names = [f"$k={k}$" for grid in own for k in grid.shots]
    names += [f"n, {escaped(grid.benchmark)}" for grid in own] + ["rank"] * ranked
    out = [
        r"\begin{table*}", r"\centering",
        f"\\caption{{{escaped(name_of(metric))}: mean and 95\\,\\% interval. {escaped(BOLD)} "
        f"n: tasks / seeds / undefined episodes. {escaped(tests(ranks)) if ranked else ''}}}",
        r"\resizebox{\textwidth}{!}{%", f"\\begin{{tabular}}{{l{'c' * (width + more)}}}",
        r"\toprule", f"& {' & '.join(heads)}{' &' * more} \\\\", "".join(rules),
        f"learner & {' & '.join(names)} \\\\", r"\midrule",
    ]  # fmt: skip
    for learner in learners:
        cells = [_cell(grid, learner, k) for grid in own for k in grid.shots]
        cells += [escaped(counts(grid.cells, learner)) for grid in own]
        place = ranks.mean.get(learner, np.nan)
        cells += ["--" if np.isnan(place) else f"{place:.1f}"] * ranked
        out.append(f"{escaped(learner)} & {' & '.join(cells)} \\\\")
    return [*out, r"\bottomrule", r"\end{tabular}}", r"\end{table*}"]


def _cell(grid: Grid, learner: str, shots: int) -> str:
    if (learner, shots) not in grid.cells:
        return ""
    row = grid.cells[learner, shots]
    mean, ends = cell(row["mean"], row["low"], row["high"], row["interval"], metric=grid.metric)
    mean, ends = (escaped(text).replace("-", "$-$") if ends else escaped(text)
                  for text in (mean, ends))  # fmt: skip
    mean = f"\\textbf{{{mean}}}" if (learner, shots) in grid.bold else mean
    return f"{mean}{{\\scriptsize{ends}}}" if ends else mean


def _published(lines: Sequence[Line]) -> list[str]:
    out = [
        r"\begin{table*}", r"\centering",
        r"\caption{Published numbers and ours; reproduced only where nothing differs.}",
        r"\begin{tabular}{lllrrll}", r"\toprule",
        r"benchmark & metric & method & $k$ & published & reproduced & within \\", r"\midrule",
    ]  # fmt: skip
    for line in lines:
        ours = "".join(cell(line.mean, line.low, line.high, sign=line.sign))
        cells = [
            line.benchmark, name_of(line.metric), line.method, line.shots,
            number(line.published, line.sign),
            ours if np.isfinite(line.mean) else "not reproduced", line.within,
        ]  # fmt: skip
        out.append(" & ".join(map(escaped, cells)) + r" \\")
    return [*out, r"\bottomrule", r"\end{tabular}", r"\end{table*}"]
