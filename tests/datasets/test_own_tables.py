"""Tables as registries and spreadsheets export them: read right, or refused with the remedy."""

import csv
import dataclasses
import io
import json
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hostile import make_files

from metajax.datasets import DataError, own
from metajax.datasets.own import Rules, codes, columns, guards, identifiers, leaks, reports, text
from metajax.datasets.own.choices import Choice

HOSTILE = Path(make_files.__file__).parent
IDENTIFIERS = """PATIENT_ID|Patientid|subject#|RECORD_ID|Unnamed: 0|index|stay id|hadm_id
|patientunitstayid|subjid|USUBJID|SUBJID|case no|MRN|study number|barcode|accession|sample id|pt_no
|#|patientID|PatientId|Patient.ID|patient-id|id|ID|pid|uuid|recordId|STAY_ID|icustay_id|SubjectID
|encounter_id|EncounterKey|pat_enc_csn_id|PAT_MRN_ID|bcr_patient_barcode|SAMPLEID|ParticipantNumber
|CaseID|caseno|studyid|eid|SEQN|RID|PTID|AccessionNumber|specimen_id|row_id|rownames|Nr.|S.No
|serial no|visit_occurrence_id|patienthealthsystemstayid|uniquepid|hospitalid|SOPInstanceUID
|screening_number|RandomizationNumber|Enrolment Number|Medical Record Number|Patient No.|id_paciente
|subject number|Study_Participant_Identifier_Code|AufnahmeNr|PERSON_SK|UHID|account_number
|sample_name|level_0|encntr_id|person_key|row number"""
HARMLESS = """grade|plt_count|number_of_lesions|fluid|acid|bilirubin|hybrid|lipid|thyroid|steroid
|covid|mid|valid|paid|rapid|void|solid|carotid|uric_acid|amyloid|rheumatoid|sarcoid
|opioid|age|bmi|charlson_index|body_mass_index|no_of_children|num_nodes|visit_number
|lesion_number|length_of_stay|stay_days|case_fatality|caseload|sample_volume
|patient_age|record_year|subject_weight|n_patients|number_of_cases|lymphoid|keloid
|midline|idiopathic|fluid_balance|acid_base|test_result|n_visits|num_medications
|time_in_hospital|hospital_days|family_history|group_size|line_of_therapy|study_arm
|health_index|screening_result|batch_size_ml|side"""


def names(told):
    return "".join(told.split("\n")).split("|")


def column(cells, name="x", **choice):
    return columns.examine(name, pd.Series(list(cells), dtype=object), Choice(**choice))


def problem(cells, name="x", **choice):
    return column(cells, name, **choice).column.problem


def test_names_of_identifiers_in_any_style():
    assert len(names(IDENTIFIERS)) >= 50 and len(names(HARMLESS)) >= 50
    assert [name for name in names(IDENTIFIERS) if not identifiers.named(name)] == []
    assert [name for name in names(HARMLESS) if identifiers.named(name)] == []


@pytest.mark.parametrize("name", ["PATIENT_ID", "stay id", "subject#", "Unnamed: 0"])
def test_an_identifier_is_no_feature_however_few_its_values_are(name):
    for values in (range(40), [i // 4 for i in range(40)], [i % 3 for i in range(40)]):
        assert "number of a case" in problem(map(str, values), name)
    # Yes and no, and measurements, only have its name.
    assert not problem([str(i % 2) for i in range(40)], name)
    assert not problem([f"{i % 7}.5" for i in range(40)], name)
    assert not problem([str(i % 3) for i in range(40)], name, kind="number")


def test_an_identifier_by_what_it_holds():
    rng = np.random.default_rng(0)
    rising = np.cumsum(rng.integers(1, 9, 60))
    assert "rises from row to row" in problem(map(str, rising))
    assert "rises from row to row" in problem(map(str, rising[::-1]))
    swapped = rising.copy()
    swapped[[3, 5, 20, 22]] = swapped[[5, 3, 22, 20]]
    assert "rises" in problem(map(str, swapped))
    assert "in another order" in problem(map(str, rng.permutation(60) + 100))
    assert "as many digits" in problem(map(str, rng.choice(800000, 60, replace=False) + 100000))
    for measured in (rng.integers(20, 90, 60), rng.normal(size=60).round(3),
                     rng.gamma(2, 2000, 60).astype(int), np.sort(rng.integers(20, 60, 60)),
                     np.sort(rng.normal(size=60))):  # fmt: skip
        assert not problem(map(str, measured))


@pytest.mark.parametrize("code", sorted(codes.MISSING - {""}))
def test_every_code_is_missing_in_any_case(code):
    for spelled in {code, code.upper(), code.title()}:
        found = column([spelled, "1", "2", "3"] * 4)
        assert found.column.missing == 4 and found.column.codes == ((spelled, 4),)
        values = found.parts[0][1]
        assert np.isnan(values[::4]).all() and values[1:4].tolist() == [1, 2, 3]
        own_code = column([spelled, "a", "b", "c"] * 4)  # of texts too
        assert own_code.column.missing == 4 and len(own_code.parts) == 3


def test_nothing_is_missing_beside_numbers_and_a_level_beside_texts():
    for word in ("none", "None", "NONE", "nil"):
        assert column([word, "1", "2"] * 4).column.missing == 4
    assert column(["none", "mild", "severe"] * 4).column.missing == 0
    assert column(["None", "mild", "severe"] * 4).column.missing == 4  # Python's
    assert "says 'None'" in problem(["None", "Mild", "Severe"] * 4)
    assert column(["None", "Mild"] * 4, exact=True).column.missing == 0
    assert column(["None", "Mild"] * 4, missing=("None",)).column.missing == 4
    assert column([".a", "1", ".Z"] * 4).column.missing == 8  # SAS and Stata
    assert column(["unknown", "yes", "no"] * 4).column.kind == "category"


def suspects(cells):
    values, counts = np.unique(np.asarray(cells, float), return_counts=True)
    return sorted(codes.suspects(values, counts))


def test_codes_among_numbers():
    rng = np.random.default_rng(0)
    ages, grades = rng.integers(30, 89, 80), rng.integers(1, 5, 80)
    sodium, chol = rng.normal(140, 3, 80).round(1), rng.normal(220, 40, 80).round()
    for cells, found in (
        (sodium, [-999]), (sodium, [999]), (ages, [-9, -1]), (ages, [999, 998]), (grades, [9]),
        (grades, [-9]), (grades, [8, 9]), (grades, [99]), (chol, [0]), (ages, [777, 888, 999]),
        (sodium, [-99.0, 9999]), (sodium, [99.9]), (sodium, [1000.5]),
        (rng.normal(size=80), [-999]), (rng.integers(0, 2, 80), [9]),
    ):  # fmt: skip
        assert suspects(np.r_[cells, np.repeat(found, 4)]) == sorted(found), found
    # What is only a large, small or usual number.
    for cells in (
        np.r_[ages, 99, 96, 97], rng.integers(0, 11, 80), rng.poisson(3, 80),
        rng.integers(0, 2, 80), np.r_[rng.exponential(5, 80), 0, 0, 0],
        rng.integers(-1, 2, 80), rng.integers(7, 10, 80),
        rng.normal(0, 99, 80).round(), np.r_[rng.poisson(60, 80), 77, 78, 88, 88], [1.0] * 9,
        rng.integers(0, 1000, 80), np.r_[rng.integers(0, 30, 60), [0] * 40],
    ):  # fmt: skip
        assert suspects(cells) == [], cells


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["<5", "10", "20", "30"] * 5, ("limits of detection", "'<5'", "rows 1, 5")),
        (["10", "20", ">=100"] * 5, ("limits of detection",)),
        (["10", "20", "30", "Not Stated"] * 5, ("a number in most rows", "'x=Not Stated'")),
        (["10 %", "20%"] * 9, ("percent",)),
        (["0,5", "1,5", "2"] * 5, ("decimal commas",)),
        (["1.200,50", "3.400,00"] * 5, ("decimal commas",)),
        (["1,200", "13,400", "1,000,000"] * 5, ("plain number",)),
        (["2020-01-31", "2021-02-28"] * 5, ("dates",)),
        (["2020-01-31T10:00:00Z", "2021-02-28 11:00"] * 5, ("dates",)),
        (["31.01.2020", "1.2.20"] * 5, ("dates",)),
        (["31JAN2020", "28-Feb-2021", "March 3, 2020"] * 5, ("dates",)),
        (["2020-01", "2020-02", "2021-12"] * 5, ("dates",)),
        (["Jan-20", "Feb-20", "March 2020"] * 5, ("dates",)),
        (["2020-W10", "2020Q1"] * 5, ("dates",)),
        (["120/80", "135/90"] * 5, ("two numbers",)),
        (["38+4", "39+0"] * 5, ("two numbers",)),
        (["4.5 x10^9/L", "6 x10^9/L"] * 5, ("powers of ten",)),
        (["10:30", "11:45:10", "1:15 pm"] * 5, ("times",)),
        (["70 kg", "80kg", "75,5 kg"] * 5, ("units",)),
        (["12*", "13", "14"] * 5, ("marks",)),
        (["00123", "00456", "12345"] * 9, ("codes", "--types 'x=category'")),
        (["M", "m", "F"] * 5, ("both 'M' and 'm'",)),
        (["M", "F", "Male"] * 5, ("both 'M' and 'Male'",)),
        (["pos", "Positive", "neg"] * 5, ("both 'pos' and 'Positive'",)),
        (["non smoker", "non-smoker", "ex"] * 5, ("both",)),
        (["a", "а"] * 5 + ["A"], ("both 'A' and 'a'",)),
        (["20200131", "20210228", "20191130"] * 5, ("dates",)),
        (["100000000000000001", "100000000000000002"] * 5, ("codes, no numbers", "more digits")),
        (["\u22121.5", "2.5", "\u22123.5"] * 5, ("another script",)),
        (["１", "２", "３"] * 5, ("another script",)),
        (["1e39", "1"] * 5, ("infinite in rows 1, 3",)),
        (["1e-60", "1"] * 5, ("single precision",)),
        (["1600000001", "1600000002", "1600000009"] * 5, ("single precision",)),
    ],
)  # fmt: skip
def test_what_is_written_otherwise_is_refused(cells, words):
    told = problem(cells)
    for word in (*words, "Remedy: "):
        assert word in told, told


def test_a_text_at_the_end_of_many_numbers_takes_no_time():
    """A pattern that can go back would try every way to part the digits of all rows."""
    start = time.process_time()
    for last in ("NA", "1.2.3", "x", "12e", "--1"):
        column([*map(str, range(10000, 14000)), last])
        column([*(f"{i}.5" for i in range(10000, 14000)), "1" * 4000 + last])
    for how in codes.WRITTEN:  # nor may one long cell
        for cell in ("1" * 9000 + "!", "1," * 4000 + "x", "1 " * 4000 + "x", "a " * 4000,
                     "1.1" * 999):  # fmt: skip
            how[1].fullmatch(cell)
    assert time.process_time() - start < 10


def test_what_is_a_category_is_one():
    for cells in (["I", "II", "III"], ["A", "AB", "0"], ["<20", "20-50", ">50"], ["60-69", "70-79"],
                  ["T1a", "T1b", "T2"], ["A+", "A-", "B+"], ["1/2", "3/4", "x"], ["b", "a", "c"],
                  ["yes", "no", "unknown"], ["2a", "2b", "3a"]):  # fmt: skip
        found = column(cells * 6)
        assert found.column.kind == "category" and not found.column.problem, found.column
        assert [name for name, _ in found.parts] == [f"x={level}" for level in sorted(cells)]
        assert (np.array([values for _, values in found.parts]).sum(0) == 1).all()


def test_numbers_that_each_hospital_counts(tmp_path):
    site = np.array([f"s{i % 4}" for i in range(80)])
    numbered = 1000 * (np.arange(80) % 4) + np.arange(80) // 4
    with pytest.raises(DataError, match="'x' rises from row to row in every task"):
        family(tmp_path, patients().assign(site=site, x=numbered))
    family(tmp_path, patients().assign(site=site, x=numbered), types=("x=number",))
    numbered[[4, 8]] = numbered[[8, 4]]
    assert "x" in family(tmp_path, patients().assign(site=site, x=numbered)).columns


def test_what_a_user_says_of_a_column():
    grades = ["low", "mid", "high", "NA"] * 3
    ordered = column(grades, kind="ordered", levels=("low", "mid", "high"))
    np.testing.assert_array_equal(ordered.parts[0][1], np.tile([0, 1, 2, np.nan], 3))
    assert "none of the levels" in problem(grades, kind="ordered", levels=("low", "mid"))
    flags = column(["absent", "present"] * 3, kind="yes-no", levels=("absent", "present"))
    assert flags.parts[0][1].tolist() == [0, 1] * 3
    assert "no yes or no" in problem(["absent", "present"] * 3, kind="yes-no")
    coded = column(["1", "2", "3"] * 3, kind="category")
    assert [name for name, _ in coded.parts] == ["x=1", "x=2", "x=3"]
    assert "is no number in rows 1, 4" in problem(["<5", "7", "8"] * 2, kind="number")
    limit = column(["<5", "7", "8"] * 2, kind="number", missing=("<5",))
    assert limit.column.missing == 2 and limit.parts[0][1][1:3].tolist() == [7, 8]
    told = column(["-999", "1", "2"] * 4, missing=("-999.0",))  # a number in any spelling
    assert told.column.missing == 4


def sheet(folder, content, name="a.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return text.sheet(path)


def test_a_cell_of_several_lines_is_no_swallowed_row(tmp_path):
    """The rule: between two stray quotes in column i, width - 1 - i and i separators are left."""
    for i in range(4):
        rows = [[f"r{r}c{c}" for c in range(4)] for r in range(6)]
        rows[1][i], rows[4][i] = '"' + rows[1][i], rows[4][i] + '"'
        content = "a,b,c,d\n" + "\n".join(map(",".join, rows)) + "\n"
        with pytest.raises(DataError, match="line 3 to line 6"):
            sheet(tmp_path, content)
    kept = sheet(tmp_path, 'a,b,c,d\n1,2,"two\nlines, one comma",4\n5,6,7,8\n')
    assert kept.cells.c.tolist() == ["two\nlines, one comma", "7"]
    assert sheet(tmp_path, 'a,b\n1,"x ""y"" z"\n').cells.b.tolist() == ['x "y" z']


def test_texts_that_are_no_table(tmp_path):
    for content, word in (
        ("a,b\n1,2\n\n", ""), ("a,b\n1\n", "line 2 has 1 cells"),
        ("a,b\nx,\"y\n", "quote in line 2"),
        ("a,b\na,b\n1,2\n", "row 1 (line 2) repeats the header"), ("a,b\n", "no row"),
        ("\n\na,b\n1,2\n", "first line is empty"), (b"a,b\n\xff,1\n", "line 2"),
        ("a,b\n1,2,3\n4,5,6\n", "row names"), (b"PAR1....", "parquet"), ("<html>", "a web page"),
        ("a;b;c,d\n1;2;3,4\n", "';'"), (b"a,b\n1,\x002\n", "zero byte in line 2"),
    ):  # fmt: skip
        if not word:
            assert sheet(tmp_path, content).notes == ("1 empty lines were left out (3)",)
            continue
        with pytest.raises(DataError) as caught:
            sheet(tmp_path, content)
        assert word in str(caught.value), caught.value
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("__MACOSX/x.csv", "junk")
        archive.writestr("x.csv", "a,b\n1,2\n")
    assert text.sheet(tmp_path / "a.zip").cells.b.tolist() == ["2"]


def family(folder, frame, *, drop=(), group=None, types=(), missing=(), **rules):
    frame.to_csv(folder / "a.csv", index=False)
    return own.table_family(folder / "a.csv", "dead", "site", group, drop, Rules(**rules), types,
                            missing)  # fmt: skip


def patients(n=80, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        "site": [f"s{i % 4}" for i in range(n)], "dead": [str(i // 4 % 2) for i in range(n)],
        "age": rng.integers(30, 89, n).astype(str),
        "na": rng.normal(140, 3, n).round(1).astype(str),
    })  # fmt: skip


def test_names_are_exact(tmp_path):
    codes18 = [f"10000000000000000{i}" for i in range(1, 5)]
    found = family(tmp_path, patients().assign(site=codes18 * 20))
    assert found.task_names == tuple(codes18) and found.task.tolist() == [0, 1, 2, 3] * 20
    found = family(tmp_path, patients().assign(site=["7", "8.0", "10", "8"] * 20))
    assert found.task_names == ("7", "8", "10") and found.task.tolist() == [0, 1, 2, 1] * 20
    for cells in (["007", "7", "8", "9"], ["A", "a", "B", "C"], ["A 1", "A-1", "B", "C"]):
        with pytest.raises(DataError, match="has both"):
            family(tmp_path, patients().assign(site=cells * 20))
        told = family(tmp_path, patients().assign(site=cells * 20), types=("site=names",))
        assert set(told.task_names) == set(cells)
    pid = [f"{i // 2}{'.0' if i % 2 else ''}" for i in range(80)]
    found = family(tmp_path, patients().assign(pid=pid), group="pid", shared="drop")
    assert found.group.tolist() == [i // 2 for i in range(80)]


def test_choices_are_part_of_the_name_and_the_template_reads_the_same(tmp_path):
    frame = patients().assign(
        grade=["1", "2", "3", "."] * 20, sex=["F", "M", "?", "F"] * 20, smoker=["yes", "no"] * 40,
        code=["NA", "a", "b", "c"] * 20, age=["-999", *patients().age[1:]], one=["5"] * 80,
    )  # fmt: skip
    base = family(tmp_path, frame, missing=("-999",), leaks="keep", duplicates="keep")
    named = own.look(tmp_path / "a.csv", "dead", "site", missing=("-999",))
    (tmp_path / "types.csv").write_text(own.template(named, Rules()))
    again = family(tmp_path, frame, types=(str(tmp_path / "types.csv"),), leaks="keep",
                   duplicates="keep")  # fmt: skip
    assert again.columns == base.columns
    np.testing.assert_array_equal(again.x, base.x)
    other = family(tmp_path, frame, types=("grade=category",), missing=("-999",), leaks="keep",
                   duplicates="keep")  # fmt: skip
    assert other.card.name != base.card.name and "grade=1" in other.columns
    # What cannot be guessed is left to the user, who must say it.
    frame = frame.assign(pid=np.arange(80) // 2, crp=["<5", "7"] * 40)
    frame.to_csv(tmp_path / "b.csv", index=False)
    open_ones = own.look(tmp_path / "b.csv", "dead", "site", missing=("-999",))
    content = own.template(open_ones, Rules())
    lines = csv.DictReader(io.StringIO(content))
    assert [line["column"] for line in lines if line["kind"] == "?"] == ["pid", "crp"]
    (tmp_path / "types.csv").write_text(content)
    with pytest.raises(DataError, match="'pid' has no kind yet .* is no feature"):
        own.look(tmp_path / "b.csv", "dead", "site", types=(str(tmp_path / "types.csv"),))


def test_the_report_says_what_every_column_was_taken_for(tmp_path):
    frame = patients().assign(
        sex=["F", "M", "?", "F"] * 20, smoker=["yes", "no", "", "N/A"] * 20, pid=np.arange(80) // 2
    )
    found = family(tmp_path, frame, drop=("na",), group="pid", shared="drop")
    reading = own.restored_reading(json.loads(found.card.reading))
    told = {each.name: each for each in reading.columns}
    assert list(told) == list(frame) and reading.rows == 80
    assert {name: (one.role, one.kind) for name, one in told.items()} == {
        "site": ("task", "names"), "dead": ("label", "classes"), "age": ("feature", "number"),
        "na": ("left out", ""), "sex": ("feature", "category"), "smoker": ("feature", "yes-no"),
        "pid": ("group", "names"),
    }  # fmt: skip
    assert told["smoker"].missing == 40 and told["smoker"].codes == (("", 20), ("N/A", 20))
    assert told["sex"].values == "F (40), M (20)" and told["sex"].levels == ("F", "M")
    assert json.loads(json.dumps(reports.plain(reading))) == json.loads(found.card.reading)
    lines = own.reading_text(reading).splitlines()
    assert "  smoker: yes-no; yes = 1, no = 0; 40 missing (50%: empty 20, N/A 20)" in lines
    wide = reading._replace(columns=reading.columns[2:3] * 200 + reading.columns)
    short = own.reading_text(wide).splitlines()
    assert len(short) <= 25 and "and 187 more columns" in short[-1]
    assert any(line.startswith("  sex:") for line in short)  # what surprises is not left out
    assert len(own.reading_text(wide, None).splitlines()) == 208


def indicators(y, **given):
    return [column(map(str, np.asarray(cells).astype(int)), name) for name, cells in given.items()]


def test_leaks_of_three_classes_and_of_several_columns():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 90).astype(np.int32)
    (one,) = indicators(y, dx=y == 1)
    found = leaks.leak([one], y, ("none", "mild", "severe"))
    assert found.names == ("dx",) and "'1' goes with 'mild' only" in found.how
    most = (y == 1) & (rng.random(90) < 0.97)  # one or two rows were coded otherwise
    assert leaks.leak(indicators(y, dx=most), y) is not None
    half = (y == 1) & (rng.random(90) < 0.5)  # a finding that proves a disease is a feature
    assert leaks.leak(indicators(y, dx=half), y) is None
    parts = {f"cod_{k}": (y == 2) & (np.arange(90) % 4 == k) for k in range(4)}
    assert leaks.leak(indicators(y, **parts), y).names == tuple(parts)
    unrelated = {f"f_{k}": rng.random(90) < 0.2 for k in range(8)}
    assert leaks.leak(indicators(y, **unrelated), y) is None
    split = np.where(y == 2, 100, 0) + rng.integers(0, 90, 90)
    assert "splits '2' from the others" in leaks.leak([column(map(str, split))], y).how
    gone = [str(v) if label == 0 else "" for v, label in zip(split, y, strict=True)]
    assert "goes with" in leaks.leak([column(gone)], y).how


def test_leaks_are_seldom_found_where_there_is_none():
    """300 tables of unrelated columns, small and unbalanced: none is refused."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        n = int(rng.integers(20, 200))
        y = (rng.random(n) < rng.uniform(0.05, 0.5)).astype(np.int32) + rng.integers(0, 2) * (
            rng.random(n) < 0.2).astype(np.int32)  # fmt: skip
        if len(np.unique(y)) < y.max() + 1 or y.max() == 0:
            continue
        table = {f"b{i}": rng.random(n) < rng.uniform(0.02, 0.6) for i in range(10)}
        table |= {f"k{i}": rng.integers(0, 6, n) for i in range(5)}
        assert leaks.leak(indicators(y, **table), y) is None


@pytest.mark.skipif("METAJAX_DATA" not in os.environ, reason="needs a data directory")
@pytest.mark.parametrize("name", ["heart_uci", "tabllm_heart", "tabllm_diabetes", "impact_tbi15"])
def test_no_false_alarm_of_leaks_on_real_tables(name):
    from metajax import datasets

    real = datasets.load(name)
    x = real.x[real.items].astype(float)
    looked = [column(["" if np.isnan(v) else repr(v) for v in x[:, j].tolist()], each)
              for j, each in enumerate(real.columns)]  # fmt: skip
    assert leaks.leak(looked, real.y) is None
    guards.one_coding("y", real.y, ("0", "1"), real.task, real.task_names)


def test_sites_that_code_the_label_by_other_words():
    task = np.repeat(np.arange(4), 20)
    bit = np.tile([0, 1], 40)
    for shift, fine in ((np.where(task > 1, 2, 0), False), (task > 1, False), (task > 9, True)):
        y = (bit + shift).astype(np.int32)
        classes = [f"c{i}" for i in range(y.max() + 1)]
        if fine:
            guards.one_coding("l", y, classes, task, "abcd")
            continue
        with pytest.raises(DataError, match="coded differently: 'a' has c0 .* --coding keep"):
            guards.one_coding("l", y, classes, task, "abcd")
    # A rare class may be absent from some tasks; a task that has all shows one coding.
    y = np.tile(np.arange(4), 20).astype(np.int32)
    y[(task == 1) & (y == 3)] = 0
    y[(task == 2) & (y == 0)] = 1
    guards.one_coding("l", y, list("wxyz"), task, "abcd")
    rare = np.tile([0, 1], 40).astype(np.int32)
    rare[[0, 20]] = [2, 3]
    guards.one_coding("l", rare, list("wxyz"), task, "abcd")


def test_counts_are_of_the_rows_that_are_used(tmp_path):
    frame = patients()
    frame.loc[frame.site == "s0", "dead"] = "0"
    read = family(tmp_path, frame)
    kept, skipped = own.usable(read, (4,), skip=True)
    assert len(skipped) == 1 and "0 = 0 (30 rows), 1 = 1 (30 rows)" in kept.card.label
    assert kept.card.counts.labels == (30, 30) and kept.card.counts.tasks == 3
    assert len(kept.card.prevalence) == 3 and kept.card.name != read.card.name
    assert own.usable(kept, (4,)).family.card == kept.card


def test_the_hostile_files_are_those_of_their_script():
    files, lines = make_files.made()
    assert (HOSTILE / "tables.jsonl").read_text() == lines and len(lines.splitlines()) >= 110
    found = {path.name: path.read_bytes() for path in (HOSTILE / "files").glob("table_*")}
    assert set(found) == set(files)
    assert [name for name in files if found[name] != files[name]] == []


def test_every_rule_has_a_remedy_that_names_its_flag():
    flags = {f"--{field.name}" for field in dataclasses.fields(Rules)}
    told = "".join(path.read_text() for path in Path(guards.__file__).parent.glob("*.py"))
    assert [flag for flag in flags - {"--split"} if flag not in told] == []


@pytest.mark.long
def test_a_large_table_takes_seconds(tmp_path):
    rng = np.random.default_rng(0)
    rows = 100_000
    frame = pd.DataFrame({f"c{i}": rng.normal(size=rows) for i in range(45)})
    frame = frame.assign(
        sex=rng.choice(["female", "male", ""], rows), site=rng.choice(list("ABCDEFGH"), rows),
        pid=np.arange(rows), dead=rng.integers(0, 2, rows), age=rng.integers(18, 90, rows),
    )  # fmt: skip
    frame.to_csv(tmp_path / "large.csv", index=False)
    start = time.process_time()
    found = own.table_family(tmp_path / "large.csv", "dead", "site", "pid")
    assert found.x.shape == (rows, 48) and time.process_time() - start < 40
    np.testing.assert_array_equal(found.x[:, 0], frame.c0.to_numpy().astype(np.float32))
