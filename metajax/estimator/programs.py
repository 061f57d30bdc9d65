"""Adapt and predict of a trained learner as StableHLO, decoding and scaling included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from metajax.benchmarks import Benchmark
from metajax.datasets import Family
from metajax.training import blank_episode
from metajax.types import Episode, Examples, Learner, PyTree

BLOCK = 64  # rows that are judged at once
PLATFORMS = ("cpu", "cuda")
CLIP = 4.0  # of `metajax.datasets.scaled`
CLOSE = 1e-4  # of a z-score: the scaling of the run's inputs, found again


def function(
    learner: Learner,
    prepare: Callable | None,
    params: PyTree,
    x: PyTree,
    benchmark: Benchmark,
    fold: int,
    columns: dict[str, np.ndarray] | None,
) -> Callable:
    """``(arrays, support leaves, y, mask, query leaves) -> outputs`` in the units of the labels."""
    tree, inputs = jax.tree.structure(params), jax.tree.structure(x)
    count = tree.num_leaves
    blank = blank_episode(benchmark.folds[fold].test)

    def info(part: Examples, size: int) -> PyTree:
        return jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape[1:]), leaf.dtype), part.info)

    def run(arrays: list, given: list, y: jax.Array, mask: jax.Array, asked: list) -> jax.Array:
        own = jax.tree.unflatten(tree, arrays[:count])
        scales = dict(zip(sorted(columns or ()), arrays[count:], strict=True))
        support = Examples(jax.tree.unflatten(inputs, given), y, mask, info(blank.support, len(y)))
        size = len(asked[0])

        def prepared(target: float) -> Episode:
            ones = jnp.ones((size, y.shape[1]), jnp.float32)
            query = Examples(jax.tree.unflatten(inputs, asked), target * ones, ones,
                             info(blank.query, size))  # fmt: skip
            episode = Episode(support, query)
            if scales:
                used = (mask.max(1, keepdims=True) > 0).astype(jnp.float32)
                return Episode(support._replace(x=_scaled(scales, support.x) * used),
                               query._replace(x=_scaled(scales, query.x)))  # fmt: skip
            return prepare(episode)

        zero, one = prepared(0.0), prepared(1.0)
        adapted = learner.adapt(own, zero.support, jax.random.key(0))
        outputs = learner.predict(own, adapted, zero.query.x)
        if benchmark.spec.kind != "regression":
            return outputs.astype(jnp.float32)
        # What a target of 0 and of 1 became says how outputs are to be turned back.
        unit = one.query.y - zero.query.y
        if benchmark.spec.variance:
            mean = (outputs[..., 0] - zero.query.y) / unit
            return jnp.stack([mean, outputs[..., 1] / unit**2], -1).astype(jnp.float32)
        return ((outputs - zero.query.y) / unit).astype(jnp.float32)

    return run


def exported(function: Callable, arrays: dict, inputs: list, outputs: int, rows: int) -> Any:
    """The StableHLO of a function for supports of so many rows."""

    def struct(shape, dtype):
        return jax.ShapeDtypeStruct(tuple(shape), np.dtype(dtype))

    own = [struct(array.shape, array.dtype) for array in arrays.values()]
    given = [struct((rows, *one["shape"]), one["dtype"]) for one in inputs]
    asked = [struct((BLOCK, *one["shape"]), one["dtype"]) for one in inputs]
    labels = [struct((rows, outputs), "float32")] * 2

    def flat(*all_arrays):
        parts = list(all_arrays)
        n, k = len(own), len(inputs)
        return function(parts[:n], parts[n : n + k], *parts[n + k : n + k + 2], parts[n + k + 2 :])

    return jax.export.export(jax.jit(flat), platforms=PLATFORMS)(*own, *given, *labels, *asked)


def _scaled(columns: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """Z-scores and flags of a table, as `metajax.datasets.scaled` made them for the run."""
    missing = jnp.isnan(x)
    z = jnp.where(missing, 0.0, (jnp.where(missing, 0.0, x) - columns["mean"]) * columns["slope"])
    z = jnp.clip(z, -CLIP, CLIP)
    # (D, flags): which column a flag is of; padded flags are of none.
    return jnp.concatenate([z, missing.astype(jnp.float32) @ columns["flags"]], axis=1)


def scaling(family: Family, benchmark: Benchmark, fold: int) -> dict[str, np.ndarray]:
    """How the inputs of a run were scaled, found again from the rows that it was tested on.

    Raises:
      ValueError: if what is found does not give the run's inputs.
    """
    raw = np.asarray(family.x, np.float64)
    made = np.asarray(benchmark.folds[fold].test.data.x, np.float64)
    width = raw.shape[1]
    mean, slope = np.zeros(width), np.zeros(width)
    for j in range(width):
        seen = ~np.isnan(raw[:, j])
        x, z = raw[seen, j], made[seen, j]
        inside = np.abs(z) < CLIP
        if not inside.any():
            continue
        x0, z0 = x[inside][0], z[inside][0]
        # The furthest value that was not cut; if all of these are equal, the nearest that was.
        away = np.where(inside, np.abs(x - x0), 0.0)
        other = away.argmax()
        if not away[other]:
            beyond = np.where(~inside, np.abs(x - x0), np.inf)
            other = beyond.argmin()
        if x[other] != x0:
            slope[j] = (z[other] - z0) / (x[other] - x0)
        mean[j] = x0 - z0 / slope[j] if slope[j] else 0.0
    flags = np.zeros((width, made.shape[1] - width))
    missing = np.isnan(raw).astype(np.float64)
    for k in range(flags.shape[1]):
        column = made[:, width + k]
        same = (missing == column[:, None]).all(0)
        if column.any() and same.any():
            flags[np.argmax(same), k] = 1
    found = {"flags": flags, "mean": mean, "slope": slope}
    found = {name: array.astype(np.float32) for name, array in found.items()}
    again = np.asarray(_scaled(found, jnp.asarray(raw, jnp.float32)))
    if np.abs(again - made).max() > CLOSE:
        raise ValueError("the scaling of the run's table cannot be found again: "
                         f"{np.abs(again - made).max():.2g} of a z-score is left")  # fmt: skip
    return found
