"""The parts of a conditional neural process: rows become representations, which others read."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.nn.attention import attend, key_bias


class NeuralProcess(nn.Module):
    """Represents labelled rows, joins them to K summaries by mean or attention, decodes with these.

    Attributes:
      outputs: numbers that are decoded from a summary.
      width: of representations and hidden layers, a multiple of `heads`.
      heads: of the attention of a row to the support; 0: every row reads the mean.

    Reference: Garnelo et al. 2018, https://arxiv.org/abs/1807.01613; Kim et al. 2019,
      https://arxiv.org/abs/1901.05761.
    """

    outputs: int
    width: int = 64
    heads: int = 0

    def setup(self) -> None:
        """Makes h, g and the projections of the attention."""

        def layers(last: int) -> nn.Module:
            return nn.Sequential([nn.Dense(self.width), nn.gelu, nn.Dense(last)])

        self.h, self.g = layers(self.width), layers(self.outputs)
        if self.heads:
            self.query, self.key = nn.Dense(self.width), nn.Dense(self.width)

    def __call__(self, z: jax.Array, told: jax.Array, weight: jax.Array) -> jax.Array:
        """Represents support rows and decodes them with themselves."""
        return self.decode(z, (z, self.represent(z, told), weight))

    def represent(self, z: jax.Array, told: jax.Array) -> jax.Array:
        """Representations (S, width) of rows with features (S, D), of which `told` is known."""
        return self.h(jnp.concatenate([z, told], axis=-1))

    def decode(self, z: jax.Array, support: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        """Outputs (N, K, outputs) of rows with features (N, D).

        Args:
          z: (N, D).
          support: its features (S, D) and representations (S, width), and the weight (K, S) of its
            rows in every summary; a summary of no row is 0.
        """
        keys, values, weight = support
        if self.heads:
            q, k, v = (
                a.reshape(1, len(a), self.heads, -1)
                for a in (self.query(z), self.key(keys), values)
            )
            r = attend(q, k, v, key_bias(weight)).swapaxes(0, 1)
        else:
            total = weight.sum(1, keepdims=True)
            r = weight @ values / jnp.where(total > 0, total, 1.0)
            r = jnp.broadcast_to(r, (len(z), *r.shape))
        z = jnp.broadcast_to(z[:, None], (*r.shape[:2], z.shape[1]))
        return self.g(jnp.concatenate([z, r], axis=-1))
