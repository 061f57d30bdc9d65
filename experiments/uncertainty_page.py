"""The page of `uncertainty.py`, from its committed numbers alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import uncertainty_tables

from metajax import disk
from metajax.statistics import cluster_bootstrap

WAYS = {"split": "split in halves", "cross": "cross, 4 folds"}
FROM = {
    "others": "patients of the other hospitals",
    "hospitals": "the other hospitals, each with the weight of one patient",
    "own": "patients of its own",
}


def tabulate(folder: Path) -> str:
    """Writes table.md from the numbers in a folder; returns the page.

    Raises:
      FileNotFoundError: if they are not there.
    """
    tasks = pd.read_csv(folder / "tasks.csv")
    page = ["# uncertainty", "", *_paragraph(uncertainty_tables.__doc__.partition("\n\n")[2]), ""]
    for pool, frame in tasks.groupby("pool"):
        page += _pool(str(pool), frame)
    within = _read(folder / "within.csv")
    if len(within):
        page += _within(within[~within.family.isin(set(tasks.pool))])
    sites = _read(folder / "sites.csv")
    if len(sites):
        page += _sites(sites)
    text = "\n".join(page) + "\n"
    disk.write(folder / "table.md", text)
    return text


def _read(path: Path) -> pd.DataFrame:
    """A table that may be empty."""
    try:
        return pd.read_csv(path)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()


def _paragraph(text: str) -> list[str]:
    return [" ".join(text.split())]


def _grid(head: list[str], body: list[list[str]]) -> list[str]:
    rows = [head, ["---"] * len(head), *body]
    return ["", *("| " + " | ".join(row) + " |" for row in rows), ""]


def interval(frame: pd.DataFrame, column: str) -> str:
    """The mean over units of a share, with its 95 % bootstrap interval over units, in percent."""
    units = np.unique(frame.unit, return_inverse=True)[1]
    told = cluster_bootstrap(100 * frame[column].to_numpy(), units, np.random.default_rng(0))
    if np.isnan(told.low):
        return f"{told.mean:.1f}"
    return f"{told.mean:.1f} [{told.low:.1f}, {told.high:.1f}]"


def mean(frame: pd.DataFrame, column: str) -> float:
    """The mean over units of the mean over their tables and support sizes."""
    return float(frame.groupby("unit")[column].mean().mean())


def _two(frame: pd.DataFrame, column: str, digits: int = 3) -> str:
    """A score before and after the temperature."""
    return f"{mean(frame, column):.{digits}f} → {mean(frame, f'{column}_warm'):.{digits}f}"


def _pool(pool: str, frame: pd.DataFrame) -> list[str]:
    units, tables = frame.unit.nunique(), frame.table.nunique()
    diseases = pool == "diseases"
    what = f"{units} diseases, {tables} tables" if diseases else f"{units} hospitals"
    page = [f"## {pool if not diseases else 'Diseases'}: {what}", ""]
    page += _paragraph(
        """Coverage (%) of sets at 90 %, and labels in a set, by labelled patients. Intervals are by
        bootstrap over diseases (hospitals)."""
    )
    sizes = sorted(frame.shots.unique())
    head = ["method", "sets", *(f"k = {k}" for k in sizes)]
    body = []
    for method, one in frame.groupby("method", sort=False):
        for name, told in (("told_", "told"), ("", "across tasks"), ("likely_", "likely")):
            cells = []
            for k in sizes:
                part = one[one.shots == k]
                size = mean(part, f"{name}size")
                cells.append(f"{interval(part, f'{name}coverage')}; {size:.2f}")
            body.append([str(method), told, *cells])
    page += _grid(head, body)
    page += _paragraph(
        """Means over support sizes. Worst: the table with the lowest coverage. Class 1: coverage of
        its patients. T: temperature; Brier, ECE and log-loss before and after it."""
    )
    head = ["family", "method", "told", "across tasks", "size", "worst", "class 1"]
    head += ["by class: class 1", "size", "another family", "T", "Brier", "ECE", "log-loss"]
    body = []
    for family, part in frame.groupby("family", sort=False):
        for method, one in part.groupby("method", sort=False):
            worst = one.groupby("table").coverage.mean().min()
            other = "-"
            if "family_coverage" in one and one.family_coverage.notna().all():
                other = f"{100 * mean(one, 'family_coverage'):.1f}"
            body.append([
                str(family), str(method), f"{100 * mean(one, 'told_coverage'):.1f}",
                interval(one, "coverage"), f"{mean(one, 'size'):.2f}", f"{100 * worst:.1f}",
                f"{100 * mean(one, 'coverage_1'):.1f}",
                f"{100 * mean(one, 'class_coverage_1'):.1f}",
                f"{mean(one, 'class_size'):.2f}", other, f"{mean(one, 'temperature'):.2f}",
                _two(one, "brier"), _two(one, "ece"), _two(one, "log_loss"),
            ])  # fmt: skip
    return page + _grid(head, body)


def _within(frame: pd.DataFrame) -> list[str]:
    """Sets from the support alone."""
    page = ["## From the labelled patients alone", ""]
    page += _paragraph(
        """Split: half of the k patients calibrate (fewer than 9 cannot leave anything out). Cross:
        every patient is judged by a model without its fold. Both learn from fewer than k. Coverage
        (%), labels in a set, and the share of sets that hold everything; diseases as above."""
    )
    sizes = sorted(frame.shots.unique())
    body = []
    for (method, way), one in frame.groupby(["method", "way"], sort=False):
        cells = []
        for k in sizes:
            part = one[one.shots == k]
            if not len(part):
                cells.append("-")
                continue
            every = f"{100 * mean(part, 'everything'):.0f} %"
            cells.append(f"{interval(part, 'coverage')}; {mean(part, 'size'):.2f}; {every}")
        body.append([str(method), WAYS[str(way)], *cells])
    return page + _grid(["method", "calibration", *(f"k = {k}" for k in sizes)], body)


def _sites(frame: pd.DataFrame) -> list[str]:
    """Leave one hospital out."""
    page = ["## Leave one hospital out", ""]
    page += [*_paragraph(uncertainty_tables.hospitals.__doc__.partition("\n\n")[2]), ""]
    page += _paragraph(
        """Only the last is exchangeable. Coverage (%): mean, lowest, highest of the hospitals."""
    )
    body = []
    for (family, way), one in frame.groupby(["family", "way"], sort=False):
        low, high = one.loc[one.coverage.idxmin()], one.loc[one.coverage.idxmax()]
        body.append([
            str(family), FROM[str(way)], f"{len(one)}", f"{100 * one.coverage.mean():.1f}",
            f"{100 * low.coverage:.1f} ({low.hospital}, {low.patients})",
            f"{100 * high.coverage:.1f} ({high.hospital}, {high.patients})",
            f"{one['size'].mean():.2f}",
        ])  # fmt: skip
    head = ["family", "threshold from", "hospitals", "mean", "lowest (hospital, patients)",
            "highest", "size"]  # fmt: skip
    return page + _grid(head, body)
