"""Encoders for images."""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp


class Conv4(nn.Module):
    """Four 3x3 convolution blocks, the backbone of the few-shot image literature.

    Each block is convolution, normalisation, ReLU, and a reduction by two (stride 2 as in MAML's
    Omniglot network, or 2x2 max-pooling as in Matching and Prototypical Networks).

    Attributes:
      features: channels of every block.
      pool: max-pool instead of stride 2.
      norm: "group" or "none". Statistics of one row only: batch statistics would make predictions
        depend on the other queries (transduction).

    Raises:
      ValueError: for an unknown norm or inputs that are not (N, H, W, channels).

    Reference: Vinyals et al. 2016, https://arxiv.org/abs/1606.04080; Finn et al. 2017,
      https://arxiv.org/abs/1703.03400.
    """

    features: int = 64
    pool: bool = False
    norm: Literal["group", "none"] = "group"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps images (N, H, W, channels) to (N, D)."""
        if self.norm not in ("group", "none"):
            raise ValueError(f"norm must be group or none; got {self.norm!r}")
        if x.ndim != 4:
            raise ValueError(f"Conv4 needs images (N, H, W, channels); got shape {x.shape}")
        x = jnp.asarray(x, jnp.float32)
        for _ in range(4):
            x = nn.Conv(self.features, (3, 3), strides=1 if self.pool else 2)(x)
            if self.norm == "group":
                x = nn.GroupNorm(num_groups=min(8, self.features))(x)
            x = nn.relu(x)
            x = nn.max_pool(x, (2, 2), (2, 2)) if self.pool else x
        return x.reshape(x.shape[0], -1)
