"""Reasons as small pieces of HTML for a page: SVG and PNG, every name escaped (of `reasons`).

Text takes the colour of the page around it, so the pieces suit light and dark pages.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np

from metajax.reasons.plots import LETTER_COLOURS, LOWERS, RAISES, overlay, strongest

_ROW, _NAME, _BAR, _VALUE = 22, 225, 220, 60  # pixels


def bars_svg(
    values: np.ndarray, names: Sequence[str], title: str, *, most: int = 10, digits: int = 3
) -> str:
    """Bars of the strongest shares, largest first, and one of the sum of all others.

    Args:
      values: (P,) shares.
      names: (P,) anything; shown as text, cut at 28 letters, whole when pointed at.
      title: what is shown, for those who do not see the picture.
      most: bars at most, but that of the others.
      digits: after the point.

    Raises:
      ValueError: if names and values are not as many, or values are not finite.
    """
    values = np.asarray(values, np.float64)
    if values.shape != (len(names),) or not np.isfinite(values).all():
        raise ValueError(f"values are finite, one for each of {len(names)} names; got "
                         f"{values.shape}")  # fmt: skip
    place, rest = strongest(values, most)
    rows = [(str(names[i]), values[i]) for i in place]
    if len(values) > most:
        rows.append((f"{len(values) - most} others", rest))
    low, high = min(0.0, *(v for _, v in rows)), max(0.0, *(v for _, v in rows))
    scale = _BAR / ((high - low) or 1.0)
    zero = _NAME + 10 - low * scale
    width, height = _NAME + _BAR + _VALUE + 20, _ROW * len(rows) + 6
    parts = [_head(width, height, title)]
    for i, (name, value) in enumerate(rows):
        top, middle = 3 + i * _ROW, 3 + i * _ROW + 15
        left, long = zero + min(value, 0) * scale, abs(value) * scale
        colour = RAISES if value >= 0 else LOWERS
        parts.append(
            f"<g><title>{_text(name)}: {value:+.{digits}f}</title>"
            f'<text x="{_NAME}" y="{middle}" text-anchor="end">{_text(_cut(name, 28))}</text>'
            f'<rect x="{left:.1f}" y="{top + 2}" width="{max(long, 0.5):.1f}" height="{_ROW - 6}" '
            f'fill="{colour}"/><text x="{width - 4}" y="{middle}" text-anchor="end">'
            f"{value:+.{digits}f}</text></g>"
        )
    line = f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{height}" stroke="currentColor"/>'
    return "".join([*parts, line, "</svg>"])


def logo_svg(heights: np.ndarray, title: str, letters: Sequence[str] = "ACGT") -> str:
    """A sequence logo of heights (L, A), as `metajax.reasons.plots.logo` draws it.

    Raises:
      ValueError: if letters and columns are not as many, or heights are not finite.
    """
    heights = np.asarray(heights, np.float64)
    if heights.ndim != 2 or heights.shape[1] != len(letters) or not np.isfinite(heights).all():
        raise ValueError(f"heights are finite, (L, {len(letters)}) for these letters; got "
                         f"{heights.shape}")  # fmt: skip
    most = np.abs(heights).max(initial=0) or 1.0
    wide, middle = 14, 62
    parts = [_head(wide * len(heights), 2 * middle, title)]
    for place, letter in np.argwhere(heights != 0):
        name, height = letters[letter], heights[place, letter] / most
        colour = LETTER_COLOURS.get(name, "currentColor")
        # A capital is about 0.72 of its size high: 80 pixels make 58.
        move = f"translate({wide * place + wide / 2} {middle}) scale(1 {height:.4f})"
        told = f"{place + 1} {name}: {heights[place, letter]:+.3f}"
        parts.append(
            f'<g><title>{_text(told)}</title><text transform="{move}" text-anchor="middle" '
            f'font-family="monospace" textLength="{wide - 1}" lengthAdjust="spacingAndGlyphs" '
            f'style="font-size:80px" fill="{colour}">{_text(name)}</text></g>'
        )
    line = f'<line x1="0" x2="{wide * len(heights)}" y1="{middle}" y2="{middle}" '
    return "".join([*parts, line, 'stroke="currentColor"/></svg>'])


def heat_html(image: np.ndarray, values: np.ndarray, title: str, *, width: int = 256) -> str:
    """An image (H, W) or (H, W, channels) with its attributions, as one HTML element."""
    from PIL import Image

    kept = io.BytesIO()
    Image.fromarray(overlay(image, values)).save(kept, "PNG")
    data = base64.b64encode(kept.getvalue()).decode()
    return (
        f'<img src="data:image/png;base64,{data}" width="{int(width)}" alt="{_text(title)}" '
        'style="image-rendering:pixelated">'
    )


def _head(width: int, height: int, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{_text(title)}" font-size="13" fill="currentColor" '
        f'style="max-width:{width}px">'
    )


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _text(name: object) -> str:
    """Text for HTML and XML: escaped, without the control characters that XML does not know."""
    return escape("".join(c for c in str(name) if c.isprintable()), quote=True)
