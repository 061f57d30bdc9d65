"""MAML++: MAML with a learned rate for every layer and inner step, judged after every step.

Antoniou, Edwards, Storkey 2019, https://arxiv.org/abs/1810.09502. Of their six parts, here are the
rates, ``theta_k+1[l] = theta_k[l] - alpha[k, l] * grad L_S(theta_k)[l]`` for step k and tensor l
(weights and biases apart, as in the authors' code), and the multi-step loss
``sum_k w_k L_Q(theta_k)``. The gradient is exact. Differences: the authors anneal w over the first
epochs E, ``w_k = max(1 - epoch / E, 0.03) / K`` for all but the last step, which has what is left
of 1, then use the last step alone; a learner does not know the epoch, so `multi_step` is that
``max(...)`` and stays what it is. No batch normalisation, hence none of its per-step statistics,
and normalisation weights are adapted, too. Cosine annealing of the outer rate and
first order in the first epochs are the trainer's.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from metajax.inner import descend
from metajax.learners.common import learned_descent, network, support_loss
from metajax.learners.method import Method
from metajax.losses import loss
from metajax.types import Episode, Learner, PyTree, TaskSpec


def maml_plus(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.1,
    inner_steps: int = 5,
    multi_step: float | None = 0.1,
    first_order: bool = False,
    remat: bool | None = None,
) -> Learner:
    """Builds MAML++; params are ``{"net": weights, "rate": (inner_steps, tensors)}``.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: where every learned rate starts, above 0.
      inner_steps: inner steps, in training and at test, 1 or more.
      multi_step: weight of the query losses before the last step, 0 to 1: 1 weighs all steps alike
        (the authors' first epoch), 0 the last one only. None: likewise, without computing others.
      first_order: drop second derivatives.
      remat: recompute the inner steps in the backward pass to save memory; None: if they are many.
    """
    net = network(spec, encoder)
    options = {"first_order": first_order, "remat": remat}

    def begin(weights: PyTree) -> dict:
        leaves = jax.tree.leaves(weights)
        return {"rate": jnp.full((inner_steps, len(leaves)), inner_lr, leaves[0].dtype)}

    def rule(params: PyTree) -> optax.GradientTransformation:
        def update(grads, step, _=None):
            leaves, treedef = jax.tree.flatten(grads)
            steps = [-rate * leaf for rate, leaf in zip(params["rate"][step], leaves, strict=True)]
            return jax.tree.unflatten(treedef, steps), step + 1

        return optax.GradientTransformation(lambda _: jnp.int32(0), update)

    def meta_loss(params: PyTree, episode: Episode, key: jax.Array):
        def query_loss(weights):
            return loss(spec, net.apply(weights, episode.query.x), episode.query)

        inner_loss = support_loss(spec, net.apply, episode.support)
        _, losses = descend(
            inner_loss, params["net"], rule(params), inner_steps, watch=query_loss, **options
        )
        return multi_step * losses.mean() + (1 - multi_step) * losses[-1], {"loss": losses[-1]}

    learner = learned_descent(spec, net, begin, rule, inner_steps, **options)
    return learner if multi_step is None else learner._replace(meta_loss=meta_loss)


METHODS = (
    Method(
        maml_plus,
        pillar="gradient",
        adapts="all weights, at a learned rate for each tensor and step",
        cost="3KS + 3KQ + 4KS (second order)",
        memory="the activations of K inner steps (of one with remat)",
        reference="Antoniou, Edwards, Storkey 2019, https://arxiv.org/abs/1810.09502",
        differs="the weights of the steps are fixed, not annealed; no batch normalisation",
    ),
)
