"""The report in a real browser: Chromium runs its script, at the width of a desk and of a phone.

Skipped where there is no Chromium: `apt-get install chromium`, or name one in METAJAX_CHROMIUM.
"""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from metajax import tables
from metajax.report import report
from tests.synthetic_runs import make_run

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = os.environ.get("METAJAX_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
CSS = (Path(__file__).parent.parent / "metajax" / "report" / "page.css").read_text()
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium: apt-get install chromium, or set METAJAX_CHROMIUM"
)
# What a reader does, in a frame of the wanted width; what came of it is written into the page.
ACT = """
const out = {errors: []};
addEventListener("error", (e) => out.errors.push(e.message));
const inside = (width, act) => new Promise((done) => {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:900px;border:0`;
  frame.onload = () => { done(act(frame.contentWindow, frame.contentDocument)); };
  frame.srcdoc = document.getElementById("page").textContent;
  document.body.append(frame);
});
const visible = (node) => node.getClientRects().length > 0;
const desk = (w, d) => {
  w.addEventListener("error", (e) => out.errors.push(e.message));
  const $ = (id) => d.getElementById(id);
  const set = (id, value) => { $(id).value = value; $(id).dispatchEvent(new w.Event("input")); };
  const boards = () => [...d.querySelectorAll(".boardbox")].filter(visible);
  const column = (board, i) => [...board.querySelectorAll("tbody tr")].filter(visible)
    .map((row) => row.cells[i].textContent);
  const board = boards()[0];
  out.start = boards().map((b) => b.querySelector("h3").textContent);
  const button = board.querySelectorAll("thead button")[1];
  button.focus(); out.focus = d.activeElement === button;
  const order = () => button.parentNode.getAttribute("aria-sort");
  button.click(); out.down = column(board, 1); out.sort1 = order();
  button.click(); out.up = column(board, 1); out.sort2 = order();
  board.querySelectorAll("thead button")[0].click(); out.names = column(board, 0);
  out.sorted = board.querySelectorAll("[aria-sort]").length;
  const overview = d.querySelector(".allboards");
  set("learner", "MAM"); out.maml = column(board, 0); out.count = $("count").textContent;
  out.overall = column(overview, 0);
  set("learner", ""); set("kind", "host"); out.host = column(board, 0);
  set("kind", ""); set("metric", "brier"); out.brier = boards().map((b) => b.dataset.metric);
  set("metric", ""); set("benchmark", "liver");
  out.liver = boards().map((b) => b.dataset.benchmark); out.hidden = !visible(overview);
  out.figures = [...d.querySelectorAll("#curves [data-benchmark]")].filter(visible)
    .map((p) => p.dataset.benchmark);
  set("benchmark", "");
  out.circles = d.querySelectorAll("#scatter circle").length; out.said = $("s-said").textContent;
  set("s-benchmark", 1); set("s-x", 0); set("s-y", 2); set("s-shots", 0);
  out.said2 = $("s-said").textContent; out.rows = $("s-rows").rows.length;
  out.title = d.querySelector("#scatter circle title").textContent;
  const named = (n) => n.labels?.length || n.getAttribute("aria-label") || n.textContent.trim();
  const uses = "a,button,select,input,[tabindex],[role=img],[role=region]";
  out.nameless = [...d.querySelectorAll(uses)]
    .filter((n) => !named(n)).map((n) => n.outerHTML.slice(0, 80));
  out.unreachable = [...d.querySelectorAll("a,button,select,input,summary")]
    .filter((n) => n.tabIndex < 0).length;
  const all = () => [...d.querySelectorAll("details")];
  w.dispatchEvent(new w.Event("beforeprint")); out.open = all().every((n) => n.open);
  out.printed = boards().length; out.boards = d.querySelectorAll(".boardbox").length;
  w.dispatchEvent(new w.Event("afterprint")); out.after = boards().length;
  out.outside = w.performance.getEntriesByType("resource").map((r) => r.name);
  out.wide = d.documentElement.scrollWidth;
};
const phone = (w, d) => {
  d.querySelectorAll("details").forEach((n) => { n.open = true; });
  out.narrow = d.documentElement.scrollWidth;
  out.broad = [...d.querySelectorAll("main *")]
    .filter((n) => !n.closest(".scroll,svg") && n.getBoundingClientRect().right > 391)
    .map((n) => n.outerHTML.slice(0, 90)).slice(0, 5);
  out.cut = [...d.querySelectorAll(".board tbody th")].filter(visible)
    .filter((n) => n.scrollWidth > n.clientWidth).length;
  out.stuck = [...d.querySelectorAll("main *")].filter(visible)
    .filter((n) => !n.closest("svg") && n.scrollWidth > n.clientWidth + 1 && n.tabIndex < 0
      && w.getComputedStyle(n).overflowX === "auto")
    .map((n) => n.outerHTML.slice(0, 90));
  out.small = [...d.querySelectorAll("select,input")].filter((n) => n.offsetHeight < 24).length;
};
(async () => {
  await inside(1200, desk); await inside(390, phone);
  const result = document.createElement("pre");
  result.id = "result"; result.textContent = JSON.stringify(out); document.body.append(result);
})();
"""


@pytest.fixture(scope="module")
def acted(tmp_path_factory):
    """What the browser found."""
    folder = tmp_path_factory.mktemp("browser")
    learners = ("maml", "ridge", "lr_cv", "pooled_lr", "fomaml", "a <b> & $x$ of a long name" * 3)
    for benchmark in ("heart", "liver"):
        for i, name in enumerate(learners):
            make_run(folder, name, benchmark=benchmark, lift=-0.03 * i, tasks=12, episodes=48,
                     run_id=f"{benchmark}{i}")  # fmt: skip
    make_run(folder, "reptile", run_id="lost", status="diverged")
    runs = tables.load_runs(folder)
    page = report(tables.long_table(runs), runs, "A report")
    frame = f'<!DOCTYPE html><body><textarea id="page">{html.escape(page)}</textarea>'
    (folder / "act.html").write_text(f"{frame}<script>{ACT}</script>")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
               f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=20000",
               (folder / "act.html").as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


def numbers(cells):
    return [float(cell.split()[0]) for cell in cells if cell[0] in ".-0123456789"]


@needs_browser
def test_the_script_runs_without_errors_and_fetches_nothing(acted):
    assert acted["errors"] == []
    assert acted["outside"] == []
    assert acted["start"] == ["heart: AUROC", "liver: AUROC"]


@needs_browser
def test_boards_sort_by_their_buttons(acted):
    assert acted["focus"]
    down, up = numbers(acted["down"]), numbers(acted["up"])
    assert down == sorted(down, reverse=True) and up == sorted(up) and len(down) == 6
    assert acted["down"][-1] == acted["up"][-1] == "diverged: 1 of 1"  # what is no number is last
    assert (acted["sort1"], acted["sort2"], acted["sorted"]) == ("descending", "ascending", 1)
    assert len(acted["names"]) == 7
    assert [n[0] for n in acted["names"]] == ["a", "f", "l", "m", "p", "r", "r"]


@needs_browser
def test_boards_filter_by_name_kind_metric_and_benchmark(acted):
    assert sorted(acted["maml"]) == ["fomaml", "maml"]
    assert sorted(acted["overall"]) == ["fomaml", "maml"]
    assert acted["count"] == "6 of 20 rows" and acted["hidden"]
    assert sorted(acted["host"]) == ["lr_cv", "pooled_lr"]
    assert set(acted["brier"]) == {"brier"} and len(acted["brier"]) == 2
    assert acted["liver"] == ["liver"] and acted["figures"] == ["liver"]


@needs_browser
def test_the_scatter_compares_any_two_learners(acted):
    assert acted["circles"] == 12
    assert acted["said"].startswith("AUROC, k = 16: maml is better than ridge on 12 of 12 tasks")
    assert acted["said2"].startswith("AUROC, k = 8: lr_cv is better than maml on 0 of 12 tasks")
    assert "mean difference -0.06" in acted["said2"] and acted["rows"] == 12
    assert re.match(r"t\d+: maml 0\.\d+, lr_cv 0\.\d+", acted["title"])


@needs_browser
def test_the_page_can_be_used_by_keyboard_and_screen_reader(acted):
    assert acted["nameless"] == [] and acted["unreachable"] == 0
    assert acted["open"] and acted["printed"] == acted["boards"] > 2  # nothing is folded away
    assert acted["after"] == 2
    assert acted["stuck"] == []  # what scrolls can be reached


@needs_browser
def test_the_page_fits_a_desk_and_a_phone(acted):
    assert acted["wide"] <= 1200 and acted["narrow"] <= 390, acted["broad"]
    assert acted["small"] == 0
    assert acted["cut"] == 0  # long names are whole


def contrast(one, other):
    """The ratio of luminances, WCAG 2.2."""

    def luminance(colour):
        digits = colour.strip("#")
        digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    a, b = sorted((luminance(one), luminance(other)), reverse=True)
    return (a + 0.05) / (b + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_has_contrast_in_light_and_dark(scheme):
    block = re.findall(r":root\{([^}]*)\}", CSS)[scheme]
    colours = dict(re.findall(r"--(\w+):\s*(#\w+)", block))
    for ground in ("page", "tint"):
        for text in ("ink", "soft", "accent"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["ink"], colours["mark"]) >= 4.5
