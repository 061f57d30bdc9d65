"""Finds the learners of this folder: every file with its `METHODS`, and what is wrong with a file.

A file that cannot be used is named with its remedy, and the others are found all the same: tables
of what was run before need none of them.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, get_args, get_type_hints

from metajax.learners.method import Method, Pillar
from metajax.types import KINDS

PLAIN = {float: "float", int: "int", bool: "bool", str: "str"}
PAGE = "docs/own_learner.md"


class Found(NamedTuple):
    """What a folder holds.

    Attributes:
      methods: by name; pillar by pillar, files by their names.
      broken: what is wrong, by file.
    """

    methods: dict[str, Method]
    broken: dict[str, str]


def learners(package: str, folder: Path) -> Found:
    """The learners of a package.

    Args:
      package: its name.
      folder: where its files lie; names with an underscore in front are left out.
    """
    usable, broken, seen, places = [], {}, {}, {}
    for module in pkgutil.iter_modules([str(folder)]):
        if module.ispkg or module.name.startswith("_"):
            continue
        file = f"{package.replace('.', '/')}/{module.name}.py"
        try:
            given = importlib.import_module(f"{package}.{module.name}")
            methods = _methods(given)
            told = {one.name: _arguments(one) for one in methods}
            for name, arguments in told.items():
                if name in places:
                    raise ValueError(f"{places[name]} has a learner {name} already; rename one")
                _fit(arguments, file, seen)
        except ValueError as error:
            broken[file] = str(error)
        except (Exception, SystemExit) as error:  # whatever it is, the others are found
            said = " ".join(str(error).split())
            broken[file] = f"it cannot be imported: {type(error).__name__}: {said}"
        else:
            usable += methods
            places |= dict.fromkeys(told, file)
            for arguments in told.values():
                seen |= {one: (kind, file) for one, kind in arguments.items()}
    order = get_args(Pillar)
    usable.sort(key=lambda one: order.index(one.pillar))  # stable: then the files' names
    return Found({one.name: one for one in usable}, broken)


def refusal(broken: dict[str, str]) -> ValueError:
    """One message about all files that cannot be used."""
    told = "; ".join(f"{file}: {what}" for file, what in broken.items())
    return ValueError(f"{told} ({PAGE} has a whole learner)")


def _methods(module: Any) -> tuple[Method, ...]:
    """What a file says it has.

    Raises:
      ValueError: if it says nothing, or something else.
    """
    methods = getattr(module, "METHODS", None)
    if methods is None:
        raise ValueError("it has no METHODS; end it with METHODS = (Method(...),), or METHODS = () "
                         "if it holds parts of learners")  # fmt: skip
    if not isinstance(methods, tuple | list) or not all(isinstance(m, Method) for m in methods):
        raise ValueError("METHODS must be a tuple: METHODS = (Method(...),)")
    for one in methods:
        if not inspect.isfunction(one.build) or not one.name.isidentifier():
            raise ValueError(f"Method({one.build!r}) needs a function with a name")
        if one.pillar not in get_args(Pillar):
            raise ValueError(f"{one.name}: pillar is one of {_listed(get_args(Pillar))}; "
                             f"got {one.pillar!r}")  # fmt: skip
        if isinstance(one.kinds, str) or not one.kinds or not set(one.kinds) <= set(KINDS):
            raise ValueError(f"{one.name}: kinds is a tuple of {_listed(KINDS)}; got {one.kinds!r}")
    return tuple(methods)


def _arguments(method: Method) -> dict[str, type]:
    """The hyper-parameters of a method with their types.

    Raises:
      ValueError: for one that no flag could be made of.
    """
    hints, found = get_type_hints(method.build), {}
    free = inspect.signature(method.build).parameters.values()
    for i, one in enumerate(free):
        if one.kind is one.KEYWORD_ONLY:
            kinds = [k for k in _parts(hints.get(one.name)) if k is not type(None)]
            if len(kinds) != 1 or kinds[0] not in PLAIN or one.default is one.empty:
                raise ValueError(f"{method.name}: the hyper-parameter {one.name} needs a type and "
                                 f"a default, such as {one.name}: float = 1.0; its type is one of "
                                 f"{_listed(PLAIN.values())}")  # fmt: skip
            found[one.name] = kinds[0]
        elif i > 1 or one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            raise ValueError(f"{method.name}: {one.name} must be keyword-only: def {method.name}("
                             f"spec, encoder, *, {one.name}: float = 1.0)")  # fmt: skip
    return found


def _parts(hint: Any) -> tuple[Any, ...]:
    """The types of a union, or the one that it is."""
    return get_args(hint) if isinstance(hint, UnionType) else (hint,)


def _fit(arguments: dict[str, type], file: str, seen: dict[str, tuple[type, str]]) -> None:
    """Refuses what would change the flags of others.

    Raises:
      ValueError: for a name that has another type elsewhere, or that takes another flag's place.
    """
    for name, kind in arguments.items():
        other, place = seen.get(name, (kind, file))
        if other is not kind:
            raise ValueError(f"{name} is {PLAIN[kind]} here and {PLAIN[other]} in {place}; rename "
                             "it, or use the same type")  # fmt: skip
        twin = name.removeprefix("inner_") if name.startswith("inner_") else f"inner_{name}"
        if twin in seen and name not in seen and twin not in arguments:
            raise ValueError(f"{name} would take the flag of {twin} ({seen[twin][1]}); name it "
                             f"{twin}, or something else")  # fmt: skip


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
