"""How a user's own table was read, as HTML (part of the report)."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from metajax.datasets import own
from metajax.tables.records import Run

HEAD = ("column", "role", "taken for", "values", "missing", "said", "becomes", "note")


def readings(runs: Iterable[Run]) -> dict[str, own.Reading]:
    """The reading reports that the runs' records hold, by data set; what is none is left out."""
    found: dict[str, own.Reading] = {}
    for run in runs:
        for name, card in (run.environment.get("cards") or {}).items():
            if isinstance(card, dict) and "reading" in card and name not in found:
                try:
                    found[name] = own.restored_reading(card["reading"])
                except ValueError:  # of another version: the record says which
                    continue
    return found


def html(reading: own.Reading) -> str:
    """A table with a row for every column of the file."""
    head = "".join(f'<th scope="col">{name}</th>' for name in HEAD)
    lines = []
    for one in reading.columns:
        share = f"{one.missing} ({100 * one.missing / max(reading.rows, 1):.0f}%)"
        said = ", ".join(f"{text or 'empty'} {n}" for text, n in one.codes)
        cells = (one.role, one.kind, one.values, share if one.missing else "", said,
                 one.treatment, one.note)  # fmt: skip
        lines.append(f'<tr><th scope="row">{escape(one.name)}</th>'
                     + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")  # fmt: skip
    notes = "".join(f"<p>{escape(note)}</p>" for note in reading.notes)
    return (f"<p>{escape(reading.file)}: {reading.rows} rows were read so.</p>{notes}"
            f'<table class="wrap"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody>'
            "</table>")  # fmt: skip
