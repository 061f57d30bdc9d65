"""A switch on the command line may stand alone: ``--again`` is ``--again=True``.

`wandb agent` passes booleans with their value, so the parser takes them so; a person does not.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Sequence


def spelled_out(kind: type, arguments: Sequence[str]) -> list[str]:
    """Arguments in which a boolean flag without a value has ``=True``.

    Args:
      kind: the dataclass that the command line is parsed into, parts of it included.
      arguments: as given.
    """
    known, whole = set(_switches(kind)), []
    for i, argument in enumerate(arguments):
        name = argument.removeprefix("--").replace("-", "_")
        bare = argument.startswith("--") and name in known
        follows = arguments[i + 1] if i + 1 < len(arguments) else ""
        valued = follows.lower() in ("true", "false", "none")
        whole.append(f"{argument}=True" if bare and not valued else argument)
    return whole


def _switches(kind: type) -> Iterator[str]:
    """The names of the boolean fields of a dataclass, those of its parts behind the part's name.

    Not the last name alone: ``--shared drop`` is no switch, though ``--inner.shared`` is one.
    """
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        if typing.get_origin(hint) is typing.Annotated:
            hint, *marks = typing.get_args(hint)
            name = "" if any(getattr(mark, "name", None) == "" for mark in marks) else name
        kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        for one in kinds:
            if one is bool:
                yield name
            elif dataclasses.is_dataclass(one):
                yield from (f"{name}.{below}" if name else below for below in _switches(one))
