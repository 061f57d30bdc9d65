"""From what a pool stores to what an encoder reads: `prepare` functions, one per modality.

Pools keep inputs as they came (uint8 images, codes and counts, raw samples) and decode the rows of
an episode only. Every function here maps an Episode to an Episode, row by row: no row sees another,
save in `standardise_targets`, which sees the support's targets. Pools share compiled programs by
the identity of `prepare`; `chain`, `bind` and `within` therefore return one and the same function
for the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from metajax.columns import moments
from metajax.tasks.raw import ask, channels, codes, decoded
from metajax.types import Episode

Prepare = Callable[[Episode], Episode]

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
# Of the residues in that order: hydropathy (Kyte and Doolittle 1982, doi 10.1016/0022-2836(82)
# 90515-0), volume in cubic angstroms (Zamyatnin 1972, doi 10.1016/0079-6107(72)90005-3), charge of
# the side chain at pH 7.4 in elementary charges (histidine, pKa about 6, is mostly neutral).
RESIDUES = np.array(
    [
        [1.8, 88.6, 0],  # A
        [2.5, 108.5, 0],  # C
        [-3.5, 111.1, -1],  # D
        [-3.5, 138.4, -1],  # E
        [2.8, 189.9, 0],  # F
        [-0.4, 60.1, 0],  # G
        [-3.2, 153.2, 0],  # H
        [4.5, 166.7, 0],  # I
        [-3.9, 168.6, 1],  # K
        [3.8, 166.7, 0],  # L
        [1.9, 162.9, 0],  # M
        [-3.5, 114.1, 0],  # N
        [-1.6, 112.7, 0],  # P
        [-3.5, 143.8, 0],  # Q
        [-4.5, 173.4, 1],  # R
        [-0.8, 89.0, 0],  # S
        [-0.7, 116.1, 0],  # T
        [4.2, 140.0, 0],  # V
        [-0.9, 227.8, 0],  # W
        [-1.3, 193.6, 0],  # Y
    ],
    np.float32,
)
SAMPLING_RATE = 360.0  # Hz, of the MIT-BIH arrhythmia records


def images(episode: Episode) -> Episode:
    """Grey or colour images, uint8 (N, H, W) or (N, H, W, 3), to float32 (N, H, W, C) in [0, 1].

    Raises:
      ValueError: if the inputs are not such images, with the remedy.
    """
    return decoded(episode, lambda x: channels(x) / 255.0)


def strokes(episode: Episode) -> Episode:
    """Drawings of 0 and 1, uint8 (N, H, W), to float32 (N, H, W, 1), the values unchanged.

    Raises:
      ValueError: if the inputs are not such images, with the remedy.
    """
    return decoded(episode, channels)


def nucleotides(episode: Episode) -> Episode:
    """DNA or RNA as codes (N, L), A C G T/U = 0 1 2 3, to one-hot float32 (N, L, 4).

    Code 4, an unknown base or padding, becomes four zeros.

    Raises:
      ValueError: if the inputs are no integers (N, L).
    """
    return decoded(episode, lambda x: codes(x, 4, "nucleotides"))


def residues(episode: Episode) -> Episode:
    """Proteins as codes (N, L) in the order of `AMINO_ACIDS`, to one-hot float32 (N, L, 20).

    Code 20, an unknown residue or padding, becomes zeros.

    Raises:
      ValueError: if the inputs are no integers (N, L).
    """
    return decoded(episode, lambda x: codes(x, len(AMINO_ACIDS), "residues"))


def variants(episode: Episode) -> Episode:
    """Substitutions of one residue in its surroundings, to one float32 vector each.

    The inputs are a dict of codes 0 to 19 in the order of `AMINO_ACIDS`, 20 = unknown or padding:
    ``window`` (N, L), the residues around and at the position, ``reference`` (N,) and ``variant``
    (N,), the residue there before and after. Other entries are ignored.

    Returns:
      The episode with x (N, 20 L + 43): the window, the reference and the variant as one-hot (an
      unknown residue is zeros), and variant minus reference in hydropathy, volume and charge, in
      units of their standard deviation over the 20 residues (0 if either is unknown).
    """
    return decoded(episode, _variant)


def _variant(x: dict[str, jax.Array]) -> jax.Array:
    """One row of `variants` for every substitution."""
    letters = len(AMINO_ACIDS)
    ask(x, "reference", "variant", "window")
    before, after, window = (
        codes(x[name], letters, f"{name}s", axes)
        for name, axes in (("reference", 1), ("variant", 1), ("window", 2))
    )
    known = (x["reference"] < letters) & (x["variant"] < letters)
    # Exact in any precision of matrix products: a table look-up, not a product.
    scaled = jnp.asarray(np.vstack([RESIDUES / RESIDUES.std(axis=0), np.zeros((1, 3))]))
    change = scaled[x["variant"].astype(jnp.int32)] - scaled[x["reference"].astype(jnp.int32)]
    change = jnp.where(known[:, None], change, 0.0).astype(jnp.float32)
    return jnp.concatenate([window.reshape(len(window), -1), before, after, change], axis=1)


def fingerprints(episode: Episode) -> Episode:
    """Counts of substructures, uint8 (N, bits), to float32 log(1 + count).

    Raises:
      ValueError: if the inputs are no whole numbers (N, bits).
    """

    def decode(x: jax.Array) -> jax.Array:
        ask(x)
        whole = jnp.issubdtype(x.dtype, jnp.integer) or x.dtype == bool
        if x.ndim != 2 or not whole:
            raise ValueError(f"fingerprints are counts or bits (N, bits); got {x.dtype} of shape "
                             f"{x.shape}. Remedy: uint8 counts, not decoded ones")  # fmt: skip
        return jnp.log1p(x.astype(jnp.float32))

    return decoded(episode, decode)


def beats(episode: Episode) -> Episode:
    """Heart beats and their rhythm, for `metajax.nn.Fusion`.

    The inputs are a dict: ``signal`` (N, L) raw samples, and ``rr`` (N, 2) the intervals to the
    beats before and after in samples at `SAMPLING_RATE`, 0 or less (or NaN) at the ends of a
    record. Other entries are ignored.

    Returns:
      The episode with x a dict. ``signal`` (N, L, 1): the samples minus their median, over their
      range from the 5th to the 95th percentile, so that neither baseline, gain nor one tall spike
      matter. ``rr`` (N, 3): both intervals in seconds, and the logarithm of before over after,
      negative for an early beat. An interval that is not there is taken to equal the other (0 s if
      neither is).
    """

    def decode(x: dict[str, jax.Array]) -> dict[str, jax.Array]:
        ask(x, "signal", "rr")
        return {"signal": _signal(x["signal"]), "rr": _rhythm(x["rr"])}

    return decoded(episode, decode)


def beats_signal(episode: Episode) -> Episode:
    """The signal of `beats` alone: float32 (N, L, 1)."""

    def decode(x: dict[str, jax.Array]) -> jax.Array:
        ask(x, "signal")
        return _signal(x["signal"])

    return decoded(episode, decode)


def _signal(x: jax.Array) -> jax.Array:
    """Every row by its own median and range."""
    ask(x)
    if x.ndim != 2:
        raise ValueError(f"signals are (N, L) samples; got shape {x.shape}")
    steps = jnp.issubdtype(x.dtype, jnp.integer)
    x = x.astype(jnp.float32)
    low, middle, high = jnp.percentile(x, jnp.array([5.0, 50.0, 95.0]), axis=1)
    # At least one step of the converter: a flat line stays flat. Millivolts have no such step.
    spread = jnp.where(high > low, high - low, 1.0)
    spread = jnp.maximum(spread, 1.0) if steps else spread
    return ((x - middle[:, None]) / spread[:, None])[..., None]


def _rhythm(rr: jax.Array) -> jax.Array:
    """Both intervals in seconds and the logarithm of their ratio."""
    seconds = rr.astype(jnp.float32) / SAMPLING_RATE
    there = seconds > 0
    seconds = jnp.where(there, seconds, jnp.where(there, seconds, 0.0)[:, ::-1])
    safe = jnp.where(seconds > 0, seconds, 1.0)
    return jnp.concatenate([seconds, jnp.log(safe[:, :1] / safe[:, 1:])], axis=1)


def standardise_targets(episode: Episode) -> Episode:
    """Regression targets minus the support's mean, over the support's standard deviation.

    Assays have units of their own. Errors are then relative to the spread among the support;
    rank correlations stay as they were. No query target enters the statistics.

    Returns:
      The episode with y changed in support and query, still 0 where masked. An output with no two
      different targets in the support is centred only.
    """
    y, mask = episode.support.y, episode.support.mask > 0
    unit, mean, deviation, varied = moments(y, mask)
    # Centred only: in the units that the targets came in.
    deviation = jnp.where(varied, deviation, 1 / unit)

    def scaled(part):
        return part._replace(
            y=jnp.where(part.mask > 0, (part.y / unit - mean) / deviation, 0.0)
        )

    return Episode(*map(scaled, episode))


@cache
def chain(*functions: Prepare) -> Prepare:
    """One `prepare` that applies several in the order given."""

    def prepare(episode: Episode) -> Episode:
        for function in functions:
            episode = function(episode)
        return episode

    return prepare


@cache
def bind(function: Callable[..., Episode], **options: Hashable) -> Prepare:
    """One `prepare` of a function with options: ``bind(select_by_support, width=64)``."""

    def prepare(episode: Episode) -> Episode:
        return function(episode, **options)

    return prepare


@cache
def within(name: str, function: Prepare) -> Prepare:
    """One `prepare` that applies another to one modality of a dict of inputs; others stay.

    ``chain(within("clinical", standardise_by_support), within("genes", ...))`` prepares inputs for
    `metajax.nn.Fusion`.
    """

    def prepare(episode: Episode) -> Episode:
        alone = function(decoded(episode, lambda x: x[name]))
        changed = zip(alone, episode, strict=True)
        return Episode(*(new._replace(x={**old.x, name: new.x}) for new, old in changed))

    return prepare
