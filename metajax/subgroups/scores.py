"""Scores of groups and their gaps, by a bootstrap over patients (a part of `subgroups`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from metajax import metrics
from metajax.statistics import MIN_CLUSTERS
from metajax.subgroups.groups import MISSING, named
from metajax.types import TaskSpec

MOST = 100  # groups; more are a number or a name, not a group
LEAST_CLASS = 5  # patients of each of two classes
_CELLS = 2_000_000  # rows times draws of one call


class Line(NamedTuple):
    """One score of one group.

    Attributes:
      metric: a name of `metajax.metrics.METRICS`.
      group: the name of the group; "missing" where the column is.
      rows: rows with a label.
      patients: clusters of the bootstrap among them.
      positive: rows of class 1 of two classes; -1 for other tasks.
      score: NaN if too small or undefined.
      low: lower end of its interval, NaN likewise.
      high: upper end.
      note: why there is no score or interval; empty otherwise.
    """

    metric: str
    group: str
    rows: int
    patients: int
    positive: int
    score: float
    low: float
    high: float
    note: str


class Gap(NamedTuple):
    """How far the groups of a score are apart.

    Attributes:
      metric: its name.
      highest: the group with the highest score.
      lowest: that with the lowest.
      value: the difference, 0 or more.
      low: lower end of its simultaneous interval, below 0 if the groups are not told apart; NaN
        if a score was undefined in more than a tenth of the draws.
      high: upper end.
      groups: how many were compared.
    """

    metric: str
    highest: str
    lowest: str
    value: float
    low: float
    high: float
    groups: int


class Subgroups(NamedTuple):
    """Scores by group.

    Attributes:
      lines: one for every metric and group, small groups among them.
      gaps: one for every metric with two groups or more.
    """

    lines: tuple[Line, ...]
    gaps: tuple[Gap, ...]


def by_group(
    spec: TaskSpec,
    outputs: np.ndarray,
    y: np.ndarray,
    mask: np.ndarray,
    group: Sequence[object],
    names: Sequence[str],
    rng: np.random.Generator,
    *,
    clusters: np.ndarray | None = None,
    draws: int = 1000,
    level: float = 0.95,
    least: int = MIN_CLUSTERS,
) -> Subgroups:
    """Scores every group.

    Args:
      spec: kind and number of outputs.
      outputs: (N, C) logits, log-probabilities or regression means, as for `metajax.metrics.score`,
        of rows that the model did not learn from; or (E, N, C) of E episodes. A score then is the
        mean over the episodes in which it is defined, and what other supports would change is not
        in the intervals.
      y: (N, C) or (E, N, C) labels.
      mask: likewise, weights, 0 where there is no label.
      group: (N,) or (E, N) values of the column.
      names: metrics of this kind.
      rng: draws patients.
      clusters: (N,) or (E, N) the patient of each row; None: each row is one.
      draws: bootstrap samples.
      level: coverage aimed at, in (0, 1).
      least: patients that a group needs; where there are two classes, `LEAST_CLASS` of each.

    Returns:
      Lines by metric, groups in the order of their names, "missing" last. Intervals are expanded
      percentiles (see `metajax.statistics.cluster_bootstrap`); draws in which a score is undefined
      are left out, and an interval that rests on less than nine tenths of them is not given.

    Raises:
      ValueError: for shapes that do not fit, an unknown metric, or more than 100 groups.
    """
    outputs, y, mask = (np.asarray(part, np.float32) for part in (outputs, y, mask))
    patient = np.arange(y[..., 0].size).reshape(y.shape[:-1]) if clusters is None else clusters
    group, patient = np.asarray(group, object), np.asarray(patient)
    if y.shape != mask.shape or not (
        outputs.shape[: y.ndim] == y.shape and group.shape == patient.shape == y.shape[:-1]
    ):
        raise ValueError(
            "outputs, y, mask, group and clusters are of the same rows; got "
            f"{outputs.shape}, {y.shape}, {mask.shape}, {group.shape} and {patient.shape}"
        )
    group = named(group.ravel()).reshape(group.shape)
    if y.ndim == 2:
        outputs, y, mask, group, patient = (a[None] for a in (outputs, y, mask, group, patient))
    if unknown := [name for name in names if name not in metrics.METRICS[spec.kind]]:
        known = ", ".join(metrics.METRICS[spec.kind])
        raise ValueError(f"unknown {spec.kind} metric {unknown[0]!r}; choose from {known}")
    there = mask.max(axis=-1) > 0
    listed = sorted(set(group[there]) - {MISSING}) + [MISSING] * (MISSING in group[there])
    if len(listed) > MOST:
        raise ValueError(f"{len(listed)} groups are more than {MOST}: a column of many values is "
                         "no group. Remedy: put numbers into bands")  # fmt: skip
    place = np.unique(patient, return_inverse=True)[1].reshape(patient.shape)
    people = int(place.max(initial=-1)) + 1
    drawn = rng.multinomial(people, np.full(people, 1 / max(people, 1)), size=draws)
    two = spec.kind == "multiclass" and spec.outputs == 2
    facts, scores, samples = [], [], []
    for name in listed:
        mine = (group == name) & there
        count = len(np.unique(place[mine]))
        note = f"{count} patients, fewer than {least}" if count < least else ""
        positive = -1
        if two:
            positive = int((y[mine][:, 1] > 0).sum())
            of_class = [len(np.unique(place[mine & (y[..., c] > 0)])) for c in (0, 1)]
            if not note and min(of_class) < LEAST_CLASS:
                note = f"{min(of_class)} patients of one class, fewer than {LEAST_CLASS}"
        facts.append((name, int(mine.sum()), count, positive, note))
        if note:
            scores.append(np.full(len(names), np.nan))
            samples.append(np.full((draws, len(names)), np.nan))
        else:
            ask = partial(_scores, spec, tuple(names), outputs, y, mask * mine[..., None])
            scores.append(np.asarray(ask(np.ones((1, *mine.shape), np.float32)), np.float64)[0])
            step = max(1, min(draws, _CELLS // max(mine.size, 1)))
            full = -(-draws // step) * step  # the last call has as many as the others
            weights = drawn[np.arange(full) % draws].astype(np.float32)
            parts = [ask(weights[i : i + step][:, place]) for i in range(0, full, step)]
            samples.append(np.concatenate(parts)[:draws])
    lines, gaps = [], []
    for m, metric in enumerate(names):
        value = np.array([s[m] for s in scores])
        sample = np.stack([s[:, m] for s in samples]) if samples else np.zeros((0, draws))
        lines += [_line(metric, fact, v, s, level)
                  for fact, v, s in zip(facts, value, sample, strict=True)]  # fmt: skip
        usable = [i for i, name in enumerate(listed)
                  if name != MISSING and not lines[i - len(listed)].note]  # fmt: skip
        if len(usable) > 1:
            fewest = min(facts[i][2] for i in usable)
            part = [listed[i] for i in usable], value[usable], sample[usable]
            gaps.append(_gap(metric, *part, level, fewest))
    return Subgroups(tuple(lines), tuple(gaps))


@partial(jax.jit, static_argnums=(0, 1))
def _scores(spec, names, outputs, y, mask, weights):
    """Scores (B, metrics) under weightings (B, E, N): means over the episodes that define one."""

    def one(w):
        found = jax.vmap(partial(metrics.score, spec))(outputs, y, mask * w[..., None])
        return jnp.stack([jnp.nanmean(found[name]) for name in names])

    return jax.lax.map(one, weights, batch_size=max(1, min(len(weights), 64)))


def _line(metric, fact, value, sample, level) -> Line:
    """The line of a group from its facts, its score and the scores of the draws."""
    *told, note = fact
    kept, ends = sample[~np.isnan(sample)], (np.nan, np.nan)
    if not note and np.isnan(value):
        note = "undefined for these rows"
    elif not note and len(kept) < 0.9 * len(sample):
        note = f"undefined in {1 - len(kept) / len(sample):.0%} of the draws: no interval"
    if not note:
        tail = float(stats.norm.cdf(-_reach(told[2], level)))
        ends = map(float, np.quantile(kept, [tail, 1 - tail]))
    return Line(metric, *told, float(value), *ends, note)


def _reach(patients: int, level: float) -> float:
    """Student's reach for so many patients, in standard deviations of the bootstrap."""
    t = stats.t.ppf(0.5 + level / 2, patients - 1)
    return float(t * np.sqrt(patients / (patients - 1)))


def _gap(metric, names, value, sample, level, fewest) -> Gap:
    """The largest difference, its interval by the largest deviation of any pair's."""
    first, second = np.triu_indices(len(names), 1)
    gap = value[first] - value[second]
    moved = sample[first] - sample[second]
    moved = moved[:, ~np.isnan(moved).any(axis=0)] - gap[:, None]
    fine = moved.shape[1] >= 0.9 * sample.shape[1]
    moved = moved if fine else np.full((len(gap), 1), np.nan)
    spread = np.sqrt((moved**2).mean(axis=1))
    off = np.abs(moved) / np.where(spread > 0, spread, 1.0)[:, None]
    wider = _reach(fewest, level) / stats.norm.ppf(0.5 + level / 2)
    reach = float(np.quantile(off.max(axis=0), level)) * wider
    pair = int(np.argmax(np.abs(gap)))
    up = gap[pair] >= 0
    high, low = (first, second) if up else (second, first)
    size, half = abs(float(gap[pair])), reach * float(spread[pair])
    ends = (size - half, size + half)
    return Gap(metric, names[high[pair]], names[low[pair]], size, *ends, len(names))
