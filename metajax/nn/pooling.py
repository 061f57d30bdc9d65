"""Pooling over an axis of positions or tokens."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def largest(x: jax.Array, axis: int = 1) -> jax.Array:
    """The maximum over an axis, with gradients that are finite however it is compiled.

    The derivative of `jnp.max` divides by the number of entries that equal the maximum. A compiler
    may compute the entries twice with different rounding; then none does, and second derivatives
    become NaN. Here the first largest entry has the whole gradient.
    """
    place = jnp.argmax(jax.lax.stop_gradient(x), axis=axis, keepdims=True)
    chosen = jax.lax.broadcasted_iota(place.dtype, x.shape, axis % x.ndim) == place
    return jnp.sum(jnp.where(chosen, x, 0.0), axis=axis)


def max_pool(x: jax.Array, window: int = 2) -> jax.Array:
    """The maximum over windows that do not overlap, of every spatial axis; the rest is cut off.

    The results of ``flax.linen.max_pool(x, (window,) * axes, (window,) * axes)``. The first largest
    entry of a window has the whole gradient, as there. Selections instead of a windowed reduction,
    whose gradient is a scatter that is slow on CPUs and slower when differentiated again.

    Args:
      x: (N, *size, C).
      window: its width on every axis, 1 or more.

    Returns:
      (N, *(size // window), C).
    """
    for axis in reversed(range(1, x.ndim - 1)):  # within a row first: first means row by row
        out = x.shape[axis] // window
        lanes = [
            jax.lax.slice_in_dim(x, i, i + (out - 1) * window + 1, window, axis)
            for i in range(window)
        ]
        x = lanes[0]
        for lane in lanes[1:]:
            x = jnp.where(x >= lane, x, lane)
    return x
