"""The contract: what a task is and what a learner is (floor 0, imports nothing of ours).

One mask carries everything that varies in a statically shaped episode: a padded row is a row of
zeros, an absent class a column of zeros, a missing label a single zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

PyTree = Any
Kind = Literal["multiclass", "multilabel", "regression"]
KINDS: tuple[Kind, ...] = ("multiclass", "multilabel", "regression")


class Examples(NamedTuple):
    """N labelled rows of one task, C outputs each.

    Attributes:
      x: inputs, a pytree whose leaves have leading axis N (an array, or a dict of modalities).
      y: (N, C) float32: one-hot classes, {0, 1} findings, or regression targets. 0 where masked.
      mask: (N, C) float32, 0 where ``y[n, c]`` is not defined, else the weight of the row in losses
        and metrics: 1, unless the family has weights (against censoring, say).
      info: pytree with leading axis N of extras. Pools give ``{"row": (N,) int32}``, the index of
        the row in the pool, -1 where padded, and ``"task"`` (N,), the number of the task in the
        pool; `trusted` marks rows whose label is known clean.
    """

    x: PyTree
    y: jax.Array
    mask: jax.Array
    info: PyTree = ()


class Episode(NamedTuple):
    """One task as a learner sees it: labelled support rows, and query rows to be judged on."""

    support: Examples
    query: Examples


@dataclass(frozen=True)
class TaskSpec:
    """What every episode of a benchmark has in common; hashable, hence a static jit argument.

    Attributes:
      outputs: C, the number of classes, findings or targets (1 or more; 2 or more if multiclass).
      kind: ``"multiclass"``, ``"multilabel"`` or ``"regression"``.
      variance: True if `predict` returns (N, C, 2): mean and variance (regression only).

    Raises:
      ValueError: for an unknown kind, too few outputs, or a variance without regression.
    """

    outputs: int
    kind: Kind
    variance: bool = False

    def __post_init__(self) -> None:
        """Refuse specifications that no learner could meet."""
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {self.kind!r}")
        least = 2 if self.kind == "multiclass" else 1
        if self.outputs < least:
            raise ValueError(f"{self.kind} needs at least {least} outputs; got {self.outputs}")
        if self.variance and self.kind != "regression":
            raise ValueError(f"variance=True is for regression; got kind={self.kind!r}")


class Learner(NamedTuple):
    """A meta-learner is four pure functions; every one can be jitted and vmapped.

    Attributes:
      init: ``(key, episode) -> params``: the meta-parameters, any pytree (empty if there are
        none). The episode has the shapes of the benchmark's; its values are zeros.
      adapt: ``(params, support, key) -> adapted``: what the learner makes of the support.
      predict: ``(params, adapted, x) -> outputs (N, C)``: logits, or regression means. Each row is
        judged alone: other rows of `x` never change it (no transduction).
      meta_loss: ``(params, episode, key) -> (scalar, metrics)``: its gradient is the meta-update.
      spec: of the tasks it is made for; None: not known, so not compared with a source's.
    """

    init: Callable[[jax.Array, Episode], PyTree]
    adapt: Callable[[PyTree, Examples, jax.Array], PyTree]
    predict: Callable[[PyTree, PyTree, PyTree], jax.Array]
    meta_loss: Callable[[PyTree, Episode, jax.Array], tuple[jax.Array, dict[str, jax.Array]]]
    spec: TaskSpec | None = None


class Always(NamedTuple):
    """A function that returns one value whatever its argument; equal values make equal functions.

    Where a compiled program is built from ``make(hyper)``, this is the `make` of fixed things.
    """

    value: Any

    def __call__(self, _: PyTree) -> Any:
        """The value."""
        return self.value


class TaskSource(NamedTuple):
    """A family of tasks: data on the device and the pure function that draws episodes from it.

    Attributes:
      spec: what all its episodes share.
      data: any pytree of arrays; always passed as an argument, so replacing a leaf by one of the
        same shape (other shots, other task weights) re-uses the compiled program.
      sample: ``(data, key, task=None) -> Episode``; `task` is an int32 scalar, or None to draw one.
      tasks: (T,) int32 task ids that `evaluate` enumerates; None for a generative world, in which
        every key is a new task.
      clusters: (ids,) int32, the bootstrap's unit of every task id; None if each task is its own.
      names: the name of every task id, or None.
    """

    spec: TaskSpec
    data: PyTree
    sample: Callable[..., Episode]
    tasks: np.ndarray | None = None
    clusters: np.ndarray | None = None
    names: tuple[str, ...] | None = None


def require_same(learner: Learner, source: TaskSource) -> None:
    """Refuses tasks of another kind or another number of outputs than a learner is made for.

    A squared error of class indicators and a softmax of quantities are numbers, too.

    Raises:
      ValueError: naming both specifications.
    """
    mine, given = learner.spec, source.spec
    if mine is not None and (mine.kind, mine.outputs) != (given.kind, given.outputs):
        raise ValueError(
            f"the learner is made for {mine.kind} tasks of {mine.outputs} outputs, but the source "
            f"has {given.kind} tasks of {given.outputs}. Remedy: build the learner with source.spec"
        )


def flat(x: PyTree, axes: int = 1) -> jax.Array:
    """Joins the leaves of inputs into vectors, for methods that know nothing of their structure.

    Args:
      x: leaves with `axes` common leading axes.
      axes: how many of them are kept.

    Returns:
      (..., D) float32.
    """
    leaves = [jnp.asarray(leaf, jnp.float32) for leaf in jax.tree.leaves(x)]
    return jnp.concatenate([leaf.reshape(*leaf.shape[:axes], -1) for leaf in leaves], axis=-1)
