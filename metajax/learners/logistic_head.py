"""Logistic head (after LR-D2): the head is the logistic regression of the support on features.

Bertinetto, Henriques, Torr, Vedaldi 2019, https://arxiv.org/abs/1805.08136, section 3.2.
``W = argmin sum_i CE(W'z_i, y_i) + l2 |W|^2 / 2``, by Newton's method. The gradient passes through
W by the implicit function theorem: exact where Newton's method has converged. Differences: the
authors solve two classes and differentiate through their five steps; here are any number of
classes, damped steps, and l2 is learned in log space from its start. Findings are fitted one by
one, each with the rows that have it. l2 is 1 / C of scikit-learn.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.learners.common import from_adaptation, require
from metajax.learners.heads import logistic
from metajax.learners.method import Method
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def logistic_head(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    l2: float = 1.0,
    inner_steps: int = 8,
    bias: bool = True,
) -> Learner:
    """Builds the learner; adapted is the (D, C) head.

    Args:
      spec: multiclass or multilabel tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      l2: where the learned regularisation starts, above 0, on the scale of a sum over rows.
      inner_steps: Newton steps before the last, 0 or more.
      bias: append a constant feature (it is regularised like the others).

    Raises:
      ValueError: for regression tasks or a negative number of steps.
    """
    require("logistic_head", spec, "multiclass", "multilabel")
    if inner_steps < 0:
        raise ValueError(f"logistic_head needs inner_steps >= 0; got {inner_steps}")

    def encode(params: PyTree, x: PyTree) -> jax.Array:
        z = encoder.apply(params["body"], x)
        return jnp.concatenate([z, jnp.ones_like(z[:, :1])], axis=-1) if bias else z

    def init(key: jax.Array, episode: Episode) -> PyTree:
        body = encoder.init(key, episode.support.x)
        return {"body": body, "log_l2": jnp.log(jnp.float32(l2))}

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> jax.Array:
        z, strength = encode(params, support.x), jnp.exp(params["log_l2"])
        if spec.kind == "multiclass":
            return logistic(z, support.y, support.mask, strength, inner_steps)

        def finding(y: jax.Array, mask: jax.Array) -> jax.Array:
            # Classes of weights w and -w: the logit's are 2w, and |w|^2 + |-w|^2 is half of |2w|^2.
            y, mask = jnp.stack([1 - y, y], -1), jnp.stack([mask, mask], -1)
            absent, present = logistic(z, y, mask, 2 * strength, inner_steps).T
            return present - absent

        return jax.vmap(finding, 1, 1)(support.y, support.mask)

    def predict(params: PyTree, adapted: jax.Array, x: PyTree) -> jax.Array:
        return encode(params, x) @ adapted

    return from_adaptation(spec, init, adapt, predict)


METHODS = (
    Method(
        logistic_head,
        pillar="metric",
        adapts="a linear head, by Newton's method",
        cost="3S + 3Q",
        memory="a Gram matrix per class",
        kinds=("multiclass", "multilabel"),
        reference="Bertinetto, Henriques, Torr, Vedaldi 2019, https://arxiv.org/abs/1805.08136",
        differs="implicit gradient; any number of classes; l2 is learned",
    ),
)
