"""What classifier and regressor share: reading X and y as scikit-learn's users give them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state
from sklearn.utils.validation import column_or_1d, validate_data

from metajax.estimator import frames


def tabular(estimator: Any, x: Any, *, reset: bool) -> pd.DataFrame:
    """A table as a frame; the first sets names and number of columns, a later one must have them.

    Raises:
      ValueError: no table, no rows, no columns, or other columns than at `fit`.
      TypeError: a sparse matrix, or names that are not all texts.
    """
    named = isinstance(x, pd.DataFrame)
    if named:
        frames.frame(x)  # names come once
        if not reset and hasattr(estimator, "feature_names_in_"):
            return frames.match(estimator.columns_, x)
        validate_data(estimator, np.zeros(x.shape, np.int8), reset=reset)
        if reset:
            _remember_names(estimator, x)
    else:
        plain = np.asarray(x).dtype.kind in "OUS" if not hasattr(x, "toarray") else False
        x = validate_data(
            estimator, x, reset=reset, dtype=object if plain else np.float64,
            ensure_all_finite=not plain and "allow-nan",
        )  # fmt: skip
        if not reset and hasattr(estimator, "feature_names_in_"):
            return frames.frame(x, [column.name for column in estimator.columns_])
        return frames.frame(x, range(x.shape[1]))
    if reset:
        return x
    names = [column.name for column in estimator.columns_]
    if set(names) == set(x.columns):
        return x[names]
    if all(isinstance(name, str) for name in x.columns):
        # As scikit-learn says it; by position, since there are no names to go by.
        warnings.warn(
            f"X has feature names, but {type(estimator).__name__} was fitted without feature names",
            UserWarning, stacklevel=3,
        )  # fmt: skip
    return x.set_axis(names, axis=1)


def _remember_names(estimator: Any, x: pd.DataFrame) -> None:
    """`feature_names_in_`, if the columns have texts as names."""
    texts = [isinstance(name, str) for name in x.columns]
    if any(texts) and not all(texts):
        raise TypeError(
            "Feature names are only supported if all input features have string names; got "
            f"{sorted({type(name).__name__ for name in x.columns})}. Remedy: rename the columns"
        )
    if all(texts):
        estimator.feature_names_in_ = np.asarray(x.columns, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def targets(x: Any, y: Any) -> np.ndarray:
    """The labels as an array (N,), in the order of the rows.

    Raises:
      ValueError: there are none, one is missing, or the rows of X and y are named alike but in
        another order.
    """
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None")
    if isinstance(x, pd.DataFrame) and isinstance(y, pd.Series) and len(x) == len(y):
        moved = not x.index.equals(y.index) and x.index.is_unique and y.index.is_unique
        if moved and set(x.index) == set(y.index):
            raise ValueError(
                "X and y have the same index in another order: their rows would be mixed up. "
                "Remedy: y = y.loc[X.index]"
            )
    y = column_or_1d(y, warn=True)
    gone = pd.isna(y)
    if gone.any():
        rows = listed_rows(np.flatnonzero(gone))
        raise ValueError(f"Input y contains NaN: no label in {rows}. Remedy: leave these rows out")
    if y.dtype.kind == "f" and np.isinf(y).any():
        rows = listed_rows(np.flatnonzero(np.isinf(y)))
        raise ValueError(f"Input y contains infinity in {rows}. Remedy: leave these rows out")
    return y


def listed_rows(rows: np.ndarray) -> str:
    """Rows as a person counts them, from 1."""
    return f"row{'s' if len(rows) > 1 else ''} {frames.listed((rows + 1).tolist())}"


def seed_of(random_state: Any) -> int:
    """A number from what scikit-learn takes as `random_state`."""
    return int(check_random_state(random_state).randint(2**31 - 1))
