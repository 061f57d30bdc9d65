"""The learners, one file a method, and the registry (floor 3).

A new method is a file with its constructor and its `METHODS`, and a line here.
"""

from collections.abc import Callable

from metajax.learners import (
    adkf,
    anil,
    dkt,
    finetune,
    linear_probe,
    logistic_head,
    maml,
    matchingnet,
    meta_sgd,
    metaoptnet,
    mixture_kernel,
    pooled,
    protonet,
    relationnet,
    reptile,
    ridge,
    scratch,
    simpleshot,
)
from metajax.learners.method import Method
from metajax.types import Learner

_FILES = (
    maml,
    anil,
    meta_sgd,
    reptile,
    protonet,
    matchingnet,
    relationnet,
    simpleshot,
    ridge,
    logistic_head,
    metaoptnet,
    mixture_kernel,
    dkt,
    adkf,
    # What meta-learning must beat.
    scratch,
    finetune,
    linear_probe,
    pooled,
)

METHODS: dict[str, Method] = {one.name: one for file in _FILES for one in file.METHODS}
LEARNERS: dict[str, Callable[..., Learner]] = {name: one.build for name, one in METHODS.items()}
BASELINES: tuple[str, ...] = tuple(n for n, one in METHODS.items() if one.pillar == "baseline")
META_LEARNERS: tuple[str, ...] = tuple(name for name in LEARNERS if name not in BASELINES)

__all__ = ["BASELINES", "LEARNERS", "METHODS", "META_LEARNERS", "Method"]
