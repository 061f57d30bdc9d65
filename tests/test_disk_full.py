"""The disk is full at twenty random moments of a sweep with tables, report and W&B copies."""

import contextlib
import os
import random
import shutil
import subprocess
import threading
import time
from collections import Counter

import pytest
import recording
import sweeping
import wandb_sync

TIMES = int(os.environ.get("TIMES", "20"))


@contextlib.contextmanager
def small_disk(folder):
    """A file system of its own, of 64 MB; skips where none can be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


@contextlib.contextmanager
def full(folder):
    """Not one byte is free in a folder's file system; what becomes free is taken at once."""
    over, filler = threading.Event(), folder / "filler"

    def fill():
        with filler.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))
            while not over.wait(0.01):
                with contextlib.suppress(OSError):
                    file.write(bytes(1 << 12))

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        while shutil.disk_usage(folder).free:
            time.sleep(0.005)
        yield
    finally:
        over.set()
        thread.join()
        filler.unlink()


def is_page(path):
    """Whether a report is whole."""
    return "\n</body></html>\n" in path.read_text()[-100:]


def begin(disk, whole, chance):
    """Every second time all records and good tables are there, but those of some runs."""
    if chance.random() < 0.5:
        return False
    shutil.copytree(whole / sweeping.SUITE, disk / sweeping.SUITE)
    for run in chance.sample(sorted(sweeping.finished(disk)), chance.randrange(1, 6)):
        shutil.rmtree(disk / sweeping.SUITE / "runs" / run)
    for copy in sweeping.copies(disk):
        if chance.random() < 0.5:
            shutil.rmtree(copy)
    return True


@pytest.mark.long
def test_a_disk_that_is_full_at_any_moment_loses_nothing(tmp_path):
    chance, when, codes, tries = random.Random(0), Counter(), Counter(), 0
    title = f"The disk is full at {TIMES} random moments of a sweep with W&B copies"
    with recording.record("disk_full", title) as told:
        whole, disk = tmp_path / "whole", tmp_path / "disk"
        sweeping.finish(whole)
        wanted = sweeping.content(whole)
        runs = sorted(sweeping.finished(whole))
        told["sweep"] = f"{len(runs)} runs in 3 programs, offline copies, on a tmpfs of 64 MB"
        while sum(codes.values()) < TIMES:
            tries += 1
            assert tries <= 2 * TIMES + 5
            with small_disk(disk):
                good = begin(disk, whole, chance)
                said = tmp_path / f"said{tries}.txt"
                before = sweeping.finished(disk)
                with sweeping.running(disk, said=said) as driver:
                    sweeping.pass_changes(disk, driver, chance.randrange(40))
                    moment = sweeping.moment(disk)
                    if driver.poll() is not None:
                        continue  # it had ended: no moment
                    with full(disk):
                        code = driver.wait(timeout=600)
                        check_full(disk, code, said.read_text(), before, wanted if good else {})
                if code == 0:
                    continue  # all had been written: no moment
                codes[f"exit code {code}"] += 1
                when[moment + ", good tables there" * good] += 1
                sweeping.finish(disk, said=said)
                found = sweeping.content(disk)
                told["moments"] = "\n".join(f"{n:3} {text}" for text, n in when.most_common())
                told["ended with"] = ", ".join(f"{text}: {n}" for text, n in codes.items())
                different = [key for key, data in wanted.items() if found.get(key) != data]
                told["lost"] = f"{len(different)} files of records or tables (or other bytes)"
                assert not different and is_page(disk / sweeping.SUITE / "report.html")
                assert sorted(sweeping.copies(disk).values()) == runs
                assert all(map(wandb_sync.is_whole, sweeping.copies(disk)))
                assert not sweeping.litter(disk)


def check_full(disk, code, said, before, good):
    """One line that names a file, and a code; good tables and finished records are as they were."""
    line = " ".join(said.split())
    assert "Traceback" not in said, said
    if code:
        assert code in (1, 2), said
        assert "No space left on device" in line and str(disk / sweeping.SUITE) in line, said
    assert before.items() <= sweeping.finished(disk).items()
    if good:
        for name in sweeping.TABLES:
            assert (disk / sweeping.SUITE / name).read_bytes() == good["", name], name
        assert is_page(disk / sweeping.SUITE / "report.html")
