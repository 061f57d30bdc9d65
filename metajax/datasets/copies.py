"""Prepared copies on the disk: their names, and whether they are whole."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from metajax import disk
from metajax.datasets.cards import Card
from metajax.datasets.files import cache_root, digest

MANIFEST = "sha256.json"
_PACKAGE = __name__.rpartition(".")[0]
# Modules whose changes do not change what a reader makes of a file.
_PLUMBING = tuple(
    f"{_PACKAGE}.{name}" for name in ("cards", "copies", "family", "files", "loading", "prepared")
)


def place(
    card: Card, sources: Sequence[Path], code: str = "", cache: str | Path | None = None
) -> Path:
    """The folder of a prepared copy, whether it exists or not.

    Its name is made of the card's name and version, the checksums of the raw files and the text of
    the reader: whatever changes one of them makes another copy.

    Args:
      card: of the data set.
      sources: its raw files.
      code: name of the module that reads them.
      cache: default ``METAJAX_CACHE``, else ``~/.cache/metajax``.
    """
    key = json.dumps([card.name, card.version, _texts(code), [digest(path) for path in sources]])
    name = f"{card.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    return cache_root(cache) / "prepared" / name


def _texts(code: str) -> list[str]:
    """The text of a reader's module and of the modules of this package that it takes from."""
    pending, seen, texts = [code], set(_PLUMBING), []
    while pending:
        name = pending.pop()
        file = getattr(sys.modules.get(name), "__file__", None)
        if name in seen or file is None:
            continue
        seen.add(name)
        texts.append(Path(file).read_text())
        for value in vars(sys.modules[name]).values():
            origin = value.__name__ if isinstance(value, ModuleType) else None
            origin = origin or getattr(value, "__module__", None)
            if isinstance(origin, str) and origin.startswith(f"{_PACKAGE}."):
                pending.append(origin)
    return sorted(texts)


def seal(folder: Path) -> None:
    """Writes the checksums of all files of a folder into it; the last step of its preparation."""
    sums = {str(p.relative_to(folder)): digest(p) for p in folder.rglob("*") if p.is_file()}
    disk.write(folder / MANIFEST, json.dumps(sums, indent=1, sort_keys=True))


def whole(folder: Path) -> bool:
    """Whether every file of a prepared copy is there with the bytes that were written."""
    try:
        sums = json.loads((folder / MANIFEST).read_text())
        return bool(sums) and all(digest(folder / name) == value for name, value in sums.items())
    except (OSError, ValueError, AttributeError):
        return False
