"""Fusion: do genes help beside clinical data, in a hospital, cohort or cancer not seen before?

    python experiments/fusion.py --benchmark tcga_lung_tp53 tcga_lung_tp53_genes
    python experiments/fusion.py --preset=smoke --data-dir=DIR

Every question stands four times: with both modalities (one encoder each, joined), with clinical
data alone, with genes alone, and (`_gaps`) with both where half of the patients, drawn once, have
no genes. All four have the same patients, tasks and labels, but each draws its own episodes (their
key is the benchmark's name): differences between them are not paired. docs/families says what a
task is.
"""

from metajax import surroundings

surroundings.check()

import sys
from functools import partial

import numpy as np

from metajax import commands, suites
from metajax.benchmarks import Benchmark
from metajax.config import Encoder
from metajax.datasets import Family
from metajax.datasets.family import of_tasks
from metajax.suites import Entry

SUITE = "fusion"
GAPS = 0.5


def questions(family: Family, label: str) -> Family:
    """The tasks of one label, which are named 'label | hospital'."""
    return of_tasks(family, np.array([t.startswith(f"{label} |") for t in family.task_names]))


def alone(family: Family, modality: str, label: str = "") -> Family:
    """One modality as a table."""
    family = questions(family, label) if label else family
    return family._replace(x=family.x[modality])


def gaps(family: Family, label: str = "") -> Family:
    """Genes are missing in half of the patients (seed 0)."""
    family = questions(family, label) if label else family
    genes = family.x["genes"].copy()
    genes[np.random.default_rng(0).permutation(len(genes)) < GAPS * len(genes)] = np.nan
    return family._replace(x={**family.x, "genes": genes})


def entries(name: str, family: str, shots: tuple[int, ...], label: str = "", **more) -> list[Entry]:
    """The four benchmarks of one question."""
    both, told = Encoder((32, 32), name="clinical_genes"), {"label": label} if label else {}
    return [
        Entry(
            family, "leave_one_out", shots, name=name, encoder=both,
            transform=partial(questions, label=label) if label else None, **more,
        ),
        *(
            Entry(
                family, "leave_one_out", shots, name=f"{name}_{modality}",
                transform=partial(alone, modality=modality, **told), **more,
            )
            for modality in ("clinical", "genes")
        ),
        Entry(
            family, "leave_one_out", shots, name=f"{name}_gaps", encoder=both,
            transform=partial(gaps, **told), **more,
        ),
    ]  # fmt: skip


# In the lung a hospital is a target if it has at least 4 patients of each class; the last task
# are small hospitals together, a source only.
ENTRIES = (
    *entries("tcga_lung_tp53", "tcga_lung_sites", (4, 8), "TP53", targets=tuple(range(7))),
    *entries("tcga_lung_stk11", "tcga_lung_sites", (4, 8), "STK11", targets=(0, 1, 3, 4, 5)),
    *entries("tcga_lung_keap1", "tcga_lung_sites", (4, 8), "KEAP1", targets=(1, 2, 3, 4)),
    *entries("tcga_cancers_tp53", "tcga_cancers", (8, 16), "TP53", folds=5),
    *entries("tcga_cancers_dead24", "tcga_cancers", (8, 16), "dead24", folds=5),
    *entries("lung_directors4", "lung_directors4", (8, 16, 32)),
    *entries("breast7g", "breast7g_6cohorts", (8, 16, 32)),
)
PRESETS = {"smoke": commands.SMOKE, "full": commands.Flags()}


def build(name: str, shots: tuple[int, ...], data_dir: str | None) -> Benchmark:
    """Builds a benchmark of this suite by name."""
    return suites.build(ENTRIES, name, shots, data_dir)


@surroundings.guarded
def main() -> int:
    """Runs what the flags ask for."""
    return commands.main(SUITE, ENTRIES, PRESETS, build)


if __name__ == "__main__":
    sys.exit(main())
