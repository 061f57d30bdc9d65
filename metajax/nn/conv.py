"""Encoders for images."""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.nn.convolution import Conv, Form
from metajax.nn.normalisation import BatchNorm
from metajax.nn.pooling import max_pool


class Conv4(nn.Module):
    """Four 3x3 convolution blocks, the backbone of the few-shot image literature.

    Each block is convolution, normalisation, ReLU, and a reduction by two (stride 2 as in MAML's
    Omniglot network, or 2x2 max-pooling as in Matching and Prototypical Networks).

    Attributes:
      features: channels of every block.
      pool: max-pool instead of stride 2.
      norm: "group", "none", or "batch". The first two look at one row only. Batch statistics make
        a prediction depend on the other queries (transduction), as in the original networks; for
        episodes without padded rows only.
      dtype: of convolutions, e.g. ``jnp.bfloat16``; parameters and features are float32.
      form: of convolutions, see `metajax.nn.convolve`.

    Raises:
      ValueError: for an unknown norm or inputs that are not (N, H, W, channels).

    Reference: Vinyals et al. 2016, https://arxiv.org/abs/1606.04080; Finn et al. 2017,
      https://arxiv.org/abs/1703.03400.
    """

    features: int = 64
    pool: bool = False
    norm: Literal["group", "none", "batch"] = "group"
    dtype: jnp.dtype | None = None
    form: Form = "auto"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps images (N, H, W, channels) to (N, D)."""
        if self.norm not in ("group", "none", "batch"):
            raise ValueError(f"norm must be group, none or batch; got {self.norm!r}")
        if x.ndim != 4:
            raise ValueError(f"Conv4 needs images (N, H, W, channels); got shape {x.shape}")
        x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)
        for _ in range(4):
            stride = 1 if self.pool else 2
            x = Conv(self.features, (3, 3), stride, dtype=self.dtype, form=self.form)(x)
            if self.norm == "group":
                x = nn.GroupNorm(num_groups=min(8, self.features), dtype=self.dtype)(x)
            elif self.norm == "batch":
                x = BatchNorm()(x)
            x = nn.relu(x)
            x = max_pool(x) if self.pool else x
        return x.reshape(x.shape[0], -1).astype(jnp.promote_types(x.dtype, jnp.float32))
