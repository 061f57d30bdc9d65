"""Checkpoints that survive a kill at any moment and notice a flipped byte (floor 4).

Orbax writes atomically, but restores a damaged array without a word; so a sha256 of all leaves and
of the JSON is stored beside them and checked. A damaged checkpoint is passed over for the one
before it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
from collections.abc import Iterator
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


def _forms(tree: PyTree) -> list[tuple]:
    """Shape and type of every leaf: orbax restores another shape than asked for without a word."""
    return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]


def open_manager(folder: Path, keep: int = 2) -> ocp.CheckpointManager:
    """Opens a folder of checkpoints, made if absent, of which the newest `keep` are kept."""
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep, enable_async_checkpointing=False, create=True
    )
    return ocp.CheckpointManager(folder.absolute(), options=options)


def save(manager: ocp.CheckpointManager, step: int, tree: PyTree, meta: dict[str, Any]) -> None:
    """Saves arrays and JSON under a step number; returns when they are on the disk.

    Args:
      manager: from `open_manager`.
      step: above every step saved before.
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
    with _full_disk_is_an_os_error(manager.directory):
        manager.save(step, args=items, force=True)
        manager.wait_until_finished()


@contextlib.contextmanager
def _full_disk_is_an_os_error(folder: Path) -> Iterator[None]:
    """Orbax raises pages of text for a full disk, and its threads log them before."""
    log = logging.getLogger("absl")
    before, log.disabled = log.disabled, True
    try:
        yield
    except Exception as error:
        full = os.strerror(errno.ENOSPC)
        if full in str(error):
            raise OSError(errno.ENOSPC, full, str(folder)) from None
        raise
    finally:
        log.disabled = before


def restore(manager: ocp.CheckpointManager, like: PyTree) -> Checkpoint | None:
    """Restores the newest checkpoint that is whole.

    Args:
      manager: from `open_manager`.
      like: a pytree of arrays with the structure, shapes and types to expect.

    Returns:
      None if there is no checkpoint, or none is whole (then a warning is logged for each).
    """
    shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    for step in sorted(manager.all_steps(), reverse=True):
        items = ocp.args.Composite(
            state=ocp.args.StandardRestore(shapes), meta=ocp.args.JsonRestore()
        )
        try:
            found = manager.restore(step, args=items)
            tree, meta = jax.device_get(found["state"]), dict(found["meta"])
            if meta.pop("sha256", None) == _digest(tree, meta) and _forms(tree) == _forms(like):
                return Checkpoint(step, tree, meta)
            reason = "its sha256 or its form differs"
        except Exception as error:  # noqa: BLE001  (orbax raises bare exceptions on damaged files)
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        logger.warning("checkpoint %s of %s is damaged (%s)", step, manager.directory, reason)
        manager.delete(step)
    return None
