"""Training on weighted rows: the inner loop of all learners that weigh, and what a rule may see.

A learner of this kind descends on ``sum_i w_i l_i / sum_i 1`` over the rows of the support (or of a
mini-batch of it), the weights being chosen anew in every step by a `Rule` from the losses of that
step. Weights are on the scale where 1 is an ordinary row. A row's luck, which decides mini-batches
and random weights, belongs to the row and not to its place: the order of the support is irrelevant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from metajax.learners.common import network
from metajax.losses import example_losses, loss
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


class Step(NamedTuple):
    """What a rule sees of the B rows of one inner step.

    Attributes:
      losses: (B,) their losses before the step, 0 for absent rows.
      slopes: (B,) norms of the gradient of every loss in the outputs of its row.
      rows: the rows; `rows.mask` and `rows.info` as in `Examples`.
      present: (B,) the largest mask of every row: 0 absent, else the weight that the data give it.
      luck: (B,) numbers in [0, 1), drawn anew in every step, fixed by step and row.
      progress: from 0 in the first step to 1 in the last.
      ahead: ``weights (B,) -> scalar``: the loss of the trusted rows after a step of plain gradient
        descent with these weights, differentiable; ValueError if nothing says what is trusted.
    """

    losses: jax.Array
    slopes: jax.Array
    rows: Examples
    present: jax.Array
    luck: jax.Array
    progress: jax.Array
    ahead: Callable[[jax.Array], jax.Array]


class Rule(NamedTuple):
    """How rows are weighted; all functions pure.

    Attributes:
      weigh: ``(step, memory) -> (weights (B,), memory)``, weights 0 or more.
      init: ``key -> params`` of the rule, meta-parameters of the learner.
      start: ``(params, support) -> memory`` of the first step.
    """

    weigh: Callable[[Step, PyTree], tuple[jax.Array, PyTree]]
    init: Callable[[jax.Array], PyTree] = lambda key: ()
    start: Callable[[PyTree, Examples], PyTree] = lambda params, support: ()


class Weighted(NamedTuple):
    """What a weighting learner makes of a support.

    Attributes:
      net: the network's weights.
      weights: (N,) the mean weight of every support row over the steps that saw it; 0 for rows that
        are absent or were never drawn.
    """

    net: PyTree
    weights: jax.Array


def plain(weigh: Callable[[Step], jax.Array]) -> Rule:
    """The rule of a function of the step alone; its weights are constants of the meta-gradient."""
    return Rule(lambda step, memory: (jax.lax.stop_gradient(weigh(step)), memory))


def to_mean_one(weights: jax.Array, present: jax.Array) -> jax.Array:
    """Scales weights (B,) so that their mean over the rows that are present is 1; zeros stay."""
    total = (weights * present).sum()
    return weights * jnp.where(total > 0, present.sum() / jnp.where(total > 0, total, 1), 0)


def ranks(values: jax.Array, present: jax.Array) -> jax.Array:
    """Places (B,) by rising value, from 0; absent rows come last."""
    return jnp.argsort(jnp.argsort(jnp.where(present > 0, values, jnp.inf)))


def trusted(name: str, rows: Examples) -> jax.Array:
    """The flags (N,) of rows whose label is known to be right, 0 where masked.

    Raises:
      ValueError: if the rows have no such flags, naming the learner.
    """
    if not isinstance(rows.info, dict) or "trusted" not in rows.info:
        has = ", ".join(rows.info) if isinstance(rows.info, dict) else "nothing"
        raise ValueError(
            f"{name} needs info['trusted'] (N,), 1 where the label of a support row is known to be "
            f"right; info has {has}"
        )
    flags = jnp.asarray(rows.info["trusted"], rows.mask.dtype)
    return flags * (rows.mask.max(-1) > 0)


def _luck(key: jax.Array, rows: Examples) -> jax.Array:
    """(N, 3) numbers in [0, 1) of the rows, by their number in the pool where they have one."""
    index = jnp.arange(rows.mask.shape[0])
    if isinstance(rows.info, dict) and "row" in rows.info:
        index = rows.info["row"]
    return jax.vmap(lambda i: jax.random.uniform(jax.random.fold_in(key, i), (3,)))(index)


def _draw(rows: Examples, value: jax.Array, size: int | None) -> tuple[Examples, jax.Array]:
    """The `size` rows of the largest values, and their places; all rows if there are no more."""
    count = value.shape[0]
    if size is None or size >= count:
        return rows, jnp.arange(count)
    index = jax.lax.top_k(value, size)[1]
    return jax.tree.map(lambda leaf: leaf[index], rows), index


def weighted(
    name: str,
    spec: TaskSpec,
    encoder: nn.Module,
    rule: Rule,
    *,
    inner_lr: float,
    inner_steps: int,
    momentum: float,
    batch: int | None,
    trusted_batch: int | None = None,
) -> Learner:
    """Builds the learner that trains a network with the weights of a rule.

    Its params are ``{"net": weights, "rule": the rule's}``; adapted is `Weighted`. The meta-loss is
    the query loss after adaptation, so that the start of the network can be meta-trained; with
    params as `init` draws them it is plain training of a network on weighted rows.

    Args:
      name: in messages.
      spec: the task specification.
      encoder: maps inputs (N, ...) to features (N, D).
      rule: the rule.
      inner_lr: step size, above 0.
      inner_steps: steps on the support.
      momentum: of the steps, in [0, 1).
      batch: rows of a step, drawn without replacement; None: all.
      trusted_batch: trusted rows that a look-ahead step is judged on, drawn without replacement;
        None: all, at the cost of passing the whole support.

    Raises:
      ValueError: for a predictive variance, or batches below 1.
    """
    if min(batch or 1, trusted_batch or 1) < 1 or 0 in (batch, trusted_batch):
        raise ValueError(f"{name}: batches have at least 1 row; got {batch} and {trusted_batch}")
    net = network(spec, encoder)
    optimizer = optax.sgd(inner_lr, momentum)

    def init(key: jax.Array, episode: Episode) -> PyTree:
        net_key, rule_key = jax.random.split(key)
        return {"net": net.init(net_key, episode.support.x), "rule": rule.init(rule_key)}

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> Weighted:
        def one(carry, i):
            weights, state, memory, seen = carry
            luck = _luck(jax.random.fold_in(key, i), support)
            exists = support.mask.max(-1) > 0
            rows, index = _draw(support, jnp.where(exists, luck[:, 0], -1), batch)
            present = rows.mask.max(-1)
            outputs, pull = jax.vjp(lambda w: net.apply(w, rows.x), weights)

            def row_losses(outputs):
                losses = example_losses(spec, outputs, rows.y, rows.mask)
                return losses.sum(), losses

            slopes, losses = jax.grad(row_losses, has_aux=True)(outputs)

            def gradient(row_weights):
                parts = present * row_weights / jnp.maximum(present.sum(), 1e-12)
                return pull(parts[:, None] * slopes)[0]

            def ahead(row_weights):
                flags = trusted(name, support)
                clean, at = _draw(support, (1 + luck[:, 1]) * flags, trusted_batch)
                moved = jax.tree.map(lambda w, g: w - inner_lr * g, weights, gradient(row_weights))
                return loss(spec, net.apply(moved, clean.x), clean, flags[at])

            norms = jnp.sqrt((jax.lax.stop_gradient(slopes) ** 2).sum(-1))
            progress = i / max(inner_steps - 1, 1)
            step = Step(losses, norms, rows, present, luck[index, 2], progress, ahead)
            chosen, memory = rule.weigh(step, memory)
            updates, state = optimizer.update(gradient(chosen), state, weights)
            counted = (present > 0).astype(present.dtype)
            counts = jax.lax.stop_gradient(jnp.stack([chosen, jnp.ones_like(chosen)]) * counted)
            seen = seen.at[:, index].add(counts)
            return (optax.apply_updates(weights, updates), state, memory, seen), None

        memory = rule.start(params["rule"], support)
        seen = jnp.zeros((2, *support.mask.shape[:1]), support.mask.dtype)
        start = (params["net"], optimizer.init(params["net"]), memory, seen)
        (weights, _, _, seen), _ = jax.lax.scan(one, start, jnp.arange(inner_steps))
        return Weighted(weights, seen[0] / jnp.maximum(seen[1], 1))

    def predict(params: PyTree, adapted: Weighted, x: PyTree) -> jax.Array:
        return net.apply(adapted.net, x)

    def meta_loss(params: PyTree, episode: Episode, key: jax.Array):
        adapted = adapt(params, episode.support, key)
        value = loss(spec, predict(params, adapted, episode.query.x), episode.query)
        return value, {"loss": value} | summary(adapted.weights, episode.support)

    return Learner(init, adapt, predict, meta_loss, spec)


def summary(weights: jax.Array, rows: Examples) -> dict[str, jax.Array]:
    """What a few numbers say of weights (N,): scalars, for metrics.

    Returns:
      "weight_mean", over the rows that are present; "effective_rows", ``(sum w)^2 / sum w^2``; and
      if the rows say what is trusted "weight_trusted", the mean over those (0 if there are none).
    """
    exists = (rows.mask.max(-1) > 0).astype(weights.dtype)
    kept = weights * exists
    told = {
        "weight_mean": kept.sum() / jnp.maximum(exists.sum(), 1),
        "effective_rows": kept.sum() ** 2 / jnp.maximum((kept**2).sum(), 1e-12),
    }
    if isinstance(rows.info, dict) and "trusted" in rows.info:
        flags = trusted("", rows).astype(weights.dtype)
        told["weight_trusted"] = (kept * flags).sum() / jnp.maximum(flags.sum(), 1)
    return told


def weights_of(learner: Learner, params: PyTree, support: Examples, key: jax.Array) -> jax.Array:
    """The weights (N,) that a weighting learner gives to the rows of a support; pure."""
    return learner.adapt(params, support, key).weights


def with_weights(
    learner: Learner, weigh: Callable[[PyTree, Examples, jax.Array], jax.Array]
) -> Learner:
    """Any learner whose inner loss is `metajax.losses.loss`, on rows weighted beforehand.

    Args:
      learner: trains on the support by gradients; closed forms ignore the weights of rows.
      weigh: ``(params, support, key) -> weights (N,)``, e.g. `weights_of` a weighting learner with
        params of its own. A row of weight 0 is absent for the learner, and a class all of whose
        rows have weight 0 is absent from its loss.
    """

    def lighten(params: PyTree, support: Examples, key: jax.Array) -> Examples:
        return support._replace(mask=support.mask * weigh(params, support, key)[:, None])

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        return learner.adapt(params, lighten(params, support, key), key)

    def meta_loss(params: PyTree, episode: Episode, key: jax.Array):
        lighter = lighten(params, episode.support, key)
        return learner.meta_loss(params, episode._replace(support=lighter), key)

    return learner._replace(adapt=adapt, meta_loss=meta_loss)


METHODS = ()  # parts of learners
