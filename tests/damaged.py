"""Kinds of damage to the record of a run, as data: `damage(kind, folder)` for a kind of `KINDS`.

Each kind spoils one file of a whole record (`synthetic_runs.make_run` makes one), the file that
every reader must name; `FILE` says which. What is true of one kind of damage must be true of all:
the others' rows are written, the damaged record is named, and the exit status is not 0.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

Change = Callable[[Path], None]
ANY = {  # of any JSON file
    "absent": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a dead link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(b"\0" * 512),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "an array": lambda path: path.write_text("[1, 2]"),
    "null": lambda path: path.write_text("null"),
    "a text": lambda path: path.write_text('"complete"'),
    "two objects": lambda path: path.write_bytes(path.read_bytes() * 2),
    "no UTF-8": lambda path: path.write_bytes(path.read_bytes()[:-1] + b', "x": "\xff\xfe"}'),
    "UTF-16": lambda path: path.write_bytes(path.read_text().encode("utf-16")),
    "a byte order mark": lambda path: path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes()),
    "deep": lambda path: path.write_text('{"a":' * 100_000 + "1" + "}" * 100_000),
    "nested": lambda path: _set("x", json.loads("[" * 60 + "]" * 60))(path),
    "a huge integer": lambda path: _set("x", 10**400)(path),
    "an endless integer": lambda path: _raw("x", "9" * 5000)(path),
    "a name twice": lambda path: path.write_text(path.read_text()[:-1] + ', "z": 1, "z": 2}'),
    "an apostrophe": lambda path: path.write_text("{'seed': 0}"),
}


def _set(name: str, value: object) -> Change:
    """Another value of a field."""

    def change(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))

    return change


def _raw(name: str, text: str) -> Change:
    """The same, as it stands in the file."""

    def change(path: Path) -> None:
        path.write_text(f'{path.read_text().rstrip()[:-1]}, "{name}": {text}}}')

    return change


def _drop(name: str) -> Change:
    def change(path: Path) -> None:
        found = json.loads(path.read_text())
        del found[name]
        path.write_text(json.dumps(found))

    return change


def _line(text: str) -> Change:
    """A bad line among good ones."""

    def change(path: Path) -> None:
        path.write_text(f'{{"step": 1, "loss": 0.5}}\n{text}\n{{"step": 3, "loss": 0.4}}\n')

    return change


def _arrays(**changes: object) -> Change:
    """Other arrays of an npz file; None leaves one out."""

    def change(path: Path) -> None:
        with np.load(path) as archive:
            found = {name: archive[name] for name in archive.files}
        for name, value in changes.items():
            made = value(found[name]) if callable(value) else value
            found = {k: v for k, v in found.items() if k != name}
            found |= {} if value is None else {name: made}
        np.savez(path, **found)

    return change


def _member(name: str, data: bytes) -> Change:
    """One more file in the archive."""

    def change(path: Path) -> None:
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.NameToInfo.clear()  # else a warning of a name that is there twice
            archive.writestr(name, data)

    return change


def _npy(array: np.ndarray, pickled: bool = False) -> bytes:
    np.lib.format.write_array(stream := io.BytesIO(), array, allow_pickle=pickled)
    return stream.getvalue()


def _bomb(path: Path) -> None:
    """Some hundred kilobytes that unpack to half a gigabyte."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        with archive.open("bomb.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "|u1", "fortran_order": False, "shape": (2**29,)}
            )
            for _ in range(512):
                file.write(b"\0" * 2**20)


def _flip(path: Path) -> None:
    """One bit in the middle of the largest array."""
    with zipfile.ZipFile(path) as archive:
        most = max(archive.infolist(), key=lambda entry: entry.compress_size)
    data = bytearray(path.read_bytes())
    data[most.header_offset + 60 + most.compress_size // 2] ^= 1
    path.write_bytes(data)


class Boom:
    """What must never be unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled-by-a-reader",)


TWICE = _npy(np.zeros(3))
EVIL = _npy(np.array([Boom()], dtype=object), pickled=True)
NPZ = {  # of any npz file
    "absent": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "no zip": lambda path: path.write_text("scores"),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "a flipped bit": _flip,
    "an npy file": lambda path: path.write_bytes(_npy(np.zeros(3))),
    "a pickle": lambda path: path.write_bytes(pickle.dumps({"task": [0]})),
    "an object": _member("evil.npy", EVIL),
    "a path": _member("../../evil.npy", _npy(np.zeros(3))),
    "a text file": _member("note", b"hello"),
    "a bomb": _bomb,
}
FIELDS: dict[str, dict[str, Change]] = {
    "config.json": {
        **{f"no {name}": _drop(name) for name in ("suite", "benchmark", "learner", "seed")},
        "no shots": _drop("shots"),
        "seed a text": _set("seed", "0"), "seed true": _set("seed", True),
        "seed null": _set("seed", None), "seed half": _set("seed", 0.5),
        "seed NaN": _set("seed", float("nan")), "seed below 0": _set("seed", -1),
        "shots a text": _set("shots", "8"), "shots texts": _set("shots", ["8", "16"]),
        "shots empty": _set("shots", []), "shots huge": _set("shots", [2**40]),
        "shots an object": _set("shots", {"8": 8}),
        "suite a number": _set("suite", 7), "benchmark empty": _set("benchmark", ""),
        "learner a list": _set("learner", ["maml"]), "inner a text": _set("inner", "lr=0.1"),
        "train a list": _set("train", [1]),
    },
    "result.json": {
        "no status": _drop("status"), "status unknown": _set("status", "done"),
        "status a list": _set("status", ["complete"]),
        "tasks an object": _set("tasks", {"0": "a"}), "tasks a text": _set("tasks", "abc"),
        "tasks of objects": _set("tasks", [{}, {}, {}]), "too few tasks": _set("tasks", ["a"]),
        "protocol a list": _set("protocol", ["disjoint"]),
        "seconds a text": _set("seconds", "12"), "seconds of texts": _set("seconds", {"fit": "1"}),
        "seconds NaN": _set("seconds", {"total": float("nan")}),
        "memory a number": _set("peak_memory_bytes", 7),
        "memory of texts": _set("peak_memory_bytes", {"host": "7 GB"}),
        "hyper a list": _set("hyper", [1]),
    },
    "environment.json": {
        "cards a list": _set("cards", ["heart"]), "cards of texts": _set("cards", {"heart": "1"}),
        "files a list": _set("cards", {"heart": {"version": "1", "files": ["a"]}}),
        "packages a text": _set("packages", "jax"), "device a text": _set("device", "cpu"),
        "commit a number": _set("commit", 7), "modified a text": _set("modified", "yes"),
        "numbers_version a text": _set("numbers_version", "1"),
    },
    "scores.npz": {
        **{f"no {name}": _arrays(**{name: None}) for name in
           ("task", "draw", "shots", "boot_task", "calibration_shots")},
        "another length": _arrays(auroc=np.zeros(3, np.float32)),
        "a single number": _arrays(task=np.int32(0)),
        "tasks half": _arrays(task=lambda a: a + 0.5),
        "tasks NaN": _arrays(task=lambda a: a * np.nan),
        "tasks below 0": _arrays(task=lambda a: a - 1),
        "tasks unnamed": _arrays(task=lambda a: a + 9),
        "shots texts": _arrays(shots=lambda a: a.astype(str)),
        "a draw too many": _arrays(draw=lambda a: a + 1),
        "scores texts": _arrays(auroc=lambda a: a.astype(str)),
        "scores complex": _arrays(auroc=lambda a: a * 1j),
        "two columns": _arrays(auroc=lambda a: np.stack([a, a], 1)),
        "replicates flat": _arrays(boot=lambda a: a[..., 0]),
        "replicates of other tasks": _arrays(boot_task=np.arange(2)),
        "names of replicates numbers": _arrays(boot_metric=np.arange(8)),
        "bins missing": _arrays(calibration=lambda a: a[:, :, :5]),
        "an array twice": _member("auroc.npy", TWICE),
    },
    "metrics.jsonl": {
        "half a line": _line('{"step": 2, "lo'), "an array": _line("[2, 0.5]"),
        "a step a text": _line('{"step": "2", "loss": 0.5}'),
        "a loss a text": _line('{"step": 2, "loss": "0.5"}'),
        "a loss an object": _line('{"step": 2, "loss": {"a": 1}}'),
        "a fold a list": _line('{"step": 2, "fold": [0], "loss": 1}'),
        "deep": _line('{"a":' * 100_000 + "1" + "}" * 100_000),
        "no UTF-8": lambda path: path.write_bytes(b'{"step": 1, "phase": "\xff"}\n'),
    },
    "predictions.npz": {
        "no outputs": _arrays(outputs=None), "too few rows": _arrays(y=lambda a: a[1:], outputs=
            lambda a: a[1:]), "too few queries": _arrays(queries=lambda a: a[1:]),
        "queries below 0": _arrays(queries=lambda a: a - 9),
        "outputs texts": _arrays(outputs=lambda a: a.astype(str)),
        "labels of other rows": _arrays(y=lambda a: a[:, :1]),
        "flat": _arrays(outputs=lambda a: a.ravel(), y=lambda a: a.ravel()),
    },
}  # fmt: skip
KINDS: dict[str, Change] = {}
FILE: dict[str, str] = {}
for _file, _fields in FIELDS.items():
    _all = (ANY if _file.endswith(".json") else NPZ if _file.endswith(".npz") else {}) | _fields
    if _file == "predictions.npz":  # it may be absent
        _all = {name: change for name, change in _all.items() if name != "absent"}
    for _name, _change in _all.items():
        KINDS[f"{_file}: {_name}"], FILE[f"{_file}: {_name}"] = _change, _file
# Where two files do not fit together, the second is named.
NAMED = {"result.json: too few tasks": "scores.npz"}
# Read by the copies in W&B, or by the report alone; a table does without.
NOT_IN_TABLES = ("metrics.jsonl", "predictions.npz")


def damage(kind: str, folder: Path) -> Path:
    """Spoils a whole record; returns the path of the file that readers must name."""
    path = Path(folder) / FILE[kind]
    if path.name == "metrics.jsonl" and not path.exists():
        path.write_text('{"step": 1, "loss": 0.5}\n')
    if path.name == "predictions.npz" and not path.exists():
        with np.load(Path(folder) / "scores.npz") as archive:
            episodes = len(archive["task"])
        keep_predictions(path, episodes)
    KINDS[kind](path)
    return path.with_name(NAMED.get(kind, path.name))


def keep_predictions(path: Path, episodes: int) -> None:
    """A whole predictions.npz: two queries an episode."""
    y = np.tile(np.eye(2, dtype=np.float32), (episodes, 1))
    outputs = np.random.default_rng(0).normal(size=y.shape).astype(np.float16)
    np.savez_compressed(
        path, queries=np.full(episodes, 2, np.int32), row=np.arange(2 * episodes, dtype=np.int32),
        y=y, outputs=outputs,
    )  # fmt: skip


def copies(whole: Path, kinds: list[str]) -> dict[str, Path]:
    """A damaged copy of a whole record beside it for each kind, by the kind: the file at fault."""
    found = {}
    for i, kind in enumerate(kinds):
        folder = whole.with_name(f"{whole.name}-{i:03}")
        shutil.copytree(whole, folder)
        found[kind] = damage(kind, folder)
    return found
