"""Your own data: given k labelled cases of a new hospital, site or assay, which method?

    python experiments/own_data.py --table patients.csv --label died --task hospital \\
        --group patient_id --drop notes --learner=maml --shots 8 16
    python experiments/own_data.py --images scans.npz --label y --task site --group patient
    python experiments/own_data.py --sequences peaks.tsv --sequence seq --label bound --task tf

No code to write: the file becomes a benchmark in which every task (hospital, site, assay) in turn,
or those that a --split column names, is held out. docs/own_data.md says what is read and checked.
Records and tables go to results/own_data, which git ignores.
"""

import dataclasses
import sys
from functools import cache, partial
from typing import Annotated, Literal

import jax
import tyro

from metajax import commands, suites
from metajax.benchmarks import Benchmark
from metajax.config import Encoder, Train
from metajax.datasets import DataError, Family, own
from metajax.suites import REGRESSION_METHODS, Entry
from metajax.tasks.decoding import chain, images, nucleotides, standardise_targets
from metajax.tasks.standardise import standardise_by_support
from metajax.types import Episode

SUITE = "own_data"
SHOTS = (8, 16)
FOLDS = 5


@dataclasses.dataclass(frozen=True)
class Data:
    """The file, and what is in it."""

    label: str
    """Column (array) to predict: classes or numbers."""
    task: str
    """Column whose values are the tasks: hospitals, sites, assays; at least 3."""
    table: str | None = None
    """A csv or tsv file with a case a row."""
    images: str | None = None
    """An npz file with images, uint8 (N, H, W) or (N, H, W, 3), and arrays of N values."""
    sequences: str | None = None
    """A csv or tsv file with a DNA or protein sequence a row."""
    group: str | None = None
    """Column that says which rows are one patient (lesion, molecule): never on two sides."""
    drop: tuple[str, ...] = ()
    """Columns of a table that are no features."""
    sequence: str = "sequence"
    """Column of the sequences."""
    alphabet: own.Alphabet = "dna"
    """Of the sequences."""
    unusable: Literal["refuse", "skip"] = "refuse"
    """Tasks of one class or too few cases. skip: leave them out and list them."""
    rules: Annotated[own.Rules, tyro.conf.arg(name="")] = own.Rules()


@dataclasses.dataclass(frozen=True)
class Flags:
    """What to read, and what to run on it."""

    data: Annotated[Data, tyro.conf.arg(name="")]
    run: Annotated[commands.Flags, tyro.conf.arg(name="")]

    @property
    def preset(self) -> str:
        """See `commands.parse`."""
        return self.run.preset


REQUIRED = Data(label=tyro.MISSING, task=tyro.MISSING)
PRESETS = {"smoke": Flags(REQUIRED, commands.SMOKE), "full": Flags(REQUIRED, commands.Flags())}


def residues(episode: Episode) -> Episode:
    """Proteins as codes (N, L) to one-hot float32 (N, L, 20); 20, unknown or padding, is zeros."""
    return Episode(*(part._replace(x=jax.nn.one_hot(part.x, 20)) for part in episode))


@cache
def load(data: Data) -> Family:
    """The family of a file, read once in this process."""
    given = [name for name in ("table", "images", "sequences") if getattr(data, name) is not None]
    if len(given) != 1:
        told = " and ".join(f"--{name}" for name in given) or "none"
        raise DataError(f"one of --table, --images and --sequences is needed; got {told}")
    common = {"label": data.label, "task": data.task, "group": data.group, "rules": data.rules}
    if data.drop and not data.table:
        raise DataError(f"--drop is for tables; other columns of {given[0]} are not used anyway")
    if data.table:
        return own.table_family(data.table, drop=data.drop, **common)
    if data.images:
        return own.image_family(data.images, **common)
    how = {"sequence": data.sequence, "alphabet": data.alphabet}
    return own.sequence_family(data.sequences, **how, **common)


def entry(data: Data, family: Family) -> Entry:
    """The benchmark that a file makes."""
    prepare, encoder, train = None, Encoder(), Train()
    if data.images:
        prepare, encoder = images, Encoder((32,), name="conv4")
        train = Train(tasks_per_step=4)
    elif data.sequences:
        prepare = nucleotides if data.alphabet == "dna" else residues
        encoder, train = Encoder((32,), name="conv1d"), Train(tasks_per_step=8)
    own_methods = {}
    if not family.classes:
        prepare = chain(prepare or standardise_by_support, standardise_targets)
        own_methods = {"methods": REGRESSION_METHODS}
    return Entry(
        family.card.name, "leave_one_out" if family.split is None else "splits", SHOTS,
        prepare=prepare, encoder=encoder, train=train, least=2,
        shared="divide" if data.rules.shared == "divide" else "drop", **own_methods,
    )  # fmt: skip


@cache
def chosen(data: Data, shots: tuple[int, ...]) -> own.Usable:
    """The tasks that can give these supports."""
    return own.usable(load(data), shots, skip=data.unusable == "skip")


@cache
def build(data: Data, name: str, shots: tuple[int, ...], data_dir: str | None) -> Benchmark:
    """Builds the benchmark of a file."""
    family = chosen(data, shots).family
    if family.card.name != name:
        raise DataError(f"the file of {name} changed meanwhile; start again")
    own_entry = dataclasses.replace(
        entry(data, family), folds=min(FOLDS, len(family.task_names))
    )
    try:
        made = suites.build_entry(own_entry, family, name, shots)
    except ValueError as error:
        how = data.rules.shared
        if how not in ("drop", "divide"):
            raise
        raise DataError(f"{error}. --shared {how} leaves fewer rows to each side. Remedy: lower "
                        "--shots") from error  # fmt: skip
    # A number has no classes to draw evenly from: both draws are the same.
    return made if family.classes else made._replace(draws=(0,))


def told(data: Data, shots: tuple[int, ...]) -> str:
    """What was read, in a few lines."""
    family, skipped = chosen(data, shots)
    card, rows = family.card, len(family.y)
    lines = [
        f"{card.name}: {rows} rows, {len(family.task_names)} tasks ({card.task}), {card.splits}",
        f"label {card.label}; row group: {card.row_group} ({int(family.group.max()) + 1} of them)",
    ]
    if family.columns:
        lines.append(f"{len(family.columns)} features: {own.listed(family.columns, 40)}")
    return "\n".join([*lines, *(f"left out: {line}" for line in skipped)])


def main() -> int:
    """Runs what the flags ask for."""
    flags = commands.parse(Flags, PRESETS, default="full", description=__doc__.split("\n", 1)[0])
    if flags.preset not in PRESETS:
        return commands.fail(f"there is no preset {flags.preset}; there are {', '.join(PRESETS)}")
    try:
        own_entry = entry(flags.data, load(flags.data))
        runs = commands.configurations(flags.run, [own_entry], SUITE)  # mistakes in its flags first
        sys.stdout.write(told(flags.data, runs[0].shots) + "\n")
    except (ValueError, OSError) as error:
        return commands.fail(error)
    return commands.run_suite(SUITE, flags.run, [own_entry], partial(build, flags.data))


if __name__ == "__main__":
    sys.exit(main())
