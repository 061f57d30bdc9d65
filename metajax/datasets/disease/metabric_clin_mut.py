"""METABRIC: breast cancer in 6 molecular subtypes, death of it within 5 years."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from metajax.datasets import reading
from metajax.datasets.cards import Card, Counts, File
from metajax.datasets.disease.columns import YES, Coding, encode, header
from metajax.datasets.disease.gse7390 import HORIZON, uncensored
from metajax.datasets.family import Family
from metajax.datasets.files import DataError
from metajax.datasets.loading import Dataset

CLINICAL: Mapping[str, Coding] = {
    "AGE_AT_DIAGNOSIS": None,
    "ER_IHC": {"Negative": 0.0, "Positve": 1.0},
    "HER2_SNP6": {"LOSS": -1.0, "NEUTRAL": 0.0, "GAIN": 1.0},
    "HISTOLOGICAL_SUBTYPE": (
        "Ductal/NST", "Lobular", "Mixed", "Medullary", "Mucinous", "Tubular/ cribriform",
        "Metaplastic", "Other",
    ),
    "INFERRED_MENOPAUSAL_STATE": {"Pre": 0.0, "Post": 1.0},
    "LATERALITY": {"Left": 0.0, "Right": 1.0},
    "LYMPH_NODES_EXAMINED_POSITIVE": None,
    "NPI": None,
    "CELLULARITY": {"Low": 1.0, "Moderate": 2.0, "High": 3.0},
}  # fmt: skip
_EVENT = {"0": 0.0, "1": 1.0, "2": 2.0}  # alive, dead of the cancer, dead of another cause
CARD = Card(
    name="metabric_clin_mut",
    title="METABRIC: breast cancer, clinical measurements and mutations",
    task="one molecular subtype (PAM50 and claudin-low): does the patient die of the cancer within "
    "5 years?",
    label="death of breast cancer within 5 years of 365.25 days = 1; alive after 5 years = 0",
    split_unit="subtype",
    row_group="none",
    cluster="subtype",
    splits="leave one subtype out; meta-validation is taken from the rest",
    protocol="143 columns: 9 clinical (age, oestrogen receptor, HER2 copy number, histology as "
    "indicators, menopause, side, positive lymph nodes, Nottingham index, cellularity) and 127 "
    "genes (1 = mutated). Left out: treatment (it was chosen after the diagnosis), the three-gene "
    "classifier (nearly the task), the source's own split. HER2 'UNDEF' is missing. Six patients "
    "of subtype NC and one without subtype are left out, and 154 who were lost (64) or died of "
    "another cause (90) before 5 years; the others carry the inverse of the Kaplan-Meier estimate "
    "of remaining uncensored, divided by the mean. 125 patients have no mutation: whether they "
    "were sequenced is not in the table",
    counts=Counts(tasks=6, rows=1819, items=1819, labels=(1483, 336)),
    prevalence=(
        ("Basal", 199, 73), ("Her2", 210, 69), ("LumA", 638, 48), ("LumB", 433, 88),
        ("Normal", 138, 23), ("claudin-low", 201, 35),
    ),
    licence="ODbL 1.0 (the repository of the table; the data are cBioPortal's brca_metabric)",
    citation="Curtis et al. The genomic and transcriptomic architecture of 2,000 breast tumours. "
    "Nature 2012;486:346; Pereira et al. Nat Commun 2016;7:11479",
    homepage="https://www.cbioportal.org/study/summary?id=brca_metabric",
    files=(
        File(
            "disease/metabric_clin_mut/metabric_clin_mut.csv.gz",
            "",
            "6a4184653265c770f6deaadec3ac0e2b8aa4e772690fac459709d6a8c98b3adf",
            "",
            55991,
            role="table",
        ),
    ),
    overlaps="METABRIC in pycox and scikit-survival holds the same patients; none of them is in "
    "this package",
    intended_use="transfer of a prognostic model between subtypes; few events",
    improper_use="p-values (6 subtypes); the effect of a mutation; clinical use",
)  # fmt: skip


def read(paths: Mapping[str, Path], card: Card) -> Family:
    """The patients whose state after 5 years is known, in the order of the file."""
    genes = [name for name in header(paths["table"]) if name.startswith("mut_")]
    if not genes:
        raise DataError(f"{card.name} has no column of mutations (mut_...)")
    told = ("CLAUDIN_SUBTYPE", "time", "event", *CLINICAL, *genes)
    table = reading.frame(paths["table"], told)
    table = table[table["CLAUDIN_SUBTYPE"].isin(card.tasks)].reset_index(drop=True)
    table["HER2_SNP6"] = table["HER2_SNP6"].replace("UNDEF", "")
    x, columns = encode(table, {**CLINICAL, **dict.fromkeys(genes, YES)}, card.name)
    ends, _ = encode(table, {"time": None, "event": _EVENT}, card.name)
    time, event = ends.astype(np.float64).T
    died = event == 1
    known = died | (time >= HORIZON)
    weight = 1 / uncensored(time, died, np.minimum(time, HORIZON)[known])
    task = np.array([card.tasks.index(name) for name in table["CLAUDIN_SUBTYPE"]], np.int32)
    return Family(
        x[known],
        (died & (time <= HORIZON))[known].astype(np.int32),
        task[known],
        card.tasks,
        card,
        columns,
        weight=(weight / weight.mean()).astype(np.float32),
    )


DATASETS = (Dataset(CARD, read),)
