r"""Conditional neural process: the support becomes a mean of representations, the query reads it.

Garnelo et al. 2018, https://arxiv.org/abs/1807.01613; attentive: Kim et al. 2019,
https://arxiv.org/abs/1901.05761. With an encoder f,

    r = mean_s h(f(x_s), y_s),    output(x) = g(f(x), r);

for classes h(f(x_s)) is averaged within each class (Garnelo et al., section 4.3), and g gives the
logit of class c from f(x) and r_c. The attentive process replaces the mean by attention of x to the
support. A predictive variance is ``(.1 + .9 softplus)^2``, as in the authors' code. The gradient is
exact. Differences: g is shared by the classes, whose order so means nothing (theirs reads all r_c
side by side); attention's keys are features of the encoder; no latent variable (Kim et al. add one)
and no self-attention; h and g have one hidden layer, of GELU.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.learners.common import from_adaptation, require
from metajax.learners.method import Method
from metajax.nn.process import NeuralProcess
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def cnp(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    width: int = 64,
    attention: bool = False,
    heads: int = 4,
) -> Learner:
    """Builds a conditional neural process; adapted is the support's features and representations.

    Args:
      spec: multiclass, multilabel or regression tasks, with a predictive variance or without.
      encoder: f, maps inputs (N, ...) to features (N, D).
      width: of representations and hidden layers, 1 or more.
      attention: the query attends to the support instead of reading the mean.
      heads: of the attention; they divide the width.

    Raises:
      ValueError: if there is no width, or the heads do not divide it.
    """
    require("cnp", spec, variance=True)
    if min(width, heads) < 1 or (attention and width % heads):
        raise ValueError(f"cnp needs heads that divide its width; got {heads} and {width}")
    classes = spec.kind == "multiclass"
    each = 1 if classes else spec.outputs * (1 + spec.variance)
    net = NeuralProcess(each, width, heads if attention else 0)

    def told(support: Examples) -> tuple[jax.Array, jax.Array]:
        """What h is told of a row besides its features, and the rows' weights (K, S)."""
        if classes:
            return support.y[:, :0], (support.y * support.mask).T
        known = (support.mask > 0).astype(support.y.dtype)
        return jnp.concatenate([support.y * known, known], -1), support.mask.max(1)[None]

    def init(key: jax.Array, episode: Episode) -> PyTree:
        body_key, net_key = jax.random.split(key)
        body = encoder.init(body_key, episode.support.x)
        z = encoder.apply(body, episode.support.x)
        return {"body": body, "net": net.init(net_key, z, *told(episode.support))}

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> tuple[jax.Array, ...]:
        z, (labels, weight) = encoder.apply(params["body"], support.x), told(support)
        return z, net.apply(params["net"], z, labels, method="represent"), weight

    def predict(params: PyTree, adapted: tuple[jax.Array, ...], x: PyTree) -> jax.Array:
        z = encoder.apply(params["body"], x)
        outputs = net.apply(params["net"], z, adapted, method="decode")
        if classes:
            return outputs[..., 0]
        if not spec.variance:
            return outputs[:, 0]
        mean, spread = jnp.split(outputs[:, 0], 2, axis=-1)
        return jnp.stack([mean, (0.1 + 0.9 * jax.nn.softplus(spread)) ** 2], axis=-1)

    return from_adaptation(spec, init, adapt, predict)


def attentive_cnp(
    spec: TaskSpec, encoder: nn.Module, *, width: int = 64, heads: int = 4
) -> Learner:
    """Builds the attentive process: `cnp` whose queries attend to the support."""
    return cnp(spec, encoder, width=width, attention=True, heads=heads)


METHODS = (
    Method(
        cnp,
        pillar="amortised",
        adapts="a mean representation (per class)",
        cost="3S + 3Q",
        reference="Garnelo et al. 2018, https://arxiv.org/abs/1807.01613",
        differs="the decoder is shared by the classes",
        variance=True,
    ),
    Method(
        attentive_cnp,
        pillar="amortised",
        adapts="representations of all rows",
        cost="3S + 3Q, each query attending to S rows",
        reference="Kim et al. 2019, https://arxiv.org/abs/1901.05761",
        differs="no latent variable, no self-attention; the decoder is shared by the classes",
        variance=True,
    ),
)
