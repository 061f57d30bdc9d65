"""Random forest and nearest neighbours on the 157 test tasks of FS-Mol, beside the published ones.

    python scripts/reproduce_fsmol.py [--out=results/reproductions]

Score: area under the precision-recall curve minus the queries' share of actives. Support stratified
to the class ratio of the task, all other rows are queries; one core. Writes fsmol.csv (summary),
fsmol_tasks.csv (every task) and fsmol.md.
"""

from metajax import surroundings

surroundings.check()

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import reproduction
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier

from metajax import datasets, disk
from metajax.datasets.drug import fsmol
from metajax.datasets.family import TEST

SIZES, DRAWS, RESAMPLES, PANEL = (16, 64), 3, 2000, "kinase panel"
MODELS = {
    "RF": lambda seed: RandomForestClassifier(n_estimators=100, random_state=seed),
    "kNN": lambda seed: KNeighborsClassifier(n_neighbors=5),
}
# Measured before on these files, one to three draws: all 157 tasks; correlation over tasks.
BARS = {("RF", 16): (0.111, 0.915), ("RF", 64): (0.178, 0.959), ("kNN", 16): (0.052, None),
        ("kNN", 64): (0.102, None)}  # fmt: skip


def draw(y, group, size, rng):
    """Support of `size` rows at the class ratio, whole groups; the rest are queries.

    A molecule measured twice in the task goes to one side: only its first row may be support, and
    its others are then nowhere.
    """
    once = np.unique(group, return_index=True)[1]
    ones = int(np.clip(round(size * y[once].mean()), 1, size - 1))
    support = np.concatenate(
        [
            rng.choice(once[y[once] == label], number, replace=False)
            for label, number in ((1, ones), (0, size - ones))
        ]
    )
    return support, np.flatnonzero(~np.isin(group, group[support]))


def measure(family):
    """One line per task, method and size: the mean score over the draws."""
    lines = []
    ends = np.searchsorted(family.task, np.arange(len(family.task_names) + 1))
    for task in np.flatnonzero(family.split == TEST):
        rows = slice(ends[task], ends[task + 1])
        x, y = family.x[family.items[rows]].astype(np.float32), family.y[rows]
        for size in SIZES:
            # Keyed by the task's name, so that neither the order nor the other tasks matter.
            number = int(family.task_names[task].removeprefix("CHEMBL"))
            scores = {name: [] for name in MODELS}
            for seed in range(DRAWS):
                rng = np.random.default_rng((number, size, seed))
                support, query = draw(y, family.groups[rows], size, rng)
                for name, make in MODELS.items():
                    outputs = make(seed).fit(x[support], y[support]).predict_proba(x[query])[:, 1]
                    area = average_precision_score(y[query], outputs)
                    scores[name].append(area - y[query].mean())
            for name, values in scores.items():
                lines.append((family.task_names[task], name, size, np.mean(values)))
    return pd.DataFrame(lines, columns=["task", "method", "support", "ours"])


def interval(values, clusters, seed=0):
    """95 % interval of the mean of `values` by a bootstrap over clusters."""
    codes = np.unique(clusters, return_inverse=True)[1]
    sums, sizes = np.bincount(codes, values), np.bincount(codes)
    picked = np.random.default_rng(seed).integers(0, len(sums), (RESAMPLES, len(sums)))
    return np.quantile(sums[picked].sum(1) / sizes[picked].sum(1), (0.025, 0.975))


def summary(tasks):
    """One line per method, size and set of tasks."""
    lines = []
    for (method, size), all_of in tasks.groupby(["method", "support"], sort=False):
        for name, mine in (
            ("all", all_of),
            (PANEL, all_of[all_of.panel]),
            ("other", all_of[~all_of.panel]),
        ):
            difference = (mine.ours - mine.published).to_numpy()
            # The panel is one set of molecules: its tasks are resampled, for want of sets.
            clusters = mine.task if name == PANEL else mine.cluster
            low, high = interval(difference, clusters)
            bar = BARS[method, size] if name == "all" else (None, None)
            lines.append(
                {
                    "method": method,
                    "support": size,
                    "tasks": name,
                    "n_tasks": len(mine),
                    "n_molecule_sets": mine.cluster.nunique(),
                    "ours": mine.ours.mean(),
                    "published": mine.published.mean(),
                    "difference": difference.mean(),
                    "low": low,
                    "high": high,
                    "correlation": np.corrcoef(mine.ours, mine.published)[0, 1],
                    "correlation_auprc": np.corrcoef(
                        mine.ours + mine.share, mine.published + mine.share
                    )[0, 1],
                    "measured_before": bar[0],
                    "correlation_before": bar[1],
                }
            )
    return pd.DataFrame(lines)


HEAD = ("method", "support", "tasks", "n (sets)", "ours", "published", "difference [95 %]",
        "per-task correlation (AUPRC)", "before: mean, correlation")  # fmt: skip
NOTES = f"""\
Area under the precision-recall curve minus the queries' share of actives. Input: ECFP4 counts.
Support stratified to the task's class ratio; all other molecules of the task are queries; {DRAWS}
draws. Ours: scikit-learn defaults, 100 trees; 5 neighbours, Euclidean; no search. Published: both
with a grid search within the support, so the two need not agree; a forest of default depth is above
the searched one, mostly off the panel at 16. Difference: ours minus published, paired by task;
interval: bootstrap over the sets of molecules, on the panel (one set)
over its tasks, so it speaks of these tasks only. Correlation over tasks of the scores, in brackets
of AUPRC itself. Before: measured earlier on the same files, with other draws; its correlation was
that of AUPRC or of the scores, which is not known."""


def page(table):
    """The table in Markdown."""
    lines = ["# FS-Mol: random forest and nearest neighbours, ours and published", "", NOTES, ""]
    rows = []
    for row in table.itertuples():
        known = [row.measured_before, row.correlation_before]
        rows.append([
            row.method, row.support, row.tasks, f"{row.n_tasks} ({row.n_molecule_sets})",
            f"{row.ours:.3f}", f"{row.published:.3f}",
            f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}]",
            f"{row.correlation:.3f} ({row.correlation_auprc:.3f})",
            ", ".join(f"{each:.3f}" for each in known if pd.notna(each)),
        ])  # fmt: skip
    how = table.iloc[0]
    lines += [*reproduction.table(HEAD, rows), ""]
    lines += [f"`{how.command}`, commit {how.commit}, {how.seconds:.0f} s, one thread.", ""]
    return "\n".join(lines)


@surroundings.guarded
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--data-dir", default=None)
    parser.add_argument("--out", type=Path, default=Path("results/reproductions"))
    flags = parser.parse_args()
    start = time.perf_counter()
    family = datasets.load("fsmol", flags.data_dir)
    tasks = measure(family)
    number = {name: i for i, name in enumerate(family.task_names)}
    at = tasks.task.map(number).to_numpy()
    tasks["panel"], tasks["cluster"] = fsmol.panel(family)[at], family.clusters[at]
    theirs = fsmol.published(flags.data_dir)
    theirs["published"] = theirs.auprc - theirs.frac_pos_test
    theirs = theirs.rename(columns={"frac_pos_test": "share"})
    columns = ["task", "method", "support", "published", "share"]
    tasks = tasks.merge(theirs[columns], how="left", on=["task", "method", "support"])
    tasks = tasks.sort_values(["method", "support", "task"], ascending=[False, True, True])
    command, commit = reproduction.origin([family.card])
    seconds = round(time.perf_counter() - start)
    table = summary(tasks).assign(command=command, commit=commit, seconds=seconds)
    flags.out.mkdir(parents=True, exist_ok=True)
    disk.write_all({
        flags.out / "fsmol_tasks.csv": tasks.round(6).to_csv(index=False),
        flags.out / "fsmol.csv": table.round(6).to_csv(index=False),
        flags.out / "fsmol.md": page(table),
    })
    print(page(table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
