"""The one inner loop: a `lax.scan` over any optax transformation (floor 2)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from metajax.types import PyTree


def descend(
    loss_fn: Callable[[PyTree, jax.Array], jax.Array],
    start: PyTree,
    optimizer: optax.GradientTransformation,
    steps: int,
    *,
    first_order: bool = False,
    remat: bool = False,
    watch: Callable[[PyTree], PyTree] | None = None,
) -> tuple[PyTree, PyTree]:
    """Follows the gradient of a loss for a fixed number of steps, differentiably.

    Args:
      loss_fn: ``(params, step) -> scalar``; the step (int32, from 0) lets it choose mini-batches.
      start: the parameters to start from; the result is differentiable in them.
      optimizer: any optax transformation; its state starts fresh.
      steps: the number of steps, 0 or more (static).
      first_order: treat the inner gradients as constants (FOMAML, Finn et al. 2017, section 5.2).
      remat: recompute each step in the backward pass: memory constant in the steps, one more
        forward pass.
      watch: what to compute from the parameters after each step, differentiably too.

    Returns:
      The parameters after the last step, and the (steps,) losses before each step or, stacked,
      what `watch` gave after each.

    Raises:
      ValueError: for a negative number of steps.
    """
    if steps < 0:
        raise ValueError(f"the inner loop needs steps >= 0; got {steps}")

    def step(carry, i):
        params, state = carry
        value, grads = jax.value_and_grad(loss_fn)(params, i)
        if first_order:
            grads = jax.lax.stop_gradient(grads)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), value if watch is None else watch(params)

    body = jax.checkpoint(step, prevent_cse=False) if remat else step
    (end, _), seen = jax.lax.scan(body, (start, optimizer.init(start)), jnp.arange(steps))
    return end, seen
