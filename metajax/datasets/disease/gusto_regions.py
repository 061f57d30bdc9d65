"""GUSTO-I: acute myocardial infarction in 16 regions, death within 30 days."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from metajax.datasets import reading
from metajax.datasets.cards import Card, Counts, File
from metajax.datasets.disease.columns import YES, Coding, codes, encode
from metajax.datasets.family import Family
from metajax.datasets.loading import Dataset

_SECOND = {"1": 0.0, "2": 1.0}  # how the source codes no and yes
CODINGS: Mapping[str, Coding] = {
    "age": None,
    "sex": {"male": 0.0, "female": 1.0},
    "Killip": {"I": 1.0, "II": 2.0, "III": 3.0, "IV": 4.0},
    "pulse": None,
    "sysbp": None,
    "miloc": ("Inferior", "Anterior", "Other"),
    "ste": None,
    "height": None,
    "weight": None,
    "dia": YES,
    "htn": _SECOND,
    "smk": ("never", "quit", "current"),
    "pmi": {"no": 0.0, "yes": 1.0},
    "pan": _SECOND,
    "fam": _SECOND,
    "prevcvd": _SECOND,
    "prevcabg": _SECOND,
    "ttr": YES,
}
CARD = Card(
    name="gusto_regions",
    title="GUSTO-I: thrombolysis for acute myocardial infarction, 16 regions",
    task="one region of the trial (regl): does the patient die within 30 days?",
    label="day30 = 1: dead within 30 days",
    split_unit="region",
    row_group="none",
    cluster="region",
    splits="leave one region out, in folds of regions; meta-validation is taken from the rest",
    protocol="22 columns of 18 predictors: age in years, sex (1 = female), Killip class 1 to 4, "
    "pulse, systolic pressure, place of the infarction and smoking as indicators, leads with ST "
    "elevation, height in cm, weight in kg, diabetes, hypertension, earlier infarction, angina, "
    "stroke or bypass, family history, pain for more than an hour (1 = yes). Left out: sho, hig, "
    "hyp, hrt and ant, which copy other columns (Killip III or IV; anterior or earlier infarction; "
    "pressure below 100; pulse above 80; anterior: equal in all rows but 5 and 8 of hyp and hrt), "
    "the treatment arm (tpa, tx), and the smaller units grpl and grps. No cell is missing. Ages "
    "were jittered by the source (19 to 110)",
    counts=Counts(tasks=16, rows=40830, items=40830, labels=(37979, 2851)),
    prevalence=(
        ("1", 2188, 135), ("2", 2952, 229), ("3", 2030, 166), ("4", 2876, 217), ("5", 1909, 133),
        ("6", 1585, 133), ("7", 3150, 211), ("8", 2916, 188), ("9", 3123, 224), ("10", 1717, 95),
        ("11", 2491, 191), ("12", 4352, 294), ("13", 2297, 121), ("14", 3437, 260),
        ("15", 2576, 155), ("16", 1231, 99),
    ),
    licence="GPL (the R package predtools, which the table comes with); an anonymised teaching "
    "file of the trial",
    citation="The GUSTO Investigators. An international randomized trial comparing four "
    "thrombolytic strategies for acute myocardial infarction. N Engl J Med 1993;329:673; Lee et "
    "al. Circulation 1995;91:1659; Steyerberg. Clinical Prediction Models. Springer 2019",
    homepage="https://cran.r-project.org/package=predtools",
    files=(
        File(
            "disease/gusto_regions/gusto.csv.gz",
            "",
            "e9f25b99b758046e307222ce00a892063796e7f77cf37bfaecdae9688367e3f3",
            "",
            640202,
            role="table",
        ),
    ),
    overlaps="samples of GUSTO-I in other packages (gusto of the R packages for Steyerberg's book) "
    "hold some of the same patients; none is in this package",
    intended_use="transfer of a mortality model between 16 large groups of patients",
    improper_use="statements about a country (regions are numbers); the effect of treatment; "
    "clinical use",
)  # fmt: skip


def read(paths: Mapping[str, Path], card: Card) -> Family:
    """The patients in the order of the file: 40,830 of them, 22 columns, 16 tasks."""
    table = reading.frame(paths["table"], ("regl", *CODINGS, "day30"))
    x, columns = encode(table, CODINGS, card.name)
    y = codes(table, "day30", ("0", "1"), card.name)
    return Family(x, y, codes(table, "regl", card.tasks, card.name), card.tasks, card, columns)


DATASETS = (Dataset(CARD, read),)
