"""TCGA: clinical data, genes and mutations of 13 cancers; lung adenocarcinoma by hospital."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from metajax.datasets import reading
from metajax.datasets.cards import Card, Counts, File
from metajax.datasets.disease.columns import Coding, encode, header
from metajax.datasets.disease.gse7390 import uncensored
from metajax.datasets.family import Family
from metajax.datasets.files import DataError
from metajax.datasets.loading import Dataset

SEP = " | "
GENES = ("TP53", "STK11", "KEAP1")  # mutations that are predicted in the lung
SITES = ("05", "44", "49", "55", "78", "86", "97", "other")  # "other": fewer than 20 patients
HORIZON = 24.0  # months
_SMALL = 20
_CLINICAL: Mapping[str, Coding] = {"age": None, "female": {"0.0": 0.0, "1.0": 1.0}}
_STATE = {"0.0": 0.0, "1.0": 1.0}
_FILE = File(
    "disease/tcga_porpoise/tcga13_clin_gene300.csv.gz",
    "",
    "bf4e39f4cbb132d9b724b011e2626925dd8295f65c74fec5184437d4e744ea03",
    "",
    3387395,
    role="table",
)
_INPUTS = (
    "inputs are two modalities: `clinical`, age in years and sex (1 = female), and `genes`, the "
    "expression of 300 genes as z-scores inside each cancer, made by the source over all its "
    "patients. The 300 are those of 1,526 that vary together most, chosen without labels. No "
    "stage, grade or smoking is in the table. One row is one patient"
)
_LICENCE = "GPL-3 (the repository of the table); the data are TCGA's open tier (NIH GDC)"
_CITATION = (
    "The Cancer Genome Atlas Research Network; Chen, Lu, Williamson et al. Pan-cancer integrative "
    "histology-genomic analysis via multimodal deep learning. Cancer Cell 2022;40:865"
)
_OVERLAPS = (
    "the tables of TCGA in other collections (FLamby's Fed-TCGA-BRCA, single cohorts of cBioPortal "
    "and UCSC Xena) hold the same patients, and so do `tcga_lung_sites` and `tcga_cancers`: never "
    "train on one and test on the other"
)
LUNG = Card(
    name="tcga_lung_sites",
    title="TCGA lung adenocarcinoma by hospital: which driver gene is mutated?",
    task="one gene in one hospital (tissue source site), named 'gene | hospital': is it mutated?",
    label="a mutation of the gene is recorded = 1",
    split_unit="hospital",
    row_group="patient: each is a case of three genes",
    cluster="hospital",
    splits="leave one hospital out; 'other' (26 hospitals of fewer than 20 patients) is a source "
    "only; meta-validation is taken from the rest",
    protocol=f"{_INPUTS}. Genes mean something of their own: a benchmark takes the tasks of one "
    "gene. A hospital is the tissue source site of the patient's barcode",
    counts=Counts(tasks=24, rows=1359, items=453, labels=(980, 379)),
    prevalence=(
        ("TP53 | 05", 30, 17), ("TP53 | 44", 43, 24), ("TP53 | 49", 28, 13), ("TP53 | 55", 89, 50),
        ("TP53 | 78", 31, 15), ("TP53 | 86", 32, 17), ("TP53 | 97", 22, 8),
        ("TP53 | other", 178, 87), ("STK11 | 05", 30, 5), ("STK11 | 44", 43, 6),
        ("STK11 | 49", 28, 3), ("STK11 | 55", 89, 11), ("STK11 | 78", 31, 9),
        ("STK11 | 86", 32, 4), ("STK11 | 97", 22, 2), ("STK11 | other", 178, 27),
        ("KEAP1 | 05", 30, 2), ("KEAP1 | 44", 43, 9), ("KEAP1 | 49", 28, 11),
        ("KEAP1 | 55", 89, 15), ("KEAP1 | 78", 31, 9), ("KEAP1 | 86", 32, 3),
        ("KEAP1 | 97", 22, 2), ("KEAP1 | other", 178, 30),
    ),
    licence=_LICENCE,
    citation=_CITATION,
    homepage="https://portal.gdc.cancer.gov/projects/TCGA-LUAD",
    files=(_FILE,),
    overlaps=_OVERLAPS,
    intended_use="fusing clinical data and genes, in a hospital that took no part in training",
    improper_use="p-values (7 hospitals); clinical use; the scaling of the genes has seen all "
    "hospitals, so a small part of the shift between them is gone",
)  # fmt: skip
CANCERS = Card(
    name="tcga_cancers",
    title="TCGA: 13 cancers, TP53 mutation and death within two years",
    task="one label in one cancer, named 'label | cancer': is TP53 mutated (11 cancers), is the "
    "patient dead within 24 months (13 cancers)?",
    label="TP53: a mutation is recorded = 1. dead24: dead within 24 months = 1, alive then = 0",
    split_unit="cancer",
    row_group="patient: most are a case of both labels",
    cluster="cancer",
    splits="leave cancers out, in folds; meta-validation is taken from the rest",
    protocol=f"{_INPUTS}. TP53 is not recorded in KIRC and KIRP. Of 5,240 patients 1,783 were lost "
    "before 24 months and are no case of dead24; the others carry the inverse of the Kaplan-Meier "
    "estimate, cancer by cancer, of remaining uncensored, divided by its mean. A benchmark takes "
    "the tasks of one label. Endometrial cancer has no expression and is not in the file",
    counts=Counts(tasks=24, rows=8092, items=5240, labels=(4697, 3395)),
    prevalence=(
        ("TP53 | BLCA", 373, 183), ("TP53 | BRCA", 956, 333), ("TP53 | COADREAD", 340, 227),
        ("TP53 | GBMLGG", 569, 262), ("TP53 | HNSC", 416, 310), ("TP53 | LIHC", 333, 106),
        ("TP53 | LUAD", 453, 231), ("TP53 | LUSC", 450, 378), ("TP53 | PAAD", 166, 101),
        ("TP53 | SKCM", 230, 28), ("TP53 | STAD", 349, 173), ("dead24 | BLCA", 262, 134),
        ("dead24 | BRCA", 568, 33), ("dead24 | COADREAD", 208, 47), ("dead24 | GBMLGG", 355, 119),
        ("dead24 | HNSC", 316, 144), ("dead24 | KIRC", 268, 43), ("dead24 | KIRP", 158, 23),
        ("dead24 | LIHC", 207, 81), ("dead24 | LUAD", 290, 90), ("dead24 | LUSC", 323, 111),
        ("dead24 | PAAD", 116, 81), ("dead24 | SKCM", 162, 38), ("dead24 | STAD", 224, 119),
    ),
    licence=_LICENCE,
    citation=_CITATION,
    homepage="https://portal.gdc.cancer.gov",
    files=(_FILE,),
    overlaps=_OVERLAPS,
    intended_use="fusing clinical data and genes, in a cancer that took no part in training",
    improper_use="comparing cancers by their genes (the z-scores are made inside each); p-values "
    "of the effect of a gene; clinical use. GBMLGG mixes grades: age alone tells much there",
)  # fmt: skip


def _table(path: Path, more: tuple[str, ...]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The columns needed as text, and the names of the genes' columns."""
    genes = tuple(name for name in header(path) if name.startswith("rna_"))
    if not genes:
        raise DataError(f"{path} has no column of gene expression (rna_...)")
    return reading.frame(path, ("cancer", *_CLINICAL, *more, *genes)), genes


def _inputs(table: pd.DataFrame, genes: tuple[str, ...], name: str) -> dict[str, np.ndarray]:
    return {
        "clinical": encode(table, _CLINICAL, name)[0],
        "genes": encode(table, dict.fromkeys(genes), name)[0],
    }


def read_lung(paths: Mapping[str, Path], card: Card) -> Family:
    """Gene after gene, the patients in the order of the file; a patient is stored once."""
    mutations = tuple(f"mut_{gene}" for gene in GENES)
    table, genes = _table(paths["table"], ("tss", *mutations))
    table = table[table["cancer"] == "LUAD"].reset_index(drop=True)
    large = table["tss"].value_counts()
    large = large[large >= _SMALL].index
    site = np.array([SITES.index(s if s in large else "other") for s in table["tss"]], np.int32)
    y, _ = encode(table, dict.fromkeys(mutations, _STATE), card.name)
    if np.isnan(y).any():
        raise DataError(f"{card.name}: a patient without a record of {', '.join(GENES)}")
    patients = len(table)
    return Family(
        _inputs(table, genes, card.name),
        y.T.reshape(-1).astype(np.int32),
        np.concatenate([site + len(SITES) * i for i in range(len(GENES))]).astype(np.int32),
        card.tasks,
        card,
        item=np.tile(np.arange(patients, dtype=np.int32), len(GENES)),
        unit=np.tile(np.arange(len(SITES), dtype=np.int32), len(GENES)),
    )


def read_cancers(paths: Mapping[str, Path], card: Card) -> Family:
    """TP53, then death within 24 months; the patients in the order of the file, stored once."""
    table, genes = _table(paths["table"], ("mut_TP53", "surv_months", "event"))
    codings = {"mut_TP53": _STATE, "surv_months": None, "event": _STATE}
    tp53, months, event = encode(table, codings, card.name)[0].astype(np.float64).T
    died = event == 1
    known = died | (months >= HORIZON)
    weight = np.ones(len(table))
    for cancer in sorted(set(table["cancer"])):
        mine = (table["cancer"] == cancer).to_numpy()
        at = np.minimum(months, HORIZON)[mine]
        weight[mine] = 1 / uncensored(months[mine], died[mine], at)
        weight[mine] /= weight[mine & known].mean()
    rows, y, task, weights = [], [], [], []
    for label, has, value, weigh in (
        ("TP53", np.isfinite(tp53), tp53, np.ones(len(table))),
        ("dead24", known, died & (months <= HORIZON), weight),
    ):
        names = label + SEP + table["cancer"]
        has = np.flatnonzero(has)
        rows.append(has)
        y.append(value[has])
        task.append([card.tasks.index(name) for name in names.iloc[has]])
        weights.append(weigh[has])
    units = sorted({name.partition(SEP)[2] for name in card.tasks})
    return Family(
        _inputs(table, genes, card.name),
        np.concatenate(y).astype(np.int32),
        np.concatenate(task).astype(np.int32),
        card.tasks,
        card,
        item=np.concatenate(rows).astype(np.int32),
        unit=np.array([units.index(n.partition(SEP)[2]) for n in card.tasks], np.int32),
        weight=np.concatenate(weights).astype(np.float32),
    )


DATASETS = (Dataset(LUNG, read_lung), Dataset(CANCERS, read_cancers))
