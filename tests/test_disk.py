"""What a user keeps survives a full disk: every writer, at every write."""

import ast
import errno
import importlib.util
import os
import resource
import stat
import time
from pathlib import Path

import pandas as pd
import pytest

from metajax import disk, report, tables
from metajax.datasets import CARDS, pages
from tests.synthetic_runs import make_run

ROOT = Path(__file__).resolve().parents[1]


def files_of(folder):
    """Every file of a folder and its bytes."""
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def full_after(monkeypatch, writes):
    """The disk is full from the write after so many on."""
    left, real = [writes], os.fsync

    def fsync(number):
        left[0] -= stat.S_ISREG(os.fstat(number).st_mode)
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(number)

    monkeypatch.setattr(disk.os, "fsync", fsync)


def test_files_that_belong_together_are_all_old_or_all_new(tmp_path, monkeypatch):
    one, two = tmp_path / "one.csv", tmp_path / "two.md"
    disk.write_all({one: "1\n", two: "ü\n"})
    before = files_of(tmp_path)
    assert before == {one: b"1\n", two: "ü\n".encode()}
    for writes in (0, 1):
        with monkeypatch.context() as patch:
            full_after(patch, writes)
            with pytest.raises(OSError, match=("one.csv", "two.md")[writes]) as told:
                disk.write_all({one: "new", two: "new"})
        assert told.value.errno == errno.ENOSPC and files_of(tmp_path) == before


def test_a_real_limit_on_the_size_of_files(tmp_path):
    """What the kernel says is passed on, with the name of the file."""
    path = tmp_path / "table.csv"
    disk.write(path, "good\n")
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="table.csv") as told:
            disk.write(path, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
    assert told.value.errno == errno.EFBIG
    assert files_of(tmp_path) == {path: b"good\n"}


def test_links_modes_and_protection_are_kept(tmp_path):
    real, link = tmp_path / "real.md", tmp_path / "link.md"
    disk.write(real, "a")
    real.chmod(0o640)
    link.symlink_to(real)
    disk.write(link, "b")
    assert link.is_symlink() and real.read_text() == "b"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    fresh = tmp_path / "fresh.md"
    disk.write(fresh, "c")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o666 & ~mask
    (tmp_path / "folder.md").mkdir()
    with pytest.raises(IsADirectoryError, match="folder.md"):
        disk.write_all({fresh: "d", tmp_path / "folder.md": "d"})
    with pytest.raises(FileNotFoundError, match="absent"):
        disk.write(tmp_path / "absent" / "x.md", "d")
    assert fresh.read_text() == "c" and len(list(tmp_path.iterdir())) == 4
    if os.getuid():
        fresh.chmod(0o444)
        with pytest.raises(PermissionError, match="fresh.md"):
            disk.write(fresh, "d")


def test_what_a_killed_writer_left_is_cleared_after_an_hour(tmp_path):
    old, new, other = (tmp_path / n for n in (".tmp-t.md-1", ".tmp-t.md-2", ".tmp-u.md-1"))
    for path in (old, new, other):
        path.write_text("half")
    os.utime(old, (time.time() - 2 * disk.STALE,) * 2)
    os.utime(other, (time.time() - 2 * disk.STALE,) * 2)
    disk.write(tmp_path / "t.md", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".tmp-t.md-2", ".tmp-u.md-1", "t.md"]


def script(name, folder="scripts"):
    spec = importlib.util.spec_from_file_location(f"disk_{name}", ROOT / folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def of_suite(folder):
    for learner in ("maml", "ridge"):
        make_run(folder, learner, episodes=9, shots=(8,))
    runs = tables.load_runs(folder)
    return lambda text: tables.write(folder, runs)


def of_report(folder):
    make_run(folder, episodes=9, shots=(8,))
    runs = tables.load_runs(folder)
    return lambda text: report.write(folder, runs, text)


def of_pages(folder):
    cards = list(CARDS.values())[:2]
    return lambda text: pages.write(cards, folder)


def of_page(folder):
    return lambda text: tables.write_page(folder, pd.DataFrame({"a": [text]}), text)


def of_reproduction(folder):
    module = script("reproduction")
    return lambda text: module.write(folder, "x", ["a"], [[text]], text)


def of_readme(folder):
    module = script("readme")

    def write(text):
        module.render = lambda: {folder / "README.md": text, folder / "pfn.md": text}
        module.main.__wrapped__()  # without what makes it one line

    return write


def of_methods(folder):
    module = script("methods")
    module.PAGE = folder / "README.md"

    def write(text):
        module.render = lambda: text
        module.main.__wrapped__()  # without what makes it one line

    return write


def of_real_tables(folder):
    module = script("real_tables", "experiments")
    pd.DataFrame({"repeats": [1]}).to_csv(folder / "tables.csv", index=False)
    module.summary = lambda records: pd.DataFrame({"a": [1]})
    module.markdown = lambda found, repeats: "page"
    return lambda text: module.tabulate(folder)


WRITERS = {
    "tables": (of_suite, 6), "report": (of_report, 1), "pages": (of_pages, 3),
    "own page": (of_page, 2), "reproductions": (of_reproduction, 2), "readme": (of_readme, 2),
    "methods": (of_methods, 1), "real tables": (of_real_tables, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_every_table_as_it_was(tmp_path, monkeypatch, name):
    make, count = WRITERS[name]
    write = make(tmp_path)
    write("first")
    for path in tmp_path.rglob("*"):  # what was there is not what will be written
        if path.suffix in (".md", ".html", ".svg", ".tex", ".csv") and path.name != "tables.csv":
            path.write_text(f"the old {path.name}")
    before = files_of(tmp_path)
    for writes in range(count):
        with monkeypatch.context() as patch:
            full_after(patch, writes)
            with pytest.raises(OSError, match=r"\.(md|csv|tex|html|svg)") as told:
                write("second")
        assert told.value.errno == errno.ENOSPC
        assert files_of(tmp_path) == before
    write("second")
    assert len(files_of(tmp_path)) == len(before)  # no litter
    changed = [p for p, content in files_of(tmp_path).items() if before[p] != content]
    assert len(changed) == count


# What may write by itself: into a file that no one keeps before it is renamed, or lines at an end.
OWN = {
    "experiments/uncertainty.py": "npz into memory",
    "metajax/disk.py": "the writer",
    "metajax/datasets/files.py": "a download: verified aside, then renamed",
    "metajax/records.py": "npz into the temporary folder of a run",
    "metajax/sweep_command.py": "lines at the end of failures.jsonl",
    "metajax/tables/figures.py": "a figure into memory",
    "metajax/tracking/missing.py": "lines at the end of the names of missing copies",
    "metajax/tracking/__init__.py": "the mark of a copy, one line",
    "scripts/benchmark_sweeps.py": "a sweep file in a temporary folder",
    "experiments/prior_fitted.py": "npz into memory",
}  # fmt: skip


def test_nothing_else_writes_in_place():
    found = {}
    for folder in ("metajax", "scripts", "experiments"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                text = ast.unparse(node)
                place = node.args[0] if node.args else None
                writes = (
                    name in ("write_text", "write_bytes", "savefig", "savez", "savez_compressed")
                    or (name in ("to_csv", "to_json", "to_parquet", "to_html") and place)
                    or (name in ("open", "fdopen") and any(m in text for m in
                        ("'w'", "'a'", "'x'", "'wb'", "'ab'", "'xb'")))
                )  # fmt: skip
                if writes and "BytesIO" not in text and "StringIO" not in text:
                    found.setdefault(str(path.relative_to(ROOT)), []).append(text[:80])
    assert not {path: calls for path, calls in found.items() if path not in OWN}
