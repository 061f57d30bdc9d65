"""In-silico mutagenesis: what every change of a letter does to the output (a part of `reasons`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from metajax.reasons.outputs import Predict, asked, in_blocks


class Mutagenesis(NamedTuple):
    """All changes of one letter of a sequence of L letters, A possible ones.

    Attributes:
      change: (L, A, C) output of the mutant minus that of the sequence; 0 for the letter that is
        there, and where there is none.
      letter: (L,) the letter that is there, -1 where unknown or padded.
      output: (C,) of the sequence.
    """

    change: np.ndarray
    letter: np.ndarray
    output: np.ndarray

    def importance(self) -> np.ndarray:
        """(L, C) by how much the output falls on average when the letter becomes another."""
        others = max(self.change.shape[1] - 1, 1)
        return -self.change.sum(axis=1) / others

    def logo(self, target: int) -> np.ndarray:
        """(L, A) heights of a sequence logo of an output: the importance, at the letter's place."""
        heights = np.zeros(self.change.shape[:2])
        there = np.flatnonzero(self.letter >= 0)
        heights[there, self.letter[there]] = self.importance()[there, target]
        return heights


def mutagenesis(
    predict: Predict, sequence: np.ndarray, letters: int = 4, *, block: int = 1024
) -> Mutagenesis:
    """Changes every letter of a sequence to every other, one at a time, and asks the model.

    Interplay is not seen: where two copies of a motif do the work of one, neither seems important.

    Args:
      predict: ``(M, L) codes -> (M, C)``, or one-hot ``(M, L, A) -> (M, C)``; any model.
      sequence: (L,) codes, 0 to A - 1 (others are unknown), or (L, A) one-hot, zeros unknown.
      letters: A; of a one-hot sequence its width counts.
      block: most predictions at once.

    Raises:
      ValueError: for another shape, no known letter, rows that are not one-hot, or outputs that
        are not finite.
    """
    sequence = np.asarray(sequence)
    if sequence.ndim == 2:
        letters, sums = sequence.shape[1], sequence.sum(axis=1)
        if not np.isin(sequence, (0, 1)).all() or (sums > 1).any():
            raise ValueError("a sequence (L, A) has at most a single 1 in every row")
        letter = np.where(sums > 0, sequence.argmax(axis=1), -1)
        codes = np.eye(letters, dtype=sequence.dtype)
    elif sequence.ndim == 1 and sequence.dtype.kind in "iu":
        letter = np.where((sequence >= 0) & (sequence < letters), sequence.astype(np.int64), -1)
        codes = np.arange(letters, dtype=sequence.dtype)
    else:
        raise ValueError(
            f"a sequence is (L,) whole numbers or (L, A) one-hot; got {sequence.shape} "
            f"{sequence.dtype}"
        )
    place, new = np.nonzero((letter[:, None] >= 0) & (letter[:, None] != np.arange(letters)))
    if not len(place):
        raise ValueError("the sequence has no known letter")

    def mutants():
        for start in range(0, len(place), block):
            where, what = place[start : start + block], new[start : start + block]
            rows = np.repeat(sequence[None], len(where), axis=0)
            rows[np.arange(len(where)), where] = codes[what]
            yield rows

    output = asked(predict, sequence[None])[0]
    told = in_blocks(predict, mutants(), len(place), min(block, len(place)))
    change = np.zeros((len(letter), letters, len(output)))
    change[place, new] = told - output
    return Mutagenesis(change, letter, output)
