"""The files of a suite's table (a part of `metajax.tables`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from metajax import disk
from metajax.learners import META_LEARNERS
from metajax.tables import published
from metajax.tables.figures import suite_figures
from metajax.tables.grids import grids
from metajax.tables.latex import latex, summary
from metajax.tables.layout import SHOWN
from metajax.tables.long import csv, long_table
from metajax.tables.markdown import markdown
from metajax.tables.records import Run

FILES = ("table.md", "table.csv", "table.tex", "summary.csv", "learning_curves.svg",
         "critical_difference.svg")  # fmt: skip


def write(folder: Path, runs: Sequence[Run]) -> str:
    """Write the tables and figures of a suite (`FILES`).

    ``../headroom/headroom.csv`` and ``../published.csv`` are read where they are.

    Args:
      folder: ``results/<suite>``.
      runs: what `load_runs` gave.

    Returns:
      The Markdown page.

    Raises:
      ValueError: if the runs have none of the metrics, or one of those two files lacks a column.
      OSError: if the files cannot be written.
    """
    table = long_table(runs)
    shown = grids(table, runs, SHOWN)
    lines = published_lines(folder, runs)
    page = markdown(
        table, runs, meta=META_LEARNERS, headroom=_headroom(folder, runs), published=lines,
        made=shown, figures=True,
    )  # fmt: skip
    texts = {"table.md": page, "table.csv": csv(table), "table.tex": latex(shown, lines)}
    texts |= {"summary.csv": summary(shown)} | suite_figures(shown)
    disk.write_all({folder / name: text for name, text in texts.items()})
    return page


def made(write: Callable[[Path, Sequence[Run]], str], folder: Path, runs: Sequence[Run]) -> str:
    """Call what writes a suite's tables, where records may be of another kind than it expects.

    Args:
      write: `write`, or a script's own ``write_tables``.
      folder: ``results/<suite>``.
      runs: what `read_runs` gave.

    Returns:
      The Markdown page.

    Raises:
      ValueError: if a record lacks what the table is made of, or as `write`.
      OSError: if the files cannot be written.
    """
    try:
        return write(folder, runs)
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        why = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"the {len(runs)} records of {folder / 'runs'} do not make this table ({why}): one of "
            "them was not made by this suite, or not by this version of it"
        ) from error


def write_page(folder: Path, frame: pd.DataFrame, page: str) -> str:
    """Write table.csv and table.md of a suite that makes its own; returns the page.

    Args:
      folder: ``results/<suite>``.
      frame: the table; numbers are written with six digits.
      page: the same in Markdown.

    Raises:
      OSError: if the files cannot be written.
    """
    disk.write_all({folder / "table.csv": csv(frame), folder / "table.md": page})
    return page


def published_lines(folder: Path, runs: Sequence[Run]) -> list[published.Line]:
    """Read the published numbers of the benchmarks that were run, beside a suite's folder."""
    path = folder.parent / "published.csv"
    return published.lines(published.read(path), runs) if path.exists() else []


def _headroom(folder: Path, runs: Sequence[Run]) -> pd.DataFrame | None:
    """What the table of all families says of the data of these runs."""
    path = folder.parent / "headroom" / "headroom.csv"
    if not path.exists():
        return None
    frame = pd.read_csv(path)
    names = {name for run in runs for name in run.environment.get("cards", {})}
    mine = frame[frame.family.isin(names)]
    return mine if len(mine) else None
