"""A bundle behind an estimator: inputs and labels as the programs take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import softmax

from metajax.estimator import frames, portable
from metajax.estimator.portable import Bundle


class Adapted(NamedTuple):
    """Labelled rows beside the learner that reads them.

    Attributes:
      bundle: the learner.
      x: its inputs, an array for each.
      y: (S, C) one-hot classes, or targets.
      mask: (S, C) 0 for classes that the task does not have.
      classes: how many it has; 0 for a quantity.
    """

    bundle: Bundle
    x: list[np.ndarray]
    y: np.ndarray
    mask: np.ndarray
    classes: int


def inputs(bundle: Bundle, x: Any) -> list[np.ndarray]:
    """Rows as the bundle's inputs.

    Args:
      bundle: the learner.
      x: a frame of its columns (by name, in any order), an array (N, ...), or a dict of arrays for
        a learner of several inputs.

    Raises:
      ValueError: naming what is missing, new or of another shape.
    """
    wanted = bundle.about["program"]["inputs"]
    if isinstance(x, pd.DataFrame):
        names = bundle.about["columns"]
        if not names or len(wanted) > 1 or len(wanted[0]["shape"]) != 1:
            raise ValueError("this learner takes arrays, no frame: "
                             + ", ".join(f"{w['name']} (N, *{w['shape']})" for w in wanted))
        columns = [frames.Column(name, "number") for name in names]
        return [frames.encode(columns, frames.match(columns, frames.frame(x)))]
    if len(wanted) == 1 and not isinstance(x, Mapping):
        return [np.asarray(x)]
    known = [one["name"] for one in wanted]
    if not isinstance(x, Mapping) or set(x) != set(known):
        raise ValueError(f"this learner takes a dict of {', '.join(known)}")
    return [np.asarray(x[name]) for name in known]


def adapt(bundle: Bundle, x: Any, y: np.ndarray, classes: int) -> Adapted:
    """Labelled rows for a learner.

    Args:
      bundle: the learner.
      x: see `inputs`.
      y: (S,) classes 0 to `classes` - 1, or targets.
      classes: 0 for a quantity.

    Raises:
      ValueError: a learner of the other kind, more classes than it has outputs, or other inputs.
    """
    told = bundle.about["program"]
    quantity = told["kind"] == "regression"
    if quantity != (classes == 0):
        what, remedy = ("classes", "Classifier") if classes == 0 else ("quantities", "Regressor")
        raise ValueError(f"{bundle.about['name']} predicts {what}. Remedy: FewShot{remedy}")
    if classes > told["outputs"]:
        raise ValueError(f"{classes} classes, but {bundle.about['name']} was trained for "
                         f"{told['outputs']}")  # fmt: skip
    leaves = inputs(bundle, x)
    if len(leaves[0]) != len(y):
        raise ValueError(f"X has {len(leaves[0])} rows, y {len(y)}")
    if not classes:
        target = np.asarray(y, np.float32)[:, None]
        if told["outputs"] != 1:
            raise ValueError(f"{bundle.about['name']} predicts {told['outputs']} targets at once")
        made = Adapted(bundle, leaves, target, np.ones_like(target), 0)
    else:
        labels = np.eye(told["outputs"], dtype=np.float32)[y]
        there = np.arange(told["outputs"]) < classes
        mask = np.tile(there, (len(y), 1)).astype(np.float32)
        made = Adapted(bundle, leaves, labels, mask, classes)
    outputs(made, [leaf[:0] for leaf in leaves])  # other shapes, or too many rows: told now
    return made


def outputs(adapted: Adapted, leaves: list[np.ndarray]) -> np.ndarray:
    """What the learner says of other rows; see `metajax.estimator.portable.run`."""
    return portable.run(adapted.bundle, adapted.x, adapted.y, leaves, adapted.mask)


def probabilities(adapted: Adapted, x: Any) -> np.ndarray:
    """(Q, C) probabilities."""
    logits = outputs(adapted, inputs(adapted.bundle, x))
    return softmax(logits[:, : adapted.classes].astype(np.float64), axis=1)


def quantities(adapted: Adapted, x: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """(Q,) means, and standard deviations if the learner has them."""
    told = outputs(adapted, inputs(adapted.bundle, x)).astype(np.float64)
    if told.ndim == 3:
        return told[:, 0, 0], np.sqrt(told[:, 0, 1])
    return told[:, 0], None
