"""The matrix product of dense layers, with gradients that stay fast when weights differ by task.

On CPUs a product whose left side is transposed runs at half speed or less, and such is the gradient
of weights: ``x' g``. Here it is a product of the transposed copy. The three products of a layer are
each other's derivatives, so reverse mode of any order is made of them.
"""

from __future__ import annotations

from typing import Any

import jax


@jax.custom_vjp
def product(x: jax.Array, w: jax.Array) -> jax.Array:
    """``x w``: (N, I) and (I, O) to (N, O); differentiable in reverse mode only, at any order."""
    return x @ w


@jax.custom_vjp
def _input_gradient(g: jax.Array, w: jax.Array) -> jax.Array:
    """``g w'``: (N, O) and (I, O) to (N, I)."""
    return g @ w.T


@jax.custom_vjp
def _weight_gradient(x: jax.Array, g: jax.Array) -> jax.Array:
    """``x' g``: (N, I) and (N, O) to (I, O)."""
    # The barrier keeps the compiler from joining the transposition to the product again.
    return jax.lax.optimization_barrier(x.T) @ g


def _saved(function):
    return lambda a, b: (function(a, b), (a, b))


product.defvjp(
    _saved(product),
    lambda saved, ct: (_input_gradient(ct, saved[1]), _weight_gradient(saved[0], ct)),
)
_input_gradient.defvjp(
    _saved(_input_gradient),
    lambda saved, ct: (product(ct, saved[1]), _weight_gradient(ct, saved[0])),
)
_weight_gradient.defvjp(
    _saved(_weight_gradient),
    lambda saved, ct: (_input_gradient(saved[1], ct), product(saved[0], ct)),
)


def dot_general(x: jax.Array, w: jax.Array, *_: Any, **__: Any) -> jax.Array:
    """`product` as the `dot_general` of a `flax.linen.Dense` on rows (N, I)."""
    return product(x, w)
