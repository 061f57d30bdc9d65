"""Integrated gradients of pixels, letters or columns (a part of `reasons`).

``a_i = (x_i - b_i) * integral over t in [0, 1] of df/dx_i at b + t (x - b)``, b a baseline. The
attributions of a row sum to ``f(x) - f(b)`` (completeness), up to the error of the quadrature,
which is measured and given back. With several baselines (the support) all is averaged over them:
expected gradients, and f(b) is the mean output of the baselines.

Reference:
  Sundararajan, Taly, Yan (2017), Axiomatic attribution for deep networks. Erion, Janizek,
  Sturmfels, Lundberg, Lee (2021), Improving performance of deep learning models with axiomatic
  attribution priors and expected gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metajax.types import PyTree

_AT_ONCE = 16  # nodes of one compiled call


class Gradients(NamedTuple):
    """Attributions of N rows.

    Attributes:
      values: as `x`: what every entry adds to the output.
      span: (N,) output of the row minus (mean) output of the baseline.
      gap: (N,) sum of the attributions minus `span`: what the quadrature misses.
      steps: nodes of the quadrature, on every line.
    """

    values: PyTree
    span: np.ndarray
    gap: np.ndarray
    steps: int

    def complete(self, tolerance: float = 0.01) -> np.ndarray:
        """(N,) bool: the sum is the span within this part of it; of 0.1, if the span is smaller."""
        return np.abs(self.gap) <= tolerance * np.maximum(np.abs(self.span), 0.1)


def integrated_gradients(
    predict: Callable[[PyTree], jax.Array],
    x: PyTree,
    baselines: PyTree,
    target: int | np.ndarray,
    *,
    tolerance: float = 0.01,
    steps: int = 32,
    most: int = 512,
) -> Gradients:
    """Attributes one output of every row to its entries.

    Args:
      predict: ``(N, ...) -> (N, C)``, differentiable by jax and judging each row alone: ``lambda x:
        learner.predict(params, adapted, x)``. The same function object is compiled once.
      x: leaves (N, ...), floats: images decoded, letters one-hot.
      baselines: leaves (B, ...): the support, or one image of nothing, or letters at 1/4 each.
      target: the output to explain, or one for each row.
      tolerance: nodes are doubled until `Gradients.complete` holds for all rows, or there are
        `most`; look at `gap` then. Networks with kinks (relu) need many.
      steps: nodes at first, a multiple of 16.
      most: nodes at most.

    Raises:
      ValueError: for inputs that are no floats, shapes that do not fit, or a target out of range.
    """
    leaves, lows = jax.tree.leaves(x), jax.tree.leaves(baselines)
    if jax.tree.structure(x) != jax.tree.structure(baselines) or any(
        np.shape(a)[1:] != np.shape(b)[1:] for a, b in zip(leaves, lows, strict=True)
    ):
        raise ValueError("x and baselines must be alike but for the number of rows")
    if not all(jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.floating) for leaf in leaves + lows):
        raise ValueError("integrated gradients need floats: decode images and letters first")
    if steps < 1 or steps % _AT_ONCE or most < steps:
        raise ValueError(f"steps is a multiple of {_AT_ONCE}, most not below; got {steps}, {most}")
    top, low = jnp.asarray(predict(x)), jnp.asarray(predict(baselines))
    target = np.broadcast_to(np.asarray(target), (len(top),))
    if target.dtype.kind not in "iu" or target.min() < 0 or target.max() >= top.shape[1]:
        raise ValueError(f"target is an output, 0 to {top.shape[1] - 1}; got {target}")
    span = np.asarray(top[np.arange(len(top)), target] - low.mean(0)[target], np.float64)
    while True:
        node, weight = np.polynomial.legendre.leggauss(steps)
        node, weight = (node + 1) / 2, weight / 2
        values = jax.tree.map(jnp.zeros_like, x)
        for i in range(0, steps, _AT_ONCE):
            part = slice(i, i + _AT_ONCE)
            new = _on_lines(predict, x, baselines, jnp.asarray(target),
                            jnp.asarray(node[part], jnp.float32),
                            jnp.asarray(weight[part], jnp.float32))  # fmt: skip
            values = jax.tree.map(jnp.add, values, new)
        sums = [np.asarray(leaf, np.float64).reshape(len(top), -1).sum(1)
                for leaf in jax.tree.leaves(values)]  # fmt: skip
        found = Gradients(jax.tree.map(np.asarray, values), span, sum(sums) - span, steps)
        if 2 * steps > most or found.complete(tolerance).all():
            return found
        steps *= 2


@partial(jax.jit, static_argnums=0)
def _on_lines(predict, x, baselines, target, node, weight):
    """The weighted sum of gradients at some nodes, times the way: the mean over baselines."""

    def output(row: PyTree, t: jax.Array) -> jax.Array:
        return predict(jax.tree.map(lambda leaf: leaf[None], row))[0, t]

    def of_row(row: PyTree, t: jax.Array) -> PyTree:
        def to(total: PyTree, base: PyTree):
            way = jax.tree.map(jnp.subtract, row, base)

            def at(total: PyTree, point):
                where, share = point
                here = jax.tree.map(lambda b, w: b + where * w, base, way)
                slope = jax.grad(output)(here, t)
                step = jax.tree.map(lambda a, s, w: a + share * s * w, total, slope, way)
                return step, None

            return jax.lax.scan(at, total, (node, weight))[0], None

        total = jax.lax.scan(to, jax.tree.map(jnp.zeros_like, row), baselines)[0]
        count = jax.tree.leaves(baselines)[0].shape[0]
        return jax.tree.map(lambda leaf: leaf / count, total)

    return jax.vmap(of_row)(x, target)
