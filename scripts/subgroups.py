"""Scores of a suite's methods by a column of its tables: for which patients do they work?

    python scripts/subgroups.py disease_prediction --by age --bands 40 60 75
    python scripts/subgroups.py disease_prediction --by task         by hospital or disease

For runs whose predictions were kept (predictions.npz, which git ignores): natural draws, all seeds
of a learner together, at the largest number of shots unless another is named. Writes
results/SUITE/by_COLUMN.md.
"""

from metajax import surroundings

surroundings.check()

import argparse
import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metajax import datasets, disk, recorded, suites, tables
from metajax.subgroups import bands, by_group, markdown
from metajax.types import TaskSpec

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
VALUES = 10  # numbers of more values are put into quarters
SCORES = {"multiclass": ("auroc", "brier", "ece"), "regression": ("mse", "spearman")}


def entries(suite: str) -> Sequence[suites.Entry]:
    """The benchmarks of a suite's script.

    Raises:
      ValueError: if there is no such script, or it has none.
    """
    name = surroundings.suite_name(suite).removeprefix("smoke-")
    path = EXPERIMENTS / f"{name}.py"
    if not name.isidentifier() or not path.is_file() or "ENTRIES" not in path.read_text():
        raise ValueError(f"{suite}: experiments/{name}.py is no script of a suite")
    sys.path.append(str(EXPERIMENTS))
    spec = importlib.util.spec_from_file_location(name, path)
    script = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script.ENTRIES


def groups(family: datasets.Family, column: str, edges: Sequence[float]) -> np.ndarray | None:
    """The group (R,) of every row; None if the family has no such column."""
    if column == "task":
        return np.array(family.task_names)[family.task]
    if column not in family.columns:
        return None
    values = np.asarray(family.x[family.items, family.columns.index(column)], np.float64)
    seen = values[~np.isnan(values)]
    if edges or len(np.unique(seen)) > VALUES:
        return bands(values, edges or np.unique(np.quantile(seen, (0.25, 0.5, 0.75))))
    return np.array(["missing" if np.isnan(v) else f"{v:g}" for v in values])


def stacked(kept: dict, scores: dict, shots: int) -> tuple[np.ndarray, ...]:
    """Outputs, labels, mask (E, Q, C) and rows (E, Q) of the natural episodes at some shots."""
    wanted = np.flatnonzero((scores["shots"] == shots) & (scores["draw"] == 0))
    ends = np.cumsum(kept["queries"])
    longest = max((int(kept["queries"][e]) for e in wanted), default=0)
    shape = (len(wanted), longest, kept["y"].shape[1])
    outputs, y, mask = (np.zeros(shape, np.float32) for _ in range(3))
    row = np.zeros(shape[:2], np.int64)
    for i, e in enumerate(wanted):
        part, count = slice(ends[e] - kept["queries"][e], ends[e]), int(kept["queries"][e])
        outputs[i, :count], y[i, :count] = kept["outputs"][part], kept["y"][part]
        mask[i, :count], row[i, :count] = 1, kept["row"][part]
    return outputs, y, mask, row


def joined(parts: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    """The episodes of several runs, padded to one length."""
    longest = max(part[0].shape[1] for part in parts)
    padded = [
        [np.pad(a, [(0, 0), (0, longest - a.shape[1])] + [(0, 0)] * (a.ndim - 2)) for a in part]
        for part in parts
    ]
    return tuple(np.concatenate(arrays) for arrays in zip(*padded, strict=True))


def section(family, group, parts, title: str) -> str:
    """The table of one learner on one benchmark.

    Raises:
      ValueError: if the labels are not those of the family.
    """
    outputs, y, mask, row = joined(parts)
    there = mask[..., 0] > 0
    kind = "multiclass" if family.y.dtype.kind == "i" else "regression"
    if family.y.ndim > 1 or outputs.ndim > 3:
        return f"## {title}\n\nFindings and predicted variances are not scored by group.\n"
    told = y.argmax(-1) if kind == "multiclass" else y[..., 0]
    if row.max() >= len(family.y) or not np.allclose(told[there], family.y[row][there], atol=1e-3):
        raise ValueError(f"{title}: the kept rows are not those of the family at hand. Remedy: the "
                         "data of the run, or --again")  # fmt: skip
    found = by_group(
        TaskSpec(y.shape[-1], kind), outputs, y, mask, group[row], SCORES[kind],
        np.random.default_rng(0), clusters=family.groups[row], draws=400,
    )  # fmt: skip
    return f"## {title}\n\n{markdown(found)}"


def written(folder: Path, suite: str, args: argparse.Namespace) -> tuple[Path, list[str]]:
    """Writes the page; returns its path, and what was left out.

    Raises:
      ValueError: if nothing can be scored, saying why.
    """
    runs, left = tables.read_runs(folder)
    known = {entry.label: entry for entry in entries(suite)}
    parts: dict[tuple[str, str, int], list] = {}
    for run in runs:
        name = run.config["benchmark"]
        if "shots" not in run.scores or not (folder / "runs" / run.id / "predictions.npz").exists():
            left.append(f"{run.id}: its predictions were not kept")
            continue
        shots = args.shots or int(run.scores["shots"].max())
        kept = recorded.read_predictions(folder / "runs" / run.id, len(run.scores["shots"]))
        arrays = stacked(kept, run.scores, shots)
        if name not in known or not len(arrays[0]):
            left.append(f"{run.id}: no benchmark {name} with natural draws of {shots} shots")
            continue
        parts.setdefault((name, run.config["learner"], shots), []).append(arrays)
    pages: list[str] = []
    for (name, learner, shots), arrays in sorted(parts.items()):
        entry = known[name]
        family = suites.load(entry.family, args.data_dir)
        family = entry.transform(family) if entry.transform else family
        group = groups(family, args.by, args.bands)
        if group is None:
            left.append(f"{name} has no column {args.by!r}; it has {', '.join(family.columns)}")
            continue
        pages.append(section(family, group, arrays, f"{name}, {learner}, k = {shots}"))
    if not pages:
        why = list(dict.fromkeys(left or ["no runs"]))
        more = f"; and {len(why) - 5} more" if len(why) > 5 else ""
        raise ValueError(f"nothing to score: {'; '.join(why[:5])}{more}")
    path = folder / f"by_{re.sub(r'[^A-Za-z0-9]+', '_', args.by)}.md"
    head = f"# {suite} by {args.by}\n\nNatural draws, all seeds of a learner together. Intervals "
    head += "are by a bootstrap over patients, for these supports.\n\n"
    disk.write(path, head + "\n".join(pages))
    return path, list(dict.fromkeys(left))


@surroundings.guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("suite", metavar="SUITE", help="a folder of RESULTS")
    parser.add_argument("--by", required=True, metavar="COLUMN", help="of the tables; or: task")
    parser.add_argument("--bands", type=float, nargs="+", default=[], help="edges, rising")
    parser.add_argument("--shots", type=int, help="default: the largest of each run")
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    parser.add_argument("--data-dir", help="folder of the real data (default: METAJAX_DATA)")
    args = parser.parse_args(argv)
    try:
        bands(np.zeros(1), args.bands or (0,))  # before any run is read
        suite = surroundings.suite_name(args.suite)
        path, left = written(args.results / suite, suite, args)
    except (ValueError, OSError) as error:
        where = "--bands: " if str(error).startswith("edges of bands") else ""
        print(f"subgroups.py: {where}{error}", file=sys.stderr)
        return 2
    print(path)
    for message in left:
        print(f"subgroups.py: left out: {message}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
