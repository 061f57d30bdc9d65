"""Real disease tables as few-shot tasks, for `prior_fitted.py`: who is best after k patients?

Every method sees the same k labelled rows of a table and ranks the same other rows (at most 256).
Means and scales come from the k rows. Logistic regression, forest and class mean get all columns as
z-scores, with flags where cells are missing; the network gets the 48 that correlate most with the
label in the k rows. Ensembles are means of probabilities.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score

from metajax import columns, datasets, disk
from metajax.baselines import TARGET_ONLY
from metajax.baselines.threads import one_thread
from metajax.statistics import (
    average_ranks,
    cluster_bootstrap,
    cluster_means,
    holm,
    nemenyi_difference,
    paired_wilcoxon,
)
from metajax.tasks import features_by_support
from metajax.types import Episode, Examples, Learner, PyTree

FAMILIES = (
    "disease_tables", "heart_uci", "support2", "survival", "myocardial_infarction", "microarray",
    "brfss2020",
)  # fmt: skip
BASELINES = ("lr_c0.01", "lr_c0.1", "lr_cv", "random_forest", "class_mean")
# The mean of these models' probabilities.
ENSEMBLES = {
    "lr_forest": ("lr_c0.01", "random_forest"),
    "pfn_lr": ("pfn", "lr_c0.01"),
    "pfn_lr_forest": ("pfn", "lr_c0.01", "random_forest"),
}
METHODS = ("pfn", *BASELINES, *ENSEMBLES)
DRAWS = ("balanced", "natural")
QUERIES, COLUMNS, LEAST = 256, 48, 5
# What the prior's design had seen; of `survival` only what is also elsewhere.
SEEN_FAMILIES = ("disease_tables", "heart_uci", "support2", "sklearn_tables")
SEEN_COHORTS, UNSEEN_TABLES = ("pbc", "ncctg_lung"), ("arrhythmia", "lung_cancer", "post_operative")


OURS = ("pfn", "pfn_lr")
CSV = {"index": False, "float_format": "%.6g", "lineterminator": "\n"}
SEEN = {
    True: "Tables that the prior was designed on",
    False: "Tables that the prior's design has not seen",
}


class Table(NamedTuple):
    """A table of two classes.

    Attributes:
      name: family and task.
      disease: the bootstrap's unit.
      seen: the prior was designed with this table in view.
      x: (R, D) float32, NaN where missing.
      y: (R,) 0 or 1.
      weight: (R,) of the rows in scores.
      group: (R,) rows of one group are not on both sides.
    """

    name: str
    disease: str
    seen: bool
    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    group: np.ndarray


Predict = Callable[[Table, np.ndarray, np.ndarray], np.ndarray]


def tables(families: Sequence[str], most: int, data_dir: str | None) -> Iterator[Table]:
    """The tables of two classes of some families, at most so many of each, spread over its list."""
    for name in families:
        family = datasets.load(name, data_dir)
        count = len(family.task_names)
        for t in np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int)):
            rows = np.flatnonzero(family.task == t)
            y, task = family.y[rows], family.task_names[t]
            if sorted(set(y.tolist())) != [0, 1]:
                continue
            x = np.asarray(family.x[family.items[rows]], np.float32)
            cohort = task.partition(":")[0]
            seen = name in SEEN_FAMILIES or (name == "survival" and cohort in SEEN_COHORTS)
            yield Table(
                f"{name}: {task}",
                name if name == "heart_uci" else f"{name} {family.clusters[t]}",
                seen and task not in UNSEEN_TABLES,
                x[:, ~np.isnan(x).all(0)],
                y,
                np.ones(len(rows)) if family.weight is None else family.weight[rows],
                family.groups[rows],
            )


def split(table: Table, shots: int, draw: str, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows of support and query; None if a side would have too few of a class.

    Balanced: half of the support from each class. Natural: in proportion, two at least of each.
    The query keeps `LEAST` rows of each class, and the prevalence.
    """
    rng = np.random.default_rng([zlib.crc32(table.name.encode()), shots, DRAWS.index(draw), seed])
    order = rng.permutation(len(table.y))
    sick = shots // 2
    if draw == "natural":
        sick = int(np.clip(round(shots * table.y.mean()), 2, shots - 2))
    classes = [order[table.y[order] == label] for label in (0, 1)]
    support = np.concatenate([classes[0][: shots - sick], classes[1][:sick]])
    query = order[~np.isin(table.group[order], table.group[support])]
    query = query[~np.isin(query, support)][:QUERIES]
    if len(support) < shots or np.bincount(table.y[query], minlength=2).min() < LEAST:
        return None
    return support, query


def standard(
    given: np.ndarray, asked: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Z-scores of rows, 0 where missing, by the mean and spread of the given rows.

    Returns:
      The given rows' (S, K), the asked rows' (Q, K), and (D,) bool, the K columns with two values.
    """
    x = given.astype(np.float64)
    fitted = columns.moments(x, ~np.isnan(x), np)
    kept = fitted.varied
    told = (
        np.nan_to_num(columns.scores(fitted, part, np)[:, kept])
        for part in (x, asked)
        if part is not None
    )
    z, *rest = (np.clip(part, -5, 5) for part in told)
    return z, rest[0] if rest else z[:0], kept


def inputs(table: Table, support: np.ndarray, query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the baselines see: z-scores, and a flag for every column with gaps in the support."""
    x, q = table.x[support], table.x[query]
    gaps = np.isnan(x)
    flagged = gaps.any(0) & ~gaps.all(0)
    z, asked, _ = standard(x, q)
    return tuple(
        np.concatenate([part, np.isnan(raw[:, flagged])], 1) for part, raw in ((z, x), (asked, q))
    )


def in_context(learner: Learner, params: PyTree) -> Predict:
    """The trained network: ``(table, support, query) -> probabilities (Q,) of class 1``."""

    @jax.jit  # four programs serve all tables
    def outputs(params: PyTree, episode: Episode) -> jax.Array:
        episode = features_by_support(episode)
        adapted = learner.adapt(params, episode.support, jax.random.key(0))
        return jax.nn.softmax(learner.predict(params, adapted, episode.query.x))[:, 1]

    def predict(table: Table, support: np.ndarray, query: np.ndarray) -> np.ndarray:
        x, y = table.x, table.y
        if x.shape[1] > COLUMNS:
            z, _, kept = standard(x[support])
            strength = np.zeros(x.shape[1])
            strength[kept] = np.abs((y[support] - y[support].mean()) @ z)
            x = x[:, np.sort(np.argsort(-strength, kind="stable")[:COLUMNS])]
        height = 16 if len(support) <= 16 else -(-len(support) // 64) * 64
        width = 16 if x.shape[1] <= 16 else COLUMNS

        def part(rows: np.ndarray, size: int) -> Examples:
            cells = np.full((size, width), np.nan, np.float32)
            cells[: len(rows), : x.shape[1]] = x[rows]
            labels = np.zeros((size, 2), np.float32)
            labels[np.arange(len(rows)), y[rows]] = 1
            mask = np.broadcast_to((np.arange(size) < len(rows))[:, None], labels.shape)
            return Examples(jnp.asarray(cells), jnp.asarray(labels), jnp.asarray(mask, jnp.float32))

        episode = Episode(part(support, height), part(query, QUERIES))
        return np.asarray(outputs(params, episode), np.float64)[: len(query)]

    return predict


def measure(
    predict: Predict, table: Table, shots: Sequence[int], repeats: int
) -> list[dict[str, object]]:
    """A record per support size, draw and method: the means over the repeats that can be drawn."""
    records = []
    for k, draw in itertools.product(shots, DRAWS):
        rows = [split(table, k, draw, seed) for seed in range(repeats)]
        scores = [_scores(predict, table, *sides, seed) for seed, sides in enumerate(rows) if sides]
        for method in METHODS if scores else ():
            auroc, nats = np.mean([one[method] for one in scores], axis=0)
            records.append({
                "table": table.name, "disease": table.disease, "seen": table.seen, "shots": k,
                "draw": draw, "method": method, "auroc": auroc, "log_loss": nats,
                "repeats": len(scores),
            })  # fmt: skip
    return records


def _scores(
    predict: Predict, table: Table, support: np.ndarray, query: np.ndarray, seed: int
) -> dict[str, tuple[float, float]]:
    """AUROC and log-loss of every method on the query of one episode."""
    given, asked = inputs(table, support, query)
    told = {"pfn": predict(table, support, query)}
    with one_thread():
        for name in BASELINES:
            output = TARGET_ONLY[name](given, table.y[support], asked, seed=seed, classes=2)
            told[name] = np.exp(output[:, 1])
    for name, members in ENSEMBLES.items():
        told[name] = np.mean([told[member] for member in members], axis=0)
    truth, weight = table.y[query], table.weight[query]
    return {
        name: (
            roc_auc_score(truth, p, sample_weight=weight),
            log_loss(truth, np.clip(p, 1e-6, 1 - 1e-6), sample_weight=weight),
        )
        for name, p in told.items()
    }


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """A row per group of tables, draw, support size and method.

    `k` 0 is the mean over the support sizes, of tables that have all of them. Ranks are means over
    tables. Differences in AUROC points (hundredths) of `pfn` and `pfn_lr` from the method, paired:
    means over diseases with 95 % bootstrap intervals, Wilcoxon's p over diseases adjusted by Holm
    for the methods, NaN below 10 diseases; ``won`` counts tables.
    """
    rows = []
    for (seen, draw), part in records.groupby(["seen", "draw"]):
        by_size = {int(k): one for k, one in part.groupby("shots")}
        wide = {
            k: one.pivot(index=["table", "disease"], columns="method", values="auroc")[
                list(METHODS)
            ]
            for k, one in by_size.items()
        }
        common = set.intersection(*(set(one.index) for one in wide.values()))
        if common:
            wide[0] = sum(one.loc[sorted(common)] for one in wide.values()) / len(wide)
        for k, scores in wide.items():
            clusters = np.unique(scores.index.get_level_values("disease"), return_inverse=True)[1]
            ranks = average_ranks(scores.to_numpy(), higher_is_better=True)
            start = len(rows)
            for method, rank in zip(METHODS, ranks, strict=True):
                row = {
                    "seen": seen, "draw": draw, "k": k, "method": method, "tables": len(scores),
                    "diseases": clusters.max() + 1, "auroc": scores[method].mean(), "rank": rank,
                }  # fmt: skip
                for ours in OURS:
                    gain = 100 * (scores[ours] - scores[method]).to_numpy()
                    mean, low, high, *_ = cluster_bootstrap(
                        gain, clusters, np.random.default_rng(0)
                    )
                    row |= {f"{ours}_gain": mean, f"{ours}_low": low, f"{ours}_high": high}
                    row[f"{ours}_won"] = int((gain > 0).sum())
                    row[f"{ours}_p"] = paired_wilcoxon(
                        cluster_means(gain, clusters), 0 * np.unique(clusters)
                    )
                rows.append(row)
            for ours in OURS:
                others = [row for row in rows[start:] if row["method"] != ours]
                for row, p in zip(others, holm([row[f"{ours}_p"] for row in others]), strict=True):
                    row[f"{ours}_p"] = p
    return pd.DataFrame(rows)


def markdown(found: pd.DataFrame, repeats: int) -> str:
    """The page of a summary."""
    out = ["# prior_fitted", "", __doc__.partition("\n\n")[2].strip().replace("\n", " "), ""]
    out += [
        f"Means over tables of the mean over {repeats} draws; queries keep the prevalence. Ranks: "
        "1 is best, means over tables. Differences in hundredths of AUROC: means over diseases, "
        "95 % intervals by bootstrap over diseases, Wilcoxon's p over diseases (Holm; none below "
        "10)."
    ]
    for (seen, draw), part in found.groupby(["seen", "draw"], sort=False):
        sizes = [k for k in part.k.unique() if k]
        out += ["", f"## {SEEN[bool(seen)]}, {draw} draws", ""]
        head = ["method", *(f"k = {k}" for k in sizes), "rank over k"]
        body = []
        for method in METHODS:
            one = part[part.method == method].set_index("k")
            ranks = [f"{one['rank'][0]:.2f}" if 0 in one.index else "-"]
            body.append([method, *(f"{one.auroc[k]:.4f}" for k in sizes), *ranks])
        out += _grid(head, body)
        one = part[part.method == "pfn"].set_index("k")
        counts = one.tables
        out += ["", "Tables: " + ", ".join(f"{counts[k]} at k = {k}" for k in sizes) + "."]
        if 0 not in counts.index:
            continue
        apart = nemenyi_difference(len(METHODS), int(one.diseases[0]))
        out[-1] += (
            f" Critical difference of the ranks, Nemenyi's at 5 %, a block a disease: {apart:.2f}."
        )
        mean = part[part.k == 0].set_index("method")
        out += ["", f"Mean over k, {counts[0]} tables of {one.diseases[0]} diseases:", ""]
        head = ["minus", *(text for ours in OURS for text in (ours, "tables won", "p"))]
        body = []
        for method in METHODS:
            cells = [method]
            for ours in OURS:
                gain, low, high, won, p = (
                    mean.loc[method, f"{ours}_{what}"]
                    for what in ("gain", "low", "high", "won", "p")
                )
                told = [f"{gain:+.2f} [{low:+.2f}, {high:+.2f}]", f"{won}", f"{p:.3g}"]
                cells += ["", "", ""] if method == ours else [t.replace("nan", "-") for t in told]
            body.append(cells)
        out += _grid(head, body)
    return "\n".join(out) + "\n"


def _grid(head: list[str], body: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body)]


def compare(predict: Predict, found: Iterator[Table], folder: Path, shots, repeats, told) -> str:
    """Measures every table, and writes tables.csv, summary.csv and table.md; returns the page.

    Args:
      predict: the network.
      found: the tables.
      folder: where the files go; tables.csv grows table by table.
      shots: support sizes.
      repeats: draws of every size and kind.
      told: called with a line for every table.
    """
    records = []
    for table in found:
        records += (new := measure(predict, table, shots, repeats))
        disk.write(folder / "tables.csv", pd.DataFrame(records).to_csv(**CSV))
        scores = {r["method"]: r["auroc"] for r in new if r["shots"] == shots[-1]}
        told(f"{table.name}: " + ", ".join(f"{m} {v:.3f}" for m, v in scores.items()))
    return tabulate(folder)


def tabulate(folder: Path) -> str:
    """Writes summary.csv and table.md from the tables.csv of a folder; returns the page."""
    records = pd.read_csv(folder / "tables.csv")
    found = summary(records)
    page = markdown(found, records.repeats.max())
    disk.write_all({folder / "summary.csv": found.to_csv(**CSV), folder / "table.md": page})
    return page
