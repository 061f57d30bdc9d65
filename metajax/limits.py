"""Numbers that no run can mean: refused at once, instead of after hours or by the memory.

The bounds are far above what is of use (1024 tasks a step, 10,000 test episodes), and below what
overflows 32 bits or fills the memory of a large machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

MOST_SEED = 2**32 - 1  # a key drops the higher bits without a word
MOST = {
    "train.steps": 10**8, "steps": 10**8, "minutes": 60 * 24 * 365,
    "train.steps_per_call": 10**6, "steps_per_call": 10**6, "score_every": 10**8,
    "train.tasks_per_step": 2**16, "tasks_per_step": 2**16,
    "evaluate.episodes": 10**5, "evaluate.validation_episodes": 10**5,
    "encoder.widths": 2**13, "width": 2**13, "channels": 2**13, "blocks": 1000, "heads": 2**10,
    "shots": 10**5, "draws": 10**5, "repeats": 10**5, "tables": 10**6, "tasks": 10**6,
    "workers": 1024, "rounds": 10**6, "retries": 10**4, "slurm.jobs": 10**4,
}  # fmt: skip
LEAST_FLOAT, MOST_FLOAT = 2.0**-126, 2.0**128  # below the one 32 bits hold 0, from the other inf
MOST_INNER = 2**16  # of a learner's own whole numbers: steps, widths, heads, batches


def positive(values: Mapping[str, float | None], most: float = math.inf) -> None:
    """Refuses what is not above 0, finite and of use.

    Args:
      values: by the names of their flags; None: not given.
      most: of flags that `MOST` does not name.

    Raises:
      ValueError: naming the first of them and its bound.
    """
    for name, value in values.items():
        if value is None:
            continue
        if not 0 < value < math.inf:
            raise ValueError(f"--{name} must be above 0 and finite; got {value}")
        single(name, value)
        if value > (bound := MOST.get(name, most)):
            raise ValueError(f"--{name} must be at most {bound:,}; got {value}")


def single(name: str, value: float) -> None:
    """Refuses a number that would silently be 0 or infinite: runs compute in 32 bits.

    Raises:
      ValueError: naming the flag.
    """
    if value != 0 and not LEAST_FLOAT <= abs(value) < MOST_FLOAT:
        is_then = "0" if abs(value) < LEAST_FLOAT else "infinite"
        raise ValueError(f"--{name}={value} is {is_then} in 32 bits, in which runs compute")


def seeds(*values: int, name: str = "seed") -> None:
    """Refuses seeds that a key cannot hold.

    Raises:
      ValueError: naming the flag.
    """
    for value in values:
        if not 0 <= value <= MOST_SEED:
            raise ValueError(f"--{name} must be from 0 to {MOST_SEED}; got {value}")
