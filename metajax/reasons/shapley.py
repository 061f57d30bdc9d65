"""Shapley values of the columns of a table, exact or sampled (a part of `reasons`).

The value of a set of columns is the model's mean output when those columns are the patient's, and
the others come from one of the background's rows, together: ``v(S) = mean_b f(x_S, b_rest)``. A
column's share is what it adds to v, averaged over all orders in which the columns may come. The
shares and the mean output on the background sum to the output (efficiency), a column that the
model does not use gets 0, and of a linear model the share is ``w_i (x_i - mean background_i)``.

Columns are put together as they may never occur together (the interventional value): what is
explained is the model, not how columns hang together in patients. Columns that only make sense
together, such as the indicators of one category, belong in one group.

Reference:
  Lundberg, Lee (2017), A unified approach to interpreting model predictions. Janzing, Minorics,
  Bloebaum (2020), Feature relevance quantification in explainable AI: a causal problem. Mitchell,
  Cooper, Frank, Holmes (2022), Sampling permutations for Shapley value estimation (antithetic).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import NamedTuple

import numpy as np

from metajax.reasons.outputs import Predict, asked, in_blocks

EXACT = 12  # columns (or groups) up to which all 2^12 sets are looked at


class Shapley(NamedTuple):
    """What each column adds to the output of N rows: P columns or groups, C outputs.

    Attributes:
      values: (N, P, C) shares, in units of the output.
      error: (N, P, C) their standard errors by sampling of orders; 0 if exact. How the shares
        would be with other background rows is not in it.
      base: (C,) mean output on the background.
      output: (N, C) output of the rows.
      exact: whether all sets of columns were looked at.
    """

    values: np.ndarray
    error: np.ndarray
    base: np.ndarray
    output: np.ndarray
    exact: bool

    @property
    def gap(self) -> np.ndarray:
        """(N, C) base and shares minus output: rounding, unless the model is random."""
        return self.base + self.values.sum(axis=1) - self.output


def shapley(
    predict: Predict,
    x: np.ndarray,
    background: np.ndarray,
    *,
    groups: Sequence[Sequence[int]] | None = None,
    weights: np.ndarray | None = None,
    limit: int = EXACT,
    pairs: int = 128,
    rng: np.random.Generator | None = None,
    block: int = 16_384,
) -> Shapley:
    """Explains the outputs of a model for rows of a table.

    Exact up to `limit` columns: 2^P B predictions a row. Beyond, `pairs` random orders, each with
    its reverse (antithetic): 2 (P - 1) B predictions a pair and row.

    Args:
      predict: ``(M, D) -> (M, C)``, any model; see `framed` for one of data frames.
      x: (N, D) rows, numbers or objects.
      background: (B, D) rows that stand for "not known": the support, say.
      groups: lists of columns that are taken as one; together every column once. None: each alone.
      weights: (B,) of the background rows, 0 or more; None: alike.
      limit: most columns or groups for which all sets are looked at.
      pairs: pairs of orders, 2 or more, if there are more columns than that.
      rng: draws the orders; needed then.
      block: most predictions at once.

    Raises:
      ValueError: for shapes that do not fit, groups that do not hold every column once, no `rng`
        where one is needed, or outputs that are not finite.
    """
    x, background = np.asarray(x), np.asarray(background)
    if x.ndim != 2 or background.ndim != 2 or x.shape[1] != background.shape[1] or not len(x):
        raise ValueError(f"x is (N, D), background (B, D); got {x.shape}, {background.shape}")
    share = np.ones(len(background)) if weights is None else np.asarray(weights, np.float64)
    if share.shape != (len(background),) or (share < 0).any() or not share.sum() > 0:
        raise ValueError("the background needs a row, and weights (B,) of 0 or more, one above 0")
    background, share = background[share > 0], share[share > 0] / share.sum()
    member = _members(x.shape[1], groups)
    players = len(member)
    exact = players <= limit
    if exact:
        coalitions = (np.arange(2**players)[:, None] >> np.arange(players)) % 2 == 1
    else:
        if rng is None or pairs < 2:
            raise ValueError(f"{players} columns are more than {limit}: orders are sampled, which "
                             "needs rng and 2 pairs or more")  # fmt: skip
        orders = np.argsort(rng.random((pairs, players)), axis=1)
        orders = np.stack([orders, orders[:, ::-1]], axis=1)  # (pairs, 2, P)
        rank = np.argsort(orders, axis=2)
        # The first 1 to P - 1 of each order; none and all are the same for every order.
        coalitions = rank[:, :, None, :] < np.arange(1, players)[:, None]
        coalitions = coalitions.reshape(-1, players)
        ends = np.array([[False] * players, [True] * players])
        coalitions = np.concatenate([ends, coalitions])
    rows = [_coalition_outputs(predict, one, background, share, coalitions @ member, block)
            for one in x]  # fmt: skip
    found = [_exact(v, players) if exact else _sampled(v, orders) for v in rows]
    values, error = (np.stack(part) for part in zip(*found, strict=True))
    # The first set is the empty one: the background alone, whatever the row.
    return Shapley(values, error, rows[0][0], asked(predict, x), exact)


def _members(columns: int, groups: Sequence[Sequence[int]] | None) -> np.ndarray:
    """Which columns belong to which player, bool (P, D)."""
    groups = [[i] for i in range(columns)] if groups is None else [list(g) for g in groups]
    named = sorted(i for group in groups for i in group)
    if named != list(range(columns)) or not all(groups):
        raise ValueError(f"groups must hold each of the columns 0 to {columns - 1} once")
    member = np.zeros((len(groups), columns), bool)
    for player, group in enumerate(groups):
        member[player, group] = True
    return member


def _coalition_outputs(predict, row, background, share, known, block):
    """The values v (M, C) of M sets of known columns (M, D) of one row (D,)."""
    count, size = len(known), max(1, block // len(background))
    size = min(size, count)

    def mixed():
        for start in range(0, count, size):
            part = known[start : start + size, None, :]
            rows = np.where(part, row, background)
            yield rows.reshape(-1, rows.shape[-1])

    total = count * len(background)
    told = in_blocks(predict, mixed(), total, size * len(background))
    return np.einsum("mbc,b->mc", told.reshape(count, len(background), -1), share)


def _exact(v: np.ndarray, players: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares (P, C) from the values (2^P, C) of all sets, the bits of a place being its columns."""
    inside = (np.arange(2**players)[:, None] >> np.arange(players)) % 2 == 1
    size = inside.sum(1)
    # A set S of s columns without i has the weight 1 / (P choose s) / (P - s).
    with_it = np.array([0.0] + [1 / (comb(players, s - 1) * (players - s + 1))
                                for s in range(1, players + 1)])  # fmt: skip
    without = np.array([1 / (comb(players, s) * (players - s)) for s in range(players)] + [0.0])
    weight = np.where(inside, with_it[size][:, None], -without[size][:, None])
    values = weight.T @ v
    return values, np.zeros_like(values)


def _sampled(v: np.ndarray, orders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares and standard errors (P, C) from values along orders (pairs, 2, P)."""
    pairs, _, players = orders.shape
    chain = v[2:].reshape(pairs, 2, players - 1, -1)
    empty, full = (np.broadcast_to(v[i], (pairs, 2, 1, v.shape[1])) for i in (0, 1))
    added = np.diff(np.concatenate([empty, chain, full], axis=2), axis=2)
    place = np.argsort(orders, axis=2)
    of_player = np.take_along_axis(added, place[..., None], axis=2).mean(axis=1)  # (pairs, P, C)
    return of_player.mean(0), of_player.std(axis=0, ddof=1) / np.sqrt(pairs)
