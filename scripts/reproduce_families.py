"""Bars of the clinical families measured elsewhere, measured again: AUROC, mean over tasks.

    python scripts/reproduce_families.py [--data-dir DIR] [--out results/reproductions]

Logistic regression (C = 0.1) throughout. Pooled: trained on the rows of all other tasks, no label
of the target. Target only: k rows of the target, half of each class, 20 draws; all its other rows
are the test set. One core; a few minutes.
"""

from metajax import surroundings

surroundings.check()

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import reproduction
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from metajax import baselines, datasets, statistics
from metajax.datasets import loading, reading
from metajax.datasets.disease import brfss2020

DRAWS = 20
POOLED = "pooled"
# Mean over tasks, as measured before on the same files: pooled, and by labels of the target.
BARS = {
    "support2": {POOLED: 0.708, 8: 0.579, 16: 0.604, 32: 0.637, 64: 0.639},
    "diabetes130_specialty": {POOLED: 0.584, 8: 0.531, 16: 0.541, 32: 0.551, 64: 0.557},
    "diabetes130_chapter": {POOLED: 0.594, 8: 0.541, 16: 0.554, 32: 0.572, 64: 0.574},
    "heart_uci": {POOLED: 0.803, 8: 0.768, 16: 0.775, 32: 0.799},
    "brfss2020": {POOLED: 0.732, 8: 0.604, 16: 0.632, 32: 0.656, 64: 0.674},
}
TARGETS = {"heart_uci": (0, 1, 3)}  # Switzerland has 8 patients without disease: a source only
# Of BRFSS the bar took 24 of the 71 strata with at least 40 cases (and others) of heart disease.
STRATA, LEAST_CASES = 24, 40
DISCHARGE = "discharge_disposition_id="
HEADER = ("family", "columns", "scaling", "what", "bar", "ours", "low", "high", "over", "within",
          "difference", "tasks")  # fmt: skip


class Scores(NamedTuple):
    """Draws of one task: AUROC (E,), and what every row of the task adds to it (E, rows)."""

    auroc: np.ndarray
    influence: np.ndarray


def whole_table(x: np.ndarray) -> np.ndarray:
    """Medians for missing values, z-scores and missing-value flags, over all rows of the table."""
    missing = np.isnan(x)
    filled = np.where(missing, np.nanmedian(x, 0), x).astype(np.float64)
    spread = filled.std(0)
    flags = np.unique(missing[:, missing.any(0)], axis=1)  # levels of one nominal share a flag
    return np.concatenate([(filled - filled.mean(0)) / np.where(spread > 0, spread, 1), flags], 1)


def auroc(y: np.ndarray, score: np.ndarray) -> tuple[float, np.ndarray]:
    """AUROC and its derivative by the weight of every row."""
    ranks, parts = rankdata(score), np.empty(len(y))
    ones = y == 1
    for mine in (ones, ~ones):
        # The share of the other class below (above, for the negatives) a row.
        below = (ranks[mine] - rankdata(score[mine])) / (~mine).sum()
        parts[mine] = below if mine is ones else 1 - below
    area = float(parts[ones].mean())
    return area, (parts - area) / np.where(ones, ones.sum(), (~ones).sum())


def pooled(x: np.ndarray, y: np.ndarray, fit: np.ndarray, rows: np.ndarray) -> Scores:
    """One model of the rows `fit`, scored on the rows of the target."""
    told = baselines.POOLED["pooled_lr"](x[fit], y[fit], seed=0)(x[rows])
    area, influence = auroc(y[rows], told[:, 1] - told[:, 0])
    return Scores(np.array([area]), influence[None])


def target_only(x: np.ndarray, y: np.ndarray, size: int, seed: int) -> Scores | None:
    """`DRAWS` models of `size` rows of one task; None if a class has too few of them."""
    ones = y == 1
    if min(ones.sum(), (~ones).sum()) <= size // 2:
        return None
    rng = np.random.default_rng([seed, size])
    areas, influence = np.empty(DRAWS), np.zeros((DRAWS, len(y)))
    for draw in range(DRAWS):
        support = np.concatenate([rng.choice(np.flatnonzero(c), size // 2, replace=False)
                                  for c in (ones, ~ones)])  # fmt: skip
        asked = np.ones(len(y), bool)
        asked[support] = False
        told = baselines.TARGET_ONLY["lr_c0.1"](x[support], y[support], x, seed=0, classes=2)
        areas[draw], influence[draw, asked] = auroc(y[asked], (told[:, 1] - told[:, 0])[asked])
    return Scores(areas, influence)


def interval(scores: list[Scores]) -> tuple[statistics.Interval, str]:
    """Mean over tasks with its 95 % interval, and what was resampled for it."""
    means = np.array([each.auroc.mean() for each in scores])
    if len(scores) >= statistics.MIN_CLUSTERS:
        found = statistics.cluster_bootstrap(means, np.arange(len(means)), np.random.default_rng(0))
        return found, "tasks"
    replicates = []
    for i, (areas, influence) in enumerate(scores):
        patients = np.arange(influence.shape[1])
        rows = np.broadcast_to(patients, influence.shape)
        rng = np.random.default_rng([i, 1])
        replicates.append(statistics.patient_replicates(areas, influence, rows, patients, rng))
    told = statistics.replicate_interval(means.mean(), np.mean(replicates, 0), n=len(means))
    return told, "patients and draws"


def measured(family: datasets.Family, tasks: np.ndarray, targets, bars, scaling: str) -> dict:
    """Scores of the target tasks by what is measured; pooled models see `tasks` but the target."""
    found = {what: [] for what in bars}
    x = whole_table(family.x) if scaling == "whole table" else None
    for t in targets:
        mine, others = family.task == t, np.isin(family.task, tasks[tasks != t])
        if scaling == "sources":
            x = datasets.scaled(family, others).astype(np.float64)
        rows, fit = family.items[mine], family.items[others]
        y_all = np.empty(len(x), np.int32)
        y_all[family.items] = family.y  # an item has one row here
        own, labels = x[rows], y_all[rows]
        for what in bars:
            one = (pooled(x, y_all, fit, rows) if what == POOLED
                   else target_only(own, labels, what, int(t)))  # fmt: skip
            if one is not None:
                found[what].append(one)
    return found


def only(family: datasets.Family, keep: np.ndarray) -> datasets.Family:
    """The rows `keep` of a family; items as they are."""
    return family._replace(y=family.y[keep], task=family.task[keep], item=family.items[keep])


def without(family: datasets.Family, prefix: str) -> datasets.Family:
    """A family without the columns that begin with `prefix`."""
    keep = np.array([not name.startswith(prefix) for name in family.columns])
    return family._replace(x=family.x[:, keep], columns=tuple(np.array(family.columns)[keep]))


def code_numbers(family: datasets.Family) -> datasets.Family:
    """Heart disease with every nominal as the number of its level and missing cholesterol as 0."""
    columns = {}
    for i, name in enumerate(family.columns):
        nominal, _, level = name.partition("=")
        value = family.x[:, i] * float(level or 1)
        columns[nominal] = columns.get(nominal, 0) + value
    columns["chol"] = np.nan_to_num(columns["chol"])
    return family._replace(x=np.stack(list(columns.values()), 1), columns=tuple(columns))


def with_other_diseases(family: datasets.Family, data_dir: str | None) -> datasets.Family:
    """BRFSS with the five other diseases of a respondent, labels of other tasks, as features."""
    path = loading.locate(datasets.DATASETS["brfss2020"], data_dir)["table"]
    table = reading.frame(path, (*brfss2020.DISEASES, *brfss2020.STRATUM))
    strata = {name.partition(" | ")[2] for name in family.task_names}
    age, race, sex = (table[name] for name in brfss2020.STRATUM)
    others = table.loc[(age + " | " + race + " | " + sex).isin(strata)]
    yes = np.stack([others[name].str.startswith("Yes") for name in brfss2020.DISEASES[1:]], 1)
    return family._replace(x=np.concatenate([family.x, yes], 1, dtype=np.float32), columns=())


def variants(name: str, data_dir: str | None) -> Iterator[tuple]:
    """(label, columns, family, tasks, scalings): as read, and what may explain a difference."""
    family = datasets.load(name, data_dir)
    every, both = np.arange(len(family.task_names)), ("whole table", "sources")
    if name == "brfss2020":
        heart = brfss2020.tasks_of(family, "HeartDisease")
        cases = np.bincount(family.task[family.y == 1], minlength=len(every))
        heart = heart[cases[heart] >= LEAST_CASES]
        more = with_other_diseases(family, data_dir)
        first, second = (only(each, np.isin(each.task, heart)) for each in (family, more))
        chosen = np.sort(np.random.default_rng(0).choice(heart, STRATA, replace=False))
        label = f"{name} HeartDisease, {{}} strata"
        yield label.format(STRATA), "all", first, chosen, both
        yield label.format(STRATA), "other diseases too", second, chosen, both[:1]
        yield label.format(f"all {len(heart)}"), "all", first, heart, both[:1]
        return
    yield name, "all", family, every, both
    if any(column.startswith(DISCHARGE) for column in family.columns):
        yield name, "no discharge", without(family, DISCHARGE), every, both[:1]
    if name == "heart_uci":
        yield name, "codes as numbers", code_numbers(family), every, both[:1]


def rows_of(name: str, data_dir: str | None) -> Iterator[list]:
    """The table's rows of one family."""
    bars = BARS[name]
    for label, columns, family, tasks, scalings in variants(name, data_dir):
        for scaling in scalings:
            targets = TARGETS.get(name, tasks)
            for what, scores in measured(family, tasks, targets, bars, scaling).items():
                found, over = interval(scores)
                bar = bars[what]
                inside = found.low - 5e-4 <= bar <= found.high + 5e-4  # the bar has three digits
                yield [
                    label, columns, scaling, what if what == POOLED else f"{what} labels",
                    f"{bar:.3f}", *(f"{v:.3f}" for v in (found.mean, found.low, found.high)), over,
                    "yes" if inside else "no", f"{found.mean - bar:+.3f}", len(scores),
                ]  # fmt: skip


NOTES = """\
`scaling`: whole table = medians, z-scores and missing-value flags over all rows, labels unused, as
the bars were; sources = this package's own, fitted on the source tasks. `columns`: all = those of
the family. `low`, `high`: 95 %; from 10 tasks on a bootstrap over tasks, below it over patients and
draws, for these tasks only. `within`: the bar, known to three digits, lies inside; that the bar has
an error of its own is not counted. A task without k / 2 + 1 rows of each class is left out at k.
Columns, random draws and small-task rule of the bars are not known. Several variants were looked
at: a variant that comes near a bar is a possible explanation, not a finding. Scaling hardly
matters.

support2: below every bar by about .01, by .02 at 32 and 64 labels, where the interval misses it.
Unexplained. diabetes130: the pooled bars are met without the discharge destination, which this
package keeps because it is known at the moment of prediction; with it pooled AUROC is .05 higher.
Target-only bars lie mostly between both. heart_uci: pooled is above its bar. With every nominal as
one number and missing cholesterol as the 0 it has in the files it comes nearer, but 16 labels move
away. brfss2020: which strata the bar took is inferred (71 have 40 cases, as many as it names; 24 of
them by numpy's seed 0). Target-only bars are met by the nine columns as they are; the pooled bar
only with the other five diseases as features, which are labels of other tasks, and then the
target-only scores are too high: the two kinds of bar need not rest on one set of columns."""


@surroundings.guarded
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, default=Path("results/reproductions"))
    options = parser.parse_args()
    start, rows = time.perf_counter(), []
    with threadpool_limits(1):
        for name in BARS:
            for row in rows_of(name, options.data_dir):
                rows.append(row)
                print(*row, flush=True)
    seconds = time.perf_counter() - start
    command, commit = reproduction.origin([datasets.CARDS[name] for name in BARS])
    page = ["# Clinical families: logistic regression, mean AUROC over tasks", "",
            *reproduction.table(HEADER, rows), "", NOTES, "",
            f"`{command}`, commit {commit}, {seconds:.0f} s, one thread."]  # fmt: skip
    reproduction.write(options.out, "families", HEADER, rows, "\n".join(page))
    return 0


if __name__ == "__main__":
    sys.exit(main())
