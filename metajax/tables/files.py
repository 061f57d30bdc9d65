"""The files of a suite's table (a part of `metajax.tables`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from metajax.learners import META_LEARNERS
from metajax.tables.long import csv, long_table
from metajax.tables.markdown import markdown
from metajax.tables.records import Run


def write(folder: Path, runs: Sequence[Run]) -> str:
    """Write ``table.md`` and ``table.csv``; a ``headroom.csv`` that lies there is included.

    Args:
      folder: ``results/<suite>``.
      runs: what `load_runs` gave.

    Returns:
      The Markdown page.

    Raises:
      ValueError: if the runs have none of the metrics, or the headroom table lacks a column.
      OSError: if the files cannot be written.
    """
    table, path = long_table(runs), folder / "headroom.csv"
    headroom = pd.read_csv(path) if path.exists() else None
    page = markdown(table, runs, meta=META_LEARNERS, headroom=headroom)
    (folder / "table.csv").write_text(csv(table))
    (folder / "table.md").write_text(page)
    return page
