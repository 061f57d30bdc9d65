"""Scores of groups as a table in Markdown (a part of `subgroups`)."""

from __future__ import annotations

import numpy as np

from metajax.subgroups.scores import Subgroups


def markdown(found: Subgroups) -> str:
    """Lines by metric, and a sentence for every gap; names are kept from breaking the table."""
    out = ["| score | group | patients | rows | mean | 95 % interval | note |", "| --- " * 7 + "|"]
    for line in found.lines:
        score = "-" if np.isnan(line.score) else f"{line.score:.3f}"
        ends = "-" if np.isnan(line.low) else f"{line.low:.3f} to {line.high:.3f}"
        cells = (
            line.metric,
            _cell(line.group),
            f"{line.patients:,}",
            f"{line.rows:,}",
            score,
            ends,
        )
        out.append("| " + " | ".join([*cells, line.note]) + " |")
    out.append("")
    for gap in found.gaps:
        told = f"{gap.value:.3f} (simultaneous 95 % interval {gap.low:.3f} to {gap.high:.3f})"
        apart = "" if gap.low > 0 else "; the groups are not told apart"
        out.append(
            f"- {gap.metric}: {_cell(gap.highest)} is above {_cell(gap.lowest)} by {told}, the "
            f"largest gap of {gap.groups} groups{apart}."
        )
    if not found.gaps:
        out.append("No two groups are large enough to be compared.")
    return "\n".join(out) + "\n"


def _cell(name: str) -> str:
    return " ".join(name.replace("|", r"\|").split())
