"""The site builds, its pages are complete, its links lead somewhere and its examples run."""

import importlib.util
import inspect
import os
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import jax
import pytest
import test_learners as battery

from metajax import commands
from metajax.hyper import HYPER, defaults
from metajax.learners import LEARNERS, METHODS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
WRITTEN = [page for page in PAGES if page.parent.name != "families"]


def blocks(page, language="python"):
    """The code blocks of a page."""
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def script(name, folder=ROOT / "scripts"):
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_methods_is_that_of_the_learners(monkeypatch, tmp_path):
    methods = script("methods")
    own = {name: METHODS[name] for name in committed()}
    monkeypatch.setattr(methods, "METHODS", own)
    used = {argument for name in own for argument in defaults(name)}
    monkeypatch.setattr(methods, "HYPER", {k: v for k, v in HYPER.items() if v in used})
    assert methods.PAGE.read_text() == methods.render(), "run scripts/methods.py"
    monkeypatch.setattr(sys, "argv", ["methods.py", "--check"])
    assert methods.main() == 0
    monkeypatch.setattr(methods, "PAGE", tmp_path / "README.md")
    assert methods.main() == 1
    methods.PAGE.write_text("stale")
    assert methods.main() == 1


def committed():
    """The learners of the repository; a user's own need no page and no line in a table."""
    git = ["git", "ls-files", "metajax/learners"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True).stdout.split()
    files = {one: inspect.getfile(method.build) for one, method in METHODS.items()}
    return [one for one in METHODS if not listed or files[one].endswith(tuple(listed))]


@pytest.mark.parametrize("name", committed())
def test_every_learner_has_a_page_with_its_hyper_parameters(name):
    page = DOCS / "methods" / f"{name}.md"
    assert page.exists(), f"write {page.relative_to(ROOT)}"
    assert not [one for one in defaults(name) if f"`{one}`" not in page.read_text()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_links_lead_to_files(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    files = [link.partition("#")[0] for link in links if not re.match(r"https?:|mailto:|#", link)]
    assert not [link for link in files if not (page.parent / link).exists()]


def test_every_committed_result_has_its_command():
    git = ["git", "ls-files", "results"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True).stdout.split()
    if not listed:
        pytest.skip("not a checkout")
    told = re.findall(r"`(results/[^`]+)`", (DOCS / "reproducing.md").read_text())
    for path in listed:
        folder, stem = "/".join(path.split("/")[:2]), path.rpartition(".")[0]
        known = [one for one in told if one in (folder, path) or fnmatch(stem, one)]
        assert known, f"docs/reproducing.md does not say how {path} is made"


def test_the_site_builds_without_a_warning(tmp_path):
    for package in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(package)
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    built = subprocess.run(
        [*build, "-d", tmp_path / "trees", DOCS, tmp_path / "site"], cwd=ROOT,
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert "1703.03400" in (tmp_path / "site" / "methods" / "maml.html").read_text()
    # What lies outside docs is offered for download.
    card = (tmp_path / "site" / "families" / "README.html").read_text()
    assert re.search(r"_downloads/\w+/headroom.md", card)


# Commands ------------------------------------------------------------------------------------


def commands_of(page):
    """The Python commands of a page, as lists of words."""
    found = []
    for language, text in re.findall(r"^```(.*?)\n(.*?)^```", page.read_text(), re.M | re.S):
        if language in ("", "bash", "sh"):
            lines = text.replace("\\\n", " ").splitlines()
            found += [shlex.split(one, comments=True)[1:] for one in lines if one[:7] == "python "]
    return found


COMMANDS = [words for page in PAGES for words in commands_of(page)]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands_are_possible(words, monkeypatch):
    """Scripts and flags exist; of the suites, what is asked for is resolved to runs."""
    path, arguments = ROOT / words[0], words[1:]
    if path.stem == "few_patients" or any("shrunk_means" in word for word in arguments):
        return  # their pages' own tests
    source = path.read_text()
    if "commands.main(" in source and "--help" not in arguments:
        monkeypatch.setattr(sys, "argv", words)
        suite = script(path.stem, path.parent)
        flags = commands.parse(commands.Flags, suite.PRESETS, default="full")
        assert commands.configurations(flags, suite.ENTRIES, suite.SUITE)
        return
    known = " ".join([source, *map(Path.read_text, (ROOT / "metajax").glob("*.py")), *HYPER])
    for flag in [one for one in arguments if one.startswith("--") and one != "--help"]:
        name = flag[2:].partition("=")[0].rpartition(".")[2].replace("-", "[-_]")
        assert re.search(rf"\b{name}\b", known), f"no {flag} in {words[0]}"


# Examples ------------------------------------------------------------------------------------


def test_the_learner_of_the_page_passes_the_battery(monkeypatch):
    space = {}
    file, by_hand, trained = blocks("own_learner.md")
    exec(file, space)
    (method,) = space["METHODS"]
    monkeypatch.setitem(METHODS, method.name, method)
    monkeypatch.setitem(LEARNERS, method.name, method.build)
    for test in (
        battery.test_shapes_under_vmap_and_determinism,
        battery.test_padded_rows_change_nothing,
        battery.test_the_order_of_the_support_changes_nothing,
        battery.test_other_queries_change_nothing,
        battery.test_exact_gradients_agree_with_central_differences,
    ):
        test(method.name, *method.kinds)
    battery.test_learns_and_does_not_recompile(method.name)
    battery.test_absent_ways_change_nothing(method.name)
    exec(by_hand, space)
    space["test_two_rows_are_worth_two_thirds_and_one_row_a_half"]()
    exec(trained, space)
    assert space["scores"]["accuracy"].mean() > 0.7


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """What an example sets for its process is undone."""
    told = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in told}
    monkeypatch.setenv("METAJAX_CACHE", str(tmp_path / "cache"))
    for name in map(str.upper, told):
        if name in os.environ:
            monkeypatch.setenv(name, os.environ[name])
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_the_suite_of_the_page_runs_and_tabulates(tmp_path, monkeypatch, caches):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    (tmp_path / "few_patients.py").write_text(blocks("own_suite.md")[0])
    suite = script("few_patients", tmp_path)
    results = tmp_path / "results"
    line = ["few_patients.py", "--preset=smoke", "--workers=1", f"--results={results}"]
    monkeypatch.setattr(sys, "argv", [*line, "--methods", "lr_c0.1"])
    assert suite.main() == 0
    table = (results / "smoke-few_patients" / "table.csv").read_text()
    assert "few_patients,few,lr_c0.1,4,auroc" in table


@pytest.mark.parametrize("page", ["speed.md", "getting_started.md", "methods/task_samplers.md"])
def test_examples_run(page, caches):
    for code in blocks(page):
        exec(code, {})
