"""Is the rule of `FewShotClassifier()` right? "auto" against single methods on real tables.

    python experiments/estimator.py --data-dir=DIR              a quarter of an hour, two cores
    python experiments/estimator.py --preset=smoke              seconds, no download, own folder
    python experiments/estimator.py --mode=tabulate             the page again, from tables.csv

Every method sees the same labelled rows of a table (`experiments/real_tables.py`; the classes in
their proportions) and judges the same other rows, through the estimator itself. Writes tables.csv,
summary.csv and table.md to results/estimator.
"""

from metajax import surroundings

surroundings.check()

import dataclasses
import sys
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import real_tables
from rich.console import Console
from rich.markdown import Markdown
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from metajax import commands, disk, sweeps
from metajax.estimator import methods
from metajax.statistics import cluster_bootstrap

SUITE = "estimator"
# Microarrays are left out: thousands of columns, of which the network is given 48.
FAMILIES = (
    "disease_tables", "heart_uci", "support2", "survival", "myocardial_infarction", "brfss2020",
    "gusto_regions", "impact_tbi15",
)  # fmt: skip
SITES = ("heart_uci", "gusto_regions", "impact_tbi15")  # one disease in several places
METHODS = ("auto", "pfn", "pfn+lr", "lr", "lr_c0.01", "lr_c1", "random_forest")
SCORES = {"auroc": (100, "AUROC, hundredths"), "log_loss": (1, "log-loss")}
CSV = {"index": False, "float_format": "%.6g", "lineterminator": "\n"}


@dataclasses.dataclass(frozen=True)
class Flags:
    """The rule of the estimator on real tables."""

    preset: Literal["smoke", "full"] = "full"
    """smoke: the tables of scikit-learn, one support size."""
    mode: Literal["evaluate", "tabulate"] = "evaluate"
    """evaluate; or only tabulate anew what was evaluated."""
    families: tuple[str, ...] = FAMILIES
    """Families of tables."""
    tables: int = 12
    """The most tables of a family, above 0."""
    shots: tuple[int, ...] = (8, 16, 32, 64, 128)
    """Labelled rows, 4 or more."""
    repeats: int = 1
    """Draws of every table and support size, above 0."""
    data_dir: str | None = None
    """Folder of the real data (default: METAJAX_DATA); absent files are downloaded."""
    results: str = "results"
    """Where the tables go."""


SMOKE = Flags(preset="smoke", families=("sklearn_tables",), shots=(8,), repeats=1)
PRESETS = {"full": Flags(), "smoke": SMOKE}


def judged(method: str, x: np.ndarray, y: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(Q,) probabilities of class 1."""
    if method == "lr_c1":  # scikit-learn's default strength, on the inputs of the other regressions
        fitted = methods.fit("lr", x, y, 2, 0)
        model = LogisticRegression(solver="newton-cholesky", max_iter=1000).fit(fitted.x, y)
        return model.predict_proba(fitted.scaling.table(asked))[:, 1]
    return methods.probabilities(methods.fit(method, x, y, 2, 0), asked)[:, 1]


def measure(table: real_tables.Table, flags: Flags) -> list[dict]:
    """A record for every draw and method."""
    records = []
    family = table.name.partition(":")[0]
    disease = family if family in SITES else table.disease
    for k in flags.shots:
        for draw in range(flags.repeats):
            sides = real_tables.split(table, k, "natural", draw)
            if sides is None:
                continue
            given, asked = (table.x[rows].astype(np.float64) for rows in sides)
            truth, weight = table.y[sides[1]], table.weight[sides[1]]
            alone = {}
            for method in METHODS:
                # auto is one of the others, and a mean of two is no new fit.
                parts = methods.parts_of(method, k) if method in methods.PARTS else (method,)
                for part in parts:
                    if part not in alone:
                        alone[part] = judged(part, given, table.y[sides[0]], asked)
                p = np.mean([alone[part] for part in parts], axis=0)
                records.append({
                    "table": table.name, "disease": disease, "seen": table.seen, "shots": k,
                    "draw": draw, "method": method,
                    "auroc": roc_auc_score(truth, p, sample_weight=weight),
                    "log_loss": log_loss(truth, np.clip(p, 1e-6, 1 - 1e-6), sample_weight=weight),
                })  # fmt: skip
    return records


def summary(records: pd.DataFrame) -> pd.DataFrame:
    """A row for each group of tables, support size, method and score: means over diseases.

    `minus` is the mean of auto minus the method, paired, with its 95 % interval over diseases.
    `shots` 0 is the mean over 8 to 64, of tables that have all of these.
    """
    rows = []
    groups = {"not seen by the prior's design": ~records.seen, "all": records.seen | True}
    for name, mine in groups.items():
        part = records[mine].groupby(["table", "disease", "shots", "method"], as_index=False).mean(
            numeric_only=True)  # fmt: skip
        small = part[part.shots <= 64]
        whole = small.groupby("table").shots.nunique()
        whole = small[small.table.isin(whole.index[whole == small.shots.nunique()])]
        whole = whole.groupby(["table", "disease", "method"], as_index=False).mean(
            numeric_only=True).assign(shots=0)  # fmt: skip
        for (k,), one in pd.concat([whole, part]).groupby(["shots"]):
            for score in SCORES:
                wide = one.pivot(index=["table", "disease"], columns="method", values=score)
                clusters = np.unique(wide.index.get_level_values("disease"), return_inverse=True)[1]
                for method in METHODS:
                    means = cluster_bootstrap(wide[method], clusters, np.random.default_rng(0))
                    gap = cluster_bootstrap(
                        (wide["auto"] - wide[method]).to_numpy(), clusters,
                        np.random.default_rng(0),
                    )  # fmt: skip
                    rows.append({
                        "tables": name, "shots": int(k), "score": score, "method": method,
                        "count": len(wide), "diseases": int(clusters.max()) + 1,
                        "mean": means.mean, "minus": gap.mean, "low": gap.low, "high": gap.high,
                    })  # fmt: skip
    return pd.DataFrame(rows)


def markdown(found: pd.DataFrame, repeats: int) -> str:
    """The page of a summary."""
    out = ["# estimator", "", "`FewShotClassifier()` (auto) against single methods on real tables, "
           "natural draws of k labelled rows: means over diseases of the mean over "
           f"{repeats} draw(s), and auto minus the method, paired, with 95 % intervals by "
           "bootstrap over diseases (a disease seen in several places counts once). lr is "
           "logistic regression with C = .1, lr_c1 with C = 1."]  # fmt: skip
    for (tables, score), part in found.groupby(["tables", "score"], sort=False):
        factor, words = SCORES[score]
        sizes = sorted(part.shots.unique(), key=lambda k: (k == 0, k))
        told = ["mean of 8 to 64" if k == 0 else f"k = {k}" for k in sizes]
        counts = part[part.method == "auto"].set_index("shots")
        out += ["", f"## Tables {tables}: {words}" if tables != "all" else f"## All: {words}", ""]
        rows = [["method", *told], ["---"] * (len(sizes) + 1)]
        for method in METHODS:
            one, cells = part[part.method == method].set_index("shots"), []
            for k in sizes:
                digits = 2 if factor == 100 else 4
                text = f"{factor * one['mean'][k]:.{digits}f}"
                if method != "auto":
                    gap = [factor * one[name][k] for name in ("minus", "low", "high")]
                    text += " ({:+.{d}f} [{:+.{d}f}, {:+.{d}f}])".format(*gap, d=digits)
                cells.append(text)
            rows.append([method, *cells])
        out += ["| " + " | ".join(row) + " |" for row in rows]
        out += ["", "Tables (diseases): " + ", ".join(
            f"{counts['count'][k]} ({counts.diseases[k]}) at {name}"
            for k, name in zip(sizes, told, strict=True)) + "."]  # fmt: skip
    return "\n".join(out) + "\n"


def tabulate(folder: Path) -> str:
    """Writes summary.csv and table.md from the tables.csv of a folder; returns the page."""
    records = pd.read_csv(folder / "tables.csv")
    found = summary(records)
    page = markdown(found, int(records.draw.max()) + 1)
    disk.write_all({folder / "summary.csv": found.to_csv(**CSV), folder / "table.md": page})
    return page


@surroundings.guarded
def main() -> int:
    """Evaluates, or only tabulates."""
    flags = commands.parse(Flags, PRESETS, default="full")
    if min(flags.tables, flags.repeats) < 1 or min(flags.shots, default=0) < 4:
        return commands.fail("--tables and --repeats must be 1 or more, --shots 4 or more")
    sweeps.keep_compiled()
    folder, console = commands.folder_of(flags, SUITE), Console()
    folder.mkdir(parents=True, exist_ok=True)
    if flags.mode == "evaluate":
        records = []
        for table in real_tables.tables(flags.families, flags.tables, flags.data_dir):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a table of a few gaps has columns without any
                records += measure(table, flags)
            disk.write(folder / "tables.csv", pd.DataFrame(records).to_csv(**CSV))
            console.print(f"{table.name}: {len(records)} records")
    console.print(Markdown(tabulate(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
