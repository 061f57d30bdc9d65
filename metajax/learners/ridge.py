"""Ridge (R2-D2): the head is the closed-form ridge regression of the labels on learned features.

Bertinetto, Henriques, Torr, Vedaldi 2019, https://arxiv.org/abs/1805.08136.
``W = (Z'Z + l2 I)^-1 Z'Y``; one-hot labels are regressed and the outputs scaled and shifted by two
learned scalars before the softmax. The gradient is exact, through the solve. Differences: l2 is
learned in log space from its start (the authors fix 50); the dual form is used where there are
fewer rows than features; with missing labels each output is solved with its own rows; regression
outputs are neither scaled nor shifted. With the identity encoder, zero-mean isotropic weights and
``l2 = (noise / scale)^2`` it is the Bayes-optimal predictor of a linear-Gaussian world.
"""

from __future__ import annotations

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.learners.common import from_adaptation, require
from metajax.learners.method import Method
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def ridge(spec: TaskSpec, encoder: nn.Module, *, l2: float = 1.0, bias: bool = True) -> Learner:
    """Builds the ridge learner; adapted is the (D, C) head.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      l2: where the learned regularisation starts, above 0, on the scale of a sum over rows.
      bias: append a constant feature (it is regularised like the others).
    """
    require("ridge", spec)

    def encode(params: PyTree, x: PyTree) -> jax.Array:
        z = encoder.apply(params["body"], x)
        return jnp.concatenate([z, jnp.ones_like(z[:, :1])], axis=-1) if bias else z

    def init(key: jax.Array, episode: Episode) -> PyTree:
        body = encoder.init(key, episode.support.x)
        # A traced l2 (a sweep in one program) has its logarithm taken in float32.
        log_l2 = jnp.log(l2) if isinstance(l2, jax.Array) else math.log(l2)
        scalars = {"log_l2": jnp.float32(log_l2)}
        if spec.kind != "regression":
            scalars |= {"scale": jnp.float32(4.0), "shift": jnp.float32(0.0)}
        return {"body": body, **scalars}

    def solve(z: jax.Array, target: jax.Array, rows: jax.Array, log_l2: jax.Array) -> jax.Array:
        """The ridge solution (D, ...) for the rows whose indicator is 1."""
        z, target = z * rows[:, None], (target.T * rows).T
        if z.shape[0] < z.shape[1]:
            gram = z @ z.T + jnp.exp(log_l2) * jnp.eye(z.shape[0], dtype=z.dtype)
            return z.T @ jax.scipy.linalg.solve(gram, target, assume_a="pos")
        gram = z.T @ z + jnp.exp(log_l2) * jnp.eye(z.shape[1], dtype=z.dtype)
        return jax.scipy.linalg.solve(gram, z.T @ target, assume_a="pos")

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> jax.Array:
        z, mask = encode(params, support.x), (support.mask > 0).astype(support.y.dtype)
        if spec.kind == "multiclass":
            return solve(z, support.y, mask.max(-1), params["log_l2"])
        columns = jax.vmap(solve, in_axes=(None, 1, 1, None), out_axes=1)
        target = 2 * support.y - 1 if spec.kind == "multilabel" else support.y
        return columns(z, target, mask, params["log_l2"])

    def predict(params: PyTree, adapted: jax.Array, x: PyTree) -> jax.Array:
        outputs = encode(params, x) @ adapted
        if spec.kind == "regression":
            return outputs
        return params["scale"] * outputs + params["shift"]

    return from_adaptation(spec, init, adapt, predict)


METHODS = (
    Method(
        ridge,
        pillar="metric",
        adapts="a linear head, in closed form",
        cost="3S + 3Q",
        memory="a Gram matrix",
        reference="Bertinetto, Henriques, Torr, Vedaldi 2019, https://arxiv.org/abs/1805.08136",
        differs="l2 is learned; one solve per output where labels are missing",
    ),
)
