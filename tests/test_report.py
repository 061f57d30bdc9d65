"""The report page: self-contained, escaped, the same bytes twice."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from metajax import tables
from metajax.report import highlighted, report
from metajax.tables.layout import number, order, part
from scripts.report import main
from tests.synthetic_runs import make_run, rewrite, scores_of

EVIL = '<b>x</b>"&$\\frac$'


class Page(HTMLParser):
    """Collects tags, ids and text, and checks that what opens also closes."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.stack, self.text, self.links = [], [], [], [], []
        self.feed(text)
        assert not self.stack

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            self.ids += [value] * (name == "id")
            self.links += [value] * (name in ("src", "href", "xlink:href"))
        if tag not in ("meta", "br", "link", "img"):
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.stack.pop()

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    learners = ("maml", "ridge", "anil", "lr_cv", "lr_c1", "pooled_lr", "scratch")
    for benchmark in ("heart", f"liver {EVIL}"):
        for i, name in enumerate(learners):
            run_id = f"{len(benchmark)}{i}"
            make_run(folder, name, benchmark=benchmark, lift=-0.01 * i, run_id=run_id)
    make_run(folder, EVIL, run_id="evil", names=[EVIL] * 3, environment={"command": EVIL})
    make_run(folder, "reptile", run_id="lost", status="diverged")
    runs = tables.load_runs(folder)
    return runs, tables.long_table(runs)


def test_page_is_whole_escaped_and_fetches_nothing(suite):
    runs, table = suite
    text = report(table, runs, f"A title {EVIL}")
    page = Page(text)
    assert "b" in page.tags  # the best mean
    assert EVIL not in text and "<b>x</b>" not in text
    joined = "".join(page.text)
    assert f"A title {EVIL}" in joined and joined.count(EVIL) >= 5
    assert len(page.ids) == len(set(page.ids)) > 50
    assert "script" not in page.tags and "link" not in page.tags
    # links stay within the page, and lead somewhere
    assert page.links and all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(page.ids)
    assert "@import" not in text and not re.search(r"url\((?!#)", text)
    assert "prefers-color-scheme" in text and 'name="viewport"' in text
    assert "currentColor" in text and "#010203" not in text


def test_page_shows_the_numbers_of_the_table(suite):
    runs, table = suite
    text = report(table, runs, "t")
    got = part(table, "disease", "heart").query("learner == 'maml' and metric == 'auroc'").iloc[0]
    ends = f"[{number(got['low'])}, {number(got['high'])}]"
    assert f'{number(got["mean"])}</b><span class="i"> {ends}</span>' in text or (
        f'{number(got["mean"])}<span class="i"> {ends}</span>' in text
    )
    assert "diverged: 1 of 1" in text
    assert text.index(">AUROC<") < text.index(">Brier<")
    assert text.count("<svg") == 4  # curves and calibration of both benchmarks
    assert "k = 16, natural draws" in text


def test_two_builds_are_byte_equal(suite):
    runs, table = suite
    assert report(table, runs, "t") == report(table, runs, "t")


def test_the_chosen_are_the_best_and_the_simple_opponents(suite):
    _, table = suite
    rows = part(table, "disease", f"liver {EVIL}")
    learners = order(rows, "auroc")
    assert highlighted(rows, learners, "auroc") == ["maml", "ridge", "anil", "lr_cv", "pooled_lr"]


def test_calibration_is_drawn_from_the_sums(tmp_path):
    from metajax.report import _calibration

    for seed in (0, 1):
        home = make_run(tmp_path, seed=seed)
        sums = scores_of(home)["calibration"].copy()
        sums[1, 0, 3] = [3.5 + seed, 2.0 + 4 * seed, 10.0]  # k = 16, natural
        sums[1, 0, 4] = [2.0, 1.0, 4.0]  # too few rows together
        rewrite(home, calibration=sums)
    figure, caption = _calibration(tables.load_runs(tmp_path), ["maml"])
    (line,) = [one for one in figure.axes[0].lines if one.get_label() == "maml"]
    points = np.stack(line.get_data(), axis=1)
    assert len(points) == 9 and "k = 16" in caption
    assert [8 / 20, 8 / 20] in points.round(6).tolist()  # (3.5 + 4.5, 2 + 6) of 20 rows


def test_without_calibration_or_intervals_there_is_still_a_page(tmp_path):
    home = make_run(tmp_path, boot=False, shots=(8,))
    kept = {k: v for k, v in scores_of(home).items() if not k.startswith("calibration")}
    np.savez(home / "scores.npz", **kept)
    runs = tables.load_runs(tmp_path)
    text = report(tables.long_table(runs), runs, "t")
    assert text.count("<svg") == 1
    assert "No intervals" in text
    Page(text)


def test_the_script(tmp_path, capsys):
    make_run(tmp_path / "s")

    def call(*args):
        try:
            return main([*args, f"--results={tmp_path}"])
        except SystemExit as stop:
            return stop.code

    assert call("s") == 0
    assert "MetaJAX: s" in (tmp_path / "s" / "report.html").read_text()
    for bad in (call("nothing"), call("s", "--titel=x"), call()):
        assert bad == 2
    assert "no finished runs" in capsys.readouterr().err
