"""CAVIA: a task is a short context vector; gradient steps change it and nothing else.

Zintgraf, Shiarlis, Kurin, Hofmann, Whiteson 2019, https://arxiv.org/abs/1810.03642. From c = 0,
``c <- c - lr * grad_c L_S(theta, c)``; the meta-loss is ``L_Q(theta, c)``, and only theta is
learned. The gradient is exact. `join` says where c enters. "inputs" is the authors' regression
network: c is appended to the inputs (of images: as constant channels), which is adding ``W c`` to
the biases of the first layer. "features", for inputs of any structure: c is appended to the
encoder's features, a hidden layer of ReLUs follows, then the head; without that layer c could only
shift the outputs. Differences: the authors' network for images scales and shifts the channels of
its third convolution by linear functions of c; they clip the meta-gradient of each task.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from metajax.inner import descend
from metajax.learners.common import from_adaptation, network, support_loss
from metajax.learners.method import Method
from metajax.nn import MLP
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


def cavia(
    spec: TaskSpec,
    encoder: nn.Module,
    *,
    inner_lr: float = 1.0,
    inner_steps: int = 2,
    context: int = 32,
    join: str = "features",
    width: int = 64,
    first_order: bool = False,
) -> Learner:
    """Builds CAVIA; adapted is the (context,) vector.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      inner_lr: step size of the context's gradient descent, above 0.
      inner_steps: inner steps, in training and at test.
      context: length of the context vector, 1 or more.
      join: "features", or "inputs", which must then be one array (N, ..., channels).
      width: units of the hidden layer behind "features", 1 or more.
      first_order: drop second derivatives.

    Raises:
      ValueError: for another `join`; when initialised, for inputs that c cannot be appended to.
    """
    if join not in ("features", "inputs"):
        raise ValueError(f"join is one of features, inputs; got {join!r}")
    net = network(spec, encoder if join == "inputs" else MLP((width,)))

    def joined(x: jax.Array, vector: jax.Array) -> jax.Array:
        return jnp.concatenate([x, jnp.broadcast_to(vector, (*x.shape[:-1], context))], axis=-1)

    def init(key: jax.Array, episode: Episode) -> PyTree:
        body_key, net_key = jax.random.split(key)
        x, body = episode.support.x, ()
        if join == "features":
            body = encoder.init(body_key, x)
            x = encoder.apply(body, x)
        elif not isinstance(x, jax.Array):
            raise ValueError('cavia with join="inputs" needs inputs that are one array')
        return {"encoder": body, "net": net.init(net_key, joined(x, jnp.zeros(context)))}

    def features(params: PyTree, x: PyTree) -> jax.Array:
        return encoder.apply(params["encoder"], x) if join == "features" else x

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> jax.Array:
        def apply(vector, x):
            return net.apply(params["net"], joined(x, vector))

        inner_loss = support_loss(spec, apply, support._replace(x=features(params, support.x)))
        start = jnp.zeros(context, support.y.dtype)
        options = {"first_order": first_order}
        return descend(inner_loss, start, optax.sgd(inner_lr), inner_steps, **options)[0]

    def predict(params: PyTree, adapted: jax.Array, x: PyTree) -> jax.Array:
        return net.apply(params["net"], joined(features(params, x), adapted))

    return from_adaptation(spec, init, adapt, predict)


METHODS = (
    Method(
        cavia,
        pillar="gradient",
        adapts="a context vector",
        cost="3S + 3Q",
        memory="K context vectors, the hidden layer's activations",
        reference="Zintgraf, Shiarlis, Kurin, Hofmann, Whiteson 2019, https://arxiv.org/abs/1810.03642",
        differs="the context joins the features before a hidden layer (option: the inputs)",
    ),
)
