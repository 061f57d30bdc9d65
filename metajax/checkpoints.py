"""Checkpoints that survive a kill at any moment and notice a flipped byte (floor 4).

Orbax writes atomically, but restores a damaged array without a word; so a sha256 of all leaves and
of the JSON is stored beside them and checked. A damaged checkpoint is passed over for the one
before it, and so is one of another form than expected. Neither is deleted.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from metajax.types import PyTree

logger = logging.getLogger(__name__)


class Checkpoint(NamedTuple):
    """What `restore` found: the step it was saved under, the arrays, and the JSON beside them."""

    step: int
    tree: PyTree
    meta: dict[str, Any]


def _digest(tree: PyTree, meta: dict[str, Any]) -> str:
    """The sha256 of shapes, types and bytes of all leaves, in order, and of the JSON."""
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
    for leaf in jax.tree.leaves(tree):
        array = np.asarray(leaf)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _forms(tree: PyTree) -> list[tuple[str, tuple[int, ...], str]]:
    """Name, shape and type of every leaf, by name.

    Orbax restores another shape than asked for without a word.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    name = partial(jax.tree_util.keystr, simple=True, separator="/")
    return sorted((name(path), tuple(leaf.shape), str(leaf.dtype)) for path, leaf in leaves)


def _other(manager: ocp.CheckpointManager, step: int, like: PyTree) -> str:
    """How the form of a checkpoint differs from what is expected; empty: not, or it is unknown."""
    try:
        kept = _forms(manager.item_metadata(step)["state"].tree)
    except Exception:  # noqa: BLE001  (orbax raises bare exceptions on damaged files)
        return ""
    differ = sorted({*kept} ^ {*_forms(like)})
    if not differ:
        return ""
    name = differ[0][0]
    was, now = (
        next((f"{dtype}{list(shape)}" for n, shape, dtype in forms if n == name), "none")
        for forms in (kept, _forms(like))
    )
    return f"{name} is {was} there and {now} here" + " and more" * (len(differ) > 2)


def _aside(manager: ocp.CheckpointManager, step: int, name: str) -> Path:
    """Gives a checkpoint a name under which orbax does not find it; nothing is deleted."""
    path, number = Path(manager.directory) / str(step), 0
    while (target := path.with_name(f"{name}-{step}" + f"-{number}" * bool(number))).exists():
        number += 1
    path.rename(target)
    return target


def open_manager(folder: Path, keep: int = 2) -> ocp.CheckpointManager:
    """Opens a folder of checkpoints, made if absent, of which the newest `keep` are kept."""
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep, enable_async_checkpointing=False, create=True
    )
    return ocp.CheckpointManager(folder.absolute(), options=options)


def save(manager: ocp.CheckpointManager, step: int, tree: PyTree, meta: dict[str, Any]) -> None:
    """Saves arrays and JSON under a step number; returns when they are on the disk.

    What `restore` passed over for its form, under this step or a later one, is moved aside first
    (``other-<step>``): else orbax would keep it and delete the new one.

    Args:
      manager: from `open_manager`.
      step: above every step saved or restored before.
      tree: a pytree of arrays (PRNG keys as `jax.random.key_data`).
      meta: JSON-serialisable, with strings as keys.

    Raises:
      OSError: if the disk is full; checkpoints that were saved before stay.
    """
    tree = jax.device_get(tree)
    record = meta | {"sha256": _digest(tree, meta)}
    items = ocp.args.Composite(
        state=ocp.args.StandardSave(tree), meta=ocp.args.JsonSave(record)
    )
    if later := [old for old in manager.all_steps() if old >= step]:
        for old in later:
            _aside(manager, old, "other")
        manager.reload()
    with _full_disk_is_an_os_error(manager.directory):
        manager.save(step, args=items, force=True)
        manager.wait_until_finished()


@contextlib.contextmanager
def _full_disk_is_an_os_error(folder: Path) -> Iterator[None]:
    """Orbax raises pages of text for a full disk, and its threads log them before."""
    log = logging.getLogger("absl")
    before, log.disabled = log.disabled, True
    logging.getLogger("asyncio").addFilter(_is_news)  # once, however often; tasks end late
    try:
        with _quiet_threads():
            yield
    except Exception as error:
        full = os.strerror(errno.ENOSPC)
        if full in str(error):
            raise OSError(errno.ENOSPC, full, str(folder)) from None
        raise
    finally:
        log.disabled = before


def _is_news(told: logging.LogRecord) -> bool:
    """False for all writes of a save that found the disk full but the first, which is raised."""
    error = told.exc_info[1] if told.exc_info else None
    return not ("never retrieved" in str(told.msg) and os.strerror(errno.ENOSPC) in str(error))


@contextlib.contextmanager
def _quiet_threads() -> Iterator[None]:
    """Tensorstore's threads each print a traceback when the call that they work for has failed."""
    hook = sys.unraisablehook

    def but_closed_loops(told: Any) -> None:
        late = isinstance(told.exc_value, RuntimeError) and told.object is None
        if not (late and str(told.exc_value) == "Event loop is closed"):
            hook(told)

    sys.unraisablehook = but_closed_loops
    yield
    sys.unraisablehook = hook  # after a failure the other stays: the threads may end later


def restore(manager: ocp.CheckpointManager, like: PyTree) -> Checkpoint | None:
    """Restores the newest checkpoint that is whole.

    Args:
      manager: from `open_manager`.
      like: a pytree of arrays with the structure, shapes and types to expect.

    Returns:
      None if there is no checkpoint, or none is whole and of this form. A warning is logged for
      each that is passed over: a damaged one is kept beside the others as ``damaged-<step>``, one
      of another form stays where it is.
    """
    shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    for step in sorted(manager.all_steps(), reverse=True):
        items = ocp.args.Composite(
            state=ocp.args.StandardRestore(shapes), meta=ocp.args.JsonRestore()
        )
        try:
            with _quiet_threads():
                found = manager.restore(step, args=items)
            tree, meta = jax.device_get(found["state"]), dict(found["meta"])
            if meta.pop("sha256", None) == _digest(tree, meta) and _forms(tree) == _forms(like):
                return Checkpoint(step, tree, meta)
            reason = "its sha256 or its form differs"
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  (orbax raises bare exceptions on damaged files)
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        if other := _other(manager, step, like):
            logger.warning(
                "checkpoint %s of %s is of another form (%s): it is kept, and not used",
                step, manager.directory, other,
            )  # fmt: skip
            continue
        kept = _aside(manager, step, "damaged")
        manager.reload()
        logger.warning(
            "checkpoint %s of %s is damaged (%s): it is kept as %s, and not used",
            step, manager.directory, reason, kept.name,
        )  # fmt: skip
    return None
