"""Relation network: a learned module says how alike a query and a class are.

Sung, Yang, Zhang, Xiang, Torr, Hospedales 2018, https://arxiv.org/abs/1711.06025. The score of
class c is ``r_c(x) = sigmoid g([mean of f over the support of c, f(x)])`` and the meta-loss is the
mean of ``(r_c - y_c)^2`` over queries and classes, as in the paper and the authors' code. The
gradient is exact. Differences: g is a perceptron (`width`, 8, 1) with GELU on feature vectors,
where the authors put two convolutions and ReLU; the mean over shots, where they take the sum, so
that the number of shots may vary; no batch normalisation. The logits are ``log r_c``: their softmax
divides the scores by their sum.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.learners.common import class_means, require
from metajax.learners.method import Method
from metajax.losses import ABSENT
from metajax.nn import MLP
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def relationnet(spec: TaskSpec, encoder: nn.Module, *, width: int = 64) -> Learner:
    """Builds a relation network; adapted is the (C, D) class means and the (C,) class sizes.

    Args:
      spec: multiclass tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      width: units of the relation module's first layer.

    Raises:
      ValueError: for multilabel and regression tasks.
    """
    require("relationnet", spec, "multiclass")
    relation = nn.Sequential([MLP((width, 8), activation=nn.gelu), nn.Dense(1)])

    def init(key: jax.Array, episode: Episode) -> PyTree:
        body_key, relation_key = jax.random.split(key)
        body = encoder.init(body_key, episode.support.x)
        z = encoder.apply(body, episode.support.x)
        pairs = jnp.concatenate([z, z], -1)
        return {"body": body, "relation": relation.init(relation_key, pairs)}

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        return class_means(encoder.apply(params["body"], support.x), support)

    def predict(params: PyTree, adapted: tuple[jax.Array, jax.Array], x: PyTree) -> jax.Array:
        (means, sizes), z = adapted, encoder.apply(params["body"], x)
        shape = len(z), *means.shape
        pairs = jnp.concatenate(
            [jnp.broadcast_to(means, shape), jnp.broadcast_to(z[:, None], shape)], -1
        )
        scores = relation.apply(params["relation"], pairs.reshape(-1, pairs.shape[-1]))
        return jnp.where(sizes > 0, jax.nn.log_sigmoid(scores.reshape(shape[:2])), ABSENT)

    def meta_loss(params: PyTree, episode: Episode, key: jax.Array):
        query = episode.query
        outputs = predict(params, adapt(params, episode.support, key), query.x)
        value = (query.mask * (jnp.exp(outputs) - query.y) ** 2).sum()
        value /= jnp.maximum(query.mask.sum(), 1e-12)
        return value, {"loss": value}

    return Learner(init, adapt, predict, meta_loss, spec)


METHODS = (
    Method(
        relationnet,
        pillar="metric",
        adapts="a mean per class",
        cost="3S + 3Q",
        kinds=("multiclass",),
        reference="Sung, Yang, Zhang, Xiang, Torr, Hospedales 2018, "
        "https://arxiv.org/abs/1711.06025",
        differs="the relation module is a perceptron; mean over shots; no batch normalisation",
    ),
)
