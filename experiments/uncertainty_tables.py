"""What `uncertainty.py` makes of probabilities: coverage, sizes and calibration on other tasks.

Sets are to hold the truth with 90 % (LAC scores). *Told*: the most probable class, and the other
unless the model gives it less than a tenth; nothing is calibrated. *Across tasks*: the threshold is
that of all other diseases' episodes with as many labelled patients (`conformal.task_threshold`,
with its guarantee over diseases), of a family of hospitals that of the other hospitals'. *Likely*:
the same without the guarantee (``certain=False``). *By class*: a threshold for each class. *Another
family*: the threshold of all diseases outside of the family, as a user's own data would have it;
this is a shift, and nothing is promised. Means over diseases left out one by one are near their aim
by construction; what can go wrong is seen in the worst table, in single families, in class 1 and in
the other family. The network's prior was designed with `disease_tables`, `heart_uci` and `support2`
in view. One temperature is learned likewise, on all other diseases. Brier, log-loss and ECE are
those of an episode (up to 240 patients in ten bins: an ECE of about .05 is chance), means over
episodes, tables, diseases. Weights against censoring count throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import numpy as np
import pandas as pd
import real_tables

from metajax import conformal, datasets, metrics
from metajax.baselines import TARGET_ONLY
from metajax.baselines.threads import one_thread
from metajax.calibration import even_weights, temperature

ALPHA = 0.1
ALPHAS = (0.05, 0.1, 0.2)
SCORES = {"brier": metrics.brier, "log_loss": metrics.log_loss, "ece": metrics.ece}
MOST = 4000  # rows that a model of many hospitals learns from


def cross_quality(held, y, fold, told, truth, weight) -> dict[str, float]:
    """Coverage and size of sets for (Q,) rows from the support's out-of-fold probabilities.

    Args:
      held: (n,) probabilities of class 1 of rows of the support, by the model without their fold.
      y: (n,) their labels.
      fold: (n,) their folds; all 0 is split conformal prediction.
      told: (K, Q) probabilities of class 1 by each model.
      truth: (Q,) labels.
      weight: (Q,) of the rows.
    """
    known = conformal.label_scores(conformal.lac(both(held)), y)
    p = conformal.cross_p_values(known, fold, 1 - np.stack([1 - told, told], -1))
    inside = conformal.sets(p, ALPHA)
    found = conformal.quality(inside, truth, weight)
    every = float(np.average(inside.all(1), weights=weight))
    told = {"coverage": found.coverage, "size": found.size, "everything": every}
    return told | {"rows": len(held)}


def both(p: np.ndarray) -> np.ndarray:
    """Probabilities (..., 2) of both classes from those of class 1."""
    return np.stack([1 - p, p], axis=-1)


def analyse(arrays: dict, methods: Sequence[str], sites: Sequence[str]) -> pd.DataFrame:
    """A row for every pool, table, support size and method: means over episodes.

    Args:
      arrays: family, table, unit, shots (E,), probabilities p (E, methods, Q) of class 1, and rows
        (E, 2, Q) of labels and weights, NaN where there is no row.
      methods: names of the methods.
      sites: families whose hospitals are a pool of their own; all others are one.

    Raises:
      ValueError: for a pool of a single unit.
    """
    pool = np.where(np.isin(arrays["family"], sites), arrays["family"], "diseases")
    found = []
    for name in np.unique(pool):
        if (units := len(np.unique(arrays["unit"][pool == name]))) < 2:
            raise ValueError(f"{name}: {units} unit to calibrate on and to judge; 2 are needed")
        for k in np.unique(arrays["shots"]):
            at = np.flatnonzero((pool == name) & (arrays["shots"] == k))
            facts = pd.DataFrame({c: arrays[c][at] for c in ("family", "table", "unit", "shots")})
            facts.insert(0, "pool", name)
            for m, method in enumerate(methods):
                # Numbers, because names are compared slowly.
                units = np.unique(facts.unit, return_inverse=True)[1]
                scores = _episodes(
                    arrays["p"][at, m].astype(np.float64), arrays["rows"][at, 0],
                    arrays["rows"][at, 1], units, facts.family.to_numpy(),
                )  # fmt: skip
                frame = pd.concat([facts.assign(method=method), pd.DataFrame(scores)], axis=1)
                by = ["pool", "family", "table", "unit", "shots", "method"]
                found.append(frame.groupby(by, as_index=False, sort=False).mean())
    return pd.concat(found, ignore_index=True)


def _episodes(p, y, w, unit, family) -> dict[str, np.ndarray]:
    """Every score of E episodes of one pool, support size and method, each (E,)."""
    there = ~np.isnan(y)
    p, y, w = (np.where(there, part, 0.0) for part in (p, y, w))
    w = w / w.sum(1, keepdims=True)
    strange = np.where(y == 1, 1 - p, p)  # 1 - the probability of the truth
    other = 1 - strange
    sure = np.maximum(p, 1 - p) >= 1 - ALPHA
    truth = (p > 0.5) == (y == 1)
    found = {"told_coverage": (w * (~sure | truth)).sum(1), "told_size": (w * (2 - sure)).sum(1)}
    found |= {name: _scored(way, p, y, w * there.sum(1, keepdims=True))
              for name, way in SCORES.items()}  # fmt: skip
    limit, likely, heat = (np.empty((len(p), 1)) for _ in range(3))
    by_class = np.empty((len(p), 2))
    for name in np.unique(unit):
        test, fit = unit == name, unit != name
        limit[test] = _limit(strange, w, unit, there, fit)
        likely[test] = _limit(strange, w, unit, there, fit, certain=False)
        by_class[test] = [_limit(strange, w, unit, there & (y == c), fit) for c in (0, 1)]
        heat[test] = _temperature(p, y, w, unit, there, fit)
    own, rest = (np.where(y == c, by_class[:, [1]], by_class[:, [0]]) for c in (1, 0))
    found |= _coverage("", w, strange <= limit, other <= limit)
    found |= _coverage("likely_", w, strange <= likely, other <= likely)
    found |= _coverage("class_", w, strange <= own, other <= rest)
    for c in (0, 1):
        mine = w * (y == c)
        for name, hit in (("", strange <= limit), ("class_", strange <= own)):
            found[f"{name}coverage_{c}"] = (mine * hit).sum(1) / mine.sum(1)
    warm = 1 / (1 + np.exp(-_logit(p) / heat))
    found |= {f"{name}_warm": _scored(way, warm, y, w * there.sum(1, keepdims=True))
              for name, way in SCORES.items()}  # fmt: skip
    found |= {"temperature": heat[:, 0], "limit": limit[:, 0]}
    if len(np.unique(family)) > 1:
        limit = np.empty((len(p), 1))
        for name in np.unique(family):
            limit[family == name] = _limit(strange, w, unit, there, family != name)
        found |= _coverage("family_", w, strange <= limit, other <= limit)
    return found


def _limit(strange, w, unit, rows, fit, certain=True) -> float:
    """The threshold of the rows of some episodes."""
    at = rows & fit[:, None] & (w > 0)
    units = np.broadcast_to(unit[:, None], at.shape)[at]
    return conformal.task_threshold(strange[at], units, ALPHA, w[at], certain=certain)


def _temperature(p, y, w, unit, there, fit) -> float:
    at = there & fit[:, None]
    weight = w.copy()  # of rows in their episode; each unit alike, whatever it has episodes
    weight[fit] *= even_weights(unit[fit])[:, None]
    z = _logit(p[at])
    found = temperature(np.stack([0 * z, z], 1), y[at].astype(int), weight[at])
    return 1.0 if found.bound else found.value


def _logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p) - np.log1p(-p)


def limits(arrays: dict, methods: Sequence[str], sites: Sequence[str]) -> pd.DataFrame:
    """Thresholds and temperatures of all diseases together, for a disease that is none of them.

    Args:
      arrays: as for `analyse`.
      methods: likewise.
      sites: likewise; their hospitals are one disease, and left out.
    """
    found = []
    one = ~np.isin(arrays["family"], sites)
    for k in np.unique(arrays["shots"][one]):
        at = np.flatnonzero(one & (arrays["shots"] == k))
        units = np.unique(arrays["unit"][at], return_inverse=True)[1]
        y, w = arrays["rows"][at, 0], arrays["rows"][at, 1]
        there = ~np.isnan(y)
        w = np.where(there, w, 0.0) / np.nansum(w, axis=1, keepdims=True)
        all_of_them = np.ones(len(at), bool)
        for m, method in enumerate(methods):
            p = arrays["p"][at, m].astype(np.float64)
            strange = np.where(y == 1, 1 - p, p)
            heat = _temperature(p, np.where(there, y, 0), w, units, there, all_of_them)
            place = np.broadcast_to(units[:, None], there.shape)[there]
            for alpha in ALPHAS:
                limit = conformal.task_threshold(strange[there], place, alpha, w[there])
                found.append({
                    "method": method, "shots": k, "alpha": alpha, "limit": limit,
                    "temperature": heat, "diseases": len(np.unique(units)),
                })  # fmt: skip
    return pd.DataFrame(found)


def _coverage(name: str, w, hit, also) -> dict[str, np.ndarray]:
    """Coverage and size (E,) of sets that hold the truth, or also the other class."""
    return {
        f"{name}coverage": (w * hit).sum(1),
        f"{name}size": (w * (hit.astype(int) + also)).sum(1),
    }


@partial(jax.jit, static_argnums=0)
def _vectorised(way, p, y, w):
    return jax.vmap(way)(p, y, w)


def _scored(way, p, y, w) -> np.ndarray:
    """A score of every episode (E,)."""
    return np.asarray(_vectorised(way, *(part.astype(np.float32) for part in (p, y, w))))


def hospitals(families: Sequence[str], data_dir: str | None) -> pd.DataFrame:
    """Leave one hospital out: a row for every hospital and way to calibrate.

    Logistic regression (C = .1) learns from half of the patients of all other hospitals, 4,000 at
    most. The threshold comes from: the other half, as if patients of all hospitals were alike
    (others); the same, a hospital having the weight of one patient (hospitals); half of the
    hospital's own (own). The other half of its own is judged.
    """
    found = []
    for name in families:
        family = datasets.load(name, data_dir)
        x, y, place = np.asarray(family.x[family.items], np.float32), family.y, family.task
        half = np.random.default_rng(0).permuted(np.arange(len(y)) % 2)
        nothing = np.zeros(len(y))
        table = real_tables.Table(name, name, True, x, y, nothing + 1, nothing)
        for h, hospital in enumerate(family.task_names):
            fit = np.flatnonzero((place != h) & (half == 0))
            fit = fit[np.linspace(0, len(fit) - 1, min(MOST, len(fit))).astype(int)]
            rest = np.flatnonzero((place == h) | (half == 1))
            given, asked = real_tables.inputs(table, fit, rest)
            with one_thread():
                log_p = TARGET_ONLY["lr_c0.1"](given, y[fit], asked, seed=0, classes=2)
            scores = conformal.lac(np.exp(log_p))
            true, where = conformal.label_scores(scores, y[rest]), place[rest]
            away, own = where != h, (where == h) & (half[rest] == 1)
            test = (where == h) & (half[rest] == 0)
            limits = {
                "others": conformal.threshold(true[away], ALPHA),
                "hospitals": conformal.task_threshold(true[away], where[away], ALPHA),
                "own": conformal.threshold(true[own], ALPHA),
            }
            for way, limit in limits.items():
                quality = conformal.quality(scores[test] <= limit, y[rest][test])
                found.append({
                    "family": name, "hospital": hospital, "way": way, "patients": int(test.sum()),
                    "coverage": quality.coverage, "size": quality.size,
                })  # fmt: skip
    return pd.DataFrame(found)
