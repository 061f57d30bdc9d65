"""Attention to weighted keys, some or all of which may be absent."""

from __future__ import annotations

import jax
import jax.numpy as jnp

# Large enough to vanish in a softmax, small enough to stay finite in float32.
HIDDEN = -1e9


def key_bias(weight: jax.Array) -> jax.Array:
    """What `attend` adds to the scores so that a key of weight w counts as w keys; 0: absent."""
    return jnp.where(weight > 0, jnp.log(jnp.where(weight > 0, weight, 1.0)), HIDDEN)


def attend(query: jax.Array, keys: jax.Array, values: jax.Array, bias: jax.Array) -> jax.Array:
    """Scaled dot-product attention with heads side by side; 0 where no key is there.

    Args:
      query: (..., N, heads, E).
      keys: (..., M, heads, E).
      values: (..., M, heads, V).
      bias: (..., M) of `key_bias`; leading axes broadcast.

    Returns:
      (..., N, heads * V).

    Reference: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.
    """
    scores = jnp.einsum("...nhe,...mhe->...hnm", query, keys) * query.shape[-1] ** -0.5
    share = jax.nn.softmax(scores + bias[..., None, None, :], axis=-1)
    seen = jnp.einsum("...hnm,...mhe->...nhe", share, values)
    some = (bias > HIDDEN / 2).any(-1)[..., None, None, None]
    return jnp.where(some, seen, 0.0).reshape(*seen.shape[:-2], -1)
