"""The learners' hyper-parameters as flags, read from their constructors (floor 4).

A new learner's arguments become flags without a line here: ``inner_lr`` is ``--inner.lr``, any
other argument has its own name.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import tyro

from metajax.learners import LEARNERS


def arguments(build: Callable) -> dict[str, inspect.Parameter]:
    """The hyper-parameters of a learner's constructor by name."""
    parameters = inspect.signature(build).parameters
    return {k: v for k, v in parameters.items() if v.kind is v.KEYWORD_ONLY}


def defaults(name: str) -> dict[str, Any]:
    """The hyper-parameters of a learner with their defaults."""
    return {k: v.default for k, v in arguments(LEARNERS[name]).items()}


def _told(build: Callable, argument: str) -> str:
    """What the constructor's docstring says of an argument."""
    found = re.search(rf"^ +{argument}: ((?:.+\n)(?: {{8,}}.+\n)*)", build.__doc__ or "", re.M)
    return " ".join(found[1].split()) if found else ""


def _collect() -> tuple[dict[str, str], list[tuple]]:
    """The argument that each flag sets, and the flags as dataclass fields."""
    users: dict[str, list[str]] = {}
    for name, build in LEARNERS.items():
        for argument in arguments(build):
            users.setdefault(argument, []).append(name)
    flags, fields = {}, []
    for argument, names in users.items():
        short = argument.removeprefix("inner_")
        flag = argument if short in users else short
        told: dict[str, list[str]] = {}
        for name in names:
            told.setdefault(_told(LEARNERS[name], argument), []).append(name)
        said = " ".join(f"{what} [{', '.join(of)}]" for what, of in told.items())
        hint = get_type_hints(LEARNERS[names[0]])[argument]
        kind = Annotated[hint | None, tyro.conf.arg(help=said)]
        flags[flag] = argument
        fields.append((flag, kind, dataclasses.field(default=None)))
    return flags, fields


# The constructor argument that each flag sets, and the flags as a configuration.
HYPER, _FIELDS = _collect()
Inner = dataclasses.make_dataclass("Inner", _FIELDS, frozen=True)
Inner.__module__ = __name__  # so that worker processes find it
Inner.__doc__ = "The learner's own hyper-parameters; None keeps the learner's default."

# Numbers that a compiled program takes as arguments; all else decides its form.
NUMBERS = frozenset(
    argument
    for build in LEARNERS.values()
    for argument in arguments(build)
    if get_type_hints(build)[argument] is float
)
