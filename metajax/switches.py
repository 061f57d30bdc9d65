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
        name = argument.removeprefix("--").rpartition(".")[2].replace("-", "_")
        bare = argument.startswith("--") and name in known
        follows = arguments[i + 1] if i + 1 < len(arguments) else ""
        valued = follows.lower() in ("true", "false", "none")
        whole.append(f"{argument}=True" if bare and not valued else argument)
    return whole


def _switches(kind: type) -> Iterator[str]:
    """The names of the boolean fields of a dataclass and of its parts."""
    for name, hint in typing.get_type_hints(kind).items():
        kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        for one in kinds:
            if one is bool:
                yield name
            elif dataclasses.is_dataclass(one):
                yield from _switches(one)
