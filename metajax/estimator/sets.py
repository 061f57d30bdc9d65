"""Sets and intervals that hold the truth as often as they say, from the labelled rows alone.

Any classifier or regressor of scikit-learn's conventions will do; it is fitted again without a fold
of the patients each time (`metajax.conformal.cross_p_values` says what is guaranteed).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from metajax import conformal


class Sets(NamedTuple):
    """Prediction sets of Q new rows, C classes in the order of the estimator's `classes_`.

    Attributes:
      inside: (Q, C) bool, the classes that cannot be ruled out.
      p: (Q, C) the p-value of every class; in the set if above `alpha`.
      way: in words, what they rest on and what is guaranteed.
    """

    inside: np.ndarray
    p: np.ndarray
    way: str


class Intervals(NamedTuple):
    """Prediction intervals of Q new rows.

    Attributes:
      ends: (Q, 2) lower and upper, infinite where there are too few labelled rows.
      way: in words, what they rest on and what is guaranteed.
    """

    ends: np.ndarray
    way: str


def prediction_sets(
    estimator: Any,
    x: Any,
    y: Any,
    new: Any,
    *,
    alpha: float = 0.1,
    groups: Any = None,
    by_class: bool = False,
    folds: int = 5,
    seed: int = 0,
) -> Sets:
    """Which classes cannot be ruled out for new rows, by cross-conformal prediction.

    Args:
      estimator: a classifier with `predict_proba`; it is cloned, and not changed.
      x: (N, D) labelled rows, frame or array.
      y: (N,) their labels.
      new: (Q, D) rows to judge.
      alpha: the share of misses aimed at, in (0, 1).
      groups: (N,) the patient of every row; a patient is in one fold, and one of its rows, drawn at
        random, calibrates. None: each row is a patient.
      by_class: calibrate each class by its own patients, so that a rare one is not missed more
        often; a class of few patients is then in every set.
      folds: models fitted, 2 or more; fewer if there are fewer patients.
      seed: of the folds.

    Raises:
      ValueError: for a class of a single patient (or so), another alpha, or fewer than 2 folds.
    """
    least, y = conformal.least_rows(alpha), np.asarray(y)
    names, codes = np.unique(y, return_inverse=True)
    fold, kept = _folds(codes, groups, folds, seed)
    held, told = np.zeros((len(y), len(names))), []
    for k in range(fold.max() + 1):
        if len(left := np.unique(codes[fold != k])) < len(names):
            gone = np.setdiff1d(np.arange(len(names)), left)[0]
            raise ValueError(
                f"class {names.tolist()[gone]!r} has too few patients: sets need 2 or more of "
                "every class, to learn from one and calibrate on the other"
            )
        model = clone(estimator).fit(_rows(x, fold != k), y[fold != k])
        held[fold == k] = model.predict_proba(_rows(x, fold == k))
        told.append(conformal.lac(model.predict_proba(new)))
    scores = np.stack(told)
    known = conformal.label_scores(conformal.lac(held), codes)
    p = np.ones(scores.shape[1:])
    for c in range(len(names)):
        mine = kept & ((codes == c) | (not by_class))
        if mine.any():
            p[:, c] = conformal.cross_p_values(known[mine], fold[mine], scores[:, :, [c]])[:, 0]
    counts = np.bincount(codes[kept], minlength=len(names))
    if by_class:
        few = [f"{n!r} ({c})" for n, c in zip(names.tolist(), counts, strict=True) if c < least]
        which = f"; always in the set, for want of {least} patients: {', '.join(few)}"
        note = which if few else ""
    else:
        note = _note(int(counts.sum()), least)
    each = "of the patients of every class" if by_class else "of patients"
    return Sets(conformal.sets(p, alpha), p, _way(alpha, int(kept.sum()), fold, each) + note)


def prediction_intervals(
    estimator: Any,
    x: Any,
    y: Any,
    new: Any,
    *,
    alpha: float = 0.1,
    groups: Any = None,
    folds: int = 5,
    seed: int = 0,
) -> Intervals:
    """Intervals of a quantity by CV+; as `prediction_sets`, of a regressor.

    Raises:
      ValueError: for another alpha, or fewer than 2 folds or rows.
    """
    least, y = conformal.least_rows(alpha), np.asarray(y, np.float64)
    fold, kept = _folds(np.zeros(len(y), int), groups, folds, seed)
    held, told = np.zeros(len(y)), []
    for k in range(fold.max() + 1):
        model = clone(estimator).fit(_rows(x, fold != k), y[fold != k])
        held[fold == k] = model.predict(_rows(x, fold == k))
        told.append(model.predict(new))
    rest = conformal.residual(held, y)[kept]
    ends = conformal.cross_interval(rest, fold[kept], np.stack(told), alpha)
    way = _way(alpha, len(rest), fold, "of patients")
    return Intervals(ends, way + _note(len(rest), least))


def _way(alpha: float, patients: int, fold: np.ndarray, each: str) -> str:
    return (
        f"aimed at {100 * (1 - alpha):g} % {each}, at least {max(0.0, 100 * (1 - 2 * alpha)):g} % "
        f"guaranteed (a little less for few folds) for patients drawn like the {patients} labelled "
        f"ones; {fold.max() + 1} folds"
    )


def _note(patients: int, least: int) -> str:
    if patients >= least:
        return ""
    return f"; {patients} patients are fewer than {least}: nothing can be ruled out"


def _rows(x: Any, which: np.ndarray) -> Any:
    """Some rows of a frame or an array."""
    return _safe_indexing(x, np.flatnonzero(which))


def _folds(codes, groups, folds, seed) -> tuple[np.ndarray, np.ndarray]:
    """The fold (N,) of every row, even in classes and size; (N,) bool, the rows that calibrate."""
    rng = np.random.default_rng(seed)
    groups = np.arange(len(codes)) if groups is None else np.asarray(groups)
    if groups.shape != codes.shape:
        raise ValueError(f"groups must be {codes.shape}; got {groups.shape}")
    _, patient = np.unique(groups, return_inverse=True)
    people = int(patient.max()) + 1
    if folds < 2 or people < 2:
        raise ValueError(f"sets need 2 folds and 2 patients or more; got {folds}, {people}")
    first = rng.permutation(len(codes))  # the row that stands for its patient: the first of these
    _, chosen = np.unique(patient[first], return_index=True)
    chosen = first[chosen]
    order = rng.permutation(people)
    order = order[np.argsort(codes[chosen][order], kind="stable")]  # one class after the other
    fold = np.empty(people, int)
    fold[order] = np.arange(people) % min(folds, people)
    return fold[patient], np.isin(np.arange(len(codes)), chosen)
