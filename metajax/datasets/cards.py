"""Data cards: what a data set is, where it comes from, and what a number on it may claim."""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN = "unknown"


@dataclass(frozen=True)
class File:
    """One raw file of a data set.

    Attributes:
      path: where it lies, relative to the data directory.
      url: the official address; empty where the file cannot be downloaded in this form.
      sha256: hexadecimal, or ``"unknown"``; a checksum is never invented.
      md5: hexadecimal; only consulted where the sha256 is unknown. Empty if unknown too.
      size: bytes; 0 if unknown.
    """

    path: str
    url: str
    sha256: str
    md5: str = ""
    size: int = 0

    @property
    def checksum(self) -> tuple[str, str]:
        """The strongest known checksum as (algorithm, value); ("sha256", "unknown") if none is."""
        if self.sha256 == UNKNOWN and self.md5:
            return "md5", self.md5
        return "sha256", self.sha256


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
      prevalence: (task, rows, positive rows) for every task, in the order of the task ids.
      licence: as the source states it; ``"not stated"`` where it does not.
      citation: what the source asks to be cited.
      homepage: where a person reads more.
      files: raw files; empty if nothing has to be downloaded.
      overlaps: other public tables with the same patients.
      intended_use: what numbers on it are good for, and what they are not.
      version: raised when the examples change (semantic, ``"x.y.z"``).
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
    prevalence: tuple[tuple[str, int, int], ...]
    licence: str
    citation: str
    homepage: str
    files: tuple[File, ...]
    overlaps: str
    intended_use: str
    version: str = "1.0.0"

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks by task id."""
        return tuple(name for name, _, _ in self.prevalence)
