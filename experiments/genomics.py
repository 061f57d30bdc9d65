"""Genomics: given k labelled sequences or variants of a new mark, protein or gene, which method?

    python experiments/genomics.py --preset=smoke
    python experiments/genomics.py --preset=full --data-dir=DIR
    python experiments/genomics.py --learner=maml --benchmark=idna_ms --shots=16 --seed=0

A task is a DNA modification in a species (`idna_ms`), a transcription factor (`deepbind`,
`gue_tf`), an RNA-binding protein (`rbp31`), a gene with pathogenic and benign variants (`humsavar`)
or a deep mutational scan (`proteingym`, regression). Near-duplicate sequences, species, factors and
proteins are never on two sides of a meta-split. smoke takes a minute, full many hours on 2 cores.
"""

from metajax import surroundings

surroundings.check()

import dataclasses
import sys

from metajax import commands, suites
from metajax.benchmarks import Benchmark
from metajax.config import Encoder, Train
from metajax.suites import REGRESSION_METHODS, Entry
from metajax.tasks.decoding import chain, nucleotides, standardise_targets, variants

SUITE = "genomics"
SHOTS = (8, 16, 32, 64)
CONV = Encoder((32,), name="conv1d")
MLP = Encoder((64, 64), skip=False)
DNA = {"prepare": nucleotides, "encoder": CONV, "train": Train(tasks_per_step=8)}
ENTRIES = (
    Entry("idna_ms", "splits", SHOTS, **DNA),
    Entry("deepbind", "splits", SHOTS, **DNA),
    Entry("rbp31", "splits", SHOTS, **DNA),
    Entry("gue_tf", "splits", SHOTS, **DNA),
    Entry("gue_emp", "splits", SHOTS, **DNA),
    Entry("cnnprom", "leave_one_out", SHOTS, **DNA),
    Entry("humsavar", "splits", (4, 8), prepare=variants, encoder=MLP, least=5),
    Entry(
        "proteingym", "splits", SHOTS, prepare=chain(variants, standardise_targets),
        encoder=MLP, methods=REGRESSION_METHODS,
    ),
)  # fmt: skip
PRESETS = {
    "smoke": dataclasses.replace(commands.SMOKE, benchmark=("deepbind", "humsavar")),
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
