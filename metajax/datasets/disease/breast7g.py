"""Breast cancer in 5 cohorts, clinical data and 7 genes, distant metastasis within 5 years."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from metajax.datasets import reading
from metajax.datasets.cards import Card, Counts, File
from metajax.datasets.disease.columns import Coding, codes, encode
from metajax.datasets.disease.gse7390 import HORIZON, uncensored
from metajax.datasets.family import Family
from metajax.datasets.loading import Dataset

_BINARY = {"0.0": 0.0, "1.0": 1.0}
CLINICAL: Mapping[str, Coding] = {
    "age": None, "size": None, "grade": None, "er": _BINARY, "node": _BINARY,
}  # fmt: skip
GENES = tuple(f"z_{gene}" for gene in "ESR1 ERBB2 AURKA PLAU VEGFA STAT1 CASP3".split())
# Hospitals whose samples stand in several cohorts under one number, e.g. OXFU_366, VDXOXFU_366.
_SHARED = r"^(?:VDX)?(?:OXFU|KIU|UPP)_(.+)$"
CARD = Card(
    name="breast7g_6cohorts",
    title="Breast cancer, 6 cohorts (5 with the label): clinical data and 7 genes",
    task="one cohort: distant metastasis within 5 years of diagnosis?",
    label="distant metastasis (e.dmfs = 1) within 5 years (t.dmfs) = 1; free of it then = 0",
    split_unit="cohort",
    row_group="none",
    cluster="cohort",
    splits="leave one cohort out; meta-validation is taken from the rest",
    protocol="inputs are two modalities: `clinical` (age in years, size in cm, grade 1 to 3, "
    "oestrogen receptor, positive nodes; VDX has no size and half of its grades) and `genes`, 7 "
    "expressions as z-scores inside each cohort, made by the source. The cohort UPP has no time to "
    "metastasis and is not read. Treatment is no feature. Patients lost before 5 years are left "
    "out; the others carry the inverse of the Kaplan-Meier estimate, cohort by cohort, of "
    "remaining uncensored, divided by its mean. The bounds of the source (5 x 365 days) and ours "
    "(5 x 365.25) agree in all patients",
    counts=Counts(tasks=5, rows=1076, items=1076, labels=(805, 271)),
    prevalence=(
        ("MAINZ", 181, 28), ("NKI", 299, 86), ("TRANSBIG", 190, 36), ("UNT", 74, 16),
        ("VDX", 332, 105),
    ),
    licence="Artistic-2.0 (the R package survcomp, which the table comes with); the data are GEO, "
    "public",
    citation="Schroder et al. survcomp. Bioinformatics 2011;27:3206; Desmedt et al. Clin Cancer "
    "Res 2008;14:5158, and the six cohorts named there",
    homepage="https://bioconductor.org/packages/survcomp",
    files=(
        File(
            "disease/breast7g_6cohorts/breast7g.csv",
            "",
            "756a22465f9bdbe7f615e23e7dfdf7597c682d78135066c9b34901edf8cde67c",
            "",
            191706,
            role="table",
        ),
    ),
    overlaps="the cohorts share hospitals: 43 patients of TRANSBIG stand in UNT again, under the "
    "same number of Oxford or Karolinska, mostly with other times; they are dropped from UNT. "
    "TRANSBIG is `gse7390`, and NKI, MAINZ and VDX stand in many collections: never train on one "
    "and test on the other",
    intended_use="fusing clinical data and genes, in a cohort that took no part in training",
    improper_use="p-values (5 cohorts); clinical use. The genes were chosen, elsewhere, for "
    "breast cancer's outcome",
)  # fmt: skip


def twice(names: pd.Series, cohort: pd.Series) -> np.ndarray:
    """(R,) bool: patients of UNT who stand in TRANSBIG too, by the number of their sample."""
    number = names.str.extract(_SHARED)[0]
    first = set(number[cohort == "TRANSBIG"].dropna())
    return ((cohort == "UNT") & number.isin(first)).to_numpy()


def read(paths: Mapping[str, Path], card: Card) -> Family:
    """The patients whose state after 5 years is known, in the order of the file."""
    told = ("samplename", "dataset", *CLINICAL, *GENES, "t.dmfs", "e.dmfs")
    table = reading.frame(paths["table"], told)
    table = table[table["dataset"] != "UPP"]
    table = table[~twice(table["samplename"], table["dataset"])]
    table = table[(table["t.dmfs"] != "") & (table["e.dmfs"] != "")].reset_index(drop=True)
    ends, _ = encode(table, {"t.dmfs": None, "e.dmfs": _BINARY}, card.name)
    time, event = ends[:, 0].astype(np.float64), ends[:, 1] == 1
    task = codes(table, "dataset", card.tasks, card.name)
    known = event | (time >= HORIZON)
    weight = np.ones(len(table))
    for t in range(len(card.tasks)):
        mine = task == t
        weight[mine] = 1 / uncensored(time[mine], event[mine], np.minimum(time, HORIZON)[mine])
        weight[mine] /= weight[mine & known].mean()
    return Family(
        {
            "clinical": encode(table, CLINICAL, card.name)[0][known],
            "genes": encode(table, dict.fromkeys(GENES), card.name)[0][known],
        },
        (event & (time <= HORIZON))[known].astype(np.int32),
        task[known],
        card.tasks,
        card,
        weight=weight[known].astype(np.float32),
    )


DATASETS = (Dataset(CARD, read),)
