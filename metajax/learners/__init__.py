"""The learners, one file a method, and the registry (floor 3).

A new method is a file in this folder with its constructor and its `METHODS`, and nothing else.
"""

from collections.abc import Callable
from pathlib import Path

from metajax.learners import _found
from metajax.learners.method import Method
from metajax.types import Learner

# What is wrong with files of this folder that cannot be used, by file; `check` refuses it.
METHODS, BROKEN = _found.learners(__name__, Path(__file__).parent)
LEARNERS: dict[str, Callable[..., Learner]] = {name: one.build for name, one in METHODS.items()}
BASELINES: tuple[str, ...] = tuple(n for n, one in METHODS.items() if one.pillar == "baseline")
META_LEARNERS: tuple[str, ...] = tuple(name for name in LEARNERS if name not in BASELINES)

__all__ = ["BASELINES", "BROKEN", "LEARNERS", "METHODS", "META_LEARNERS", "Method", "check"]


def check() -> None:
    """Refuses to go on with files of this folder that cannot be used.

    Raises:
      ValueError: naming each, with its remedy.
    """
    if BROKEN:
        raise _found.refusal(BROKEN)
