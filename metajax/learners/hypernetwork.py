r"""Hypernetwork: a network reads the support and emits the weights of a small one, in one pass.

Mueller, Curino, Ramakrishnan 2023, "MotherNet", https://arxiv.org/abs/2312.08598; Ha, Dai, Le 2016,
https://arxiv.org/abs/1609.09106. With an encoder f and the support's rows s,

    r_c = mean_s h(f(x_s), y_sc),                 a set encoder, one summary an output
    (W, b) = A mean_c r_c + a,    (u_c, v_c) = B r_c + b',
    output_c(x) = u_c . gelu(W f(x) + b) + v_c.

The emitted network is as small to store and as fast to run as it looks. The gradient is exact.
Differences from MotherNet: a mean over rows (Deep Sets) instead of a transformer; the last layer is
emitted output by output from shared weights, so that the order of the classes means nothing; it is
trained on the benchmark's tasks, or on a prior as any learner here; no low-rank weights.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from metajax.learners.common import from_adaptation, require
from metajax.learners.method import Method
from metajax.types import Episode, Examples, Learner, PyTree, TaskSpec


class _Emitter(nn.Module):
    """Reads features (S, D), labels (S, C) and their mask, and emits the weights."""

    width: int
    hidden: int

    @nn.compact
    def __call__(self, z: jax.Array, y: jax.Array, mask: jax.Array) -> dict[str, jax.Array]:
        rows = jnp.broadcast_to(z[:, None], (*y.shape, z.shape[-1]))
        known = jnp.where(mask > 0, y, 0.0)[..., None]
        # The products are given: their mean is a difference of class means.
        cells = jnp.concatenate([rows, known, rows * known], axis=-1)  # (S, C, 2 D + 1)
        cells = nn.gelu(nn.Dense(self.width)(cells))
        cells = nn.Dense(self.width)(cells)
        total = mask.sum(0)[:, None]
        each = (mask[..., None] * cells).sum(0) / jnp.where(total > 0, total, 1.0)  # r (C, width)
        there = (total > 0).astype(z.dtype)
        whole = (there * each).sum(0) / jnp.maximum(there.sum(), 1)
        # The support bends a common first layer, at first by little.
        size = z.shape[-1] * self.hidden
        start = self.param("first", nn.initializers.lecun_normal(), (z.shape[-1], self.hidden))
        bend = nn.Dense(size + self.hidden, kernel_init=nn.initializers.normal(0.01))(whole)
        last = nn.Dense(self.hidden + 1)(each)
        return {
            "w1": start + bend[:size].reshape(start.shape),
            "b1": bend[size:],
            "w2": last[:, :-1].T,
            "b2": last[:, -1],
        }


def hypernetwork(
    spec: TaskSpec, encoder: nn.Module, *, width: int = 64, hidden: int = 32
) -> Learner:
    """Builds the learner; adapted is ``w1`` (D, H), ``b1``, ``w2`` (H, C) and ``b2``.

    Args:
      spec: multiclass, multilabel or regression tasks.
      encoder: maps inputs (N, ...) to features (N, D).
      width: of the set encoder, 1 or more.
      hidden: H, units of the emitted network, 1 or more.

    Raises:
      ValueError: for a size below 1.
    """
    require("hypernetwork", spec)
    if min(width, hidden) < 1:
        raise ValueError(f"hypernetwork needs 1 or more units; got {width} and {hidden}")
    net = _Emitter(width, hidden)

    def init(key: jax.Array, episode: Episode) -> PyTree:
        body_key, net_key = jax.random.split(key)
        x, y, mask, _ = episode.support
        body = encoder.init(body_key, x)
        return {"body": body, "net": net.init(net_key, encoder.apply(body, x), y, mask)}

    def adapt(params: PyTree, support: Examples, key: jax.Array) -> dict[str, jax.Array]:
        z = encoder.apply(params["body"], support.x)
        y = support.y if spec.kind == "regression" else 2 * support.y - 1
        return net.apply(params["net"], z, y, support.mask)

    def predict(params: PyTree, adapted: dict[str, jax.Array], x: PyTree) -> jax.Array:
        units = nn.gelu(encoder.apply(params["body"], x) @ adapted["w1"] + adapted["b1"])
        return units @ adapted["w2"] + adapted["b2"]

    return from_adaptation(spec, init, adapt, predict)


METHODS = (
    Method(
        hypernetwork,
        pillar="amortised",
        adapts="a small network, emitted in one pass",
        cost="3S + 3Q",
        reference="Mueller, Curino, Ramakrishnan 2023, https://arxiv.org/abs/2312.08598",
        differs="a mean over rows instead of a transformer; the last layer is emitted by output",
    ),
)
