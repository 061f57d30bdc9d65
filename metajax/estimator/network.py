"""The prior-fitted network that ships with the package, on tables of any size.

`prior_fitted.npz` holds the weights, `prior_fitted.md` says where they come from. Programs are
compiled for a few sizes of table only: rows and columns are padded, queries judged in blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metajax.learners.pfn import pfn
from metajax.nn import Identity
from metajax.tasks.schemas import features_by_support
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec

FILE = "prior_fitted.npz"
# The sizes of the shipped network; see `metajax.nn.CellTransformer`.
SIZES = {"width": 32, "blocks": 3, "heads": 2}
ROWS, COLUMNS, BLOCK = (16, 64, 256), (16, 48), 128


class Network(NamedTuple):
    """A prior-fitted network: its learner and weights."""

    learner: Learner
    params: PyTree


class Memory(NamedTuple):
    """What a labelled table left in a network.

    Attributes:
      chosen: (F,) positions of the columns that are used, F at most the largest of `COLUMNS`.
      support: the padded labelled rows.
      adapted: the network's memory of them.
    """

    chosen: np.ndarray
    support: Examples
    adapted: PyTree


def unflatten(arrays: dict[str, np.ndarray]) -> PyTree:
    """A tree of dicts from arrays named by their path, parts joined by ``/``."""
    tree: PyTree = {}
    for name, array in arrays.items():
        *path, last = name.split("/")
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        place[last] = array
    return tree


@cache
def shipped() -> Network:
    """The network of this package, read once in a process."""
    with (
        resources.files("metajax.estimator").joinpath(FILE).open("rb") as stream,
        np.load(stream, allow_pickle=False) as archive,
    ):
        arrays = {name: jnp.asarray(archive[name], jnp.float32) for name in archive.files}
    learner = pfn(TaskSpec(2, "multiclass"), Identity(), **SIZES)
    return Network(learner, {"body": {}} | unflatten(arrays))


@cache
def _programs(learner: Learner) -> tuple[Callable, Callable]:
    """Compiled ``read(params, support)`` and ``judge(params, support, adapted, x)``."""

    def read(params: PyTree, support: Examples) -> PyTree:
        table = features_by_support(Episode(support, support)).support
        return learner.adapt(params, table, jax.random.key(0))

    def judge(params: PyTree, support: Examples, adapted: PyTree, x: jax.Array) -> jax.Array:
        asked = Examples(x, jnp.zeros((len(x), 2)), jnp.zeros((len(x), 2)))
        table = features_by_support(Episode(support, asked)).query
        return jax.nn.softmax(learner.predict(params, adapted, table.x))

    return jax.jit(read), jax.jit(judge)


def padded(count: int, sizes: tuple[int, ...]) -> int:
    """The smallest size that holds so many; beyond the largest, its next multiple."""
    fitting = [size for size in sizes if size >= count]
    return fitting[0] if fitting else -(-count // sizes[-1]) * sizes[-1]


def strongest(z: np.ndarray, y: np.ndarray, most: int) -> np.ndarray:
    """(F,) positions, in order, of the columns that go best with the label in the labelled rows.

    Args:
      z: (N, D) z-scores, NaN where missing.
      y: (N,) 0 or 1.
      most: F is at most this; ties go to the earlier column.
    """
    if z.shape[1] <= most:
        return np.arange(z.shape[1])
    strength = np.abs((y - y.mean()) @ np.nan_to_num(z))
    return np.sort(np.argsort(-strength, kind="stable")[:most])


def _cells(z: np.ndarray, rows: int, columns: int) -> jax.Array:
    cells = np.full((rows, columns), np.nan, np.float32)
    cells[: z.shape[0], : z.shape[1]] = z
    return jnp.asarray(cells)


def remember(network: Network, z: np.ndarray, y: np.ndarray) -> Memory:
    """Reads a labelled table of two classes.

    Args:
      network: see `shipped`.
      z: (N, D) z-scores, NaN where missing; more columns than `COLUMNS` are chosen among.
      y: (N,) 0 or 1.
    """
    chosen = strongest(z, y, COLUMNS[-1])
    height, width = padded(len(y), ROWS), padded(len(chosen), COLUMNS)
    labels = np.zeros((height, 2), np.float32)
    labels[np.arange(len(y)), y] = 1
    mask = np.zeros((height, 2), np.float32)
    mask[: len(y)] = 1
    support = Examples(_cells(z[:, chosen], height, width), jnp.asarray(labels), jnp.asarray(mask))
    adapted = _programs(network.learner)[0](network.params, support)
    return Memory(chosen, support, adapted)


def judge(network: Network, memory: Memory, z: np.ndarray) -> np.ndarray:
    """(Q,) probabilities of class 1.

    Args:
      network: the one that `memory` is of.
      memory: from `remember`.
      z: (Q, D) z-scores of other rows, on the same scale.
    """
    told, width = np.empty(len(z)), memory.support.x.shape[1]
    program = _programs(network.learner)[1]
    for start in range(0, len(z), BLOCK):
        part = z[start : start + BLOCK, memory.chosen]
        cells = _cells(part, BLOCK, width)
        output = program(network.params, memory.support, memory.adapted, cells)
        told[start : start + BLOCK] = np.asarray(output)[: len(part), 1]
    return told
