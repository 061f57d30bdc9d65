"""Families of many sites: cells by rule, tiny files value by value, real tables and their bars."""

import gzip
import os

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from metajax import datasets
from metajax.benchmarks import leave_one_task_out
from metajax.datasets import DataError, Family
from metajax.datasets.disease import breast7g, chapman_ecg_features, gusto_regions, tcga
from metajax.datasets.disease.columns import codes, encode
from metajax.datasets.family import of_tasks

real = pytest.mark.skipif(
    not os.environ.get("METAJAX_DATA"), reason="METAJAX_DATA names no data directory"
)


def test_cells_by_their_rule():
    table = pd.DataFrame({"a": ["1", "", "2.5"], "b": ["no", "yes", ""], "c": ["x", "", "y"]})
    x, names = encode(table, {"a": None, "b": {"no": 0.0, "yes": 1.0}, "c": ("x", "y")}, "t")
    nan = np.nan
    want = [[1, 0, 1, 0], [nan, 1, nan, nan], [2.5, nan, 0, 1]]
    np.testing.assert_array_equal(x, np.float32(want))
    assert names == ("a", "b", "c=x", "c=y") and x.dtype == np.float32
    np.testing.assert_array_equal(codes(table[["c"]].iloc[[0, 2]], "c", ("y", "x"), "t"), [1, 0])


@pytest.mark.parametrize(
    ("coding", "message"),
    [
        ({"a": None}, "row 2: a = 'low' is not known"),
        ({"a": {"1": 1.0}}, "row 2: a = 'low' is not known"),
        ({"a": ("1", "2")}, "row 2: a = 'low' is not known"),
        ({"z": None}, "no column z"),
    ],
)
def test_cells_of_no_rule_are_refused(coding, message):
    with pytest.raises(DataError, match=message):
        encode(pd.DataFrame({"a": ["1", "low"]}), coding, "t")


def test_an_infinite_number_is_no_number():
    with pytest.raises(DataError, match="row 1: a = 'inf'"):
        encode(pd.DataFrame({"a": ["inf"]}), {"a": None}, "t")


def test_patients_who_stand_in_two_cohorts_are_dropped_from_the_second():
    names = "VDXOXFU_1 OXFU_1 OXFU_2 VDXKIU_9B1 KIU_9B1 UPP_9B1 NKI_1".split()
    cohort = pd.Series(["TRANSBIG", "UNT", "UNT", "TRANSBIG", "UNT", "UPP", "NKI"])
    twice = breast7g.twice(pd.Series(names), cohort)
    np.testing.assert_array_equal(twice, [False, True, False, False, True, False, False])


def tiny(rows):
    genes = "rna_A,rna_B"
    head = "cancer,age,female,tss,surv_months,event,mut_TP53,mut_STK11,mut_KEAP1," + genes
    return gzip.compress("\n".join([head, *rows]).encode())


def test_a_patient_of_several_questions_is_stored_once(tmp_path):
    path = tmp_path / "t.csv.gz"
    lung = [f"LUAD,6{i % 10},1.0,05,1,0.0,{i % 2}.0,0.0,1.0,0.5,{i}" for i in range(21)]
    others = ["LUAD,70,0.0,ZZ,1,1.0,1.0,1.0,0.0,1,2", "BRCA,5,,A,1,0.0,,,,1,1"]
    path.write_bytes(tiny([*lung, *others]))
    family = tcga.read_lung({"table": path}, tcga.LUNG)
    assert [leaf.shape for leaf in family.x.values()] == [(22, 2), (22, 2)]
    assert len(family.y) == 66 and family.task_names[family.task[0]] == "TP53 | 05"
    last = family.item == 21
    assert [family.task_names[t] for t in family.task[last]] == [
        "TP53 | other", "STK11 | other", "KEAP1 | other",
    ]  # fmt: skip
    np.testing.assert_array_equal(family.y[last], [1, 1, 0])
    assert len(set(family.units[family.task[last]])) == 1  # a hospital is on one side in all
    path.write_bytes(tiny(["LUAD,6,1.0,05,1,0.0,,0.0,0.0,1,1"]))
    with pytest.raises(DataError, match="without a record of TP53"):
        tcga.read_lung({"table": path}, tcga.LUNG)


def test_death_within_two_years_by_hand(tmp_path):
    path = tmp_path / "t.csv.gz"
    rows = ["BLCA,60,1.0,A,12,1.0,1.0,,,0,0", "BLCA,60,1.0,A,10,0.0,0.0,,,0,0",
            "BLCA,60,1.0,A,30,1.0,,,,0,0", "BLCA,60,1.0,A,40,0.0,1.0,,,0,0"]  # fmt: skip
    path.write_bytes(tiny(rows))
    family = tcga.read_cancers({"table": path}, tcga.CANCERS)
    named = [(family.task_names[t].partition(" |")[0], i, y) for t, i, y in
             zip(family.task, family.item, family.y, strict=True)]  # fmt: skip
    assert named == [("TP53", 0, 1), ("TP53", 1, 0), ("TP53", 3, 1),
                     ("dead24", 0, 1), ("dead24", 2, 0), ("dead24", 3, 0)]  # fmt: skip
    # Censoring at 10 of four at risk: all three that are left outlived it and weigh the same.
    np.testing.assert_allclose(family.weight, 1)


def two_modalities():
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(4, dtype=np.int32), 20)
    x = {"clinical": rng.normal(5, 3, (80, 2)), "genes": rng.normal(0, 1, (80, 3))}
    x = {name: leaf.astype(np.float32) for name, leaf in x.items()}
    x["genes"][::7] = np.nan
    y = np.tile(np.int32([0, 1]), 40)
    return Family(x, y, task, tuple("abcd"), tcga.LUNG, group=np.arange(80, dtype=np.int32))


def test_modalities_are_scaled_one_by_one_on_the_sources():
    family = two_modalities()
    made = leave_one_task_out("b", family, (0, 1, 2, 3), shots=(4,))
    fold = made.folds[0]
    fit = np.isin(family.task, (2, 3))  # 0 is held out, 1 validates
    for name, leaf in family.x.items():
        want = datasets.scaled(family._replace(x=leaf), fit)
        np.testing.assert_allclose(fold.train.data.x[name], want, rtol=1e-6)
    inputs, labels = fold.pooled_rows()
    assert inputs.shape == (60, 2 + 4) and labels.shape == (60,)  # a flag for the missing genes


def test_a_family_of_some_tasks():
    family = two_modalities()
    part = of_tasks(family, np.array([False, True, False, True]))
    assert part.task_names == ("b", "d") and part.task.tolist() == [0] * 20 + [1] * 20
    np.testing.assert_array_equal(part.x["clinical"], family.x["clinical"][family.task % 2 == 1])
    stored = family._replace(item=np.arange(80, dtype=np.int32), unit=np.int32([5, 6, 7, 8]))
    part = of_tasks(stored, np.array([False, True, False, True]))
    assert len(part.x["genes"]) == 80 and part.item[0] == 20 and part.units.tolist() == [6, 8]
    assert of_tasks(family, np.ones(4, bool)) is family


def test_no_copied_column_and_no_outcome_is_a_feature():
    assert not {"sho", "hig", "hyp", "hrt", "ant", "tpa", "tx"} & set(gusto_regions.CODINGS)
    assert not {"Rhythm", "Beat"} & set(chapman_ecg_features.CODINGS)
    assert not {"ALS", "ARS"} & set(chapman_ecg_features.CARD.tasks)


def left_out(family, x, c=1.0):
    """Mean AUROC of logistic regression over tasks, each left out in turn."""
    found = []
    for t in range(len(family.task_names)):
        test = family.task == t
        z = np.nan_to_num((x - np.nanmean(x[~test], 0)) / np.nanstd(x[~test], 0)).clip(-5, 5)
        model = LogisticRegression(C=c, max_iter=1000).fit(z[~test], family.y[~test])
        found.append(roc_auc_score(family.y[test], model.decision_function(z[test])))
    return np.mean(found)


@real
@pytest.mark.parametrize(
    ("name", "bar"), [("impact_tbi15", 0.788), ("gusto_regions", 0.825)]
)  # fmt: skip
def test_real_families_reach_the_bar_of_regression_on_the_other_sites(name, bar):
    family = datasets.load(name)
    assert left_out(family, family.x) == pytest.approx(bar, abs=0.006)


@real
def test_real_modalities_and_their_bars():
    family = datasets.load("lung_directors4")
    both = np.hstack(list(family.x.values()))
    genes = left_out(family, family.x["genes"], 0.01)
    assert genes == pytest.approx(np.mean([0.777, 0.835, 0.717, 0.863]), abs=0.03)
    assert genes > left_out(family, family.x["clinical"], 0.01) + 0.1
    assert left_out(family, both, 0.01) == pytest.approx(genes, abs=0.02)
    for name in ("tcga_lung_sites", "tcga_cancers", "breast7g_6cohorts", "metabric_clin_mut"):
        assert len(datasets.load(name).y)  # counts and prevalences as the card states


@real
def test_no_patient_of_a_family_stands_in_two_cohorts():
    table = pd.read_csv(
        os.path.join(os.environ["METAJAX_DATA"], "disease/breast7g_6cohorts/breast7g.csv")
    )
    twice = breast7g.twice(table["samplename"], table["dataset"])
    assert twice.sum() == 43
    number = table["samplename"].str.extract(breast7g._SHARED)[0]
    pairs = table[number.notna() & (table["dataset"] != "UPP") & ~twice]
    assert not number[pairs.index].duplicated().any()
    # It is the number that finds them: of the pairs most have other times, nearly all equal ages.
    first = table[table["dataset"] == "TRANSBIG"].set_index(number[table["dataset"] == "TRANSBIG"])
    age = table["age"][twice].to_numpy() - first["age"][number[twice]].to_numpy()
    assert (np.abs(age[~np.isnan(age)]) <= 1).mean() > 0.95
