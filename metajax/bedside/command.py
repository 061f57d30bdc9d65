"""`metajax compare` and `metajax predict`: from flags to files and lines."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from metajax import compiled
from metajax.bedside import page, words
from metajax.bedside.compare import compare
from metajax.bedside.patients import Patients, read
from metajax.datasets.own import Rules, reading_text


def patients_of(flags: argparse.Namespace) -> Patients:
    """The labelled file that the flags name, told in a few lines."""
    rules = Rules(kind=flags.kind, positive=flags.positive, leaks=flags.leaks)
    found = read(flags.table, flags.label, flags.group, tuple(flags.drop), rules,
                 tuple(flags.types), tuple(flags.missing))  # fmt: skip
    tell(reading_text(found.reading))
    for note in found.notes:
        tell(note)
    return found


def tell(line: str) -> None:
    """A line to standard output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(act: Callable[[argparse.Namespace], int], flags: argparse.Namespace) -> int:
    """Acts on flags; what the package warns of is a line each, told once."""
    compiled.keep_compiled()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            return act(flags)
        finally:
            for text in dict.fromkeys(str(one.message) for one in heard):
                sys.stderr.write(f"note: {text}\n")


def compared(flags: argparse.Namespace) -> int:
    """Compares methods on one file; writes report.html and scores.csv."""
    folder = Path(flags.out)
    patients = patients_of(flags)
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # What many classes or columns make of the network is in the documentation; not 40 times.
        warnings.simplefilter("ignore")
        found = compare(
            patients, names=flags.methods, shots=tuple(flags.shots) if flags.shots else None,
            count=flags.episodes, seed=flags.seed, told=tell,
        )  # fmt: skip
    words.table(found).to_csv(folder / "scores.csv", index=False, float_format="%.6g")
    title = f"Which method? {flags.label} in {patients.reading.file}"
    text = page.comparison(found, patients.reading, patients.notes, title)
    (folder / "report.html").write_text(text, encoding="utf-8")
    for size in found.sizes:
        tell(words.verdict(found, size))
    tell(words.more_labels(found))
    tell(words.note(found))
    tell(f"written: {folder / 'report.html'}, {folder / 'scores.csv'}")
    return 0
