"""Encoders for signals and sequences."""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.nn.convolution import Conv
from metajax.nn.pooling import largest


class Conv1D(nn.Module):
    """Strided convolution blocks over a signal (ECG) or a one-hot sequence (DNA, RNA, protein).

    Each block is convolution with stride 2, normalisation and ReLU. The features are then pooled
    over the whole length, by mean and by maximum side by side: a binding motif or an abnormal wave
    may sit anywhere, the maximum says whether it is there at all and the mean how much of it.

    Attributes:
      features: channels of every block.
      kernel: width of the filters, in positions of the block's input.
      blocks: number of blocks; each halves the length.
      norm: "group" or "none". Statistics of one row only: batch statistics would make predictions
        depend on the other queries (transduction).
      pool: "global" (D = 2 * features), or "flatten" where the position matters, as in windows
        centred on a site (D = features * ceil(length / 2 ** blocks)).

    Raises:
      ValueError: for an unknown norm or pool, or inputs that are not (N, L) or (N, L, channels).

    Reference: Alipanahi et al. 2015, "DeepBind", https://doi.org/10.1038/nbt.3300, for motif
      detectors pooled by maximum and mean.
    """

    features: int = 64
    kernel: int = 9
    blocks: int = 4
    norm: Literal["group", "none"] = "group"
    pool: Literal["global", "flatten"] = "global"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps signals (N, L) or (N, L, channels) to (N, D)."""
        if self.norm not in ("group", "none"):
            raise ValueError(f"norm must be group or none; got {self.norm!r}")
        if self.pool not in ("global", "flatten"):
            raise ValueError(f"pool must be global or flatten; got {self.pool!r}")
        if x.ndim not in (2, 3):
            raise ValueError(f"Conv1D needs (N, L) or (N, L, channels); got shape {x.shape}")
        x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)
        x = x[..., None] if x.ndim == 2 else x
        for i in range(self.blocks):
            # The layer's name decides its first weights: this one is that of the first records.
            x = Conv(self.features, (self.kernel,), 2, name=f"Dense_{i}")(x)
            if self.norm == "group":
                # Four channels a group at least: the last blocks may have a single position left.
                fits = (g for g in (8, 4, 2) if self.features % g == 0 and self.features >= 4 * g)
                x = nn.GroupNorm(num_groups=next(fits, 1), use_fast_variance=False)(x)
            x = nn.relu(x)
        if self.pool == "flatten":
            return x.reshape(x.shape[0], -1)
        return jnp.concatenate([x.mean(axis=1), largest(x)], axis=-1)
