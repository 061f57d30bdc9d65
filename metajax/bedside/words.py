"""What a comparison says, in words and in lines of a table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from metajax.bedside.compare import CLASS_METHODS, QUANTITY_METHODS, Comparison
from metajax.bedside.intervals import interval
from metajax.datasets.own import listed
from metajax.statistics import Interval

SHOWN = {"auroc": "AUROC", "log_loss": "log-loss", "brier": "Brier score",
         "r2": "share of variance explained", "mae": "mean absolute error"}  # fmt: skip
# Scores that cannot leave these bounds; intervals are cut there.
BOUNDS = {"auroc": (0.0, 1.0), "log_loss": (0.0, np.inf), "brier": (0.0, 2.0),
          "r2": (-np.inf, 1.0), "mae": (0.0, np.inf)}  # fmt: skip


def name_of(method: str) -> str:
    """A method in words."""
    return (CLASS_METHODS | QUANTITY_METHODS).get(method, method)


def number(value: float, signed: bool = False) -> str:
    """Two significant places as papers print them: .81, 1.24, +.02; "-" if undefined."""
    if np.isnan(value):
        return "-"
    digits = 2 if abs(value) < 10 else 0
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    if not text.strip("+-0."):
        return f"{0:.{digits}f}".removeprefix("0")
    return text.replace("0.", ".", 1) if abs(value) < 0.995 else text


def cut(one: Interval, metric: str) -> Interval:
    """An interval inside the bounds of its score."""
    low, high = BOUNDS[metric]
    return one._replace(low=max(one.low, low), high=min(one.high, high))


def bracket(one: Interval, signed: bool = False) -> str:
    """A mean and its interval."""
    ends = ", ".join(number(end, signed) for end in (one.low, one.high))
    return f"{number(one.mean, signed)} [{ends}]"


def table(found: Comparison) -> pd.DataFrame:
    """A row for each size, method and metric: mean, interval, paired difference from the best."""
    rows = []
    for size in found.sizes:
        ranked = found.ranked(size)
        for method in ranked:
            for metric in found.metrics:
                score = cut(interval(found.score(method, size, metric)), metric)
                gap = found.behind(method, ranked[0], size, metric)
                rows.append({
                    "labelled": size, "method": method, "metric": metric, "mean": score.mean,
                    "low": score.low, "high": score.high, "minus_best": gap.mean,
                    "minus_best_low": gap.low, "minus_best_high": gap.high,
                    "episodes": len(found.tallies[method, size, metric].value),
                    "undefined": score.undefined,
                })  # fmt: skip
    return pd.DataFrame(rows)


def verdict(found: Comparison, size: int) -> str:
    """Which method to use with so many labelled patients, and how good it is."""
    metric = next(iter(found.metrics))
    best, level = found.chosen(size)
    score = cut(interval(found.score(best, size, metric)), metric)
    said = (
        f"With {size} labelled patients use {name_of(best)}: {SHOWN[metric]} {number(score.mean)}, "
        f"95 % interval {number(score.low)} to {number(score.high)}"
    )
    if level:
        said += f"; not told apart from it: {listed([name_of(m) for m in level], 12)}."
    elif len(found.methods) > 1:
        said += "; every other method is behind."
    else:
        said += "."
    if metric == "auroc" and score.low <= 0.5:
        said += " The interval holds .5: whether these columns tell the label at all is not shown."
    if metric == "r2" and score.low <= 0:
        said += " The interval holds 0: whether these columns tell the label at all is not shown."
    return said


def more_labels(found: Comparison) -> str:
    """What the last step of the learning curve was worth, for the method chosen at its end."""
    if len(found.sizes) < 2:
        return (f"This file allows {found.sizes[0]} labelled patients only, so what more labels "
                "would be worth cannot be measured.")  # fmt: skip
    metric, higher = next(iter(found.metrics.items()))
    before, after = found.sizes[-2:]
    best, _ = found.chosen(after)
    one, other = (found.score(best, size, metric) for size in (after, before))
    gain = interval(one, other)
    if not higher:
        gain = gain._replace(mean=-gain.mean, low=-gain.high, high=-gain.low)
    said = (
        f"{after - before} more labels, {before} to {after}, were worth {number(gain.mean, True)} "
        f"{SHOWN[metric]} (95 % interval {number(gain.low, True)} to {number(gain.high, True)}) "
        f"for {name_of(best)}"
    )
    if gain.low <= 0 <= gain.high:
        return said + ": not told apart from nothing."
    return said + f"; beyond {after} expect less for each label."


def note(found: Comparison) -> str:
    """How the numbers came about, and what they are not."""
    count = len(next(iter(found.tallies.values())).value)
    return (
        f"Every number is the mean over {count} draws of labelled patients from the file's "
        f"{found.patients}, the classes in their proportions; all other patients are judged. "
        "Intervals are for this population and this number of labels: they resample patients, "
        "who are in the support of some draws and judged in others. The method in the verdict was "
        "chosen on the same draws, so its own score is a little optimistic. Intervals are 95 % "
        "each, not adjusted for the number of methods. Nothing here says how a method does in "
        "another hospital."
    )
