"""Data sets, damages and methods of the suite; see experiments/sample_reweighting.py."""

from __future__ import annotations

from typing import NamedTuple

from metajax.config import Encoder
from metajax.types import TaskSpec

SUITE = "sample_reweighting"
SPEC = TaskSpec(2, "multiclass")
RIGHT = (10, 20, 50)
BOOT = ("auroc", "balanced_accuracy", "brier")
SHOWN = (*BOOT, "auprc", "ece")


class Data(NamedTuple):
    """A data set of the suite.

    Attributes:
      flipped: damaged rows of a draw whose labels are flipped.
      imbalanced: the same of an imbalanced draw.
      shares: of class 0 in imbalanced draws.
      draws: of a setting.
      steps: of training.
      encoder: the network's body.
    """

    flipped: int
    imbalanced: int
    shares: tuple[float, ...]
    draws: int
    steps: int
    encoder: Encoder


DATA = {
    "pneumoniamnist": Data(
        1000, 1000, (0.9, 0.95, 0.98, 0.99, 0.995), 10, 150, Encoder((8,), name="conv4")
    ),
    "heart_uci": Data(350, 200, (0.9, 0.95), 20, 200, Encoder((32, 32), skip=False)),
    "support2": Data(1000, 1000, (0.9, 0.95), 20, 200, Encoder((32, 32), skip=False)),
}


class Setting(NamedTuple):
    """A benchmark: a data set, what is done to its rows ("flip", "imbalance"), and how much."""

    data: str
    damage: str
    share: float

    @property
    def name(self) -> str:
        """The benchmark's name."""
        return f"{self.data}_{self.damage}{f'{self.share:.3f}'[2:].rstrip('0'):0<2}"

    @property
    def right(self) -> tuple[int, ...]:
        """The numbers of right rows."""
        return RIGHT if self.damage == "flip" else RIGHT[:1]


SETTINGS = tuple(
    Setting(name, damage, share)
    for name, data in DATA.items()
    for damage, shares in (("flip", (0.2, 0.4)), ("imbalance", data.shares))
    for share in shares
)
PLAIN = ("ideal", "right_rows", "uniform")
# Hyper-parameters beside the common ones.
OWN: dict[str, dict] = {
    "ideal": {}, "right_rows": {}, "uniform": {}, "class_ratio": {}, "hard_mining": {},
    "self_paced": {"first": 0.5, "last": 0.7}, "importance": {},
    "reweight": {"trusted_batch": max(RIGHT)},
    # V takes a few hundred steps, not the paper's 60,000: its step size is larger in turn.
    "meta_weight_net": {"trusted_batch": max(RIGHT), "weigher_lr": 0.1},
}  # fmt: skip
HOST = "lr_c0.01"
METHODS = (*OWN, HOST)
OURS = ("reweight", "meta_weight_net")
RIVALS = tuple(name for name in METHODS if name not in (*OURS, "ideal"))
