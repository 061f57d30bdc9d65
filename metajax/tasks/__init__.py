"""Where tasks come from: pools of real rows, and worlds that need no data (floor 2)."""

from metajax.tasks.pools import class_pool, task_pool
from metajax.tasks.sampler import PoolData, choose
from metajax.types import TaskSource

__all__ = ["PoolData", "TaskSource", "choose", "class_pool", "task_pool"]
