"""Chapman-Shaoxing: findings of an electrocardiogram from its measurements, 18 findings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from metajax.datasets import reading
from metajax.datasets.cards import Card, Counts, File
from metajax.datasets.disease.columns import Coding, encode
from metajax.datasets.family import Family
from metajax.datasets.loading import Dataset

CODINGS: Mapping[str, Coding] = {
    "PatientAge": None,
    "Gender": {"MALE": 0.0, "FEMALE": 1.0},
    **dict.fromkeys(
        "VentricularRate AtrialRate QRSDuration QTInterval QTCorrected RAxis TAxis QRSCount QOnset "
        "QOffset TOffset".split()
    ),
}
_FINDINGS = {
    "TWC": 1906, "LVHV": 1314, "STTC": 1170, "RBBB": 460, "STDD": 406, "VPB": 310, "APB": 278,
    "1AVB": 252, "AQW": 237, "STTU": 183, "AVB": 166, "CCR": 162, "TWO": 159, "LVQRSCL": 145,
    "IDC": 133, "LVQRSLL": 110, "LFBBB": 108, "IVB": 105,
}  # fmt: skip
_PATIENTS = 10646
CARD = Card(
    name="chapman_ecg_features",
    title="Chapman University and Shaoxing Hospital: 12-lead ECG measurements and findings",
    task="one finding of the electrocardiogram (a code of the column Beat): is it present?",
    label="the code is among the patient's = 1",
    split_unit="finding",
    row_group="patient: every patient is a case of all findings",
    cluster="finding",
    splits="leave findings out, in 5 folds; every patient is dealt to one side of a fold",
    protocol="13 columns: age in years, sex (1 = female) and 11 measurements of the machine "
    "(rates, durations and intervals in ms, axes in degrees, number of QRS complexes, onsets and "
    "offsets in samples). Findings with at least 100 patients, without ALS and ARS (axis to the "
    "left, to the right), which a measurement defines. The rhythm is neither label nor feature. No "
    "cell is missing; an atrial rate of 0 is kept as recorded",
    counts=Counts(
        tasks=18, rows=18 * _PATIENTS, items=_PATIENTS,
        labels=(18 * _PATIENTS - sum(_FINDINGS.values()), sum(_FINDINGS.values())),
    ),
    prevalence=tuple((name, _PATIENTS, count) for name, count in _FINDINGS.items()),
    licence="CC BY 4.0 (the original at figshare and PhysioNet; not re-read); the copy states none",
    citation="Zheng et al. A 12-lead electrocardiogram database for arrhythmia research covering "
    "more than 10,000 patients. Sci Data 2020;7:48",
    homepage="https://physionet.org/content/ecg-arrhythmia/",
    files=(
        File(
            "disease/chapman_ecg_features/chapman_diagnostics.csv.gz",
            "",
            "67a7ff5c52bfcb9c258bc8207f367cdcccf477d892c9460f45df973cb2ef418a",
            "",
            220198,
            role="table",
        ),
    ),
    overlaps="PTB-XL and the PhysioNet challenges of 2020 and 2021 hold this collection or its "
    "signals; none of them is in this package. Findings overlap in patients: no finding is a "
    "feature, and a patient is on one side",
    intended_use="many findings from one set of inputs; rare positives",
    improper_use="hospitals in general (there is one); p-values over 18 findings of the same "
    "patients as if they were independent; clinical use",
)  # fmt: skip


def read(paths: Mapping[str, Path], card: Card) -> Family:
    """Finding after finding, the patients in the order of the file; a patient is stored once."""
    table = reading.frame(paths["table"], ("Beat", *CODINGS))
    x, columns = encode(table, CODINGS, card.name)
    codes = [set(cell.split()) for cell in table["Beat"]]
    y = np.array([[name in mine for mine in codes] for name in card.tasks], np.int32)
    tasks, patients = y.shape
    item = np.tile(np.arange(patients, dtype=np.int32), tasks)
    task = np.repeat(np.arange(tasks, dtype=np.int32), patients)
    return Family(x, y.reshape(-1), task, card.tasks, card, columns, item=item)


DATASETS = (Dataset(CARD, read),)
