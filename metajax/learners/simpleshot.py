"""SimpleShot: nearest class mean on centred, normalised features of a pre-trained encoder (CL2N).

Wang, Chao, Weinberger, van der Maaten 2019, https://arxiv.org/abs/1911.04623. Pre-training is plain
classification of all training rows; then ``z = (f - m) / |f - m|`` with m the mean feature of the
training tasks, and the logit of class c is ``-scale |z - mean of z over the support of c|^2``.
Differences: with ``shared`` one linear head classifies the rows of all tasks, as in the paper,
which needs classes that mean the same in every task; otherwise (default) classes are named anew in
every task, and each has its own head, at its optimum for all rows of the task:
``min_W sum CE(W'f, y) + l2 |W|^2 / 2``, multi-task learning whose heads need no memory. The mean m
is a parameter that follows the features by the gradient ``m - mean f``, so the meta-gradient is not
that of the loss. The paper knows no probabilities: `scale` makes them.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.learners.common import class_means, joined, network, require
from metajax.learners.heads import logistic
from metajax.learners.method import Method
from metajax.losses import ABSENT, loss
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def simpleshot(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    shared: bool = False,
    l2: float = 1.0,
    inner_steps: int = 8,
    scale: float = 10.0,
) -> Learner:
    """Builds the learner; adapted is the (C, D) class means and the (C,) class sizes.

    Args:
      spec: multiclass tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      shared: pre-train one head for all tasks, where classes mean the same in each.
      l2: regularisation of the heads otherwise, above 0, on the scale of a sum over rows.
      inner_steps: Newton steps that fit such a head, before the last, 0 or more.
      scale: of squared distances (at most 4) in logits, above 0.

    Raises:
      ValueError: for multilabel and regression tasks, or a negative number of steps.
    """
    require("simpleshot", spec, "multiclass")
    if inner_steps < 0:
        raise ValueError(f"simpleshot needs inner_steps >= 0; got {inner_steps}")
    net = network(spec, encoder)

    def init(key: jax.Array, episode: Episode) -> PyTree:
        params = net.init(key, episode.support.x)
        mean = jnp.zeros_like(net.features(params["body"], episode.support.x)[0])
        if not shared:
            del params["head"]
        return params | {"mean": mean}

    def encode(params: PyTree, x: PyTree) -> jax.Array:
        z = net.features(params["body"], x) - params["mean"]
        return z * jax.lax.rsqrt((z**2).sum(-1, keepdims=True) + 1e-12)

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        return class_means(encode(params, support.x), support)

    def predict(params: PyTree, adapted: tuple[jax.Array, jax.Array], x: PyTree) -> jax.Array:
        means, sizes = adapted
        gaps = encode(params, x)[:, None] - means
        return jnp.where(sizes > 0, -scale * (gaps**2).sum(-1), ABSENT)

    def meta_loss(params: PyTree, episode: Episode, key: jax.Array):
        rows = joined(episode)
        f, weight = net.features(params["body"], rows.x), rows.mask.max(-1)
        fixed, total = jax.lax.stop_gradient(f), jnp.maximum(weight.sum(), 1e-12)
        if shared:
            value = loss(spec, net.head(params["head"], f), rows)
        else:  # at its optimum the head's own derivative is 0
            head = logistic(fixed, rows.y, rows.mask, l2, inner_steps)
            value = loss(spec, f @ head, rows) + 0.5 * l2 * (head**2).sum() / total
        away = params["mean"] - weight @ fixed / total
        # Its value is 0, its gradient is `away`.
        follow = (away**2).sum() / 2
        return value + follow - jax.lax.stop_gradient(follow), {"loss": value}

    return Learner(init, adapt, predict, meta_loss, spec)


METHODS = (
    Method(
        simpleshot,
        pillar="metric",
        adapts="a mean per class",
        cost="3S + 3Q",
        exact=False,
        kinds=("multiclass",),
        reference="Wang, Chao, Weinberger, van der Maaten 2019, https://arxiv.org/abs/1911.04623",
        differs="a head per task at its optimum, unless classes are shared; the mean is learned",
    ),
)
