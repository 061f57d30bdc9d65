"""What the scripts that measure known figures again have in common: their tables and their origin.

Imported by its neighbours; run as a script it does nothing.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from metajax import disk, records
from metajax.datasets import Card


def origin(cards: Iterable[Card]) -> tuple[str, str]:
    """The command line, and the commit, "with changes" if tracked files differ from it."""
    told = records.environment(cards)
    commit = (told["commit"] or "unknown")[:7]
    return f"python scripts/{told['command']}", commit + (" with changes" * told["modified"])


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines]


def write(
    folder: Path, name: str, header: Sequence[str], rows: Iterable[Sequence[object]], page: str
) -> None:
    """Writes <name>.csv and <name>.md."""
    folder.mkdir(parents=True, exist_ok=True)
    csv.writer(stream := io.StringIO(), lineterminator="\n").writerows([header, *rows])
    disk.write_all({
        folder / f"{name}.csv": stream.getvalue(),
        folder / f"{name}.md": page.rstrip("\n") + "\n",
    })
