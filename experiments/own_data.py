"""Your own data: given k labelled cases of a new hospital, site or assay, which method?

    python experiments/own_data.py --table patients.csv --label died --task hospital \\
        --group patient_id --drop notes --learner=maml --shots 8 16
    python experiments/own_data.py --table patients.csv --label died       one hospital, no tasks
    python experiments/own_data.py --images scans.npz --label y --task site --group patient
    python experiments/own_data.py --sequences peaks.tsv --sequence seq --label bound --task tf

No code to write: the file becomes a benchmark in which every task (hospital, site, assay) in turn,
or those that a --split column names, is held out. A table without tasks is compared on its own
patients (docs/bedside.md). docs/own_data.md says what is read and checked.
Records and tables go to results/own_data, which git ignores.
"""

from metajax import surroundings

surroundings.check()

import dataclasses
import json
import os
import sys
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from metajax import __main__ as metajax_command
from metajax import commands, disk, suites
from metajax.benchmarks import Benchmark
from metajax.config import Encoder, Train
from metajax.datasets import DataError, Family, own
from metajax.suites import REGRESSION_METHODS, Entry
from metajax.tasks.decoding import chain, images, nucleotides, residues, standardise_targets
from metajax.tasks.standardise import standardise_by_support

SUITE = "own_data"
SHOTS = (8, 16)
FOLDS = 5


@dataclasses.dataclass(frozen=True)
class Data:
    """The file, and what is in it."""

    label: str
    """Column (array) to predict: classes or numbers."""
    task: str | None = None
    """Column whose values are the tasks: hospitals, sites, assays; at least 3. A table without one
    is compared on its own patients, as `metajax compare` does."""
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
    types: tuple[str, ...] = ()
    """What columns of a table are, where a guess is wrong or refused: COLUMN=KIND, or a file that
    --types-template wrote. Kinds: number, yes-no, category, ordered, drop, names."""
    missing: tuple[str, ...] = ()
    """Codes of missing cells besides the usual ones: -999 for all columns, chol=0 for one; chol=
    says that nothing but an empty cell is missing in it."""
    unusable: Literal["refuse", "skip"] = "refuse"
    """Tasks of one class or too few cases. skip: leave them out and list them."""
    rules: Annotated[own.Rules, tyro.conf.arg(name="")] = own.Rules()


@dataclasses.dataclass(frozen=True)
class Flags:
    """What to read, and what to run on it."""

    data: Annotated[Data, tyro.conf.arg(name="")]
    run: Annotated[commands.Flags, tyro.conf.arg(name="")]
    dry_run: bool = False
    """Read and check the file, tell what every column was taken for, and stop."""
    types_template: str | None = None
    """Write what every column was taken for to this file, to be corrected and given to --types, and
    stop."""

    @property
    def preset(self) -> str:
        """See `commands.parse`."""
        return self.run.preset


REQUIRED = Data(label=tyro.MISSING)
PRESETS = {"smoke": Flags(REQUIRED, commands.SMOKE), "full": Flags(REQUIRED, commands.Flags())}


@cache
def load(data: Data) -> Family:
    """The family of a file, read once in this process."""
    given = [name for name in ("table", "images", "sequences") if getattr(data, name) is not None]
    if len(given) != 1:
        told = " and ".join(f"--{name}" for name in given) or "none"
        raise DataError(f"one of --table, --images and --sequences is needed; got {told}")
    names = ("label", "task", "group", "rules", "types", "missing")
    common = {name: getattr(data, name) for name in names}
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


def told(data: Data, shots: tuple[int, ...], *, whole: bool = False) -> str:
    """What was read, in a few lines; of all columns, if the whole is wanted."""
    family, skipped = chosen(data, shots)
    card, rows = family.card, len(family.y)
    lines = [
        f"{card.name}: {rows} rows, {len(family.task_names)} tasks ({card.task}), {card.splits}",
        f"label {card.label}; row group: {card.row_group} ({len(np.unique(family.group))} of them)",
    ]
    if card.reading:
        read = own.restored_reading(json.loads(card.reading))
        lines.append(own.reading_text(read, None) if whole else own.reading_text(read))
    if family.columns:
        lines.append(f"{len(family.columns)} features: {own.listed(family.columns, 40)}")
    if not family.classes and data.rules.kind == "auto":
        lines.append(f"label {data.label!r} is taken as a quantity; --kind classification makes "
                     "classes of its numbers")  # fmt: skip
    return "\n".join([*lines, *(f"left out: {line}" for line in skipped)])


def write_template(data: Data, path: Path) -> str:
    """Writes a file for `--types`, and says so.

    Raises:
      DataError: there is such a file already, or the data are no table.
    """
    if not data.table:
        raise DataError("--types-template is for tables: --table names none")
    looked = own.look(data.table, data.label, data.task, data.group, data.drop, data.rules,
                      data.types, data.missing)  # fmt: skip
    if path.expanduser().exists():
        raise DataError(f"{path} is there already. Remedy: another name, or delete it")
    disk.write(path.expanduser(), own.template(looked, data.rules))
    asked = sum(each.column.problem != "" for each in looked.columns)
    return (f"written: {path}; {len(looked.raw.columns)} columns, {asked} of them to be decided "
            f"(?). Correct it, then: --types {path}")  # fmt: skip


def without_tasks(flags: Flags) -> int:
    """Compares the methods that need no other tasks on the table's own patients.

    Raises:
      DataError: it is no table, or flags are given that need tasks.
    """
    data, given = flags.data, flags.run
    if data.table is None or data.images is not None or data.sequences is not None:
        raise DataError("--task is needed: the column whose values are the hospitals, sites or "
                        "assays; only a --table can do without")  # fmt: skip
    if data.rules.split is not None:
        raise DataError("--split puts tasks on sides: it needs --task")
    if flags.types_template is not None or flags.dry_run:
        raise DataError("--types-template and --dry-run need --task; `metajax compare` says how a "
                        "table was read")  # fmt: skip
    if given.learner or given.benchmark:
        raise DataError("--learner and --benchmark need --task: a learner is trained on other "
                        "tasks. Without, all methods that need none are compared")  # fmt: skip
    command = ["compare", "--table", data.table, "--label", data.label]
    command += ["--group", data.group] if data.group else []
    # A preset's own methods are for tasks.
    methods = () if given.methods == PRESETS[flags.preset].run.methods else given.methods
    for name, values in (("drop", data.drop), ("types", data.types), ("missing", data.missing),
                         ("shots", given.shots), ("methods", methods)):  # fmt: skip
        command += [f"--{name}", *map(str, values)] if values else []
    command += ["--kind", data.rules.kind, "--leaks", data.rules.leaks]
    command += ["--positive", data.rules.positive] if data.rules.positive is not None else []
    command += ["--seed", str(given.seed or 0), "--out", str(Path(given.results) / SUITE)]
    if flags.preset == "smoke":
        command += ["--episodes", "4"]
    return metajax_command.main(command)


@surroundings.guarded
def main() -> int:
    """Runs what the flags ask for."""
    for flag in ("--drop", "--types", "--missing"):
        if sum(each == flag or each.startswith(f"{flag}=") for each in sys.argv[1:]) > 1:
            return commands.fail(f"{flag} is given twice, and only the last would count. Remedy: "
                                 f"all values behind one {flag}, as {flag} A B")  # fmt: skip
    flags = commands.parse(Flags, PRESETS, default="full", description=__doc__.split("\n", 1)[0])
    if flags.preset not in PRESETS:
        return commands.fail(f"there is no preset {flags.preset}; there are {', '.join(PRESETS)}")
    try:
        if flags.data.task is None:
            return without_tasks(flags)
        if flags.types_template is not None:
            sys.stdout.write(write_template(flags.data, Path(flags.types_template)) + "\n")
            return 0
        own_entry = entry(flags.data, load(flags.data))
        # Mistakes in its flags first; an agent of W&B crosses flags that do not all fit together.
        agent = "WANDB_SWEEP_ID" in os.environ
        runs = commands.configurations(flags.run, [own_entry], SUITE, trial=agent)
        if not runs:
            sys.stdout.write(f"nothing to do: {flags.run.learner} does not apply here\n")
            return 0
        family = chosen(flags.data, runs[0].shots).family
        read = told(flags.data, runs[0].shots, whole=flags.dry_run)
        sys.stdout.write(surroundings.printable(read) + "\n")
        own_entry = entry(flags.data, family)
    except (ValueError, OSError) as error:
        return commands.fail(error)
    if flags.dry_run:
        sys.stdout.write("nothing was trained: --dry-run\n")
        return 0
    base = PRESETS[flags.preset].run
    return commands.run_suite(SUITE, flags.run, [own_entry], partial(build, flags.data), base)


if __name__ == "__main__":
    sys.exit(main())
