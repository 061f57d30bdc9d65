"""Tables for papers: ties, ranks over benchmarks, LaTeX, published numbers, figures."""

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest

from metajax import report, statistics, tables
from metajax.tables.figures import MOST, highlighted, learning_curves, ranks_figure, svg
from metajax.tables.grids import Ranks, rank
from metajax.tables.latex import WIDEST, escaped
from metajax.tables.markdown import tests as told
from metajax.tables.published import COLUMNS, lines, read
from scripts.table import main
from tests.synthetic_runs import make_run, rewrite, scores_of
from tests.test_tables import by_hand

ROOT = Path(__file__).parent.parent
EVIL = r"a_b & 50% of $x$ {\n} #1 ~ ^ <b>"


def made(folder, metrics=("auroc", "brier")):
    runs = tables.load_runs(folder)
    return tables.grids(tables.long_table(runs), runs, metrics)


@pytest.mark.parametrize("tasks", [3, 12])
def test_ties_are_bold_where_the_paired_interval_holds_zero(tmp_path, tasks):
    for name, lift in (("maml", 0.03), ("ridge", 0.0299), ("lr_cv", 0.0)):
        make_run(tmp_path, name, tasks=tasks, episodes=96, lift=lift)
    make_run(tmp_path, "anil", tasks=tasks, episodes=96, lift=0.028, digest="other")
    grid, brier = made(tmp_path)
    for k in (8, 16):
        # anil saw other episodes: no paired interval, hence no tie
        assert {name for name, shots in grid.bold if shots == k} == {"maml", "ridge"}
    assert {name for name, _ in brier.bold} == {"lr_cv"}  # the smaller the better


def test_a_learner_without_replicates_is_no_tie(tmp_path):
    make_run(tmp_path, "maml", lift=0.001)
    make_run(tmp_path, "ridge", boot=False)
    grid = made(tmp_path)[0]
    assert {name for name, _ in grid.bold} == {"maml"}


def test_ranks_over_benchmarks_count_every_cluster_once(tmp_path):
    settings = (("heart", 12, (8,)), ("liver", 2, (4, 8, 16, 32)))
    for benchmark, tasks, shots in settings:
        for i, name in enumerate(("maml", "ridge", "lr_cv")):
            lift = 0.3 * i if benchmark == "heart" else -0.3 * i  # the order turns round
            make_run(tmp_path, name, benchmark=benchmark, tasks=tasks, episodes=8 * tasks,
                     shots=shots, lift=lift)  # fmt: skip
    make_run(tmp_path, "anil", benchmark="heart", tasks=12, episodes=96, shots=(8,))
    found = tables.overall(made(tmp_path))
    assert found.blocks == 14 and "anil" not in found.mean
    assert found.mean == pytest.approx({
        "lr_cv": (12 * 1 + 2 * 3) / 14, "ridge": 2.0, "maml": (12 * 3 + 2 * 1) / 14
    })  # fmt: skip
    assert found.difference == pytest.approx(statistics.nemenyi_difference(3, 14))
    assert found.friedman < 0.05
    page = tables.markdown(tables.long_table(runs := tables.load_runs(tmp_path)), runs)
    wide = page.split("## All benchmarks")[1].split("\n\n")[1].splitlines()
    assert wide[0].startswith("| learner | heart, AUROC, k = 8 | liver, AUROC, k = 4 |")
    assert wide[-1].startswith("| anil |") and wide[-1].endswith("|  |  |  |  | – |")
    assert "Friedman p = " in page and "over 14 clusters" in page


def test_below_ten_clusters_ranks_are_not_tested():
    columns = {name: np.arange(9.0)[None] + i for i, name in enumerate("abc")}
    assert rank([columns], False)[3:] == (None, None)
    columns = {name: np.arange(10.0)[None] + i for i, name in enumerate("abc")}
    assert rank([columns], False).friedman < 0.01
    assert rank([{}], False) == Ranks({}, 0, 0, None, None)


def test_clusters_undefined_at_one_number_of_shots_are_ranked_but_not_tested():
    columns = {name: np.tile(np.arange(14.0), (2, 1)) + i for i, name in enumerate("abc")}
    for values in columns.values():
        values[1, :2] = np.nan
    found = rank([columns], False)
    assert (found.blocks, found.tested) == (14, 12)
    assert found.difference == pytest.approx(statistics.nemenyi_difference(3, 12))
    assert "over 12 clusters" in told(found)
    for values in columns.values():
        values[1, :5] = np.nan
    assert "fewer than 10 clusters" in told(rank([columns], False))


def test_what_diverged_on_one_benchmark_is_last_there_and_ranked_over_all(tmp_path):
    for benchmark in ("heart", "liver"):
        for i, name in enumerate(("maml", "ridge", "anil")):
            lost = name == "anil" and benchmark == "liver"
            make_run(tmp_path, name, benchmark=benchmark, tasks=12, episodes=96, lift=0.3 * i,
                     status="diverged" if lost else "complete")  # fmt: skip
    found = tables.overall(made(tmp_path))
    # anil is the best of three on heart, the last of three on liver
    assert found.mean == pytest.approx({"anil": 2.0, "ridge": 1.5, "maml": 2.5})
    assert found.blocks == 24
    text = tables.latex(made(tmp_path))
    assert re.search(r"^anil & .* & 2\.0 \\\\$", text, re.M), text


def test_latex_is_escaped_whole_and_split(tmp_path):
    for benchmark in ("one_a", "two", "three", "four"):
        for name, lift in ((EVIL, 0.0), ("maml", 0.4)):
            make_run(tmp_path, name, benchmark=benchmark, shots=(1, 2, 4, 8), lift=lift)
    text = tables.latex(made(tmp_path))
    assert escaped(EVIL) in text and EVIL not in text
    assert r"\multicolumn{4}{c}{one\_a}" in text and r"\cmidrule(lr){2-5}" in text
    for left, right in ((r"\begin{table*}", r"\end{table*}"), (r"\toprule", r"\bottomrule")):
        assert text.count(left) == text.count(right) == 4  # two metrics, two parts each
    plain = re.sub(r"\\.", "", text)
    assert plain.count("{") == plain.count("}") and "_" not in re.sub(r"\\_", "", text)
    for block in text.split(r"\begin{tabular}")[1:]:
        width = len(re.match(r"\{(l?c+)\}", block)[1])
        rows = block.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
        assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in rows} == {width}
        assert width <= WIDEST + 2 + 4
    assert r"\textbf{" in text and "average rank" not in text


def test_the_wide_csv_holds_the_numbers_of_the_long_one(tmp_path):
    for benchmark in ("heart", "liver"):
        make_run(tmp_path, "maml", benchmark=benchmark)
    make_run(tmp_path, "ridge", benchmark="liver", lift=-0.2)
    runs = tables.load_runs(tmp_path)
    table = tables.long_table(runs)
    text = tables.summary(tables.grids(table, runs, ["auroc", "brier"]))
    (tmp_path / "s.csv").write_text(text)
    wide = pd.read_csv(tmp_path / "s.csv").set_index(["metric", "learner"])
    for one in table[table.metric.isin(["auroc", "brier"])].to_dict("records"):
        if "/" not in one["benchmark"]:
            got = wide.loc[(one["metric"], one["learner"])]
            for end in ("mean", "low", "high"):
                name = f"{one['benchmark']} k={one['shots']} {end}"
                assert got[name] == pytest.approx(one[end], rel=1e-5)
    assert np.isnan(wide.loc[("auroc", "ridge"), "heart k=8 mean"])
    assert wide.loc[("auroc", "maml"), "liver k=8 bold"] == 1


def test_published_numbers_stand_beside_ours(tmp_path):
    home = make_run(tmp_path / "s", "maml")
    mean = by_hand(home, "auprc", 8, 1).mean() - by_hand(home, "prevalence", 8, 1).mean()
    rows = [("disease", "heart", "MAML", "maml", 8, "auprc_gain", round(mean, 3), "a, table 1", ""),
            ("disease", "heart", "MAML", "maml", 16, "auroc", 0.123, "a, table 1", ""),
            ("disease", "heart", "GNN", "maml", 8, "auroc", 0.123, "b", "another network"),
            ("disease", "heart", "CNP", "", 8, "auroc", 0.9, "b", ""),
            ("disease", "kidney", "CNP", "", 8, "auroc", 0.9, "b", "")]  # fmt: skip
    pd.DataFrame(rows, columns=COLUMNS).to_csv(tmp_path / "published.csv", index=False)
    runs = tables.load_runs(tmp_path / "s")
    found = lines(read(tmp_path / "published.csv"), runs)
    assert [line.within for line in found] == ["yes", "no", "another protocol or model", ""]
    assert found[0].mean == pytest.approx(mean, abs=1e-6)
    page = tables.write(tmp_path / "s", runs)
    assert "| AUPRC minus prevalence | MAML | 8 | +" in page
    assert "| AUROC | CNP | 8 | .900 | b | not reproduced |  |" in page
    tex = (tmp_path / "s" / "table.tex").read_text()
    assert "not reproduced" in tex and "kidney" not in tex
    pd.DataFrame(rows, columns=COLUMNS).drop(columns="source").to_csv(tmp_path / "published.csv")
    with pytest.raises(ValueError, match="lacks the column source"):
        tables.write(tmp_path / "s", runs)


def test_the_shipped_published_numbers_can_be_read():
    frame = read(ROOT / "results" / "published.csv")
    assert not frame.duplicated(["suite", "benchmark", "method", "shots", "metric"]).any()
    assert (frame.source != "").all()
    fsmol = frame[(frame.benchmark == "fsmol_published") & (frame.method == "ADKF-IFT")]
    assert fsmol.set_index("shots").published.to_dict() == {16: 0.231, 32: 0.263, 64: 0.287}


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    for i, name in enumerate(("maml", "lr_c0.01", f"ridge {EVIL}", "pooled_lr")):
        make_run(folder, name, tasks=12, episodes=48, lift=-0.05 * i, run_id=str(i))
    return made(folder)


def test_figures_are_the_same_bytes_and_whole_files(many):
    first, second = tables.suite_figures(many), tables.suite_figures(many)
    assert first == second and set(first) == {"learning_curves.svg", "critical_difference.svg"}
    for text in first.values():
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg" and root.get("viewBox")
        told = "".join(root.itertext())
        assert "lr_c0.01" in told  # numbers in names are not rounded away
        ids = re.findall(r'\bid="([^"]*)"', text)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', text)) <= set(ids)
        assert "currentColor" in text and "#010203" not in text and "dc:date" not in text


def test_learning_curves_draw_the_numbers(many):
    grid = many[0]
    (axes,) = learning_curves([grid]).axes
    assert highlighted(grid)[0] == "maml"
    line = next(one for one in axes.lines if one.get_color() == "#2f7fc1")
    expected = [grid.cells["maml", k]["mean"] for k in grid.shots]
    np.testing.assert_allclose(line.get_ydata(), expected)


def test_bars_of_the_rank_diagram_join_what_is_not_told_apart():
    mean = {"a": 1.0, "b": 1.5, "c": 3.0, "d": 4.5}
    (axes,) = ranks_figure([("", Ranks(mean, 12, 12, 0.01, 1.6))]).axes
    bars = [line.get_xdata().tolist() for line in axes.lines if line.get_linewidth() == 3.5]
    assert bars == [[1.0, 1.5], [1.5, 3.0], [3.0, 4.5]]
    assert "critical difference 1.60" in {text.get_text() for text in axes.texts}
    (axes,) = ranks_figure([("", Ranks(mean, 3, 3, None, None))]).axes
    assert not [line for line in axes.lines if line.get_linewidth() == 3.5]
    assert ranks_figure([("", Ranks({}, 0, 0, None, None))]) is None
    many = {str(i): i for i in range(500)}
    (axes,) = ranks_figure([("", Ranks(many, 3, 3, None, None))]).axes
    assert sum("  " in text.get_text() for text in axes.texts) == MOST
    # However many groups there are, none is left out.
    crowd = {f"{i:02d}": 1.0 + i for i in range(30)}
    (axes,) = ranks_figure([("", Ranks(crowd, 90, 90, 0.01, 5.5))]).axes
    bars = [line.get_xdata().tolist() for line in axes.lines if line.get_linewidth() == 3.5]
    assert bars == [[1.0 + i, 6.0 + i] for i in range(25)]
    assert "$" in svg(ranks_figure([("$a$", Ranks(mean, 3, 3, None, None))]), "f", "x")


def committed():
    """Suites with a table that `tables.write` made, and committed records."""
    pages = (ROOT / "results").glob("*/table.tex")
    return [page.parent.name for page in sorted(pages) if (page.parent / "runs").is_dir()]


def reported():
    """Suites with a committed report; a report of one's own may be drawn from predictions."""
    names = sorted(page.parent.name for page in (ROOT / "results").glob("*/report.html"))
    return [n for n in names if n not in ("quickstart", "own_data") and not n.startswith("smoke")]


@pytest.mark.parametrize("suite", committed())
def test_committed_tables_regenerate_byte_for_byte(suite, tmp_path):
    folder = ROOT / "results" / suite
    shutil.copytree(folder.parent / "headroom", tmp_path / "headroom")
    shutil.copy(folder.parent / "published.csv", tmp_path)
    (copy := tmp_path / suite).mkdir()
    tables.write(copy, tables.load_runs(folder))
    for name in tables.FILES:
        old = (folder / name).read_bytes()
        # matplotlib places text by its own fonts: another release may move a label.
        if name.endswith(".svg") and f"matplotlib {matplotlib.__version__} ".encode() not in old:
            continue
        assert (copy / name).read_bytes() == old, f"{name}: run scripts/table.py {suite}"


@pytest.mark.parametrize("suite", reported())
def test_committed_reports_regenerate_byte_for_byte(suite, tmp_path):
    """From what is committed: predictions, from which finer curves are drawn, are not."""
    folder = ROOT / "results" / suite
    old = (folder / "report.html").read_text()
    if f"matplotlib {matplotlib.__version__} " not in old:
        pytest.skip("made with another release of matplotlib, which places labels elsewhere")
    shutil.copy(folder.parent / "published.csv", tmp_path)
    shutil.copytree(folder, tmp_path / suite, ignore=shutil.ignore_patterns("predictions.npz"))
    report.write(tmp_path / suite, tables.load_runs(tmp_path / suite))
    assert (tmp_path / suite / "report.html").read_text() == old, f"run scripts/report.py {suite}"


@pytest.mark.parametrize("suite", ["sinusoid", "sample_reweighting", "omniglot", "fsmol"])
def test_tables_of_scripts_with_their_own_regenerate_byte_for_byte(suite, tmp_path):
    folder = ROOT / "results" / suite
    shutil.copytree(folder, tmp_path / suite, ignore=shutil.ignore_patterns("table.*"))
    assert main([suite, f"--results={tmp_path}"]) == 0
    for name in ("table.md", "table.csv"):
        assert (tmp_path / suite / name).read_bytes() == (folder / name).read_bytes()


def test_scores_with_undefined_tasks_are_tied_on_what_is_defined(tmp_path):
    for name in ("maml", "ridge"):
        home = make_run(tmp_path, name)
        s = scores_of(home)
        rewrite(home, auroc=np.where(s["task"] == 0, np.nan, s["auroc"]).astype(np.float32))
    assert {name for name, _ in made(tmp_path)[0].bold} == {"maml", "ridge"}
