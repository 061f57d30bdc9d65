"""Genomics bars measured elsewhere, measured again on our families: held-out tasks, mean AUROC.

    python scripts/reproduce_genomics.py [--data-dir DIR] [--out results/reproductions]

Logistic regression (C = 0.1) throughout. Nucleotide sequences are their 4-mer counts. A variant is
described twice: by the window around it, the new residue (both one-hot) and the change of residue
properties; and by a summary, which has the composition and mean properties of the window instead.
Pooled: trained on other tasks' rows, no label of the target. From scratch: k rows a class of the
target, nothing else. Half: half of the target's row groups. Row groups are never on both sides.
"""

from metajax import surroundings

surroundings.check()

import argparse
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import reproduction
from sklearn.metrics import roc_auc_score

from metajax import baselines, datasets, statistics
from metajax.datasets.genomics import proteins

# (family, shots a class: bar); the bars rest on one random split of the tasks that is not known.
BARS = {
    "humsavar": {"pooled": 0.731, 3: 0.611},
    "rbp31": {"pooled": 0.686, 5: 0.655, 20: 0.688, "half": 0.735},
    "deepbind": {"pooled": 0.736, 5: 0.557, 20: 0.607, "half": 0.749},
}
TITLES = {"pooled": "pooled zero-shot", "half": "half of the task's own data"}
FOLDS = 5
DRAWS = {"shots": 10, "half": 3}
HEADER = ("family", "what", "features", "grouped", "bar", "tasks_of", "mean", "low", "high",
          "split_low", "split_high", "within", "tasks", "units", "undefined", "cpu_s")  # fmt: skip
NOTES = """\
`family test`: the family's own meta-test tasks; pooled models are trained on its meta-train and
meta-validation tasks. `all`: every task, for pooled models held out in one of 5 folds of split
units. `low`, `high`: 95 %, bootstrap over split units (below 10 units: these tasks only).
`split_low`, `split_high`: where 95 % of the means over a random fifth of the units lie, because a
bar is the mean over one such draw. `within`: is the bar inside that range, or, for the family test,
inside the interval? `grouped`: are row groups kept out of one of support and query? k shots are k
rows of each class. `cpu_s`: processor seconds of both rows of a measurement.

The bars come from one random split of the tasks each, which is not known; nor are their features
beyond "4-mers", their regularisation and their draws. None of these was fitted to the bars, except
that the summary of variants was added after the window alone had missed the pooled bar.

rbp31 and deepbind: scores of single tasks reach from chance to above .9, so a mean over four units
moves by a tenth: this is why `family test` misses bars that `all` contains, and why agreement here
is a weak test. The pooled bars agree best. Target-only scores over all tasks are above their bars
by .03 to .08, outside the bootstrap interval but inside what a single split can give: either the
split of the bars held harder tasks than the average, or their features or scaling differ; what is
known does not tell which. humsavar: the pooled bar comes out with the summary, not with the window
position by position, from which a linear model learns little about other genes. The 3-shot bar is
not reproduced over all genes: ours is lower with either description. Keeping residue positions
apart explains less than .02 of it; the rest would be features or choice of genes."""


def kmer_counts(codes: np.ndarray, k: int = 4) -> np.ndarray:
    """(I, 4 ** k) float32 counts of the words of k letters; words with an unknown letter are not
    counted."""
    codes = codes.astype(np.int32)
    width = codes.shape[1] - k + 1
    word, known = np.zeros((len(codes), width), np.int32), np.ones((len(codes), width), bool)
    for j in range(k):
        letter = codes[:, j : j + width]
        word, known = 4 * word + letter, known & (letter < 4)
    cell = np.arange(len(codes))[:, None] * 4**k + word
    return np.bincount(cell[known], minlength=len(codes) * 4**k).reshape(-1, 4**k).astype("f4")


def variant_features(x: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Two descriptions of variants: (I, 843) and (I, 69) float32."""
    onehot = np.eye(21, 20, dtype=np.float32)
    scaled = np.pad(proteins.PROPERTIES / proteins.PROPERTIES.std(0), ((0, 1), (0, 0)))
    window, variant = onehot[x["window"]], onehot[x["variant"]]
    change = scaled[x["variant"]] - scaled[x["reference"]]
    whole = [window.reshape(len(change), -1), variant, change]
    summary = [onehot[x["reference"]], variant, change, abs(change), window.mean(1),
               scaled[x["window"]].mean(1)]  # fmt: skip
    return {"window": np.concatenate(whole, 1), "summary": np.concatenate(summary, 1)}


def auroc(y: np.ndarray, told: np.ndarray) -> float:
    """AUROC of log-probabilities (q, 2), NaN where the query has one class."""
    return roc_auc_score(y, told[:, 1] - told[:, 0]) if 0 < y.sum() < len(y) else np.nan


def pooled(x, y, task, group, fit: np.ndarray, targets: np.ndarray) -> dict[int, float]:
    """AUROC of every target task under one model of the tasks `fit`."""
    held = np.isin(task, targets)
    rows = np.isin(task, fit) & ~np.isin(group, group[held])
    predict = baselines.POOLED["pooled_lr"](x[rows], y[rows], seed=0)
    return {int(t): auroc(y[task == t], predict(x[task == t])) for t in targets}


def draws(y, group, what, rng) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Support and query rows of one task: k of each class from different groups, or half."""
    for _ in range(DRAWS["half" if what == "half" else "shots"]):
        if what == "half":
            names = rng.permutation(np.unique(group))
            support = np.flatnonzero(np.isin(group, names[: len(names) // 2]))
        else:
            order = rng.permutation(len(y))
            order = order[np.sort(np.unique(group[order], return_index=True)[1])]
            support = np.concatenate([order[y[order] == c][:what] for c in (0, 1)])
        yield support, np.flatnonzero(~np.isin(group, group[support]))


def target_only(x, y, group, what, seed: int) -> float:
    """Mean AUROC of one task's draws."""
    scores = []
    for support, query in draws(y, group, what, np.random.default_rng([seed, 7])):
        if len(support) < (2 if what == "half" else 2 * what) or len(set(y[support])) < 2:
            continue  # one residue position holds most of a class
        told = baselines.TARGET_ONLY["lr_c0.1"](x[support], y[support], x[query], seed=0, classes=2)
        scores.append(auroc(y[query], told))
    scores = np.array(scores)
    return scores[np.isfinite(scores)].mean() if np.isfinite(scores).any() else np.nan


def random_fifths(scores: np.ndarray, units: np.ndarray) -> tuple[float, float]:
    """Central 95 % of the mean over the tasks of a random fifth of the units."""
    means = statistics.cluster_means(scores, units)
    means = means[np.isfinite(means)]
    fifth = max(1, round(len(means) / 5))
    mixed = np.random.default_rng(0).permuted(np.tile(means, (2000, 1)), axis=1)[:, :fifth]
    low, high = np.quantile(mixed.mean(1), [0.025, 0.975])
    return float(low), float(high)


def rows_of(name: str, data_dir: str | None) -> Iterator[dict]:
    """The table's rows of one family."""
    family = datasets.load(name, data_dir)
    described = ({"4-mers": kmer_counts(family.x)} if isinstance(family.x, np.ndarray)
                 else variant_features(family.x))  # fmt: skip
    for what, bar in BARS[name].items():
        # The bars' draws may have kept no groups: of variants, few-shot is also measured without.
        ways = [(features, grouped) for features in described for grouped in (True, False)
                if grouped or (isinstance(what, int) and len(described) > 1)]  # fmt: skip
        for features, grouped in ways:
            start = time.process_time()
            group = family.groups if grouped else np.arange(len(family.y))
            found = scores_of(family, described[features][family.items], group, what)
            seconds = time.process_time() - start
            for scope, scores in found.items():
                told, units = np.array(list(scores.values())), family.units[list(scores)]
                mean = statistics.cluster_bootstrap(told, units, np.random.default_rng(0))
                fifth = random_fifths(told, units) if scope == "all" else ()
                low, high = fifth or (mean.low, mean.high)
                ends = [mean.mean, mean.low, mean.high, *(fifth or (np.nan, np.nan))]
                values = (
                    name, TITLES.get(what, f"{what}-shot from scratch"), features,
                    "yes" if grouped else "no", f"{bar:.3f}", scope,
                    *(f"{v:.3f}" if np.isfinite(v) else "" for v in ends),
                    "yes" if low <= bar <= high else "no", len(told), mean.n, mean.undefined,
                    f"{seconds:.1f}",
                )  # fmt: skip
                yield dict(zip(HEADER, values, strict=True))


def scores_of(family, x: np.ndarray, group: np.ndarray, what) -> dict[str, dict[int, float]]:
    """AUROC by task, of the family's test tasks and of all; `x` and `group` by row."""
    y, task, every = family.y, family.task, np.arange(len(family.task_names))
    test = every[family.split == 2]
    if what == "pooled":
        order = np.random.default_rng(0).permutation(family.units.max() + 1)
        fold = order[family.units] % FOLDS
        parts = [pooled(x, y, task, group, every[fold != f], every[fold == f])
                 for f in range(FOLDS)]  # fmt: skip
        one = pooled(x, y, task, group, every[family.split < 2], test)
        return {"family test": one, "all": {t: v for p in parts for t, v in p.items()}}
    rows = {int(t): np.flatnonzero(task == t) for t in every}
    scores = {t: target_only(x[r], y[r], group[r], what, t) for t, r in rows.items()}
    return {"family test": {t: scores[t] for t in test.tolist()}, "all": scores}


@surroundings.guarded
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, default=Path("results/reproductions"))
    options = parser.parse_args()
    start, rows, absent = time.process_time(), [], []
    for name in BARS:
        if name not in datasets.DATASETS:
            absent.append(name)
            continue
        rows += rows_of(name, options.data_dir)
    seconds = time.process_time() - start
    command, commit = reproduction.origin([datasets.CARDS[n] for n in BARS if n not in absent])
    rows = [list(row.values()) for row in rows]
    lines = ["# Genomics: held-out tasks, mean AUROC", "", *reproduction.table(HEADER, rows)]
    lines += ["", NOTES, "", *(f"Not measured: {name} is no data set here." for name in absent)]
    lines += [f"`{command}`, commit {commit}, {seconds:.0f} processor seconds."]
    reproduction.write(options.out, "genomics", HEADER, rows, "\n".join(lines))
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    warnings.simplefilter("error")
    sys.exit(main())
