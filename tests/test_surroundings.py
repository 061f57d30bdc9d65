"""Scripts and what they find around them: settings, home, caches, the search path."""

import ast
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from metajax import surroundings, sweep_files, sweep_plans, sweeps
from metajax.datasets import files

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = [path for folder in ("scripts", "experiments") for path in (ROOT / folder).glob("*.py")]
SCRIPTS = sorted(path for path in SCRIPTS if "__main__" in path.read_text())  # others are helpers


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_script_looks_around_before_it_imports_anything(path):
    tree = ast.parse(path.read_text())
    body = [ast.unparse(one) for one in tree.body[1:]]
    at = next(i for i, one in enumerate(body) if one.startswith("surroundings.check("))
    before = {"from __future__ import annotations", "from metajax import surroundings", "import os"}
    assert {one for one in body[:at] if not one.startswith("os.environ")} <= before
    told = path.read_text()
    assert "@surroundings.guarded\ndef main(" in told or "surroundings.guarded(" in told


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("JAX_DEBUG_NANS", "1", "unset JAX_DEBUG_NANS"),
        ("JAX_DEBUG_INFS", "True", "unset JAX_DEBUG_INFS"),
        ("JAX_PLATFORMS", "warp", "JAX_PLATFORMS=warp"),
    ],
)
def test_settings_that_cannot_be_lived_with_are_named(name, value, told, monkeypatch, capsys):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv(name, value)
    if name == "JAX_PLATFORMS":  # jax has looked at its devices long ago

        def devices():
            raise RuntimeError("Unable to initialize backend 'warp'")

        monkeypatch.setattr("jax.devices", devices)
    with pytest.raises(SystemExit) as stop:
        surroundings.check()
    said = capsys.readouterr().err
    assert stop.value.code == 2 and told in said and said.count("\n") == 1


def test_flags_of_xla_are_tried_where_they_can_do_no_harm(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--no_such_flag=1")
    assert "--no_such_flag" in surroundings._xla_refuses("--no_such_flag=1")
    known = sweeps.ONE_CORE["XLA_FLAGS"]
    monkeypatch.setenv("XLA_FLAGS", known)
    assert surroundings._xla_refuses(known) == ""


@pytest.mark.parametrize("home", [None, "", "/nowhere/at/all"])
def test_who_has_no_home_has_a_cache(home, monkeypatch, tmp_path):
    """Of whom the password file has no home either."""
    monkeypatch.delenv("METAJAX_CACHE", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    if home is None:

        def nobody(cls):
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", classmethod(nobody))
    else:
        monkeypatch.setenv("HOME", home)
    assert files.cache_root().is_absolute() and files.cache_root().name.startswith("metajax-")
    monkeypatch.setenv("METAJAX_CACHE", "")
    assert files.cache_root().name.startswith("metajax-")
    monkeypatch.setenv("METAJAX_CACHE", str(tmp_path))
    assert files.cache_root() == tmp_path


@pytest.mark.parametrize("name", ["METAJAX_CACHE", "JAX_COMPILATION_CACHE_DIR"])
def test_a_cache_that_cannot_be_written_is_refused_by_its_name(name, monkeypatch, tmp_path):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(name, str(tmp_path / "file"))
    with pytest.raises(ValueError, match=f"mend or unset {name}"):
        sweeps.keep_compiled()


def test_nothing_is_imported_from_the_current_folder(tmp_path):
    """An empty part of PYTHONPATH is the current folder: here, one of hostile results."""
    for name in ("argparse", "wandb", "yaml", "numpy", "drug_discovery"):
        (tmp_path / f"{name}.py").write_text("import os; os.abort()")
    env = os.environ | {"PYTHONPATH": f":{ROOT}"}
    command = [sys.executable, str(ROOT / "scripts" / "runs.py"), "--results=nowhere", "ls"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 2 and "no folder nowhere" in done.stderr, done.stderr


def test_uploading_imports_nothing_of_the_results(tmp_path, capfd, monkeypatch):
    """`wandb sync` runs in a suite's folder, which has a folder `wandb` of its own."""
    wandb_sync = pytest.importorskip("wandb_sync")
    run = tmp_path / "wandb" / "offline-run-1"
    run.mkdir(parents=True)
    (run / "run-1.wandb").write_bytes(b"torn")
    (tmp_path / "wandb" / "__init__.py").write_text("raise SystemExit('executed')")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with contextlib.suppress(ConnectionError):  # there is no key
        wandb_sync.upload([run])
    assert "executed" not in "".join(capfd.readouterr())


def test_a_table_is_made_by_a_script_of_the_repository_only(tmp_path, capsys):
    table = pytest.importorskip("table")
    (tmp_path / "evil.py").write_text("def write_tables(*_): ...\nraise SystemExit('executed')")
    assert table.main([str(tmp_path / "evil"), f"--results={tmp_path}"]) == 2
    assert "a suite is the name" in capsys.readouterr().err
    with pytest.raises(ValueError, match="a suite is the name"):
        table.writer("../tests/tiny")


def test_a_sweeps_program_is_the_repositorys_wherever_the_command_is_given(tmp_path, monkeypatch):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "imaging.py").write_text("raise SystemExit('executed')")
    (file := tmp_path / "sweep.yaml").write_text(
        "program: experiments/imaging.py\nmethod: grid\nparameters: {seed: {value: 0}}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    program = sweep_plans.load_program(sweep_files.read(file))
    assert program.path == ROOT / "experiments" / "imaging.py"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("numpy.py", "", "Python knows another numpy"),
        ("with space.py", "", "NAME.py is wanted"),
        ("notes.txt", "", "NAME.py is wanted"),
        ("broken_one.py", "1 / 0", "broken_one.py cannot be imported: ZeroDivisionError: division"),
        ("broken_two.py", "raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("broken_three.py", "def (", "cannot be imported: invalid syntax"),
        ("broken_four.py", "SUITE = 1", "cannot be swept: it has no PRESETS"),
        ("broken_five.py", "SUITE = PRESETS = main = check = write_tables = 1", "no flags named"),
        ("broken_six.py", "\0", "null bytes"),
    ],
)
def test_a_program_that_cannot_be_swept_is_named(name, text, told, tmp_path, monkeypatch):
    (tmp_path / name).write_text(text)
    (file := tmp_path / "sweep.yaml").write_text(
        f"program: {name}\nmethod: grid\nparameters: {{seed: {{value: 0}}}}\n"
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(ValueError, match=f"line 1: .*{told}"):
        sweep_plans.load_program(sweep_files.read(file))


@pytest.mark.parametrize("name", ["/etc", "../x", "a/b", "*", "", ".", ".hidden", "a\nb", "-"])
def test_a_suite_is_a_name(name):
    with pytest.raises(ValueError, match="a suite is the name of a folder"):
        surroundings.suite_name(name)
    assert surroundings.suite_name("smoke-own_data") == "smoke-own_data"


def test_a_users_mistake_is_one_line_and_a_mistake_of_ours_is_not(capsys):
    @surroundings.guarded
    def main(error):
        raise error

    for error in (ValueError("no"), FileNotFoundError("no"), MemoryError("no")):
        assert main(error) == 2
        assert capsys.readouterr().err.startswith("error: ")
    assert main(KeyboardInterrupt()) == 130
    with pytest.raises(KeyError):
        main(KeyError("ours"))
