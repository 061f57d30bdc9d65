"""Normalisation over the rows of a batch."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp


class BatchNorm(nn.Module):
    """Batch normalisation by the statistics of the very batch, in training and at test.

    What MAML's and Reptile's networks do ("transductive" when the batch is a query): there are no
    running averages. The results of ``flax.linen.BatchNorm(use_running_average=False)``, whose
    parameters it has; the variance is centred, because the difference of two moments cancels badly.
    Padded rows would count: for episodes without any only.

    Attributes:
      epsilon: added to the variance, above 0.

    Reference: Ioffe, Szegedy 2015, https://arxiv.org/abs/1502.03167.
    """

    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalises every channel of (N, ..., C); statistics are float32 at least."""
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:], jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:], jnp.float32)
        axes = tuple(range(x.ndim - 1))
        exact = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        mean = exact.mean(axes)
        variance = jnp.square(exact - mean).mean(axes)
        # One multiplication and one addition per entry.
        factor = scale * jax.lax.rsqrt(variance + self.epsilon)
        return (exact * factor + (bias - mean * factor)).astype(x.dtype)
