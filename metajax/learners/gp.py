"""Gaussian-process algebra that the kernel learners share: kernels, masked systems, posteriors.

A kernel is a sum of terms, written "rbf+tanimoto". Each term has an amplitude and compares either
learned features or, with the prefix "raw_", the inputs as they came:
``rbf``: exp(-d / (2 l^2)) and ``matern`` (5/2), d = |a - b|^2 / D; ``linear``: a.b / D;
``cosine``; ``tanimoto``: shared bits over bits set in either, of inputs above 0 (always raw).
The hyper-parameters ("theta") are logarithms. The noise of a row of weight w is
``(s^2 + FLOOR k(x, x)) / w``, so a weight of 2 counts as two rows and float32 systems stay
well-conditioned; a row of weight 0 becomes a row of the identity and changes nothing.

Labels are regressed: classes and findings as -1 and 1. A task is a stack of G systems with K
columns each: one for all classes, or one an output where labels may be missing; G K = C.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.types import Examples, PyTree, TaskSpec, flat

FLOOR = 1e-4
KINDS = ("rbf", "matern", "linear", "cosine")
TERMS = (*KINDS, *(f"raw_{kind}" for kind in KINDS), "tanimoto")


def parse(kernel: str) -> tuple[str, ...]:
    """The terms of a kernel's name.

    Raises:
      ValueError: for a term that does not exist or is given twice.
    """
    terms = tuple(kernel.split("+"))
    if not set(terms) <= set(TERMS) or len(set(terms)) < len(terms):
        raise ValueError(f"kernel is a sum (a+b) of different {', '.join(TERMS)}; got {kernel!r}")
    return terms


def start(terms: tuple[str, ...]) -> dict[str, dict[str, jax.Array]]:
    """Where the learned logarithms start: total amplitude 1, every length scale 1."""
    amplitude = -jnp.log(jnp.float32(len(terms)))
    scales = {"amplitude": amplitude, "length": jnp.float32(0)}
    return {
        term: scales if term.endswith(("rbf", "matern")) else {"amplitude": amplitude}
        for term in terms
    }


class Rows(NamedTuple):
    """What kernels compare: (N, D) features, and (N, P) raw inputs (P = 0 where none are used)."""

    features: jax.Array
    raw: jax.Array


def encode(terms: tuple[str, ...], encoder: nn.Module, body: PyTree, x: PyTree) -> Rows:
    """The rows of inputs (N, ...)."""
    features = encoder.apply(body, x)
    used = any(term == "tanimoto" or term.startswith("raw_") for term in terms)
    return Rows(features, flat(x) if used else features[:, :0])


def compare(terms: tuple[str, ...], a: Rows, b: Rows) -> dict[str, jax.Array]:
    """(N, M) comparisons for every term, free of hyper-parameters: similarities, or distances d."""
    return {
        term: _compared(
            term.removeprefix("raw_"),
            *(
                (r.raw if term == "tanimoto" or term.startswith("raw_") else r.features)
                for r in (a, b)
            ),
        )
        for term in terms
    }


def own(terms: tuple[str, ...], a: Rows) -> dict[str, jax.Array]:
    """(N,) comparisons of every row with itself."""
    one = jax.vmap(lambda row: compare(terms, *[jax.tree.map(lambda leaf: leaf[None], row)] * 2))
    return jax.tree.map(lambda leaf: leaf[:, 0, 0], one(a))


def _compared(kind: str, a: jax.Array, b: jax.Array) -> jax.Array:
    if kind == "tanimoto":
        a, b = ((rows > 0).astype(rows.dtype) for rows in (a, b))
    if kind == "cosine":
        a, b = (rows * jax.lax.rsqrt((rows**2).sum(-1, keepdims=True) + 1e-12) for rows in (a, b))
    # Fewer digits (the default on some accelerators) would leave the systems indefinite.
    inner = jnp.matmul(a, b.T, precision="highest")
    squares = (a**2).sum(-1)[:, None] + (b**2).sum(-1)
    if kind == "tanimoto":
        either = squares - inner
        return jnp.where(either > 0, inner / jnp.maximum(either, 1), 1.0)
    if kind in ("linear", "cosine"):
        return inner / (a.shape[1] if kind == "linear" else 1)
    return jnp.maximum(squares - 2 * inner, 0) / a.shape[1]


def covariance(theta: PyTree, compared: dict[str, jax.Array]) -> jax.Array:
    """The kernel of comparisons of any shape."""
    total = 0.0
    for term, value in compared.items():
        if term.endswith("rbf"):
            value = jnp.exp(-0.5 * value * jnp.exp(-2 * theta[term]["length"]))
        elif term.endswith("matern"):
            # The floor keeps the root's derivative finite where rows are equal.
            scaled = jnp.maximum(5 * value * jnp.exp(-2 * theta[term]["length"]), 1e-10)
            value = (1 + jnp.sqrt(scaled) + scaled / 3) * jnp.exp(-jnp.sqrt(scaled))
        total += jnp.exp(theta[term]["amplitude"]) * value
    return total


def systems(spec: TaskSpec, rows: Examples) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The regressions of a task.

    Returns:
      Targets (G, N, K), weights of rows (G, N), and (G, K) 1 where the column exists in the task.
    """
    y = rows.y if spec.kind == "regression" else 2 * rows.y - 1
    if spec.kind == "multiclass":
        there = (rows.mask.max(0) > 0).astype(y.dtype)
        return y[None], rows.mask.max(-1)[None], there[None]
    return y.T[..., None], rows.mask.T, jnp.ones_like(y[:1]).T


def average(target: jax.Array, weight: jax.Array) -> jax.Array:
    """The weighted means (G, 1, K) of targets (G, N, K); 0 without rows."""
    total = jnp.maximum(weight.sum(-1), 1e-12)[:, None, None]
    return (weight[..., None] * target).sum(1, keepdims=True) / total


def whiten(
    theta: PyTree, compared: dict[str, jax.Array], target: jax.Array, weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The Cholesky factor (N, N) of one system, and it solved for the targets (N, K)."""
    there = weight > 0
    gram = covariance(theta, compared)
    noise = jnp.exp(theta["noise"]) + FLOOR * jnp.diagonal(gram)
    diagonal = jnp.where(there, noise / jnp.where(there, weight, 1), 1)
    gram = jnp.where(there[:, None] & there, gram, 0) + jnp.diag(diagonal)
    lower = jnp.linalg.cholesky(gram)
    target = jnp.where(there[:, None], target, 0)
    return lower, jax.scipy.linalg.solve_triangular(lower, target, lower=True)


def negative_log_likelihood(
    theta: PyTree,
    compared: dict[str, jax.Array],
    target: jax.Array,
    weight: jax.Array,
    present: jax.Array,
) -> jax.Array:
    """Minus the log marginal likelihood in nats of one system, summed over present columns (K,)."""
    lower, white = whiten(theta, compared, target, weight)
    constant = 0.5 * jnp.log(2 * jnp.pi) * (weight > 0).sum() + jnp.log(jnp.diagonal(lower)).sum()
    return (present * (0.5 * (white**2).sum(0) + constant)).sum()


class Fitted(NamedTuple):
    """A Gaussian process conditioned on a support of S rows; all that predictions need.

    Attributes:
      rows: the support.
      theta: hyper-parameters; leaves (G,).
      weight: (G, S).
      lower: (G, S, S) Cholesky factors.
      white: (G, S, K) factors solved for the targets.
      mean: (G, 1, K) the prior mean.
    """

    rows: Rows
    theta: PyTree
    weight: jax.Array
    lower: jax.Array
    white: jax.Array
    mean: jax.Array


def condition(
    terms: tuple[str, ...],
    theta: PyTree,
    rows: Rows,
    target: jax.Array,
    weight: jax.Array,
    mean: jax.Array,
) -> Fitted:
    """Conditions the prior on a support.

    Args:
      terms: the kernel.
      theta: hyper-parameters, leaves () or (G,).
      rows: the support.
      target: (G, S, K).
      weight: (G, S).
      mean: the prior mean, of a shape that broadcasts to (G, 1, K).
    """
    count, _, columns = target.shape
    theta = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count,)), theta)
    mean = jnp.broadcast_to(mean, (count, 1, columns))
    each = jax.vmap(whiten, (0, None, 0, 0))
    factors = each(theta, compare(terms, rows, rows), target - mean, weight)
    return Fitted(rows, theta, weight, *factors, mean)


def posterior(terms: tuple[str, ...], fitted: Fitted, rows: Rows) -> tuple[jax.Array, jax.Array]:
    """Means and variances of the labels (noise included) of new rows, each (N, C)."""
    across, alone = compare(terms, fitted.rows, rows), own(terms, rows)

    def one(theta, weight, lower, white, mean):
        cross = jnp.where(weight[:, None] > 0, covariance(theta, across), 0)
        cross = jax.scipy.linalg.solve_triangular(lower, cross, lower=True)
        prior = covariance(theta, alone)
        noise = jnp.exp(theta["noise"]) + FLOOR * prior
        variance = jnp.maximum(prior - (cross**2).sum(0), 0) + noise
        means = mean + cross.T @ white
        return means, jnp.broadcast_to(variance[:, None], means.shape)

    return jax.tree.map(
        lambda leaf: jnp.moveaxis(leaf, 0, 1).reshape(leaf.shape[1], -1),
        jax.vmap(one)(*fitted[1:]),
    )


def outputs(spec: TaskSpec, mean: jax.Array, variance: jax.Array) -> jax.Array:
    """A learner's outputs from predictive means and variances (N, C).

    The logit of a class or finding is ``2 mean / variance``: the log-odds of label 1 against -1 if
    labels had the predictive density; a softmax of these is the same for one class against all.
    """
    if spec.kind != "regression":
        return 2 * mean / variance
    return jnp.stack([mean, variance], -1) if spec.variance else mean


def cells(weight: jax.Array, present: jax.Array) -> jax.Array:
    """The number of labels in a stack of systems, at least 1."""
    return jnp.maximum(((weight > 0).sum(1) * present.sum(1)).sum(), 1)


METHODS = ()  # parts of learners
