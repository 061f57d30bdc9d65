"""A damaged record costs its own row: it is skipped and named, the rest is written, exit 1."""

import csv
import io
import re

import pandas as pd
import pytest

from metajax import recorded, tables
from scripts import report, runs, table
from tests.damaged import FILE, KINDS, NOT_IN_TABLES, copies, damage, keep_predictions
from tests.synthetic_runs import make_run

TABLES = [kind for kind, file in FILE.items() if file not in NOT_IN_TABLES]


def test_there_are_enough_kinds_of_damage():
    assert len(KINDS) >= 24 and len(TABLES) >= 24


def test_every_kind_is_damage_and_is_named(tmp_path):
    """Read one by one, each raises ValueError with the file's path, whatever it holds."""
    whole = make_run(tmp_path / "suite", "maml", episodes=9, shots=(8,))
    for kind, path in copies(whole, list(KINDS)).items():
        readers = {
            "config.json": recorded.read_config, "result.json": recorded.read_result,
            "environment.json": recorded.read_environment, "metrics.jsonl": recorded.read_rows,
            "scores.npz": lambda f: recorded.read_scores(f, recorded.read_result(f)),
            "predictions.npz": lambda f: recorded.read_predictions(f, 18),
        }  # fmt: skip
        with pytest.raises(ValueError, match="damaged record: ") as told:
            readers[path.name](path.parent)
        assert str(path) in str(told.value) and len(str(told.value)) < 600, kind
    assert not list(tmp_path.rglob("unpickled*"))


def test_the_whole_record_is_none_of_them(tmp_path):
    whole = make_run(tmp_path, "maml")
    result = recorded.read_result(whole)
    assert recorded.read_config(whole)["seed"] == 0 and recorded.read_rows(whole) == []
    assert recorded.read_environment(whole)["commit"] == "abc"
    assert set(recorded.read_scores(whole, result)) > {"task", "auroc"}
    damage("predictions.npz: no outputs", whole)
    damage("config.json: seed a text", whole)
    with pytest.raises(ValueError, match="seed must be an integer"):
        tables.load_runs(tmp_path)


def both(tmp_path):
    """Two suites: of the first every record is whole; the second has damaged ones besides."""
    made = {}
    for results in ("whole", "mixed"):
        folder = tmp_path / results / "suite"
        for learner in ("maml", "ridge"):
            made[results] = make_run(folder, learner, episodes=9, shots=(8,))
    return tmp_path / "whole" / "suite", tmp_path / "mixed" / "suite", made["mixed"]


def test_tables_and_report_are_those_of_the_whole_records(tmp_path, capsys):
    whole, mixed, record = both(tmp_path)
    assert table.main(["suite", f"--results={whole.parent}"]) == 0
    assert report.main(["suite", f"--results={whole.parent}"]) == 0
    bad = copies(record, TABLES)
    capsys.readouterr()
    for script in (table, report):
        assert script.main(["suite", f"--results={mixed.parent}"]) == 1
        said = capsys.readouterr()
        assert "2 runs: " in said.out
        lines = said.err.splitlines()
        assert len(lines) == len(TABLES)
        for kind, path in bad.items():
            assert sum(f"damaged record: {path}" in line for line in lines) == 1, kind
    names = sorted(p.name for p in mixed.iterdir())
    assert names == sorted(p.name for p in whole.iterdir()) and "report.html" in names
    for path in whole.glob("*.*"):
        assert path.read_bytes() == (mixed / path.name).read_bytes(), path.name
    assert not list(tmp_path.rglob("unpickled*"))


def test_a_suite_of_damaged_records_alone_keeps_its_table(tmp_path, capsys):
    home = make_run(tmp_path / "suite", "maml", episodes=9, shots=(8,))
    assert table.main(["suite", f"--results={tmp_path}"]) == 0
    before = (tmp_path / "suite" / "table.csv").read_bytes()
    path = damage("scores.npz: truncated", home)
    capsys.readouterr()
    assert table.main(["suite", f"--results={tmp_path}"]) == 2
    assert f"1 damaged, the first: damaged record: {path}" in capsys.readouterr().err
    assert (tmp_path / "suite" / "table.csv").read_bytes() == before


@pytest.mark.parametrize("kind", [k for k, file in FILE.items() if file == "predictions.npz"])
def test_damaged_predictions_cost_a_curve_and_are_named(tmp_path, capsys, kind):
    home = make_run(tmp_path / "suite", "maml", episodes=9, shots=(8,))
    assert report.main(["suite", f"--results={tmp_path}"]) == 0
    before = (tmp_path / "suite" / "report.html").read_bytes()
    path = damage(kind, home)
    capsys.readouterr()
    assert report.main(["suite", f"--results={tmp_path}"]) == 1
    assert f"damaged record: {path}" in capsys.readouterr().err
    assert (tmp_path / "suite" / "report.html").read_bytes() == before  # as without predictions


def test_whole_predictions_are_drawn(tmp_path, capsys):
    home = make_run(tmp_path / "suite", "maml", episodes=9, shots=(8,))
    keep_predictions(home / "predictions.npz", 18)
    assert report.main(["suite", f"--results={tmp_path}"]) == 0
    assert "at every hundredth." in (tmp_path / "suite" / "report.html").read_text()


def test_runs_py_lists_shows_and_exports_the_whole_ones(tmp_path, capsys):
    _, mixed, record = both(tmp_path)
    bad = copies(record, TABLES)
    results = f"--results={mixed.parent}"
    assert runs.main([results, "ls"]) == 1
    said = capsys.readouterr()
    listed = len(said.out.splitlines()) - 2
    assert said.out.endswith(f"\n{listed} runs, {len(said.err.splitlines())} damaged\n")
    of_two = {k: p for k, p in bad.items() if p.name in ("config.json", "result.json")}
    for kind, path in of_two.items():
        assert str(path) in said.err, kind
    assert listed == 2 + len(bad) - len(of_two)  # the other files are not looked at
    file = tmp_path / "all.csv"
    assert runs.main([results, "export", str(file)]) == 1
    said = capsys.readouterr()
    for kind, path in bad.items():
        assert str(path) in said.err, kind
    assert "2 runs, " in said.out and len(file.read_text().splitlines()) == 3
    good = next(p for p in mixed.glob("runs/*") if p.name == record.name)
    for kind, path in bad.items():
        for command in (["show", str(path.parent)], ["diff", str(good), str(path.parent)]):
            if kind.startswith("config.json: a") and not (path.parent / "config.json").is_file():
                continue  # no folder of a run
            assert runs.main([results, *command]) == 2, kind
            said = capsys.readouterr()
            assert str(path) in said.err and not said.out and len(said.err.splitlines()) == 1


def test_names_run_nothing_and_open_nothing(tmp_path, capsys):
    """Names of learners, benchmarks and tasks are a user's: in no file are they more than names."""
    names = ["<script>alert(1)</script>", "a|b`c", "[x](http://evil)", "=1+1", "\x1b[31mred",
             "*a\n# b"]  # fmt: skip
    make_run(tmp_path / "suite", "=cmd|'calc'!A0", benchmark="-2+3", names=names, tasks=6,
             episodes=18, shots=(8,))  # fmt: skip
    make_run(tmp_path / "suite", "[b]\\", benchmark="-2+3", names=names, tasks=6, episodes=18,
             shots=(8,))  # fmt: skip
    assert table.main(["suite", f"--results={tmp_path}"]) == 0
    page, tex, sheet, wide = ((tmp_path / "suite" / name).read_text() for name in
                              ("table.md", "table.tex", "table.csv", "summary.csv"))  # fmt: skip
    assert "<script" not in page and "\x1b" not in page + tex + sheet and "](http" not in page
    assert "\n# b" not in page and "&lt;script>" in page
    rows = [line for line in page.splitlines() if line.startswith("| ") and "A0" in line]
    heads = [line for line in page.splitlines() if line.startswith("| AUROC")]
    bars = re.compile(r"(?<!\\)(?:\\\\)*\|")
    assert len(bars.findall(rows[0])) == len(bars.findall(heads[0]))
    rows = [line for line in page.splitlines() if line.startswith("| [b]")]
    assert len(bars.findall(rows[0])) == len(bars.findall(heads[0]))
    for text in (sheet, wide):
        for cells in csv.reader(io.StringIO(text)):
            for cell in cells:
                if cell.strip()[:1] in tuple("=+-@"):
                    float(cell)
    assert "'=cmd" in sheet and "'-2+3" in sheet
    assert "{[}b]" in tex
    assert report.main(["suite", f"--results={tmp_path}"]) == 0
    html = (tmp_path / "suite" / "report.html").read_text()
    assert "<script>alert" not in html and "\x1b" not in html


def test_numbers_of_a_table_stay_numbers():
    frame = pd.DataFrame({"-k": [-0.5, 1e-9], "name": ["-0.5", "+x"], "n": [-3, 4]})
    text = tables.csv(frame)
    assert text == "'-k,name,n\n-0.5,-0.5,-3\n1e-09,'+x,4\n"
