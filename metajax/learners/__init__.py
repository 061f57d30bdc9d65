"""The learners, one file a method, and the registry (floor 3).

Every entry is ``(spec, encoder, **hyper) -> Learner``; a new method is a file and a line here.
"""

from collections.abc import Callable

from metajax.learners.anil import anil
from metajax.learners.finetune import finetune
from metajax.learners.linear_probe import linear_probe
from metajax.learners.maml import fomaml, maml
from metajax.learners.meta_sgd import meta_sgd
from metajax.learners.pooled import pooled
from metajax.learners.protonet import protonet
from metajax.learners.reptile import reptile
from metajax.learners.ridge import ridge
from metajax.learners.scratch import scratch
from metajax.types import Learner

LEARNERS: dict[str, Callable[..., Learner]] = {
    "maml": maml,
    "fomaml": fomaml,
    "anil": anil,
    "meta_sgd": meta_sgd,
    "reptile": reptile,
    "protonet": protonet,
    "ridge": ridge,
    "scratch": scratch,
    "finetune": finetune,
    "linear_probe": linear_probe,
    "pooled": pooled,
}

# Those that do not meta-learn: what meta-learning must beat.
BASELINES: tuple[str, ...] = ("scratch", "finetune", "linear_probe", "pooled")
META_LEARNERS: tuple[str, ...] = tuple(name for name in LEARNERS if name not in BASELINES)

__all__ = ["BASELINES", "LEARNERS", "META_LEARNERS", *LEARNERS]
