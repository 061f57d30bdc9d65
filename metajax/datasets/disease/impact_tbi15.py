"""IMPACT: traumatic brain injury in 15 studies, death within 6 months."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from metajax.datasets import reading
from metajax.datasets.cards import Card, Counts, File
from metajax.datasets.disease.columns import YES, Coding, codes, encode
from metajax.datasets.family import Family
from metajax.datasets.loading import Dataset

CODINGS: Mapping[str, Coding] = {
    "age": None,
    "motor_score": ("1/2", "3", "4", "5/6"),
    "pupil": ("None", "One", "Both"),
    "ct": ("I/II", "III", "IV/V"),
    "hypox": YES,
    "hypots": YES,
    "tsah": YES,
    "edh": YES,
}
CARD = Card(
    name="impact_tbi15",
    title="IMPACT: moderate and severe traumatic brain injury in 15 studies",
    task="one study (11 trials and 4 observational studies): does the patient die within 6 months?",
    label="mort = 1: dead within 6 months of the injury",
    split_unit="study",
    row_group="none",
    cluster="study",
    splits="leave one study out, in folds of studies; meta-validation is taken from the rest",
    protocol="15 columns of 8 predictors at admission: age in years, motor score of the Glasgow "
    "coma scale, reactive pupils and Marshall CT class as indicators, hypoxia, hypotension, "
    "traumatic subarachnoid haemorrhage, epidural haematoma (1 = yes). 'None' is a level of pupil, "
    "not a gap. No cell is missing: the source imputed them, with the study as a fixed effect, so "
    "a little of the study is in the inputs. The kind of study is no feature",
    counts=Counts(tasks=15, rows=11022, items=11022, labels=(8148, 2874)),
    prevalence=(
        ("APOE", 756, 117), ("CSTAT", 517, 115), ("EBIC", 822, 281), ("HIT I", 350, 99),
        ("HIT II", 819, 188), ("NABIS", 385, 101), ("PEG", 1510, 362), ("PHARMOS", 856, 145),
        ("SAP", 919, 212), ("SKB", 126, 34), ("SLIN", 409, 94), ("TCDB", 603, 264),
        ("TINT", 1118, 278), ("TIUS", 1041, 225), ("UK4", 791, 359),
    ),
    licence="GPL-3 (the R package metamisc, which the table comes with)",
    citation="Steyerberg et al. Predicting outcome after traumatic brain injury. PLoS Med 2008; "
    "Steyerberg, Nieboer, Debray, van Houwelingen. Assessment of heterogeneity in an individual "
    "participant data meta-analysis of prediction models. Stat Med 2019;38:4290",
    homepage="https://cran.r-project.org/package=metamisc",
    files=(
        File(
            "disease/impact_tbi15/impact.csv",
            "",
            "ae6461db32396910ba7006fc6bf5326fc4e8cb02f07df2ed8bf4576c3e411c9e",
            "",
            385880,
            role="table",
        ),
    ),
    overlaps="none known. 1,283 rows repeat an earlier row in every column: patients have no "
    "number and few columns, so two equal rows count as two patients",
    intended_use="transfer of a prognostic model between 15 groups of patients",
    improper_use="clinical use; statements about gaps in the data (the source filled them)",
)  # fmt: skip


def read(paths: Mapping[str, Path], card: Card) -> Family:
    """The patients in the order of the file: 11,022 of them, 15 columns, 15 tasks."""
    table = reading.frame(paths["table"], ("name", *CODINGS, "mort"))
    x, columns = encode(table, CODINGS, card.name)
    y = codes(table, "mort", ("0", "1"), card.name)
    task = codes(table, "name", card.tasks, card.name)
    return Family(x, y, task, card.tasks, card, columns)


DATASETS = (Dataset(CARD, read),)
