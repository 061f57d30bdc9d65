"""Plots and pieces of a page: what is drawn is what was found, and names stay text."""

import base64
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from metajax.reasons import Shapley
from metajax.reasons.plots import LOWERS, RAISES, bars, heat, logo, overlay
from metajax.reasons.svg import bars_svg, heat_html, logo_svg

SVG = "{http://www.w3.org/2000/svg}"
NASTY = '<script>alert("1")</script> & $x_1$ \x00'


def found(columns=12, exact=False):
    values = np.random.default_rng(0).normal(size=(1, columns, 2))
    error = np.zeros_like(values) if exact else np.full_like(values, 0.1)
    return Shapley(values, error, np.zeros(2), values.sum(1), exact)


def axes():
    return Figure().add_subplot()


def test_bars_show_the_strongest_and_the_sum_of_the_others():
    one, ax = found(), axes()
    bars(ax, one, [NASTY, *map(str, range(11))], most=4)
    width = np.array([patch.get_width() for patch in ax.patches])
    values = one.values[0, :, 1]
    order = np.argsort(-np.abs(values))
    assert np.allclose(width[:4], values[order[:4]])
    assert np.isclose(width.sum(), values.sum())
    assert ax.get_yticklabels()[-1].get_text() == "8 others"
    ax.figure.canvas.draw()  # dollar signs are no formulas
    with pytest.raises(ValueError, match="as many names"):
        bars(axes(), one, ["a"])


def test_bars_svg_is_xml_and_names_stay_text():
    values = np.array([0.5, -0.25, 0.01])
    tree = ET.fromstring(bars_svg(values, [NASTY, "b", "c"], NASTY, most=2))
    boxes = [float(box.get("width")) for box in tree.iter(SVG + "rect")]
    assert np.allclose(np.array(boxes[:2]) / boxes[0], [1, 0.5], atol=0.01) and len(boxes) == 3
    assert [box.get("fill") for box in tree.iter(SVG + "rect")] == [RAISES, LOWERS, RAISES]
    told = [text.text for text in tree.iter(SVG + "text")]
    assert told[0].startswith("<script>") and told[1] == "+0.500"  # text, not an element
    assert not list(tree.iter(SVG + "script")) and "<script" not in bars_svg(
        values, [NASTY] * 3, ""
    )
    assert any(t.startswith('<script>alert("1")</script> & $x_1$') for t in
               (title.text for title in tree.iter(SVG + "title")))  # fmt: skip
    for wrong in (np.array([np.nan, 1, 2]), np.ones(2)):
        with pytest.raises(ValueError, match="finite, one for each"):
            bars_svg(wrong, ["a", "b", "c"], "")
    assert ET.fromstring(bars_svg(np.zeros(2), ["a", "b"], "")) is not None


def test_logos_have_the_heights():
    heights = np.zeros((5, 4))
    heights[1, 0], heights[3, 2] = 2.0, -1.0
    ax = axes()
    logo(ax, heights)
    boxes = [patch.get_path().get_extents() for patch in ax.patches]
    assert np.allclose([(b.y0, b.y1) for b in boxes], [(0, 2), (-1, 0)])
    assert all(p <= b.x0 < b.x1 <= p + 1 for p, b in zip((1, 3), boxes, strict=True))
    tree = ET.fromstring(logo_svg(heights, "a motif"))
    letters = [(t.text, t.get("transform")) for t in tree.iter(SVG + "text")]
    assert [name for name, _ in letters] == ["A", "G"]
    scales = [float(re.search(r"scale\(1 (.*)\)", move)[1]) for _, move in letters]
    assert scales == [1.0, -0.5]
    with pytest.raises(ValueError, match="for these letters"):
        logo(ax, heights, "ACGU?")
    with pytest.raises(ValueError, match="for these letters"):
        logo_svg(np.full((2, 4), np.nan), "")
    logo(axes(), np.zeros((3, 4)))  # nothing matters: an empty picture, no division by 0


def test_heat_shows_where_and_which_way():
    image, values = np.zeros((4, 4, 3)), np.zeros((4, 4, 3))
    values[0, 1], values[2, 2] = 0.5, -1.0
    picture = overlay(image, values)
    assert picture.shape == (4, 4, 3) and picture.dtype == np.uint8
    assert picture[2, 2].tolist() == [int(LOWERS[i : i + 2], 16) for i in (1, 3, 5)]
    blue, grey = picture[0, 1].astype(int), picture[3, 3].astype(int)
    assert np.ptp(grey) == 0 and blue[2] > blue[0]
    html = heat_html(image, values, NASTY, width=64)
    data = base64.b64decode(re.search('base64,([^"]*)', html)[1])
    assert (np.asarray(Image.open(io.BytesIO(data))) == picture).all()
    assert "<script" not in html and 'alt="&lt;script' in html
    ax = axes()
    heat(ax, image[..., 0], values[..., 0])
    assert len(ax.images) == 1
    with pytest.raises(ValueError, match="of one size"):
        overlay(image, values[:3])
