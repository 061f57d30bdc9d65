"""Wrong labels and rare classes: does it help to learn from a few clean rows what a row is worth?

    python experiments/sample_reweighting.py                   about 25 minutes on one core
    python experiments/sample_reweighting.py --preset=smoke    seconds, its own folder

Protocol, after Ren et al. 2018 (https://arxiv.org/abs/1803.09050) and Shu et al. 2019
(https://arxiv.org/abs/1902.07379), on medical data; sizes are ours:

* Patients are dealt into training, validation and test once (PneumoniaMNIST: as published, without
  training images that are also in another part; tables: 50, 10 and 40 % of either class).
* A draw takes training rows at random, damages them, and adds rows known to be right, half of them
  of either class. ``flip20``, ``flip40``: each other label is turned round with probability .2, .4,
  so that at .5 nothing would be left; 10, 20 or 50 rows are right. ``imbalance90`` to ``995``: the
  share of class 0 (the healthy) among the other rows is .9 to .995; their labels are right, and 10
  balanced rows are added. Test rows keep their labels and prevalence.
* Every method trains the same network from the same start on the same mini-batches of the damaged
  and the right rows together; only weights differ. The step size is the best of `RATES` by AUROC on
  the validation rows (draws of their own; 40 % flips with 20 right rows, a share of .95), once a
  data set, kind of damage and method. Test rows are read once, after that.
* `right_rows`: plain training on the right rows alone. `ideal`: plain training on as many rows with
  right labels, or with both classes equally frequent: what is to be gained. `lr_c0.01`: logistic
  regression on the same rows.

Writes results/sample_reweighting/: validation.csv, table.md, table.csv, report.html.
"""

from __future__ import annotations

from metajax import surroundings

surroundings.check()

import contextlib
import dataclasses
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from metajax import commands, limits, sweeps, tracking
from metajax.config import RunConfig
from metajax.datasets import Family
from metajax.sample_reweighting.pages import write_tables
from metajax.sample_reweighting.runs import configuration, run
from metajax.sample_reweighting.settings import DATA, HOST, METHODS, SETTINGS, SUITE, Setting
from metajax.sample_reweighting.training import definition, renew_validation
from metajax.suites import load


@dataclasses.dataclass(frozen=True)
class Flags:
    """Wrong labels and rare classes: learned weights of rows against their rivals."""

    preset: Literal["smoke", "full"] = "full"
    """smoke: one setting, four methods, few steps and draws; full: the protocol above."""
    benchmark: tuple[str, ...] | None = None
    """These settings only."""
    methods: tuple[str, ...] | None = None
    """These methods only."""
    draws: int | None = None
    """Draws of a setting, 2 or more; default: the data set's."""
    steps: int | None = None
    """Training steps, above 0; default: the data set's."""
    data_dir: str | None = None
    """Folder of the real data (default: METAJAX_DATA); absent files are downloaded."""
    results: str = "results"
    """Where records and tables go."""
    wandb: Literal["online", "offline", "disabled"] | None = None
    """Mirror runs to Weights & Biases; default: WANDB_MODE, or offline (online under an agent)."""
    again: bool = False
    """Make finished runs anew whose source files have changed since; otherwise they are named."""
    tables: bool = True
    """Write tables and report in the end; False where other commands make runs at the same time."""


PRESETS = {
    "full": Flags(),
    "smoke": Flags(
        "smoke", ("heart_uci_flip40",), ("uniform", "hard_mining", "reweight", HOST), 2, 10
    ),
}


def check(flags: Flags) -> tuple[list[Setting], list[str]]:
    """The settings and methods that flags ask for.

    Raises:
      ValueError: for an unknown one, or a number out of range.
    """
    known = {setting.name: setting for setting in SETTINGS}
    settings = [known[name] for name in picked("--benchmark", flags.benchmark, known)]
    methods = picked("--methods", flags.methods, METHODS)
    limits.positive({"draws": flags.draws, "steps": flags.steps})
    if flags.draws is not None and flags.draws < 2 or flags.steps is not None and flags.steps < 1:
        raise ValueError("--draws must be at least 2 and --steps at least 1")
    return settings, methods


def prepare(flags: Flags) -> dict[str, Family]:
    """The data that flags ask for, by name.

    Raises:
      ValueError: see `check`.
      DataError: if data are absent or damaged.
    """
    return {one.data: load(one.data, flags.data_dir) for one in check(flags)[0]}


def as_today(config: RunConfig) -> tuple[RunConfig, dict[str, Any]]:
    """Configuration and definition of a run, for scripts/migrate_records.py."""
    (setting,) = (one for one in SETTINGS if one.name == config.benchmark)
    inner = config.inner
    draws, steps = config.evaluate.episodes, inner.steps or DATA[setting.data].steps
    return configuration(config.learner, setting, draws, steps, inner.lr), definition(setting)


def renew(folder: Path, write: bool) -> Callable[[RunConfig], dict[str, float]]:
    """Renews validation.csv, for scripts/migrate_records.py; gives a run's validation score."""
    best = renew_validation(folder / "validation.csv", write)
    data = {one.name: (one.data, one.damage) for one in SETTINGS}

    def told(config: RunConfig) -> dict[str, float]:
        place = (*data[config.benchmark], config.learner)
        return {"best/validation/auroc": best[place]} if place in best else {}

    return told


@surroundings.guarded
def main() -> int:
    """Runs what is missing and writes tables and report."""
    flags = commands.parse(Flags, PRESETS, default="full")
    folder = commands.folder_of(flags, SUITE)
    try:
        (settings, methods), families = check(flags), prepare(flags)
        sweeps.keep_compiled()
        commands.make_folder(folder)
    except (ValueError, OSError) as error:
        return commands.fail(error)
    console = Console()
    with tracking.copier(folder, mode=flags.wandb, tell=commands.warn) as copier:
        copier.ready()
        for setting, method in itertools.product(settings, methods):
            started, data = time.monotonic(), DATA[setting.data]
            draws, steps = flags.draws or data.draws, flags.steps or data.steps
            made, said = run(
                method, setting, families[setting.data], draws, steps, folder, again=flags.again
            )
            said = said or f"{time.monotonic() - started:.0f} s"
            console.print(f"{setting.name} {method}: {said}", soft_wrap=True)
            with contextlib.suppress(ValueError):  # a damaged record: the table names it
                copier.copy(made)
    whole = not flags.tables or commands.write_tables(console, folder, write_tables)
    return 0 if whole else 1


def picked(flag: str, given: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """The names given, in the order of those known; ValueError for another."""
    for name in given or ():
        if name not in known:
            raise ValueError(f"{flag}: unknown {name!r}; there are {', '.join(known)}")
    return [name for name in known if given is None or name in given]


if __name__ == "__main__":
    sys.exit(main())
