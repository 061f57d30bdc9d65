"""MAML: an initialisation from which a few gradient steps on the support fit a new task.

Finn, Abbeel, Levine 2017, https://arxiv.org/abs/1703.03400. The inner step
``theta' = theta - lr * grad L_S(theta)`` is repeated; the meta-loss is ``L_Q(theta')``. The
gradient is exact (second order); `fomaml` drops the second derivatives (section 5.2 of the paper).
Differences: losses are means over rows (the authors' code sums the cross-entropy over the support,
so its inner rate 0.4 at 5 ways is 2.0 here); no batch normalisation across rows.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import optax

from metajax.inner import descend
from metajax.learners.common import from_adaptation, network
from metajax.learners.method import Method
from metajax.losses import loss
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def maml(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.1,
    inner_steps: int = 5,
    first_order: bool = False,
    remat: bool | None = None,
) -> Learner:
    """Builds MAML; params and adapted are the network's weights.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: step size of the inner gradient descent, above 0.
      inner_steps: inner steps, in training and at test.
      first_order: drop second derivatives (FOMAML).
      remat: recompute the inner steps in the backward pass to save memory; None: if they are many
        (`metajax.inner.REMAT_STEPS`).
    """
    net = network(spec, encoder)

    def init(key: jax.Array, episode: Episode) -> PyTree:
        return net.init(key, episode.support.x)

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        def inner_loss(weights, step):
            return loss(spec, net.apply(weights, support.x), support)

        options = {"first_order": first_order, "remat": remat}
        return descend(inner_loss, params, optax.sgd(inner_lr), inner_steps, **options)[0]

    def predict(params: PyTree, adapted: PyTree, x: PyTree) -> jax.Array:
        return net.apply(adapted, x)

    return from_adaptation(spec, init, adapt, predict)


def fomaml(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.1,
    inner_steps: int = 5,
    remat: bool | None = None,
) -> Learner:
    """Builds first-order MAML: `maml` whose inner gradients are constants of the meta-gradient."""
    return maml(
        spec, encoder, inner_lr=inner_lr, inner_steps=inner_steps, first_order=True, remat=remat
    )


METHODS = (
    Method(
        maml,
        pillar="gradient",
        adapts="all weights",
        cost="3KS + 3Q + 4KS (second order)",
        memory="the activations of K inner steps (of one with remat)",
        reference="Finn, Abbeel, Levine 2017, https://arxiv.org/abs/1703.03400",
        differs="inner loss is a mean over rows, not a sum",
    ),
    Method(
        fomaml,
        pillar="gradient",
        adapts="all weights",
        cost="3KS + 3Q",
        exact=False,
        reference="Finn, Abbeel, Levine 2017, section 5.2, https://arxiv.org/abs/1703.03400",
        differs="inner loss is a mean over rows, not a sum",
    ),
)
