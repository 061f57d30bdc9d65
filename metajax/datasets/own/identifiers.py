"""Columns that say which case a row is: no feature, by their name or by what they hold."""

from __future__ import annotations

import re

import numpy as np

LEAST = 20  # fewer rows rise by chance
# What an identifier belongs to; several may stand in a row: patient unit stay id.
_CASE = """patients? pat pt pts subjects? subj sub usubj participants? part persons? pers people
 cases? records? rec study trial clinical samples? samp smp specimens? spec biospecimens? aliquots?
 tubes? vials? enrol+ments? enrol+ screening screen randomi[sz]ation rand registry registration reg
 hospital hosp medical med chart file dossier accession acc acces individuals? indiv donors? donor
 recipients? lab laboratory client member user national insurance nhs health system social security
 bcr tcga geo gsm sra ena biobank cohort deidentified anonymi[sz]ed anon pseudo research unique
 internal external global local master main primary source original new old the person
 account acct opd ipd ip ur aufnahme patienten? fall proben? probanden? paciente sujet
 krankenversicherten versicherten(?:karten)? befund medicare medicaid historia(?: clinica)?
 historial pacjent potilas journal""".split()
# Visits, lesions and their like may be counted: "visit_number" is how many.
_EVENT = """unit stays? icu icustays? hadm adm admissions? encounters? enc encntr visits? episodes?
 events? exams? examinations? orders? notes? reports? lesions? images? imgs? img scans? slides?
 series instance study sop blocks? rows? lines? obs observations? entry entries items? eyes?
 famil(?:y|ies) fam pedigree household provider doctor physician caregiver site cent(?:er|re) ward
 device plate well array chip run batch pair match set cluster group row record document doc
 procedure test transfer discharge""".split()
_IDS = "ids?|pids?|uids?|guid|uuid|iid|identifiers?|identification|keys?|barcodes?|mrn|hash"
_COUNTED = "nos?|nrs?|nums?|numbers?|nummer|numero|num[eé]ro|codes?|refs?"
_PERSON = "patients?|pat|pt|subjects?|subj|participants?|persons?|samples?|specimens?|donors?|case"
_ANY = "|".join([*_CASE, *_EVENT])
NAMES = re.compile("|".join((
    # whole names
    "id|ids|uid|uuid|guid|iid|fid|eid|rid|pid|sid|oid|nid|vid|ptid|pt|patno|ptno|subjno|mrn|emrn|"
    "empi|csn|har|nhsno|ssn|seqn|seqno|sqn|usubj|subjid|usubjid|urn|nhi|upi|chi|"
    "barcodes?|accessions?|identifiers?|identification|idx|index|indices|"
    "patients?|subjects?|participants?|persons?|probands?|individuals?|records?|specimens?|"
    "samples?|case|cases|donors?|row ?names?|rows?|row ?(?:num|nr|no|number)|"
    "obs|observations?|unnamed(?: ?\\d+)*|level ?\\d+|no|nr|num|number|lfd ?nr|"
    "uhid|crn|nino|ipp|nip|pseudonym|ref|refs|srr|pmid|numero|codice .+|n dossier|"
    "hadm|(?:enc|pat|visit) (?:csn|har)|cpr|bsn|pesel|cpf|dni|curp|piz|folio|matricula|prontuario|"
    "expediente|cedula|historia clinica|identyfikator|pacjent|laufende nummer|"
    "(?:(?:patient|first|last|full|sur|fore|given|family) ?)?names?|initials|nachname|vorname|"
    "(?:study|trial) (?:subject|patient|participant)s?|"
    "zip|zip ?code|post ?code|postal code|phone|telephone|.+ accession|index level \\d+|"
    "serial|s ?no|sl ?no|sr ?no|sn|file ?names?|files?|urls?",
    # ... id, and id of something
    f"(?:.+ )?(?:{_IDS})(?: ?\\d{{0,2}})",
    f"(?:id|ids|uid|mrn)(?: (?:{_ANY}|of|de|du|der|no|nr|num|number|code))+",
    f"(?:{_ANY})+ ?(?:{_IDS})",
    f"(?:{_ANY}|visit) (?:sk|source value)|(?:.+ )?(?:{_IDS}) (?:{_COUNTED})",
    f"id(?:{_ANY})+",
    # patient number, case no, sample name
    f"(?:(?:{_ANY}) ?)*(?:{'|'.join(_CASE)}) ?(?:{_COUNTED})",
    f"(?:{_PERSON}) ?(?:index|idx|names?|labels?|n)",
    f"(?:{_COUNTED}|nro) ?(?:patient|subject|case|sample|dossier|historia|expediente)",
    f"(?:row|line|serial|sequence|seq|running|identity|identification|id) ?(?:{_COUNTED})",
)))  # fmt: skip
# These name a case, unless the numbers say otherwise: case 0 and 1, number of patients.
PLURAL = re.compile("(?:number|no|nr|num|n) of .*|.* count|.* counts")


def words(name: str) -> str:
    """A name in lower case, its words apart: ``patientID``, PATIENT_ID and ``Patient Id`` alike."""
    name = re.sub(r"#|№|n[°º]", " number ", name, flags=re.IGNORECASE)
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return " ".join(re.split(r"[^a-zA-Z0-9À-ÿ]+", name)).strip().lower()


def named(name: str) -> bool:
    """Whether a name is that of an identifier."""
    for told in {words(name), words(name.lower())}:
        if not PLURAL.fullmatch(told) and NAMES.fullmatch(told):
            return True
    return False


def counts_rows(values: np.ndarray) -> str:
    """How whole numbers of R rows, all different, follow the rows; "" if they do not.

    Args:
      values: (R,) finite numbers, in the order of the file.
    """
    rows = len(values)
    steps = np.diff(values)
    if rows > 2 and (steps == 1).all():
        return "numbers the rows"
    # Several rows a patient: 1, 1, 2, 2, 2, 3. A sorted measurement has more rows a value, or gaps.
    distinct = len(np.unique(values))
    if (rows >= LEAST and values[0] in (0, 1) and np.isin(steps, (0, 1)).all()
            and rows < 10 * distinct and distinct >= LEAST // 2):  # fmt: skip
        return "numbers blocks of rows"
    # Every float from 2^53 on is whole; names of up to 18 digits are still told from 1e30.
    if rows < LEAST or (values != np.round(values)).any() or np.abs(values).max() >= 1e18:
        return ""
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    if distinct == rows and values.max() - values.min() + 1 <= 1.05 * rows:
        return "numbers the rows, in another order"
    if distinct >= 0.99 * rows and abs(np.corrcoef(ranks, np.arange(rows))[0, 1]) > 0.98:
        return "rises from row to row"
    if distinct == rows >= 2 * LEAST and 1e5 <= np.abs(values).min():
        whole = np.abs(values).astype(np.int64)
        digits = np.unique_counts(np.char.str_len(whole.astype(str))).counts
        # Platelets and costs are rounded; of random numbers of 9 digits a tenth has 8 or fewer.
        if digits.max() >= 0.75 * rows and (whole % 10).any():
            return "has another number of as many digits in every row"
    return ""


def counts_in_groups(values: np.ndarray, group: np.ndarray) -> bool:
    """Whether whole numbers, all different, rise from row to row within each of some groups.

    Args:
      values: (R,) finite numbers, in the order of the file.
      group: (R,) ints.
    """
    if len(values) < LEAST or (values != np.round(values)).any():
        return False
    if len(np.unique(values)) < len(values):
        return False
    order = np.argsort(group, kind="stable")
    same = np.diff(group[order]) == 0
    # Groups of a few rows rise by chance.
    return bool(same.sum() >= LEAST // 2 and (np.diff(values[order])[same] > 0).all())
