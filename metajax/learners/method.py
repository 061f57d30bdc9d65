"""What the registry says of a learner, for the tests, the command line and the table of methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from metajax.types import KINDS, Kind, Learner

Pillar = Literal["gradient", "metric", "amortised", "sample", "baseline"]


@dataclass(frozen=True)
class Method:
    """One way to learn from a support.

    Attributes:
      build: ``(spec, encoder, *, hyper...) -> Learner``. A hyper-parameter annotated `float` may be
        a traced scalar (sweeps in one program), so nothing is decided by its value.
      pillar: the family it belongs to.
      adapts: what is made of the support.
      cost: network passes over the rows of one task in a training step, S support rows, Q query
        rows, K inner steps; a backward pass counts as two forward passes.
      reference: authors, year and link.
      differs: what differs from the paper; empty: nothing known.
      exact: the meta-update follows the exact gradient of the meta-loss.
      memory: what the backward pass keeps besides the activations of one pass.
      missing: learns from rows some of whose labels are missing.
      kinds: the task kinds it is defined for.
      variance: gives a predictive variance on regression tasks that ask for one.
      needs: entries of the support's `info` without which it refuses.
      trains: has parameters that are meta-trained.
    """

    build: Callable[..., Learner]
    pillar: Pillar
    adapts: str
    cost: str
    reference: str
    differs: str = ""
    exact: bool = True
    memory: str = "nothing"
    missing: bool = True
    kinds: tuple[Kind, ...] = KINDS
    variance: bool = False
    needs: tuple[str, ...] = ()
    trains: bool = True

    @property
    def name(self) -> str:
        """The name in configurations and tables: that of the constructor."""
        return self.build.__name__


METHODS: tuple[Method, ...] = ()  # parts of learners
