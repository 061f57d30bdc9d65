"""A user's images: arrays of an npz file, read as they are meant or refused by their names."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from metajax.datasets import reading
from metajax.datasets.files import DataError
from metajax.datasets.own.reports import Column, listed, rows
from metajax.tasks.raw import no_images

IMAGES = "images"
PLAIN = "Remedy: save it by numpy.savez from plain arrays, no objects, the images named 'images'"


class Arrays(NamedTuple):
    """Images and what belongs to them.

    Attributes:
      x: (N, H, W) or (N, H, W, C) uint8.
      raw: N rows of text cells, a column for each of the other arrays that were asked for.
      column: what the images are taken for.
      notes: what else should be known, a sentence each.
    """

    x: np.ndarray
    raw: pd.DataFrame
    column: Column
    notes: tuple[str, ...]


def load(path: Path, names: Sequence[str]) -> Arrays:
    """Reads an npz file.

    Args:
      path: the file.
      names: arrays of N numbers or texts that are needed.

    Raises:
      DataError: naming the array at fault, and the remedy.
    """
    if IMAGES in names:
        raise DataError(f"{path}: {IMAGES!r} is the array of the images, no label, task, group or "
                        "split. Remedy: name another array")  # fmt: skip
    x = _array(path, IMAGES)
    column = _images(path, x)
    found = {name: _column(path, name, _array(path, name), len(x)) for name in names}
    with np.load(path, allow_pickle=False) as archive:
        other = [name for name in archive.files if name not in (IMAGES, *names)]
    notes = (f"left out: arrays {listed(other)}, which no flag names",) if other else ()
    return Arrays(x, pd.DataFrame(found), column, notes)


def _array(path: Path, name: str) -> np.ndarray:
    """One array of a file."""
    with path.open("rb") as file:
        start = file.read(6)
    if start == b"\x93NUMPY":
        raise DataError(f"{path} is a single array without a name, no npz file. {PLAIN}")
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} cannot be read as an npz file: it is none, or not whole. {PLAIN}")
    try:
        found = reading.arrays(path, [name])[name]
    except MemoryError as error:
        raise DataError(f"{path}: array {name!r} does not fit into memory: {error}. Remedy: fewer "
                        "or smaller images") from error  # fmt: skip
    except DataError as error:
        why = str(error).partition(" Remedy:")[0]
        if "Object arrays" in why:
            why = f"{path}: array {name!r} holds Python objects, which are never loaded."
        raise DataError(f"{why} {PLAIN}") from error
    if not isinstance(found, np.ndarray):  # what numpy makes of a member of another kind
        raise DataError(f"{path}: {name!r} is no array. {PLAIN}")
    return found


def _images(path: Path, x: np.ndarray) -> Column:
    """What the images are taken for.

    Raises:
      DataError: they are no 8-bit images, or have nothing on them.
    """
    if x.ndim and not len(x):
        raise DataError(f"{path} has no images: array {IMAGES!r} has shape {x.shape}")
    if told := no_images(x.dtype, x.shape):
        if x.dtype.kind in "fiu" and ("(255 *" in told or "// 256" in told):
            told = told.partition(". Remedy:")[0] + _scaled(x)
        raise DataError(f"{path}: {told}")
    low, high = int(x.min()), int(x.max())
    if low == high:
        raise DataError(f"{path}: every pixel of {IMAGES!r} is {low}: there is nothing to learn "
                        "from")  # fmt: skip
    if high == 1:
        raise DataError(f"{path}: {IMAGES!r} holds 0 and 1 only, where 255 is white. Remedy: "
                        f"{IMAGES} * 255")  # fmt: skip
    height, width = x.shape[1:3]
    flat = height * width > 1 and (x.reshape(len(x), -1) == x.reshape(len(x), -1)[:, :1]).all(1)
    kind = "grey" if x.shape[3:] in ((), (1,)) else "colour"
    notes = [f"no pixel above {high} of 255"] if high < 128 else []
    if np.any(flat):
        notes.append(f"one colour only in {rows(flat)}")
    return Column(
        IMAGES, "feature", "images",
        values=f"{len(x)} of {height} x {width}, {kind}, {x.dtype}, {low} to {high}",
        treatment="divided by 255", distinct=len(x), note="; ".join(notes),
    )  # fmt: skip


def _scaled(x: np.ndarray) -> str:
    """How other numbers become 8-bit ones."""
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        return f", not finite in {rows(~np.isfinite(x).reshape(len(x), -1).all(1))}"
    low, high = float(x.min()), float(x.max())
    if 0 <= low and high <= 1 and x.dtype.kind == "f":
        how = "(255 * images).round().astype(np.uint8)"
    elif 0 <= low and high <= 255:
        how = "images.round().astype(np.uint8)"
    elif 0 <= low and x.dtype.kind != "f" and high < 2**16:
        how = "(images // 256).astype(np.uint8) of 16 bits"
    else:
        how = "cut them to a window and scale it to 0 to 255"
    return f", from {low:g} to {high:g}. Remedy: {how}"


def _column(path: Path, name: str, values: np.ndarray, count: int) -> list[str]:
    """An array of N values as text cells; (N, 1) is read as N values."""
    if values.dtype.kind == "V":
        fields = listed(values.dtype.names or ("raw bytes",))
        raise DataError(f"{path}: {name!r} is a structured array of {fields}. Remedy: save one "
                        "field of it as an array of its own")  # fmt: skip
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (count,):
        remedy = "one value an image is needed"
        if values.ndim == 2 and len(values) == count:
            remedy = f"one value an image is needed. Remedy: {name}[:, 0] if the first column is it"
            if (values.sum(1) == 1).all() if values.dtype.kind in "biuf" else False:
                remedy = f"one value an image is needed. Remedy: of one-hot rows, {name}.argmax(1)"
        raise DataError(f"{path}: {name!r} has shape {values.shape}, but there are {count} "
                        f"images: {remedy}")  # fmt: skip
    if values.dtype.kind in "cmM":
        raise DataError(f"{path}: {name!r} holds {values.dtype}, neither numbers nor texts. "
                        f"Remedy: {name}.astype(str)")  # fmt: skip
    if values.dtype.kind == "S":
        try:
            values = np.char.decode(values, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: {name!r} holds bytes that are no text in UTF-8: {error}. "
                            f"Remedy: save it as texts, e.g. np.char.decode({name}, 'latin-1')"
                            ) from error  # fmt: skip
    return [str(value).strip() for value in values.tolist()]
