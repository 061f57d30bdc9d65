"""The data sets: parsed from tiny files of the same layout, and the real ones where present."""

import dataclasses
import gzip
import hashlib
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import sklearn.datasets

from metajax import datasets
from metajax.datasets import files, heart_uci, support2
from metajax.datasets.cards import UNKNOWN, File

real = pytest.mark.skipif(
    not os.environ.get("METAJAX_DATA"), reason="METAJAX_DATA names no data directory"
)
HEART = (
    b"63.0,1.0,1.0,145.0,233.0,1.0,2.0,150.0,0.0,2.3,3.0,?,6.0,0\n"
    b"65,1,4,0,0,-9,?,115,1,-.5,?,?,?,3\n"
)
HEADER = (
    "age,death,sex,hospdead,d.time,dzgroup,num.co,edu,scoma,diabetes,meanbp,wblc,hrt,resp,temp,"
    "pafi,alb,bili,crea,sod,ph,glucose,bun,urine,aps"
)
SUPPORT = (
    f"{HEADER}\r\n"
    "1,62.5,0,male,0,2029,Lung Cancer,1,11, 0,1,97.0,6, 69.0,22,36,388, 1.8,.2,1.2,141,7.4,,,,9\r\n"
    "2, 60.0,1,female,1,   4,Coma,2,,44,0, 43.0,17,112.0,34,34.5, 98,,,5.5,132,7.25,,,NA,8\r\n"
).encode()


def column(table_columns, x, name):
    return x[:, table_columns.index(name)]


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path_factory):
    """One cache for all tests of this file; its data directory only where a test asks for it."""
    monkeypatch.setenv("METAJAX_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def test_heart_row_by_row():
    x, y = heart_uci.parse(HEART)
    np.testing.assert_array_equal(y, [0, 1])
    nan = np.nan
    first = [63, 1, 1, 0, 0, 0, 145, 233, 1, 0, 0, 1, 150, 0, 2.3, 0, 0, 1, nan, 0, 1, 0]
    second = [65, 1, 0, 0, 0, 1, nan, nan, nan, nan, nan, nan, 115, 1, -0.5, *[nan] * 7]
    np.testing.assert_array_equal(x, np.array([first, second], np.float32))
    assert x.shape[1] == len(heart_uci.COLUMNS) == 22


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEART[:-3], "line 2: 13 fields"),
        (HEART.replace(b"115", b"abc"), "line 2: .*abc"),
        (HEART.replace(b"65,1,4", b"65,1,5"), "line 2: .*cp = 5"),
        (HEART[:-2] + b"7\n", "line 2"),
        (b"\n", "no row"),
    ],
)
def test_heart_of_another_layout_is_refused(content, message):
    with pytest.raises(files.DataError, match=message):
        heart_uci.parse(content, "va")


def test_heart_through_files_and_card(tmp_path):
    names = ("cleveland", "va")
    card = dataclasses.replace(
        heart_uci.CARD,
        files=tuple(File(f"h/{n}.data", "", hashlib.sha256(HEART).hexdigest()) for n in names),
        prevalence=tuple((n, 2, 1) for n in names),
    )
    (tmp_path / "h").mkdir()
    for n in names:
        (tmp_path / f"h/{n}.data").write_bytes(HEART)
    table = heart_uci.load(tmp_path, engine="direct", card=card)
    np.testing.assert_array_equal(table.task, [0, 0, 1, 1])
    np.testing.assert_array_equal(table.y, [0, 1, 0, 1])
    assert table.task_names == names
    assert table.group is None
    wrong = dataclasses.replace(card, prevalence=(("cleveland", 2, 1), ("va", 3, 1)))
    with pytest.raises(files.DataError, match="task va: 2 rows with 1 positive.* 3 with 1"):
        heart_uci.load(tmp_path, engine="direct", card=wrong)
    (tmp_path / "h/va.data").write_bytes(HEART[:-1])
    with pytest.raises(files.DataError, match="h/va.data is not the file meant"):
        heart_uci.load(tmp_path, engine="direct", card=card)


def test_support_row_by_row():
    nan = np.nan
    want = [
        [62.5, 1, 1, 11, 1, 0, 97, 6, 69, 22, 36, 388, 1.8, 0.2, 1.2, 141, 7.4, nan, nan, nan],
        [60, 0, 2, nan, 0, 44, 43, 17, 112, 34, 34.5, 98, nan, nan, 5.5, 132, 7.25, nan, nan, nan],
    ]
    # With the row number only in the data, in header and data, and in neither.
    named = b'"",' + SUPPORT
    lines = SUPPORT.decode().split("\r\n")
    bare = "\r\n".join([lines[0]] + [line.partition(",")[2] for line in lines[1:]]).encode()
    for content in (SUPPORT, named, bare):
        x, y, task = support2.parse(content)
        np.testing.assert_array_equal(x, np.array(want, np.float32))
        np.testing.assert_array_equal(y, [0, 1])
        assert [support2.CARD.tasks[i] for i in task] == ["Lung Cancer", "Coma"]
    assert not {"aps", "d.time", "death", "charges", "surv2m"} & set(support2.COLUMNS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SUPPORT.replace(b",alb,", b",albumin,"), "no column alb"),
        (SUPPORT[:-20], "row 3"),
        (SUPPORT.replace(b"Coma", b"Stroke"), "row 3: .*Stroke"),
        (SUPPORT.replace(b"female,1", b"female,2"), "row 3: .*'2'"),
        (SUPPORT.replace(b"female", b"other"), "row 3: .*other"),
        (HEADER.encode(), "no row"),
        (b"", "no column"),
        (b"a" * 200_000, "not a csv"),
    ],
)
def test_support_of_another_layout_is_refused(content, message):
    with pytest.raises(files.DataError, match=message):
        support2.parse(content)


def test_support_takes_the_packed_file_or_the_official_zip(tmp_path):
    packed = gzip.compress(SUPPORT)
    card = dataclasses.replace(
        support2.CARD,
        files=(
            File("c/s.csv.gz", "", hashlib.sha256(packed).hexdigest()),
            File("c/s.zip", "", UNKNOWN),
        ),
        prevalence=tuple(
            (name, int(name in ("Coma", "Lung Cancer")), int(name == "Coma"))
            for name in support2.CARD.tasks
        ),
    )
    (tmp_path / "c").mkdir()
    with pytest.raises(files.DataError, match="c/s.zip is absent"):
        support2.load(tmp_path, engine="direct", card=card)
    with zipfile.ZipFile(tmp_path / "c/s.zip", "w") as archive:
        archive.writestr("support2.csv", SUPPORT)
    official = support2.load(tmp_path, engine="direct", card=card)
    (tmp_path / "c/s.csv.gz").write_bytes(packed)
    mine = support2.load(tmp_path, engine="direct", card=card)
    np.testing.assert_array_equal(mine.x, official.x)
    (tmp_path / "c/s.csv.gz").write_bytes(packed + b"x")  # present but wrong: no silent other file
    with pytest.raises(files.DataError, match="c/s.csv.gz is not the file meant"):
        support2.load(tmp_path, engine="direct", card=card)
    (tmp_path / "c/s.csv.gz").unlink()
    with zipfile.ZipFile(tmp_path / "c/s.zip", "w") as archive:
        archive.writestr("support2.csv", SUPPORT.replace(b"female,1", b"female,0"))
    found = hashlib.sha256((tmp_path / "c/s.zip").read_bytes()).hexdigest()
    with pytest.raises(files.DataError, match=f"{found}.*task Coma: 1 rows with 0 positive"):
        support2.load(tmp_path, engine="direct", card=card)


def test_bundled_tables():
    table = datasets.load("sklearn_tables")
    cancer = sklearn.datasets.load_breast_cancer()
    assert list(cancer.target_names) == ["malignant", "benign"]
    first = table.task == 0
    np.testing.assert_array_equal(table.y[first], cancer.target == 0)
    np.testing.assert_array_equal(table.x[first, :30], cancer.data.astype(np.float32))
    assert (first.sum(), (~first).sum(), table.y[first].sum(), table.y[~first].sum()) == (
        569,
        442,
        212,
        221,
    )
    assert np.isnan(table.x[~first, 10:]).all() and np.isfinite(table.x[~first, :10]).all()
    assert set(np.unique(table.x[~first, 1])) == {1, 2}  # sex in the original coding
    target = sklearn.datasets.load_diabetes().target
    assert target[table.y[~first] == 1].min() > np.median(target)
    assert target[table.y[~first] == 0].max() <= np.median(target)


def test_names_and_cards():
    assert set(datasets.DATASETS) == set(datasets.CARDS)
    with pytest.raises(datasets.DataError, match="did you mean heart_uci"):
        datasets.load("heart_uc")
    for card in datasets.CARDS.values():
        assert hash(card) and all(getattr(card, f.name) != "" for f in dataclasses.fields(card))
        for file in card.files:
            assert file.sha256 == UNKNOWN or len(bytes.fromhex(file.sha256)) == 32
            assert file.url.startswith("https://") or not file.url
            assert not file.path.startswith("/") and ".." not in file.path


def test_import_needs_no_tensorflow_datasets():
    code = "import sys, metajax.datasets; print([m for m in sys.modules if 'tensorflow' in m])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def both(name):
    """The real table, the same with both engines."""
    table = datasets.load(name)
    direct = datasets.DATASETS[name](None, engine="direct")
    for field in ("x", "y", "task"):
        np.testing.assert_array_equal(getattr(table, field), getattr(direct, field))
        assert getattr(table, field).dtype == getattr(direct, field).dtype
    return table


@real
def test_real_heart():
    t = both("heart_uci")
    np.testing.assert_array_equal(np.bincount(t.task), [303, 294, 123, 200])
    np.testing.assert_array_equal(np.bincount(t.task, t.y), [139, 106, 115, 149])
    cholesterol = column(t.columns, t.x, "chol")
    gone = np.bincount(t.task, np.isnan(cholesterol))
    np.testing.assert_array_equal(gone, [0, 23, 123, 7 + 49])
    assert np.nanmin(cholesterol) > 0
    assert np.isnan(column(t.columns, t.x, "trestbps")).sum() == 1 + 2 + 57
    chest_pain = t.x[:, [i for i, c in enumerate(t.columns) if c.startswith("cp=")]]
    np.testing.assert_array_equal(chest_pain.sum(1), 1)
    fit = t.task != 0
    x = datasets.scaled(t, fit)
    assert np.isfinite(x).all() and abs(column(t.columns, x, "age")[fit].mean()) < 1e-5


@real
def test_real_support():
    t = both("support2")
    assert (len(t.y), t.y.sum(), len(t.task_names), t.x.shape[1]) == (9105, 2360, 8, 20)
    assert np.bincount(t.task)[t.task_names.index("Lung Cancer")] == 908
    missing = np.isnan(t.x).sum(0)
    assert missing[t.columns.index("urine")] == 4862 and missing[t.columns.index("age")] == 0
    assert set(np.unique(column(t.columns, t.x, "sex"))) == {0, 1}
    assert column(t.columns, t.x, "sex").sum() == 5125
