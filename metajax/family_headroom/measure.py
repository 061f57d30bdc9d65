"""The headroom of one family at all shots, from its plan."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from metajax.baselines import POOLED
from metajax.baselines.threads import one_thread
from metajax.datasets import Card, Family
from metajax.family_headroom import inputs, tasks
from metajax.family_headroom.plans import Plan
from metajax.headroom import headroom

SHOTS = (4, 8, 16, 32, 64)
DRAWS, FEW_DRAWS, FEW_TARGETS = 10, 20, 4
PRIOR = "pooled_lr_boosting"
RULES_VERSION = 1  # raised when a change of code changes what a number means


def settings(plan: Plan, card: Card) -> dict[str, Any]:
    """All that determines the numbers of a family: a result with equal settings need not be redone.

    Args:
      plan: of the family.
      card: its card; what it says of the examples counts.
    """
    return {
        "plan": {k: list(v) if isinstance(v, tuple) else v
                 for k, v in dataclasses.asdict(plan).items() if k != "part" or v},
        "card": [card.version, card.row_group, card.counts.rows, list(card.counts.labels)],
        "shots": list(SHOTS),
        "draws": [DRAWS, FEW_DRAWS],
        "most": [tasks.MOST_TARGETS, tasks.MOST_ROWS, tasks.MOST_SOURCES, inputs.FIT_ITEMS],
        "prior": PRIOR if plan.prior else "none",
        "rules": RULES_VERSION,
    }  # fmt: skip


def _once(fit: Callable) -> Callable:
    """A fit that remembers: many targets share their sources."""
    known: dict[bytes, Callable] = {}

    def remembered(x, y, *, seed):
        digest = hashlib.sha256(np.ascontiguousarray(x))
        digest.update(np.ascontiguousarray(y))
        key = digest.digest() + bytes([seed])
        if key not in known:
            known[key] = fit(x, y, seed=seed)
        return known[key]

    return remembered


def measure(
    plan: Plan,
    family: Family,
    *,
    shots: Sequence[int] = SHOTS,
    draws: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> pd.DataFrame:
    """Measures the adaptation headroom of a family.

    Args:
      plan: how.
      family: of that name.
      shots: numbers of labelled rows k, 4 or more each.
      draws: per target; None: `DRAWS`, of few targets `FEW_DRAWS`.
      progress: told what is done next.

    Returns:
      What `metajax.headroom.headroom` gives, for every k over the targets that can give it (see
      `tasks.can_give`; the others are in no term of that k), and the columns family, domain,
      clusters, prior, protocol and seconds (in all, of one core). A k that no target can give is
      absent.

    Raises:
      ValueError: if no target can give the smallest k.
    """
    start = time.perf_counter()
    with one_thread():
        rows = tasks.cut(plan, family, min(shots))
        progress(f"{len(rows.names)} targets, {len(rows.y)} rows")
        scale = inputs.scaling(plan, family.x, rows)
        able: dict[tuple[int, ...], list[int]] = {}
        for k in sorted(shots):
            fine = tuple(t for t in range(len(rows.names))
                         if tasks.can_give(*_of(rows, t), k))  # fmt: skip
            if fine:
                able.setdefault(fine, []).append(k)
        if draws is None:
            draws = FEW_DRAWS if len(rows.names) <= FEW_TARGETS else DRAWS
        prior = _once(POOLED[PRIOR]) if plan.prior else None
        parts = []
        for targets, ks in able.items():
            progress(f"k = {', '.join(map(str, ks))}: {len(targets)} targets")
            made = headroom(
                np.zeros((len(rows.y), 1)), rows.y, rows.task, targets=targets, shots=ks,
                draws=draws, seed=0, prior=prior, scale=scale, groups=rows.group,
                sources={t: [rows.sources[t]] for t in targets} if plan.prior else None,
                clusters={t: rows.clusters[t] for t in targets}, benchmark=plan.family,
            )  # fmt: skip
            parts.append(made.assign(clusters=len({rows.clusters[t] for t in targets})))
    return pd.concat(parts, ignore_index=True).assign(
        family=plan.family,
        domain=family.card.domain,
        prior=PRIOR if plan.prior else "none",
        protocol=_protocol(plan, family),
        seconds=round(time.perf_counter() - start),
    )


def _protocol(plan, family):
    if len(family.task_names) == 1 and family.class_split is None:
        return "one data set"
    return "published" if plan.shared == "shared" else "disjoint"


def _of(rows, target):
    mine = rows.task == target
    return rows.y[mine], rows.group[mine]
