"""Imaging and signals: given k labelled images of new findings, which method?

    python experiments/imaging.py --preset=smoke
    python experiments/imaging.py --preset=full --data-dir=DIR
    python experiments/imaging.py --learner=protonet --benchmark=omniglot_5way --shots=1 --seed=0

N-way episodes, k images per class: handwritten characters (`omniglot_*`), rare retinal findings
(`odir_fundus`), and medical data sets of other organs and modalities (`cross_domain`: a fixed
split, and `cross_domain_without_<family>`: leave one out). Heart beats (`mitbih`): k labelled beats
of a new patient in all. Support and query come from different patients, lesions or time blocks.
smoke takes a minute, full many hours on 2 cores.
"""

from metajax import surroundings

surroundings.check()

import dataclasses
import sys
from functools import partial

from metajax import commands, suites
from metajax.benchmarks import Benchmark
from metajax.config import Encoder, Train
from metajax.datasets.imaging.cross_domain import leave_out
from metajax.datasets.imaging.omniglot import rotated
from metajax.suites import WAYS_METHODS, Entry
from metajax.tasks.decoding import beats, images, strokes

SUITE = "imaging"
TRAIN = Train(tasks_per_step=4)
CONV = Encoder((32,), name="conv4")
WAYS = {"how": "classes", "encoder": CONV, "train": TRAIN, "methods": WAYS_METHODS, "queries": 15}
OMNIGLOT = WAYS | {"prepare": strokes, "by_task": False}
BEATS = {
    "how": "splits", "shots": (8, 16, 32), "prepare": beats, "train": TRAIN,
    "encoder": Encoder((32,), name="beat"),
}  # fmt: skip
ENTRIES = (
    Entry("omniglot", shots=(1, 5), name="omniglot_5way", **OMNIGLOT),
    Entry("omniglot", shots=(1, 5), name="omniglot_20way", ways=20, **OMNIGLOT),
    Entry("omniglot", shots=(1, 5), name="omniglot_rotated_20way", ways=20, transform=rotated,
          **OMNIGLOT),
    Entry("odir_fundus", shots=(1, 5), prepare=images, **WAYS),
    Entry("cross_domain", shots=(1, 5), prepare=images, **WAYS),
    *(
        Entry(
            "cross_domain", shots=(1, 5), name=f"cross_domain_without_{letter}",
            transform=partial(leave_out, letter=letter), prepare=images, **WAYS,
        )
        for letter in "ABCDEFG"
    ),
    Entry("mitbih", **BEATS),
    Entry("mitbih_published", shared="shared", **BEATS),
)  # fmt: skip
PRESETS = {
    "smoke": dataclasses.replace(commands.SMOKE, benchmark=("odir_fundus", "mitbih")),
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
