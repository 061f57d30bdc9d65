"""Encoders for vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.nn.product import dot_general


class Identity(nn.Module):
    """The inputs themselves, flattened to (N, D); no parameters."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (N, ...) to (N, D)."""
        return x.reshape(x.shape[0], -1)


class MLP(nn.Module):
    """A multi-layer perceptron over flattened inputs, every layer activated.

    Differentiable in reverse mode only, at any order (see `metajax.nn.product`).

    Attributes:
      widths: the layers' widths; the last is D without a skip.
      activation: applied after every layer.
      skip: append the inputs, each times a learned scale, to the features: a linear head keeps the
        linear model, a distance the distance between inputs, and the layers learn what these lack.
        D is then the inputs' width + the last width.
      kernel_init: the initializer of the weights; biases start at 0.
    """

    widths: Sequence[int] = (64, 64)
    activation: Callable[[jax.Array], jax.Array] = nn.relu
    skip: bool = False
    kernel_init: Callable = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (N, ...) to (N, D)."""
        x = features = x.reshape(x.shape[0], -1)
        for width in self.widths:
            dense = nn.Dense(width, kernel_init=self.kernel_init, dot_general=dot_general)
            features = self.activation(dense(features))
        if not self.skip:
            return features
        start = nn.initializers.constant(x.shape[-1] ** -0.5)
        return jnp.concatenate([x * self.param("skip", start, x.shape[-1:]), features], axis=-1)
