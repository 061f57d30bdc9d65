"""A learner of one's own is one file; a file that cannot be used is named with its remedy."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from metajax import commands, config, learners
from metajax.learners import _found

ROOT = Path(__file__).resolve().parents[1]
HEAD = "from metajax.learners.method import Method\n"
GOOD = HEAD + (
    "def kern(spec, encoder, *, rows: float = 1.0, depth: int | None = None): ...\n"
    "METHODS = (Method(kern, 'metric', '', '', ''),)\n"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Writes files of a package; returns what is found in it."""
    name = f"own_{abs(hash(tmp_path))}"
    (home := tmp_path / name).mkdir()
    (home / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))

    def find(**files):
        for stem, text in files.items():
            (home / f"{stem}.py").write_text(text)
        return name, _found.learners(name, home)

    yield find
    for module in [one for one in sys.modules if one.startswith(name)]:
        del sys.modules[module]


def test_files_are_found_by_their_methods(folder):
    second = GOOD.replace("kern", "two").replace("'metric'", "'gradient'")
    _, found = folder(b=GOOD, c=second, parts="METHODS = ()", _hidden="1 / 0")
    assert list(found.methods) == ["two", "kern"]  # gradient before metric, whatever the file
    assert not found.broken


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it has no METHODS; end it with METHODS = (Method(...),)"),
        ("METHODS = 3", "METHODS must be a tuple"),
        ("METHODS = (3,)", "METHODS must be a tuple"),
        (GOOD.replace("METHODS = (", "METHODS = ").replace(",)\n", "\n"), "must be a tuple"),
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("def one(:", "it cannot be imported: SyntaxError: invalid syntax"),
        ("raise SystemExit(3)", "it cannot be imported: SystemExit: 3"),
        (HEAD + "METHODS = (Method(),)", "TypeError"),
        (GOOD.replace("rows: float", "rows"), "hyper-parameter rows needs a type and a default"),
        (GOOD.replace("rows: float = 1.0", "rows: float"), "needs a type and a default"),
        (GOOD.replace("rows: float", "rows: list"), "one of float, int, bool, str"),
        (GOOD.replace("*, ", ""), "rows must be keyword-only: def kern(spec, encoder, *, rows"),
        (GOOD.replace("*, ", "**more, ").replace("depth: int | None = None", ""), "SyntaxError"),
        (GOOD.replace("'metric'", "'metrics'"), "pillar is one of gradient, metric"),
        (GOOD.replace("''),)", "'', kinds='regression'),)"), "kinds is a tuple"),
        (GOOD.replace("''),)", "'', kinds=('classes',)),)"), "kinds is a tuple"),
        (GOOD.replace("(kern,", "(lambda spec, encoder: 1,"), "needs a function with a name"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(text, told, folder):
    name, found = folder(good=GOOD.replace("kern", "fine"), mine=text)
    assert list(found.methods) == ["fine"]  # the others are found all the same
    assert list(found.broken) == [f"{name}/mine.py"]
    assert told in found.broken[f"{name}/mine.py"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD, "has a learner kern already; rename one"),
        (GOOD.replace("kern", "two").replace("rows: float", "rows: int"), "rows is int here and"),
        (GOOD.replace("kern", "two").replace("rows", "inner_rows"), "would take the flag of rows"),
    ],
)
def test_names_that_clash_are_named_with_both_files(text, told, folder):
    name, found = folder(a=GOOD, b=text)
    assert list(found.methods) == ["kern"]
    assert told in found.broken[f"{name}/b.py"] and f"{name}/a.py" in found.broken[f"{name}/b.py"]


def test_commands_refuse_and_tables_do_not_care(monkeypatch):
    monkeypatch.setattr(learners, "BROKEN", {"metajax/learners/mine.py": "it has no METHODS"})
    told = "metajax/learners/mine.py: it has no METHODS .*own_learner.md"
    with pytest.raises(ValueError, match=told):
        commands.parse(commands.Flags, {"full": commands.Flags()}, default="full", arguments=[])
    monkeypatch.setattr(learners, "BROKEN", {})
    monkeypatch.setattr(config, "LEARNERS", config.LEARNERS | {"lr_cv": None})
    with pytest.raises(ValueError, match="lr_cv, the name of a model on the host"):
        config.check_learners()


def test_every_file_of_the_package_can_be_used():
    assert not learners.BROKEN


# The recipes, word for word --------------------------------------------------------------------

PAGES = {"scaled_protonet": ROOT / "README.md", "shrunk_means": ROOT / "docs" / "own_learner.md"}


def section(page):
    """The part of a page on a learner of one's own: its files and its commands."""
    text = page.read_text()
    part = re.split(r"^## ", text[text.index("earner of") :], flags=re.M)
    part = part[0] + (part[1] if page.name == "own_learner.md" else "")
    code = re.search(r"```python\n(.*?)```", part, re.S)[1]
    lines = re.search(r"```bash\n(.*?)```", part, re.S)[1].splitlines()
    return code, [shlex.split(line, comments=True) for line in lines]


@pytest.mark.long
@pytest.mark.parametrize("name", PAGES)
def test_a_recipe_works_word_for_word(name, tmp_path):
    """In a copy of the repository: one file, then every command of the page."""
    for part in ("metajax", "experiments", "scripts", "tests", "docs"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("setup.cfg", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / part, tmp_path / part)
    code, lines = section(PAGES[name])
    assert len(lines) >= 2
    (tmp_path / "metajax" / "learners" / f"{name}.py").write_text(code)
    bash = ["python", "-m", "pytest", "-q", "-n", "0"]
    for words in lines:
        words = bash + words[2:] if words[:2] == ["bash", "scripts/test.sh"] else words
        if words[1].startswith("experiments") and "--help" not in words:  # only less of it
            words = [*words, "--train.steps=4", "--seed=0", "--workers=1"]
        done = subprocess.run(
            [sys.executable, *words[1:]], cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "WANDB_MODE": "disabled"},
        )  # fmt: skip
        assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        if "--help" in words:
            assert "--inner.rows" in done.stdout
    table = next((tmp_path / "results").glob("*/table.csv")).read_text()
    assert f",{name}," in table
