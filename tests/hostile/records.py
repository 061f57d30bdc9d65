"""Results folders with one whole and one damaged record, a setup for each kind of damage."""

import functools
import re

from damaged import FILE, KINDS, copies, damage, keep_predictions
from synthetic_runs import make_run


def slug(kind: str) -> str:
    """A kind of damage as the name of a setup."""
    return "damaged_" + re.sub(r"\W+", "_", kind.lower())


def damaged_record(tmp, kind):
    """``results/suite`` with a whole record and a damaged copy of it."""
    home = make_run(tmp / "results" / "suite", episodes=9, shots=(8,), run_id="whole")
    if FILE[kind] == "predictions.npz":  # a report reads those of the runs it shows
        damage(kind, home)
    else:
        copies(home, [kind])


def whole_record(tmp):
    """``results/suite`` with a whole record and its predictions."""
    home = make_run(tmp / "results" / "suite", episodes=9, shots=(8,), run_id="whole")
    keep_predictions(home / "predictions.npz", 18)


def export_in_the_way(tmp):
    """A whole record, and a folder where an export should go."""
    whole_record(tmp)
    (tmp / "all.csv").mkdir()


def old_leftover(tmp):
    """A whole record, and what an interrupted run has left."""
    whole_record(tmp)
    (tmp / "results" / "suite" / "runs" / ".tmp-left").mkdir()


SETUPS = {slug(kind): functools.partial(damaged_record, kind=kind) for kind in KINDS}
SETUPS |= {one.__name__: one for one in (whole_record, export_in_the_way, old_leftover)}
