"""Devices and processes: over how many of them the tasks or the trials lie changes no result."""

import functools
import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_training import POOL, close, distance, host
from worlds import key

from metajax import layout
from metajax.learners import LEARNERS
from metajax.nn import MLP
from metajax.training import Trial, fit
from metajax.trials import fit_many
from metajax.types import TaskSpec

# Second-order: a hidden layer and a large inner step, so the second derivatives are not small.
LEARNER = LEARNERS["maml"](TaskSpec(2, "multiclass"), MLP((4,)), inner_steps=1, inner_lr=0.4)
# Plain gradient descent: with Adam a gradient that is too large by a factor would not show.
OPTIMIZER = optax.sgd(0.1)
TASKS = 8
AXES = ("auto", "scan", "chunk:2")
RATES = jnp.array([0.05, 0.1, 0.2, 0.4])
SECONDS = 120


def weighing(weights):
    """An aggregation with a weight for each place of a step, so that the tasks' order shows."""

    def update(grads, state, params):
        return jax.tree.map(lambda g: jnp.tensordot(weights, g, 1), grads), state

    return optax.GradientTransformation(lambda params: (), update)


RISING = jnp.arange(1.0, TASKS + 1) / TASKS**2


def state_of(tasks=TASKS, optimizer=OPTIMIZER, **options):
    """Nine steps in three calls."""
    options = {"steps": 9, "tasks_per_step": tasks, "steps_per_call": 4} | options
    return fit(LEARNER, POOL, optimizer, key(), **options)


def train(**options):
    """The parameters at the end, and what the calls reported."""
    told = []
    state = state_of(on_call=lambda state, means: told.append(means), **options)
    return {"params": host(state.params), "told": told}


def sampled(**options):
    """Training on harder tasks more often, and what the sampler saw."""
    seen = []

    def sampler(weights, tasks, losses):
        seen.append((tasks, losses))
        return weights * np.exp([losses[tasks == t].sum() / 10 for t in range(4)])

    return train(task_sampler=sampler, **options) | {"seen": seen}


def private():
    """An aggregation whose state has a key, which goes to the devices of all processes."""
    return optax.contrib.differentially_private_aggregate(0.5, 0.1, key=key(3))


def make(hyper):
    learner = LEARNERS["maml"](
        TaskSpec(2, "multiclass"), MLP((4,)), inner_steps=1, inner_lr=hyper["inner_lr"]
    )
    return Trial(learner, optax.sgd(hyper["lr"]))


def train_many(count=4, **options):
    """Parameters of `count` trials, of which two have other numbers of steps."""
    told = []
    states = fit_many(
        make, POOL, {"inner_lr": RATES[:count], "lr": RATES[:count] / 2},
        jnp.stack([key(i) for i in range(count)]),
        steps=np.array([9, 5, 9, 8])[:count], tasks_per_step=4, steps_per_call=4,
        on_call=lambda states, means: told.append(means), **options,
    )  # fmt: skip
    return {"params": host(states.params), "told": told}


def trainings(mesh=None, axes=AXES):
    """All that several devices and one must agree on, by name."""
    results = {f"fit {axis}": train(task_axis=axis, mesh=mesh) for axis in axes}
    return results | {
        "resumed": train(state=state_of(steps=4, mesh=mesh), mesh=mesh),
        "aggregate": train(aggregate=weighing(RISING), mesh=mesh),
        "private": train(aggregate=private(), mesh=mesh),
        "sampler": sampled(mesh=mesh),
    }


@functools.cache
def reference():
    """The trainings of this process, without a mesh; "auto" only, the layout changes no result."""
    results = trainings(axes=("auto",))
    return results | {f"fit {axis}": results["fit auto"] for axis in AXES}


def refused(function, *arguments, **options):
    """The message of the ValueError that a call must raise."""
    with pytest.raises(ValueError) as error:
        function(*arguments, **options)
    return str(error.value)


def on_devices(count):
    """What the single process computes that has `count` devices."""
    assert jax.device_count() == count
    mesh = layout.device_mesh(4)
    assert layout.devices_of(mesh) == count
    results = trainings(mesh)
    if count == 2:
        results["many"] = train_many(mesh=mesh)
        # One trial alone: its tasks are split instead.
        results["one"] = train_many(1, mesh=mesh)
        # Only as many devices as divide the count; here the one that needs no mesh.
        assert layout.device_mesh(3) is None
        assert refused(train, tasks=3, mesh=mesh) == "2 devices do not divide 3 tasks a step"
        assert refused(train_many, 3, mesh=mesh) == "2 devices do not divide 3 trials"
        assert "chunk:8" in refused(train, task_axis="chunk:8", mesh=mesh)  # of 4 on a device
    return results


def on_processes():
    """What each of two processes computes that has one device."""
    assert (jax.process_count(), jax.local_device_count(), jax.device_count()) == (2, 1, 2)
    mesh = layout.device_mesh(4)
    assert layout.devices_of(mesh) == 2
    assert refused(layout.device_mesh, 3) == "the 2 devices do not divide 3 tasks"
    assert refused(train, tasks=3, mesh=mesh) == "2 devices do not divide 3 tasks a step"
    return trainings(mesh, ("auto", "chunk:2"))


CHILD = """
    import sys
    sys.path[:0] = {paths!r}
    import jax
    {before}
    import numpy as np
    import test_devices
    results = test_devices.{call}
    with open({file!r}, "wb") as file:
        np.save(file, results, allow_pickle=True)
"""


class Children:
    """Starts Python processes on forced CPU devices, and kills what has not ended."""

    def __init__(self, folder, root):
        self.folder, self.paths, self.children = folder, [str(root), str(root / "tests")], []

    def start(self, call, devices, before=""):
        name = str(self.folder / f"child_{len(self.children)}")
        script = CHILD.format(paths=self.paths, before=before, call=call, file=name)
        environment = os.environ | {
            "JAX_PLATFORMS": "cpu",
            # Compiling is most of the time, and how well it is done changes float rounding only.
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"
            " --xla_backend_optimization_level=0",
        }
        # Into a file: nobody reads the pipe of the second process while the first is waited for.
        with open(name + ".log", "wb") as log:
            command = [sys.executable, "-c", textwrap.dedent(script)]
            child = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self.children.append((child, name))

    def results(self):
        """What each child computed."""
        end = time.monotonic() + SECONDS
        # One that fails ends the wait: the other would wait for it.
        while time.monotonic() < end:
            codes = [child.poll() for child, _ in self.children]
            if any(codes) or None not in codes:
                break
            time.sleep(0.05)
        logs = "\n".join(Path(name + ".log").read_text()[-4000:] for _, name in self.children)
        assert not any(codes) and None not in codes, f"{codes}\n{logs}"
        return [np.load(name, allow_pickle=True).item() for _, name in self.children]


@pytest.fixture
def children(request, tmp_path):
    group = Children(tmp_path, request.config.rootpath)
    yield group
    for child, _ in group.children:
        child.kill()
        child.wait()


def agree(found, expected):
    assert found.keys() == expected.keys()
    for name in expected:
        close(found[name], expected[name], rtol=1e-4, atol=1e-6)


def test_the_tolerance_would_show_a_wrong_factor_or_order():
    found = reference()
    for optimizer in (optax.sgd(0.2), optax.sgd(0.05)):
        other = train(optimizer=optimizer)["params"]
        assert distance(other, found["fit auto"]["params"]) > 1e-3
    swapped = weighing(RISING.reshape(2, -1)[::-1].ravel())
    other = train(aggregate=swapped)["params"]
    assert distance(other, found["aggregate"]["params"]) > 1e-3


@pytest.mark.parametrize("count", [2, 4])
def test_devices_agree_with_one(children, count):
    children.start(f"on_devices({count})", count)
    expected = dict(reference())
    if count == 2:
        expected |= {"many": train_many(), "one": train_many(1)}
    agree(children.results()[0], expected)


def test_two_processes_agree_with_one(children):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for i in range(2):
        before = (
            "jax.config.update('jax_cpu_collectives_implementation', 'gloo'); "
            f"jax.distributed.initialize('127.0.0.1:{port}', num_processes=2, process_id={i})"
        )
        children.start("on_processes()", 1, before)
    first, second = children.results()
    jax.tree.map(np.testing.assert_array_equal, first, second)
    agree(first, {name: reference()[name] for name in first})
