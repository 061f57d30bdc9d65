"""Numbers of papers beside ours (a part of `metajax.tables`).

``results/published.csv`` holds what papers print, with its source and what differs from our
protocol or model: a number of ours is called reproduced only where nothing does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from metajax.tables.long import interval
from metajax.tables.records import Run, groups
from metajax.tables.scores import task_scores

COLUMNS = "suite benchmark method learner shots metric published source differs".split()
# What papers print and records do not hold: the difference of two metrics.
DERIVED = {"auprc_gain": ("auprc", "prevalence")}


class Line(NamedTuple):
    """A published number and ours.

    Attributes:
      suite: suite.
      benchmark: benchmark.
      method: the paper's name.
      learner: our name; empty if we have none.
      shots: number of labelled rows, as in our table.
      metric: name of the metric.
      published: the paper's number.
      source: where it is printed, and how it was read.
      differs: what differs from ours; empty if nothing is known to.
      mean: our mean, NaN without a run.
      low: lower end of its 95 % interval.
      high: upper end.
      within: "yes", "no", "another protocol or model" or empty.
    """

    suite: str
    benchmark: str
    method: str
    learner: str
    shots: int
    metric: str
    published: float
    source: str
    differs: str
    mean: float
    low: float
    high: float
    within: str

    @property
    def sign(self) -> bool:
        """Whether the number is a difference."""
        return self.metric in DERIVED


def read(path: Path) -> pd.DataFrame:
    """Read the file of published numbers.

    Raises:
      ValueError: if a column is missing.
    """
    frame = pd.read_csv(path, keep_default_na=False)
    if lacking := [name for name in COLUMNS if name not in frame.columns]:
        raise ValueError(f"{path} lacks the column {', '.join(lacking)}")
    return frame


def lines(frame: pd.DataFrame, runs: Sequence[Run]) -> list[Line]:
    """Put ours beside the published numbers of the benchmarks that were run.

    Args:
      frame: what `read` gave.
      runs: what `load_runs` gave.

    Returns:
      One line per published number, in the order of the file.
    """
    named = groups(runs)
    have = {(suite, benchmark) for suite, benchmark, _ in named}
    out = []
    for row in frame[COLUMNS].to_dict("records"):
        if (row["suite"], row["benchmark"]) not in have:
            continue
        seeds = named.get((row["suite"], row["benchmark"], row["learner"]), [])
        if any(run.result["status"] == "diverged" for run in seeds):
            seeds = []
        mean, low, high = _ours(seeds, row["metric"], int(row["shots"]))
        within = ""
        if np.isfinite(low):
            within = "yes" if low <= row["published"] <= high else "no"
            within = "another protocol or model" if row["differs"] else within
        out.append(Line(**row, mean=mean, low=low, high=high, within=within))
    return out


def _ours(seeds: Sequence[Run], metric: str, shots: int) -> tuple[float, float, float]:
    first, *rest = DERIVED.get(metric, (metric,))
    found = task_scores(seeds, first, shots)
    mean = found.mean
    for name in rest:
        other = task_scores(seeds, name, shots)
        if not np.array_equal(other.tasks, found.tasks):
            return np.nan, np.nan, np.nan
        mean = mean - other.mean
    return interval(mean, found.cluster, found.replicates)[:3]
