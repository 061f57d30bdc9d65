"""How the tasks of a batch are laid out: side by side, one after the other, over devices (floor 2).

Side by side (`vmap`) makes operations large; one after the other (`scan`) keeps what a task
computes in the cache and the memory constant. The rule for "auto": the largest number of tasks
that divides the batch and whose intermediate values fit the budget of the backend together.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, PartitionSpec

from metajax.types import PyTree

# Bytes of intermediates that are computed side by side. On CPUs what the caches of two cores hold:
# small networks run equally fast from 25 to 128 tasks and slower above, convolutions fastest one by
# one. On accelerators as much as the memory allows. Measured by scripts/benchmark.py.
BUDGET = {"cpu": 4 * 2**20, "gpu": 16 * 2**30, "tpu": 4 * 2**30}
AUTOMATIC = ("auto", "measure")


def chunk_size(axis: str, count: int, name: str = "task_axis") -> int:
    """The number of tasks (or trials) laid out side by side under a strategy.

    Args:
      axis: "vmap" (all), "scan" (one at a time) or "chunk:n" (n at a time).
      count: tasks of a batch.
      name: what a message calls the strategy.

    Raises:
      ValueError: for an unknown strategy, or an n that does not divide `count`.
    """
    word, _, number = axis.partition(":")
    size = {"vmap": count, "scan": 1}.get(axis, 0)
    if word == "chunk" and number.isdecimal():
        size = int(number)
    if size < 1 or count < 1 or count % size:
        things = f"{name.removesuffix('_axis')}s"
        raise ValueError(
            f"{name} must be auto, vmap, scan or chunk:n with n dividing the number of {things}; "
            f"got {axis!r} with {count} {things}"
        )
    return size


def strategy(chunk: int, tasks: int) -> str:
    """The name of the strategy that lays out `chunk` of `tasks` side by side."""
    return {tasks: "vmap", 1: "scan"}.get(chunk, f"chunk:{chunk}")


def divisors(tasks: int) -> list[int]:
    """All chunk sizes, the smallest first."""
    return [n for n in range(1, tasks + 1) if tasks % n == 0]


def choose(tasks: int, bytes_per_task: int, backend: str | None = None) -> str:
    """The strategy of "auto".

    Args:
      tasks: tasks of a batch (on one device).
      bytes_per_task: see `intermediate_bytes`.
      backend: "cpu", "gpu" or "tpu"; None: the one in use.
    """
    budget = BUDGET.get(backend or jax.default_backend(), BUDGET["cpu"])
    fit = [n for n in divisors(tasks) if n * bytes_per_task <= budget]
    return strategy(max(fit, default=1), tasks)


def intermediate_bytes(function: Callable, *arguments: PyTree) -> int:
    """Bytes of all values a function computes from arguments of these shapes; loop bodies once.

    Args:
      function: any traceable function; it is traced, not run.
      arguments: arrays, or their shapes as `jax.ShapeDtypeStruct`.
    """
    return _bytes(jax.make_jaxpr(function)(*arguments))


def _bytes(jaxpr: Any) -> int:
    """Of a jaxpr, open or closed, and of those inside it."""
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    total = 0
    for equation in jaxpr.eqns:
        values = [v for p in equation.params.values() for v in (p if isinstance(p, tuple) else [p])]
        inner = [v for v in values if hasattr(v, "eqns") or hasattr(v, "jaxpr")]
        if inner:
            total += sum(map(_bytes, inner))
        else:
            total += sum(_size(variable.aval) for variable in equation.outvars)
    return total


def _size(aval: Any) -> int:
    return getattr(aval, "size", 0) * getattr(aval.dtype, "itemsize", 4)


def over_chunks(function: Callable, inputs: PyTree, chunk: int) -> PyTree:
    """Maps a function of one task over inputs (B, ...), `chunk` tasks side by side.

    Args:
      function: ``(inputs of one task) -> outputs``.
      inputs: leaves (B, ...).
      chunk: divides B.
    """
    tasks = jax.tree.leaves(inputs)[0].shape[0]
    if chunk == tasks:
        return jax.vmap(function)(inputs)
    return jax.lax.map(function, inputs, batch_size=chunk if chunk > 1 else None)


def over_devices(function: Callable, mesh: Mesh | None, shared: int) -> Callable:
    """Runs a function on every device of a mesh's first axis, each on its part of the inputs.

    Args:
      function: called with `shared` arguments that all devices have, then with inputs (B, ...), of
        which a device gets its part; returns ``(mean, gathered)``. The first is averaged over the
        devices, the second concatenated; both are then the same on all.
      mesh: None: runs it where it is.
      shared: the number of arguments that all devices have.

    `pmean` inside `grad` would be wrong here: the gradient of a replicated argument is summed by
    `shard_map` itself if it checks replication. So the check is off, and the mean is taken last.
    """
    if mesh is None:
        return function
    axis = mesh.axis_names[0]

    def place(leaf: jax.Array) -> jax.Array:
        """The part of one device among zeros for those of the others."""
        everywhere = jnp.zeros((jax.lax.axis_size(axis), *leaf.shape), leaf.dtype)
        return everywhere.at[jax.lax.axis_index(axis)].set(leaf)

    def local(*arguments):
        mean, gathered = function(*arguments)
        share = jax.tree.map(lambda leaf: leaf / jax.lax.axis_size(axis), mean)
        mean, gathered = _sum_at_once((share, jax.tree.map(place, gathered)), axis)
        return mean, jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), gathered)

    def call(*arguments):
        sides = [PartitionSpec()] * shared + [PartitionSpec(axis)] * (len(arguments) - shared)
        return jax.shard_map(
            local, mesh=mesh, in_specs=tuple(sides), out_specs=PartitionSpec(), check_vma=False
        )(*arguments)

    return call


def _sum_at_once(tree: PyTree, axis: str) -> PyTree:
    """Sums over devices with one exchange a dtype: on CPUs each takes as long as a small step."""
    leaves, structure = jax.tree.flatten(tree)
    summed = list(leaves)
    for dtype in sorted({leaf.dtype for leaf in leaves}, key=str):  # as on all other processes
        places = [i for i, leaf in enumerate(leaves) if leaf.dtype == dtype]
        vector, unravel = ravel_pytree([leaves[i] for i in places])
        for i, leaf in zip(places, unravel(jax.lax.psum(vector, axis)), strict=True):
            summed[i] = leaf
    return jax.tree.unflatten(structure, summed)


def device_mesh(count: int) -> Mesh | None:
    """A mesh for `count` tasks or trials over the devices of all processes.

    Over as many devices as divide the count if there is one process, over all if there are more;
    None for a single device.

    Raises:
      ValueError: if there are several processes, and their devices do not divide the count.
    """
    devices = jax.devices()
    if jax.process_count() > 1 and count % len(devices):
        raise ValueError(f"the {len(devices)} devices do not divide {count} tasks")
    size = max(n for n in divisors(count) if n <= len(devices))
    if size == 1:
        return None
    axis_types = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((size,), ("tasks",), axis_types=axis_types, devices=devices[:size])


def use_cpu_devices(count: int | None = None) -> None:
    """Makes the CPU `count` devices (None: one per core), for `device_mesh` to split work over.

    Small operations leave all cores but one idle; tasks side by side on one core each do not.
    Without effect once jax has looked at its devices, and on machines with an accelerator.
    """
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", count or len(os.sched_getaffinity(0)))


def replicate(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Puts the same arrays on every device of a mesh, those of other processes included."""
    if mesh is None:
        return tree
    sharding = jax.sharding.NamedSharding(mesh, PartitionSpec())

    def put(leaf: jax.Array) -> jax.Array:
        if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.device_put(leaf, sharding)
        # device_put refuses keys, but not their bits, where a device is another process's.
        bits = jax.device_put(jax.random.key_data(leaf), sharding)
        return jax.random.wrap_key_data(bits, impl=jax.random.key_impl(leaf))

    return jax.tree.map(put, tree)


def devices_of(mesh: Mesh | None) -> int:
    """The number of devices on a mesh's first axis."""
    return 1 if mesh is None else mesh.shape[mesh.axis_names[0]]
