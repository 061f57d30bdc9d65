"""Every command of README, CONTRIBUTING and docs: its program exists and takes its flags.

In the long suite those that take about a minute run as they stand, in a copy of the repository.
"""

import argparse
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tyro

from metajax import sweep_files

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Tests of their pages run these, with the files that the pages write.
ELSEWHERE = ("few_patients", "shrunk_means", "scaled_protonet")
# Placeholders of prose, and what stands for them.
PLACES = {"DIR": "data", "SUITE": "quickstart", "NAME": "heart_uci", "<name>": "heart_uci"}


def commands_of(page):
    """The commands of a page that call a program of ours, fenced or inline, as lists of words."""
    text = page.read_text()
    fenced = re.findall(r"^```(?:bash|sh)?\n(.*?)^```", text, re.M | re.S)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", rest)]
    lines = [line for part in fenced for line in part.replace("\\\n", " ").splitlines()]
    found = []
    for line in [*lines, *spans]:
        said = re.match(r"(?:\w+=\S+ )*(?:\.venv/bin/)?python (?=\w+/\w+\.py)(.*)", line)
        if said:
            said = re.match(r"([^\[]*)", said[1])  # without what a synopsis leaves to choose
            words = shlex.split(said[1].partition(" | ")[0].partition(" > ")[0], comments=True)
            found.append(tuple(words))
    return found


COMMANDS = sorted({words for page in PAGES for words in commands_of(page)})
OURS = [words for words in COMMANDS if not any(one in word for one in ELSEWHERE for word in words)]


class Parsed(BaseException):
    """Raised where a command's work would start."""


@pytest.fixture
def parse_only(monkeypatch):
    """Parsers parse, then end the program."""

    def ending(parse):
        def call(*given, **named):
            parse(*given, **named)
            raise Parsed

        return call

    monkeypatch.setattr(tyro, "cli", ending(tyro.cli))
    real = argparse.ArgumentParser.parse_args
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", ending(real))


def main_of(path, patch):
    """The main function of a script."""
    patch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    patch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    return module.main


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_a_command_is_taken(words, parse_only, monkeypatch, capsys):
    for name, value in dict(os.environ).items():  # what scripts set for their processes is undone
        monkeypatch.setenv(name, value)
    words = [PLACES.get(word, word) for word in words]
    main = main_of(ROOT / words[0], monkeypatch)
    monkeypatch.setattr(sys, "argv", words)
    try:
        code = main()
    except Parsed:
        return
    except SystemExit as stop:
        code = stop.code or 0
    assert code == 0 and "--help" in words, capsys.readouterr().err


def test_there_are_commands_to_look_at():
    programs = {words[0] for words in OURS}
    every = {f"scripts/{path.name}" for path in (ROOT / "scripts").glob("*.py")}
    assert len(OURS) > 60 and "scripts/check_scaling.py" in programs
    assert len(programs & every) > 12


def test_sweep_files_that_pages_name_can_be_read():
    named = {name for page in PAGES for name in re.findall(r"experiments/sweeps/[\w/]+\.yaml",
             page.read_text())}  # fmt: skip
    assert len(named) > 4
    for name in named:
        assert sweep_files.read(ROOT / name).parameters


# In the long suite --------------------------------------------------------------------------------

# What is not run, and why; a word of the command, or all of it.
NOT_RUN = {
    "drug_discovery.py": "hours", "genomics.py": "hours", "imaging.py": "hours",
    "fsmol.py": "20 minutes", "omniglot.py": "half an hour", "prior_fitted.py": "half an hour",
    "sinusoid.py": "20 minutes", "sample_reweighting.py": "25 minutes", "fusion.py": "hours",
    "uncertainty.py": "15 minutes",
    "disease_prediction.py": "minutes to hours; the quickstart and "
    "the sweeps' smoke files are tests of their own",
    "benchmark.py": "measures for 5 minutes", "benchmark_sweeps.py": "measures for 15 minutes",
    "headroom.py": "a quarter of an hour; with --render it is run", "reproduce_": "minutes",
    "prior_statistics.py": "minutes", "verify": "reads all data", "prepare": "reads all data",
    "rm": "takes a record away that another command shows", "own_data": "needs the reader's file",
    "wandb_sync.py": "needs a server (test_wandb_online)", "sweep.py": "see test_sweep",
    "speed.py": "see test_speed_page", "quickstart": "its results are not committed",
}  # fmt: skip
ALWAYS = ("--help", "--render", "--mode=tabulate")


def reason(words):
    """Why a command is not run; None: it is."""
    if any(one in words for one in ALWAYS):
        return None
    return next((why for one, why in NOT_RUN.items() if any(one in word for word in words)), None)


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    home = tmp_path_factory.mktemp("copy")
    for part in ("metajax", "experiments", "scripts", "docs", "results"):
        left = shutil.ignore_patterns("__pycache__", "quickstart", "smoke*", "wandb")
        shutil.copytree(ROOT / part, home / part, ignore=left)
    for part in ("README.md", "setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / part, home / part)
    return home


@pytest.mark.long
@pytest.mark.parametrize("words", [one for one in OURS if not reason(one)], ids=" ".join)
def test_a_command_runs(words, copied):
    words = [PLACES.get(word, word) for word in words]
    if "check_scaling" in words[0] and not os.environ.get("METAJAX_DATA"):
        pytest.skip("METAJAX_DATA names no data directory")
    env = os.environ | {"PYTHONPATH": str(copied), "WANDB_MODE": "disabled"}
    done = subprocess.run(
        [sys.executable, *words], cwd=copied, env=env, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
