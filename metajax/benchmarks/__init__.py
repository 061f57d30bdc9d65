"""Benchmarks: families of tasks under a protocol, as folds of task sources (floor 4)."""

from metajax.benchmarks.classes import from_classes
from metajax.benchmarks.leave_one_out import leave_one_task_out
from metajax.benchmarks.protocol import Benchmark, Fold, Shared, defined, episode_key, separated
from metajax.benchmarks.splits import from_splits
from metajax.benchmarks.world import from_world

__all__ = [
    "Benchmark",
    "Fold",
    "Shared",
    "defined",
    "episode_key",
    "from_classes",
    "from_splits",
    "from_world",
    "leave_one_task_out",
    "separated",
]
