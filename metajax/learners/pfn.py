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

from metajax.learners.common import from_adaptation, require
from metajax.learners.method import Method
from metajax.nn import CellTransformer
from metajax.nn.sets import KEYS
from metajax.tasks.schemas import features_by_support
from metajax.tasks.standardise import apply_columns, fit_columns
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec

CLIP = 5.0


def pfn(
    spec: TaskSpec, encoder: nn.Module, *, width: int = 32, blocks: int = 3, heads: int = 4
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

    def is_table(x: PyTree) -> bool:
        return isinstance(x, dict) and set(KEYS) <= set(x)

    def read(body: PyTree, support: Examples) -> tuple[dict, PyTree]:
        """The support as a table, and what turns other rows into rows of it."""
        if is_table(support.x):
            return support.x, ()
        support = support._replace(x=encoder.apply(body, support.x))
        table = features_by_support(Episode(support, support), clip=CLIP, kind=spec.kind)
        whole = {name: table.query.x[name][0] for name in ("feature", "relevance")}
        return table.support.x, (fit_columns(support), whole)

    def labels(support: Examples) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Labels of moderate size (N, C), and the mean and scale (C,) that outputs have."""
        known = (support.mask > 0).astype(support.y.dtype)
        if spec.kind != "regression":
            return 2 * support.y - 1, jnp.zeros_like(known[0]), jnp.ones_like(known[0])
        count = jnp.maximum(known.sum(0), 1)
        mean = (known * support.y).sum(0) / count
        variance = (known * (support.y - mean) ** 2).sum(0) / count
        scale = jnp.where(variance > 1e-12, jnp.sqrt(jnp.where(variance > 0, variance, 1.0)), 1.0)
        return (support.y - mean) / scale, mean, scale

    def context(body: PyTree, support: Examples) -> tuple:
        x, fitted = read(body, support)
        y, mean, scale = labels(support)
        table = {"weight": support.mask.max(1), "present": support.mask.max(0) > 0}
        return (x, y, support.mask, table), {"fitted": fitted, "mean": mean, "scale": scale}

    def init(key: jax.Array, episode: Episode) -> PyTree:
        keys = jax.random.split(key)
        x = episode.support.x
        body = {} if is_table(x) else encoder.init(keys[0], x)
        return {"body": body, "net": net.init(keys[1], *context(body, episode.support)[0])}

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        inputs, adapted = context(params["body"], support)
        return adapted | {"table": inputs[-1] | {"memory": net.apply(params["net"], *inputs)[1]}}

    def predict(params: PyTree, adapted: PyTree, x: PyTree) -> jax.Array:
        if not is_table(x):
            columns, whole = adapted["fitted"]
            z, missing = apply_columns(columns, encoder.apply(params["body"], x), CLIP)
            whole = {n: jnp.broadcast_to(a, (len(z), *a.shape)) for n, a in whole.items()}
            x = {"z": z, "missing": missing} | whole
        unknown = jnp.zeros((len(x["z"]), *adapted["mean"].shape), adapted["mean"].dtype)
        outputs, _ = net.apply(params["net"], x, unknown, unknown, adapted["table"])
        mean = adapted["mean"] + adapted["scale"] * outputs[..., 0]
        if not spec.variance:
            return mean
        return jnp.stack([mean, adapted["scale"] ** 2 * (1e-6 + jax.nn.softplus(outputs[..., 1]))], -1)

    return from_adaptation(spec, init, adapt, predict)


METHODS = (
    Method(
        pfn,
        pillar="amortised",
        adapts="nothing: the support is context",
        cost="3S + 3Q, each attending to S rows",
        memory="attention over S + Q rows and all columns",
        reference="Hollmann et al. 2025, https://doi.org/10.1038/s41586-024-08328-6",
        differs="far smaller; outputs are label columns with shared weights; starts as a linear vote",
        variance=True,
    ),
)
