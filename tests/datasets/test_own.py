"""A user's own files: what they become, cell by cell, and every refusal with its remedy."""

import dataclasses
from functools import partial

import numpy as np
import pandas as pd
import pytest

from metajax.datasets import DataError, own
from metajax.datasets.family import check
from metajax.datasets.files import digest
from metajax.datasets.own import Rules, leaks
from metajax.datasets.own.choices import Choice
from metajax.datasets.own.columns import examine

HEADER = "hospital,patient,age,sex,smoker,died\n"


def write(folder, text, name="patients.csv"):
    path = folder / name
    path.write_text(text)
    return path


def people(rows=30, hospitals=("north", "east", "south", "west"), seed=0):
    """A table of patients: numbers and texts that say a little about who dies."""
    rng = np.random.default_rng(seed)
    n = rows * len(hospitals)
    died = rng.integers(0, 2, n)
    return pd.DataFrame({
        "hospital": np.repeat(hospitals, rows),
        "patient": [f"P{i // 2:03d}" for i in range(n)],
        "age": (60 + 10 * rng.normal(size=n) + 5 * died).round(3),
        "sex": rng.choice(["female", "male"], n),
        "crp": rng.gamma(2, 20, n).round(3),
        "died": np.where(died, "yes", "no"),
    })  # fmt: skip


def table(folder, frame=None, *, drop=(), group="patient", label="died", task="hospital", **rules):
    """The family of a table."""
    path = folder / "patients.csv"
    (people() if frame is None else frame).to_csv(path, index=False)
    return own.table_family(path, label, task, group, drop, Rules(**rules))


def refused(call, *words):
    """Asserts that a call is refused in one line that has all the words."""
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_a_table_cell_by_cell(tmp_path):
    path = write(
        tmp_path,
        "\ufeffhospital, patient ,age,sex,smoker,died\n"
        'north,7,61.5,male,yes,"alive"\n'
        "east,007,NA,female,no,dead\n"
        "north,7, ?,,Yes,dead\n"
        "10 South,8,-2,male,,alive\n",
    )
    refused(lambda: own.table_family(path, "died", "hospital", "patient"), "both '007' and '7'",
            "--types 'patient=names'")  # fmt: skip
    family = own.table_family(path, "died", "hospital", "patient", types=("patient=names",))
    check(family)
    nan = np.nan
    assert family.columns == ("age", "sex=female", "sex=male", "smoker")
    expected = [[61.5, 0, 1, 1], [nan, 1, 0, 0], [nan, nan, nan, 1], [-2, 0, 1, nan]]
    np.testing.assert_array_equal(family.x, np.array(expected, np.float32))
    assert family.x.dtype == np.float32 and family.y.dtype == np.int32
    assert family.y.tolist() == [0, 1, 1, 0] and family.classes == ("alive", "dead")
    assert family.task_names == ("10 South", "east", "north")
    assert family.task.tolist() == [2, 1, 2, 0]
    assert family.group.tolist() == [0, 1, 0, 2]  # 007 is another patient than 7
    card = family.card
    assert card.name.startswith("patients_died_") and card.licence == "not stated"
    assert card.files[0].sha256 == digest(path) and card.files[0].path == "patients.csv"
    assert (card.counts.tasks, card.counts.rows, card.counts.items) == (3, 4, 4)
    assert card.counts.labels == (2, 2) and card.prevalence[2] == ("north", 2, 1)
    assert "1 = dead" in card.label


def test_the_name_changes_with_file_and_reading(tmp_path):
    frame = people()
    names = [
        table(tmp_path, frame).card.name,
        table(tmp_path, frame, drop=("crp",)).card.name,
        table(tmp_path, frame, positive="no").card.name,
        table(tmp_path, frame[:-1]).card.name,
    ]
    assert len(set(names)) == 4
    assert table(tmp_path, frame).card.name == names[0]


@pytest.mark.parametrize(
    ("cells", "rules", "y", "classes"),
    [
        (["0", "1", "1.0", "0"], {}, [0, 1, 1, 0], ("0", "1")),
        (["2", "10", "2", "10"], {}, [0, 1, 0, 1], ("2", "10")),  # as numbers, not as texts
        (["a", "c", "b", "a"], {}, [0, 2, 1, 0], ("a", "b", "c")),
        (["dead", "alive", "dead", "dead"], {"positive": "alive"}, [0, 1, 0, 0],
         ("dead", "alive")),
        (["False", "True", "True", "False"], {}, [0, 1, 1, 0], ("False", "True")),
        ([f"{i}.5" for i in range(11)], {}, [i + 0.5 for i in range(11)], ()),
        (["0", "1", "1", "0"], {"kind": "regression"}, [0.0, 1.0, 1.0, 0.0], ()),
        ([str(i) for i in range(11)], {"kind": "classification"}, list(range(11)),
         tuple(map(str, range(11)))),
    ],
)  # fmt: skip
def test_labels(tmp_path, cells, rules, y, classes):
    lines = [f"{'xyz'[i % 3]},{i * i % 7}.25,{cell}\n" for i, cell in enumerate(cells)]
    path = write(tmp_path, "h,v,l\n" + "".join(lines))
    family = own.table_family(path, "l", "h", rules=Rules(duplicates="keep", **rules))
    check(family)
    assert family.y.tolist() == y and family.classes == classes
    assert family.y.dtype == (np.int32 if classes else np.float32)


ROW = "north,1,60,male,yes,0\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ROW + ROW, ("no column 'died'", "It has north")),
        (HEADER, ("no row below its header",)),
        ("", ("is empty",)),
        (HEADER.replace(",", ";") + ROW, ("';'", "save it with commas")),
        ("," + HEADER + "0," + ROW, ("column 1 has no name", "row number")),
        (HEADER.replace("age", "died") + ROW, ("several columns named 'died'",)),
        (HEADER + ROW + ROW.strip() + ",9\n", ("cannot read", "as a table")),
        (HEADER + ROW + "north,2,,,,1\nnorth,3,,,,\n", ("label 'died' is missing in row 3",
                                                        "delete rows")),
        (HEADER + ROW + "north,2,,,,0\n", ("'0' in every row",)),
        (HEADER + ROW + ",2,,,,1\n", ("column 'hospital' is missing in row 2",)),
        (HEADER + ROW + "north,NA,,,,1\n", ("group 'patient' is missing in row 2",)),
        (HEADER + ROW.replace("60", "NA") + "north,2,?,,,1\n",
         ("column 'age' is empty", "--drop 'age'")),
        (HEADER + ROW.replace("60", "inf") + "north,2,3,,,1\n",
         ("'age' is infinite in row 1", "--drop 'age'")),
        (HEADER + ROW + "North,2,3,,,1\n", ("both 'North' and 'north'", "spell them alike")),
        (HEADER + ROW.replace("0\n", "Yes\n") + "north,2,3,,,yes\n", ("both 'Yes' and 'yes'",)),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_named(tmp_path, text, words):
    path = write(tmp_path, text)
    refused(lambda: own.table_family(path, "died", "hospital", "patient"), *words)


def test_files_that_are_no_table(tmp_path):
    refused(lambda: own.table_family(tmp_path / "no.csv", "a", "b"), "does not exist")
    refused(lambda: own.table_family(tmp_path, "a", "b"), "is a folder")
    (tmp_path / "bin.csv").write_bytes(b"\xff\xfe\x00\x9d,\n")
    refused(lambda: own.table_family(tmp_path / "bin.csv", "a", "b"), "UTF-8")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"label": "dead"}, ("no column 'dead'", "did you mean 'died'?", "hospital, patient")),
        ({"task": "hospitals"}, ("did you mean 'hospital'?",)),
        ({"group": "patient_id"}, ("did you mean 'patient'?",)),
        ({"drop": ("agee",)}, ("did you mean 'age'?",)),
        ({"split": "fold"}, ("no column 'fold'",)),
        ({"drop": ("died",)}, ("--drop 'died'", "label")),
        ({"task": "died"}, ("--label and --task both name column 'died'",)),
        ({"drop": ("age", "sex", "crp")}, ("no column left",)),
        ({"group": None}, ("'patient' has 60 different texts", "'P000'", "--drop 'patient'",
                           "--group 'patient'")),
        ({"positive": "maybe"}, ("--positive maybe", "no, yes")),
        ({"kind": "regression"}, ("'died' is no number in rows 1, ", "--kind classification")),
        ({"label": "crp", "positive": "1"}, ("'crp' is a quantity",)),
        ({"label": "crp", "kind": "classification"}, ("120 classes", "--kind regression")),
    ],
)  # fmt: skip
def test_names_and_options_that_cannot_be_are_refused(tmp_path, options, words):
    refused(lambda: table(tmp_path, **options), *words)


def test_a_number_that_names_a_case_is_no_feature(tmp_path):
    frame = people()
    for name in ("admission_id", "MRN", "patientId"):
        numbered = frame.assign(**{name: np.random.default_rng(0).permutation(120)})
        refused(lambda f=numbered: table(tmp_path, f), name, "number of a case", "--group")
    counted = frame.assign(line=np.arange(5, 125))
    refused(lambda: table(tmp_path, counted), "'line' numbers the rows", "--drop 'line'")
    fluid = frame.assign(fluid=np.random.default_rng(0).choice(3000, 120, replace=False))
    assert "fluid" in table(tmp_path, fluid).columns
    # Every number from 0 to 119 once is no measurement, in whatever order.
    shuffled = frame.assign(fluid=np.random.default_rng(0).permutation(120))
    refused(lambda: table(tmp_path, shuffled), "'fluid' numbers the rows, in another order",
            "--types 'fluid=number'")  # fmt: skip


@pytest.mark.parametrize(
    ("column", "how"),
    [
        (lambda f: f.died.map({"no": "home", "yes": "deceased"}), "each of its values"),
        (lambda f: (f.died == "no").astype(int), "each of its values"),
        (lambda f: np.where(f.died == "no", "", np.resize(["sepsis", "other"], len(f))),
         "each of its values"),
        (lambda f: np.where(f.died == "no", "", f.crp.astype(str)), "whether it is missing"),
        (lambda f: np.where(f.died == "no", f.crp, f.crp + 1000), "splits the labels"),
    ],
)  # fmt: skip
def test_a_feature_that_tells_the_label_is_refused(tmp_path, column, how):
    frame = people()
    leaky = frame.assign(outcome=column(frame))
    refused(lambda: table(tmp_path, leaky), "'outcome' tells the label", how, "--drop 'outcome'")
    assert "outcome" not in table(tmp_path, leaky, drop=("outcome",)).columns
    assert any(c.startswith("outcome") for c in table(tmp_path, leaky, leaks="keep").columns)
    # Two rows that say otherwise, and it is a feature like any other.
    rows = [int((frame.died == label).argmax()) for label in ("no", "yes")]
    leaky.loc[rows, "outcome"] = leaky.loc[rows[::-1], "outcome"].to_numpy()
    assert any(c.startswith("outcome") for c in table(tmp_path, leaky).columns)


def test_a_target_in_other_units_is_a_leak(tmp_path):
    frame = people().drop(columns="died")
    leaky = frame.assign(crp_nmol=frame.crp * 9.5 + 1)
    refused(lambda: table(tmp_path, leaky, label="crp"), "'crp_nmol' tells the label", "order")
    table(tmp_path, frame, label="crp")


def test_patients_of_several_tasks(tmp_path):
    frame = people()
    frame.loc[40, "patient"] = "P000"  # of the first hospital; it was P020's
    frame.loc[41, "patient"] = "P001"
    refused(
        lambda: table(tmp_path, frame), "2 of 59 row groups", "P000, P001", "--shared drop",
        "--shared divide", "--shared distinct",
    )  # fmt: skip
    for how, groups in (("drop", 59), ("divide", 59), ("distinct", 61)):
        family = table(tmp_path, frame, shared=how)
        assert family.group.max() + 1 == groups
        seen = family.group[[0, 40]].tolist()
        assert (seen[0] == seen[1]) == (how != "distinct")


def test_copies_of_rows(tmp_path):
    frame = people().drop(columns="patient")
    frame.loc[50] = frame.loc[3]
    frame.loc[50, "hospital"] = "east"
    frame.loc[5] = frame.loc[3]
    refused(
        lambda: table(tmp_path, frame, group=None), "2 rows are copies", "1 of them in another",
        "row 6 is row 4 again", "--group", "--duplicates drop", "--duplicates keep",
    )  # fmt: skip
    assert len(table(tmp_path, frame, group=None, duplicates="keep").y) == 120
    kept = table(tmp_path, frame, group=None, duplicates="drop")
    assert len(kept.y) == len(kept.x) == 118 and kept.card.counts.rows == 118
    check(kept)
    # An identifier as group makes no other case of a copy; a patient may have two equal rows.
    numbered = frame.assign(patient=np.arange(120))
    refused(lambda: table(tmp_path, numbered), "2 rows are copies", "of another row group",
            "row 6 is row 4 again", "--duplicates drop")  # fmt: skip
    assert len(table(tmp_path, numbered, duplicates="drop").y) == 118
    assert len(table(tmp_path, numbered, duplicates="keep").y) == 120
    numbered.loc[[5, 50], "patient"] = 3
    assert len(table(tmp_path, numbered, shared="drop").y) == 120
    # A row of other label is no copy.
    frame.loc[50, "died"] = "no" if frame.loc[3, "died"] == "yes" else "yes"
    refused(lambda: table(tmp_path, frame, group=None), "1 rows are copies", "0 of them")


def test_split_column(tmp_path):
    side = {"north": "train", "east": "Training", "south": "val", "west": "test"}
    frame = people()
    frame = frame.assign(fold=frame.hospital.map(side))
    family = table(tmp_path, frame, split="fold")
    check(family)
    assert family.task_names == ("east", "north", "south", "west")
    assert family.split.tolist() == [0, 0, 1, 2] and family.card.counts.split == (2, 1, 1)
    assert "fold" not in "".join(family.columns)
    for value, word in (("validation", "'north' on two sides"), ("held", "'held' in row 1")):
        wrong = frame.copy()
        wrong.loc[0, "fold"] = value
        refused(lambda f=wrong: table(tmp_path, f, split="fold"), word)
    none = frame.assign(fold=frame.fold.replace("val", "train"))
    refused(lambda: table(tmp_path, none, split="fold"), "no task for validation")
    # A patient of two training hospitals is on one side.
    frame.loc[40, "patient"] = "P000"
    frame.loc[41, "patient"] = "P000"
    table(tmp_path, frame, split="fold")
    frame.loc[100, "patient"] = "P000"
    refused(lambda: table(tmp_path, frame, split="fold"), "P000")


def test_usable_tasks(tmp_path):
    frame = people(hospitals=("north", "east", "south", "west", "tiny"))
    frame = frame.drop(index=range(126, 150))
    frame.loc[:29, "died"] = "no"
    family = table(tmp_path, frame)
    refused(
        lambda: own.usable(family, (8,)), "2 of 5 tasks", "'north' has one class (30 of no",
        "'tiny'", "--unusable skip",
    )  # fmt: skip
    fine, skipped = own.usable(family, (4, 8), skip=True)
    assert fine.task_names == ("east", "south", "west") and len(skipped) == 2
    assert set(np.unique(fine.task)) == {0, 1, 2} and len(fine.x) == len(fine.y) == 90
    mine = frame[frame.hospital == "south"]
    np.testing.assert_array_equal(fine.x[fine.task == 1][:, 0], mine.age.to_numpy(np.float32))
    assert (fine.y[fine.task == 1] == (mine.died == "yes")).all()
    refused(
        lambda: own.usable(family, (15,), skip=True), "0 usable tasks", "left out", "3 are needed",
        "--task",
    )  # fmt: skip


def test_shots_that_would_work(tmp_path):
    family = table(tmp_path)  # 30 rows and 15 patients a hospital
    assert own.usable(family, (2, 4)).skipped == ()
    with pytest.raises(DataError, match=r"--shots (\d+) or --unusable skip") as caught:
        own.usable(family, (8, 40))
    works = int(str(caught.value).partition("--shots ")[2].split()[0])
    halves = [
        sum(np.bincount(family.y[family.task == t]) // 2) for t in range(4)
    ]
    assert works == min(*halves, 14)
    assert own.usable(family, (works,)).skipped == ()
    refused(lambda: own.usable(family, (works + 1,)), "--shots")
    refused(lambda: own.usable(family, (1,)), "--shots 2", "'east' could give 2 to")
    few = family._replace(group=family.task)
    refused(lambda: own.usable(few, (8,)), "too small for any")


def test_a_constant_target_is_no_task(tmp_path):
    frame = people().drop(columns="died")
    frame.loc[:29, "crp"] = 1.5
    family = table(tmp_path, frame, label="crp")
    assert family.classes == ()
    refused(lambda: own.usable(family, (8,)), "'north' has one value in all of its 30 rows")


def images(folder, **change):
    rng = np.random.default_rng(0)
    told = {
        "images": rng.integers(0, 256, (12, 5, 4), dtype=np.uint8),
        "y": np.arange(12) % 2,
        "site": np.repeat(["a", "b", "c"], 4),
        "patient": np.repeat([b"p", b"q", b"r", b"s", b"t", b"u"], 2),
    } | change
    np.savez(folder / "scans.npz", **told)
    return folder / "scans.npz", told


def test_images(tmp_path):
    path, told = images(tmp_path)
    family = own.image_family(path, "y", "site", "patient")
    check(family)
    np.testing.assert_array_equal(family.x, told["images"])
    assert family.x.dtype == np.uint8 and family.classes == ("0", "1")
    assert family.y.tolist() == told["y"].tolist()
    assert family.group.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert family.task_names == ("a", "b", "c")
    rgb = told["images"][..., None].repeat(3, 3)
    colour, _ = images(tmp_path, images=rgb, y=np.arange(12) + 0.5)
    family = own.image_family(colour, "y", "site", "patient")
    assert family.x.shape == (12, 5, 4, 3) and family.y.tolist() == (np.arange(12) + 0.5).tolist()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": np.zeros((12, 5, 4))}, ("uint8", "float64 of shape (12, 5, 4)")),
        ({"images": np.zeros((12, 5), np.uint8)}, ("uint8 of shape (12, 5)",)),
        ({"images": np.zeros((12, 5, 4, 2), np.uint8)}, ("(12, 5, 4, 2)",)),
        ({"y": np.arange(11)}, ("'y' has shape (11,)", "12 images")),
        ({"site": np.array(["a", None] * 6, object)}, ("'site' holds Python objects", "savez")),
        ({"y": np.where(np.arange(12) == 3, np.nan, 1.0)}, ("'y' is missing in row 4",)),
    ],
)
def test_images_that_cannot_be_read_are_named(tmp_path, change, words):
    path, _ = images(tmp_path, **change)
    refused(lambda: own.image_family(path, "y", "site", "patient"), *words)


def test_missing_arrays_and_copied_images(tmp_path):
    path, told = images(tmp_path)
    refused(lambda: own.image_family(path, "label", "site"), "no array label", "'images', 'y'")
    twice = told["images"].copy()
    twice[9] = twice[0]  # of another site and label
    path, _ = images(tmp_path, images=twice)
    refused(
        lambda: own.image_family(path, "y", "site"), "1 rows are copies", "same image",
        "row 10 is row 1 again",
    )  # fmt: skip
    kept = own.image_family(path, "y", "site", rules=Rules(duplicates="drop"))
    assert len(kept.x) == 11


def sequences(folder, seqs, name="peaks.tsv"):
    lines = [f"{s}\t{'xyz'[i % 3]}\t{i // 3 % 2}\n" for i, s in enumerate(seqs)]
    return write(folder, "seq\ttf\tbound\n" + "".join(lines), name)


def test_dna_and_its_near_duplicates(tmp_path):
    rng = np.random.default_rng(0)
    seqs = ["".join(rng.choice(list("ACGT"), 50)) for _ in range(9)]
    family = own.sequence_family(sequences(tmp_path, seqs), "bound", "tf", sequence="seq")
    check(family)
    assert family.x.shape == (9, 50) and family.group.tolist() == list(range(9))
    codes = ["ACGT".index(letter) for letter in seqs[0]]
    assert family.x[family.item[0]].tolist() == codes
    turned = seqs[4][::-1].translate(str.maketrans("ACGT", "TGCA"))
    seqs[7] = "GG" + turned[:40].lower() + "TTTTTTTT"  # of the same factor
    path = sequences(tmp_path, seqs)
    family = own.sequence_family(path, "bound", "tf", sequence="seq")
    assert family.group.tolist() == [0, 1, 2, 3, 4, 5, 6, 4, 7]
    seqs[8] = seqs[4][5:45]  # of another
    path = sequences(tmp_path, seqs)
    refused(
        lambda: own.sequence_family(path, "bound", "tf", sequence="seq"), "1 of 7 row groups",
        "that of row 5", "--shared",
    )  # fmt: skip
    shared = Rules(shared="drop")
    family = own.sequence_family(path, "bound", "tf", sequence="seq", rules=shared)
    assert family.group.tolist() == [0, 1, 2, 3, 4, 5, 6, 4, 4]


def test_proteins_and_sequences_that_are_none(tmp_path):
    seqs = ["MKV", "ACDEF", "WY", "MKV", "ACDEG", "WYX"]
    path = sequences(tmp_path, seqs)
    refused(
        lambda: own.sequence_family(path, "bound", "tf", sequence="seq"), "'seq' is no dna",
        "rows 2, 5, 6; the first says 'ACDEF'", "--alphabet protein",
    )  # fmt: skip
    family = own.sequence_family(path, "bound", "tf", sequence="seq", alphabet="protein")
    check(family)
    # Equal ones only; an unknown residue at the end is padding, so the last is the third again.
    assert family.group.tolist() == [0, 1, 2, 0, 3, 2]
    assert family.x[family.item[1]].tolist() == [0, 1, 2, 3, 4]
    assert family.x[family.item[5]].tolist() == [18, 19, 20, 20, 20]
    for odd, told in (("", "'seq' is missing in row 7"), ("MK*", "no protein sequence in row 7")):
        path = sequences(tmp_path, [*seqs, odd])
        read = partial(own.sequence_family, path, "bound", "tf", sequence="seq")
        refused(partial(read, alphabet="protein"), told)
    refused(lambda: own.sequence_family(path, "bound", "tf"), "no column 'sequence'", "'seq'")


def test_rules_are_part_of_the_name(tmp_path):
    """Every rule: two readings of one file never share records."""
    names = set()
    frame = people()
    frame = frame.assign(fold=frame.hospital.map(dict(zip(
        ("north", "east", "south", "west"), ("train", "train", "validation", "test"), strict=True
    ))))
    others = {"split": "fold", "kind": "classification", "positive": "no", "shared": "drop",
              "duplicates": "keep", "leaks": "keep", "coding": "keep"}  # fmt: skip
    assert set(others) == {field.name for field in dataclasses.fields(Rules)}
    for name, value in others.items():
        names.add(table(tmp_path, frame, **{name: value}).card.name)
    assert len(names) == len(others)


def test_few_rows_follow_a_label_by_chance():
    few, more = (examine("a", pd.Series(["x", "y"] * n), Choice()) for n in (5, 10))
    leaks.no_leak([few], np.array([0, 1] * 5))
    with pytest.raises(DataError):
        leaks.no_leak([more], np.array([0, 1] * 10))
