"""Arrays that the rest of the code may rely on (a part of `metajax.recorded`)."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

BOMB = 2**28, 200  # bytes, and how many times the file's own: more is no array of ours
INTEGERS, NUMBERS = "iu", "iufb"


def arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz file: no objects, no paths in names, nothing that bursts the memory."""
    with path.open("rb") as file:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
        if other := [entry.filename for entry in entries if not entry.filename.endswith(".npy")]:
            raise ValueError(f"{other[0][:80]!r} is no array")
        names = [entry.filename.removesuffix(".npy") for entry in entries]
        if len(set(names)) < len(names):
            raise ValueError("an array is there twice")
        if bad := [name for name in names if not re.fullmatch(r"\w{1,80}", name)]:
            raise ValueError(f"{bad[0][:80]!r} is no name of an array")
        whole, most = sum(entry.file_size for entry in entries), path.stat().st_size * BOMB[1]
        if whole > max(BOMB[0], most):
            raise ValueError(f"it would unpack to {whole / 1e9:.1f} GB")
        file.seek(0)
        with np.load(file, allow_pickle=False) as opened:
            return {name: opened[name] for name in opened.files}


def shape(name: str, array: np.ndarray, wanted: tuple[int, ...], kinds: str) -> None:
    """Raises ValueError unless an array has this shape, and a dtype of one of these kinds."""
    if array.shape != wanted:
        raise ValueError(f"{name} has the shape {array.shape}, not {wanted}")
    if array.dtype.kind not in kinds:
        what = {INTEGERS: "integers", NUMBERS: "numbers"}.get(kinds, "texts")
        raise ValueError(f"{name} holds {array.dtype}, no {what}")


def check_scores(scores: Mapping[str, np.ndarray], keys: Iterable[str], titles: int) -> None:
    """Raises ValueError unless the arrays fit together.

    Args:
      scores: with these keys.
      keys: columns of integers, one entry an episode.
      titles: how many tasks have a name; 0: none.
    """
    rows, left = scores["task"].shape[:1], dict(scores)
    for name in keys:
        shape(name, left.pop(name), rows, INTEGERS)
    if ((scores["draw"] != 0) & (scores["draw"] != 1)).any():
        raise ValueError("draw must be 0 or 1")
    for name in ("shots", "task"):
        if (scores[name] < 0).any():
            raise ValueError(f"{name} has entries below 0")
    if titles and rows[0] and scores["task"].max() >= titles:
        raise ValueError(f"task {scores['task'].max()} has no name: {titles} are named")
    if "boot" in left:
        own = ("boot_shots", "boot_draw", "boot_metric", "boot_task")
        if lacking := [name for name in own if name not in left]:
            raise ValueError(f"no {', '.join(lacking)}")
        boot, where, tasks = (left.pop(n) for n in ("boot", "boot_metric", "boot_task"))
        shape("boot", boot, (len(where), len(tasks), boot.shape[-1] if boot.ndim == 3 else -1),
              NUMBERS)  # fmt: skip
        shape("boot_metric", where, (len(where),), "U")
        shape("boot_task", tasks, (len(tasks),), INTEGERS)
        for name in ("boot_shots", "boot_draw"):
            shape(name, left.pop(name), (len(where),), INTEGERS)
    if "calibration" in left or "calibration_shots" in left:
        if lacking := [n for n in ("calibration", "calibration_shots") if n not in left]:
            raise ValueError(f"no {lacking[0]}")
        bins, sizes = left.pop("calibration"), left.pop("calibration_shots")
        shape("calibration_shots", sizes, sizes.shape[:1], INTEGERS)
        shape("calibration", bins, (len(sizes), *bins.shape[1:2], 10, 3), NUMBERS)
        if len(sizes) and not bins.shape[1]:
            raise ValueError("calibration has no draw")
    if "weight_counts" in left or "weight_edges" in left:
        if lacking := [n for n in ("weight_counts", "weight_edges") if n not in left]:
            raise ValueError(f"no {lacking[0]}")
        counts, edges = left.pop("weight_counts"), left.pop("weight_edges")
        shape("weight_counts", counts, (2, *counts.shape[1:2]), NUMBERS)
        shape("weight_edges", edges, (counts.shape[1] + 1,), NUMBERS)
    for name, array in left.items():
        shape(name, array, rows, NUMBERS)
