"""A trained learner in one file, read and run with jax and numpy alone.

This file imports nothing else, so it may be copied beside a bundle and used without the package:

    bundle = portable.read("model.metajax")
    logits = portable.run(bundle, [x], y, [x_new])

A bundle is a zip archive of ``about.json`` (what the model is: configuration, data card, metrics,
versions, shapes), one npy file an array, StableHLO programs of adapt and predict for a few sizes of
support, and ``card.md``. It holds no row of a patient: weights, and the means and scales of columns
if the learner was trained on scaled ones. Nothing in it is unpickled or is Python.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.export
import numpy as np

FORMAT = 1
MOST = 512 * 2**20  # bytes of all members
ABOUT, CARD = "about.json", "card.md"
# What a damaged archive makes the standard library raise.
BROKEN = (OSError, EOFError, ValueError, KeyError, RuntimeError, NotImplementedError, zlib.error,
          zipfile.BadZipFile, zipfile.LargeZipFile)  # fmt: skip


class BundleError(ValueError):
    """A file that is no bundle, a damaged one, or one that this version cannot run."""


class Bundle(NamedTuple):
    """A trained learner.

    Attributes:
      about: what it is, JSON.
      arrays: its weights by name, in the order of the programs' arguments.
      programs: StableHLO by the number of support rows.
      card: the model card, Markdown.
    """

    about: dict[str, Any]
    arrays: dict[str, np.ndarray]
    programs: dict[int, bytes]
    card: str

    def __repr__(self) -> str:
        """Its name; not its weights."""
        return f"<bundle {self.about.get('name', '')}>"


def content(bundle: Bundle) -> bytes:
    """The file of a bundle; the same bytes for the same bundle."""
    parts = {f"arrays/{name}.npy": _npy(array) for name, array in bundle.arrays.items()}
    parts |= {f"programs/{rows}.stablehlo": code for rows, code in bundle.programs.items()}
    parts[CARD] = bundle.card.encode()
    about = bundle.about | {
        "format": FORMAT,
        "arrays": {name: [list(a.shape), str(a.dtype)] for name, a in bundle.arrays.items()},
        "programs": sorted(bundle.programs),
        "sha256": {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()},
    }
    parts = {ABOUT: json.dumps(about, indent=1, sort_keys=True).encode()} | parts
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():  # a fixed date, or no two files would be equal
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), part,
                             zipfile.ZIP_DEFLATED)  # fmt: skip
    return out.getvalue()


def read(path: str | Path) -> Bundle:
    """Reads a bundle and checks every byte of it.

    Raises:
      BundleError: naming the file, and the member that is absent, damaged or of another form.
      FileNotFoundError: there is no such file.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    parts = _members(path)
    try:
        about = json.loads(parts[ABOUT])
        made, known = about.get("format"), about["sha256"]
        if made != FORMAT:
            raise BundleError(f"{path} is a bundle of format {made}; this version reads {FORMAT}. "
                              "Remedy: another version of metajax")  # fmt: skip
        wanted = about["arrays"]
        names = [f"arrays/{name}.npy" for name in wanted]
        names += [f"programs/{rows}.stablehlo" for rows in about["programs"]] + [CARD]
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{path} is no bundle: its {ABOUT} cannot be read ({error})") from None
    if other := sorted(set(names) ^ (set(parts) - {ABOUT})):
        what = "lacks" if other[0] in names else "has, besides what its about.json names,"
        raise BundleError(f"{path} {what} {other[0]}")
    for name in names:
        if hashlib.sha256(parts[name]).hexdigest() != known.get(name):
            raise BundleError(f"{path} is damaged: {name} is not what its sha256 says")
    arrays = {}
    for name, (shape, dtype) in wanted.items():
        try:
            array = np.load(io.BytesIO(parts[f"arrays/{name}.npy"]), allow_pickle=False)
        except BROKEN as error:
            raise BundleError(f"{path}: array {name} cannot be read: {error}") from None
        if list(array.shape) != shape or str(array.dtype) != dtype:
            raise BundleError(f"{path}: array {name} is {array.dtype} {list(array.shape)}; "
                              f"about.json says {dtype} {shape}")  # fmt: skip
        arrays[name] = array
    programs = {rows: parts[f"programs/{rows}.stablehlo"] for rows in about["programs"]}
    return Bundle(about, arrays, programs, parts[CARD].decode())


def _members(path: Path) -> dict[str, bytes]:
    """The members of an archive, none of them too large."""
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
            names = [one.filename for one in listed]
            if len(set(names)) < len(names):
                raise BundleError(f"{path} has a member twice: refused")
            if sum(one.file_size for one in listed) > MOST:
                raise BundleError(f"{path} unpacks to more than {MOST} bytes: refused")
            parts = {}
            for one in listed:
                with archive.open(one) as stream:  # a header may lie about the size
                    parts[one.filename] = stream.read(one.file_size + 1)
                if len(parts[one.filename]) > one.file_size:
                    raise BundleError(f"{path}: {one.filename} is larger than it says")
    except BundleError:
        raise
    except BROKEN as error:
        raise BundleError(f"{path} is no bundle, or a damaged one: {error}") from None
    if ABOUT not in parts:
        raise BundleError(f"{path} is no bundle: it has no {ABOUT}")
    return parts


def run(
    bundle: Bundle, x: list[np.ndarray], y: np.ndarray, asked: list[np.ndarray],
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Adapts to labelled rows and judges others.

    Args:
      bundle: see `read`.
      x: the inputs of S labelled rows, an array for each of ``about["program"]["inputs"]``, as raw
        as their dtype says: the program decodes and scales them.
      y: (S, C) one-hot classes, or targets.
      asked: the inputs of Q other rows.
      mask: (S, C) 0 where a label is not defined or a class absent; None: all are there.

    Returns:
      (Q, C) logits; of a quantity the mean, or (Q, C, 2) mean and variance, in the targets' units.

    Raises:
      BundleError: for inputs of another shape, or more labelled rows than the largest program.
    """
    told = bundle.about["program"]
    x, asked = _inputs(told, x), _inputs(told, asked)
    y = np.asarray(y, np.float32)
    mask = np.ones_like(y) if mask is None else np.asarray(mask, np.float32)
    if y.shape != (len(x[0]), told["outputs"]) or mask.shape != y.shape:
        raise BundleError(f"labels must be {(len(x[0]), told['outputs'])}; got {y.shape} and mask "
                          f"{mask.shape}")  # fmt: skip
    fitting = [rows for rows in sorted(bundle.programs) if rows >= len(y)]
    if not fitting:
        raise BundleError(f"{len(y)} labelled rows; the largest program of this bundle takes "
                          f"{max(bundle.programs)}. Remedy: fewer rows, or export with --rows "
                          f"{len(y)}")  # fmt: skip
    rows, block = fitting[0], told["block"]
    call = _callable(bundle.programs[rows], json.dumps(told, sort_keys=True), rows,
                     tuple((a.shape, str(a.dtype)) for a in bundle.arrays.values()))  # fmt: skip
    support = [*(_padded(a, rows) for a in x), _padded(y * mask, rows), _padded(mask, rows)]
    parts = []
    for start in range(0, len(asked[0]), block):
        part = [a[start : start + block] for a in asked]
        query = [_padded(a, block) for a in part]
        out = call(*bundle.arrays.values(), *support, *query)
        parts.append(np.asarray(out)[: len(part[0])])
    empty = (0, told["outputs"], 2) if told["variance"] else (0, told["outputs"])
    return np.concatenate(parts) if parts else np.zeros(empty, np.float32)


def _inputs(told: dict[str, Any], leaves: list[np.ndarray]) -> list[np.ndarray]:
    """Inputs of the shapes and types that the programs take."""
    if len(leaves) != len(told["inputs"]):
        raise BundleError(f"{len(told['inputs'])} inputs are needed; got {len(leaves)}")
    found = []
    for leaf, wanted in zip(leaves, told["inputs"], strict=True):
        leaf = np.asarray(leaf)
        if list(leaf.shape[1:]) != wanted["shape"]:
            raise BundleError(f"input {wanted['name']} must be (N, *{wanted['shape']}); got "
                              f"{leaf.shape}")  # fmt: skip
        dtype = np.dtype(wanted["dtype"])
        if dtype.kind in "ui" and leaf.dtype.kind not in "uib":
            raise BundleError(f"input {wanted['name']} must be {dtype}; got {leaf.dtype}")
        if dtype.kind in "ui" and leaf.size:
            low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
            if leaf.min() < low or leaf.max() > high:
                raise BundleError(f"input {wanted['name']} must be from {low} to {high}")
        found.append(leaf.astype(dtype))
    return found


def _padded(array: np.ndarray, rows: int) -> np.ndarray:
    """More rows, of zeros."""
    return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]), array.dtype)])


@functools.lru_cache(maxsize=32)
def _callable(code: bytes, told: str, rows: int, arrays: tuple):
    """A compiled function of a StableHLO program."""
    about = json.loads(told)
    version = about["calling_convention"]
    least = jax.export.minimum_supported_calling_convention_version
    most = jax.export.maximum_supported_calling_convention_version
    if not least <= version <= most:
        raise BundleError(f"the programs are of calling convention {version}, this jax "
                          f"({jax.__version__}) runs {least} to {most}. Remedy: export again, or "
                          f"jax {about['jax']}")  # fmt: skip

    def aval(shape, dtype):
        return jax.core.ShapedArray(tuple(shape), np.dtype(dtype))

    inputs, block, outputs = about["inputs"], about["block"], about["outputs"]
    avals = [aval(shape, dtype) for shape, dtype in arrays]
    avals += [aval((rows, *one["shape"]), one["dtype"]) for one in inputs]
    avals += [aval((rows, outputs), "float32")] * 2
    avals += [aval((block, *one["shape"]), one["dtype"]) for one in inputs]
    out = aval((block, outputs, 2) if about["variance"] else (block, outputs), "float32")
    count = len(avals)
    known = {
        "fun_name": "metajax", "in_tree": jax.tree.structure((tuple(range(count)), {})),
        "in_avals": tuple(avals), "out_tree": jax.tree.structure(0), "out_avals": (out,),
        "_has_named_shardings": False, "_in_named_shardings": (None,) * count,
        "_out_named_shardings": (None,), "in_shardings_hlo": (None,) * count,
        "out_shardings_hlo": (None,), "nr_devices": 1, "platforms": tuple(about["platforms"]),
        "ordered_effects": (), "unordered_effects": (), "disabled_safety_checks": (),
        "mlir_module_serialized": code, "calling_convention_version": version,
        "module_kept_var_idx": tuple(about["kept"][str(rows)]), "uses_global_constants": False,
        "_get_vjp": None,
    }  # fmt: skip
    # jax's own reader of files needs a further package; what an Exported is made of is stable.
    fields = [one.name for one in dataclasses.fields(jax.export.Exported)]
    if strange := [name for name in fields if name not in known]:
        raise BundleError(f"this jax ({jax.__version__}) describes programs by {strange[0]}, which "
                          f"is not known here. Remedy: jax {about['jax']}")  # fmt: skip
    return jax.jit(jax.export.Exported(**{name: known[name] for name in fields}).call)


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()
