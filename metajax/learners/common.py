"""What several learners share: a network with a linear head, and the usual meta-loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from metajax.inner import descend
from metajax.losses import loss
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


class Network(NamedTuple):
    """An encoder and a linear head as pure functions over ``{"body": ..., "head": ...}``.

    Attributes:
      init: ``(key, x) -> params``.
      apply: ``(params, x) -> outputs (N, C)``.
      features: ``(body, x) -> (N, D)``.
      head: ``(head, features) -> outputs (N, C)``.
    """

    init: Callable[[jax.Array, PyTree], PyTree]
    apply: Callable[[PyTree, PyTree], jax.Array]
    features: Callable[[PyTree, PyTree], jax.Array]
    head: Callable[[PyTree, jax.Array], jax.Array]


def network(spec: TaskSpec, encoder: nn.Module) -> Network:
    """Puts a linear head with one output per class, finding or target on an encoder.

    Raises:
      ValueError: if the specification asks for a predictive variance, which no linear head has.
    """
    if spec.variance:
        raise ValueError("a network with a linear head gives no predictive variance")
    linear = nn.Dense(spec.outputs)

    def init(key: jax.Array, x: PyTree) -> PyTree:
        body_key, head_key = jax.random.split(key)
        body = encoder.init(body_key, x)
        return {"body": body, "head": linear.init(head_key, encoder.apply(body, x))}

    def apply(params: PyTree, x: PyTree) -> jax.Array:
        return linear.apply(params["head"], encoder.apply(params["body"], x))

    return Network(init, apply, encoder.apply, linear.apply)


def from_adaptation(spec: TaskSpec, init: Callable, adapt: Callable, predict: Callable) -> Learner:
    """Completes a learner with the usual meta-loss: the query loss after adapting to the support.

    Args:
      spec: the task specification.
      init: as in `Learner`.
      adapt: as in `Learner`.
      predict: as in `Learner`.
    """

    def meta_loss(params: PyTree, episode: Episode, key: jax.Array):
        adapted = adapt(params, episode.support, key)
        value = loss(spec, predict(params, adapted, episode.query.x), episode.query)
        return value, {"loss": value}

    return Learner(init, adapt, predict, meta_loss, spec)


def adapting_all(spec: TaskSpec, net: Network, adapt: Callable) -> Learner:
    """Completes a learner whose params and adapted both are the weights of a network."""

    def init(key: jax.Array, episode: Episode) -> PyTree:
        return net.init(key, episode.support.x)

    def predict(params: PyTree, adapted: PyTree, x: PyTree) -> jax.Array:
        return net.apply(adapted, x)

    return from_adaptation(spec, init, adapt, predict)


def support_loss(spec: TaskSpec, apply: Callable, support: Examples) -> Callable:
    """What an inner loop descends: ``(params, step) -> scalar``, the mean loss of the support.

    Args:
      spec: the task specification.
      apply: ``(params, x) -> outputs (N, C)``, such as `Network.apply`.
      support: the rows.
    """

    def inner_loss(params: PyTree, step: jax.Array) -> jax.Array:
        return loss(spec, apply(params, support.x), support)

    return inner_loss


def learned_descent(
    spec: TaskSpec,
    net: Network,
    begin: Callable[[PyTree], dict],
    rule: Callable[[PyTree], optax.GradientTransformation],
    inner_steps: int,
    *,
    first_order: bool = False,
    remat: bool | None = None,
) -> Learner:
    """MAML whose inner step has parameters of its own, learned with the initialisation.

    Args:
      spec: the task specification.
      net: the network; adapted is its weights.
      begin: ``weights -> {name: start}``; params are ``{"net": weights, name: ...}``.
      rule: ``params -> optax transformation``, the inner step.
      inner_steps: as in `metajax.inner.descend`.
      first_order: likewise.
      remat: likewise.
    """

    def init(key: jax.Array, episode: Episode) -> PyTree:
        weights = net.init(key, episode.support.x)
        return {"net": weights, **begin(weights)}

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        options = {"first_order": first_order, "remat": remat}
        inner_loss = support_loss(spec, net.apply, support)
        return descend(inner_loss, params["net"], rule(params), inner_steps, **options)[0]

    def predict(params: PyTree, adapted: PyTree, x: PyTree) -> jax.Array:
        return net.apply(adapted, x)

    return from_adaptation(spec, init, adapt, predict)


# eps_root: without it the derivative of Adam's square root is infinite where a gradient is 0.
_OPTIMIZERS = {
    "sgd": lambda rate, root: optax.sgd(rate),
    "momentum": lambda rate, root: optax.sgd(rate, momentum=0.9),
    "adam": lambda rate, root: optax.adam(rate, eps_root=root),
    "adam0": lambda rate, root: optax.adam(rate, b1=0.0, eps_root=root),
}


def optimizer_named(
    name: str, inner_lr: float, *, eps_root: float = 1e-8
) -> optax.GradientTransformation:
    """The optimiser of an inner loop.

    Args:
      name: "sgd", "momentum" (0.9), "adam", or "adam0" (Adam without momentum, beta1 = 0).
      inner_lr: its step size, above 0.
      eps_root: added to Adam's second moment under the square root: gradients below its root
        (1e-4) take less than a full step, and the meta-gradient exists. 0: plain Adam.

    Raises:
      ValueError: for another name.
    """
    if name not in _OPTIMIZERS:
        raise ValueError(f"inner_optimizer is one of {', '.join(_OPTIMIZERS)}; got {name!r}")
    return _OPTIMIZERS[name](inner_lr, eps_root)


def joined(episode: Episode) -> Examples:
    """All labelled rows of an episode, support first: for learners that need no split."""
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *episode)


def class_means(features: jax.Array, support: Examples) -> tuple[jax.Array, jax.Array]:
    """The weighted mean feature (C, D) of every class, and the summed weights (C,), 0 if absent."""
    member = support.y * support.mask
    sizes = member.sum(0)
    return member.T @ features / jnp.maximum(sizes, 1e-12)[:, None], sizes


def pretrained(spec: TaskSpec, net: Network, adapt: Callable, predict: Callable) -> Learner:
    """Completes a learner that is pre-trained on the pooled rows of all training tasks.

    Its meta-loss is the plain loss of the unadapted network on every labelled row, so it uses no
    task identity: the "pre-train, then adapt" family of transfer learning.
    """

    def init(key: jax.Array, episode: Episode) -> PyTree:
        return net.init(key, episode.support.x)

    def meta_loss(params: PyTree, episode: Episode, key: jax.Array):
        rows = joined(episode)
        value = loss(spec, net.apply(params, rows.x), rows)
        return value, {"loss": value}

    return Learner(init, adapt, predict, meta_loss, spec)


def require(name: str, spec: TaskSpec, *kinds: str, variance: bool = False) -> None:
    """Refuses a specification that a learner is not defined for.

    Args:
      name: the learner's.
      spec: the task specification.
      *kinds: the task kinds that it is defined for; none: all.
      variance: whether it gives a predictive variance.

    Raises:
      ValueError: naming the learner, what was asked and what is possible.
    """
    if kinds and spec.kind not in kinds:
        raise ValueError(f"{name} is defined for {' and '.join(kinds)} tasks; got {spec.kind}")
    if spec.variance and not variance:
        raise ValueError(f"{name} gives no predictive variance; use TaskSpec(variance=False)")


METHODS = ()  # parts of learners
