"""`metajax compare` and `metajax predict`: from flags to files and lines."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from metajax import compiled, disk
from metajax.bedside import groups, page, predict, words
from metajax.bedside.compare import compare
from metajax.bedside.patients import Patients, present, read, read_new
from metajax.datasets import DataError
from metajax.datasets.own import Rules, listed, reading_text
from metajax.surroundings import printable

SHOWN = 20  # rows that are printed
REASONS = 10  # rows that are explained on a page


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
    sys.stdout.write(printable(line) + "\n")
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
    """Compares methods on one file; writes report.html, scores.csv, and groups.csv if asked."""
    folder = Path(flags.out)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"--out {folder} is a file. Remedy: name a folder")
    patients = patients_of(flags)
    by = {column: groups.of_column(patients, column, flags.bands) for column in flags.by}
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # What many classes or columns make of the network is in the documentation; not 40 times.
        warnings.simplefilter("ignore")
        found = compare(
            patients, names=flags.methods, shots=tuple(flags.shots) if flags.shots else None,
            count=flags.episodes, seed=flags.seed, told=tell,
        )  # fmt: skip
    last = found.sizes[-1]
    how = {"count": flags.episodes, "seed": flags.seed}
    method = found.chosen(last)[0]
    apart = {
        column: groups.by_column(patients, method, last, group, **how)
        for column, group in by.items()
    }
    title = f"Which method? {flags.label} in {patients.reading.file}"
    text = page.comparison(found, patients.reading, patients.notes, title, apart)
    content = {
        folder / "scores.csv": words.table(found).to_csv(index=False, float_format="%.6g"),
        folder / "report.html": text,
    }
    if apart:
        made = groups.table(apart)
        made["group"] = [disk.cell(name) for name in made.group]
        content[folder / "groups.csv"] = made.to_csv(index=False, float_format="%.6g")
    disk.write_all(content)
    for size in found.sizes:
        tell(words.verdict(found, size))
    tell(words.more_labels(found))
    tell(words.note(found))
    for column, one in apart.items():
        for line in groups.sentences(one, column):
            tell(line)
    tell(f"written: {', '.join(str(one) for one in content)}")
    return 0


def _without_names(flags: argparse.Namespace) -> Patients:
    """The labelled file; if only the column of --id stops it from being read, without that."""
    try:
        return patients_of(flags)
    except DataError:
        if not flags.id or flags.id in (flags.label, flags.group, *flags.drop):
            raise
        try:
            named = argparse.Namespace(**vars(flags) | {"drop": [*flags.drop, flags.id]})
            found = patients_of(named)
        except DataError:
            found = None
        if found is None:
            raise
        tell(f"note: {flags.id!r} says who a row is (--id) and is no feature")
        return found


def predicted(flags: argparse.Namespace) -> int:
    """Predicts new patients; writes predictions.csv, and a page if one is named."""
    files = [Path(one) for one in (flags.out, flags.report) if one]
    for given in (flags.table, flags.new):
        known = present(given).resolve()
        if any(known == one.resolve() for one in files):
            raise DataError(f"{given} would be overwritten. Remedy: another --out or --report")
    if len({one.resolve() for one in files}) < len(files):
        raise DataError("--out and --report name one file")
    patients = _without_names(flags)
    features = [each.column.name for each in patients.looked.columns]
    if flags.id in features:
        raise DataError(f"--id {flags.id!r} is a feature of the labelled file. Remedy: --drop "
                        f"{flags.id!r}, or --group {flags.id!r} if it says who the patient is"
                        )  # fmt: skip
    ignored = [flags.id] if flags.id else []
    frame, raw, notes = read_new(flags.new, patients, ignored)
    if flags.id and flags.id not in raw:
        raise DataError(f"{flags.new} has no column {flags.id!r} for --id; it has "
                        f"{listed(list(raw), 40)}")  # fmt: skip
    names = raw[flags.id].tolist() if flags.id else [f"row {i + 1}" for i in range(len(raw))]
    notes = [*notes, *patients.notes]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        notes.append(f"--id: {listed(twice)} in several new rows")
    if flags.label in raw:
        notes.append(f"the new file has a column {flags.label!r}: it is not looked at")
    reasons = flags.reasons if flags.reasons is not None else REASONS if flags.report else 0
    found = predict.predict(
        patients, frame, method=flags.method, seed=flags.seed, coverage=flags.coverage,
        by_class=flags.by_class, calibrate=flags.calibrate, reasons=min(reasons, len(frame)),
    )  # fmt: skip
    quality = predict.expected(found, len(set(patients.group.tolist())))
    made = predict.table(found, names)
    content = {Path(flags.out): made.to_csv(index=False, float_format="%.6g")}
    if flags.report:
        title = f"{flags.label} of the patients in {Path(flags.new).name}"
        text = page.prediction(found, names, notes, patients.reading, title, quality)
        content[Path(flags.report)] = text
    for one in content:
        one.parent.mkdir(parents=True, exist_ok=True)
    disk.write_all(content)
    for line in [*notes, *found.remarks]:
        tell(f"note: {line}")
    tell(made.head(SHOWN).to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    if len(made) > SHOWN:
        tell(f"and {len(made) - SHOWN} more")
    tell(quality)
    tell(found.said)
    tell(f"written: {', '.join(str(one) for one in content)}")
    return 0
