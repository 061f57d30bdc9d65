"""How far can a probability after k patients be believed, and what makes it honest?

    python experiments/uncertainty.py                     needs clinical data, 15 minutes, two cores
    python experiments/uncertainty.py --preset=smoke      without a download, a minute, own folder
    python experiments/uncertainty.py --mode=tabulate     the page again, from the committed numbers

Tables of real diseases as in `real_tables.py`: k labelled patients, drawn in proportion, judge up
to 240 others. Probabilities of five methods and of one ensemble are kept in predictions.npz, which
git ignores; what `uncertainty_tables.py` makes of them goes to tasks.csv, within.csv, sites.csv,
limits.csv and table.md in results/<suite>. metajax/estimator/limits.csv is a copy of limits.csv.
"""

from __future__ import annotations

from metajax import surroundings

surroundings.check()

import dataclasses
import io
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import real_tables
import uncertainty_page
import uncertainty_tables
from rich.console import Console
from rich.markdown import Markdown

from metajax import commands, disk, limits, sweeps
from metajax.estimator import methods

SUITE = "uncertainty"
DISEASES = (
    *("disease_tables", "heart_uci", "support2", "survival", "diabetes130_specialty"),
    "myocardial_infarction",
)
SITES = ("impact_tbi15", "gusto_regions")  # many hospitals of one disease
SINGLE = ("pfn", "lr_c0.1", "lr_cv", "random_forest", "class_mean")
ENSEMBLE = "pfn+lr"
METHODS = (SINGLE[0], ENSEMBLE, *SINGLE[1:])
QUERIES = 240
CROSS, FOLDS = ("pfn", "lr_c0.1"), 4  # fitted again without a fold


@dataclasses.dataclass(frozen=True)
class Flags:
    """How far can a probability after k patients be believed, and what makes it honest?"""

    preset: Literal["smoke", "full"] = "full"
    """smoke: tables that need no download; full: clinical data."""
    mode: Literal["measure", "analyse", "tabulate"] = "measure"
    """measure all; or analyse predictions.npz again; or only write the page again."""
    families: tuple[str, ...] = (*DISEASES, *SITES)
    """Families of tables."""
    tables: int = 16
    """The most tables of a family, above 0."""
    shots: tuple[int, ...] = (8, 16, 32, 64)
    """Labelled rows, 4 or more."""
    repeats: int = 2
    """Draws of every table and support size, above 0."""
    data_dir: str | None = None
    """Folder of the real data (default: METAJAX_DATA); absent files are downloaded."""
    results: str = "results"
    """Where predictions and tables go."""


SMOKE = Flags(preset="smoke", families=("sklearn_tables",), tables=2, shots=(16,), repeats=1)
PRESETS = {"full": Flags(), "smoke": SMOKE}


def judged(method: str, table: real_tables.Table, support, query, seed: int) -> np.ndarray:
    """Probabilities (Q,) of class 1, as `metajax.FewShotClassifier(method)` gives them."""
    x = table.x.astype(np.float64)
    fitted = methods.fit(method, x[support], table.y[support], 2, seed)
    return methods.probabilities(fitted, x[query])[:, 1]


def within(table, support, query, seed: int) -> Iterator[dict]:
    """Conformal sets from the support alone: split in two halves, and crosswise in four folds."""
    y = table.y[support]
    rank = np.zeros(len(y), int)
    for label in (0, 1):  # folds as even in their classes as can be
        rank[y == label] = np.arange((y == label).sum())
    for method, (name, fold) in itertools.product(
        CROSS, (("split", rank % 2), ("cross", rank % FOLDS))
    ):
        parts = fold.max() + 1 if name == "cross" else 1
        told, held = [], np.zeros(len(y))
        for k in range(parts):
            train, out = support[fold != k], support[fold == k]
            if len(np.unique(table.y[train])) < 2:
                break
            rows = np.concatenate([out, query])
            p = judged(method, table, train, rows, seed)
            held[fold == k], rest = p[: len(out)], p[len(out) :]
            told.append(rest)
        else:
            kept = slice(None) if name == "cross" else fold == 0
            quality = uncertainty_tables.cross_quality(
                held[kept], y[kept], fold[kept], np.stack(told), table.y[query],
                table.weight[query],
            )  # fmt: skip
            yield {"method": method, "way": name} | quality


def measure(flags: Flags, folder: Path, console: Console) -> None:
    """Keeps every method's probabilities for every episode, and the sets from supports alone."""
    episodes, probabilities, rows, inside = [], [], [], []
    for table in real_tables.tables(flags.families, flags.tables, flags.data_dir):
        family = table.name.partition(":")[0]
        unit = table.name if family in SITES else table.disease
        for k, repeat in itertools.product(flags.shots, range(flags.repeats)):
            sides = real_tables.split(table, k, "natural", repeat)
            if sides is None:
                continue
            support, query = sides[0], sides[1][:QUERIES]
            p = {m: judged(m, table, support, query, repeat) for m in SINGLE}
            p[ENSEMBLE] = np.mean([p[m] for m in methods.PARTS[ENSEMBLE]], axis=0)
            episodes.append({"family": family, "table": table.name, "unit": unit, "shots": k,
                             "repeat": repeat})  # fmt: skip
            probabilities.append(padded(np.stack([p[m] for m in METHODS])))
            rows.append(padded(np.stack([table.y[query], table.weight[query]])))
            if repeat == 0:
                inside += [episodes[-1] | one for one in within(table, *sides, repeat)]
        console.print(f"{table.name}: {len(episodes)} episodes so far")
    if not episodes:
        raise ValueError("no table is large enough for these shots")
    frame = pd.DataFrame(episodes)
    arrays = {name: frame[name].to_numpy(str if frame[name].dtype.kind not in "iu" else None)
              for name in frame}  # fmt: skip
    arrays |= {"p": np.stack(probabilities), "rows": np.stack(rows)}
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    disk.write_all({
        folder / "predictions.npz": stream.getvalue(),
        folder / "within.csv": pd.DataFrame(inside).to_csv(**real_tables.CSV),
    })  # fmt: skip


def padded(values: np.ndarray) -> np.ndarray:
    """(A, Q) float32 filled up with NaN to `QUERIES` columns."""
    wide = np.full((len(values), QUERIES), np.nan, np.float32)
    wide[:, : values.shape[1]] = values
    return wide


def run(flags: Flags, folder: Path, console: Console) -> None:
    """Does what the mode says, and all that follows from it."""
    if flags.mode == "measure":
        measure(flags, folder, console)
    if flags.mode != "tabulate":
        with np.load(folder / "predictions.npz", allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        found = uncertainty_tables.analyse(arrays, METHODS, SITES)
        every = uncertainty_tables.limits(arrays, METHODS, SITES)
        hospitals = [f for f in ("heart_uci", *SITES) if f in flags.families]
        moved = uncertainty_tables.hospitals(hospitals, flags.data_dir)
        disk.write_all({
            folder / "tasks.csv": found.to_csv(**real_tables.CSV),
            folder / "sites.csv": moved.to_csv(**real_tables.CSV),
            folder / "limits.csv": every.to_csv(**real_tables.CSV),
        })  # fmt: skip
    console.print(Markdown(uncertainty_page.tabulate(folder)))


@surroundings.guarded
def main() -> int:
    """Measures, analyses, tabulates."""
    flags = commands.parse(Flags, PRESETS, default="full")
    limits.positive({"tables": flags.tables, "repeats": flags.repeats})
    limits.positive({"shots": max(flags.shots, default=None)})
    if min(flags.shots, default=0) < 4:
        return commands.fail("--shots must be 4 or more")
    sweeps.keep_compiled()
    folder = commands.folder_of(flags, SUITE)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        run(flags, folder, Console())
    except (ValueError, OSError) as error:
        return commands.fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
