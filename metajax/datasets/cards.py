"""Data cards: what a data set is, where it comes from, and what a number on it may claim."""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN = "unknown"
UNKNOWN_COUNT = -1  # of a file that could not be opened; its checksum is then what counts


@dataclass(frozen=True)
class File:
    """One raw file of a data set.

    Attributes:
      path: where it lies, relative to the data directory.
      url: the official address; empty where the file cannot be downloaded in this form.
      sha256: hexadecimal, or ``"unknown"``; a checksum is never invented.
      md5: hexadecimal; only consulted where the sha256 is unknown. Empty if unknown too.
      size: bytes; 0 if unknown.
      role: what it is to the reader; empty: its path. Files of one role are alternatives (an
        official file and a repacked one) that yield the same examples: the first that is at hand
        is read, and the last is downloaded if none is.
      optional: the reader can do without it (it computes the same itself): used where it is at
        hand, never downloaded.
    """

    path: str
    url: str
    sha256: str
    md5: str = ""
    size: int = 0
    role: str = ""
    optional: bool = False

    @property
    def checksum(self) -> tuple[str, str]:
        """The strongest known checksum as (algorithm, value); ("sha256", "unknown") if none is."""
        if self.sha256 == UNKNOWN and self.md5:
            return "md5", self.md5
        return "sha256", self.sha256

    @property
    def key(self) -> str:
        """The name under which a reader finds the file."""
        return self.role or self.path


@dataclass(frozen=True)
class Counts:
    """What must come out of the raw files.

    Attributes:
      tasks: number of tasks.
      rows: labelled (task, case) pairs; `UNKNOWN_COUNT` where nobody could count them.
      items: distinct cases (patients, molecules, images); a case may be a row of several tasks;
        likewise.
      labels: rows by class 0, 1, ...; of findings, how many are 0 and 1; empty for regression and
        for hundreds of classes.
      split: tasks of meta-train, meta-validation and meta-test (classes, where the tasks are drawn
        from classes); empty where the split is leave one task out.
    """

    tasks: int
    rows: int
    items: int
    labels: tuple[int, ...] = ()
    split: tuple[int, ...] = ()


@dataclass(frozen=True)
class Card:
    """What a family of tasks is and how it may be used.

    Attributes:
      name: key in `metajax.datasets.DATASETS`.
      title: full name.
      task: what one task is.
      label: what is predicted, and which value is 1.
      split_unit: never on two sides of a meta-split.
      row_group: never in both support and query; ``"none"`` where rows are independent.
      cluster: the bootstrap's unit.
      splits: the rule for meta-train, meta-validation and meta-test tasks.
      protocol: what was done to the raw file, and its traps.
      counts: totals that the files must give.
      licence: as the source states it; ``"not stated"`` where it does not.
      citation: what the source asks to be cited.
      homepage: where a person reads more.
      files: raw files; empty if nothing has to be downloaded.
      overlaps: other public data with the same cases, and known leaks; what is done about them.
      intended_use: what numbers on it are good for.
      improper_use: what they must not be used for.
      prevalence: (task, rows, rows with label 1) for every task, in the order of the task ids;
        empty where there are too many to list.
      domain: disease, imaging, genomics or drug.
      version: raised when the examples change (semantic, ``"x.y.z"``).
      reading: of a user's own table, what every column was taken for, as JSON; see
        `metajax.datasets.own.reports.plain`.
    """

    name: str
    title: str
    task: str
    label: str
    split_unit: str
    row_group: str
    cluster: str
    splits: str
    protocol: str
    counts: Counts
    licence: str
    citation: str
    homepage: str
    files: tuple[File, ...]
    overlaps: str
    intended_use: str
    improper_use: str
    prevalence: tuple[tuple[str, int, int], ...] = ()
    domain: str = "disease"
    version: str = "1.0.0"
    reading: str | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the listed tasks by task id."""
        return tuple(name for name, _, _ in self.prevalence)
