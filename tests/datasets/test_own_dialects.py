"""Tables as other countries, programs and hands write them: read right, or refused with a remedy.

Each refusal's remedy is followed as the message says it, where it is a flag.
"""

import gzip
import importlib.util
import re
import shlex
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metajax import __main__ as commands_of_metajax
from metajax.datasets import DataError, own
from metajax.datasets.own import codes, columns, identifiers, text
from metajax.datasets.own.choices import Choice, choices

N = 60
RNG = np.random.default_rng(0)
LABEL = [str(v) for v in RNG.permutation(np.arange(N) % 2)]
SITE = [f"s{i % 4}" for i in range(N)]
BMI = [f"{v:.5f}" for v in RNG.normal(25, 4, N)]


def problem(cells, name="x", **choice):
    cells = pd.Series([str(cell) for cell in cells], dtype=object)
    return columns.examine(name, cells, Choice(**choice)).column.problem


def table(folder, **more):
    path = folder / "t.csv"
    pd.DataFrame({"site": SITE, "dead": LABEL, "bmi": BMI} | more).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", """hadm|enc_csn|N° dossier|Nº historia|historia_clinica|CPR|BSN|
Krankenversichertennummer|Versichertennr|Befundnummer|medicare_no|study_subject|laufende Nummer|
folio|matricula|expediente|nro_historia|dni|cedula|cpf|prontuario|potilasnumero|journalnr|pacjent|
identyfikator|PESEL|PIZ|name|surname|Nachname|initials""".replace("\n", "").split("|"))  # fmt: skip
def test_identifiers_of_other_countries(name):
    assert identifiers.named(name)
    assert "number of a case" in problem([i % 10 + 1 for i in RNG.permutation(N)], name)
    assert not problem([i % 2 for i in range(N)], name)  # resuscitated or not


def test_numbers_of_several_rows_and_of_unequal_length_are_identifiers():
    assert "blocks of rows" in problem(np.repeat(np.arange(30), 2))
    assert "blocks of rows" in problem(np.arange(N) // 4 + 1)
    assert "as many digits" in problem(RNG.choice(10**9, N, replace=False))
    assert not problem(RNG.choice(350, N, replace=False) * 1000 + 100000)  # platelets
    assert not problem(np.sort(RNG.integers(20, 60, 2 * N)))  # ages of a sorted file


@pytest.mark.parametrize(("cells", "what"), [
    ([f"2020{i % 12 + 1:02d}" for i in range(N)], "dates"),
    ([f"{i % 28 + 1}022020" for i in range(9, 9 + N)], "codes"),
    ([f"{i % 12 + 10}022020" for i in range(N)], "dates"),
    ([f"{i % 12 + 10}0220" for i in range(N)], "dates"),
    ([f"2002{i % 12 + 10}" for i in range(N)], "dates"),
    ([f"{i % 12 + 1:02d}.2020" for i in range(N)], "dates"),
    ([f"{i % 9}d" for i in range(N)], "durations"),
    ([f"P{i % 9}D" for i in range(N)], "durations"),
    ([f"{i % 9}y {i % 5}m" for i in range(N)], "durations"),
    ([f"{i % 9}-" for i in range(N)], "signs behind the number"),
    ([f"={i % 9}" for i in range(N)], "marks of a spreadsheet"),
    ([f"'{i % 9}" for i in range(N)], "marks of a spreadsheet"),
    ([f"{i % 9}.5 ± 0.2" for i in range(N)], "numbers with an error"),
    ([f"{i % 9 + 1}e-40" for i in range(N)], "single precision"),
    (["1e-400", *range(1, N)], "single precision"),
])  # fmt: skip
def test_numbers_in_disguise(cells, what):
    if what == "codes":
        cells = [f"{cell:0>8}" for cell in cells]
    assert what in problem(cells)


def test_what_only_looks_so_is_read():
    for fine in (["1+", "2+", "3+", "0"], ["2D", "3D"], ["T1", "T2", "T3a"], ["20-30", "30-40"],
                 [200217, 200299, 200399, 205555, 210001, 209999, 201313, 204545, 207777]):
        assert not problem(fine * 6)


def test_codes_with_decimals_lonely_and_negative_ones():
    amounts = [f"{v:.1f}" for v in RNG.normal(50, 8, N)]
    for code, times in (("-99.9", 1), ("999.9", 1), ("99.9", 5), ("-5", 5),
                        ("123456789012345678901", 1)):  # fmt: skip
        told = problem([code] * times + amounts[times:])
        assert f"--missing 'x={code}'" in told
        assert not problem([code] * times + amounts[times:], missing=(code,))
    assert "is -1 in" in problem([-1, 1, 2, 3, 4] * 12)
    for scale in ([-1, 0, 1], [-2, -1, 1, 2], [0, 1, 2, 3]):
        assert not problem(scale * 12)


def test_a_rounded_or_banded_label_is_a_leak_of_a_quantity(tmp_path):
    y = RNG.normal(10, 3, N)
    for x in (y.round(1), -y.round(0), np.digitize(y, [7, 9, 11, 13]), y > 8):
        with pytest.raises(DataError, match="'x' tells the label: it puts the rows in the order"):
            own.table_family(table(tmp_path, dead=y.round(4), x=1 * x), "dead", "site")
    for x in (y + RNG.normal(0, 1, N), RNG.permutation(y.round(0))):
        found = own.table_family(table(tmp_path, dead=y.round(4), x=1 * x), "dead", "site")
        assert found.columns == ("bmi", "x")


def test_labels_in_two_words_or_with_decimal_commas(tmp_path):
    both = ["F" if v == "0" else ("M", "Male")[i % 2] for i, v in enumerate(LABEL)]
    with pytest.raises(DataError, match="has both 'M' and 'Male'.*'dead=names'"):
        own.table_family(table(tmp_path, dead=both), "dead", "site")
    half = [f"{i % 3},5" for i in range(N)]
    with pytest.raises(DataError, match="holds decimal commas.*--kind classification"):
        own.table_family(table(tmp_path, dead=half), "dead", "site")
    kept = own.Rules(kind="classification")
    found = own.table_family(table(tmp_path, dead=half), "dead", "site", rules=kept)
    assert found.classes == ("0,5", "1,5", "2,5")
    bands = [("<5", "5-9", ">9")[i % 3] for i in range(N)]
    assert own.table_family(table(tmp_path, dead=bands), "dead", "site").classes


BODY = "a,b\n1,2\n3,4\n"


def packed(content):
    """Without the time: the workers of a suite must give a test one name."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(("name", "content", "words"), [
    ("t.csv", b"<table><tr><td>a</td></tr></table>", "a web page"),
    ("t.csv", b"\n <!doctype html><html>", "a web page"),
    ("t.csv", b'<?xml version="1.0"?><a/>', "an XML file"),
    ("t.csv", b'[{"a": 1}]', "a JSON file"),
    ("t.csv", b'{"a": 1}\n{"a": 2}\n', "a JSON file"),
    ("t.xpt", b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!", "a SAS transport file"),
    ("t.csv.xz", b"\xfd7zXZ\0\0", "compressed by xz"),
    ("t.csv.gz", packed(packed(BODY.encode())), "should end in .gz, once"),
    ("t.csv.gz", packed(BODY.encode())[:20], "Remedy: copy or save"),
    ("t.csv.gz", BODY.encode(), "Remedy: copy or save"),
    ("t.zip", BODY.encode(), "Remedy: copy or save"),
    ("t.csv", "a,b\n1,2,\n3,4,\n5,6,\n", "end in a separator"),
])  # fmt: skip
def test_files_that_are_no_table(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=words):
        text.sheet(path)


def test_a_workbook_in_a_zip_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.writestr("[Content_Types].xml", "")
        archive.writestr("xl/sheet.xml", "")
    with pytest.raises(DataError, match="a workbook. Remedy: save it as .csv"):
        text.sheet(tmp_path / "w.zip")


def test_empty_columns_at_the_end_and_letters_lost_before_are_told(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,,\n1,2,,\n\n3,\ufffd,,\n")
    found = text.sheet(tmp_path / "t.csv")
    assert list(found.cells) == ["a", "b"] and len(found.cells) == 2
    assert "2 columns at the end" in found.notes[1] and "lost before" in found.notes[0]
    (tmp_path / "t.csv").write_text("a,b,\n1,2,5\n3,4,\n")
    with pytest.raises(DataError, match="column 3 has no name"):
        text.sheet(tmp_path / "t.csv")


def test_an_equals_sign_in_a_column_or_a_code():
    said = choices(["x", "x=y"], ["x=y=category"], ["x=a=b", "x=y=5"])
    assert said.of("x").missing == ("a=b",)
    assert said.of("x=y") == Choice("category", ("5",))


def script():
    path = Path(__file__).parents[2] / "experiments" / "own_data.py"
    spec = importlib.util.spec_from_file_location("own_data_again", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_remedies_work_when_they_are_typed(tmp_path, monkeypatch, capsys):
    main = script().main
    cases = [
        ({"p": [str(i // 5) for i in range(N)]}, ["--group=p"], "--shared"),
        ({"-id": [str(v) for v in RNG.permutation(N) + 5]}, [], "--drop"),
        ({"-id": [str(v) for v in RNG.permutation(N) + 5]}, [], "--types"),
        ({"o'id": [str(v) for v in RNG.permutation(N) + 5]}, [], "--group"),
        ({"x": ["a=b", *BMI[1:]]}, [], "--missing"),
        ({"x": ["-9.0", *BMI[1:]]}, [], "--missing"),
        ({"site": [("A", "a", "B", "C")[i % 4] for i in range(N)]}, [], "--types"),
    ]
    for i, (more, arguments, flag) in enumerate(cases):
        (tmp_path / str(i)).mkdir()
        line = [f"--table={table(tmp_path / str(i), **more)}", "--label=dead", "--task=site",
                "--shots", "4", "--dry-run", *arguments]  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["own_data.py", *line])
        assert main() == 2
        told = capsys.readouterr().err
        value = r"('[^']*'|\"[^\"]*\"|[a-z]+)"
        remedy = re.search(rf"{flag}[ =]{value}", told)[0]
        monkeypatch.setattr(sys, "argv", ["own_data.py", *line, *shlex.split(remedy)])
        assert main() == 0, (remedy, capsys.readouterr().err)
        capsys.readouterr()


def test_a_cell_rules_no_terminal(tmp_path, monkeypatch, capsys):
    path = table(tmp_path, x=[("\x1b[31mred", "blue")[i % 2] for i in range(N)])
    line = [f"--table={path}", "--label=dead", "--task=site", "--shots", "4", "--dry-run"]
    monkeypatch.setattr(sys, "argv", ["own_data.py", *line])
    assert script().main() == 0
    told = capsys.readouterr().out
    assert "[31mred" in told and "\x1b" not in told


def test_the_patterns_are_quick_on_long_cells():
    for cell in ("1" * 20000, "1 " * 10000 + "x", "1d" * 9000 + "x", "=" + "1." * 9000 + "x"):
        codes.written(cell)


def test_a_list_that_is_given_twice_loses_nothing(tmp_path, monkeypatch, capsys):
    line = [f"--table={table(tmp_path)}", "--label=dead", "--task=site"]
    monkeypatch.setattr(sys, "argv", ["own_data.py", *line, "--drop", "a", "--drop=b"])
    assert script().main() == 2
    assert "--drop is given twice" in capsys.readouterr().err
    flags = commands_of_metajax.parser().parse_args(
        ["compare", "--table=t.csv", "--label=dead", "--drop=-a", "--drop", "b", "c"]
    )
    assert flags.drop == ["-a", "b", "c"]
