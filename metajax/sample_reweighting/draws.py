"""Draws of a setting: training rows that are damaged, right rows, and the rows that judge."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from metajax.datasets import Family, scaled
from metajax.sample_reweighting.settings import DATA, RIGHT, Setting
from metajax.types import Episode, Examples


class Draws(NamedTuple):
    """E draws of a setting.

    Attributes:
      episode: leaves (E, ...); rows of the support: `max(RIGHT)` places for right rows, the rest.
      truth: (E, N) the right labels of the support.
    """

    episode: Episode
    truth: np.ndarray


def parts(family: Family) -> np.ndarray:
    """Training (0), validation (1) or test (2) of every row; -1: in a later part, too."""
    if family.part is None:
        side = np.zeros(len(family.y), np.int8)
        rng = np.random.default_rng(zlib.crc32(family.card.name.encode()))
        for label in (0, 1):
            rows = rng.permutation(np.flatnonzero(family.y == label))
            side[rows[: round(0.4 * len(rows))]] = 2
            side[rows[len(rows) - round(0.1 * len(rows)) :]] = 1
        return side
    side = family.part.astype(np.int8)
    last = np.full(family.groups.max() + 1, -1)
    np.maximum.at(last, family.groups, side)
    return np.where(last[family.groups] == side, side, -1)


def choose_rows(
    setting: Setting, y: np.ndarray, draw: int, rows: int, *, ideal: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a draw: places in `y`, and whether a label is turned round.

    The first ``max(RIGHT)`` alternate between the classes and are right; `rows` follow.

    Args:
      setting: the benchmark; its draws of one number are the same for every number of right rows.
      y: labels of the training rows.
      draw: its number.
      rows: damaged rows.
      ideal: no label is wrong, no class rare.

    Raises:
      ValueError: if there are too few rows.
    """
    rng = np.random.default_rng([zlib.crc32(setting.name.encode()), draw])
    order = rng.permutation(len(y))
    by_class = [order[y[order] == label] for label in (0, 1)]
    half = setting.right[-1] // 2
    first = np.stack([one[:half] for one in by_class], 1).ravel()
    by_class = [one[half:] for one in by_class]
    if setting.damage == "flip":
        rest = order[~np.isin(order, first)][:rows]
        wrong = (rng.uniform(size=rows) < setting.share) & (not ideal)
    else:
        common = round((0.5 if ideal else setting.share) * rows)
        rest = np.concatenate([by_class[0][:common], by_class[1][: rows - common]])
        wrong = np.zeros(rows, bool)
    if len(rest) < rows:
        raise ValueError(f"{setting.name}: {len(rest)} training rows for {rows}")
    first = np.resize(first, max(RIGHT))  # places that are never present
    return np.concatenate([first, rest]), np.concatenate([np.zeros(len(first), bool), wrong])


def make_draws(
    setting: Setting,
    family: Family,
    right: int,
    numbers: Sequence[int],
    side: int,
    *,
    ideal: bool = False,
) -> Draws:
    """Draws of a setting, judged on a part of the rows.

    Args:
      setting: the benchmark.
      family: its data.
      right: number of right rows.
      numbers: of the draws.
      side: 1: validation, 2: test.
      ideal: see `choose_rows`.
    """
    data, of = DATA[setting.data], parts(family)
    rows = data.flipped if setting.damage == "flip" else data.imbalanced
    size = max(RIGHT) + max(data.flipped, data.imbalanced)
    train, query = np.flatnonzero(of == 0), np.flatnonzero(of == side)
    episodes, truths = [], []
    for draw in numbers:
        place, wrong = choose_rows(setting, family.y[train], draw, rows, ideal=ideal)
        # One shape for all settings of a data set, so that they share programs.
        chosen, wrong = np.resize(train[place], size), np.resize(wrong, size)
        trusted = np.arange(size) < right
        present = trusted | (np.arange(size) >= max(RIGHT)) & (np.arange(size) < len(place))
        truth = family.y[chosen]
        x = inputs(family, chosen[present])
        episodes.append(
            Episode(
                examples(x[chosen], np.where(wrong, 1 - truth, truth), chosen, present, trusted),
                examples(x[query], family.y[query], query),
            )
        )
        truths.append(truth)
    return Draws(jax.tree.map(lambda *leaves: np.stack(leaves), *episodes), np.stack(truths))


def inputs(family: Family, given: np.ndarray) -> np.ndarray:
    """What the network sees of all rows (R, ...): grey levels, or z-scores of the given rows."""
    if family.x.dtype == np.uint8:
        return family.x.reshape(len(family.x), 28, 28, 1) / np.float32(64) - 2
    fit = np.isin(np.arange(len(family.y)), given)
    z = scaled(family, fit)
    return np.pad(z, [(0, 0), (0, 2 * family.x.shape[1] - z.shape[1])])  # flags vary by draw


def examples(x, y, row, present=None, trusted=None) -> Examples:
    """Rows as learners take them; those that are not present have a mask of 0."""
    present = np.ones(len(y), bool) if present is None else present
    trusted = np.zeros(len(y), bool) if trusted is None else trusted
    mask = np.repeat(present[:, None], 2, 1).astype(np.float32)
    row = np.where(present, row, -1).astype(np.int32)
    info = {"row": row, "trusted": trusted.astype(np.float32)}
    return Examples(x.astype(np.float32), np.eye(2, dtype=np.float32)[y] * mask, mask, info)
