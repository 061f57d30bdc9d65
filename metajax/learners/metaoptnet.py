"""MetaOptNet: the head is a multi-class support vector machine, solved as a quadratic program.

Lee, Maji, Ravichandran, Soatto 2019, https://arxiv.org/abs/1904.03758. The head is ``W = Z'A``, A
the dual solution of Crammer and Singer's machine with C = 1 / l2; the logits are ``scale * W'z``
with a learned scale. As in the authors' code (not in the paper) an identity is added to the Gram
matrix of the support, C = 0.1, there is no bias, and the scale starts at 1. The gradient passes
through A by the implicit function theorem on the optimality conditions: exact where the
interior-point method has converged, and almost everywhere: which constraints bind is piecewise
constant. Differences: the authors hand the program to a general solver; here its block structure
is used, so that its cost grows linearly with the classes.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.learners.common import from_adaptation, require
from metajax.learners.heads import support_vector
from metajax.learners.method import Method
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def metaoptnet(
    spec: TaskSpec, encoder: nn.Module, *, l2: float = 10.0, inner_steps: int = 15
) -> Learner:
    """Builds the learner; adapted is the (D, C) head.

    Args:
      spec: multiclass tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      l2: 1 / C, the weight of the head's squared norm against the margins, above 0.
      inner_steps: interior-point steps before the last, 1 or more.

    Raises:
      ValueError: for multilabel and regression tasks, or less than one step.
    """
    require("metaoptnet", spec, "multiclass")
    if inner_steps < 1:
        raise ValueError(f"metaoptnet needs inner_steps >= 1; got {inner_steps}")

    def init(key: jax.Array, episode: Episode) -> PyTree:
        return {"body": encoder.init(key, episode.support.x), "scale": jnp.float32(1)}

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> jax.Array:
        z = encoder.apply(params["body"], support.x)
        return support_vector(z, support.y, support.mask, l2, inner_steps)

    def predict(params: PyTree, adapted: jax.Array, x: PyTree) -> jax.Array:
        return params["scale"] * (encoder.apply(params["body"], x) @ adapted)

    return from_adaptation(spec, init, adapt, predict)


METHODS = (
    Method(
        metaoptnet,
        pillar="metric",
        adapts="a linear head, by a quadratic program",
        cost="3S + 3Q",
        memory="a Gram matrix per class",
        kinds=("multiclass",),
        reference="Lee, Maji, Ravichandran, Soatto 2019, https://arxiv.org/abs/1904.03758",
    ),
)
