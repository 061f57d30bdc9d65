"""Deep kernel transfer: a Gaussian process on learned features, trained by marginal likelihood.

Patacchiola, Turner, Crowley, O'Boyle, Storkey 2020, https://arxiv.org/abs/1910.05199. The meta-loss
is ``-log N(y; m, K + s^2 I) / n`` over all labelled rows of a task, support and query; there is no
inner loop. At test the process is conditioned on the support. Classes and findings are regressed,
one against the rest, as -1 and 1; like the authors, the noise is then fixed and not learned. The
gradient is exact. Differences: the authors take the class of the largest mean; here the logit is
``2 mean / variance``, the log-odds of 1 against -1 under the predictive density (same class, and
calibrated); squared distances are divided by D; no batch normalisation before the cosine kernel;
the prior mean is learned per output, but shared by classes.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.learners import gp
from metajax.learners.common import joined, require
from metajax.learners.method import Method
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def dkt(spec: TaskSpec, encoder: nn.Module, *, l2: float = 0.1, kernel: str = "rbf") -> Learner:
    """Builds deep kernel transfer; adapted is a `metajax.learners.gp.Fitted`.

    Args:
      spec: multiclass, multilabel or regression tasks, with or without a variance.
      encoder: maps inputs (N, ...) to features (N, D).
      l2: the noise variance s^2, above 0; learned from this start in regression, else fixed.
      kernel: rbf, matern, linear, cosine or a sum of terms, see `metajax.learners.gp`.

    Raises:
      ValueError: for a kernel that does not exist.
    """
    require("dkt", spec, variance=True)
    terms = gp.parse(kernel)
    log_noise = {"noise": jnp.log(jnp.float32(l2))}
    learned = spec.kind == "regression"

    def init(key: jax.Array, episode: Episode) -> PyTree:
        means = 1 if spec.kind == "multiclass" else spec.outputs
        return {
            "body": encoder.init(key, episode.support.x),
            "theta": gp.start(terms) | (log_noise if learned else {}),
            "mean": jnp.zeros(means),
        }

    def prior(params: PyTree) -> tuple[PyTree, jax.Array]:
        theta = params["theta"] | ({} if learned else log_noise)
        return theta, params["mean"][:, None, None]

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> gp.Fitted:
        rows = gp.encode(terms, encoder, params["body"], support.x)
        theta, mean = prior(params)
        return gp.condition(terms, theta, rows, *gp.systems(spec, support)[:2], mean)

    def predict(params: PyTree, adapted: gp.Fitted, x: PyTree) -> jax.Array:
        rows = gp.encode(terms, encoder, params["body"], x)
        return gp.outputs(spec, *gp.posterior(terms, adapted, rows))

    def meta_loss(params: PyTree, episode: Episode, key: jax.Array):
        both = joined(episode)
        rows = gp.encode(terms, encoder, params["body"], both.x)
        target, weight, present = gp.systems(spec, both)
        theta, mean = prior(params)
        each = jax.vmap(gp.negative_log_likelihood, (None, None, 0, 0, 0))
        total = each(theta, gp.compare(terms, rows, rows), target - mean, weight, present).sum()
        value = total / gp.cells(weight, present)
        return value, {"loss": value}

    return Learner(init, adapt, predict, meta_loss, spec)


METHODS = (
    Method(
        dkt,
        pillar="metric",
        adapts="a Gaussian process, in closed form",
        cost="3S + 3Q",
        memory="a Gram matrix",
        reference="Patacchiola, Turner, Crowley, O'Boyle, Storkey 2020, "
        "https://arxiv.org/abs/1910.05199",
        differs="logits are log-odds under the predictive density; no batch normalisation",
        variance=True,
    ),
)
