"""Meta-Weight-Net: a small network, learned on trusted rows, turns the loss of a row into a weight.

Shu, Xie, Yi, Zhao, Zhou, Xu, Meng 2019, https://arxiv.org/abs/1902.07379. V is 1 - width - 1, ReLU,
sigmoid. In every step: ``theta' = theta - lr * 1/N sum_i V(l_i) grad l_i``; a step of Adam on V
down the gradient of ``L_trusted(theta')``; then the step of theta itself, with the new V. As in the
authors' code, V sees losses as constants, steps of theta' have no momentum, V starts as PyTorch's
linear layers do, Adam has step size 1e-3 and an L2 gradient of 1e-4. `normalise` divides by the sum
of the weights, as their code for imbalance does and that for noise does not. Differences: trusted
rows are training rows as well; V's start is a meta-parameter, and the meta-gradient passes through
weights but not through V's own steps, so it is not exact. If no row is trusted, V does not move.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from metajax.learners.method import Method
from metajax.learners.weighting import Rule, Step, to_mean_one, trusted, weighted
from metajax.types import Examples, Learner, PyTree, TaskSpec


def weigher_init(key: jax.Array, width: int) -> PyTree:
    """The weights of V, uniform within the inverse root of the number of inputs of a layer."""
    keys, bound = jax.random.split(key, 4), width**-0.5
    shapes = {"w1": (width,), "b1": (width,), "w2": (width,), "b2": ()}
    reach = {"w1": 1.0, "b1": 1.0, "w2": bound, "b2": bound}
    return {
        name: jax.random.uniform(k, shape, minval=-reach[name], maxval=reach[name])
        for k, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def weigher(params: PyTree, losses: jax.Array, present: jax.Array | None = None) -> jax.Array:
    """V: losses (B,) to weights (B,) in (0, 1); of mean 1 if it is told which rows are present."""
    hidden = jax.nn.relu(losses[:, None] * params["w1"] + params["b1"])
    outputs = hidden @ params["w2"] + params["b2"]
    if present is None:
        return jax.nn.sigmoid(outputs)
    # From logarithms: where V is sure that no row is worth anything, all sigmoids are 0.
    logs = jnp.where(present > 0, jax.nn.log_sigmoid(outputs), -1e30)
    return to_mean_one(jnp.exp(logs - jax.lax.stop_gradient(logs.max())), present)


def meta_weight_net(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.1,
    inner_steps: int = 5,
    momentum: float = 0.0,
    batch: int | None = None,
    trusted_batch: int | None = None,
    width: int = 100,
    weigher_lr: float = 1e-3,
    normalise: bool = False,
) -> Learner:
    """Builds Meta-Weight-Net; params["rule"] are the weights of V, adapted is `Weighted`.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: step size of the network, above 0.
      inner_steps: steps on the support.
      momentum: of the network's steps, in [0, 1).
      batch: rows of a step; None: all.
      trusted_batch: trusted rows that a step is judged on; None: all.
      width: hidden units of V.
      weigher_lr: step size of V's Adam, 0 or more.
      normalise: scale the weights of a step to mean 1.

    Raises:
      ValueError: when adapted, if ``info["trusted"]`` is missing.
    """
    optimizer = optax.chain(optax.add_decayed_weights(1e-4), optax.adam(weigher_lr))

    def weigh(step: Step, memory: tuple):
        losses = jax.lax.stop_gradient(step.losses)

        def weights_by(params):
            return weigher(params, losses, step.present if normalise else None)

        params, state, judged = memory
        grads = jax.grad(lambda v: step.ahead(weights_by(v)))(params)
        # Adam's square root has no derivative at 0, and the papers' V has no outer loop.
        updates, state = jax.lax.stop_gradient(optimizer.update(grads, state, params))
        updates = jax.tree.map(lambda leaf: jnp.where(judged, leaf, 0), updates)
        params = optax.apply_updates(params, updates)
        return weights_by(params), (params, state, judged)

    def start(params: PyTree, support: Examples):
        return params, optimizer.init(params), trusted("meta_weight_net", support).any()

    rule = Rule(weigh, lambda key: weigher_init(key, width), start)
    descent = {"inner_lr": inner_lr, "inner_steps": inner_steps, "momentum": momentum}
    batches = {"batch": batch, "trusted_batch": trusted_batch}
    return weighted("meta_weight_net", spec, encoder, rule, **descent, **batches)


METHODS = (
    Method(
        meta_weight_net,
        pillar="sample",
        adapts="all weights, on rows weighted by a network of their loss",
        cost="15KS + 3Q + 4KS (second order)",
        exact=False,
        memory="the activations of K inner steps",
        needs=("trusted",),
        reference="Shu, Xie, Yi, Zhao, Zhou, Xu, Meng 2019, https://arxiv.org/abs/1902.07379",
        differs="trusted rows are training rows, too",
    ),
)
