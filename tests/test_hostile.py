"""Command lines of a hurried or hostile user: each ends with one clear message, none with a crash.

The lines are data, one JSON object each in ``tests/hostile/*.jsonl``:

    {"name": "...", "script": "experiments/own_data.py", "arguments": ["--table={files}/a.csv"],
     "exit": 2, "words": ["told"], "absent": ["not told"], "env": {"HOME": null}, "setup": "name"}

``{files}`` is ``tests/hostile/files``, ``{tmp}`` a fresh folder, in which the line runs, ``{data}``
a data directory that does not exist. `env` sets variables (null: unset), `setup` names a function
of ``hostile/setups.py`` that is called with the folder first. `words` must be told, in any case of
letters and however the lines are broken; `absent` must not. Here the lines run in this process,
but for those with settings that are read before; the long suite starts a process for each (an hour
of two cores), or for as many as the variable HOSTILE_LINES says.
"""

import contextlib
import importlib.util
import json
import os
import random
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import pytest
import recording
from hostile import setups

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "hostile"
KEYS = {"name", "script", "arguments", "exit", "words", "absent", "env", "setup"}
SAMPLED = ", drawn with seed 0 (HOSTILE_LINES); the rest in one process, in the normal suite"
HERE, ALONE = 60, 180  # seconds that a line may take, in this process and as one of its own
# Read when Python, jax or matplotlib starts: too late in this process.
AT_START = ("JAX_", "XLA_", "MPL", "PYTHON")
KEPT = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


def read(path):
    """The lines of a file, each with the file's name before its own."""
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return [{**line, "name": f"{path.stem}: {line['name']}"} for line in lines]


LINES = [line for path in sorted(FOLDER.glob("*.jsonl")) for line in read(path)]


def filled(text, tmp):
    """A text with its places filled in."""
    places = {"{files}": FOLDER / "files", "{tmp}": tmp, "{data}": tmp / "no-such-data"}
    for name, path in places.items():
        text = text.replace(name, str(path))
    return text


def surroundings(line, tmp):
    """The environment of a line: the suite's, without real data and without W&B."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "METAJAX_DATA"))}
    kept |= {"WANDB_MODE": "disabled", "WANDB_SILENT": "true", "COLUMNS": "200"}
    given = line.get("env", {})
    kept |= {k: filled(v, tmp) for k, v in given.items() if v is not None}
    return {k: v for k, v in kept.items() if k not in given or given[k] is not None}


def command(line, tmp):
    """Script and arguments; what the line needs is made."""
    if "setup" in line:
        getattr(setups, line["setup"])(tmp)
    return [str(ROOT / line["script"]), *(filled(one, tmp) for one in line["arguments"])]


def plain(text):
    """In small letters, without the frames that messages are drawn in; one blank between words."""
    return " ".join(re.sub(r"[─│╭╮╰╯┃━]", " ", text).lower().split())


def wrong(line, tmp, code, said):
    """What a line's end has against it; empty: nothing."""
    found, told = [], plain(said)
    if code != line["exit"]:
        found.append(f"exit {code} instead of {line['exit']}")
    if "traceback (most recent call last)" in told:
        found.append("a traceback")
    words = [plain(filled(word, tmp)) for word in line["words"]]
    found += [f"{word!r} is not told" for word in words if word not in told]
    absent = [plain(filled(word, tmp)) for word in line.get("absent", ())]
    found += [f"{word!r} is told" for word in absent if word in told]
    return "; ".join(found) + f"\n{said[-3000:]}" if found else ""


def files():
    """What lies in the repository's folders that a script could write to, with its time."""
    parts = (ROOT / name for name in ("results", "docs", "experiments", "scripts", "metajax"))
    every = [one for part in parts for one in part.rglob("*") if "__pycache__" not in one.parts]
    return {(one, one.stat().st_mtime_ns) for one in every if one.is_file()}


@pytest.fixture(scope="module")
def module_of():
    """Scripts as modules, each executed once."""
    known = {}

    def load(path, patch):
        path = Path(path)
        patch.syspath_prepend(str(path.parent))  # as Python does for a script
        if path not in known:
            spec = importlib.util.spec_from_file_location(path.stem, path)
            known[path] = importlib.util.module_from_spec(spec)
            patch.setitem(sys.modules, path.stem, known[path])  # dataclasses look it up
            spec.loader.exec_module(known[path])
        patch.setitem(sys.modules, path.stem, known[path])
        return known[path]

    return load


@contextlib.contextmanager
def limited(seconds):
    """Ends what takes longer."""

    def stop(*_):
        raise AssertionError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def process(monkeypatch):
    """What a line may leave in this process is undone."""
    jax_before = {name: getattr(jax.config, name) for name in KEPT}
    path_before, modules_before, env_before = list(sys.path), set(sys.modules), dict(os.environ)
    yield monkeypatch
    monkeypatch.undo()
    os.environ.clear()
    os.environ.update(env_before)
    sys.path[:] = path_before
    for name, value in jax_before.items():
        jax.config.update(name, value)
    for name in set(sys.modules) - modules_before:  # programs of sweeps, imported by their names
        file = getattr(sys.modules[name], "__file__", None)
        if file and not Path(file).is_relative_to(sys.prefix) and "metajax" not in file:
            del sys.modules[name]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["name"])
def test_a_line_ends_with_a_message(line, tmp_path, process, module_of, capsys):
    if any(name.startswith(AT_START) for name in line.get("env", ())):
        assert not (told := alone(line, tmp_path / "alone")), told
        return
    words = command(line, tmp_path)
    script = module_of(words[0], process)
    for name in set(os.environ) - set(env := surroundings(line, tmp_path)):
        process.delenv(name)
    for name, value in env.items():
        process.setenv(name, value)
    process.chdir(tmp_path)
    process.setattr(sys, "argv", words)
    with limited(HERE):
        try:
            code = script.main()
        except SystemExit as stop:
            code = stop.code
    if isinstance(code, str):  # what Python does with it
        code = sys.stderr.write(code) and 1
    said = capsys.readouterr()
    assert not (told := wrong(line, tmp_path, code or 0, said.out + said.err)), told


def alone(line, tmp):
    """What is wrong with a line that runs as a process of its own."""
    tmp.mkdir()
    words = [sys.executable, *command(line, tmp)]
    options = {"cwd": tmp, "env": surroundings(line, tmp), "stdin": subprocess.DEVNULL}
    try:
        done = subprocess.run(words, capture_output=True, timeout=ALONE, **options)
    except subprocess.TimeoutExpired:
        return f"not done after {ALONE} s"
    said = (done.stdout + done.stderr).decode(errors="replace")
    return wrong(line, tmp, done.returncode, said)


def sample(wanted):
    """So many lines, drawn with seed 0; all, where the number is not given."""
    return LINES if wanted is None else random.Random(0).sample(LINES, int(wanted))


@pytest.mark.long
def test_every_line_ends_with_a_message_as_a_process(tmp_path):
    before = files()
    with recording.record("hostile", "Bad command lines and files, a process each") as figures:
        lines = sample(os.environ.get("HOSTILE_LINES"))
        figures["lines"] = f"{len(lines)} of {len(LINES)}" + (SAMPLED if lines != LINES else "")
        folders = [tmp_path / str(i) for i in range(len(lines))]
        with ThreadPoolExecutor(2) as pool:
            told = list(pool.map(alone, lines, folders))
        bad = {line["name"]: one for line, one in zip(lines, told, strict=True) if one}
        figures["as wanted"] = len(lines) - len(bad)
        assert not bad, "\n\n".join(f"{name}: {one}" for name, one in bad.items())
        assert files() == before


def test_the_lines_are_well_formed():
    for line in LINES:
        assert set(line) <= KEYS and KEYS - {"absent", "env", "setup"} <= set(line), line["name"]
        assert (ROOT / line["script"]).is_file(), line["name"]
        assert line["words"] and line["exit"] in (0, 1, 2), line["name"]
    names = [line["name"] for line in LINES]
    assert len(set(names)) == len(names)
    # A message is looked for, so a line that is told nothing of cannot pass.
    assert "'word' is not told" in wrong(
        {"exit": 2, "words": ["word"]}, FOLDER, 2, "error: another"
    )


def test_there_are_three_hundred_lines():
    counts = {path.stem: len(read(path)) for path in FOLDER.glob("*.jsonl")}
    assert len(LINES) >= 300 and counts["scripts"] + counts["sweeps"] >= 120
