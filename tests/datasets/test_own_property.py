"""Random tables in random dialects: read as the values they were made of, or refused.

A table is made of columns of one type each, with missing cells, and written with another separator,
quotes, line ends and marks; whatever `table_family` returns must be it. Besides, stray quotes are
put anywhere into a file: no row may vanish.
"""

import csv
import io
import string

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metajax.datasets import DataError, own
from metajax.datasets.own import Rules, codes, text

RULES = Rules(duplicates="keep", leaks="keep", coding="keep", kind="classification")
GONE = ["", "NA", ".", "NaN", "null", "#N/A", "n/a", "<NA>", "-", "[Not Available]"]
QUICK = settings(max_examples=120, derandomize=True, deadline=None, database=None,
                 suppress_health_check=list(HealthCheck))  # fmt: skip
LONG = settings(QUICK, max_examples=5000)
WORDS = st.text(
    st.one_of(st.sampled_from(string.ascii_letters + " ,;\t'\"%<>-_/()."),
              st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"))),
    min_size=1, max_size=8,
).map(str.strip)  # fmt: skip


def plain_word(word):
    """Whether a text can only be a name: no code, no number."""
    texts = [word]
    gone, doubtful = codes.unsaid(texts, codes.numbers(texts))
    return bool(word) and word == word.strip(text.UNSEEN).strip() and not gone[0] and not doubtful \
        and np.isnan(codes.numbers(texts))[0] and word.lower() not in codes.NOTHING  # fmt: skip


NAMES = WORDS.filter(plain_word)
SPELLINGS = (repr, "{:.3f}".format, "{:.2e}".format, "{:+.4g}".format)


@st.composite
def numbers(draw, rows):
    """A column of numbers: its cells, and its features by name ending."""
    whole = draw(st.booleans())
    one = st.integers(-500, 500) if whole else st.floats(-1e6, 1e6, allow_subnormal=False)
    pool = draw(st.lists(one, min_size=2, max_size=rows, unique=True))
    said = str if whole else draw(st.sampled_from(SPELLINGS))
    cells = [said(draw(st.sampled_from(pool))) for _ in range(rows)]
    return cells, lambda kept: {"": [np.float32(cell) for cell in kept]}


@st.composite
def flags(draw, rows):
    """A column of yes and no, in any case."""
    no, yes = draw(st.sampled_from([("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t")]))
    said = draw(st.sampled_from([str.lower, str.upper, str.title]))
    bits = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    cells = [said(yes if bit else no) for bit in bits]
    return cells, lambda kept: {"": [float(cell.lower() == yes) for cell in kept]}


@st.composite
def categories(draw, rows):
    """A column of a few texts."""
    levels = draw(st.lists(NAMES, min_size=2, max_size=5, unique=True))
    cells = [draw(st.sampled_from(levels)) for _ in range(rows)]

    def features(kept):
        return {f"={level}": [float(cell == level) for cell in kept]
                for level in sorted({cell for cell in kept if cell is not None})}  # fmt: skip

    if {level.lower() for level in levels} <= {"f", "t", "n", "y", "no", "yes", "true", "false"}:
        return None
    return cells, features


@st.composite
def tables(draw):
    """Columns with their missing cells, and a file of them in some dialect."""
    rows = draw(st.integers(8, 24))
    sites = draw(st.lists(NAMES, min_size=3, max_size=4, unique=True))
    labels = draw(st.lists(NAMES, min_size=2, max_size=3, unique=True))
    site = [sites[i % len(sites)] for i in range(rows)]
    label = [labels[i % len(labels)] for i in range(rows)]
    head = draw(st.lists(NAMES, min_size=3, max_size=6, unique=True))
    columns, expected = {head[0]: site, head[1]: label}, {}
    for name in head[2:]:
        made = draw(st.one_of(numbers(rows), flags(rows), categories(rows)))
        if made is None:
            continue
        cells, features = made
        holes = draw(st.sets(st.integers(0, rows - 1), max_size=rows // 2))
        codes_ = [draw(st.sampled_from(GONE)) for _ in holes]
        kept = [None if i in holes else cell for i, cell in enumerate(cells)]
        for ending, values in features([cell for cell in kept]).items() if all(
            cell is not None for cell in kept) else _holed(features, kept).items():  # fmt: skip
            expected[name + ending] = values
        cells = list(cells)
        for i, code in zip(sorted(holes), codes_, strict=True):
            cells[i] = code
        columns[name] = cells
    file = io.StringIO()
    separator = draw(st.sampled_from([",", "\t"]))
    write = csv.writer(
        file, delimiter=separator, lineterminator=draw(st.sampled_from(["\n", "\r\n"])),
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
    )  # fmt: skip
    order = draw(st.permutations(list(columns)))
    write.writerow(order)
    write.writerows(zip(*(columns[name] for name in order), strict=True))
    content = file.getvalue()
    if draw(st.booleans()):
        content = content.rstrip("\r\n")
    if draw(st.booleans()):
        content = "\ufeff" + content
    name = "a.tsv" if separator == "\t" else "a.csv"
    return name, content, (head[1], head[0]), site, label, expected, rows


def _holed(features, kept):
    """Features of the cells that are there, NaN at the others."""
    present = [i for i, cell in enumerate(kept) if cell is not None]
    out = {}
    for ending, values in features([kept[i] for i in present]).items():
        full = np.full(len(kept), np.nan)
        full[present] = values
        out[ending] = full
    return out


def read_right(folder, table, count):
    """Asserts that a file is read as what it was made of, or refused."""
    name, content, (label, task), site, classes, expected, rows = table
    path = folder / name
    path.write_bytes(content.encode())
    count["all"] += 1
    try:
        found = own.table_family(path, label, task, rules=RULES)
    except DataError:
        return
    count["read"] += 1
    assert len(found.y) == rows
    assert [found.task_names[t] for t in found.task] == site
    assert [found.classes[c] for c in found.y] == classes
    assert set(found.columns) == set(expected)
    for column, values in zip(found.columns, found.x.T, strict=True):
        np.testing.assert_array_equal(values, np.array(expected[column], np.float32), column)


def run(folder, how):
    count = {"all": 0, "read": 0}

    @how
    @given(tables())
    def check(table):
        read_right(folder, table, count)

    check()
    return count


def test_a_table_comes_back_as_it_was_made_or_is_refused(tmp_path):
    count = run(tmp_path, QUICK)
    assert count["read"] > count["all"] / 4, count  # it is no proof that all are refused


@pytest.mark.long
def test_many_tables_come_back_as_they_were_made(tmp_path):
    count = run(tmp_path, LONG)
    assert count["read"] > count["all"] / 4, count


def quoted(folder, how):
    """Stray quotes anywhere: every row is there, or the file is refused."""
    seen = {"read": 0}

    @how
    @given(
        st.lists(st.lists(st.sampled_from(["1", "b c", "x,y", 'a "b"', "", "7.5"]), min_size=4,
                          max_size=4), min_size=6, max_size=12),
        st.lists(st.integers(0, 400), min_size=1, max_size=4), st.booleans(),
    )  # fmt: skip
    def check(rows, places, always):
        rows = [["r", *row] for row in rows]
        file = io.StringIO()
        write = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL if always else 0)
        write.writerows([["k", "a", "b", "c", "d"], *rows])
        content = file.getvalue()
        for place in places:
            at = place % len(content)
            content = content[:at] + '"' + content[at:]
        path = folder / "q.csv"
        path.write_text(content)
        try:
            found = text.sheet(path).cells
        except DataError:
            return
        seen["read"] += 1
        assert len(found) == len(rows), content

    check()
    return seen


def test_no_stray_quote_swallows_a_row(tmp_path):
    assert quoted(tmp_path, settings(QUICK, max_examples=400))["read"] > 20


@pytest.mark.long
def test_no_stray_quote_of_many_swallows_a_row(tmp_path):
    assert quoted(tmp_path, settings(QUICK, max_examples=20000))["read"] > 20
