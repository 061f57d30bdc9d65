r"""Prior-fitted network: a transformer that reads the support as context and fills in the query.

Hollmann, Mueller, Purucker, Krishnakumar, Koerfer, Hoo, Schirrmeister, Hutter 2025, "TabPFN v2",
https://doi.org/10.1038/s41586-024-08328-6; Mueller et al. 2022, https://arxiv.org/abs/2112.10510.
Trained on tasks drawn from a prior, ``min_theta E[-log q_theta(y | x, support)]`` makes q the
posterior prediction of that prior (Mueller et al., corollary 1.1). The gradient is exact.

Differences: far smaller; every output is a label column with shared weights, so that its meaning
and the number of classes are free (TabPFN has ten numbered classes); columns have no random
identity, but their correlation with the outputs in the support as input; the network starts as the
vote of these correlations (`metajax.nn.CellTransformer`); a regression's output is a mean, or a
Gaussian (TabPFN: a histogram). No ensemble over permutations: the prediction has no order.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.learners.common import require
from metajax.learners.context import Fitted, is_table, read_rows, read_support, scaled_labels
from metajax.learners.method import Method
from metajax.losses import loss
from metajax.nn import CellTransformer
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def pfn(
    spec: TaskSpec, encoder: nn.Module, *, width: int = 32, blocks: int = 3, heads: int = 2
) -> Learner:
    """Builds a prior-fitted network; adapted is what the support left in its attention layers.

    The columns of a table given as `metajax.tasks.features_by_support` does are read as they are,
    without the encoder. Of any other input each feature of the encoder is a column, scaled by the
    support: give `metajax.nn.Identity` for the columns of an array (N, D), NaN where missing.

    Args:
      spec: multiclass, multilabel or regression tasks, with a predictive variance or without.
      encoder: maps inputs (N, ...) to features (N, D).
      width: of the tokens, a multiple of `heads`.
      blocks: number of blocks, 1 or more.
      heads: of every attention, 1 or more.

    Raises:
      ValueError: if the heads do not divide the width, or there is no block.
    """
    require("pfn", spec, variance=True)
    if min(width, blocks, heads) < 1 or width % heads:
        given = f"width={width}, blocks={blocks}, heads={heads}"
        raise ValueError(f"pfn needs 1 or more of each, and heads that divide width; got {given}")
    net = CellTransformer(width, blocks, heads)

    def context(body: PyTree, support: Examples) -> tuple[tuple, Fitted | None, tuple]:
        x, fitted = read_support(encoder, body, support, spec.kind)
        y, *scaling = scaled_labels(support, spec.kind)
        table = {"weight": support.mask.max(1), "present": support.mask.max(0)}
        return (x, y, support.mask, table), fitted, tuple(scaling)

    def outputs(values: jax.Array, scaling: tuple[jax.Array, jax.Array]) -> jax.Array:
        mean, scale = scaling
        centre = mean + scale * values[..., 0]
        if not spec.variance:
            return centre
        return jnp.stack([centre, scale**2 * (1e-6 + jax.nn.softplus(values[..., 1]))], axis=-1)

    def init(key: jax.Array, episode: Episode) -> PyTree:
        body_key, net_key = jax.random.split(key)
        x = episode.support.x
        body = {} if is_table(x) else encoder.init(body_key, x)
        inputs, *_ = context(body, episode.support)
        return {"body": body, "net": net.init(net_key, *inputs)}

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        inputs, fitted, scaling = context(params["body"], support)
        memory = net.apply(params["net"], *inputs)[1]
        return fitted, scaling, inputs[-1] | {"memory": memory}

    def predict(params: PyTree, adapted: PyTree, x: PyTree) -> jax.Array:
        fitted, scaling, table = adapted
        x = read_rows(encoder, params["body"], fitted, x)
        unknown = jnp.zeros((len(x["z"]), spec.outputs), scaling[0].dtype)
        return outputs(net.apply(params["net"], x, unknown, unknown, table)[0], scaling)

    def meta_loss(params: PyTree, episode: Episode, key: jax.Array):
        """As ever, but support and query pass the network together: one program, not two."""
        (*inputs, table), fitted, scaling = context(params["body"], episode.support)
        x = read_rows(encoder, params["body"], fitted, episode.query.x)
        unknown = jnp.zeros_like(episode.query.y)
        rows = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), inputs, [x, unknown, unknown])
        values = net.apply(params["net"], *rows, table)[0][len(episode.support.y) :]
        value = loss(spec, outputs(values, scaling), episode.query)
        return value, {"loss": value}

    return Learner(jax.jit(init), adapt, predict, meta_loss, spec)


METHODS = (
    Method(
        pfn,
        pillar="amortised",
        adapts="nothing: the support is context",
        cost="3S + 3Q, each attending to S rows",
        memory="attention over S + Q rows and all columns",
        reference="Hollmann et al. 2025, https://doi.org/10.1038/s41586-024-08328-6",
        differs="far smaller; outputs are label columns; starts as a linear vote",
        variance=True,
    ),
)
