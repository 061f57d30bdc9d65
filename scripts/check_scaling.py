"""What scaling on whole tables, the held-out task included, would change: target-only regression.

    python scripts/check_scaling.py [--data-dir DIR]

The same test episodes and logistic regression (C = 0.1), once scaled by the source tasks (our
protocol) and once by all rows. Prints the mean AUROC over tasks and 20 balanced draws.
"""

from metajax import surroundings

surroundings.check()

import argparse
import sys
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from metajax import baselines, datasets, suites
from metajax.benchmarks import episode_key
from metajax.evaluation import draw
from metajax.tasks import choose

sys.path.insert(0, str(Path(__file__).parent.parent / "experiments"))
import disease_prediction as suite  # noqa: E402


def mean_auroc(x: np.ndarray, y: np.ndarray, episodes) -> float:
    """The mean over episodes of logistic regression on the rows that they name."""
    scores = []
    rows = (part.info["row"] for part in episodes)
    for support, query in zip(*rows, strict=True):
        support, query = support[support >= 0], query[query >= 0]
        told = baselines.TARGET_ONLY["lr_c0.1"](x[support], y[support], x[query], seed=0)
        scores.append(roc_auc_score(y[query], told[:, 1] - told[:, 0]))
    return float(np.mean(scores))


@surroundings.guarded
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--data-dir")
    data_dir = parser.parse_args().data_dir
    for name in ("heart_uci", "support2"):
        table = datasets.load(name, data_dir)
        whole = datasets.scaled(table, np.ones(len(table.y), bool))
        benchmark = suite.build(name, suites.find(suite.ENTRIES, name).shots, data_dir)
        for shots in benchmark.shots:
            ours, theirs = [], []
            for fold in benchmark.folds:
                source = choose(fold.test, shots=shots, draw="balanced")
                episodes = draw(source, episode_key(benchmark, shots, 1), tasks=20, batch=20)
                ours.append(mean_auroc(np.asarray(fold.test.data.x), table.y, episodes))
                theirs.append(mean_auroc(whole, table.y, episodes))
            gap = np.mean(theirs) - np.mean(ours)
            print(f"{name} k={shots}: sources {np.mean(ours):.4f}, whole table {gap:+.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
