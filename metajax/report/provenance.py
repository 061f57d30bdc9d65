"""Data cards and environment of the records, as HTML (part of the report)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from metajax import redact
from metajax.datasets import CARDS, Card
from metajax.report import readings
from metajax.tables.records import Run, mixed_sources

_FIELDS = (
    ("title", "name"), ("task", "one task"), ("label", "label"), ("split_unit", "split unit"),
    ("row_group", "row group"), ("cluster", "cluster"), ("splits", "splits"),
    ("protocol", "how the files are read"), ("overlaps", "overlaps and leaks"),
    ("intended_use", "intended use"), ("improper_use", "improper use"), ("licence", "licence"),
    ("citation", "citation"), ("homepage", "more"),
)  # fmt: skip
_MOST = 6  # values listed of one entry


def recorded(runs: Iterable[Run]) -> dict[str, dict[str, Any]]:
    """Return the data sets that the runs name: version and sha256 of every file, by name."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        for name, card in (run.environment.get("cards") or {}).items():
            one = found.setdefault(name, {"versions": set(), "files": {}})
            one["versions"].add(str(card.get("version", "unknown")))
            for path, digest in (card.get("files") or {}).items():
                one["files"].setdefault(path, set()).add(str(digest))
    return dict(sorted(found.items()))


def known(runs: Iterable[Run]) -> dict[str, Card]:
    """Return those cards of this version of MetaJAX that the runs were made with."""
    return {name: CARDS[name] for name, one in recorded(runs).items()
            if name in CARDS and one["versions"] == {CARDS[name].version}}  # fmt: skip


def cards(runs: Sequence[Run]) -> str:
    """Write the data cards as HTML."""
    out, have, read = [], known(runs), readings.readings(runs)
    for name, one in recorded(runs).items():
        rows = [("version in the records", ", ".join(sorted(one["versions"])))]
        if name in have:
            rows += [(told, str(getattr(have[name], field))) for field, told in _FIELDS]
        elif name in CARDS:
            rows.append(("card", f"changed since: now version {CARDS[name].version}"))
        else:
            rows.append(("card", "not one of this library's data sets"))
        for path, digests in sorted(one["files"].items()):
            rows.append((path, f"sha256 {', '.join(sorted(digests))}"))
        as_read = readings.html(read[name]) if name in read else ""
        out.append(f"<details><summary>{escape(name)}</summary>{pairs(rows)}{as_read}</details>")
    if not out:
        return "<p>The runs name no data set: synthetic tasks, or no card was kept.</p>"
    return "".join(out)


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Write names and texts as a table."""
    lines = "\n".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>'
                      for name, text in rows)  # fmt: skip
    return f'<table class="wrap"><tbody>{lines}</tbody></table>'


def environment(runs: Sequence[Run]) -> str:
    """Write where the runs were made and what they took; what differs between them is listed."""
    rows = [("runs", str(len(runs)))]
    seen = leaves([run.environment for run in runs])
    # Records of earlier versions hold the command line as it was typed.
    hidden = {"command": [redact.text(str(v)) for v in seen.get("command", ())]}
    rows += [(name, listed(v)) for name, v in (seen | hidden).items()
             if v and not name.startswith("cards")]  # fmt: skip
    if mixed := mixed_sources(runs):
        rows.append(("made by different versions of", "; ".join(
            f"{file} ({', '.join(learners)})" for file, learners in mixed.items())))
    spent = leaves([{"seconds": run.result.get("seconds") or {}} for run in runs])
    spent |= leaves([{k: v for k, v in run.result.items() if k in _MEASURED} for run in runs])
    rows += [(f"{name}, a run", span(values)) for name, values in spent.items()]
    return f"<details><summary>{len(runs)} runs</summary>{pairs(rows)}</details>"


_MEASURED = ("runs_in_program", "seconds_to_first_call", "peak_memory", "energy", "memory")


def leaves(trees: Iterable[Any]) -> dict[str, list]:
    """The different values of every leaf of nested dictionaries, by dotted name."""
    seen: dict[str, dict] = {}

    def walk(value: Any, name: str) -> None:
        if isinstance(value, dict):
            for key in sorted(value):
                walk(value[key], f"{name}.{key}" if name else str(key))
        elif value is not None:
            seen.setdefault(name, {})[repr(value)] = value

    for tree in trees:
        walk(tree, "")
    return {name: list(seen[name].values()) for name in sorted(seen)}


def listed(values: Sequence[Any]) -> str:
    """Values in order, the first few named."""
    texts = sorted({str(value) for value in values})
    more = f" and {len(texts) - _MOST} more" if len(texts) > _MOST else ""
    return ", ".join(texts[:_MOST]) + more


def span(values: Sequence[Any]) -> str:
    """The range of numbers, or a list."""
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(numbers) < len(values) or not numbers:
        return listed(values)
    low, high = min(numbers), max(numbers)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
