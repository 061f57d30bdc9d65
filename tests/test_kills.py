"""A hundred SIGKILLs of a sweep with W&B copies: drivers, workers and the process that copies."""

import contextlib
import os
import random
import time
from collections import Counter

import psutil
import pytest
import recording
import sweeping
import wandb_sync

KILLS = int(os.environ.get("KILLS", "100"))
MARKS = {"worker": "spawn_main", "copier": "tracking.copying", "wandb-core": "wandb-core"}


def choose_victim(driver, chance):
    """One of a sweep's processes that are there: its kind, and itself."""
    found = {"driver": [psutil.Process(driver.pid)]}
    for child in found["driver"][0].children(recursive=True):
        with contextlib.suppress(psutil.Error):
            line = " ".join(child.cmdline())
            for kind, mark in MARKS.items():
                if mark in line:
                    found.setdefault(kind, []).append(child)
    kind = "driver"
    if len(found) > 1 and chance.random() < 0.75:  # a start costs more than going on
        kind = chance.choice([kind for kind in found if kind != "driver"])
    return kind, chance.choice(found[kind])


def harm(folder, chance, kills, moments):
    """Starts a sweep and kills its processes until the driver has ended; counts the kills."""
    with sweeping.running(folder) as driver:
        family, before = {}, sweeping.finished(folder)
        while driver.poll() is None and sum(kills.values()) < KILLS:
            sweeping.pass_changes(folder, driver, chance.randrange(1, 14))
            time.sleep(chance.uniform(0, 0.5))
            with contextlib.suppress(psutil.Error):
                children = psutil.Process(driver.pid).children(recursive=True)
                family |= {one.pid: one for one in children}
                kind, victim = choose_victim(driver, chance)
                if victim.status() == psutil.STATUS_ZOMBIE:
                    continue
                when = sweeping.moment(folder)
                victim.kill()
                if kind == "driver" and driver.wait(timeout=60) != -9:
                    continue  # it was faster: this was no kill
                kills[kind] += 1
                moments[when] += 1
        code = driver.wait(timeout=900)
    assert code in (0, -9), (folder / "said.txt").read_text()
    # What was finished stays as it was, and nobody goes on without the driver.
    assert before.items() <= sweeping.finished(folder).items()
    _, alive = psutil.wait_procs(family.values(), timeout=60)
    assert not alive, alive
    return code


@pytest.mark.long
def test_a_hundred_kills_lose_nothing(tmp_path):
    chance, kills, moments, rounds, starts = random.Random(0), Counter(), Counter(), 0, 0
    with recording.record("kills", f"{KILLS} SIGKILLs of a sweep with W&B copies") as told:
        sweeping.finish(tmp_path / "whole", mode="disabled")
        wanted = sweeping.content(tmp_path / "whole")
        runs = sorted(sweeping.finished(tmp_path / "whole"))
        told["sweep"] = f"{len(runs)} runs in 3 programs, 2 workers, offline copies"
        lost = other = again = 0
        while sum(kills.values()) < KILLS:
            folder, code, rounds = tmp_path / f"round{rounds}", -9, rounds + 1
            while code and sum(kills.values()) < KILLS:
                code, starts = harm(folder, chance, kills, moments), starts + 1
            sweeping.finish(folder)
            assert "Traceback" not in (folder / "said.txt").read_text()
            found = sweeping.content(folder)
            lost += len(wanted.keys() - found.keys())
            other += sum(found.get(key, data) != data for key, data in wanted.items())
            again += sorted(sweeping.copies(folder).values()) != runs
            told["kills"] = ", ".join(f"{n} of a {kind}" for kind, n in kills.most_common())
            told["moments"] = "\n".join(f"{n:3} {when}" for when, n in moments.most_common())
            told["starts"] = f"{starts}, in {rounds} folders: each swept to its end"
            told["lost"] = f"{lost} files of records or tables; {other} with other bytes"
            told["copies"] = f"{again} folders without one whole copy of each record"
            assert (lost, other, again) == (0, 0, 0), folder
            assert all(wandb_sync.is_whole(copy) for copy in sweeping.copies(folder)), folder
            assert not sweeping.litter(folder)
            told["litter"] = "none that runs.py gc does not name"
