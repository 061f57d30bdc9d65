"""Asking a model: many rows in blocks of one shape, and tables as frames (a part of `reasons`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

Predict = Callable[[np.ndarray], np.ndarray]


def asked(predict: Predict, rows: np.ndarray) -> np.ndarray:
    """Outputs (N, C) float64 of rows; a model of one output may give (N,).

    Raises:
      ValueError: for outputs of another number of rows, or that are not finite.
    """
    told = np.asarray(predict(rows), np.float64)
    told = told[:, None] if told.ndim == 1 else told
    if told.ndim != 2 or len(told) != len(rows):
        raise ValueError(
            f"predict must give (N, C) outputs for N rows; {len(rows)} rows gave {told.shape}"
        )
    if not np.isfinite(told).all():
        raise ValueError(
            f"predict gave {int((~np.isfinite(told)).sum())} outputs that are not finite: they "
            "have no reasons. Explain probabilities rather than log-probabilities of 0"
        )
    return told


def in_blocks(predict: Predict, blocks: Iterator[np.ndarray], count: int, size: int) -> np.ndarray:
    """Outputs (count, C) of rows that come in blocks of at most `size`.

    Every block is filled up to one size with copies of its last row, so that a compiled model is
    compiled once.
    """
    found = []
    for rows in blocks:
        short = size - len(rows)
        full = np.concatenate([rows, np.repeat(rows[-1:], short, axis=0)]) if short else rows
        found.append(asked(predict, full)[: len(rows)])
    outputs = np.concatenate(found)
    if len(outputs) != count:
        raise ValueError(f"blocks of {len(outputs)} rows, {count} were announced")
    return outputs


def framed(predict: Callable[[pd.DataFrame], np.ndarray], like: pd.DataFrame) -> Predict:
    """A model of data frames, as one of arrays (N, D) of objects.

    Args:
      predict: ``frame -> outputs (N, C)``, such as an estimator's `predict_proba`.
      like: a frame with its columns; their types are restored in every frame that it gets.

    Returns:
      A function for `shapley`, whose `x` and `background` then are ``frame.to_numpy(object)``.
    """
    names, types = list(like.columns), like.dtypes.to_dict()

    def of_arrays(rows: np.ndarray) -> np.ndarray:
        return predict(pd.DataFrame(rows, columns=names).astype(types))

    return of_arrays
