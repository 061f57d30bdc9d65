"""What a decoder asks of stored inputs before it decodes them: kind, shape, and the remedy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from metajax.types import Episode, PyTree


def decoded(episode: Episode, decode: Callable[[PyTree], PyTree]) -> Episode:
    """The episode with `decode` applied to the inputs of both parts."""
    return Episode(*(part._replace(x=decode(part.x)) for part in episode))


def ask(x: PyTree, *names: str) -> None:
    """Refuses inputs that are no array, or no dict with the arrays named."""
    if names and not (isinstance(x, dict) and set(names) <= set(x)):
        told = f"a dict of {', '.join(x)}" if isinstance(x, dict) else f"a {type(x).__name__}"
        raise ValueError(f"the inputs must be a dict with {' and '.join(names)}; got {told}")
    if not names and not hasattr(x, "shape"):
        raise ValueError(f"the inputs must be one array; got a {type(x).__name__}. Remedy: "
                         "metajax.tasks.within(name, ...) for one modality of a dict")  # fmt: skip


def no_images(dtype: np.dtype, shape: Sequence[int]) -> str:
    """What keeps an array from being 8-bit images, with the remedy; empty if nothing does.

    Args:
      dtype: of the array.
      shape: (N, H, W) or (N, H, W, 1 or 3) is one of images.
    """
    given = f"images are uint8 (N, H, W) or (N, H, W, 3); got {dtype} of shape {tuple(shape)}"
    if len(shape) not in (3, 4):
        return f"{given}. Remedy: one image a row, not flattened"
    if 0 in shape[1:]:
        return f"{given}: they are empty"
    if len(shape) == 4 and shape[3] not in (1, 3):
        remedy = "keep one or three channels"
        if shape[3] in (2, 4):
            remedy = f"drop the alpha channel, images[..., :{shape[3] - 1}]"
        if shape[1] in (1, 3):
            remedy = "put the channels last, np.moveaxis(images, 1, -1)"
        return f"{given}. Remedy: {remedy}"
    if dtype != np.uint8:
        remedy = "(255 * images).round().astype(np.uint8) of numbers from 0 to 1"
        if np.dtype(dtype).kind == "b":
            remedy = "images.astype(np.uint8) * 255"
        elif np.issubdtype(dtype, np.integer):
            remedy = "scale them to 0 to 255, e.g. (images // 256).astype(np.uint8) of 16 bits"
        return f"{given}. Remedy: {remedy}"
    return ""


def channels(x: jax.Array) -> jax.Array:
    """Images as float32 with a channel axis."""
    ask(x)
    if told := no_images(x.dtype, x.shape):
        raise ValueError(told)
    return x.astype(jnp.float32).reshape(*x.shape[:3], -1)


def codes(x: jax.Array, letters: int, what: str, axes: int = 2) -> jax.Array:
    """Codes as one-hot float32 of so many letters; a larger code becomes zeros.

    Raises:
      ValueError: if the inputs are no whole numbers (N, L).
    """
    ask(x)
    if x.ndim != axes or not jnp.issubdtype(x.dtype, jnp.integer):
        shape = "(N, L)" if axes == 2 else "(N,)"
        raise ValueError(f"{what} are integer codes {shape}; got {x.dtype} of shape {x.shape}. "
                         "Remedy: of one-hot letters, x.argmax(-1).astype(np.uint8)")  # fmt: skip
    return jax.nn.one_hot(x, letters)
