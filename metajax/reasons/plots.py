"""Reasons as matplotlib axes (a part of `reasons`): each function draws on the axes it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from metajax.reasons.shapley import Shapley

RAISES, LOWERS = "#1d5f97", "#c25a16"  # told apart by the colour-blind, too
LETTER_COLOURS = {"A": "#2a7f3f", "C": "#1d5f97", "G": "#b8860b", "T": "#b3261e", "U": "#b3261e"}


def strongest(values: np.ndarray, most: int) -> tuple[np.ndarray, float]:
    """Places of the largest absolute values (P,), largest first; the sum of the rest."""
    order = np.argsort(-np.abs(values), kind="stable")
    return order[:most], float(values[order[most:]].sum())


def bars(
    axes: Any,
    found: Shapley,
    names: Sequence[str],
    *,
    row: int = 0,
    target: int = 1,
    most: int = 10,
) -> None:
    """Draws the shares of the strongest columns of a row; what the others add is the last bar.

    Args:
      axes: matplotlib axes.
      found: of `shapley`.
      names: (P,) of the columns or groups, with the row's values, if these should be seen.
      row: which row.
      target: which output.
      most: columns shown.

    Raises:
      ValueError: if there are more or fewer names than columns.
    """
    values, error = found.values[row, :, target], found.error[row, :, target]
    if len(names) != len(values):
        raise ValueError(f"{len(values)} columns need as many names; got {len(names)}")
    place, rest = strongest(values, most)
    told, width = [_plain(names[i]) for i in place], list(values[place])
    spread = [*error[place]]
    if len(values) > most:
        told, width, spread = [*told, f"{len(values) - most} others"], [*width, rest], [*spread, 0]
    at = np.arange(len(told))[::-1]
    colours = [RAISES if v >= 0 else LOWERS for v in width]
    bar = None if found.exact else spread
    axes.barh(at, width, color=colours, xerr=bar, error_kw={"lw": 1, "ecolor": "0.3"})
    axes.set_yticks(at, told)
    axes.axvline(0, color="0.3", lw=0.8)
    axes.set_xlabel(
        f"share of the output: {found.base[target]:.2f} on average, "
        f"{found.output[row, target]:.2f} here"
    )


def heat(axes: Any, image: np.ndarray, values: np.ndarray) -> None:
    """Draws the attributions of an image over it in grey: blue raises the output, orange lowers it.

    Args:
      axes: matplotlib axes.
      image: (H, W) or (H, W, channels), any range.
      values: attributions of the same shape; channels are summed.
    """
    axes.imshow(overlay(image, values))
    axes.set_axis_off()


def overlay(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The picture of `heat`: (H, W, 3) uint8.

    Raises:
      ValueError: unless both are (H, W) or (H, W, channels), of one height and width.
    """
    image, values = np.asarray(image, np.float64), np.asarray(values, np.float64)
    if image.ndim not in (2, 3) or values.ndim not in (2, 3) or image.shape[:2] != values.shape[:2]:
        raise ValueError(f"image and values are (H, W) or (H, W, channels) of one size; got "
                         f"{image.shape} and {values.shape}")  # fmt: skip
    grey = image.mean(axis=2) if image.ndim == 3 else image
    values = values.sum(axis=2) if values.ndim == 3 else values
    spread = np.ptp(grey)
    grey = (grey - grey.min()) / (spread if spread > 0 else 1.0)
    most = np.abs(values).max()
    strength = (np.abs(values) / (most if most > 0 else 1.0))[..., None]
    blue, orange = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (RAISES, LOWERS))
    colour = np.where((values >= 0)[..., None], blue, orange)
    # Light grey, so that dark tissue does not hide what matters.
    return ((1 - strength) * (90 + 165 * grey[..., None]) + strength * colour).astype(np.uint8)


def logo(axes: Any, heights: np.ndarray, letters: Sequence[str] = "ACGT") -> None:
    """Draws a sequence logo: letters as high as they matter, below the line if they lower.

    Args:
      axes: matplotlib axes.
      heights: (L, A), one letter not 0 in each place, as `Mutagenesis.logo` gives.
      letters: (A,) what the letters are called.

    Raises:
      ValueError: if there are more or fewer letters than columns.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    heights = np.asarray(heights, np.float64)
    if heights.ndim != 2 or heights.shape[1] != len(letters):
        raise ValueError(f"heights are (L, {len(letters)}) for these letters; got {heights.shape}")
    for place, letter in np.argwhere(heights != 0):
        name, height = letters[letter], heights[place, letter]
        path = TextPath((0, 0), name, size=1)
        box = path.get_extents()
        move = Affine2D().translate(-box.x0, -box.y0)
        move = move.scale(0.9 / box.width, height / box.height).translate(place + 0.05, 0)
        colour = LETTER_COLOURS.get(name, "0.3")
        axes.add_patch(PathPatch(move.transform_path(path), color=colour, lw=0))
    low, high = min(heights.min(initial=0), 0), max(heights.max(initial=0), 0)
    room = 0.05 * (high - low) or 1.0
    axes.set(xlim=(0, len(heights)), ylim=(low - room, high + room), xlabel="position")
    axes.axhline(0, color="0.3", lw=0.8)


def _plain(name: object) -> str:
    """A name as it stands: dollar signs are no formulas, and long ones are cut."""
    text = str(name)
    return (text if len(text) <= 40 else text[:39] + "…").replace("$", r"\$")
