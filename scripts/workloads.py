"""The workloads of scripts/benchmark.py, run through the project's own `fit`."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.interpreters import partial_eval
from jax.sharding import Mesh

from metajax import layout, training
from metajax.learners import LEARNERS
from metajax.nn import MLP, Conv4
from metajax.types import Always, Episode, Examples, Learner, TaskSource, TaskSpec


@dataclass(frozen=True)
class Workload:
    """One training problem: random episodes of a fixed shape, one Adam step after the other."""

    name: str
    learner: str
    model: str  # "mlp" or "conv4"
    kind: str
    tasks: int
    support: int
    query: int
    outputs: int
    inputs: tuple[int, ...]
    inner_steps: int = 1
    inner_lr: float = 0.01
    remat: bool = False
    widths: tuple[int, ...] = (64,) * 4
    pool: bool = False
    steps: int = 1  # outer steps of a compiled call


IMAGE = (28, 28, 1)
WORKLOADS = {
    w.name: w
    for w in (
        Workload("sinusoid-25", "maml", "mlp", "regression", 25, 10, 10, 1, (1,),
                 widths=(40, 40), steps=200),
        Workload("sinusoid-1024", "maml", "mlp", "regression", 1024, 10, 10, 1, (1,),
                 widths=(40, 40), steps=10),
        Workload("tabular-5-steps", "maml", "mlp", "multiclass", 32, 16, 16, 2, (32,), 5,
                 widths=(64, 64), steps=30),
        Workload("omniglot-1-step", "maml", "conv4", "multiclass", 32, 5, 75, 5, IMAGE, 1, 0.4),
        Workload("omniglot-5-steps", "maml", "conv4", "multiclass", 32, 5, 75, 5, IMAGE, 5, 0.4),
        Workload("omniglot-max-pool", "maml", "conv4", "multiclass", 8, 5, 75, 5, IMAGE, 1, 0.4,
                 pool=True),
        Workload("protonet-5w5s", "protonet", "conv4", "multiclass", 32, 25, 75, 5, IMAGE),
    )
}  # fmt: skip


def build(workload: Workload, **encoder: Any) -> Learner:
    """The learner; `encoder` sets the convolutions' form and dtype, or the perceptron's dtype."""
    spec = TaskSpec(workload.outputs, workload.kind)
    if workload.model == "mlp":
        network = MLP(workload.widths)
    else:
        network = Conv4(workload.widths[0], workload.pool, "batch", **encoder)
    options = {}
    if workload.learner == "maml":
        names = ("inner_lr", "inner_steps", "remat")
        options = {name: getattr(workload, name) for name in names}
    return LEARNERS[workload.learner](spec, network, **options)


def _pick(data: Episode, key: jax.Array, task: jax.Array | None = None) -> Episode:
    """One of the episodes at hand; a module-level function, so that programs are re-used."""
    count = data.support.y.shape[0]
    if task is None:  # the bits of a key are as good as random ones
        task = (jax.random.key_data(key)[0] % count).astype(jnp.int32)
    return jax.tree.map(lambda leaf: leaf[task], data)


def episodes(workload: Workload, dtype: Any = np.float32) -> TaskSource:
    """A source of as many random episodes as a step has tasks."""
    rng = np.random.default_rng(0)

    def examples(rows: int) -> Examples:
        x = rng.random((workload.tasks, rows, *workload.inputs)).astype(dtype)
        if workload.kind == "regression":
            y = rng.normal(size=(workload.tasks, rows, 1))
        else:  # every class as often
            labels = np.tile(np.arange(rows) % workload.outputs, (workload.tasks, 1))
            y = np.eye(workload.outputs)[labels]
        y = jnp.asarray(y.astype(dtype))
        return Examples(jnp.asarray(x), y, jnp.ones_like(y))

    data = Episode(examples(workload.support), examples(workload.query))
    return TaskSource(TaskSpec(workload.outputs, workload.kind), data, _pick)


class Trainer:
    """Times `fit` on a workload: a round is one compiled call through the public function."""

    def __init__(
        self, workload: Workload, *, task_axis: str = "auto", steps: int = 0,
        mesh: Mesh | None = None, source: TaskSource | None = None, **encoder: Any,
    ):  # fmt: skip
        self.workload, self.steps = workload, steps or workload.steps
        self.learner, self.source = build(workload, **encoder), source or episodes(workload)
        self.optimizer, self.task_axis, self.mesh = optax.adam(1e-3), task_axis, mesh
        self.state = None

    def round(self) -> float:
        """Seconds of one outer step, a compiled call of `steps` steps taken together."""
        done = 0 if self.state is None else int(self.state.step)
        began = time.perf_counter()
        self.state = training.fit(
            self.learner, self.source, self.optimizer, jax.random.key(0), steps=done + self.steps,
            tasks_per_step=self.workload.tasks, steps_per_call=self.steps,
            task_axis=self.task_axis, state=self.state, mesh=self.mesh,
        )  # fmt: skip
        jax.block_until_ready(self.state)
        return (time.perf_counter() - began) / self.steps

    def compiled(self) -> dict[str, Any]:
        """Seconds to lower and compile one call from nothing, and its temporary memory in MB."""
        state = training.init_state(self.learner, self.source, self.optimizer, jax.random.key(0))
        options = {"tasks_per_step": self.workload.tasks, "task_axis": self.task_axis}
        axis = training.lay_out(self.learner, self.source, mesh=self.mesh, **options)
        make = Always(training.Trial(self.learner, self.optimizer))
        plan = training.Plan(
            make, self.source.sample, self.workload.tasks, self.task_axis, self.mesh
        )
        state, data = layout.replicate((state, self.source.data), self.mesh)
        inputs = (state, (), data, np.ones(1, np.float32), np.int32(1))
        began = time.perf_counter()
        program = training._call.lower(plan, self.steps, *inputs).compile()
        seconds = time.perf_counter() - began
        megabytes = program.memory_analysis().temp_size_in_bytes / 1e6
        return {"compile_s": seconds, "temp_mb": megabytes, "task_axis": axis}


def meta_gradient(workload: Workload, params: Any, data: Episode, **encoder: Any) -> Any:
    """The mean meta-gradient over the episodes, in the precision of its arguments."""
    learner = build(workload, **encoder)

    def mean(params):
        losses = jax.vmap(lambda episode: learner.meta_loss(params, episode, jax.random.key(0))[0])
        return losses(data).mean()

    return jax.jit(jax.grad(mean))(params)


def gigaflops(workload: Workload) -> float:
    """10^9 floating-point operations of the matrix products of one meta-gradient, all tasks."""
    form = {"form": "matmul"} if workload.model == "conv4" else {}  # so that all are products
    learner, source = build(workload, **form), episodes(workload)
    episode = jax.tree.map(lambda leaf: leaf[0], source.data)
    params = jax.eval_shape(learner.init, jax.random.key(0), episode)

    def loss(params, episode):
        return learner.meta_loss(params, episode, jax.random.key(0))[0]

    closed = jax.make_jaxpr(jax.grad(loss))(params, episode)
    jaxpr, _ = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
    return workload.tasks * _flops(jaxpr) / 1e9


def _flops(jaxpr: Any) -> float:
    """Of the matrix products of a jaxpr; a loop's body as often as it runs."""
    total = 0.0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            depth = np.prod([equation.invars[0].aval.shape[i] for i in contracted])
            total += 2.0 * depth * equation.outvars[0].aval.size
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        for part in equation.params.values():
            for inner in part if isinstance(part, tuple) else [part]:
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    total += times * _flops(inner)
    return total


def matmul_peak(size: int = 4096) -> float:
    """10^9 operations a second of the fastest float32 matrix product seen."""
    size = size if jax.default_backend() != "cpu" else 1536
    x = jnp.asarray(np.random.default_rng(0).normal(size=(size, size)), jnp.float32)
    product = jax.jit(lambda a, b: a @ b)
    jax.block_until_ready(product(x, x))
    seconds = []
    for _ in range(20):
        began = time.perf_counter()
        jax.block_until_ready(product(x, x))
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds) / 1e9


def described(workload: Workload) -> dict[str, Any]:
    """The workload as the peer wants it."""
    return asdict(workload) | {"layers": len(workload.widths)}
