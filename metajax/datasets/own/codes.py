"""What stands for a missing cell, and what only looks like a number."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

# What programs and registries write for a cell without a value, in lower case. "Unknown" and "not
# stated" are answers, and stay levels of a category.
MISSING = frozenset(
    """? ?? . .. ... - -- --- – — na n/a #n/a #na n.a. n.a n\\a <na> <n/a> [na] [n/a] (na) nan -nan
    +nan nan.0 1.#qnan -1.#qnan 1.#ind -1.#ind null <null> (null) [null] #null! \\n nat pd.na np.nan
    na_real_ na_integer_ na_character_ #div/0! #value! #ref! #num! #name? #error! #field! #spill!
    #calc! missing <missing> [missing] (missing) (blank) <blank> [blank] <none> [none] (none) """
    .split()
) | {
    "", "n / a", "not available", "[not available]", "(not available)", "not applicable",
    "[not applicable]", "(not applicable)", "[not evaluated]", "[unknown]", "[discrepancy]",
    "#getting_data",
}  # fmt: skip
UNKNOWN = {"unknown", "unk", "not stated", "not known", "not recorded", "undetermined", "other",
           "not done", "no data", "n.d.", "nd", "x", "none", "nil"}  # fmt: skip
SPECIAL = re.compile(r"\.[A-Za-z_]")  # .a to .z of SAS and Stata
NOTHING = {"none", "nil"}  # missing beside numbers, a level beside texts
SIGNS = {"+", "++", "+++", "++++", "+/-", "-/+", "pos", "neg", "positive", "negative", "trace"}

# One way to match, and no way back: a column of numbers with a text at its end would take for ever.
NUMBER = re.compile(r"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?", re.ASCII)
PLAIN = re.compile(rf"(?>{NUMBER.pattern}\n)*+{NUMBER.pattern}", re.ASCII)
ENDLESS = re.compile(r"[+-]?(?:inf|infinity|1\.#inf)", re.IGNORECASE)
MINUS = {ord(sign): "-" for sign in "\u2010\u2011\u2012\u2013\u2212"}
ZEROS = re.compile(r"[+-]?0\d+", re.ASCII)
# How people write numbers and moments that are no plain number; in this order.
WRITTEN = (
    ("percent signs", re.compile(r"[+-]?[\d.,]+\s*%")),
    ("limits of detection", re.compile(r"[<>≤≥~≈]\s*=?\s*[\d.,]+")),
    ("dates", re.compile(
        r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})(?: .*)?|"
        r"\d{1,2}[- ]?[A-Za-z]{3,9}[- ]?,? ?(?:\d{4}|\d{2})(?:[: ].*)?|"
        r"[A-Za-z]{3,9}\.? \d{1,2},? \d{4}(?: .*)?|\d{4}-\d{2}-\d{2}.*|"
        r"(?:19|20)\d\d[-/](?:0[1-9]|1[0-2])|(?:0?[1-9]|1[0-2])[-/](?:19|20)\d\d|"
        r"(?:19|20)\d\d[- ]?[WQ]\d{1,2}|Q[1-4][- /]?(?:19|20)\d\d|"
        r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[-/ .]?'?\d{2,4}",
        re.IGNORECASE)),
    ("two numbers in a cell", re.compile(r"\d{1,3} ?/ ?\d{2,3}|\d{1,2}\+\d")),
    ("times", re.compile(r"\d{1,2}h\d{0,2}|\d{1,3}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AaPp][Mm])?")),
    ("decimal commas", re.compile(r"[+-]?(?:\d{1,3}(?:[.' ]\d{3})+|\d+),\d+(?:[eE][+-]?\d+)?")),
    ("separators of thousands", re.compile(r"[+-]?\d{1,3}(?:[,' \u00a0\u202f]\d{3})+(?:\.\d+)?")),
    ("signs of currency", re.compile(r"[$€£¥]\s*[\d.,]+|[\d.,]+\s*[€£$]")),
    ("brackets", re.compile(r"\(\d[\d.,]*\)")),
    ("signs behind the number", re.compile(r"\d[\d.,]*\s*[-−]")),
    ("marks of a spreadsheet", re.compile(r"=\s*[+-]?\d[\d.,]*|['‘’][+-]?\d[\d.,]*['’]?")),
    ("numbers with an error", re.compile(r"[+-]?[\d.,]+\s*(?:±|\+/-|\+-)\s*[\d.,]+")),
    ("durations", re.compile(r"P(?:\d+[YMWDymwd])+|(?:\d+\s?(?:y|mo?|w|d|hr?)\s?){1,3}")),
    ("stars or other marks", re.compile(r"[+-]?\d+(?:\.\d+)?\s*[*†‡HLhl!]{1,2}")),
    ("powers of ten", re.compile(r"[+-]?[\d.,]+ ?[x*×]? ?10[\^e*]{1,2}\d+.*", re.IGNORECASE)),
    ("units", re.compile(
        r"[+-]?\d+(?:[.,]\d+)?\s?(?:kg|g|mg|mcg|µg|ug|ng|l|ml|dl|cm|mm|m|mmhg|mmol/l|mg/dl|g/dl|"
        r"g/l|u/l|iu/l|ng/ml|bpm|years?|yrs?|yo|months?|mos?|weeks?|wks?|days?|hours?|hrs?|mins?|"
        r"°c|°f|c/min|/min|x)\.?", re.IGNORECASE)),
)  # fmt: skip
# Numbers that mean missing in REDCap, SPSS, BRFSS, NHANES and PLINK, where no value is near them.
ENDS = tuple(int(str(d) * n) for n in (1, 2, 3, 4, 5) for d in (7, 8, 9))
CODES = frozenset(ENDS) | {-n for n in ENDS} | {96, 97, 98, 996, 997, 998, 9996, 9997, 9998} | {
    -1, -96, -97, -98, -996, -997, -998, -9998, 0} | {
    sign * float(each) for sign in (1, -1)
    for each in ("99.9", "999.9", "9999.9", "9.99", "99.99", "999.99", "9999.99")}  # fmt: skip


def numbers(texts: Sequence[str]) -> np.ndarray:
    """(U,) float64: texts as numbers in ASCII digits, infinities too; NaN where one is none."""
    if len(texts) > 1 and PLAIN.fullmatch("\n".join(texts)):  # many at once
        return np.array([float(text) for text in texts])
    out = np.full(len(texts), np.nan)
    for i, text in enumerate(texts):
        if NUMBER.fullmatch(text):
            out[i] = float(text)
        elif ENDLESS.fullmatch(text):
            out[i] = -np.inf if text[0] == "-" else np.inf
    return out


def written(text: str) -> str:
    """How a text writes a number that is no plain one, e.g. "dates"; "" if it does not."""
    if not text.isascii():
        plain = unicodedata.normalize("NFKC", text).translate(MINUS)
        if plain != text and NUMBER.fullmatch(plain):
            return "digits or signs of another script"
    return next((what for what, how in WRITTEN if how.fullmatch(text)), "")


def unsaid(
    texts: Sequence[str], values: np.ndarray, told: Sequence[str] = (), exact: bool = False
) -> tuple[np.ndarray, list[str]]:
    """Which of a column's different texts say nothing.

    Args:
      texts: U different texts.
      values: (U,) see `numbers`.
      told: further codes, by the user; a number is equal in any spelling.
      exact: only the empty text and `told` are missing.

    Returns:
      (U,) bool, and the texts that may be a level as well as missing.
    """
    own = {code.lower() for code in told}
    amounts = [float(code) for code in told if NUMBER.fullmatch(code)]
    gone = np.isin(values, amounts)
    # Of numbers only those that were told are missing.
    lower = {i: texts[i].lower() for i in np.flatnonzero(~np.isfinite(values)).tolist()}
    for i, text in lower.items():
        known = not exact and (text in MISSING or bool(SPECIAL.fullmatch(text)))
        gone[i] |= known or text in own or text == ""
    if exact:
        return gone, []
    words = [t for i, t in lower.items() if not gone[i] and t not in NOTHING]
    capital = any(texts[i][:1].isupper() for i, t in lower.items() if not gone[i] and t in words)
    doubtful = []
    for i, text in lower.items():
        if text in NOTHING and not gone[i]:
            if words and texts[i] == "None" and capital:  # Python's; a form in capitals says it too
                doubtful.append(texts[i])
            gone[i] = not words or (texts[i] == "None" and not capital)
        elif text in ("-", "--", "–", "—") and text not in own and SIGNS & set(words):
            doubtful.append(texts[i])
    return gone, doubtful


def suspects(values: np.ndarray, counts: np.ndarray) -> list[float]:
    """Numbers of a column that look like codes of missing cells.

    A number of `CODES` is suspected if it lies outside all others, and
      is negative where no other is (-1: where they are many), or
      is repeated and farther from them than they are from each other (three times, if once), or
      is more frequent than its neighbour, with a gap between (0: all others are far above it).

    Any other number is suspected if it is found three times or more, twice as far from ten others
    or more as they are from each other (a thousand times, if seldom), or if it is the only negative
    one.

    Args:
      values: (U,) different finite numbers.
      counts: (U,) how often each is found.
    """
    values, number = np.unique(values, return_inverse=True)  # 7 and 7.0 are one
    counts = np.bincount(number, weights=counts).astype(int)
    code = np.isin(values, list(CODES))
    # Only the codes at both ends: 7 of 0 to 10 is a number like the others.
    inner = np.flatnonzero(~code)
    if len(inner) < 2:
        inner = np.flatnonzero(~np.isin(values, list(CODES - {0, -1})))
        if len(inner) < 2:
            return []
    found = []
    low, high = inner[0], inner[-1]
    for i in range(high + 1, len(values)):
        if _far(values[i], counts[i], values[low : high + 1], counts[low : high + 1]):
            found.append(float(values[i]))
        elif not found:  # one of the others
            high = i
    below = len(found)
    if below == 0 and high == len(values) - 1:
        found += _alone(values, counts)
    for i in range(low - 1, -1, -1):
        inside = slice(low, high + 1)
        if _far(-values[i], counts[i], -values[inside][::-1], counts[inside][::-1]):
            found.append(float(values[i]))
        elif len(found) == below:
            low = i
    if low == 0:
        found += [-value for value in _alone(-values[::-1], counts[::-1])]
    return found


def _alone(values: np.ndarray, counts: np.ndarray) -> list[float]:
    """The highest number, if it is repeated and no code, but far from many others."""
    if len(values) < 11:
        return []
    gap, spread = values[-1] - values[-2], values[-2] - values[0]
    steps = np.quantile(np.diff(values[:-1]), 0.9)
    if values[-1] > 0 >= values[-2] and counts[-1] >= 3 and gap > steps:  # negative, mirrored
        return [float(values[-1])]
    return [float(values[-1])] if gap >= (2 if counts[-1] >= 3 else 1000) * spread else []


def _far(value: float, count: int, others: np.ndarray, counts: np.ndarray) -> bool:
    """Whether a number above some others is no value like them; negatives come mirrored."""
    gap, spread = value - others[-1], others[-1] - others[0]
    if value == 0:  # others are below 0, mirrored from above
        weights = np.repeat(others, counts)
        quarter = np.subtract(*np.quantile(weights, [0.75, 0.25]))
        return bool(
            count >= 2 and len(others) >= 5 and others[-1] < 0 and quarter > 0
            and gap > quarter and -np.median(weights) > 3 * quarter / 1.349
        )  # fmt: skip
    if others[0] < 0 and others[-1] <= 0 and value > 0:  # a negative code among positive numbers
        # -1, 0, 1 is a scale; -1, 1, 2, 3 jumps over 0.
        jumps = len(others) > 1 and gap > np.diff(others).max()
        return value > 1 or (count >= 2 and (len(others) > 5 or jumps))
    if gap >= spread * (1 if count >= 2 else 3) and (count >= 2 or abs(value) >= 777):
        return True
    if count < 3 or len(others) < 3 or value < 7:
        return False
    steps = np.quantile(np.diff(others), 0.9)  # a tail has gaps of its own
    return bool(gap >= 3 * max(steps, 1.0) and count > counts[-1])
