"""Figures of probabilities and of sample weights (part of the report).

Calibration and decision curves are drawn from the sums that every record keeps, by tenths of the
probability; where the predictions were kept, decision curves are drawn at every hundredth.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from metajax import recorded
from metajax.tables.figures import COLOURS, GREY, INK, MARKERS, axes_in, new_figure
from metajax.tables.records import Run

LEAST = 10  # a calibration point stands for at least so many rows
Seeds = dict[str, list[Run]]  # the runs of every learner, by its name in the table


def _legend(figure: Figure) -> None:
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8, labelcolor=INK)


def largest(seeds: Seeds) -> int | None:
    """Return the largest number of shots with calibration sums, None without any."""
    shots = {int(k) for runs in seeds.values() for run in runs
             for k in run.scores.get("calibration_shots", ())}  # fmt: skip
    return max(shots, default=None)


def sums(runs: Sequence[Run], shots: int) -> np.ndarray:
    """Return sums of (probability, label, rows) by tenths of the probability, natural draws.

    Args:
      runs: the seeds of a learner.
      shots: number of labelled rows.

    Returns:
      (10, 3), all tasks and seeds together; zeros if none were kept.
    """
    total = np.zeros((10, 3))
    for run in runs:
        if "calibration" in run.scores:
            at = run.scores["calibration_shots"] == shots
            total += run.scores["calibration"][at, 0].sum(axis=0, dtype=np.float64)
    return total


def calibration(seeds: Seeds) -> tuple[Figure | None, str]:
    """Draw how often class 1 came true by predicted probability.

    Args:
      seeds: the runs of the learners to draw, at most six.

    Returns:
      The figure, None without sums; what it shows.
    """
    shots, drawn = largest(seeds), 0
    if shots is None:
        return None, ""
    figure = new_figure()
    axes = axes_in(figure, xlabel="predicted probability", ylabel="observed frequency")
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls="--")
    for (name, runs), colour, marker in zip(seeds.items(), COLOURS, MARKERS, strict=False):
        kept = sums(runs, shots)
        kept = kept[kept[:, 2] >= LEAST]
        drawn += len(kept)
        if len(kept):
            axes.plot(kept[:, 0] / kept[:, 2], kept[:, 1] / kept[:, 2], color=colour, lw=1.5,
                      marker=marker, ms=4, label=name)  # fmt: skip
    if not drawn:
        return None, ""
    axes.set(xlim=(0, 1), ylim=(0, 1))
    _legend(figure)
    said = f"Calibration at k = {shots}, natural draws, all tasks and seeds together; bins with "
    return figure, said + f"fewer than {LEAST} rows are left out. The dashed line is perfect."


def decision(
    seeds: Seeds, folder: Path | None = None, damaged: list[str] | None = None
) -> tuple[Figure | None, str]:
    """Draw the net benefit of treating whom a model gives at least the threshold's probability.

    ``net benefit = (true positives - false positives * t / (1 - t)) / rows``.

    Args:
      seeds: the runs of the learners to draw, at most six.
      folder: ``results/<suite>``, where kept predictions lie; None: from the sums alone.
      damaged: receives a message for every file of predictions that cannot be read; without it
        the first raises.

    Returns:
      The figure, None without sums; what it shows.

    Raises:
      ValueError: naming a file of predictions that cannot be read, see `damaged`.

    Reference:
      Vickers and Elkin (2006), Decision curve analysis.
    """
    shots = largest(seeds)
    if shots is None:
        return None, ""
    lost: list[str] = [] if damaged is None else damaged
    fine = {name: _kept(runs, shots, folder, lost) for name, runs in seeds.items()}
    if damaged is None and lost:
        raise ValueError(lost[0])
    figure = new_figure()
    axes = axes_in(figure, xlabel="threshold probability", ylabel="net benefit")
    share = 0.0
    for (name, runs), colour, marker in zip(seeds.items(), COLOURS, MARKERS, strict=False):
        kept = sums(runs, shots)
        if not kept[:, 2].any():
            continue
        share = max(share, kept[:, 1].sum() / kept[:, 2].sum())
        if fine[name] is not None:
            axes.plot(*net_benefit(*fine[name]), color=colour, lw=1.5, label=name)
        else:
            axes.plot(*net_benefit_of_sums(kept), color=colour, lw=1.5, marker=marker, ms=4,
                      label=name)  # fmt: skip
    if not share:
        return None, ""
    at = np.linspace(0.0, 0.99, 100)
    axes.plot(at, share - (1 - share) * at / (1 - at), color=GREY, lw=1, ls="--", label="treat all")
    axes.axhline(0, color=GREY, lw=1, label="treat none")
    axes.set(xlim=(0, 1), ylim=(-0.15 * share, 1.1 * share))
    _legend(figure)
    kept = [one is not None for one in fine.values()]
    said = f"Decision curves at k = {shots}, natural draws, all tasks and seeds together, "
    if all(kept):
        said += "at every hundredth."
    elif any(kept):
        said += "at every tenth (markers) or, where predictions were kept, hundredth."
    else:
        said += "at every tenth."
    return figure, said + " Higher is better; a model below both grey lines does harm."


def net_benefit_of_sums(kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return thresholds and net benefit (9,) from sums by tenths (10, 3), exact at the tenths."""
    at = np.arange(1, 10) / 10
    above = kept[::-1].cumsum(axis=0)[::-1][1:]  # from each tenth up
    right, called = above[:, 1], above[:, 2]
    return at, (right - (called - right) * at / (1 - at)) / kept[:, 2].sum()


def net_benefit(probability: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return thresholds and net benefit (99,) of probabilities (n,) with labels (n,) in {0, 1}."""
    at = np.arange(1, 100) / 100
    order = np.argsort(probability)
    first = np.searchsorted(probability[order], at, side="left")
    right = label.sum() - np.concatenate([[0.0], label[order].cumsum()])[first]
    called = len(label) - first
    return at, (right - (called - right) * at / (1 - at)) / len(label)


def _kept(
    runs: Sequence[Run], shots: int, folder: Path | None, damaged: list[str]
) -> tuple[Any, Any] | None:
    """Probabilities and labels of all natural test rows, None unless every seed kept them."""
    found = []
    for run in runs:
        home = folder / "runs" / run.id if folder else None
        if home is None or not (home / "predictions.npz").exists() or "shots" not in run.scores:
            return None
        try:
            kept = recorded.read_predictions(home, len(run.scores["shots"]))
        except ValueError as error:
            damaged.append(str(error))
            return None
        queries, y, outputs = (kept[name] for name in ("queries", "y", "outputs"))
        if outputs.shape[-1] != 2:
            return None
        wanted = (run.scores["shots"] == shots) & (run.scores["draw"] == 0)
        rows = np.repeat(wanted, queries)
        margin = outputs[rows, 1].astype(np.float64) - outputs[rows, 0]
        found.append((1 / (1 + np.exp(-margin)), y[rows, 1].astype(np.float64)))
    if not found or not sum(len(one) for one, _ in found):
        return None
    return np.concatenate([p for p, _ in found]), np.concatenate([y for _, y in found])


def weights(seeds: Seeds) -> tuple[Figure | None, str]:
    """Draw how learners weighed support rows with right and with wrong labels.

    Args:
      seeds: the runs of the learners to draw; those with ``weight_edges`` (B + 1,) and
        ``weight_counts`` (2, B), right and wrong labels, in their scores are drawn.

    Returns:
      The figure, None if no run kept weights; what it shows.
    """
    have = {name: [r for r in runs if "weight_counts" in r.scores] for name, runs in seeds.items()}
    have = {name: runs for name, runs in have.items() if runs}
    if not have:
        return None, ""
    shown = dict(list(have.items())[:6])
    figure = new_figure(6, 1.2 + 1.5 * len(shown))
    for i, (name, runs) in enumerate(shown.items()):
        axes = axes_in(figure, len(shown), 1, i + 1, ylabel="share of rows")
        edges = runs[0].scores["weight_edges"]
        counts = sum(np.asarray(r.scores["weight_counts"], np.float64) for r in runs
                     if np.array_equal(r.scores["weight_edges"], edges))  # fmt: skip
        names = zip(COLOURS, ("right label", "wrong label"), strict=False)
        for part, (colour, told) in zip(counts, names, strict=True):
            if part.any():
                axes.stairs(part / part.sum(), edges, color=colour, lw=1.5,
                            label=told if i == 0 else None)  # fmt: skip
        axes.set_title(name, color=INK, fontsize=9)
    axes.set_xlabel("weight of a support row", color=INK)
    _legend(figure)
    return figure, "Weights that learners gave to support rows, all tasks and seeds together."
