"""The record of a run on disk: JSON and npz, written whole or not at all (floor 5).

``<suite>/runs/<id>/`` holds ``config.json``, ``environment.json``, ``metrics.jsonl``,
``result.json``, ``scores.npz`` and ``predictions.npz``. The id is a digest of what determines the
numbers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

import metajax
from metajax import precision, redact, sources
from metajax.config import RunConfig
from metajax.datasets import Card
from metajax.disk import Claimed, claim, naming, write, write_json
from metajax.recorded import SOURCES, best_validation, read_sources

__all__ = [
    "FINISHED", "NUMBERS_VERSION", "PACKAGES", "SOURCES", "Claimed", "best_validation", "claim",
    "environment", "identity", "is_complete", "kept", "name_of", "outdated", "run_id", "settle",
    "sources_of", "standing", "told_cards", "usage", "write_json", "write_record",
]  # fmt: skip
# Raised when a change of code changes what a number means: old runs are then other runs.
NUMBERS_VERSION = 1
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "scikit-learn")

FINISHED = "finished before"
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # what getrusage counts in


def identity(config: RunConfig, definition: Mapping[str, Any]) -> dict[str, Any]:
    """What determines a run's numbers beside its data, as config.json keeps it.

    Args:
      config: resolved.
      definition: of its benchmark; see `metajax.benchmarks.defined`.
    """
    return dataclasses.asdict(config) | {
        "definition": dict(definition), "jax": precision.unusual()
    }  # fmt: skip


def name_of(identity: Mapping[str, Any], cards: Mapping[str, Any]) -> str:
    """The name of a record: readable first, then a digest of what determines its numbers.

    Args:
      identity: see `identity`, or config.json.
      cards: of its data, by name: ``version``, and ``files`` by path with their sha256, as
        environment.json keeps them.
    """
    told = json.loads(json.dumps(identity))
    told["train"].pop("task_axis")  # no layout changes a number
    # So that a hyper-parameter of a new learner changes no other learner's names.
    told["inner"] = {flag: value for flag, value in told["inner"].items() if value is not None}
    files = sorted(pair for card in cards.values() for pair in card["files"].items())
    versions = sorted((name, card["version"]) for name, card in cards.items())
    content = json.dumps([told, files, versions, NUMBERS_VERSION], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:10]
    return f"{told['benchmark']}-{told['learner']}-s{told['seed']}-{digest}"


def run_id(config: RunConfig, cards: Iterable[Card], definition: Mapping[str, Any]) -> str:
    """The identity of a run; see `identity` and `name_of`."""
    return name_of(identity(config, definition), told_cards(cards))


def told_cards(cards: Iterable[Card]) -> dict[str, Any]:
    """What environment.json keeps of data cards."""
    return {
        card.name: {
            "version": card.version,
            "files": {file.path: file.sha256 for file in card.files},
            **({"reading": json.loads(card.reading)} if card.reading else {}),
        }
        for card in cards
    }


def environment(cards: Iterable[Card]) -> dict[str, Any]:
    """Where a run happened: commit, packages, device, flags, hardware, data. No secrets."""
    device = jax.devices()[0]
    return {
        "metajax": metajax.__version__,
        "numbers_version": NUMBERS_VERSION,
        "commit": _git("rev-parse", "HEAD"),
        "modified": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "command": redact.command([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "device": {
            "platform": device.platform, "kind": device.device_kind, "count": jax.device_count(),
        },
        "hardware": {"machine": platform.machine(), "cpu": _cpu(), "cores": os.cpu_count()},
        "flags": precision.flags(),
        "cards": told_cards(cards),
    }


def usage(seconds: float) -> dict[str, Any]:
    """What a program took: of all runs that it trained together, no energy (it is not measured).

    Args:
      seconds: wall time.

    Returns:
      ``device_seconds``: wall time by the number of devices it held, busy or not;
      ``peak_memory_bytes``: of the process (``host``, since it started) and of the fullest device
      (``device``; absent where the device does not tell, as the CPU).
    """
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    peak = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT}
    if told := [one["peak_bytes_in_use"] for one in stats if "peak_bytes_in_use" in one]:
        peak["device"] = max(told)
    held = round(seconds * jax.device_count(), 2)
    return {"device_seconds": held, "peak_memory_bytes": peak}


def _git(*arguments: str) -> str | None:
    """What git says of the folder the package lies in, None without git or a checkout."""
    command = ["git", "-C", str(Path(metajax.__file__).parent), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _cpu() -> str:
    """The processor's name as the kernel gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((s.partition(":")[2].strip() for s in lines if s.startswith("model name")), "")


def is_complete(folder: Path) -> bool:
    """True if a finished record lies here (its last file is written before the rename)."""
    return (folder / "result.json").is_file()


def write_record(
    partial: Path,
    folder: Path,
    *,
    identity: Mapping[str, Any],
    environment: Mapping[str, Any],
    history: list[dict[str, Any]],
    result: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    predictions: Mapping[str, np.ndarray] | None = None,
    origins: Mapping[str, str] | None = None,
    replace: bool = False,
) -> None:
    """Completes the record in its temporary folder and renames that into place.

    Args:
      partial: the run's temporary folder; what else it holds (checkpoints) moves along.
      folder: the final name; if another process was faster, its record is kept.
      identity: see `identity`.
      environment: see `environment`.
      history: lines of metrics.jsonl.
      result: status, units, times.
      arrays: the content of scores.npz; without any (the run diverged) there is no such file.
      predictions: the content of predictions.npz, likewise.
      origins: digests of the files that the numbers come from; see `metajax.origins`.
      replace: a record that is there, once this one is whole.

    Raises:
      OSError: if the disk is full or read-only; the temporary folder is then left as it is.
    """
    partial.mkdir(parents=True, exist_ok=True)
    write_json(partial / "config.json", identity)
    write_json(partial / "environment.json", environment)
    if origins is not None:
        write_json(partial / SOURCES, origins)
    lines = "".join(json.dumps(line, sort_keys=True) + "\n" for line in history)
    write(partial / "metrics.jsonl", lines)
    for file, content in (("scores.npz", arrays), ("predictions.npz", predictions)):
        if content:
            with naming(partial / file):
                np.savez_compressed(partial / file, **content)
    write_json(partial / "result.json", result)
    for path in partial.iterdir():  # a power cut must not leave a name without its bytes
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    if is_complete(folder) and not replace:
        return
    if folder.exists():  # a record to replace, or one that lost its result
        old = _replaced(folder)
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(_replaced(folder), ignore_errors=True)


def _replaced(folder: Path) -> Path:
    """Where a record waits until the one that replaces it is in its place."""
    return folder.with_name(f".replaced-{folder.name}")


def settle(folder: Path) -> None:
    """Tidies up after a process that was killed as it replaced this record: the old one is back."""
    old = _replaced(folder)
    if not old.is_dir():
        return
    if is_complete(folder) or not is_complete(old):
        shutil.rmtree(old, ignore_errors=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        old.rename(folder)


def sources_of(folder: Path) -> dict[str, str] | None:
    """The digests of sources that a record keeps; None if it was made before they were kept."""
    try:
        return read_sources(folder)
    except ValueError:  # damaged: nothing is known
        return None


def outdated(folder: Path, now: Mapping[str, str] | None = None) -> list[str]:
    """The source files that have changed since a record was made; none if it keeps no sources.

    Args:
      folder: of the record.
      now: today's digests of the files that its numbers would come from.
    """
    return sources.changed(sources_of(folder) or {}, now)


def standing(folder: Path, now: Mapping[str, str], *, again: bool = False) -> str:
    """What is to be said of a finished record that stays; nothing if the run is to be made.

    Args:
      folder: of the record, claimed.
      now: today's digests of the sources; see `metajax.origins`.
      again: a record whose sources have changed since does not stay.
    """
    settle(folder)
    if not is_complete(folder):
        return ""
    files = outdated(folder, now)
    return "" if files and again else kept(folder, files)


def kept(folder: Path, files: Sequence[str]) -> str:
    """What is said of a finished record that is not made again.

    Args:
      folder: of the record.
      files: see `outdated`.
    """
    if files:
        has = "has" if len(files) == 1 else "have"
        return f"kept, but {', '.join(files)} {has} changed since: --again runs it anew"
    if sources_of(folder) is None:
        return "kept; it is older than the digests of sources, so what has changed is not known"
    return FINISHED
