"""Where tasks come from: pools of real rows, and worlds that need no data (floor 2)."""

from metajax.tasks.classes import class_pool
from metajax.tasks.clinical import clinical_tables
from metajax.tasks.decoding import (
    beats,
    beats_signal,
    bind,
    chain,
    fingerprints,
    images,
    nucleotides,
    residues,
    standardise_targets,
    strokes,
    variants,
    within,
)
from metajax.tasks.difficulty import bandit, easy_first, loss_proportional, remembering
from metajax.tasks.disease_prior import disease_prior
from metajax.tasks.linear_gaussian import linear_gaussian
from metajax.tasks.pools import task_pool
from metajax.tasks.sampler import PoolData, choose
from metajax.tasks.schemas import features_by_support, select_by_support
from metajax.tasks.sinusoid import sinusoid
from metajax.tasks.standardise import standardise_by_support
from metajax.types import TaskSource

__all__ = [
    "PoolData",
    "TaskSource",
    "bandit",
    "beats",
    "beats_signal",
    "bind",
    "chain",
    "choose",
    "class_pool",
    "clinical_tables",
    "easy_first",
    "disease_prior",
    "features_by_support",
    "fingerprints",
    "images",
    "linear_gaussian",
    "loss_proportional",
    "nucleotides",
    "remembering",
    "residues",
    "select_by_support",
    "sinusoid",
    "standardise_by_support",
    "standardise_targets",
    "strokes",
    "task_pool",
    "variants",
    "within",
]
