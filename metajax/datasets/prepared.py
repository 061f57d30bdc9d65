"""Prepared copies: tensorflow-datasets builders (array_record, no tensorflow), read as numpy.

An example of a builder is a block of consecutive rows, not one row: half a million rows are then
read in a second or two. tensorflow-datasets is imported inside functions; where it is not installed
the same arrays come straight from the raw files.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import io
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from metajax import disk
from metajax.datasets import copies
from metajax.datasets.cards import Card
from metajax.datasets.family import Family, leaves
from metajax.datasets.files import DataError

Engine = Literal["auto", "tfds", "direct"]
NOTES = "family.json"
BLOCK_BYTES = 1 << 22
ROW_COLUMNS = ("y", "task", "item", "group", "weight", "part")
TASK_COLUMNS = ("split", "unit", "cluster", "class_split")
Form = tuple[tuple[str, tuple[int, ...], str], ...]  # (name, shape of one row, dtype) of arrays


@functools.cache
def builder_class(card: Card, items: Form, rows: Form) -> type:
    """The `tfds.core.GeneratorBasedBuilder` of a family; made when called, not when imported.

    It has two configurations, ``items`` (the inputs) and ``rows`` (task, label, item, group, ...
    of every labelled row), each with one split ``blocks`` whose examples are blocks of consecutive
    rows: a dict of arrays with a leading axis. Its instances take ``blocks``, a function from the
    configuration's name to an iterator of such dicts, besides the arguments of every builder. It is
    not registered: ``tfds.load`` by name knows nothing of the raw files.

    Args:
      card: name, version, citation, licence.
      items: name, shape and dtype of the inputs.
      rows: those of the columns of the rows.

    Returns:
      The class.
    """
    tfds = importlib.import_module("tensorflow_datasets")
    forms = {"items": items, "rows": rows}

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """Blocks of rows of a family of tasks."""

        name = card.name
        VERSION = tfds.core.Version(card.version)
        BUILDER_CONFIGS = [
            tfds.core.BuilderConfig(name="items", description="Inputs, in blocks of cases."),
            tfds.core.BuilderConfig(name="rows", description="Task and label of every row."),
        ]
        # tfds looks here for a file of checksums of what it downloads, which is nothing: the raw
        # files were verified before. Its search needs importlib_resources, which nobody declares.
        code_path = None

        def __init__(self, *, blocks=None, file_format="array_record", **kwargs: Any) -> None:
            """Keep the source of the blocks; the default file format would need tensorflow."""
            self.blocks = blocks
            super().__init__(file_format=file_format, **kwargs)

        def _info(self):
            features = {
                name: tfds.features.Tensor(
                    shape=(None, *shape), dtype=np.dtype(dtype), encoding="zlib"
                )
                for name, shape, dtype in forms[self.builder_config.name]
            }
            return tfds.core.DatasetInfo(
                builder=self,
                description=f"{card.title}. {card.protocol}",
                features=tfds.features.FeaturesDict(features),
                homepage=card.homepage,
                citation=card.citation,
                license=card.licence,
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager):
            return {"blocks": self._generate_examples()}

        def _generate_examples(self):
            return enumerate(self.blocks(self.builder_config.name))

    return Builder


def family(
    card: Card,
    make: Callable[[], Family],
    sources: Sequence[Path],
    *,
    code: str = "",
    cache: str | Path | None = None,
    engine: Engine = "auto",
) -> Family:
    """A family, prepared by tensorflow-datasets on the first call.

    The prepared copy lies in ``<cache>/prepared`` (see `metajax.datasets.copies.place`); one that
    is incomplete or altered is made again.

    Args:
      card: of the data set.
      make: reads the raw files.
      sources: verified raw files; without any (data of an installed package) nothing is prepared.
      code: name of the module that reads them.
      cache: default ``METAJAX_CACHE``, else ``~/.cache/metajax``.
      engine: "tfds"; "direct" (no prepared copy, same arrays); "auto" takes tfds if installed.

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
    if absent or engine == "direct" or not sources:
        return make()
    folder = copies.place(card, sources, code, cache)
    if not copies.whole(folder):
        found = make()
        try:
            _prepare(card, found, folder)
        except OSError as error:
            raise DataError(
                f"cannot write the prepared copy of {card.name} into {folder}: {error}; set "
                "METAJAX_CACHE to a directory that can be written"
            ) from error
    return _read(card, folder)


def _form(arrays: Mapping[str, np.ndarray]) -> Form:
    """The form of some arrays: hashable, and enough to build their features."""
    return tuple((name, a.shape[1:], a.dtype.name) for name, a in arrays.items())


def _tables(found: Family) -> dict[str, dict[str, np.ndarray]]:
    """What each configuration of the builder stores."""
    rows = {name: getattr(found, name) for name in ROW_COLUMNS}
    return {
        "items": {name: np.asarray(leaf) for name, leaf in leaves(found.x).items()},
        "rows": {name: column for name, column in rows.items() if column is not None},
    }


def _blocks(arrays: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """Consecutive rows, as many as `BLOCK_BYTES` hold."""
    size = sum(a[:1].nbytes for a in arrays.values())
    count, step = len(next(iter(arrays.values()))), max(1, BLOCK_BYTES // max(size, 1))
    for start in range(0, count, step):
        yield {name: a[start : start + step] for name, a in arrays.items()}


def _read(card: Card, folder: Path) -> Family:
    """The family of a prepared copy."""
    notes = json.loads((folder / NOTES).read_text())
    forms = {
        name: tuple((leaf, tuple(shape), dtype) for leaf, shape, dtype in form)
        for name, form in notes["forms"].items()
    }
    tables = {}
    for name, form in forms.items():
        source = builder_class(card, forms["items"], forms["rows"])(config=name, data_dir=folder)
        blocks = source.as_data_source("blocks")
        parts = blocks.__getitems__(range(len(blocks)))
        tables[name] = {
            leaf: np.concatenate([part[leaf] for part in parts]).astype(dtype, copy=False)
            for leaf, _, dtype in form
        }
    x = tables["items"] if notes["dict"] else tables["items"]["x"]
    columns = {
        name: None if notes[name] is None else np.asarray(notes[name], dtype)
        for name, dtype in zip(TASK_COLUMNS, ("int8", "int32", "int32", "int8"), strict=True)
    }
    names = {name: tuple(notes[name]) for name in ("task_names", "columns", "classes")}
    return Family(x=x, card=card, **tables["rows"], **columns, **names)


def _prepare(card: Card, found: Family, folder: Path) -> None:
    """Write the copy beside its place, then rename: several processes may do so at once."""
    tfds = importlib.import_module("tensorflow_datasets")
    tables = _tables(found)
    forms = {name: _form(arrays) for name, arrays in tables.items()}
    notes = {name: getattr(found, name) for name in TASK_COLUMNS}
    notes = {name: None if v is None else np.asarray(v).tolist() for name, v in notes.items()}
    notes |= {name: getattr(found, name) for name in ("task_names", "columns", "classes")}
    notes |= {"forms": forms, "dict": isinstance(found.x, dict)}
    folder.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".partial-{folder.name}-"
    for old in folder.parent.glob(f"{prefix}*"):  # of a killed preparation, not of a running one
        with contextlib.suppress(OSError):  # another process is clearing up, too
            if time.time() - old.stat().st_mtime > 3600:
                shutil.rmtree(old, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    damaged = partial.with_name(f"{partial.name}-damaged")
    try:
        tfds.disable_progress_bar()
        builder = builder_class(card, forms["items"], forms["rows"])
        with contextlib.redirect_stdout(io.StringIO()):  # tfds announces itself on stdout
            for name in tables:
                builder(
                    blocks=lambda name: _blocks(tables[name]), config=name, data_dir=partial
                ).download_and_prepare()
        disk.write(partial / NOTES, json.dumps(notes))
        partial.chmod(0o755)  # mkdtemp's 0700 would keep a shared cache to one user
        copies.seal(partial)
        if folder.exists() and not copies.whole(folder):
            # Moved in one step: of two processes that mend a copy, only one gets to delete it.
            with contextlib.suppress(OSError):
                folder.rename(damaged)
        try:
            partial.rename(folder)
        except OSError:
            if not copies.whole(folder):  # else another process was first, with the same bytes
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(damaged, ignore_errors=True)
