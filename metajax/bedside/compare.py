"""Which method, and how good? All that need no other tasks, on one file's own patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from metajax.bedside import episodes, scores
from metajax.bedside.intervals import Estimate, Tally, estimate, interval
from metajax.bedside.patients import Patients
from metajax.estimator import methods
from metajax.statistics import Interval

# The name on the command line, and in words.
CLASS_METHODS = {
    "pfn": "the prior-fitted network",
    "pfn+lr": "the mean of network and logistic regression",
    "lr_c0.01": "logistic regression, C = .01",
    "lr_c0.1": "logistic regression, C = .1",
    "lr_cv": "logistic regression, C by cross-validation",
    "random_forest": "a random forest",
    "gradient_boosting": "gradient boosting",
    "gaussian_process": "a Gaussian process",
    "knn": "nearest neighbours",
    "class_mean": "the nearest class mean",
}
QUANTITY_METHODS = {
    "ridge_cv": "ridge regression",
    "random_forest": "a random forest",
    "gradient_boosting": "gradient boosting",
    "gaussian_process": "a Gaussian process",
    "knn": "nearest neighbours",
}
EPISODES = 40


class Comparison(NamedTuple):
    """Scores of M methods at some support sizes, on the same episodes.

    Attributes:
      methods: their names.
      sizes: patients in a support.
      metrics: name -> higher is better; the first one ranks.
      tallies: (method, size, metric) -> scores of the episodes.
      patients: how many the file has.
      stratum: (G,) class of every patient.
    """

    methods: tuple[str, ...]
    sizes: tuple[int, ...]
    metrics: dict[str, bool]
    tallies: dict[tuple[str, int, str], Tally]
    patients: int
    stratum: np.ndarray

    def score(self, method: str, size: int, metric: str) -> Estimate:
        """The mean score of a method."""
        return estimate(self.tallies[method, size, metric])

    def behind(self, method: str, other: str, size: int, metric: str) -> Interval:
        """How much one method's score is above another's, paired."""
        both = (self.tallies[name, size, metric] for name in (method, other))
        return interval(estimate(*both))

    def ranked(self, size: int) -> list[str]:
        """The methods by the first metric, the best first; undefined scores last."""
        metric, higher = next(iter(self.metrics.items()))
        means = {m: self.score(m, size, metric).mean for m in self.methods}
        return sorted(self.methods, key=lambda m: (
            np.isnan(means[m]), -means[m] if higher else means[m]))  # fmt: skip

    def chosen(self, size: int) -> tuple[str, list[str]]:
        """The method to use, and those that are not told apart from it.

        Of the methods whose paired interval from the best holds 0, the one whose probabilities
        (the second metric: log-loss, or the absolute error) are best.
        """
        metric, second = list(self.metrics)[:2]
        first, *others = self.ranked(size)
        level = [first]
        for method in others:
            gap = self.behind(first, method, size, metric)
            if not np.isnan(gap.mean) and (gap.low <= 0 <= gap.high or gap.mean == 0):
                level.append(method)
        best = min(level, key=lambda m: self.score(m, size, second).mean)
        return best, [m for m in level if m != best]


def known(names: Sequence[str] | None, classes: int) -> tuple[str, ...]:
    """The methods asked for; None: all.

    Raises:
      ValueError: for one that is not there.
    """
    every = CLASS_METHODS if classes else QUANTITY_METHODS
    also = methods.PARTS if classes else methods.QUANTITY_PARTS
    for name in names or ():
        if name not in every and (name not in also or name == "auto"):
            raise ValueError(f"--methods {name}: there are {', '.join(every)}")
    return tuple(dict.fromkeys(names)) if names else tuple(every)


def compare(
    patients: Patients,
    *,
    names: Sequence[str] | None = None,
    shots: tuple[int, ...] | None = None,
    count: int = EPISODES,
    seed: int = 0,
    told: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Draws supports, fits every method to each, and judges the other patients.

    Args:
      patients: the file.
      names: methods; None: all.
      shots: support sizes in patients; None: those of `episodes.SIZES` that the file allows.
      count: episodes of every size, 2 or more.
      seed: of the draws.
      told: called with a line now and then.

    Raises:
      ValueError: for an unknown method, or fewer than 2 episodes.
      DataError: for sizes that the file does not allow.
    """
    classes = len(patients.classes)
    names = known(names, classes)
    if count < 2:
        raise ValueError(f"--episodes must be 2 or more; got {count}")
    stratum = episodes.strata(patients.y, patients.group, classes)
    sizes = episodes.sizes(stratum, shots, patients.classes)
    metrics = scores.CLASS_METRICS if classes else scores.QUANTITY_METRICS
    tallies = {}
    for size in sizes:
        given = episodes.shares(stratum, size)
        rng = np.random.default_rng([seed, size])
        drawn = [episodes.draw(stratum, patients.group, given, rng) for _ in range(count)]
        parts = [_judged(patients, one, names, classes, seed) for one in drawn]
        told(f"{size} labelled patients: {count} draws, {len(names)} methods")
        masks = [_members(patients, rows) for rows in zip(*drawn, strict=True)]
        for method in names:
            for metric in metrics:
                one = [part[method][metric] for part in parts]
                influence = np.stack([
                    np.bincount(patients.group[episode.query], score.influence, len(stratum))
                    for episode, score in zip(drawn, one, strict=True)
                ])  # fmt: skip
                value = np.array([score.value for score in one])
                tallies[method, size, metric] = Tally(value, influence, *masks, stratum)
    return Comparison(names, tuple(sizes), metrics, tallies, len(stratum), stratum)


def _members(patients: Patients, drawn: Sequence[np.ndarray]) -> np.ndarray:
    """(E, G) bool, which patients the rows of each episode are of."""
    found = np.zeros((len(drawn), int(patients.group.max()) + 1), bool)
    for i, rows in enumerate(drawn):
        found[i, patients.group[rows]] = True
    return found


def _judged(
    patients: Patients, episode: episodes.Episode, names: Sequence[str], classes: int, seed: int
) -> dict[str, dict[str, scores.Score]]:
    """The scores of every method on one episode."""
    x, y = patients.x[episode.support], patients.y[episode.support]
    asked, truth = patients.x[episode.query], patients.y[episode.query]
    if not classes:
        return {
            name: scores.of_quantities(
                methods.quantities(methods.fit_quantity(name, x, y, seed), asked), truth
            )
            for name in names
        }
    alone = {part for name in names for part in methods.PARTS[name]}
    told = {
        part: methods.probabilities(methods.fit(part, x, y, classes, seed), asked)
        for part in sorted(alone)
    }
    return {
        name: scores.of_classes(np.mean([told[p] for p in methods.PARTS[name]], axis=0), truth)
        for name in names
    }
