"""Does the prior look like real tables? Eleven numbers of both, side by side.

    python scripts/prior_statistics.py --data-dir=DIR

Real tables are the meta-train tasks of `disease_tables` only: what the prior is matched to must not
be what it is tested on. Of every table, real or drawn, 96 rows are taken at their prevalence; the
numbers are means, with 10 % and 90 % quantiles, over tables. Writes results/prior_fitted/prior.csv and prints it.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import tyro
from rich.console import Console
from scipy.stats import rankdata, skew
from sklearn.metrics import roc_auc_score

from metajax import commands, datasets
from metajax.baselines import TARGET_ONLY
from metajax.tasks import disease_prior

ROWS, TRAIN = 96, 64


@dataclasses.dataclass(frozen=True)
class Flags:
    """Eleven numbers of the prior and of real meta-train tables, side by side."""

    tables: int = 200
    """Tables drawn from the prior, above 0."""
    draws: int = 5
    """Times that the rows of a real table are drawn, above 0."""
    data_dir: str | None = None
    """Folder of the real data (default: METAJAX_DATA); absent files are downloaded."""
    results: str = "results"
    """Where prior_fitted/prior.csv goes."""


def statistics(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Eleven numbers of a table.

    Args:
      x: (N, D) float, NaN where missing; columns without two values are left out.
      y: (N,) 0 or 1, both there.
    """
    gaps = np.isnan(x)
    x = np.where(gaps, np.nanmedian(np.where(gaps.all(0), 0.0, x), axis=0), x)
    kept = np.ptp(x, axis=0) > 0
    x, gaps = x[:, kept], gaps[:, kept]
    ranks = rankdata(x, axis=0)
    sick = y.sum()
    area = (ranks[y == 1].sum(0) - sick * (sick + 1) / 2) / (sick * (len(y) - sick))
    strength = np.abs(area - 0.5)
    z = (x - x.mean(0)) / x.std(0)
    pairs = np.abs(np.corrcoef(z.T)[np.triu_indices(z.shape[1], 1)]) if z.shape[1] > 1 else [0.0]
    levels = np.array([len(np.unique(column)) for column in x.T])
    row_gaps = gaps.mean(1)
    return {
        "columns": x.shape[1],
        "share of class 1": y.mean(),
        "best column, |AUROC - .5|": strength.max(),
        "median column, |AUROC - .5|": np.median(strength),
        "median |correlation| of columns": np.median(pairs),
        "90 % quantile of |correlation|": np.quantile(pairs, 0.9),
        "binary columns": (levels == 2).mean(),
        "median |skewness| of other columns": np.median(np.abs(skew(x[:, levels > 2])))
        if (levels > 2).any() else np.nan,
        "missing cells": gaps.mean(),
        "standard deviation of a row's missing share": row_gaps.std(),
        f"AUROC of lr_c0.01 at k = {TRAIN}": _linear(z, y),
    }  # fmt: skip


def _linear(z: np.ndarray, y: np.ndarray) -> float:
    """AUROC of the first rows' logistic regression on the others; NaN if a class is not there."""
    if min(len(set(y[:TRAIN])), len(set(y[TRAIN:]))) < 2:
        return np.nan
    output = TARGET_ONLY["lr_c0.01"](z[:TRAIN], y[:TRAIN], z[TRAIN:], seed=0, classes=2)
    return roc_auc_score(y[TRAIN:], output[:, 1])


def from_prior(tables: int) -> list[dict[str, float]]:
    """Of tables of the prior with two of each class at least."""
    source = disease_prior(shots=2, queries=ROWS, prepare=None)
    draw = jax.jit(jax.vmap(lambda t: source.sample(source.data, jax.random.key(0), t).query))
    query = jax.tree.map(np.asarray, draw(jnp.arange(tables)))
    labels = query.y[..., 1].astype(int)
    enough = np.minimum(labels.sum(1), ROWS - labels.sum(1)) >= 2
    return [statistics(x, y) for x, y in zip(query.x[enough], labels[enough], strict=True)]


def from_real(draws: int, data_dir: str | None) -> list[dict[str, float]]:
    """Of the meta-train tables that have the rows: the mean over the draws."""
    family = datasets.load("disease_tables", data_dir)
    found, rng = [], np.random.default_rng(0)
    for task in np.flatnonzero(np.asarray(family.split) == 0):
        rows = np.flatnonzero(family.task == task)
        if len(rows) < ROWS:
            continue
        x = family.x[family.items[rows]]
        x, y = x[:, ~np.isnan(x).all(0)].astype(np.float64), family.y[rows]
        chosen = (rng.choice(len(rows), ROWS, replace=False) for _ in range(draws))
        drawn = [statistics(x[c], y[c]) for c in chosen if 2 <= y[c].sum() <= ROWS - 2]
        found.append(pd.DataFrame(drawn).mean().to_dict())
    return found


def main() -> int:
    """Measures both and prints the table."""
    flags = tyro.cli(Flags)
    if min(flags.tables, flags.draws) < 1:
        return commands.fail("--tables and --draws must be 1 or more")
    try:
        real = pd.DataFrame(from_real(flags.draws, flags.data_dir))
    except datasets.DataError as error:
        return commands.fail(error)
    prior = pd.DataFrame(from_prior(flags.tables))
    table = pd.DataFrame({
        "prior": prior.mean(), "prior_10": prior.quantile(0.1), "prior_90": prior.quantile(0.9),
        "real": real.mean(), "real_10": real.quantile(0.1), "real_90": real.quantile(0.9),
    })  # fmt: skip
    folder = Path(flags.results) / "prior_fitted"
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(
        folder / "prior.csv", index_label="statistic", float_format="%.3f", lineterminator="\n"
    )
    Console().print(f"{len(prior)} tables of the prior, {len(real)} real ones")
    Console().print(table.to_string(float_format="%.3f"), soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
