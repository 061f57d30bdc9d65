"""The learners, one file a method, and the registry (floor 3).

A new method is a file with its constructor and its `METHODS`, and a line here.
"""

from collections.abc import Callable

from metajax.learners import (
    adkf,
    anil,
    cavia,
    class_ratio,
    cnp,
    dkt,
    finetune,
    hard_mining,
    hypernetwork,
    imaml,
    importance,
    linear_probe,
    logistic_head,
    maml,
    maml_plus,
    matchingnet,
    meta_curvature,
    meta_sgd,
    meta_weight_net,
    metaoptnet,
    mixture_kernel,
    multi_task,
    pfn,
    pooled,
    protonet,
    relationnet,
    reptile,
    reweight,
    ridge,
    sam_maml,
    scratch,
    self_paced,
    simpleshot,
    uniform,
)
from metajax.learners.method import Method
from metajax.types import Learner

_FILES = (
    maml,
    maml_plus,
    anil,
    cavia,
    meta_sgd,
    meta_curvature,
    sam_maml,
    reptile,
    imaml,
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
    # What reads the support in one pass.
    cnp,
    pfn,
    hypernetwork,
    # What weighs the rows of the support, by what their losses say.
    uniform,
    class_ratio,
    hard_mining,
    self_paced,
    importance,
    reweight,
    meta_weight_net,
    # What meta-learning must beat.
    scratch,
    finetune,
    linear_probe,
    multi_task,
    pooled,
)

METHODS: dict[str, Method] = {one.name: one for file in _FILES for one in file.METHODS}
LEARNERS: dict[str, Callable[..., Learner]] = {name: one.build for name, one in METHODS.items()}
BASELINES: tuple[str, ...] = tuple(n for n, one in METHODS.items() if one.pillar == "baseline")
META_LEARNERS: tuple[str, ...] = tuple(name for name in LEARNERS if name not in BASELINES)

__all__ = ["BASELINES", "LEARNERS", "METHODS", "META_LEARNERS", "Method"]
