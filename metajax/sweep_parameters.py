"""What a sweep file says of one parameter: values, or a distribution (floor 1)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from metajax import sweep_text
from metajax.sweep_text import refusal, shown, suggestion

Scalar = str | int | float | bool | None
# Distributions of a random search, with what they need besides min and max.
DISTRIBUTIONS = {
    "uniform": (), "q_uniform": ("q",), "int_uniform": (), "log_uniform_values": (),
    "q_log_uniform_values": ("q",),
}  # fmt: skip


class Parameter(NamedTuple):
    """What a sweep varies, or sets.

    Attributes:
      name: dotted, that of a flag.
      line: where it stands in the file.
      values: what to try; empty for a distribution.
      distribution: of a random search, with its bounds; or the probabilities of the values.
    """

    name: str
    line: int
    values: tuple[Scalar, ...] = ()
    distribution: dict[str, Any] | None = None


def parameter(path: Path, name: str, line: int, node: yaml.Node, method: str) -> Parameter:
    """What the entry of one parameter says.

    Raises:
      ValueError: for what cannot be tried offline, with the line.
    """

    def refuse(message: str) -> ValueError:
        return refusal(path, line, f"{name}: {message}")

    given = sweep_text.plain(path, node)
    if not isinstance(given, dict):
        raise refuse("write {value: ...} or {values: [...]}")
    if "parameters" in given:
        inside = given["parameters"]
        first = next(iter(inside)) if isinstance(inside, dict) and inside else "NAME"
        raise refuse(f"nested parameters are not passed on as flags; write {name}.{first}: ...")
    if {"value", "values"} <= set(given):
        raise refuse("has both value and values; keep one")
    if "value" in given or "values" in given:
        return Parameter(name, line, *_listed(given, method, refuse))
    if not {"min", "max"} <= set(given):
        raise refuse("has no values; write {value: ...}, {values: [...]}, or min and max")
    if method == "grid":
        raise refuse("a grid needs values; min and max are for method: random")
    return Parameter(name, line, distribution=_distribution(given, refuse))


def _listed(
    given: dict[str, Any], method: str, refuse
) -> tuple[tuple[Scalar, ...], dict[str, Any] | None]:
    """The values that are listed, and how likely each is, if that is said."""
    known = {"value": ("constant",), "values": ("categorical", "categorical_w_probabilities")}
    what = "values" if "values" in given else "value"
    kind = given.get("distribution", known[what][0])
    if kind not in known[what]:
        raise refuse(f"distribution {shown(kind)} does not go with {what}; {known[what][0]} does, "
                     "and so does none")  # fmt: skip
    if other := set(given) - {what, "distribution", "probabilities"}:
        told = ", ".join(sorted(str(one)[:60] for one in other))
        raise refuse(f"{told} beside the {what} is not understood")
    values = given["values"] if what == "values" else [given["value"]]
    if not isinstance(values, list) or not values:
        raise refuse("values is empty; give at least one")
    for value in values:
        if not isinstance(value, Scalar):
            raise refuse(f"{shown(value)} is not a number, a text, true or false")
        if isinstance(value, float) and not math.isfinite(value):
            raise refuse(f"{value} is not finite")
    if len({(type(v), v) for v in values}) < len(values):
        raise refuse("a value stands there twice")
    if "probabilities" not in given:
        return tuple(values), None
    if method == "grid" or what == "value":
        raise refuse("probabilities are for the values of method: random")
    shares = given["probabilities"]
    if not isinstance(shares, list) or not all(_is_number(one) and one >= 0 for one in shares):
        raise refuse("probabilities is a list of numbers, 0 or more")
    if len(shares) != len(values) or abs(sum(shares) - 1) > 1e-6:
        raise refuse(f"{len(values)} values need as many probabilities, with the sum 1; got "
                     f"{len(shares)} with the sum {sum(shares):g}")  # fmt: skip
    return tuple(values), {"probabilities": [one / sum(shares) for one in shares]}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _distribution(given: dict[str, Any], refuse) -> dict[str, Any]:
    low, high, step = given["min"], given["max"], given.get("q", 1)
    for bound in (low, high, step):
        if not _is_number(bound):
            hint = "; YAML reads 1e-3 as a text: write 1.0e-3" if isinstance(bound, str) else ""
            raise refuse(f"{shown(bound)} is no number{hint}")
        if not abs(bound) < 2**63:  # of what is beyond, no double knows the distance
            raise refuse(f"{shown(bound)} is not finite, or beyond 2**63")
    whole = isinstance(low, int) and isinstance(high, int)
    kind = given.get("distribution", "int_uniform" if whole else "uniform")
    if not isinstance(kind, str) or kind not in DISTRIBUTIONS:
        raise refuse(f"distribution {shown(kind)}{suggestion(str(kind), tuple(DISTRIBUTIONS))}")
    allowed = {"distribution", "min", "max", *DISTRIBUTIONS[kind]}
    if other := set(given) - allowed:
        raise refuse(f"{kind} has no {', '.join(sorted(str(one)[:60] for one in other))}")
    if not low < high:
        raise refuse(f"min must be below max; got {low} and {high}")
    if kind == "int_uniform" and not whole:
        raise refuse(f"int_uniform needs whole numbers; got {low} and {high}")
    if step <= 0:
        raise refuse(f"q must be above 0; got {step}")
    if kind.startswith("q_") and max(abs(low), abs(high)) / step > 2**53:
        raise refuse(f"q = {step} is too small for numbers up to {max(abs(low), abs(high))}")
    if kind.startswith(("log", "q_log")) and low <= 0:
        raise refuse(f"min of {kind} must be above 0; got {low}")
    return {"q": 1, **given, "distribution": kind}


def drawn(parameter: Parameter, rng: np.random.Generator) -> Scalar:
    """One value of a random search."""
    how = parameter.distribution
    if how is None:
        return parameter.values[int(rng.integers(len(parameter.values)))]
    if "probabilities" in how:
        return parameter.values[int(rng.choice(len(parameter.values), p=how["probabilities"]))]
    low, high, kind = how["min"], how["max"], how["distribution"]
    if kind == "int_uniform":
        return int(rng.integers(low, high, endpoint=True))
    if "log" in kind:
        value = math.exp(rng.uniform(math.log(low), math.log(high)))
    else:
        value = float(rng.uniform(low, high))
    return round(value / how["q"]) * how["q"] if kind.startswith("q_") else value
