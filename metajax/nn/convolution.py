"""Convolution that stays fast when it is differentiated twice, inside a scan, task by task.

On CPUs the gradients of `lax.conv` are slow inside `lax.scan`, and `vmap` over kernels turns it
into a grouped convolution, twenty times slower than a matrix product with the image's patches.
Here a convolution is that product; its input and kernel gradients are operations of their own,
and the three are each other's derivatives. So reverse mode of any order is made of three matrix
products, and the patches of an image are cut once however often they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from math import prod
from typing import Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

Form = Literal["auto", "matmul", "lax"]
Padding = Literal["SAME", "VALID"]


class _Geometry(NamedTuple):
    """Static shape of a convolution; one entry per spatial axis. Hashable."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    size: tuple[int, ...]  # of the input
    out: tuple[int, ...]
    low: tuple[int, ...]  # padding before the first entry; beyond the last: what is needed


def _geometry(x: jax.Array, kernel: tuple[int, ...], strides: tuple[int, ...], padding: Padding):
    size = x.shape[1:-1]
    if padding == "VALID":
        out = tuple((n - k) // s + 1 for n, k, s in zip(size, kernel, strides, strict=True))
        return _Geometry(kernel, strides, size, out, (0,) * len(size))
    out = tuple(-(-n // s) for n, s in zip(size, strides, strict=True))
    total = [
        max((o - 1) * s + k - n, 0) for n, k, s, o in zip(size, kernel, strides, out, strict=True)
    ]
    return _Geometry(kernel, strides, size, out, tuple(t // 2 for t in total))


def _patches(x: jax.Array, geometry: _Geometry) -> jax.Array:
    """im2col: (N, *size, C) to (N, *out, prod(kernel) * C), one concatenation of strided views."""
    kernel, strides, size, out, low = geometry
    reach = [(o - 1) * s + k for o, s, k in zip(out, strides, kernel, strict=True)]
    pads = [(b, r - n - b, 0) for b, r, n in zip(low, reach, size, strict=True)]
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *pads, (0, 0, 0)])
    span = [(o - 1) * s + 1 for o, s in zip(out, strides, strict=True)]
    views = []
    for offset in product(*map(range, kernel)):
        stop = [i + n for i, n in zip(offset, span, strict=True)]
        view = jax.lax.slice(x, (0, *offset, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1))
        views.append(view)
    return jnp.concatenate(views, axis=-1)


def _unpatches(patches: jax.Array, geometry: _Geometry) -> jax.Array:
    """col2im, the transpose of `_patches`: every entry goes back to where it was taken, and adds.

    One spatial axis after the other, which is fewer additions, and residue by residue of the
    stride, which are contiguous sums instead of scattered ones.
    """
    for axis, (k, s, size, out, low) in enumerate(zip(*geometry, strict=True), 1):
        parts = patches.reshape(*patches.shape[:-1], k, -1)
        blocks = -(-k // s)
        lanes = []
        for residue in range(s):
            lane = None
            for shift, i in enumerate(range(residue, k, s)):
                config = [(0, 0, 0)] * (patches.ndim)
                config[axis] = (shift, blocks - 1 - shift, 0)
                part = jax.lax.pad(parts[..., i, :], jnp.zeros((), patches.dtype), config)
                lane = part if lane is None else lane + part
            lanes.append(jnp.zeros_like(lanes[0]) if lane is None else lane)
        joined = jnp.stack(lanes, axis + 1) if s > 1 else lanes[0]
        shape = [*joined.shape[:axis], s * (out + blocks - 1), *lanes[0].shape[axis + 1 :]]
        config = [(0, 0, 0)] * patches.ndim
        config[axis] = (-low, size + low - shape[axis], 0)  # negative: cut off
        patches = jax.lax.pad(joined.reshape(shape), jnp.zeros((), patches.dtype), config)
    return patches


def _rows(x: jax.Array) -> jax.Array:
    return x.reshape(-1, x.shape[-1])


# Bytes of the patches that are cut at once on a CPU, so that they stay in its caches: 4 % off a
# step of strided networks, 20 % off one with max-pooling (`scripts/benchmark.py`).
BLOCK = 2**21


def _block(images: int, channels: int, geometry: _Geometry, itemsize: int) -> int:
    """How many images are taken at once: all of them where patches are few, and off the CPU."""
    one = prod(geometry.out) * prod(geometry.kernel) * channels * itemsize
    if jax.default_backend() != "cpu" or images * one <= 2 * BLOCK:
        return images
    most = max(BLOCK // one, 1)
    even = (n for n in range(most, most // 2, -1) if images % n == 0)  # nothing is left over
    return next(even, most)


def _split(size: int, *batches: jax.Array) -> tuple[tuple, tuple]:
    """Blocks of `size` images to scan over, and what is left over; either may be empty."""
    images = len(batches[0])
    if size == images:
        return (), batches
    whole = images - images % size
    blocks = tuple(x[:whole].reshape(-1, size, *x.shape[1:]) for x in batches)
    return blocks, tuple(x[whole:] for x in batches) if whole < images else ()


def _by_blocks(function: Callable, size: int, x: jax.Array) -> jax.Array:
    """Applies a function to `size` images after the other."""
    blocks, rest = _split(size, x)
    parts = [function(*rest)] if rest else []
    if blocks:
        out = jax.lax.map(function, *blocks)
        parts.insert(0, out.reshape(-1, *out.shape[2:]))
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _forward(x: jax.Array, kernel: jax.Array, geometry: _Geometry) -> jax.Array:
    """(N, *size, C) and (*kernel, C, O) to (N, *out, O)."""

    def some(x: jax.Array) -> jax.Array:
        products = _rows(_patches(x, geometry)) @ _rows(kernel)
        return products.reshape(x.shape[0], *geometry.out, -1)

    return _by_blocks(some, _block(len(x), x.shape[-1], geometry, x.dtype.itemsize), x)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _input_gradient(g: jax.Array, kernel: jax.Array, geometry: _Geometry) -> jax.Array:
    """(N, *out, O) and (*kernel, C, O) to (N, *size, C)."""

    def some(g: jax.Array) -> jax.Array:
        patches = _rows(g) @ _rows(kernel).T
        return _unpatches(patches.reshape(*g.shape[:-1], -1), geometry)

    return _by_blocks(some, _block(len(g), kernel.shape[-2], geometry, g.dtype.itemsize), g)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _kernel_gradient(x: jax.Array, g: jax.Array, geometry: _Geometry) -> jax.Array:
    """(N, *size, C) and (N, *out, O) to (*kernel, C, O)."""

    def some(x: jax.Array, g: jax.Array) -> jax.Array:
        patches, g = _rows(_patches(x, geometry)), _rows(g)
        if patches.shape[1] > g.shape[1]:
            # The CPU's matrix product runs at half speed when its longer side is the transposed
            # one. The barrier keeps the compiler from undoing this.
            return jax.lax.optimization_barrier(g.T @ patches).T
        return patches.T @ g

    size = _block(len(x), x.shape[-1], geometry, x.dtype.itemsize)
    blocks, rest = _split(size, x, g)
    if rest:
        products = some(*rest)
    else:
        products = jnp.zeros((prod(geometry.kernel) * x.shape[-1], g.shape[-1]), x.dtype)
    if blocks:
        products = jax.lax.scan(lambda sum_, one: (sum_ + some(*one), None), products, blocks)[0]
    return products.reshape(*geometry.kernel, x.shape[-1], -1)


_forward.defvjp(
    lambda x, kernel, geometry: (_forward(x, kernel, geometry), (x, kernel)),
    lambda geometry, saved, ct: (
        _input_gradient(ct, saved[1], geometry),
        _kernel_gradient(saved[0], ct, geometry),
    ),
)
_input_gradient.defvjp(
    lambda g, kernel, geometry: (_input_gradient(g, kernel, geometry), (g, kernel)),
    lambda geometry, saved, ct: (
        _forward(ct, saved[1], geometry),
        _kernel_gradient(ct, saved[0], geometry),
    ),
)
_kernel_gradient.defvjp(
    lambda x, g, geometry: (_kernel_gradient(x, g, geometry), (x, g)),
    lambda geometry, saved, ct: (
        _input_gradient(saved[1], ct, geometry),
        _forward(saved[0], ct, geometry),
    ),
)


def _form(form: Form) -> str:
    """What "auto" means here."""
    if form == "auto":
        return "lax" if jax.default_backend() == "tpu" else "matmul"
    return form


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: Padding = "SAME",
    form: Form = "auto",
) -> jax.Array:
    """A convolution (cross-correlation, as everywhere in this field) over one or two axes.

    Args:
      x: (N, L, C) or (N, H, W, C).
      kernel: (K, C, O) or (K, K', C, O).
      strides: one per spatial axis.
      padding: "SAME" (``ceil(n / stride)`` positions) or "VALID" (no padding).
      form: "matmul": patches times kernel, differentiable in reverse mode only, at any order.
        "lax": `jax.lax.conv_general_dilated`. "auto": "matmul" on CPUs and GPUs, as measured by
        ``scripts/benchmark.py --what=layouts``; "lax" on TPUs, where nothing was measured.

    Returns:
      (N, *out, O).
    """
    if _form(form) == "lax":
        names = ("NWC", "WIO", "NWC") if x.ndim == 3 else ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            x, kernel, tuple(strides), padding, dimension_numbers=names
        )
    return _forward(x, kernel, _geometry(x, kernel.shape[:-2], tuple(strides), padding))


class Conv(nn.Module):
    """A convolution layer with the parameters and the results of `flax.linen.Conv`.

    Attributes:
      features: output channels O.
      kernel_size: one width per spatial axis; its length, 1 or 2, says how many there are.
      strides: one number for all axes, or one per axis.
      padding: "SAME" or "VALID".
      use_bias: add a learned constant per channel.
      dtype: of the computation, e.g. ``jnp.bfloat16``; None: that of inputs and parameters.
      form: see `convolve`.
      kernel_init: the initializer of the kernel.

    Raises:
      ValueError: for an unknown padding or form, or inputs that are not (N, ..., channels) with as
        many axes between as the kernel has, or that are smaller than an unpadded kernel.
    """

    features: int
    kernel_size: tuple[int, ...]
    strides: int | tuple[int, ...] = 1
    padding: Padding = "SAME"
    use_bias: bool = True
    dtype: jnp.dtype | None = None
    form: Form = "auto"
    kernel_init: Callable = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (N, *size, C) to (N, *out, O)."""
        axes = len(self.kernel_size)
        strides = (self.strides,) * axes if isinstance(self.strides, int) else self.strides
        if axes not in (1, 2) or len(strides) != axes or x.ndim != axes + 2:
            raise ValueError(
                f"Conv needs inputs (N, *size, channels) with one or two axes between, a kernel "
                f"width and a stride for each; got shape {x.shape}, kernel_size "
                f"{self.kernel_size} and strides {self.strides}"
            )
        if self.padding not in ("SAME", "VALID"):
            raise ValueError(f"padding must be SAME or VALID; got {self.padding!r}")
        if self.form not in ("auto", "matmul", "lax"):
            raise ValueError(f"form must be auto, matmul or lax; got {self.form!r}")
        if self.padding == "VALID" and any(
            n < k for n, k in zip(x.shape[1:-1], self.kernel_size, strict=True)
        ):
            raise ValueError(f"inputs {x.shape} are smaller than the kernel {self.kernel_size}")
        shape = (*self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = convolve(x, kernel, strides, self.padding, self.form)
        return y if bias is None else y + bias
