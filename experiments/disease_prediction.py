"""Disease prediction: given k labelled patients of a new disease or hospital, which method?

    python experiments/disease_prediction.py --preset=quickstart
    python experiments/disease_prediction.py --preset=full --data-dir=DIR
    python experiments/disease_prediction.py --learner=maml --benchmark=heart_uci --shots=16

`sklearn_tables` meta-trains on random clinical tables and is tested on the two real ones that
ship with scikit-learn: nothing to download. The other benchmarks are below; docs/families says what
their tasks are. A preset runs every method with every seed and writes results/<suite>/table.md,
table.csv and report.html: smoke takes a minute, quickstart about 4 minutes on 2 cores, full many
hours (name a benchmark or methods to do a part). An interrupted command goes on where it stopped.
"""

from metajax import surroundings

surroundings.check()

import dataclasses
import sys

from metajax import commands, suites
from metajax.benchmarks import Benchmark
from metajax.config import Encoder
from metajax.learners import LEARNERS
from metajax.suites import CLASS_METHODS, WORLD_METHODS, Entry
from metajax.tasks.decoding import bind
from metajax.tasks.schemas import features_by_support, select_by_support
from metajax.tasks.standardise import standardise_by_support

SUITE = "disease_prediction"
SHOTS = (8, 16, 32, 64)
COLUMNS = bind(select_by_support, width=32)
# Tables of differing columns share no labels either: nothing can be pooled over them.
ENTRIES = (
    Entry(
        "sklearn_tables", "world", (4, 8, 16, 32), prepare=standardise_by_support,
        methods=WORLD_METHODS,
    ),
    # Switzerland (2) has 8 patients without disease: a source, never a target.
    Entry("heart_uci", "leave_one_out", (8, 16, 32), targets=(0, 1, 3), queries=None),
    Entry("support2", "leave_one_out", SHOTS, queries=None),
    Entry("diabetes130_specialty", "leave_one_out", (8, 16, 32), folds=5),
    Entry("diabetes130_chapter", "leave_one_out", (8, 16, 32), folds=5),
    Entry("brfss2020", "splits", SHOTS),
    Entry("impact_tbi15", "leave_one_out", (8, 16, 32), folds=5),
    Entry("gusto_regions", "leave_one_out", SHOTS, folds=4),
    Entry("metabric_clin_mut", "leave_one_out", (8, 16, 32)),
    Entry("chapman_ecg_features", "leave_one_out", (8, 16, 32), folds=6, shared="divide"),
    Entry("myocardial_infarction", "leave_one_out", (8, 16), folds=4, shared="divide"),
    Entry("disease_tables", "splits", (4, 8, 16, 32), prepare=COLUMNS, methods=CLASS_METHODS),
    Entry(
        "disease_tables", "splits", (4, 8, 16, 32), name="disease_tables_as_sets",
        prepare=bind(features_by_support, width=32), encoder=Encoder((32,), name="set"),
        methods=tuple(m for m in CLASS_METHODS if m in LEARNERS),
    ),
    Entry(
        "survival", "splits", (4, 8, 16, 32), prepare=bind(select_by_support, width=16),
        methods=CLASS_METHODS,
    ),
    Entry("microarray", "splits", (10, 20), prepare=COLUMNS, methods=CLASS_METHODS, least=4),
)  # fmt: skip
PRESETS = {
    "smoke": dataclasses.replace(commands.SMOKE, benchmark=("sklearn_tables", "disease_tables")),
    "quickstart": commands.Flags(preset="quickstart", benchmark=("sklearn_tables",)),
    "full": commands.Flags(),
}


def build(name: str, shots: tuple[int, ...], data_dir: str | None) -> Benchmark:
    """Builds a benchmark of this suite by name."""
    return suites.build(ENTRIES, name, shots, data_dir)


@surroundings.guarded
def main() -> int:
    """Runs what the flags ask for."""
    return commands.main(SUITE, ENTRIES, PRESETS, build)


if __name__ == "__main__":
    sys.exit(main())
