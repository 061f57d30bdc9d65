"""The data sets: list, look up, prepare, verify.

    python scripts/data.py list --domain=disease
    python scripts/data.py card heart_uci
    python scripts/data.py prepare --all --data-dir=DIR
    python scripts/data.py verify --data-dir=DIR

DIR is the data directory (default: METAJAX_DATA). `prepare` downloads the files that are absent and
official, and goes on where it stopped; `verify` downloads nothing. Exit code 2: something is not
what its card says, and a line on standard error names file and remedy.
"""

from __future__ import annotations

from metajax import surroundings

surroundings.check(jax=False)

import dataclasses
import os
import sys
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from metajax import datasets, limits
from metajax.datasets import pages, verify

WORKERS = min(os.cpu_count() or 1, 8)
DataDir = str | None


@dataclasses.dataclass(frozen=True)
class List:
    """Name, domain, tasks, rows, licence of every family, and whether its files are there."""

    domain: Literal["disease", "imaging", "genomics", "drug"] | None = None
    """One domain only."""
    data_dir: DataDir = None
    """The data directory (default: METAJAX_DATA)."""


@dataclasses.dataclass(frozen=True)
class Card:
    """What a family is, where it comes from, and how it may be used."""

    name: tyro.conf.Positional[str]
    """A name of the list."""
    markdown: bool = False
    """Print the page as it stands in docs/families."""
    data_dir: DataDir = None
    """Not used: a card needs no data."""


@dataclasses.dataclass(frozen=True)
class Prepare:
    """Make prepared copies, which load in seconds; those that exist are skipped."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Names of the list."""
    all: bool = False
    """All families."""
    data_dir: DataDir = None
    """The data directory (default: METAJAX_DATA); absent files are downloaded."""
    workers: int = WORKERS
    """Processes at once."""


@dataclasses.dataclass(frozen=True)
class Verify:
    """Hash every raw file that is there, read it, and count against the card."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Names of the list (default: all families)."""
    data_dir: DataDir = None
    """The data directory (default: METAJAX_DATA)."""
    workers: int = WORKERS
    """Processes at once."""


@dataclasses.dataclass(frozen=True)
class Pages:
    """Render the cards into Markdown pages and their index."""

    folder: str = "docs/families"
    """Where they go."""
    data_dir: DataDir = None
    """Not used: a card needs no data."""


Command = (
    Annotated[List, tyro.conf.subcommand("list")]
    | Annotated[Card, tyro.conf.subcommand("card")]
    | Annotated[Prepare, tyro.conf.subcommand("prepare")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Pages, tyro.conf.subcommand("pages")]
)


def show(console: Console, command: List) -> int:
    """Prints the list."""
    datasets.files.data_root(command.data_dir)
    table = Table(box=None)
    for name in ("name", "domain", "tasks", "rows", "here"):
        side = "right" if name in ("tasks", "rows") else "left"
        table.add_column(name, no_wrap=True, justify=side)
    table.add_column("licence", no_wrap=True)
    room = max(12, console.width - 66)  # what the other columns leave; `card` has all of it
    for name, dataset in datasets.DATASETS.items():
        card = dataset.card
        if command.domain in (None, card.domain):
            here = verify.state(dataset, command.data_dir)
            rows = "unknown" if card.counts.rows < 0 else f"{card.counts.rows:,}"
            licence = Text(card.licence)  # in a string, brackets would be markup
            licence.truncate(room, overflow="ellipsis")
            table.add_row(name, card.domain, str(card.counts.tasks), rows, here, licence)
    console.print(table)
    return 0


def work(console: Console, job: str, names: tuple[str, ...], command: Prepare | Verify) -> int:
    """Prepares or verifies, with a progress bar; problems go to standard error, last."""
    names = tuple(datasets.get(name).card.name for name in names)  # a typing error ends it here
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    problems: list[str] = []
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        bar = progress.add_task(job, total=len(set(names)))
        for done in verify.run_all(job, names, command.data_dir, workers=command.workers):
            progress.advance(bar)
            counted = f", {done.files} files, {done.rows:,} rows" if done.files else ""
            line = f"{done.name}: {done.state}{counted}, {done.seconds:.1f} s"
            progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
            problems += done.problems
    for problem in problems:
        fail(problem)
    return 2 if problems else 0


def fail(message: object) -> int:
    """One line on standard error, and the exit code of a user's mistake."""
    from metajax import commands  # it imports jax, which no worker process here needs

    return commands.fail(message)


@surroundings.guarded
def main() -> int:
    """Does what the command line asks for."""
    command = tyro.cli(Command, description=__doc__)
    console = Console()
    try:
        if isinstance(command, Prepare | Verify):
            if command.workers < 1:
                raise ValueError(f"--workers must be at least 1; got {command.workers}")
            limits.positive({"workers": command.workers})
        match command:
            case List():
                return show(console, command)
            case Card():
                page = pages.markdown(datasets.get(command.name).card)
                if command.markdown:
                    sys.stdout.write(page)
                else:
                    console.print(Markdown(page))
                return 0
            case Prepare():
                if bool(command.names) == command.all:
                    raise ValueError("prepare takes names, or --all")
                names = tuple(datasets.DATASETS) if command.all else command.names
                return work(console, "prepare", names, command)
            case Verify():
                return work(console, "verify", command.names or tuple(datasets.DATASETS), command)
            case Pages():
                written = pages.write(datasets.CARDS.values(), command.folder)
                console.print(f"written: {len(written)} pages in {command.folder}")
                return 0
    except (ValueError, OSError) as error:
        return fail(error)
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on from here")
        return 130
    raise AssertionError(f"no such command: {command}")


if __name__ == "__main__":
    sys.exit(main())
