"""Do the intervals of `metajax compare` hold the truth as often as they say?

    python scripts/compare_coverage.py        a minute or two; results/estimator/coverage.md

Simulated populations: five columns of noise, three of them moved by the disease, 35 % diseased; the
method is the difference of class means. The truth is the mean score over files of 4,000 patients.
"""

from metajax import surroundings

surroundings.check()

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.special import expit

from metajax import disk
from metajax.bedside import episodes, intervals, scores

# Patients of a file, of whom so many are labelled.
CASES = ((40, 8), (60, 16), (60, 28), (150, 32))
MOVED = 0.5 * np.array([1.0, 0.6, 0.3, 0.0, 0.0])
METRICS = ("auroc", "log_loss", "brier")


def population(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Patients (N, 5) and their classes (N,)."""
    y = (np.arange(count) < 0.35 * count).astype(int)
    return rng.normal(size=(count, 5)) + y[:, None] * MOVED, y


def tallies(x, y, k: int, draws: int, rng: np.random.Generator) -> dict[str, intervals.Tally]:
    """Scores of the method on draws of k labelled patients, by metric."""
    group = np.arange(len(y))
    stratum = episodes.strata(y, group, 2)
    given = episodes.shares(stratum, k)
    inside, judged = np.zeros((2, draws, len(y)), bool)
    told = {metric: ([], np.zeros((draws, len(y)))) for metric in METRICS}
    for e in range(draws):
        one = episodes.draw(stratum, group, given, rng)
        inside[e, one.support], judged[e, one.query] = True, True
        z, label = x[one.support], y[one.support]
        sick, well = z[label == 1].mean(0), z[label == 0].mean(0)
        p = expit(x[one.query] @ (sick - well) - (sick @ sick - well @ well) / 2)
        found = scores.of_classes(np.stack([1 - p, p], 1), y[one.query])
        for metric, (values, influence) in told.items():
            values.append(found[metric].value)
            influence[e, one.query] = found[metric].influence
    return {
        metric: intervals.Tally(np.array(values), influence, inside, judged, stratum)
        for metric, (values, influence) in told.items()
    }


def row(patients: int, k: int, files: int, draws: int) -> list[str]:
    """A line of the table."""
    rng = np.random.default_rng([patients, k])
    large = [tallies(*population(rng, 4000), k, 6, rng) for _ in range(150)]
    truth = {metric: np.mean([one[metric].value.mean() for one in large]) for metric in METRICS}
    held = {metric: [] for metric in METRICS}
    alone = {metric: [] for metric in METRICS}
    for _ in range(files):
        for metric, tally in tallies(*population(rng, patients), k, draws, rng).items():
            one = intervals.estimate(tally)
            judged = one._replace(teaching=0 * one.teaching, noise=0.0)
            for kept, estimate in ((held, one), (alone, judged)):
                found = intervals.interval(estimate)
                kept[metric].append(found.low <= truth[metric] <= found.high)
    cells = [f"{np.mean(held[m]):.3f} ({np.mean(alone[m]):.3f})" for m in METRICS]
    return [str(patients), str(k), *cells]


@surroundings.guarded
def main() -> int:
    """Simulates, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=300, help="simulated files a line")
    parser.add_argument("--draws", type=int, default=40, help="draws of a file")
    parser.add_argument("--out", type=Path, default=Path("results/estimator"))
    flags = parser.parse_args()
    if flags.files < 1 or flags.draws < 2:
        return surroundings.fail("--files must be 1 or more, --draws 2 or more")
    head = ["patients", "labelled", *METRICS]
    rows = [head, ["---"] * len(head)]
    rows += [row(*case, flags.files, flags.draws) for case in CASES]
    page = "\n".join([
        "# Coverage of the intervals of compare", "",
        f"Share of {flags.files} simulated files whose 95 % interval holds the true score "
        f"({flags.draws} draws a file); in brackets, were only the judged patients resampled.", "",
        *("| " + " | ".join(line) + " |" for line in rows), "",
    ])  # fmt: skip
    flags.out.mkdir(parents=True, exist_ok=True)
    disk.write(flags.out / "coverage.md", page)
    sys.stdout.write(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
