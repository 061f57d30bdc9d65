"""Matching networks: a query has the label of the support rows that it resembles.

Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra 2016, https://arxiv.org/abs/1606.04080.
``P(c | x) = sum_i a(x, x_i) y_ic``, the attention a being a softmax over the support rows of the
cosine of features (``cosine``, the paper) or of minus their squared distance (``euclidean``, the
default, because an independent re-run did not reach the paper's figures with the cosine). Logits
are ``log sum_{i in c} exp s(x, x_i)``. The gradient is exact. Differences: one encoder for support
and query, and no full-context embeddings (nor does the paper use them on Omniglot): they read the
support in an order.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.learners.common import from_adaptation, require
from metajax.learners.method import Method
from metajax.losses import ABSENT
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def matchingnet(spec: TaskSpec, encoder: nn.Module, *, distance: str = "euclidean") -> Learner:
    """Builds a matching network; adapted is the (S, D) features and (S, C) weighted labels.

    Args:
      spec: multiclass tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      distance: "euclidean" (squared) or "cosine".

    Raises:
      ValueError: for multilabel and regression tasks, or another distance.
    """
    require("matchingnet", spec, "multiclass")
    if distance not in ("euclidean", "cosine"):
        raise ValueError(f"matchingnet's distance is euclidean or cosine; got {distance!r}")

    def encode(params: PyTree, x: PyTree) -> jax.Array:
        z = encoder.apply(params, x)
        if distance == "euclidean":
            return z
        return z * jax.lax.rsqrt((z**2).sum(-1, keepdims=True) + 1e-12)

    def init(key: jax.Array, episode: Episode) -> PyTree:
        return encoder.init(key, episode.support.x)

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        return encode(params, support.x), support.y * support.mask

    def predict(params: PyTree, adapted: tuple[jax.Array, jax.Array], x: PyTree) -> jax.Array:
        (rows, member), z = adapted, encode(params, x)
        if distance == "euclidean":
            alike = -((z[:, None] - rows) ** 2).sum(-1)
        else:
            alike = z @ rows.T
        weight = jnp.log(jnp.where(member > 0, member, 1))
        alike = jnp.where(member > 0, alike[..., None] + weight, ABSENT)
        return jax.nn.logsumexp(alike, axis=1)

    return from_adaptation(spec, init, adapt, predict)


METHODS = (
    Method(
        matchingnet,
        pillar="metric",
        adapts="nothing: support rows are compared with",
        cost="3S + 3Q",
        kinds=("multiclass",),
        reference="Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra 2016, "
        "https://arxiv.org/abs/1606.04080",
        differs="squared distance by default; no full-context embeddings",
    ),
)
