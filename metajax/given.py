"""Flags of which one can tell whether they were given: every field is None until it is (floor 5).

Made from the configuration's parts, so that fields and their texts are kept in one place.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from typing import Annotated, Any, get_type_hints

import tyro

from metajax.config import Encoder, Evaluate, Train


def texts(kind: type) -> dict[str, str]:
    """What the source of a dataclass says below each of its fields."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def optional(kind: type, name: str) -> type:
    """The flags of a part of the configuration: its fields, None where nothing was given."""
    told, hints = texts(kind), get_type_hints(kind)
    fields = []
    for field in dataclasses.fields(kind):
        own = f"{told[field.name]} (default: the benchmark's own, mostly {shown(field.default)})"
        flag = Annotated[hints[field.name] | None, tyro.conf.arg(help=own)]
        fields.append((field.name, flag, dataclasses.field(default=None)))
    made = dataclasses.make_dataclass(name, fields, frozen=True)
    made.__module__ = __name__  # so that worker processes find it
    made.__doc__ = f"{kind.__doc__} None: the benchmark's own."
    return made


def shown(default: Any) -> str:
    """A default as the command line writes it."""
    return " ".join(map(str, default)) if isinstance(default, tuple) else str(default)


TrainFlags = optional(Train, "TrainFlags")
EncoderFlags = optional(Encoder, "EncoderFlags")
EvaluateFlags = optional(Evaluate, "EvaluateFlags")


def given(flags: Any) -> dict[str, Any]:
    """The fields that were given, by name.

    A whole `Train`, `Encoder` or `Evaluate` cannot tell: of these the fields are meant that differ
    from their defaults. Write `TrainFlags(tasks_per_step=16)` to give one that does not.
    """
    whole = isinstance(flags, Train | Encoder | Evaluate)
    kept = {}
    for field in dataclasses.fields(flags):
        value = getattr(flags, field.name)
        left = value == field.default if whole else value is None
        if not left and (field.name, value) != ("name", "auto"):  # auto: the benchmark's own
            kept[field.name] = value
    return kept


def as_flags(part: Any) -> Any:
    """A whole part of a configuration as flags, see `given`; other flags as they are."""
    for whole, kind in ((Train, TrainFlags), (Encoder, EncoderFlags), (Evaluate, EvaluateFlags)):
        if isinstance(part, whole):
            return kind(**given(part))
    return part
