"""Director's Challenge: lung adenocarcinoma in 4 hospitals, poor differentiation or not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from metajax.datasets import reading
from metajax.datasets.cards import Card, Counts, File
from metajax.datasets.disease.columns import Coding, codes, encode, header
from metajax.datasets.family import Family
from metajax.datasets.files import DataError
from metajax.datasets.loading import Dataset

_AJCC = ", ACCORDING TO AJCC CRITERIA"
CLINICAL: Mapping[str, Coding] = {
    "AGE_AT_DIAGNOSIS": None,
    "GENDER": {"Male": 0.0, "Female": 1.0},
    "SMOKING_HISTORY": ("Never smoked", "Smoked in the past", "Currently smoking"),
    "PATHOLOGIC_N_STAGE": {f"N0{_AJCC}": 0.0, f"N1{_AJCC}": 1.0, f"N2{_AJCC}": 2.0},
    "PATHOLOGIC_T_STAGE": {"T1": 1.0, "T2": 2.0, "T3": 3.0, "T4": 4.0},
}
CARD = Card(
    name="lung_directors4",
    title="Director's Challenge: lung adenocarcinoma, clinical data and 149 probes, 4 hospitals",
    task="one hospital: is the tumour poorly differentiated?",
    label="poor_grade: histologic grade 'poorly differentiated' = 1, well or moderately = 0",
    split_unit="hospital",
    row_group="none",
    cluster="hospital",
    splits="leave one hospital out; meta-validation is taken from the rest",
    protocol="inputs are two modalities: `clinical`, 7 columns (age in years, sex 1 = female, "
    "smoking as indicators, missing in 95 of 444, stages N 0 to 2 and T 1 to 4; NX is missing) and "
    "`genes`, 149 probes (log2, U133A; the control AFFX is left out). The probes are an arbitrary "
    "choice of the source, not made for the lung. Seven patients without grade are left out. Grade "
    "is no feature, nor is the vital status: the table has no times. The source's months and "
    "patient numbers are codes of factors and were removed from the file",
    counts=Counts(tasks=4, rows=437, items=437, labels=(269, 168)),
    prevalence=(("MI", 179, 67), ("MSKCC", 100, 46), ("DFCI", 81, 37), ("HLM", 77, 18)),
    licence="MIT (the R package anatools, which the table comes with); the data are GEO, public",
    citation="Shedden et al. Gene expression-based survival prediction in lung adenocarcinoma: a "
    "multi-site, blinded validation study. Nat Med 2008;14:822",
    homepage="https://www.ncbi.nlm.nih.gov/geo/query/acc.cgi?acc=GSE68465",
    files=(
        File(
            "disease/lung_directors4/directors_444x150.csv.gz",
            "",
            "a736257cb8f4a5ec5e3d18e0e184c26cc43b12f05e59e0e662c2ab4c3f6d4ed5",
            "",
            195360,
            role="table",
        ),
    ),
    overlaps="GSE68465; MI may share patients with the Michigan cohort of other lung collections; "
    "none of them is in this package",
    intended_use="fusing clinical data and genes, in a hospital that took no part in training",
    improper_use="p-values (4 hospitals); survival (no times); clinical use",
)


def read(paths: Mapping[str, Path], card: Card) -> Family:
    """The patients with a grade, in the order of the file."""
    probes = [n for n in header(paths["table"]) if n.startswith("probe_") and "AFFX" not in n]
    if not probes:
        raise DataError(f"{card.name} has no column of a probe (probe_...)")
    table = reading.frame(paths["table"], ("SITE", *CLINICAL, "poor_grade", *probes))
    table = table[table["poor_grade"] != ""].reset_index(drop=True)
    stage = table["PATHOLOGIC_N_STAGE"]
    table["PATHOLOGIC_N_STAGE"] = stage.mask(stage == f"NX{_AJCC}", "")
    return Family(
        {
            "clinical": encode(table, CLINICAL, card.name)[0],
            "genes": encode(table, dict.fromkeys(probes), card.name)[0],
        },
        codes(table, "poor_grade", ("0.0", "1.0"), card.name),
        codes(table, "SITE", card.tasks, card.name),
        card.tasks,
        card,
    )


DATASETS = (Dataset(CARD, read),)
