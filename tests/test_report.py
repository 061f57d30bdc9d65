"""The report page: self-contained, escaped, the same bytes twice."""

import json
import re
import time
from html.parser import HTMLParser

import numpy as np
import pytest

from metajax import tables
from metajax.config import HOST_BASELINES
from metajax.learners import LEARNERS
from metajax.report import boards, facts, figures, provenance, report
from metajax.report.checklists import CLAIM, TRIPOD, Item, answer
from metajax.tables.figures import highlighted
from metajax.tables.layout import number, part
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
        if tag not in ("meta", "br", "link", "img", "input"):
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
    assert page.tags.count("script") == 2 and "link" not in page.tags  # data, and what reads them
    assert "fetch(" not in text and "http" not in re.sub(
        r"https?://(www.w3.org/2000/svg|archive.ics|doi.org|arxiv.org)", "", text.split("<main")[0]
    )
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
    ends = f"<i> [{number(got['low'])}, {number(got['high'])}]</i>"
    assert (
        f"<b>{number(got['mean'])}</b>{ends}" in text or f"<td>{number(got['mean'])}{ends}" in text
    )
    assert "diverged: 1 of 1" in text
    assert text.index("heart: AUROC") < text.index("heart: Brier")
    # ranks of all and of both, curves, calibration and decision of both, the empty scatter
    assert text.count("<svg") == 3 + 6 + 1
    assert "k = 16, natural draws" in text


def test_two_builds_are_byte_equal(suite):
    runs, table = suite
    assert report(table, runs, "t") == report(table, runs, "t")


def test_the_chosen_are_the_best_and_the_simple_opponents(suite):
    runs, table = suite
    grid = [g for g in tables.grids(table, runs, ["auroc"]) if g.benchmark != "heart"][0]
    assert highlighted(grid) == ["maml", "ridge", "anil", "lr_cv", "pooled_lr"]


def test_calibration_is_drawn_from_the_sums(tmp_path):
    for seed in (0, 1):
        home = make_run(tmp_path, seed=seed)
        sums = scores_of(home)["calibration"].copy()
        sums[1, 0, 3] = [3.5 + seed, 2.0 + 4 * seed, 10.0]  # k = 16, natural
        sums[1, 0, 4] = [2.0, 1.0, 4.0]  # too few rows together
        rewrite(home, calibration=sums)
    figure, caption = figures.calibration({"maml": tables.load_runs(tmp_path)})
    (line,) = [one for one in figure.axes[0].lines if one.get_label() == "maml"]
    points = np.stack(line.get_data(), axis=1)
    assert len(points) == 9 and "k = 16" in caption
    assert [8 / 20, 8 / 20] in points.round(6).tolist()  # (3.5 + 4.5, 2 + 6) of 20 rows


def test_decision_curves_by_hand_and_from_kept_predictions(tmp_path):
    rng = np.random.default_rng(0)
    home = make_run(tmp_path)
    s = scores_of(home)
    queries = np.full(len(s["task"]), 5, np.int32)
    outputs = rng.normal(size=(queries.sum(), 2)).astype(np.float16)
    labels = (rng.uniform(size=len(outputs)) < 0.3).astype(np.float32)
    np.savez(home / "predictions.npz", queries=queries, row=np.arange(len(outputs)),
             y=np.stack([1 - labels, labels], 1), outputs=outputs)  # fmt: skip
    rows = np.repeat((s["shots"] == 16) & (s["draw"] == 0), 5)
    logits = outputs[rows].astype(np.float64)
    p, y = np.exp(logits[:, 1]) / np.exp(logits).sum(1), labels[rows].astype(float)
    kept = np.zeros((10, 3))
    np.add.at(kept, np.floor(p * 10).astype(int), np.stack([p, y, np.ones(len(y))], 1))
    rewrite(home, calibration=np.broadcast_to(kept, (2, 2, 10, 3)))
    expected = {t: np.mean((p >= t) * (y - (1 - y) * t / (1 - t))) for t in np.arange(1, 10) / 10}
    seeds = {"maml": tables.load_runs(tmp_path)}
    for folder, thresholds in ((None, 9), (tmp_path, 99)):
        figure, caption = figures.decision(seeds, folder)
        (line,) = [one for one in figure.axes[0].lines if one.get_label() == "maml"]
        drawn = dict(zip(line.get_xdata().round(2).tolist(), line.get_ydata(), strict=True))
        assert len(drawn) == thresholds
        for t, value in expected.items():
            assert drawn[round(float(t), 2)] == pytest.approx(value, abs=1e-6)
    assert "hundredth" in caption
    (everyone,) = [one for one in figure.axes[0].lines if one.get_label() == "treat all"]
    assert everyone.get_ydata()[0] == pytest.approx(y.mean())


def test_weights_are_drawn_where_runs_have_them(tmp_path):
    home = make_run(tmp_path)
    assert figures.weights({"maml": tables.load_runs(tmp_path)}) == (None, "")
    counts = np.array([[1, 3, 0, 0], [0, 0, 1, 1]], np.float32)
    rewrite(home, weight_edges=np.linspace(0, 2, 5), weight_counts=counts)
    runs = tables.load_runs(tmp_path)
    figure, _ = figures.weights({"maml": runs})
    shares = [patch.get_data().values.tolist() for patch in figure.axes[0].patches]
    assert shares == [[0.25, 0.75, 0, 0], [0, 0, 0.5, 0.5]]
    assert "Sample weights" in report(tables.long_table(runs), runs, "t")


def test_scatter_holds_every_task_and_stays_small(suite, monkeypatch):
    runs, table = suite
    firsts = tables.grids(table, runs, ["auroc"])
    seeds = {}
    for (s, b, name), own in tables.groups(runs).items():
        seeds.setdefault((s, b), {})[name] = own
    text, left = boards.scatter_data(firsts, seeds)
    one = json.loads(text)[0]
    assert one["benchmark"] == "heart" and not left and "<" not in text
    assert "reptile" not in one["learners"] and len(one["tasks"]) == 3  # diverged
    found = tables.task_scores(seeds["disease", "heart"]["ridge"], "auroc", 16)
    at = one["learners"].index("ridge"), one["shots"].index(16)
    assert one["scores"][at[0]][at[1]] == pytest.approx(found.mean, abs=1e-4)
    monkeypatch.setattr(boards, "MOST_SCORES", 40)
    text, left = boards.scatter_data(firsts, seeds)
    assert [len(one["learners"]) for one in json.loads(text)] == [3, 3]
    assert left == "The 9 learners with the lowest scores are left out here."


def test_checklists_are_answered_from_records_and_open_where_they_cannot_be(suite):
    runs, table = suite
    told = facts.facts(runs, tables.grids(table, runs, ["auroc"]))
    item = {one.number: one for one in TRIPOD}
    assert answer(item["18a"], told) == ("open", "for the authors")  # funding
    assert answer(item["12e"], told)[0] == "filled"
    assert answer(Item("x", "", ("aim",)), told)[0] == "in part"
    # synthetic records name no data set: what only a card tells is open
    assert answer(item["8a"], told)[0] == "open" and answer(item["12a"], told)[0] == "open"
    assert len(TRIPOD) == 52 and len(CLAIM) == 42
    for one in (*TRIPOD, *CLAIM):
        assert set(one.facts) <= set(told) | {
            "data", "outcome", "tasks", "reading", "splits", "licences", "units", "sums",
            "encoders", "training", "software", "prevalence",
        }  # fmt: skip


def test_figures_end_where_the_page_would_grow_too_large(suite, monkeypatch):
    runs, table = suite
    monkeypatch.setattr("metajax.report.ROOM", 1)
    text = report(table, runs, "t")
    assert text.count("<svg") == 2 and text.count("Left out to keep the page small") == 8


@pytest.mark.long
def test_a_thousand_runs_take_seconds_and_two_megabytes(tmp_path):
    names = [*LEARNERS, *HOST_BASELINES][:20]
    for benchmark in range(10):
        for i, name in enumerate(names):
            for seed in range(1000 // len(names) // 10):
                make_run(tmp_path / "s", name, seed, benchmark=f"b{benchmark}", tasks=12,
                         episodes=96, shots=(4, 8, 16, 32), lift=0.01 * (i % 7))  # fmt: skip
    started = time.process_time()
    assert main(["s", f"--results={tmp_path}"]) == 0
    assert time.process_time() - started < 30
    assert (tmp_path / "s" / "report.html").stat().st_size < 2e6


def test_cards_of_the_data_stand_in_the_page(tmp_path):
    card = {"version": "1.0.0", "files": {"a.csv": "feed"}}
    make_run(tmp_path, environment={"commit": "c0ffee", "cards": {"heart_uci": card}})
    runs = tables.load_runs(tmp_path)
    text = report(tables.long_table(runs), runs, "t")
    assert "sha256 feed" in text and "leave one hospital out" in text and "CC BY 4.0" in text
    told = facts.facts(runs, tables.grids(tables.long_table(runs), runs, ["auroc"]))
    assert "commit c0ffee" in told["code"]
    assert answer(next(i for i in TRIPOD if i.number == "12a"), told)[0] == "filled"
    card["version"] = "0.9.0"
    make_run(tmp_path, "ridge", environment={"cards": {"heart_uci": card}})
    runs = tables.load_runs(tmp_path)
    assert "changed since" in provenance.cards(runs) and "units" not in facts.facts(runs, [])


def test_without_calibration_or_intervals_there_is_still_a_page(tmp_path):
    home = make_run(tmp_path, boot=False, shots=(8,))
    kept = {k: v for k, v in scores_of(home).items() if not k.startswith("calibration")}
    np.savez(home / "scores.npz", **kept)
    runs = tables.load_runs(tmp_path)
    text = report(tables.long_table(runs), runs, "t")
    assert text.count("<svg") == 1  # the curves alone
    assert "No intervals" in text and "Task by task" not in text
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
