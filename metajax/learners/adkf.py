"""ADKF-IFT: a deep-kernel Gaussian process whose hyper-parameters are fitted on every support.

Chen, Tripp, Hernandez-Lobato 2022, https://arxiv.org/abs/2205.02708. Inner problem, over the
logarithms theta of amplitudes, length scales and noise, features held fixed:
``u* = argmin_u -log p(y_S | theta_0 + u) + |u|^2 / (2 spread^2)``, ``theta = theta_0 + u*``;
meta-loss: ``-log p(y_Q | S, theta) / n_Q``, the joint predictive density of the queries. The
gradient passes through u* by the implicit function theorem, ``du* = -H^-1 d(grad_u)`` with H the
Hessian of the inner problem: exact where the inner problem has converged. Classes and findings are
regressed, one against the rest, as -1 and 1.
Differences: damped Newton steps, a fixed number, instead of L-BFGS; theta_0 is learned (the authors
start every task at the median distance and a noise of 0.01 or 0.1), with one normal prior about
it instead of theirs (log-normal, 0.25) on length and noise; |u| is bounded; the prior mean is that
of the support's labels; one fit for all classes of a task, and one for each finding or target.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from metajax.inner import minimum
from metajax.learners import gp
from metajax.learners.common import joined, require
from metajax.learners.method import Method
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec

# Of a logarithm, away from its learned start: room for any fit, yet nothing overflows in float32.
REACH = 5.0


def adkf(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    l2: float = 0.1,
    kernel: str = "matern",
    inner_steps: int = 10,
    spread: float = 0.5,
) -> Learner:
    """Builds the learner; adapted is a `metajax.learners.gp.Fitted`.

    Args:
      spec: multiclass, multilabel or regression tasks, with or without a variance.
      encoder: maps inputs (N, ...) to features (N, D).
      l2: where the learned noise variance s^2 starts, above 0; the kernel starts with k(x, x) = 1.
      kernel: rbf, matern, linear, cosine or a sum of terms, see `metajax.learners.gp`.
      inner_steps: Newton steps on the support; 0: theta is the same in every task.
      spread: prior standard deviation of a task's log hyper-parameters, above 0.

    Raises:
      ValueError: for a kernel that does not exist or a negative number of steps.
    """
    require("adkf", spec, variance=True)
    terms = gp.parse(kernel)
    if inner_steps < 0:
        raise ValueError(f"adkf needs inner_steps >= 0; got {inner_steps}")

    def init(key: jax.Array, episode: Episode) -> PyTree:
        theta = gp.start(terms) | {"noise": jnp.log(jnp.float32(l2))}
        return {"body": encoder.init(key, episode.support.x), "theta": theta}

    def fit(theta: PyTree, compared: PyTree, *system: jax.Array) -> PyTree:
        """The hyper-parameters of one system."""
        centre, unravel = ravel_pytree(theta)
        moved = lambda u: unravel(centre + REACH * jnp.tanh(u / REACH))  # noqa: E731

        def objective(u):
            likelihood = gp.negative_log_likelihood(moved(u), compared, *system)
            return likelihood + 0.5 * (u**2).sum() / spread**2

        return moved(minimum(objective, jnp.zeros_like(centre), inner_steps))

    def thetas(params: PyTree, rows: gp.Rows, support: Examples) -> tuple[PyTree, jax.Array]:
        """Hyper-parameters, leaves (G,), and prior means (G, 1, K) of a task."""
        target, weight, present = gp.systems(spec, support)
        mean, compared = gp.average(target, weight), gp.compare(terms, rows, rows)
        each = jax.vmap(fit, (None, None, 0, 0, 0))
        return each(params["theta"], compared, target - mean, weight, present), mean

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> gp.Fitted:
        rows = gp.encode(terms, encoder, params["body"], support.x)
        theta, mean = thetas(params, rows, support)
        return gp.condition(terms, theta, rows, *gp.systems(spec, support)[:2], mean)

    def predict(params: PyTree, adapted: gp.Fitted, x: PyTree) -> jax.Array:
        rows = gp.encode(terms, encoder, params["body"], x)
        return gp.outputs(spec, *gp.posterior(terms, adapted, rows))

    def meta_loss(params: PyTree, episode: Episode, key: jax.Array):
        size, both = episode.support.y.shape[0], joined(episode)
        rows = gp.encode(terms, encoder, params["body"], both.x)
        theta, mean = thetas(params, jax.tree.map(lambda leaf: leaf[:size], rows), episode.support)
        target, weight, present = gp.systems(spec, both)
        each = jax.vmap(gp.negative_log_likelihood, (0, None, 0, 0, 0))
        # log p(y_Q | S) = log p(y_S, y_Q) - log p(y_S); a support row of weight 0 drops out.
        known = weight * (jnp.arange(weight.shape[1]) < size)
        both, alone = (
            each(theta, gp.compare(terms, rows, rows), target - mean, kept, present).sum()
            for kept in (weight, known)
        )
        value = (both - alone) / gp.cells(weight - known, present)
        return value, {"loss": value}

    return Learner(init, adapt, predict, meta_loss, spec)


METHODS = (
    Method(
        adkf,
        pillar="metric",
        adapts="a Gaussian process and its hyper-parameters",
        cost="3S + 3Q",
        memory="a Gram matrix",
        reference="Chen, Tripp, Hernandez-Lobato 2022, https://arxiv.org/abs/2205.02708",
        differs="Newton steps; the hyper-parameters start from a learned, not a fixed, prior",
        variance=True,
    ),
)
