"""A card as a Markdown page, and the index of all of them: the docs are rendered, not written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from metajax import disk
from metajax.datasets.cards import UNKNOWN_COUNT, Card

NOTE = "<!-- Rendered from the card by `python scripts/data.py pages`; edit the card instead. -->"
BEGIN, END = "<!-- headroom -->", "<!-- end -->"
PLACEHOLDER = "Adaptation headroom has not been measured for these families yet."


def markdown(card: Card) -> str:
    """The page of a data set.

    Args:
      card: what to render.

    Returns:
      Markdown that ends with a newline; a pure function of the card.
    """
    counts = card.counts
    facts = [
        ("domain", card.domain),
        ("tasks", _number(counts.tasks)),
        ("labelled rows", _number(counts.rows)),
        ("distinct cases", _number(counts.items)),
        ("rows by label (0, 1, ...)", " / ".join(map(_number, counts.labels))),
        ("meta-train / validation / test", " / ".join(map(_number, counts.split))),
        ("split unit: never on two sides of a meta-split", _text(card.split_unit)),
        ("row group: never in both support and query", _text(card.row_group)),
        ("cluster: the bootstrap's unit", _text(card.cluster)),
        ("licence", _text(card.licence)),
        ("more", f"<{card.homepage}>" if card.homepage.startswith("http") else card.homepage),
        ("version", card.version),
    ]
    prose = [
        ("One task", card.task),
        ("Label", card.label),
        ("Splits", card.splits),
        ("How the files are read", card.protocol),
        ("Overlaps and leaks", card.overlaps),
        ("Intended use", card.intended_use),
        ("Improper use", card.improper_use),
        ("Citation", card.citation),
    ]
    parts = [NOTE, f"# `{card.name}`", _text(card.title) + "."]
    parts.append(_table(("", ""), [fact for fact in facts if fact[1]]))
    parts += [f"## {heading}\n\n{_text(text)}" for heading, text in prose]
    if card.prevalence:
        parts.append("## Tasks\n\n" + _prevalence(card))
    parts.append("## Files\n\n" + _files(card))
    return "\n\n".join(parts) + "\n"


def _prevalence(card: Card) -> str:
    """Rows of every task, and how many of them have label 1 where that means something."""
    binary = bool(card.counts.labels)
    head = ("task", "rows", "label 1", "share") if binary else ("task", "rows")
    lines = []
    for name, rows, ones in card.prevalence:
        share = (_number(ones), f"{ones / rows:.3f}" if rows else "") if binary else ()
        lines.append((_text(name), _number(rows), *share))
    return _table(head, lines)


def _files(card: Card) -> str:
    """The raw files with their checksums."""
    if not card.files:
        return "None: the data come with an installed package."
    lines = ["Files of one role are alternatives that yield the same examples.", ""]
    for file in card.files:
        algorithm, value = file.checksum
        role = f"role {file.role}, " if file.role else ""
        optional = "optional, " if file.optional else ""
        size = f"{file.size:,} bytes" if file.size else "size unknown"
        address = f"<{file.url}>" if file.url else "repacked, no address"
        lines.append(f"- `{file.path}` ({role}{optional}{size}): {algorithm} `{value}`, {address}")
    return "\n".join(lines)


def index(cards: Iterable[Card], headroom: str = PLACEHOLDER) -> str:
    """The list of all families.

    Args:
      cards: in the order in which they are listed.
      headroom: what stands in the marked block at the top.
    """
    head = ("family", "domain", "tasks", "rows", "split unit", "row group", "cluster", "licence")
    lines = [
        (
            f"[`{card.name}`]({card.name}.md)",
            card.domain,
            _number(card.counts.tasks),
            _number(card.counts.rows),
            *map(_text, (card.split_unit, card.row_group, card.cluster, card.licence)),
        )
        for card in cards
    ]
    block = f"{BEGIN}\n{headroom.strip()}\n{END}"
    return "\n\n".join([NOTE, "# Families of tasks", block, _table(head, lines)]) + "\n"


def render(cards: Iterable[Card], folder: str | Path) -> dict[str, str]:
    """All pages by file name; what stands in the index's marked block of `folder` is kept."""
    cards = sorted(cards, key=lambda card: (card.domain, card.name))
    old = Path(folder) / "README.md"
    text = old.read_text() if old.is_file() else ""
    kept = text.partition(BEGIN)[2].partition(END)[0].strip() if END in text else ""
    pages = {f"{card.name}.md": markdown(card) for card in cards}
    return pages | {"README.md": index(cards, kept or PLACEHOLDER)}


def write(cards: Iterable[Card], folder: str | Path) -> list[Path]:
    """Writes the pages, and removes those of families that are gone.

    Returns:
      The paths of all pages.
    """
    folder = Path(folder)
    pages = render(cards, folder)
    folder.mkdir(parents=True, exist_ok=True)
    disk.write_all({folder / name: text for name, text in pages.items()})
    for path in folder.glob("*.md"):  # after the new ones are whole
        if path.name not in pages:
            path.unlink()
    return [folder / name for name in pages]


def _number(value: int) -> str:
    """With thousands separated."""
    return "unknown" if value == UNKNOWN_COUNT else f"{value:,}"


def _text(text: str) -> str:
    """Free text with what Markdown would take as markup made plain."""
    for mark, plain in (("\\", "\\\\"), ("&", "&amp;"), ("<", "&lt;"), ("*", "\\*"), ("|", "\\|")):
        text = text.replace(mark, plain)
    return " ".join(text.split())


def _table(head: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    rows = [head, ("---",) * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
