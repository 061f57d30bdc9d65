"""Mixture kernel: kernel ridge regression with a learned and a fixed similarity, meta-learned.

The closed form of R2-D2 (Bertinetto et al. 2019, https://arxiv.org/abs/1805.08136) in the space of
a deep kernel (Wilson et al. 2016, https://arxiv.org/abs/1511.02222) to which a kernel on the raw
inputs is added; by default the Tanimoto kernel of fingerprints (Ralaivola et al. 2005,
https://doi.org/10.1016/j.neunet.2005.07.009):
``k(i, j) = a exp(-|f_i - f_j|^2 / (2 D l^2)) + t Tanimoto(x_i, x_j)``,
``m(x) = k(x, S) (K + s^2 I)^-1 (y - mean y) + mean y``.
Classes and findings are -1 and 1, and the outputs are scaled and shifted by two learned scalars.
All scalars are learned with the encoder on the query loss; the gradient is exact, through the
solve. Differences from both papers: the sum of kernels, and the query loss instead of the
marginal likelihood or of fixed scalars.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.learners import gp
from metajax.learners.common import from_adaptation, require
from metajax.learners.method import Method
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def mixture_kernel(
    spec: TaskSpec, encoder: nn.Module, *, l2: float = 0.5, kernel: str = "rbf+tanimoto"
) -> Learner:
    """Builds the learner; adapted is a `metajax.learners.gp.Fitted`.

    Args:
      spec: multiclass, multilabel or regression tasks, with or without a variance.
      encoder: maps inputs (N, ...) to features (N, D).
      l2: where the learned noise variance s^2 starts, above 0; the kernel starts with k(x, x) = 1.
      kernel: a sum of terms, see `metajax.learners.gp`; "rbf+raw_rbf" suits standardised tables.

    Raises:
      ValueError: for a kernel that does not exist.
    """
    require("mixture_kernel", spec, variance=True)
    terms = gp.parse(kernel)

    def init(key: jax.Array, episode: Episode) -> PyTree:
        theta = gp.start(terms) | {"noise": jnp.log(jnp.float32(l2))}
        params = {"body": encoder.init(key, episode.support.x), "theta": theta}
        if spec.kind != "regression":
            params |= {"scale": jnp.float32(4.0), "shift": jnp.float32(0.0)}
        return params

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> gp.Fitted:
        rows = gp.encode(terms, encoder, params["body"], support.x)
        target, weight, _ = gp.systems(spec, support)
        mean = gp.average(target, weight)
        return gp.condition(terms, params["theta"], rows, target, weight, mean)

    def predict(params: PyTree, adapted: gp.Fitted, x: PyTree) -> jax.Array:
        rows = gp.encode(terms, encoder, params["body"], x)
        mean, variance = gp.posterior(terms, adapted, rows)
        if spec.kind == "regression":
            return jnp.stack([mean, variance], -1) if spec.variance else mean
        return params["scale"] * mean + params["shift"]

    return from_adaptation(spec, init, adapt, predict)


METHODS = (
    Method(
        mixture_kernel,
        pillar="metric",
        adapts="kernel weights, in closed form",
        cost="3S + 3Q",
        memory="a Gram matrix",
        reference="after Bertinetto et al. 2019, https://arxiv.org/abs/1805.08136",
        differs="a learned RBF kernel plus a kernel on raw inputs; all scalars are learned",
        variance=True,
    ),
)
