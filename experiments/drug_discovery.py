"""Drug discovery: given k measured molecules of a new assay, side effect or kinase, which method?

    python experiments/drug_discovery.py --preset=smoke
    python experiments/drug_discovery.py --preset=full --data-dir=DIR
    python experiments/drug_discovery.py --learner=ridge --benchmark=fsmol --shots=16 --seed=0

Molecules are ECFP4 counts. The tasks of Tox21, SIDER, MUV and ToxCast label the same molecules:
each has two benchmarks, `<name>_published` (meta-test tasks re-use the molecules of meta-training,
as in the papers) and `<name>` (the molecules are divided between the meta-splits). smoke takes a
minute, full many hours on 2 cores.
"""

from metajax import surroundings

surroundings.check()

import dataclasses
import sys

from metajax import commands, suites
from metajax.benchmarks import Benchmark
from metajax.config import Encoder, Train
from metajax.suites import Entry
from metajax.tasks.decoding import fingerprints

SUITE = "drug_discovery"
OWN = {
    "prepare": fingerprints,
    "encoder": Encoder((256, 128), name="fingerprint"),
    "train": Train(tasks_per_step=8, lr=0.001),
}
ENTRIES = (
    Entry("fsmol", "splits", (16, 32, 64), **OWN),
    Entry("fsmol", "splits", (16, 32, 64), name="fsmol_published", shared="shared", **OWN),
    *(
        entry
        for name in ("tox21", "sider", "toxcast", "muv")
        for entry in (
            Entry(name, "splits", (10, 20), shared="divide", **OWN),
            Entry(name, "splits", (10, 20), name=f"{name}_published", shared="shared", **OWN),
        )
    ),
    Entry("davis", "splits", (8, 16), shared="shared", name="davis_published", **OWN),
)
PRESETS = {
    "smoke": dataclasses.replace(commands.SMOKE, benchmark=("tox21", "sider_published")),
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
