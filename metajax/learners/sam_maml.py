"""Sharp-MAML: MAML's meta-gradient, taken where the meta-loss is worst nearby.

Abbas, Xiao, Chen, Chen, Chen 2022, https://arxiv.org/abs/2206.03996. With F the meta-loss and
``climb(g, rho) = rho g / |g|`` over all weights together, the update follows
``grad F(theta + climb(grad F(theta), rho))``; the climb is a constant of it, so it is not the exact
gradient of a loss. With `inner_rho` every inner step, too, takes its gradient at
``phi + climb(grad L_S(phi), inner_rho)``, and the meta-gradient goes through that climb, as in the
authors' code (their "both"; without it: "upper"). Differences: a learner sees one task, so theta
climbs for every task apart, while theirs climbs the mean of a step's tasks; the meta-loss reported
is the one at the top of the climb; their adaptive climb is left out.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from optax import tree

from metajax.inner import descend
from metajax.learners.common import adapting_all, network, support_loss
from metajax.learners.method import Method
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def sam_maml(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.1,
    inner_steps: int = 5,
    rho: float = 0.05,
    inner_rho: float | None = None,
    first_order: bool = False,
    remat: bool | None = None,
) -> Learner:
    """Builds Sharp-MAML; params and adapted are the network's weights.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: step size of the inner gradient descent, above 0.
      inner_steps: inner steps, in training and at test.
      rho: how far the initialisation climbs, 0 or more, the Euclidean length in all weights.
      inner_rho: how far the adapted weights climb before every inner step, 0 or more; None: not.
      first_order: drop second derivatives.
      remat: recompute the inner steps in the backward pass; None: if they are many.
    """
    net = network(spec, encoder)

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        inner_loss = support_loss(spec, net.apply, support)

        def at_the_top(grads, weights):
            top = tree.add(weights, _climb(grads, inner_rho))
            grads = jax.grad(inner_loss)(top, 0)
            return jax.lax.stop_gradient(grads) if first_order else grads

        optimizer = optax.sgd(inner_lr)
        if inner_rho is not None:
            optimizer = optax.chain(optax.stateless(at_the_top), optimizer)
        options = {"first_order": first_order, "remat": remat}
        return descend(inner_loss, params, optimizer, inner_steps, **options)[0]

    plain = adapting_all(spec, net, adapt)

    def meta_loss(params: PyTree, episode: Episode, key: jax.Array):
        grads, _ = jax.grad(plain.meta_loss, has_aux=True)(params, episode, key)
        climb = jax.lax.stop_gradient(_climb(grads, rho))
        return plain.meta_loss(tree.add(params, climb), episode, key)

    return plain._replace(meta_loss=meta_loss)


def _climb(grads: PyTree, rho: float) -> PyTree:
    """A step of length `rho` along the gradient; none where it is 0."""
    # Inside the root: its derivative stays finite at 0.
    return tree.scale(rho / jnp.sqrt(tree.norm(grads, squared=True) + 1e-24), grads)


METHODS = (
    Method(
        sam_maml,
        pillar="gradient",
        adapts="all weights",
        cost="twice 3KS + 3Q + 4KS (second order)",
        memory="the activations of K inner steps (of one with remat)",
        exact=False,
        reference="Abbas, Xiao, Chen, Chen, Chen 2022, https://arxiv.org/abs/2206.03996",
        differs="the initialisation climbs for every task apart, not for the tasks' mean",
    ),
)
