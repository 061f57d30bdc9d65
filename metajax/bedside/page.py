"""Self-contained pages: nothing is fetched, no script runs, everything from a file is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources

import numpy as np

from metajax.bedside import doubts, groups, words
from metajax.bedside.compare import Comparison
from metajax.bedside.intervals import interval
from metajax.bedside.predict import Prediction
from metajax.datasets.own import Reading
from metajax.subgroups import Subgroups

# Okabe and Ito's colours, told apart by the colour blind; dashes tell them apart in print.
INKS = (("#0072b2", ""), ("#d55e00", "6 3"), ("#009e73", "2 2"), ("#cc79a7", "8 3 2 3"),
        ("#8a6d00", "1 3"))  # fmt: skip
REASON = ("What each value adds to the output, on average over all orders in which values may "
          "become known; what is not known is taken from the labelled patients. A reason is of the "
          "model: no cause, and a wrong model has reasons, too.")  # fmt: skip
WIDE, HIGH, LEFT, FOOT = 560, 300, 60, 46
STYLE = """
.verdict{font-size:1.15rem;background:var(--tint);border-left:.3rem solid var(--accent);
padding:.7rem 1rem;margin:1rem 0;max-width:62rem}.warn{border-left-color:#d55e00}
td.text,th.text{text-align:left;white-space:normal;overflow-wrap:break-word;min-width:7.5rem}
.bar{display:inline-block;height:.7em;background:var(--accent);vertical-align:baseline}
ul.plain{padding-left:1.2rem;max-width:62rem}"""


def page(title: str, sections: Sequence[tuple[str, str]]) -> str:
    """A whole page.

    Args:
      title: plain text.
      sections: headings in plain text, and their HTML; an empty heading has none.
    """
    style = resources.files("metajax.report").joinpath("page.css").read_text() + STYLE
    body = "".join(
        f"<section>{f'<h2>{escape(head)}</h2>' if head else ''}{text}</section>"
        for head, text in sections if text
    )  # fmt: skip
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>\n<body>"
        f'<header><h1>{escape(title)}</h1></header><main id="main">{body}</main></body></html>\n'
    )


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], label: str, texts: int = 1) -> str:
    """A table that scrolls on a phone; the first `texts` columns are texts, cells are escaped."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(
            f"<{tag}{' scope=col' if tag == 'th' else ''}{' class=text' if i < texts else ''}>"
            f"{escape(str(cell))}</{tag}>" for i, cell in enumerate(cells)
        ) + "</tr>"  # fmt: skip

    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}"><table>'
        f"<caption>{escape(label)}</caption><thead>{line(head, 'th')}</thead>"
        f"<tbody>{''.join(line(row, 'td') for row in rows)}</tbody></table></div>"
    )


def said(texts: Sequence[str], kind: str = "note") -> str:
    """Paragraphs of plain text."""
    return "".join(f'<p class="{kind}">{escape(text)}</p>' for text in texts)


def scores(found: Comparison, size: int) -> str:
    """The table of one support size, the best method first."""
    ranked = found.ranked(size)
    metrics = list(found.metrics)
    head = ["method", *(words.SHOWN[m] for m in metrics), f"{words.SHOWN[metrics[0]]}, minus best"]
    rows = []
    for method in ranked:
        cells = [words.name_of(method)]
        for metric in metrics:
            cells.append(words.bracket(words.cut(interval(found.score(method, size, metric)),
                                                 metric)))  # fmt: skip
        gap = found.behind(method, ranked[0], size, metrics[0])
        cells.append("" if method == ranked[0] else words.bracket(gap, signed=True))
        rows.append(cells)
    return grid(head, rows, f"Scores with {size} labelled patients")


def curve(found: Comparison) -> str:
    """The learning curve of the five best methods, as SVG; "" for a single support size."""
    if len(found.sizes) < 2:
        return ""
    metric = next(iter(found.metrics))
    chosen = found.ranked(found.sizes[-1])[: len(INKS)]
    shown = {m: [words.cut(interval(found.score(m, k, metric)), metric) for k in found.sizes]
             for m in chosen}  # fmt: skip
    ends = [v for line in shown.values() for one in line for v in (one.low, one.high)]
    ends = [v for v in ends if np.isfinite(v)]
    if not ends:
        return ""
    low, high = min(ends), max(ends)
    room = (high - low) or 1.0
    low, high = low - 0.03 * room, high + 0.03 * room
    across = np.log(np.array(found.sizes, float))
    across = LEFT + 20 + (across - across[0]) / (across[-1] - across[0]) * (WIDE - LEFT - 50)

    def up(value: float) -> float:
        return 10 + (high - value) / (high - low) * (HIGH - FOOT - 10)

    parts = []
    for value in _ticks(low, high):
        parts.append(f'<line x1="{LEFT}" x2="{WIDE}" y1="{up(value):.1f}" y2="{up(value):.1f}" '
                     'stroke="currentColor" stroke-opacity=".15"/>'
                     f'<text x="{LEFT - 6}" y="{up(value) + 4:.1f}" text-anchor="end">'
                     f"{words.number(value)}</text>")  # fmt: skip
    for x, k in zip(across, found.sizes, strict=True):
        parts.append(f'<text x="{x:.1f}" y="{HIGH - FOOT + 18}" text-anchor="middle">{k}</text>')
    parts.append(f'<text x="{(LEFT + WIDE) / 2}" y="{HIGH - 8}" text-anchor="middle">labelled '
                 "patients</text>")  # fmt: skip
    keys = []
    for i, ((ink, dash), (method, line)) in enumerate(zip(INKS, shown.items(), strict=False)):
        shift = across + 3 * (i - len(shown) / 2)
        fine = [j for j, one in enumerate(line) if np.isfinite(one.mean)]
        points = " ".join(f"{shift[j]:.1f},{up(line[j].mean):.1f}" for j in fine)
        stroke = f'stroke="{ink}" stroke-width="2" stroke-dasharray="{dash}" fill="none"'
        parts.append(f'<polyline points="{points}" {stroke}/>')
        for j in fine:
            if np.isfinite(line[j].low):
                parts.append(f'<line x1="{shift[j]:.1f}" x2="{shift[j]:.1f}" '
                             f'y1="{up(line[j].low):.1f}" y2="{up(line[j].high):.1f}" '
                             f'stroke="{ink}"/>')  # fmt: skip
        keys.append(f'<svg viewBox="0 0 40 10" style="width:2.5rem" aria-hidden="true"><line x1="0"'
                    f' x2="40" y1="5" y2="5" {stroke}/></svg> {escape(words.name_of(method))}')
    label = f"{words.SHOWN[metric]} against the number of labelled patients"
    return (
        f'<figure><svg viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{escape(label)}" '
        f'fill="currentColor" font-size="12">{"".join(parts)}</svg><figcaption>'
        f"{escape(label)}; bars are 95 % intervals. {'; '.join(keys)}.</figcaption></figure>"
    )


def _ticks(low: float, high: float) -> np.ndarray:
    """Three to six round numbers between two others."""
    room = high - low
    unit = 10.0 ** np.floor(np.log10(room / 3))
    step = next(unit * s for s in (1, 2, 5, 10) if room / (unit * s) <= 6)
    return np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step


def reading(read: Reading) -> str:
    """What every column of the file was taken for."""
    rows = [
        (c.name, c.role, c.kind, c.values, str(c.missing), c.note or c.treatment)
        for c in read.columns
    ]
    head = ("column", "role", "kind", "values", "missing", "what becomes of it")
    return said(read.notes) + grid(head, rows, "How the file was read", texts=6)


def by_group(found: Comparison, column: str, one: Subgroups) -> str:
    """Scores by the values of a column."""
    last = found.sizes[-1]
    told = (f"{words.name_of(found.chosen(last)[0])} with {last} labelled patients, by {column}. "
            "The gap is that of the highest and the lowest group; its interval would hold for all "
            "pairs of groups together. It does not say why they differ.")  # fmt: skip
    rows = []
    for line in one.lines:
        shown = "-" if np.isnan(line.score) else f"{line.score:.3f}"
        ends = "-" if np.isnan(line.low) else f"{line.low:.3f} to {line.high:.3f}"
        metric = words.SHOWN.get(line.metric, line.metric)
        rows.append([metric, line.group, str(line.patients), shown, ends, line.note])
    head = ("score", "group", "patients", "mean", "95 % interval", "")
    return said([told, *groups.sentences(one, column)]) + grid(head, rows, f"By {column}", texts=2)


def comparison(
    found: Comparison, read: Reading, notes: Sequence[str], title: str,
    apart: Mapping[str, Subgroups] | None = None,
) -> str:
    """The page of a comparison; `apart` has scores by columns."""
    last = found.sizes[-1]
    sections = [
        ("", said([words.verdict(found, last), words.more_labels(found)], "verdict")),
        ("Learning curve", curve(found)),
        *((f"With {size} labelled patients",
           ("" if size == last else said([words.verdict(found, size)])) + scores(found, size))
          for size in found.sizes[::-1]),
        *((f"By {column}", by_group(found, column, one)) for column, one in (apart or {}).items()),
        ("How to read this", said([words.note(found), *notes])),
        ("How the file was read", reading(read)),
    ]  # fmt: skip
    return page(title, sections)


def prediction(
    found: Prediction, names: Sequence[str], notes: Sequence[str], read: Reading, title: str,
    quality: str,
) -> str:
    """The page of predictions.

    Args:
      found: of the new rows.
      names: of the rows.
      notes: what else should be known, plain text.
      read: how the labelled file was read.
      title: plain text.
      quality: the expected quality in words.
    """
    if found.classes:
        head = ["patient", "prediction", *(f"probability of {name}" for name in found.classes)]
        rows = [
            [name, found.classes[p.argmax()], *(f"{value:.3f}" for value in p)]
            for name, p in zip(names, found.output, strict=True)
        ]
    else:
        head = ["patient", "prediction"]
        rows = [[name, f"{value:.6g}"] for name, value in zip(names, found.output, strict=True)]
    for name, cells in doubts.column(found.doubt, found.classes).items():
        head.append({"set": "cannot be ruled out"}.get(name, name))
        rows = [[*row, cell if name == "set" else f"{cell:.6g}"]
                for row, cell in zip(rows, cells, strict=True)]  # fmt: skip
    rows = [[*row, "; ".join(odd)] for row, odd in zip(rows, found.notes, strict=True)]
    why = ""
    if found.why:
        given = found.why, found.output, found.frame, list(names), found.classes
        worst = found.why.shares.error.max()
        drawn = f" Orders are sampled: the standard error of a share is {worst:.2g} at most."
        why = said([REASON + (drawn if not found.why.shares.exact else "")]) + "".join(
            f"<details><summary>{escape(text)}</summary>{picture}</details>"
            for text, picture in doubts.pictures(*given)
        )
    return page(title, [
        ("", said([quality, found.said], "verdict") + said(found.remarks, "verdict warn")
         + said(notes)),
        ("The new patients", grid([*head, "unlike the labelled ones"], rows, "Predictions",
                                  texts=2)),
        ("Reasons", why),
        ("How to read this", said([
            "A probability is what the method says of patients with such values, from the labelled "
            "ones alone; it is no diagnosis. Research use only: a few labelled cases are no "
            "validation of a model."])),
        ("How the labelled file was read", reading(read)),
    ])  # fmt: skip
