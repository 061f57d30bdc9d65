"""`metajax export`: a run as one file."""

from __future__ import annotations

import argparse
from pathlib import Path

from metajax import disk
from metajax.bedside.command import tell
from metajax.estimator import portable
from metajax.estimator.learned import from_run


def exported(flags: argparse.Namespace) -> int:
    """Writes a bundle and its card."""
    run = Path(flags.run)
    bundle = from_run(run, data_dir=flags.data_dir, fold=flags.fold, rows=flags.rows)
    out = Path(flags.out or f"{run.resolve().name}.metajax")
    out.parent.mkdir(parents=True, exist_ok=True)
    card = out.with_suffix(".md")
    disk.write_all({out: portable.content(bundle), card: bundle.card})
    program = bundle.about["program"]
    tell(f"{bundle.about['learner']}, {len(bundle.arrays)} arrays, programs for "
         f"{', '.join(map(str, bundle.programs))} labelled rows")
    for one in program["inputs"]:
        tell(f"input {one['name']}: {one['dtype']} (N, {', '.join(map(str, one['shape']))})")
    tell("it holds weights" + (", means and scales of columns" if bundle.about["columns"] else "")
         + ", the record's scores and the data's card; no row of a patient")
    tell(f"written: {out}, {card}")
    return 0
