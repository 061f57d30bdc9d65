"""Real tables with cards, checksums and official addresses; numpy in, numpy out."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable

from metajax.datasets import bundled, heart_uci, support2
from metajax.datasets.cards import UNKNOWN, Card, File
from metajax.datasets.files import DataError
from metajax.datasets.table import Table, scaled

__all__ = ["CARDS", "DATASETS", "UNKNOWN", "Card", "DataError", "File", "Table", "load", "scaled"]

DATASETS: dict[str, Callable[[str | os.PathLike | None], Table]] = {
    "heart_uci": heart_uci.load,
    "support2": support2.load,
    "sklearn_tables": bundled.sklearn_tables,
}
CARDS: dict[str, Card] = {card.name: card for card in (heart_uci.CARD, support2.CARD, bundled.CARD)}


def load(name: str, data_dir: str | os.PathLike | None = None) -> Table:
    """A family of tables by name.

    Args:
      name: a key of `DATASETS`.
      data_dir: the data directory; default ``METAJAX_DATA``. Absent files are downloaded.

    Returns:
      Its rows, labels, tasks and card.

    Raises:
      DataError: for an unknown name, or data that is absent or not what the card says.
    """
    if name not in DATASETS:
        close = difflib.get_close_matches(name, DATASETS)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise DataError(f"unknown data set {name!r}; there are {', '.join(sorted(DATASETS))}{hint}")
    return DATASETS[name](data_dir)
