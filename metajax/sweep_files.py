"""Sweep files of Weights & Biases, read without its server: grid and random (floor 6).

The same file is taken by ``wandb sweep``. Everything is checked before anything runs, and what is
wrong is told with its line.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

Scalar = str | int | float | bool | None
KEYS = (
    "program", "method", "parameters", "metric", "command", "name", "description", "project",
    "entity", "run_cap", "early_terminate",
)  # fmt: skip
MACROS = ("${env}", "${interpreter}", "${program}", "${args}")
# Distributions of a random search, with what they need besides min and max.
DISTRIBUTIONS = {
    "uniform": (), "q_uniform": ("q",), "int_uniform": (), "log_uniform_values": (),
    "q_log_uniform_values": ("q",),
}  # fmt: skip


def refusal(path: Path, line: int, message: str) -> ValueError:
    """What is wrong with a sweep file, where, and what to do about it."""
    return ValueError(f"{path}, line {line}: {message}")


class Parameter(NamedTuple):
    """What a sweep varies, or sets.

    Attributes:
      name: dotted, that of a flag.
      line: where it stands in the file.
      values: what to try; empty for a distribution.
      distribution: of a random search, with its bounds.
    """

    name: str
    line: int
    values: tuple[Scalar, ...] = ()
    distribution: dict[str, Any] | None = None


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


def suggestion(name: str, known: Sequence[str]) -> str:
    """The end of an error message about an unknown name."""
    close = difflib.get_close_matches(name, known)
    return f"; did you mean {' or '.join(close)}?" if close else f"; there are {', '.join(known)}"


def read(path: Path) -> SweepFile:
    """Reads and checks a sweep file.

    Raises:
      ValueError: for whatever cannot be run offline as it stands, with the line.
      OSError: if it cannot be read.
    """
    text = path.read_text()
    try:
        root = yaml.compose(text)
    except yaml.YAMLError as error:
        raise _no_yaml(path, error) from error
    if not isinstance(root, yaml.MappingNode):
        raise refusal(path, 1, f"no sweep; it needs {', '.join(KEYS[:3])}")
    top = _fields(path, root)
    lines = {name: line for name, (line, _) in top.items()}
    for name, (line, _) in top.items():
        if name not in KEYS:
            raise refusal(path, line, f"unknown key {name!r}{suggestion(name, KEYS)}")
    for name in KEYS[:3]:
        if name not in top:
            raise refusal(path, 1, f"{name!r} is missing")
    given = {name: _plain(path, node) for name, (_, node) in top.items()}

    def refuse(name: str, message: str) -> ValueError:
        return refusal(path, lines[name], message)

    method, cap = given["method"], given.get("run_cap")
    if method == "bayes":
        raise refuse("method", "bayes needs the server of W&B (wandb sweep FILE; wandb agent ID); "
                     "offline there are grid and random")  # fmt: skip
    if method not in ("grid", "random"):
        raise refuse("method", f"method {method!r}{suggestion(str(method), ('grid', 'random'))}")
    if "early_terminate" in given:
        raise refuse("early_terminate", "early_terminate works online only (wandb sweep FILE); "
                     "remove it, or lower train.steps")  # fmt: skip
    if cap is not None and (not isinstance(cap, int) or cap < 1):
        raise refuse("run_cap", f"run_cap must be a whole number above 0; got {cap!r}")
    if method == "random" and cap is None:
        raise refuse("method", "a random search needs run_cap, the number of trials")
    if not isinstance(given["program"], str) or not given["program"]:
        raise refuse("program", "program must be the path of an experiment script")
    node = top["parameters"][1]
    if not isinstance(node, yaml.MappingNode) or not node.value:
        raise refuse("parameters", "parameters is empty; give NAME: {values: [...]}")
    parameters = tuple(
        _parameter(path, name, line, entry, method)
        for name, (line, entry) in _fields(path, node).items()
    )
    return SweepFile(
        path, given["program"], method, parameters, _metric(given.get("metric"), refuse),
        _extra(given.get("command"), refuse), cap, lines,
    )  # fmt: skip


def _fields(path: Path, node: yaml.MappingNode) -> dict[str, tuple[int, yaml.Node]]:
    """Name to line and node; a name that stands twice is refused (YAML keeps the last)."""
    found: dict[str, tuple[int, yaml.Node]] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.value in found:
            first = found[key.value][0]
            raise refusal(path, line, f"{key.value!r} stands in line {first} already")
        found[key.value] = line, value
    return found


def _no_yaml(path: Path, error: yaml.YAMLError) -> ValueError:
    """What the parser trips over; a character that no text may hold has no line there."""
    mark = getattr(error, "problem_mark", None)
    told = getattr(error, "problem", None) or " ".join(str(error).split())
    return refusal(path, mark.line + 1 if mark else 1, f"no YAML: {told}")


def _plain(path: Path, node: yaml.Node) -> Any:
    """The value of a node."""
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise _no_yaml(path, error) from error
    finally:
        loader.dispose()


def _parameter(path: Path, name: str, line: int, node: yaml.Node, method: str) -> Parameter:
    def refuse(message: str) -> ValueError:
        return refusal(path, line, f"{name}: {message}")

    given = _plain(path, node)
    if not isinstance(given, dict):
        raise refuse("write {value: ...} or {values: [...]}")
    if "parameters" in given:
        inside = given["parameters"]
        first = next(iter(inside)) if isinstance(inside, dict) and inside else "NAME"
        raise refuse(f"nested parameters are not passed on as flags; write {name}.{first}: ...")
    if {"value", "values"} <= set(given):
        raise refuse("has both value and values; keep one")
    if "value" in given or "values" in given:
        values = given["values"] if "values" in given else [given["value"]]
        other = set(given) - {"value", "values"}
        if other:
            raise refuse(f"{', '.join(sorted(other))} beside the values is not understood")
        if not isinstance(values, list) or not values:
            raise refuse("values is empty; give at least one")
        for value in values:
            if not isinstance(value, Scalar):
                raise refuse(f"{value!r} is not a number, a text, true or false")
            if isinstance(value, float) and not math.isfinite(value):
                raise refuse(f"{value} is not finite")
        if len({(type(v), v) for v in values}) < len(values):
            raise refuse("a value stands there twice")
        return Parameter(name, line, tuple(values))
    if not {"min", "max"} <= set(given):
        raise refuse("has no values; write {value: ...}, {values: [...]}, or min and max")
    if method == "grid":
        raise refuse("a grid needs values; min and max are for method: random")
    return Parameter(name, line, distribution=_distribution(given, refuse))


def _distribution(given: dict[str, Any], refuse) -> dict[str, Any]:
    low, high, step = given["min"], given["max"], given.get("q", 1)
    for bound in (low, high, step):
        if not isinstance(bound, int | float) or isinstance(bound, bool):
            hint = "; YAML reads 1e-3 as a text: write 1.0e-3" if isinstance(bound, str) else ""
            raise refuse(f"{bound!r} is no number{hint}")
        if not math.isfinite(bound):
            raise refuse(f"{bound} is not finite")
    whole = isinstance(low, int) and isinstance(high, int)
    kind = given.get("distribution", "int_uniform" if whole else "uniform")
    if kind not in DISTRIBUTIONS:
        raise refuse(f"distribution {kind!r}{suggestion(str(kind), tuple(DISTRIBUTIONS))}")
    allowed = {"distribution", "min", "max", *DISTRIBUTIONS[kind]}
    if other := set(given) - allowed:
        raise refuse(f"{kind} has no {', '.join(sorted(other))}")
    if not low < high:
        raise refuse(f"min must be below max; got {low} and {high}")
    if kind == "int_uniform" and not whole:
        raise refuse(f"int_uniform needs whole numbers; got {low} and {high}")
    if step <= 0:
        raise refuse(f"q must be above 0; got {step}")
    if kind.startswith(("log", "q_log")) and low <= 0:
        raise refuse(f"min of {kind} must be above 0; got {low}")
    return {"q": 1, **given, "distribution": kind}


def _metric(given: Any, refuse) -> tuple[str, bool] | None:
    if given is None:
        return None
    if not isinstance(given, dict) or set(given) - {"name", "goal", "target"}:
        raise refuse("metric", "metric needs a name and a goal (maximize or minimize)")
    if given.get("goal") not in ("maximize", "minimize") or not isinstance(given.get("name"), str):
        raise refuse("metric", "metric needs a name and a goal (maximize or minimize)")
    return given["name"], given["goal"] == "maximize"


def _extra(command: Any, refuse) -> tuple[str, ...]:
    if command is None:
        return ()
    if not isinstance(command, list) or "${program}" not in command or "${args}" not in command:
        raise refuse("command", "command must be a list with ${program} and ${args}")
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
        found = [dict(zip(names, values, strict=True)) for values in every]
        return found[: sweep.run_cap]
    found = []
    for i in range(sweep.run_cap or 0):
        rng = np.random.default_rng((seed, i))
        found.append({one.name: _drawn(one, rng) for one in sweep.parameters})
    return found


def _drawn(parameter: Parameter, rng: np.random.Generator) -> Scalar:
    if parameter.distribution is None:
        return parameter.values[int(rng.integers(len(parameter.values)))]
    how = parameter.distribution
    low, high, kind = how["min"], how["max"], how["distribution"]
    if kind == "int_uniform":
        return int(rng.integers(low, high, endpoint=True))
    if "log" in kind:
        value = math.exp(rng.uniform(math.log(low), math.log(high)))
    else:
        value = float(rng.uniform(low, high))
    return round(value / how["q"]) * how["q"] if kind.startswith("q_") else value
