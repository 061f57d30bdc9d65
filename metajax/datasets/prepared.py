"""Prepared copies: tensorflow-datasets builders (array_record, no tensorflow), read as numpy.

tensorflow-datasets is imported inside functions. Where it is not installed the same examples come
straight from the raw file: the generator that fills the builder is then read directly.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import io
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from metajax.datasets.cards import Card
from metajax.datasets.files import DataError, cache_root, digest

Engine = Literal["auto", "tfds", "direct"]
MANIFEST = "sha256.json"


@functools.cache
def builder_class(card: Card, columns: tuple[str, ...]) -> type:
    """The `tfds.core.GeneratorBasedBuilder` of a table; made when called, not when imported.

    Its instances take ``examples``, a function that returns an iterator of
    ``{"x": (D,) float32, "y": int, "task": int}``, besides the arguments of every builder. Rows
    keep their order. It is not registered: ``tfds.load`` by name knows nothing of the raw files.

    Args:
      card: name, version, citation, licence and tasks.
      columns: D names.

    Returns:
      The class.
    """
    tfds = importlib.import_module("tensorflow_datasets")

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """Rows of several tasks that share their columns."""

        name = card.name
        VERSION = tfds.core.Version(card.version)
        # tfds looks here for a file of checksums of what it downloads, which is nothing: the raw
        # files were verified before. Its search needs importlib_resources, which nobody declares.
        code_path = None

        def __init__(self, *, examples=None, file_format="array_record", **kwargs: Any) -> None:
            """Keep the source of the rows; the default file format would need tensorflow."""
            self.examples = examples
            super().__init__(file_format=file_format, **kwargs)

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                description=f"{card.title}. Columns of x: {', '.join(columns)}. {card.protocol}",
                features=tfds.features.FeaturesDict(
                    {
                        "x": tfds.features.Tensor(shape=(len(columns),), dtype=np.float32),
                        "y": tfds.features.Scalar(dtype=np.int32),
                        "task": tfds.features.ClassLabel(names=card.tasks),
                    }
                ),
                homepage=card.homepage,
                citation=card.citation,
                license=card.licence,
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager):
            return {"rows": self._generate_examples()}

        def _generate_examples(self):
            return enumerate(self.examples())

    return Builder


def arrays(
    card: Card,
    columns: tuple[str, ...],
    examples: Callable[[], Iterator[dict[str, Any]]],
    sources: Sequence[Path],
    *,
    cache: str | Path | None = None,
    engine: Engine = "auto",
) -> dict[str, np.ndarray]:
    """All examples of a data set as arrays, prepared by tensorflow-datasets on the first call.

    The prepared copy lies in ``<cache>/prepared`` under a name made of version, columns and the
    sources' checksums; a copy that is incomplete or altered is made again.

    Args:
      card: of the data set.
      columns: D names.
      examples: returns an iterator of examples (see `builder_class`).
      sources: verified raw files.
      cache: default ``METAJAX_CACHE``, else ``~/.cache/metajax``.
      engine: "tfds"; "direct" (no prepared copy, same examples); "auto" takes tfds if installed.

    Returns:
      ``x`` (R, D) float32, ``y`` (R,) int32, ``task`` (R,) int32, in the order of the raw files.

    Raises:
      DataError: engine "tfds" without its packages, or a cache that cannot be written.
      ValueError: for an unknown engine.
    """
    if engine not in ("auto", "tfds", "direct"):
        raise ValueError(f"engine must be auto, tfds or direct; got {engine!r}")
    absent = [
        name
        for name in ("tensorflow_datasets", "array_record")
        if engine != "direct" and importlib.util.find_spec(name) is None
    ]
    if absent and engine == "tfds":
        raise DataError(f"engine 'tfds' needs {' and '.join(absent)}: pip install metajax")
    if absent or engine == "direct":
        return _stack(examples())
    key = json.dumps([card.name, card.version, columns, [digest(path) for path in sources]])
    name = f"{card.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    folder = cache_root(cache) / "prepared" / name
    if not _whole(folder):
        try:
            _prepare(builder_class(card, columns), examples, folder)
        except OSError as error:
            raise DataError(
                f"cannot write the prepared copy of {card.name} into {folder}: {error}; set "
                "METAJAX_CACHE to a directory that can be written"
            ) from error
    source = builder_class(card, columns)(data_dir=folder).as_data_source("rows")
    return _stack(source.__getitems__(range(len(source))))


def _stack(examples: Any) -> dict[str, np.ndarray]:
    """One array per key; integers as int32 (tfds gives class labels back as int64)."""
    rows = list(examples)
    return {
        "x": np.stack([row["x"] for row in rows]).astype(np.float32),
        "y": np.array([row["y"] for row in rows], np.int32),
        "task": np.array([row["task"] for row in rows], np.int32),
    }


def _prepare(builder: type, examples: Callable[[], Iterator[dict[str, Any]]], folder: Path) -> None:
    """Write the copy beside its place, then rename: several processes may do so at once."""
    tfds = importlib.import_module("tensorflow_datasets")
    folder.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".partial-{folder.name}-"
    for old in folder.parent.glob(f"{prefix}*"):  # of a killed preparation, not of a running one
        if time.time() - old.stat().st_mtime > 3600:
            shutil.rmtree(old, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        tfds.disable_progress_bar()
        with contextlib.redirect_stdout(io.StringIO()):  # tfds announces itself on stdout
            builder(examples=examples, data_dir=partial).download_and_prepare()
        sums = {str(p.relative_to(partial)): digest(p) for p in partial.rglob("*") if p.is_file()}
        partial.chmod(0o755)  # mkdtemp's 0700 would keep a shared cache to one user
        (partial / MANIFEST).write_text(json.dumps(sums, indent=1, sort_keys=True))
        if folder.exists() and not _whole(folder):
            shutil.rmtree(folder, ignore_errors=True)
        try:
            partial.rename(folder)
        except OSError:
            if not _whole(folder):  # else another process was first, with the same bytes
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _whole(folder: Path) -> bool:
    """Whether every file of a prepared copy is there with the bytes that were written."""
    try:
        sums = json.loads((folder / MANIFEST).read_text())
        return bool(sums) and all(digest(folder / name) == value for name, value in sums.items())
    except (OSError, ValueError, AttributeError):
        return False
