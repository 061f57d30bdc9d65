"""The names of records whose copies in W&B could not be made (a part of `metajax.tracking`).

``results/<suite>/.uncopied``, one name a line. `scripts/wandb_sync.py` makes these copies.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

from metajax import disk

NAME = ".uncopied"


def note(folder: Path, run: str) -> None:
    """Adds a name; lines of several processes do not mix. That it cannot be kept is no failure."""
    with contextlib.suppress(OSError), (folder / NAME).open("a", encoding="utf-8") as file:
        file.write(f"{run}\n")


def noted(folder: Path) -> list[str]:
    """The names of records that are still there, each once."""
    try:
        lines = (folder / NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    names = dict.fromkeys(line for line in lines if line and "/" not in line and "\0" not in line)
    return [name for name in names if (folder / "runs" / name / "config.json").is_file()]


def settle(folder: Path, done: Collection[str]) -> None:
    """Takes names out, which other processes may be adding to meanwhile."""
    if not (folder / NAME).exists():
        return
    with disk.claim(folder / "runs", [NAME]):
        left = [name for name in noted(folder) if name not in done]
        if left:
            disk.write(folder / NAME, "".join(f"{name}\n" for name in left))
        else:
            (folder / NAME).unlink(missing_ok=True)
