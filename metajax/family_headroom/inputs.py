"""Features of rows for the headroom: fitted on the sources, or on the labelled rows alone.

A table is scaled; everything else is decoded as for the encoders, flattened, and projected without
labels to a few dozen dimensions, which are then z-scores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.decomposition import PCA

from metajax import columns
from metajax.datasets import Family, scaled
from metajax.datasets.family import leaves
from metajax.family_headroom.plans import Plan
from metajax.family_headroom.tasks import Rows
from metajax.tasks import decoding
from metajax.types import Episode, Examples

FIT_ITEMS, CHUNK, CLIP = 5000, 1000, 4.0
ROUNDING = 1e-6  # of the largest spread of a block
GRID = 8  # images without sources: means of 8 x 8 fields
SUBSTITUTION = 43  # `decoding.variants`: all but the surroundings
Blocks = list[np.ndarray]


class Kind(NamedTuple):
    """Inputs other than tables.

    Attributes:
      decode: items to blocks (n, F) float32.
      widths: dimensions that a block is projected to; a block that has no more is kept.
    """

    decode: Callable[[Any], Blocks]
    widths: tuple[int, ...]


def _flat(prepare):
    """One block of every modality that a `prepare` gives."""

    def decode(x):
        part = Examples(jax.tree.map(jnp.asarray, x), jnp.zeros(0), jnp.zeros(0))
        one = part._replace(x=jax.tree.map(lambda leaf: leaf[:1], part.x))
        leaves = jax.tree.leaves(prepare(Episode(part, one)).support.x)
        return [np.asarray(leaf).reshape(len(leaf), -1) for leaf in leaves]

    return decode


def words(codes: np.ndarray, length: int) -> np.ndarray:
    """Counts of the words of some length in sequences of codes; a word with code 4 counts nowhere.

    Args:
      codes: (n, L) codes, A C G T = 0 1 2 3, 4 = unknown or padding.
      length: of the words, at most L.

    Returns:
      (n, 4^length) float32.
    """
    codes = codes.astype(np.int64)
    ends = codes.shape[1] - length + 1
    number, known = 0, True
    for i in range(length):
        letter = codes[:, i : i + ends]
        number, known = number * 4 + letter, known & (letter < 4)
    size = 4**length
    cell = np.arange(len(codes))[:, None] * size + number
    return np.bincount(cell[known], minlength=len(codes) * size).reshape(-1, size).astype("f4")


def _dna(x):
    return [*_flat(decoding.nucleotides)(x), np.hstack([words(x, 3), words(x, 4)])]


def _variants(x):
    (whole,) = _flat(decoding.variants)(x)
    return [whole[:, :-SUBSTITUTION], whole[:, -SUBSTITUTION:]]


KINDS = {
    "dna": Kind(_dna, (64, 32)),
    "variants": Kind(_variants, (21, SUBSTITUTION)),
    "molecules": Kind(_flat(decoding.fingerprints), (64,)),
    "beats": Kind(_flat(decoding.beats), (3, 61)),  # leaves by name: rr, signal
    "strokes": Kind(_flat(decoding.strokes), (64,)),
    "images": Kind(_flat(decoding.images), (64,)),
}


def _take(x, items):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[items], x)


def projected(kind: Kind, x: Any, fit: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Principal components of decoded inputs as z-scores, fitted on some items.

    Args:
      kind: how they are decoded.
      x: inputs of all items of a family.
      fit: items that may be looked at; a random `FIT_ITEMS` of them (seed 0) are.
      items: (n,) to transform.

    Returns:
      (n, D) float32, between -CLIP and CLIP.
    """
    fit = np.unique(fit)
    if len(fit) > FIT_ITEMS:
        fit = np.sort(np.random.default_rng(0).permutation(fit)[:FIT_ITEMS])
    seen = [kind.decode(_take(x, fit[i : i + CHUNK])) for i in range(0, len(fit), CHUNK)]
    steps = []
    for block, width in zip(zip(*seen, strict=True), kind.widths, strict=True):
        block = np.concatenate(block)
        step = np.asarray
        if block.shape[1] > width:
            width = min(width, len(block))
            step = PCA(width, svd_solver="randomized", random_state=0).fit(block).transform
            block = step(block)
        mean, spread = block.mean(0), block.std(0)
        # Components beyond the rank of the block are rounding of the others, not constant.
        known = spread > ROUNDING * spread.max(initial=0)
        steps.append((step, mean, np.where(known, spread, np.inf)))
    done = []
    for i in range(0, len(items), CHUNK):
        blocks = kind.decode(_take(x, items[i : i + CHUNK]))
        done.append(np.hstack([(step(block) - mean) / spread
                               for block, (step, mean, spread) in zip(blocks, steps, strict=True)]))
    return np.clip(np.concatenate(done), -CLIP, CLIP).astype(np.float32)


def _table(x, fit, items):
    """`scaled` of the items that occur, fitted on some."""
    present = np.unique(np.concatenate([fit, items]))
    mask = np.isin(present, fit)
    none = np.zeros(len(present), np.int32)
    return scaled(Family(x[present], none, none, ("",), None), mask)[
        np.searchsorted(present, items)]  # fmt: skip


def features(plan: Plan, x: Any, fit: np.ndarray, items: np.ndarray) -> np.ndarray:
    """(n, D) features of items, fitted on the items `fit` only."""
    if plan.inputs in ("table", "modalities"):
        return np.hstack([_table(leaf, fit, items) for leaf in leaves(x).values()])
    return projected(KINDS[plan.inputs], x, fit, items)


def best_columns(x: np.ndarray, y: np.ndarray, marked: np.ndarray, width: int) -> np.ndarray:
    """Z-scores and missing flags of the columns that separate the labelled rows best.

    As `metajax.tasks.schemas.select_by_support`, on the host: ordered by their F statistic.

    Args:
      x: (n, D) with NaN where a cell is missing.
      y: (n,) labels, 0 or 1; only those of the marked rows are looked at.
      marked: (n,) bool, the labelled rows.
      width: columns to keep; all, if there are no more.

    Returns:
      (n, 2 width) float64, finite; all of it fitted on the marked rows.
    """
    fit, label = x[marked].astype(np.float64), y[marked]
    seen = ~np.isnan(fit)
    fitted = columns.moments(fit, seen, np)
    known = fitted.varied
    z = np.where(seen, columns.scores(fitted, fit, np), 0.0)
    between, within = np.zeros(z.shape[1]), np.zeros(z.shape[1])
    for c in (0, 1):
        rows = seen & (label == c)[:, None]
        size = np.maximum(rows.sum(0), 1)
        middle = np.where(rows, z, 0).sum(0) / size
        between += rows.sum(0) * middle**2
        within += (np.where(rows, z - middle, 0) ** 2).sum(0)
    # A column that separates perfectly has no variance within: it comes first, not to infinity.
    ratio = between / np.maximum(within, 1e-6 * (between + within) + 1e-300)
    score = np.where(known, ratio * np.maximum(seen.sum(0) - 2, 0), -1.0)
    kept = np.argsort(-score, kind="stable")[:width]
    kept = kept[known[kept]] if known[kept].any() else kept[:1]
    raw = x[:, kept].astype(np.float64)
    gone = np.isnan(raw)
    z = columns.scores(columns.Moments(*(each[kept] for each in fitted)), raw, np)
    z = np.where(gone, 0.0, z)
    flags = gone & seen.any(0)[kept]
    return np.hstack([np.clip(z, -CLIP, CLIP), flags])


def _coarse(images):
    """(n, H, W[, C]) to the means of GRID x GRID fields, flat: nothing is fitted."""
    x = images.reshape(*images.shape[:3], -1).astype(np.float32)
    rows, columns = (np.arange(GRID) * s // GRID for s in x.shape[1:3])
    x = np.add.reduceat(np.add.reduceat(x, rows, axis=1), columns, axis=2)
    return x.reshape(len(x), -1)


def _raw(plan, x, items):
    """(n, F) what is looked at by the labelled rows alone."""
    x = _take(x, items)
    if plan.inputs == "images":
        return _coarse(x)
    if plan.inputs == "table":
        blocks = [np.asarray(leaf) for leaf in jax.tree.leaves(x)]
    else:
        blocks = KINDS[plan.inputs].decode(x)
    return np.hstack(blocks)


def scaling(plan: Plan, x: Any, rows: Rows) -> Callable[[np.ndarray], np.ndarray]:
    """The `scale` of `headroom`: features (R, D) of all rows that are used with the marked ones.

    Args:
      plan: of the family.
      x: inputs of its items.
      rows: targets and what is pooled for them.
    """
    if plan.fit == "support":
        raw = _raw(plan, x, rows.item)

        def by_support(marked):
            mine = rows.task == rows.task[marked][0]
            made = best_columns(raw[mine], rows.y[mine], marked[mine], plan.width)
            out = np.zeros((len(marked), made.shape[1]))
            out[mine] = made
            return out

        return by_support
    made: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def by_sources(marked):
        # Without a prior the labelled rows are marked, but it is their sources that count.
        first = int(rows.task[marked][0])
        block = rows.sources.get(first, first)
        if block not in made:
            served = [target for target, source in rows.sources.items() if source == block]
            need = np.isin(rows.task, [*served, block])
            fit = rows.item[rows.task == block]
            made[block] = need, features(plan, x, fit, rows.item[need])
        need, inputs = made[block]
        out = np.zeros((len(marked), inputs.shape[1]))  # pages that stay untouched cost nothing
        out[need] = inputs
        return out

    return by_sources
