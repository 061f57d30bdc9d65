"""Compare the prior of disease tables with real ones: is a network trained on what it will meet?

    python scripts/prior_statistics.py --data-dir=DIR
    python scripts/prior_statistics.py --families disease_tables survival --tasks 400

Real: the meta-train tables of the families (never meta-validation or meta-test), in their raw
columns. Synthetic: `metajax.tasks.disease_prior`, at natural prevalence. Every statistic is of one
table; shown are its mean and its 10 % and 90 % quantiles over tables. Writes
results/prior_fitted/statistics.md and .csv; a few minutes of one core.
"""

from metajax import surroundings

surroundings.check()

import argparse
import sys
import warnings
from pathlib import Path

import jax
import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from metajax import datasets, disk, limits
from metajax.tasks import disease_prior

LEAST, MOST = 60, 400  # rows of a table
SHOTS, DRAWS = 64, 5


def auc(column: np.ndarray, y: np.ndarray) -> float:
    """Distance of a column's AUROC from chance, over the rows that have it."""
    kept = np.isfinite(column)
    column, y = column[kept], y[kept]
    ones = int(y.sum())
    if min(ones, len(y) - ones) < 2:
        return np.nan
    above = rankdata(column)[y > 0].sum() - ones * (ones + 1) / 2
    return abs(above / (ones * (len(y) - ones)) - 0.5)


def curvature(column: np.ndarray, y: np.ndarray) -> float:
    """The same of the distance from the column's median: large for a U-shape."""
    return auc(np.abs(column - np.nanmedian(column)), y)


def linear(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> float:
    """AUROC of a logistic regression (C = 0.01) on 64 rows, half of each class; mean of draws."""
    x = np.where(np.isfinite(x), x, np.nanmean(x, 0))
    x, found = (x - x.mean(0)) / np.maximum(x.std(0), 1e-9), []
    if min(np.bincount(y, minlength=2)) < SHOTS // 2 + 5:
        return np.nan
    for _ in range(DRAWS):
        chosen = np.concatenate(
            [rng.permutation(np.flatnonzero(y == c))[: SHOTS // 2] for c in (0, 1)]
        )
        rest = np.setdiff1d(np.arange(len(y)), chosen)
        model = LogisticRegression(C=0.01).fit(x[chosen], y[chosen])
        found.append(roc_auc_score(y[rest], model.decision_function(x[rest])))
    return float(np.mean(found))


def statistics(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> dict[str, float] | None:
    """What is compared, of one table x (R, D), NaN where missing, with labels 0 and 1.

    Returns:
      None for a table with fewer than two columns that vary.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # columns without any value
        x = x[:, np.nanstd(x, 0) > 0].astype(np.float64)
    if x.shape[1] < 2:
        return None
    missing = np.isnan(x)
    levels = np.array([len(np.unique(c[np.isfinite(c)])) for c in x.T])
    skew = [abs(pd.Series(c).skew()) for c in x.T]
    single = [auc(c, y) for c in x.T]
    # Of a binary column the distance from the median is the column itself.
    bent = [curvature(c, y) for c, n in zip(x.T, levels, strict=True) if n > 2] or [np.nan]
    filled = np.where(missing, np.nanmean(x, 0), x)
    pairs = np.abs(np.corrcoef(filled.T))[np.triu_indices(x.shape[1], 1)]
    return {
        "columns": x.shape[1],
        "prevalence": y.mean(),
        "binary columns": (levels == 2).mean(),
        "ordinal columns (3 to 6 levels)": ((levels > 2) & (levels < 7)).mean(),
        "median absolute skewness": np.nanmedian(skew),
        "missing cells": missing.mean(),
        "most missing of a row": missing.mean(1).max(),
        "median absolute correlation": np.median(pairs),
        "90 % absolute correlation": np.quantile(pairs, 0.9),
        "largest absolute correlation": pairs.max(),
        "best single abs(AUROC - .5)": np.nanmax(single),
        "median single abs(AUROC - .5)": np.nanmedian(single),
        "best abs(AUROC - .5) of the distance from the median": np.nanmax(bent),
        f"AUROC of LR C = .01 on {SHOTS} rows": linear(x, y, rng),
    }


def real(names: list[str], data_dir: str | None) -> list[tuple[np.ndarray, np.ndarray]]:
    """The meta-train tables with two classes and enough rows, cut to so many rows."""
    tables, rng = [], np.random.default_rng(0)
    for name in names:
        family = datasets.load(name, data_dir)
        if family.split is None or isinstance(family.x, dict) or family.y.dtype.kind == "f":
            raise ValueError(f"{name} has no meta-train tables with classes")
        for task in np.flatnonzero(np.asarray(family.split) == 0):
            rows = np.flatnonzero(family.task == task)
            rows = rng.permutation(rows)[:MOST]
            y = family.y[rows]
            if len(rows) >= LEAST and len(np.unique(y)) == 2:
                tables.append((family.x[family.items[rows]], (y == y.max()).astype(int)))
    return tables


def synthetic(tasks: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Tables of the prior with the median number of rows of the real ones, about."""
    source = disease_prior(shots=2, queries=298, draw="natural", prepare=None)
    draw = jax.jit(lambda keys: jax.lax.map(lambda key: source.sample(source.data, key), keys))
    query = jax.tree.map(np.asarray, draw(jax.random.split(jax.random.key(0), tasks))).query
    pairs = zip(query.x, query.y[..., 1].astype(int), strict=True)
    return [(x, y) for x, y in pairs if len(np.unique(y)) == 2]


def summary(found: dict[str, list]) -> pd.DataFrame:
    """One row a statistic: mean and quantiles over tables of every source."""
    rows = []
    for source, tables in found.items():
        rng = np.random.default_rng(0)
        told = [told for x, y in tables if (told := statistics(x, y, rng)) is not None]
        for name, values in pd.DataFrame(told).items():
            low, high = values.quantile([0.1, 0.9])
            rows.append((name, source, len(told), values.mean(), low, high))
    return pd.DataFrame(rows, columns="statistic source tables mean low high".split())


def markdown(frame: pd.DataFrame) -> str:
    """The page."""
    sources = list(dict.fromkeys(frame["source"]))
    counts = frame.groupby("source")["tables"].first()
    head = " | ".join(f"{s} ({counts[s]} tables)" for s in sources)
    lines = ["# The prior against real tables", "", f"| statistic | {head} |"]
    lines.append("|" + " --- |" * (1 + len(sources)))
    for name, group in frame.groupby("statistic", sort=False):
        cells = group.set_index("source").loc[sources]
        shown = [f"{c['mean']:.3g} [{c['low']:.3g}, {c['high']:.3g}]" for _, c in cells.iterrows()]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    lines += ["", "Mean over tables [10 % quantile, 90 % quantile]; real: meta-train tasks only."]
    return "\n".join(lines + ["Made by `python scripts/prior_statistics.py`.", ""])


@surroundings.guarded
def main() -> int:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--data-dir", help="the data directory; default METAJAX_DATA")
    parser.add_argument("--families", nargs="+", default=["disease_tables"])
    parser.add_argument("--tasks", type=int, default=200, help="synthetic tables")
    parser.add_argument("--out", type=Path, default=Path("results/prior_fitted"))
    flags = parser.parse_args()
    limits.positive({"tasks": flags.tasks})
    try:
        found = {"real": real(flags.families, flags.data_dir), "prior": synthetic(flags.tasks)}
    except (ValueError, datasets.DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    frame = summary(found)
    flags.out.mkdir(parents=True, exist_ok=True)
    text = frame.to_csv(index=False, float_format="%.4g", lineterminator="\n")
    disk.write_all({
        flags.out / "statistics.csv": text, flags.out / "statistics.md": markdown(frame)
    })
    print(markdown(frame))
    return 0


if __name__ == "__main__":
    sys.exit(main())
