"""What hostile lines need in their folder before they start; each is called with that folder."""

import os
from pathlib import Path

from hostile import records
from hostile.array_files import arrays

__all__ = ["arrays", "symlink_loop"]


def symlink_loop(tmp: Path) -> None:
    """Two links that lead to each other."""
    os.symlink("b.yaml", tmp / "a.yaml")
    os.symlink("a.yaml", tmp / "b.yaml")


globals().update(records.SETUPS)  # one for each kind of damage
