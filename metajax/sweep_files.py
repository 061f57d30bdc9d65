"""Sweep files of Weights & Biases, read without its server: grid and random (floor 6).

The same file is taken by ``wandb sweep``. Everything is checked before anything runs, and what is
wrong is told with its line.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from metajax import sweep_text
from metajax.sweep_parameters import Parameter, Scalar, drawn, parameter
from metajax.sweep_text import refusal, shown, suggestion

KEYS = (
    "program", "method", "parameters", "metric", "command", "name", "description", "project",
    "entity", "run_cap", "early_terminate",
)  # fmt: skip
# Each takes a third of a millisecond to resolve, and a line of the listing.
MOST_TRIALS = 100_000
MACROS = ("${env}", "${interpreter}", "${program}", "${args}")


class SweepFile(NamedTuple):
    """A sweep file that was found to be whole.

    Attributes:
      path: where it lies.
      program: the experiment script, as the file names it.
      method: "grid" or "random".
      parameters: in the file's order.
      metric: the score to report, or None; with whether more of it is better.
      extra: arguments that the file's command gives besides the parameters.
      run_cap: the most trials, or None.
      lines: of the top-level keys.
    """

    path: Path
    program: str
    method: str
    parameters: tuple[Parameter, ...]
    metric: tuple[str, bool] | None
    extra: tuple[str, ...]
    run_cap: int | None
    lines: dict[str, int]

    def error(self, name: str, message: str) -> ValueError:
        """An error at the line of a parameter or top-level key."""
        places = self.lines | {one.name: one.line for one in self.parameters}
        return refusal(self.path, places.get(name, 1), message)


def read(path: Path) -> SweepFile:
    """Reads and checks a sweep file.

    Raises:
      ValueError: for whatever cannot be run offline as it stands, with the line.
      OSError: if it cannot be read.
    """
    root = sweep_text.compose(path)
    if not isinstance(root, yaml.MappingNode):
        raise refusal(path, 1, f"no sweep; it needs {', '.join(KEYS[:3])}")
    top = sweep_text.fields(path, root)
    lines = {name: line for name, (line, _) in top.items()}
    for name, (line, _) in top.items():
        if name not in KEYS:
            raise refusal(path, line, f"unknown key {shown(name)}{suggestion(name, KEYS)}")
    for name in KEYS[:3]:
        if name not in top:
            raise refusal(path, 1, f"{name!r} is missing")
    given = {n: sweep_text.plain(path, node) for n, (_, node) in top.items() if n != "parameters"}

    def refuse(name: str, message: str) -> ValueError:
        return refusal(path, lines[name], message)

    method, cap = given["method"], given.get("run_cap")
    if method == "bayes":
        raise refuse("method", "bayes needs the server of W&B (wandb sweep FILE; wandb agent ID); "
                     "offline there are grid and random")  # fmt: skip
    if method not in ("grid", "random"):
        raise refuse("method", f"method {shown(method)}"
                     + suggestion(str(method)[:60], ("grid", "random")))  # fmt: skip
    if "early_terminate" in given:
        raise refuse("early_terminate", "early_terminate works online only (wandb sweep FILE); "
                     "remove it, or lower train.steps")  # fmt: skip
    if cap is not None and (type(cap) is not int or cap < 1):
        raise refuse("run_cap", f"run_cap must be a whole number above 0; got {shown(cap)}")
    if method == "random" and cap is None:
        raise refuse("method", "a random search needs run_cap, the number of trials")
    if not isinstance(given["program"], str) or not given["program"]:
        raise refuse("program", "program must be the path of an experiment script")
    node = top["parameters"][1]
    if not isinstance(node, yaml.MappingNode) or not node.value:
        raise refuse("parameters", "parameters is empty; give NAME: {values: [...]}")
    parameters = tuple(
        parameter(path, name, line, entry, method)
        for name, (line, entry) in sweep_text.fields(path, node).items()
    )
    count = math.prod(len(one.values) for one in parameters) if method == "grid" else cap
    if (made := min(count, cap or count)) > MOST_TRIALS:
        told = f"{made:,} trials" if made < 10**18 else "more than 10**18 trials"
        raise refuse("run_cap" if cap else "method", f"{told}; run_cap sets the most that are "
                     f"made, up to {MOST_TRIALS:,}")  # fmt: skip
    return SweepFile(
        path, given["program"], method, parameters, _metric(given.get("metric"), refuse),
        _extra(given.get("command"), refuse), cap, lines,
    )  # fmt: skip


def _metric(given: Any, refuse) -> tuple[str, bool] | None:
    if given is None:
        return None
    if not isinstance(given, dict) or not set(given) <= {"name", "goal", "target"}:
        raise refuse("metric", "metric needs a name and a goal (maximize or minimize)")
    if given.get("goal") not in ("maximize", "minimize") or not isinstance(given.get("name"), str):
        raise refuse("metric", "metric needs a name and a goal (maximize or minimize)")
    return given["name"], given["goal"] == "maximize"


def _extra(command: Any, refuse) -> tuple[str, ...]:
    if command is None:
        return ()
    if not isinstance(command, list) or "${program}" not in command or "${args}" not in command:
        raise refuse("command", "command must be a list with ${program} and ${args}")
    if not all(isinstance(part, str | int | float) for part in command):
        raise refuse("command", "command must be a list of texts")
    after = command[command.index("${program}") + 1 :]
    for part in after:
        if str(part).startswith("${") and part not in MACROS:
            raise refuse("command", f"{part} is not passed on offline; use ${{args}}")
    return tuple(str(part) for part in after if part not in MACROS)


def trials(sweep: SweepFile, seed: int = 0) -> list[dict[str, Scalar]]:
    """The trials of a sweep, in order: name to value.

    A grid varies the last parameter fastest. Trial i of a random search depends on `seed` and i
    alone, so that a longer search holds the shorter one.
    """
    names = [one.name for one in sweep.parameters]
    if sweep.method == "grid":
        every = itertools.product(*(one.values for one in sweep.parameters))
        capped = itertools.islice(every, sweep.run_cap)  # the whole grid may be beyond all memory
        return [dict(zip(names, values, strict=True)) for values in capped]
    found = []
    for i in range(sweep.run_cap or 0):
        rng = np.random.default_rng((seed, i))
        found.append({one.name: drawn(one, rng) for one in sweep.parameters})
    return found
