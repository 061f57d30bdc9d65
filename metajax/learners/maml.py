"""MAML: an initialisation from which a few gradient steps on the support fit a new task.

Finn, Abbeel, Levine 2017, https://arxiv.org/abs/1703.03400. The inner step
``theta' = theta - lr * grad L_S(theta)`` is repeated; the meta-loss is ``L_Q(theta')``. The
gradient is exact (second order); `fomaml` drops the second derivatives (section 5.2 of the paper).
Differences: losses are means over rows (the authors' code sums the cross-entropy over the support,
so its inner rate 0.4 at 5 ways is 2.0 here); no batch normalisation across rows; the inner
optimiser may be another than gradient descent.
"""

from __future__ import annotations

import flax.linen as nn
import jax

from metajax.inner import descend
from metajax.learners.common import adapting_all, network, optimizer_named, support_loss
from metajax.learners.method import Method
from metajax.types import Examples, Learner, PyTree, TaskSpec


def maml(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.1,
    inner_steps: int = 5,
    inner_optimizer: str = "sgd",
    first_order: bool = False,
    remat: bool | None = None,
) -> Learner:
    """Builds MAML; params and adapted are the network's weights.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: step size of the inner optimiser, above 0.
      inner_steps: inner steps, in training and at test.
      inner_optimizer: "sgd", "momentum", "adam" or "adam0", see `optimizer_named`; its state starts
        afresh in every task, and the meta-gradient goes through it.
      first_order: drop second derivatives (FOMAML).
      remat: recompute the inner steps in the backward pass to save memory; None: if they are many
        (`metajax.inner.REMAT_STEPS`).

    Raises:
      ValueError: for an unknown inner optimiser.
    """
    net = network(spec, encoder)
    optimizer = optimizer_named(inner_optimizer, inner_lr)

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> PyTree:
        options = {"first_order": first_order, "remat": remat}
        inner_loss = support_loss(spec, net.apply, support)
        return descend(inner_loss, params, optimizer, inner_steps, **options)[0]

    return adapting_all(spec, net, adapt)


def fomaml(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 0.1,
    inner_steps: int = 5,
    inner_optimizer: str = "sgd",
    remat: bool | None = None,
) -> Learner:
    """Builds first-order MAML: `maml` whose inner gradients are constants of the meta-gradient.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: step size of the inner optimiser, above 0.
      inner_steps: inner steps, in training and at test.
      inner_optimizer: "sgd", "momentum", "adam" or "adam0", see `optimizer_named`.
      remat: see `maml`.
    """
    options = {"inner_optimizer": inner_optimizer, "first_order": True, "remat": remat}
    return maml(spec, encoder, inner_lr=inner_lr, inner_steps=inner_steps, **options)


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
