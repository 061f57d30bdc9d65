"""Small episodes and pools that several tests share."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from metajax.tasks import class_pool, task_pool
from metajax.types import Episode, Examples, TaskSpec

# For programs that run once or twice: compiling them is most of the time.
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

FEATURES = 4
ROWS = 6
PADDED = 3
QUERIES = 5


def examples(rng, spec, rows, padded=0, dtype=np.float32):
    """Random labelled rows, the last `padded` of them masked."""
    x = rng.normal(size=(rows, FEATURES)).astype(dtype)
    if spec.kind == "multiclass":
        y = np.eye(spec.outputs, dtype=dtype)[np.arange(rows) % spec.outputs]
        mask = np.ones_like(y)
    elif spec.kind == "multilabel":
        y = (rng.uniform(size=(rows, spec.outputs)) < 0.5).astype(dtype)
        mask = (rng.uniform(size=y.shape) < 0.8).astype(dtype)
        mask[0] = 1
    else:
        y = rng.normal(size=(rows, spec.outputs)).astype(dtype)
        mask = np.ones_like(y)
    if padded:
        y[-padded:], mask[-padded:] = 0, 0
    info = {"row": jnp.arange(rows), "task": jnp.full(rows, 3), "trusted": jnp.ones(rows)}
    return Examples(*map(jnp.asarray, (x, y * mask, mask)), info)


def trusting(source):
    """A source all of whose rows are marked as trusted."""

    def mark(part):
        return part._replace(info=dict(part.info or {}) | {"trusted": part.mask.max(-1)})

    def sample(data, key, task=None):
        return Episode(*map(mark, source.sample(data, key, task)))

    return source._replace(sample=sample)


def episode(spec, seed=0, dtype=np.float32):
    """An episode with padded support rows."""
    rng = np.random.default_rng(seed)
    return Episode(
        examples(rng, spec, ROWS + PADDED, PADDED, dtype), examples(rng, spec, QUERIES, 0, dtype)
    )


def cut(rows, size):
    """An episode whose support are the first `size` rows."""
    return Episode(
        jax.tree.map(lambda leaf: leaf[:size], rows), jax.tree.map(lambda leaf: leaf[size:], rows)
    )


SPECS = {
    "multiclass": TaskSpec(3, "multiclass"),
    "multilabel": TaskSpec(2, "multilabel"),
    "regression": TaskSpec(2, "regression"),
}


def blobs(kind="multiclass"):
    """A pool on which every learner can do better than chance: shared structure over tasks."""
    rng = np.random.default_rng(0)
    if kind == "multiclass":
        centres = 3 * rng.normal(size=(20, FEATURES))
        labels = np.repeat(np.arange(20), 30)
        x = centres[labels] + 0.5 * rng.normal(size=(600, FEATURES))
        return trusting(class_pool(x.astype(np.float32), labels, ways=3, shots=3, queries=5))
    x = rng.normal(size=(600, FEATURES)).astype(np.float32)
    task = np.repeat(np.arange(12), 50)
    weights = np.array([2.0, -1.0, 0.5, 0.0]) + 0.1 * rng.normal(size=(12, FEATURES))
    signal = (x * weights[task]).sum(-1)
    if kind == "regression":
        y = np.stack([signal, -signal], -1).astype(np.float32)
    else:
        y = np.stack([signal > 0, signal < 0.5], -1).astype(np.float32)
        y[rng.uniform(size=y.shape) < 0.1] = np.nan
    return trusting(task_pool(x, y, task, shots=8, queries=10, kind=kind))


def key(seed=0):
    """A typed key."""
    return jax.random.key(seed)
