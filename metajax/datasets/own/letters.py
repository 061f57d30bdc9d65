"""A user's column of DNA or protein sequences: checked letter by letter, and what they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from metajax.datasets import reading
from metajax.datasets.files import DataError
from metajax.datasets.genomics import proteins, sequences
from metajax.datasets.own import codes
from metajax.datasets.own.choices import Choice
from metajax.datasets.own.reports import Column, listed, rows

Alphabet = Literal["dna", "protein"]
# Two sequences that share so many letters are one sequence, mutated or shifted.
STRETCH = 31
LETTERS = {"dna": "ACGTUNRYSWKMBDHV", "protein": "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
KNOWN = {"dna": "ACGTU", "protein": proteins.RESIDUES}
# Words for a sequence that is not there; as proteins they would be read letter by letter.
WORDS = {"none", "nil", "unknown", "empty", "tbd", "pending", "unavailable", "absent"}
MOST_BYTES = 4 * 2**30
ODD = (
    (r"[>]", "'>' begins a FASTA header: a table with a sequence a row is needed"),
    (r"\*", "'*' is a stop: cut it and what follows"),
    (r"[-.]", "'-' and '.' are gaps of an alignment: remove them"),
    (r"[0-9]", "digits are positions: remove them"),
    (r"\s", "blanks are no letters: remove them"),
)


class Letters(NamedTuple):
    """Sequences of R rows.

    Attributes:
      x: (I, L) uint8 codes of the different ones.
      item: (R,) which of them a row shows.
      alike: (R,) groups of sequences that are copies of each other.
      column: what they are taken for.
      notes: what else should be known, a sentence each.
    """

    x: np.ndarray
    item: np.ndarray
    alike: np.ndarray
    column: Column
    notes: tuple[str, ...]


def no_fasta(path: Path) -> None:
    """Refuses a file of sequences that is no table.

    Raises:
      DataError: it is FASTA, FASTQ or GenBank.
    """
    try:
        start = reading.read(path)[:200].decode("utf-8-sig", "replace").lstrip()
    except DataError:
        return  # the reader of tables says what is wrong
    kind = {">": "FASTA", ";": "FASTA", "@": "FASTQ"}.get(start[:1], "")
    kind = "GenBank" if start.startswith("LOCUS ") else kind
    if kind:
        raise DataError(f"{path} is a {kind} file. Remedy: a csv or tsv file with a header and a "
                        "row for each sequence: sequence, label, task")  # fmt: skip


def read(path: Path, name: str, cells: pd.Series, alphabet: Alphabet, choice: Choice) -> Letters:
    """Reads a column of sequences.

    Args:
      path: its file.
      name: its name.
      cells: (R,) its cells.
      alphabet: "dna" or "protein".
      choice: which codes mean a missing cell.

    Raises:
      DataError: naming the rows that hold none, or another alphabet, and the remedy.
    """
    _complete(path, name, cells, choice)
    _only_letters(path, name, cells, alphabet)
    upper = cells.str.upper()
    counts = _counted(upper.tolist())
    _this_alphabet(path, name, upper, counts, alphabet)
    lengths = upper.str.len().to_numpy()
    if len(upper) * int(lengths.max()) > MOST_BYTES:
        raise DataError(f"{path}: {name!r} has {lengths.max()} letters in row "
                        f"{int(lengths.argmax()) + 1}, too many to pad {len(upper)} sequences to. "
                        "Remedy: cut windows of equal length")  # fmt: skip
    encode = sequences.encode if alphabet == "dna" else proteins.encode
    x, item = sequences.distinct(encode(upper.tolist()))
    alike = np.arange(len(x))
    if alphabet == "dna":
        alike = _either_strand(x, upper.groupby(item).first().tolist())
    column = Column(
        name, "feature", f"{alphabet} sequences",
        values=f"{lengths.min()} to {lengths.max()} letters (median {np.median(lengths):g})",
        treatment="one-hot, padded at the end" if np.ptp(lengths) else "one-hot",
        distinct=len(x), note=_note(cells, lengths, counts, alphabet),
    )  # fmt: skip
    notes = []
    if len(x) < len(cells):
        notes.append(f"{len(cells) - len(x)} rows repeat the sequence of another row: never in "
                     "both support and query, unless --group says who is who")  # fmt: skip
    return Letters(x, item, alike[item], column, tuple(notes))


def _complete(path: Path, name: str, cells: pd.Series, choice: Choice) -> None:
    """Refuses marks of a missing sequence: NA is no dinucleotide."""
    texts = [str(each) for each in cells.unique()]
    gone, doubtful = codes.unsaid(texts, np.full(len(texts), np.nan), choice.missing, choice.exact)
    said = {text for text, one in zip(texts, gone, strict=True) if one} | set(doubtful)
    if not choice.exact:
        said |= {text for text in texts if text.lower() in WORDS}
    if said:
        told = listed([repr(text) for text in sorted(said) if text])
        told = f" ({told})" if told else ""
        also = f"; or --missing {f'{name}='!r} if these are sequences" if told else ""
        where = rows(cells.isin(said).to_numpy())
        raise DataError(f"{path}: sequence {name!r} is missing in {where}{told}. Remedy: delete "
                        f"these rows{also}")  # fmt: skip


def _only_letters(path: Path, name: str, cells: pd.Series, alphabet: Alphabet) -> None:
    """Refuses what is no sequence of ASCII letters of the alphabet."""
    letters = LETTERS[alphabet]
    # As it stands: in capitals a sharp s would be two serines.
    pattern = re.compile(f"[{letters}{letters.lower()}]+")
    wrong = ~np.array([bool(pattern.fullmatch(text)) for text in cells], bool)
    if wrong.any():
        first = cells[wrong].iloc[0]
        why = [told for odd, told in ODD if re.search(odd, first)]
        if not why:
            letter = next(c for c in first if not pattern.fullmatch(c))
            why = [f"{letter!r} is no letter of {alphabet}"]
        shown = first.upper() if first.isascii() else first
        other = ", or --alphabet protein" if alphabet == "dna" else ""
        raise DataError(f"{path}: {name!r} is no {alphabet} sequence in {rows(wrong)}; the first "
                        f"says {shown[:40]!r}: {why[0]}. Remedy: correct or delete these "
                        f"rows{other}")  # fmt: skip


def _counted(texts: Sequence[str]) -> np.ndarray:
    """(R, 26) int: how often every capital letter occurs."""
    lengths = np.array([len(text) for text in texts])
    flat = np.frombuffer("".join(texts).encode("ascii"), np.uint8) - ord("A")
    row = np.repeat(np.arange(len(texts)), lengths)
    return np.bincount(row * 26 + flat, minlength=26 * len(texts)).reshape(-1, 26)


def _sum(counts: np.ndarray, letters: str) -> np.ndarray:
    """(R,) how many letters of each row are among some."""
    return counts[:, [ord(letter) - ord("A") for letter in letters]].sum(1)


def _this_alphabet(
    path: Path, name: str, upper: pd.Series, counts: np.ndarray, alphabet: Alphabet
) -> None:
    """Refuses DNA called protein, protein called DNA, and rows without a known letter."""
    whole, bases = counts.sum(1), _sum(counts, "ACGTUN")
    several = (counts > 0).sum(1) >= 3
    if alphabet == "protein":
        every = bases.sum() == whole.sum() and whole.sum() >= 40 and (counts.sum(0) > 0).sum() >= 3
        dna = (bases == whole) & (whole >= 20) & several
        if every or dna.any():
            where = "every row" if every else rows(dna)
            raise DataError(f"{path}: {name!r} holds only letters of bases (A, C, G, T, U, N) in "
                            f"{where}: DNA, no protein? Remedy: --alphabet dna, or delete these "
                            "rows")  # fmt: skip
    else:
        odd = whole - bases
        protein = (odd > 0.5 * whole) & (whole >= 8)
        if odd.sum() > 0.2 * whole.sum() or protein.any():
            where = rows(protein) if protein.any() else rows(odd > 0.2 * whole)
            raise DataError(f"{path}: {name!r} has many letters other than A, C, G, T, U and N in "
                            f"{where}: protein, no DNA? Remedy: --alphabet protein, or delete "
                            "these rows")  # fmt: skip
    unknown = _sum(counts, KNOWN[alphabet]) == 0
    if unknown.any():
        what = "base" if alphabet == "dna" else "residue"
        raise DataError(f"{path}: {name!r} has no known {what} in {rows(unknown)}; the first says "
                        f"{upper[unknown].iloc[0][:40]!r}. Remedy: delete these rows")  # fmt: skip


def _note(cells: pd.Series, lengths: np.ndarray, counts: np.ndarray, alphabet: Alphabet) -> str:
    """What is done to letters, and how unequal the lengths are."""
    notes = []
    total = int(counts.sum())
    unknown = [letter for letter in LETTERS[alphabet] if letter not in KNOWN[alphabet]]
    many = int(_sum(counts, "".join(unknown)).sum())
    if many:
        met = [letter for letter in unknown if _sum(counts, letter).any()]
        notes.append(f"{many} letters ({100 * many / total:.2g}%: {listed(met, 12)}) are read as "
                     "unknown")  # fmt: skip
    if alphabet == "dna" and (rna := int((_sum(counts, "U") > 0).sum())):
        mixed = " (T in others)" if _sum(counts, "T").any() else ""
        notes.append(f"U is read as T in {rna} rows{mixed}")
    if small := int((cells != cells.str.upper()).sum()):
        notes.append(f"small letters are read as capitals in {small} rows")
    if np.ptp(lengths):
        notes.append(f"{int((lengths < lengths.max()).sum())} rows are padded to the longest")
    return "; ".join(notes)


def _either_strand(x: np.ndarray, texts: Sequence[str]) -> np.ndarray:
    """(I,) groups of near-duplicates; a sequence below `STRETCH` letters and its other strand too.

    Args:
      x: (I, L) codes of different sequences.
      texts: the same in letters.
    """
    alike = sequences.near_duplicate_groups(x, min(STRETCH, x.shape[1]))
    ends = np.array([len(text) for text in texts])
    codes = [row[:end] for row, end in zip(x, ends, strict=True)]
    turned = [np.where(row > 3, row, 3 - row)[::-1] for row in codes]
    both = [min(a.tobytes(), b.tobytes()) for a, b in zip(codes, turned, strict=True)]
    strand = pd.factorize(np.array(both, object))[0]
    groups = int(alike.max()) + 1
    size = groups + int(strand.max()) + 1
    edges = (np.ones(len(x), np.int8), (alike, groups + strand))
    _, label = connected_components(coo_array(edges, shape=(size, size)), directed=False)
    return sequences.numbered(label[alike])
