"""What a benchmark is made of, as text that is the same in every process (floor 1).

A function is its name, what is bound to it and what it encloses; an array the digest of its bytes.
What cannot be told apart by text, a lambda say, is refused.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import re
from collections.abc import Callable, Mapping, Set
from pathlib import Path, PurePath
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import jax
import numpy as np

Scalar = str | int | float | bool | None
ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{4,}")


def plain(value: Any) -> Any:
    """JSON of a value: numbers, words and lists of them as they are, all else as `text`."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, enum.Enum) or not isinstance(value, Scalar | list | tuple | range):
        return text(value)
    if isinstance(value, Scalar):
        return value
    return text(value) if hasattr(value, "_fields") else [plain(one) for one in value]


def text(value: Any) -> str:
    """A value as text that is equal for equal values, in any process.

    Raises:
      ValueError: for what has no such text: a lambda, an object that is printed as its address.
    """
    return _text(value, (), {}, [])


def functions(value: Any) -> list[Callable]:
    """Every function and class that the text of a value names, those inside it included."""
    found: list[Callable] = []
    _text(value, (), {}, found)
    return found


def _text(value: Any, inside: tuple[int, ...], arrays: dict, found: list[Callable]) -> str:
    """See `text`; `inside` are the objects that are being told, `arrays` the digests so far."""
    if id(value) in inside:
        return "..."  # it holds itself
    told = functools.partial(_text, inside=(*inside, id(value)), arrays=arrays, found=found)
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, Scalar):
        return repr(value)
    if isinstance(value, PurePath):
        return repr(str(value))
    if isinstance(value, np.ndarray | jax.Array):
        if id(value) not in arrays:
            arrays[id(value)] = value, _array(value)  # kept alive: its id stays its own
        return arrays[id(value)][1]
    if hasattr(value, "_fields") and isinstance(value, tuple):
        return _call(type(value).__name__, [], value._asdict(), told)
    if isinstance(value, list | tuple | range):
        return f"[{', '.join(map(told, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(sorted(f"{told(k)}: {told(v)}" for k, v in value.items())) + "}"
    if isinstance(value, Set):
        return "{" + ", ".join(sorted(map(told, value))) + "}"
    if isinstance(value, functools.partial):
        return _call(told(value.func), value.args, value.keywords, told)
    if isinstance(value, MethodType):
        return f"{told(value.__func__)} of {told(value.__self__)}"
    if isinstance(value, FunctionType):
        found.append(value)
        return _function(value, told)
    if isinstance(value, BuiltinFunctionType | type | np.ufunc):
        found += [value] if isinstance(value, type) else []
        return f"{getattr(value, '__module__', None) or 'builtins'}.{value.__name__}"
    if callable(value) and hasattr(value, "__wrapped__"):  # compiled, or cached
        return told(value.__wrapped__)
    if dataclasses.is_dataclass(value):
        found.append(type(value))
        fields = {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value)}
        own = {k: v for k, v in fields.items() if k != "parent"}  # of a flax module: the tree above
        return _call(type(value).__name__, [], own, told)
    shown = repr(value)
    if ADDRESS.search(shown):
        raise ValueError(
            f"{shown} cannot be told from another one like it, so runs with it cannot be named. "
            "Remedy: a function of a module, functools.partial of one, or a frozen dataclass"
        )
    if own := getattr(value, "__dict__", None):  # its own repr may leave them out
        found.append(type(value))
        return _call(shown, [], own, told)
    return shown


def _function(value: FunctionType, told: Callable[[Any], str]) -> str:
    """Its name, with its defaults and what it encloses."""
    if "<lambda>" in value.__qualname__.rpartition(".")[2]:
        place = f"{Path(value.__code__.co_filename).name}, line {value.__code__.co_firstlineno}"
        raise ValueError(
            f"a lambda ({place}) has no name, so runs with it cannot be told from runs with "
            "another. Remedy: def a function in a module, or use functools.partial"
        )
    module = value.__module__ or ""
    file = Path(value.__code__.co_filename)
    if module.partition(".")[0] != "metajax" and "site-packages" not in file.parts:
        module = file.stem  # run, imported or tested: the same script
    name = f"{module}.{value.__qualname__.replace('.<locals>', '')}"
    bound = dict(enumerate(value.__defaults__ or ())) | (value.__kwdefaults__ or {})
    own = {f"default {key}": default for key, default in bound.items()}
    for free, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
        try:
            own[free] = cell.cell_contents
        except ValueError:  # not filled yet
            own[free] = None
    return _call(name, [], own, told) if own else name


def _call(name: str, given: Any, named: Mapping[str, Any], told: Callable[[Any], str]) -> str:
    inside = [*map(told, given), *(f"{key}={told(one)}" for key, one in sorted(named.items()))]
    return f"{name}({', '.join(inside)})"


def _array(value: np.ndarray | jax.Array) -> str:
    """Type, shape and digest of an array."""
    if isinstance(value, jax.Array) and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        return f"key {_array(jax.random.key_data(value))}"
    array = np.asarray(value)
    content = array.tobytes() if array.dtype != object else text(array.tolist()).encode()
    return f"{array.dtype}{list(array.shape)}:{hashlib.sha256(content).hexdigest()[:16]}"
