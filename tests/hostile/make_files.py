"""Makes ``tables.jsonl`` and ``files/table_*``: tables that are easily read as something else.

    python tests/hostile/make_files.py

Every line reads one file and stops (``--dry-run``): it is refused with the remedy, or read with a
word about what was done. `test_own_tables.py` checks that the committed files are these.
"""

import gzip
import io
import json
import random
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
N = 40
SITE = [f"{'ABCD'[i % 4]}" for i in range(N)]
DEAD = [str(i // 4 % 2) for i in range(N)]
DRAW = random.Random(0)
AGE = [str(DRAW.randrange(30, 89)) for _ in range(N)]
NA = [f"{DRAW.randrange(1325, 1459) / 10}" for _ in range(N)]
GRADE = [str(DRAW.randrange(1, 4)) for _ in range(N)]
BASE = {"site": SITE, "dead": DEAD, "age": AGE, "na": NA}
ROLES = ("--label=dead", "--task=site", "--shots=4", "--dry-run=True")
FILES: dict[str, bytes] = {}
LINES: list[dict] = []


def csv(columns, separator=",", end="\n"):
    """A table of cells that need no quotes, or have theirs."""
    rows = [separator.join(columns), *map(separator.join, zip(*columns.values(), strict=True))]
    return end.join(rows) + end


def case(name, content, words, *, exit=2, arguments=(), absent=(), suffix=".csv", roles=ROLES):
    """One file and its line; columns are added to those of `BASE`."""
    if isinstance(content, dict):
        content = csv(BASE | content)
    if isinstance(content, str):
        content = content.encode()
    file = "table_" + "_".join("".join(c if c.isalnum() else " " for c in name).split())
    while file.lower() + suffix.lower() in {known.lower() for known in FILES}:
        file += "_"
    file += suffix
    if content is not None:
        FILES[file] = content
    words = [words] if isinstance(words, str) else list(words)
    line = {
        "name": name, "script": "experiments/own_data.py",
        "arguments": [f"--table={{files}}/{file}", *roles, *arguments],
        "exit": exit, "words": words, "absent": list(absent),
    }  # fmt: skip
    LINES.append(line if absent else {k: v for k, v in line.items() if k != "absent"})


def again(name, words, **options):
    """Another line of the last file."""
    last = LINES[-1]["arguments"][0]
    case(name, None, words, **options)
    LINES[-1]["arguments"][0] = last


def every(step, code, cells):
    """Cells of which every so-manieth is a code."""
    return [code if i % step == 3 else cell for i, cell in enumerate(cells)]


def identifiers():
    """Names of cases in any style."""
    numbers = [str(5000 + (i * 37) % 997) for i in range(N)]
    for name in ("PATIENT_ID", "Patientid", "subject#", "RECORD_ID", "Unnamed: 0", "index",
                 "stay id", "hadm_id", "patientunitstayid", "USUBJID", "Case No.", "MRN",
                 "studyNumber", "barcode", "accession", "SampleId", "pt_no", "#"):  # fmt: skip
        case(f"identifier {name}", {name: numbers}, (f"column '{name}'", "number of a case",
             "--drop", "--group"))  # fmt: skip
    few = [str(1 + i // 4) for i in range(N)]
    case("identifier of ten patients", {"subject_id": few}, ("'subject_id'", "number of a case"))
    again("identifier as group", "'subject_id' (10 of them)", exit=0, absent=["number of a case"],
          arguments=["--group=subject_id", "--shared=divide"])  # fmt: skip
    again("identifier kept on purpose", "subject_id: number; 1 to 10", exit=0,
          arguments=["--types", "subject_id=number"])  # fmt: skip
    again("identifier dropped", "subject_id: left out", exit=0, arguments=["--drop", "subject_id"])
    case("identifier of texts", {"donor_id": [f"D{i // 4}" for i in range(N)]},
         ("'donor_id'", "name of a case"))  # fmt: skip
    case("identifier without a name", {"x": [str(i * 3 + 100) for i in range(N)]},
         ("'x' rises from row to row", "--types 'x=number'"))  # fmt: skip
    case("row numbers in another order", {"x": [str((i * 7) % N) for i in range(N)]},
         "'x' numbers the rows, in another order")  # fmt: skip
    case("numbers of many digits", {"x": [str(200003 + i * i * 7919 % 700001) for i in range(N)]},
         "'x' has another number of as many digits in every row")  # fmt: skip
    case("texts that are all different", {"x": [f"n{i:02d}k" for i in range(N)]},
         ("'x' has 40 different texts", "--drop 'x'"))  # fmt: skip
    for name in ("number_of_lesions", "plt_count", "fluid", "acid", "case", "lipid"):
        cells = [str(i * i % (2 if name == "case" else 7)) for i in range(N)]
        case(f"harmless name {name}", {name: cells}, f"{name}: number", exit=0)
    twice = csv(BASE | {"pid": [str(i) for i in range(N)]}).splitlines()
    twice[20] = ",".join([*twice[12].split(",")[:4], "19"])
    twice[31] = ",".join([*twice[3].split(",")[:4], "30"])
    case("copies behind an identifier", "\n".join(twice) + "\n",
         ("2 rows are copies of another row", "another row group"),
         arguments=["--group=pid"])  # fmt: skip
    again("copies when the identifier is dropped", "2 rows are copies", arguments=["--drop=pid"])


def texts():
    """Quotes, lines, headers, encodings and containers."""
    good = csv(BASE | {"note": ["ok"] * N})
    lines = good.splitlines()

    def changed(**at):
        return "\n".join(at.get(f"r{i}", line) for i, line in enumerate(lines)) + "\n"

    row = lines[5].rpartition(",")[0]
    last = lines[13].rpartition(",")[0]
    case("two stray quotes", changed(r5=f'{row},"frail', r13=f'{last},"fall'), "lines 6 to 14")
    case("a stray quote that closes in its column", changed(r5=f'{row},"frail',
                                                                    r13=f'{last},fall"'),
         ("line 6 to line 14", "swallowed"))  # fmt: skip
    case("a quote that is never closed", changed(r5=f'{row},"frail'), "lines 6 to 41")
    case("a stray quote in the first column", changed(r5='"' + lines[5], r13=lines[13][:1] + '"'
                                                      + lines[13][1:]), "line 6 to line 14")
    case("a quote inside a line", changed(r5=f'{row},"frail" lady'), "line 6")
    case("a note of two lines", changed(r5=f'{row},"frail\nlady"'), ("note: category", "40 rows"),
         exit=0)  # fmt: skip
    case("a note with a comma and two lines", changed(r5=f'{row},"a, b,\nc, d"'), "40 rows", exit=0)
    case("an inch in a note", changed(r5=f'{row},5" scar'), '5" scar (1)', exit=0)
    case("a row too short", changed(r5="A,1,60"), ("line 6 has 3 cells", "header has 5"))
    case("a row too long", changed(r5=lines[5] + ",more"), ("line 6 has 6 cells",))
    case("the header twice", changed(r20=lines[0]), "row 20 (line 21) repeats the header")
    case("the header twice in capitals", changed(r20=lines[0].upper()), "repeats the header")
    case("comments above the header", "# exported by me\n# on a Monday\n" + csv(BASE),
         ("comments", "delete the 2"))  # fmt: skip
    case("one comment above the header", "# exported by me\n" + csv(BASE), "comment")
    case("a title above the header", "A trial,,,\n" + csv(BASE), "delete")
    case("a cbioportal header", "#Site\tDead\tAge\tNa\n#STRING\tNUMBER\tNUMBER\tNUMBER\n"
         + csv(BASE, "\t"), "its first lines are comments (#)", suffix=".tsv")  # fmt: skip
    case("a comment at the end", csv(BASE) + "# 40 rows\n", "line 42 has 1 cells")
    case("empty lines", csv(BASE).replace("\nA,1", "\n\nA,1", 2) + ",,,\n\n",
         "empty lines were left out", exit=0)  # fmt: skip
    case("sep for Excel", "sep=,\n" + csv(BASE), "sep=,")
    case("a BOM", "\ufeff" + csv(BASE), "BOM", exit=0)
    case("UTF-16", csv(BASE).encode("utf-16"), ("UTF-16", "UTF-8"))
    case("Latin-1", csv(BASE | {"t": ["größe"] * N}).encode("latin-1"), ("UTF-8", "line 2"))
    case("a zero byte", csv(BASE).replace("A", "A\0", 1), "zero byte in line 2")
    case("an Excel workbook named csv", b"PK\x03\x04" + bytes(60), "an Excel workbook")
    case("semicolons", csv(BASE, ";"), "separates its columns by ';'")
    case("tabs in a csv", csv(BASE, "\t"), "separates its columns by '\\t'")
    case("semicolons in a txt", csv(BASE, ";"), "';'", suffix=".txt")
    case("Windows line ends", csv(BASE, end="\r\n"), "40 rows", exit=0)
    case("old Mac line ends", csv(BASE, end="\r"), "40 rows", exit=0)
    case("tsv in capitals", csv(BASE, "\t"), "40 rows", exit=0, suffix=".TSV")
    case("csv in capitals", csv(BASE), "40 rows", exit=0, suffix=".CSV")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("patients.csv"), csv(BASE))
    case("a zip", packed.getvalue(), ("member patients.csv", "40 rows"), exit=0, suffix=".csv.zip")
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(zipfile.ZipInfo("codes.csv"), "a,b\n")
    case("a zip of two tables", packed.getvalue(), ("holds 2 files", "codes.csv"), suffix=".zip")
    case("gzip", gzip.compress(csv(BASE).encode(), mtime=0), "40 rows", exit=0, suffix=".csv.gz")
    case("gzip without its name", gzip.compress(csv(BASE).encode(), mtime=0), "should end in .gz")
    case("R row names", "\n".join([lines[0], *(f"{i},{one}" for i, one in enumerate(lines[1:], 1))])
         + "\n", "row names")  # fmt: skip
    case("a column without a name", csv({"": [str(i) for i in range(N)]} | BASE), "has no name")
    case("two columns of one name", csv(BASE | {" age": AGE}), "several columns named 'age'")


def codes():
    """What stands for a missing cell."""
    for code in (".", "None", "<NA>", "#N/A", "#NA", "NaN", "NULL", "nil", "-", "--", "missing",
                 "not available", "[Not Available]", "[Not Applicable]", "#DIV/0!",
                 "#VALUE!"):  # fmt: skip
        case(f"code {code} is missing", {"grade": every(5, code, GRADE)},
             f"grade: number; 1, 2, 3; 8 missing (20%: {code} 8)", exit=0)  # fmt: skip
    for code in (".", "None", "<NA>", "NA", "-"):
        case(f"label {code}", csv(BASE | {"dead": every(10, code, DEAD)}),
             ("label 'dead' is missing in rows 4, 14, 24, 34",), absent=["class None"])  # fmt: skip
    case("task without a name", csv(BASE | {"site": every(10, "#N/A", SITE)}),
         "'site' is missing in rows 4, 14, 24, 34")  # fmt: skip
    case("group without a name", {"pid": every(10, "NULL", [f"p{i // 8}" for i in range(N)])},
         "group 'pid' is missing in rows 4, 14, 24, 34", arguments=["--group=pid"])  # fmt: skip
    case("a label that is 9", csv(BASE | {"dead": every(10, "9", DEAD)}),
         ("label 'dead' is 9 in rows 4, 14, 24, 34", "missing cell?"))  # fmt: skip
    for code, cells in (("-999", NA), ("-9", GRADE), ("999", NA), ("99", GRADE), ("9999", AGE),
                        ("777", AGE), ("9", GRADE), ("-1", AGE), ("0", NA)):  # fmt: skip
        case(f"code {code} among numbers", {"x": every(5, code, cells)},
             (f"'x' is {code} in rows 4, 9", f"--missing 'x={code}'", "--types 'x=number'"))
    told = {"arguments": ["--missing", "x=0"], "exit": 0}
    again("code 0 told for a column", "8 missing (20%: 0 8)", **told)
    again("code 0 is measured", "x: number; 0 to 1", exit=0, arguments=["--types", "x=number"])
    again("a code that is nowhere", "no cell of column 'x' says so",
          arguments=["--missing", "x=-5"])  # fmt: skip
    again("a code of a column that is nowhere", "no column 'y'", arguments=["--missing", "y=-5"])
    case("a code for all columns", {"x": every(5, "-999.0", NA), "y": every(7, "-999", AGE)},
         ("x: number", "8 missing (20%: -999.0 8)", "missing (15%: -999 6)"), exit=0,
         arguments=["--missing", "-999"])  # fmt: skip
    case("None among capitals", {"s": every(4, "None", ["Mild", "Severe"] * 20)},
         ("says 'None'", "--missing 's=None'"))  # fmt: skip
    again("None is a level", "None (10)", exit=0, arguments=["--missing", "s="])
    case("none among small letters", {"s": every(4, "none", ["mild", "severe"] * 20)},
         "none (10)", exit=0)  # fmt: skip
    case("minus among signs", {"s": every(4, "-", ["+", "++"] * 20)}, ("says '-'", "missing cell?"))
    case("a column of codes only", {"s": ["NA", "."] * 20}, "'s' is empty")
    case("an infinite cell", {"s": every(10, "inf", NA)}, "infinite in rows 4, 14, 24, 34")


def shapes():
    """Numbers and moments that are written otherwise."""
    some = ["10", "15", "20", "25"] * 10
    for what, cells, words in (
        ("below a limit", every(10, "<5", some), ("'x' holds limits of detection", "'<5'")),
        ("above a limit", every(10, ">100", some), ("limits of detection", "rows 4, 14")),
        ("Not Stated", every(10, "Not Stated", some), ("'x' is a number in most rows",
                                                       "--missing 'x=Not Stated'")),
        ("percent", [f"{cell}%" for cell in some], "'x' holds percent signs"),
        ("decimal commas", [f'"{cell},5"' for cell in some], "'x' holds decimal commas"),
        ("thousands", ['"1,200"', '"3,400"', "800", "950"] * 10, "'x' holds"),
        ("dates", [f"2020-01-{1 + i % 12:02d}" for i in range(N)], "'x' holds dates"),
        ("dates of America", [f"{1 + i % 12}/15/2020" for i in range(N)], "'x' holds dates"),
        ("dates in words", [f"0{1 + i % 9}-Jan-2020" for i in range(N)], "'x' holds dates"),
        ("dates in digits", [f"202001{10 + i % 12}" for i in range(N)], "'x' holds dates"),
        ("times", [f"{10 + i % 12}:30" for i in range(N)], "'x' holds times"),
        ("units", [f"{cell} mg" for cell in some], "'x' holds units"),
        ("money", [f"${cell}" for cell in some], "'x' holds signs of currency"),
        ("leading zeros", ["00123", "00456", "01789", "22222"] * 10, "holds codes, no numbers"),
        ("case variants", ["M", "m", "F", "f"] * 10, "has both 'F' and 'f', 'M' and 'm'"),
        ("M and Male", ["M", "F", "Male", "F"] * 10, "has both 'M' and 'Male'"),
        ("blanks in levels", ["non smoker", "non-smoker", "smoker", "ex"] * 10, "has both"),
        ("unseen marks", ["a\u200bb", "ab", "c", "d"] * 10, "has both"),
        ("too large", every(10, "1e39", some), "infinite"),
        ("too small", every(10, "1e-60", some), "single precision"),
        ("a large constant", [str(1600000000 + i % 9) for i in range(N)], "single precision"),
    ):  # fmt: skip
        case(f"column of {what}", {"x": cells}, words)
    case("bands of size", {"x": ["<20", "20-50", ">50", "20-50"] * 10}, "x: category", exit=0)
    case("yes in two spellings", {"x": ["yes", "Yes", "no", "NO"] * 10}, "x: yes-no", exit=0)
    case("eleven whole labels", csv(BASE | {"dead": [str(i * 5 % 11) for i in range(N)]}),
         ("11 different whole numbers are taken as a quantity", "--kind classification"), exit=0)


def names():
    """Tasks and groups in numbers, and sites that code alike."""
    case("tasks 007 and 7", csv(BASE | {"site": ["007", "7", "8", "9"] * 10}), "both '007' and '7'")
    again("tasks 007 and 7 are two", "4 tasks", exit=0, arguments=["--types", "site=names"])
    long = [f"10000000000000000{d}" for d in "1234"]
    case("tasks of 18 digits", csv(BASE | {"site": long * 10}), ("4 tasks", long[3]), exit=0)
    case("tasks cut by a spreadsheet", csv(BASE | {"site": ["1.23457E+17", "2", "3", "4"] * 10}),
         "a spreadsheet has cut")  # fmt: skip
    both = ["7", "8", "9", "10", "7.0", "8.0", "9.0", "10.0"]
    case("tasks 7 and 7.0", csv(BASE | {"site": both * 5}), "4 tasks", exit=0)
    pid = [f"{i // 2}{'.0' if i % 2 else ''}" for i in range(N)]
    case("groups 7 and 7.0", {"pid": pid}, "'pid' (20 of them)", exit=0,
         arguments=["--group=pid", "--shared=divide"])  # fmt: skip
    said = [{"A": "survived", "B": "survived", "C": "alive", "D": "alive"}[s] if d == "0" else
            {"A": "died", "B": "died", "C": "dead", "D": "dead"}[s]
            for s, d in zip(SITE, DEAD, strict=True)]  # fmt: skip
    case("sites that code the label by other words", csv(BASE | {"dead": said}),
         ("coded differently", "died (5)", "alive (5)", "none in common"))  # fmt: skip
    again("sites of different classes on purpose", "40 rows", exit=0, arguments=["--coding=keep"])
    moved = [str(int(d) + (s in "CD")) for s, d in zip(SITE, DEAD, strict=True)]
    case("sites that code 0 1 and 1 2", csv(BASE | {"dead": moved}),
         ("coded differently", "1 in common"))  # fmt: skip
    case("a site of one class", csv(BASE | {"dead": ["0" if s == "A" else d for s, d in
                                                     zip(SITE, DEAD, strict=True)]}),
         ("0 = 0 (15 rows), 1 = 1 (15 rows)", "left out: 'A' has one class"), exit=0,
         arguments=["--unusable=skip"], absent=["25 rows"])  # fmt: skip


def leaks():
    """Features that tell the label."""
    three = ["none", "mild", "severe"] * 14
    three = [three[i // 4 % 3] for i in range(N)]
    dummy = {f"dx_{name}": [str(int(one == name)) for one in three] for name in set(three)}
    dummy = {name: dummy[name] for name in sorted(dummy)}
    case("dummies of the label", csv(BASE | {"dead": three} | dummy),
         ("tells the label", "--leaks keep"), arguments=["--unusable=skip"])  # fmt: skip
    again("dummies of the label kept", "dx_mild", exit=0,
          arguments=["--unusable=skip", "--leaks=keep"])  # fmt: skip
    case("one dummy of three classes", csv(BASE | {"dead": three, "x": dummy["dx_none"]}),
         ("'x' tells the label", "'none' only"), arguments=["--unusable=skip"])  # fmt: skip
    case("a threshold for one of three", csv(BASE | {"dead": three, "x": [
        str(i % 9 + (20 if one == "severe" else 0)) for i, one in enumerate(three)]}),
        ("'x' tells the label", "splits 'severe'"), arguments=["--unusable=skip"])  # fmt: skip
    gone = ["" if d == "1" else n for d, n in zip(DEAD, NA, strict=True)]
    case("missing for the dead", {"x": gone}, ("'x' tells the label", "missing"))
    died = [i for i in range(N) if DEAD[i] == "1"]
    cause = {f"cod_{k}": ["1" if i in died[k::4] else "0" for i in range(N)] for k in range(4)}
    case("causes of death", cause, ("tell the label", "cod_0", "cod_3"))
    case("the label in other words", {"x": ["home" if d == "0" else "morgue" for d in DEAD]},
         ("'x' tells the label", "--drop 'x'"))  # fmt: skip


def choices():
    """What a user says of columns."""
    text = "column,kind,missing,levels\n"
    for name, content, words, exit in (
        ("unknown column", text + "agee,number,,\n", "no column 'agee'", 2),
        ("unknown kind", text + "age,integer,,\n", ("no kind 'integer'", "yes-no"), 2),
        ("open kind", text + "age,?,,\n", "has no kind yet", 2),
        ("a column twice", text + "age,number,,\nage,drop,,\n", "a second time", 2),
        ("ordered without levels", text + "grade,ordered,,\n", "levels in order", 2),
        ("a level too few", text + "grade,category,,1|2\n", "none of the levels", 2),
        ("ordered", text + "grade,ordered,,3|2|1\n", "3 < 2 < 1", 0),
        ("missing", text + "grade,number,3,\n", "missing (", 0),
        ("dropped", text + "grade,drop,,\n", "grade: left out", 0),
        ("task of another name", text + "grade,task,,\n", "--task is 'site'", 2),
        ("other header", "name,type\nage,number\n", "it needs column, kind", 2),
    ):
        file = f"table_types_{name.replace(' ', '_')}.types.csv"
        FILES[file] = content.encode()
        case(f"types {name}", None, words, exit=exit,
             arguments=["--types", f"{{files}}/{file}"])  # fmt: skip
        LINES[-1]["arguments"][0] = "--table={files}/table_grade.csv"
    FILES["table_grade.csv"] = csv(BASE | {"grade": GRADE}).encode()
    for name, arguments, words in (
        ("types of a file that is not there", ["--types", "no.csv"], "no such file"),
        ("types inline of an unknown kind", ["--types", "age=float"], "no kind 'float'"),
        ("types of the task", ["--types", "site=number"], "it is the task"),
        ("types of images", ["--types", "age=number"], "got --table and --images"),
        ("methods that do not apply", ["--methods", "ridge_cv"], "ridge_cv"),
    ):
        case(name, None, words, arguments=arguments)
        LINES[-1]["arguments"][0] = "--table={files}/table_grade.csv"
    LINES[-2]["arguments"].append("--images={files}/table_grade.csv")


def made():
    """All files by name, and the lines."""
    FILES.clear()
    LINES.clear()
    for part in (identifiers, texts, codes, shapes, names, leaks, choices):
        part()
    lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in LINES)
    return dict(FILES), lines


if __name__ == "__main__":
    files, lines = made()
    (HERE / "files").mkdir(exist_ok=True)
    for old in (HERE / "files").glob("table_*"):
        old.unlink()
    for name, content in files.items():
        (HERE / "files" / name).write_bytes(content)
    (HERE / "tables.jsonl").write_text(lines)
