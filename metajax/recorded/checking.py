"""JSON that the rest of the code may rely on (a part of `metajax.recorded`)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

DEEPEST = 32  # levels of a JSON file; ours have five
LARGEST = 2**63  # beyond it neither numpy nor Parquet has an integer


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Turns whatever reading a file raises into a ValueError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise ValueError(f"damaged record: {path}: there is no such file") from error
    except Exception as error:  # zipfile, zlib, json and numpy raise a dozen kinds
        why = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"damaged record: {path}: {why[:300]}") from error


def json_object(data: bytes) -> dict[str, Any]:
    """A JSON object of UTF-8 bytes, checked leaf by leaf."""
    if data.startswith(b"\xef\xbb\xbf"):
        raise ValueError("it begins with a byte order mark: another program has written it")
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        raise ValueError(f"no UTF-8: byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"it holds no JSON object, but {_kind(found)}")
    _walk(found, "", 0)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{max(names, key=names.count)!r} is there twice")
    return found


def _walk(value: Any, name: str, depth: int) -> None:
    """Raises ValueError for what no other part of the code must meet."""
    if depth > DEEPEST:
        raise ValueError(f"{name.split('.')[0]} is nested more than {DEEPEST} deep")
    if isinstance(value, dict):
        for key, one in value.items():
            _walk(one, f"{name}.{key}".lstrip("."), depth + 1)
    elif isinstance(value, list):
        for one in value:
            _walk(one, name, depth + 1)
    elif isinstance(value, int) and abs(value) >= LARGEST:
        raise ValueError(f"{name} is an integer beyond 64 bits")


def must(
    name: str, where: Mapping[str, Any], good: Callable[[Any], bool], what: str,
    needed: bool = False,
) -> None:
    """Raises ValueError unless a value is good, or may be absent or null and is."""
    value = where.get(name)
    if value is None and not needed:
        return
    if name not in where:
        raise ValueError(f"no {name}")
    if not good(value):
        raise ValueError(f"{name} must be {what}; it is {_kind(value)}")


def _kind(value: Any) -> str:
    shown = json.dumps(value)
    return shown if len(shown) < 40 else f"{type(value).__name__} {shown[:30]}..."


def is_text(value: Any) -> bool:
    """A text."""
    return isinstance(value, str)


def is_name(value: Any) -> bool:
    """A text that is not empty."""
    return isinstance(value, str) and bool(value)


def is_object(value: Any) -> bool:
    """A JSON object."""
    return isinstance(value, dict)


def is_integer(value: Any) -> bool:
    """An integer; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    """An integer from 0 on."""
    return is_integer(value) and value >= 0


def is_number(value: Any, finite: bool = True) -> bool:
    """A number, finite unless NaN and infinities are allowed."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and (not finite or abs(value) < float("inf"))  # NaN is not


def are_integers(value: Any) -> bool:
    """A list of integers."""
    return isinstance(value, list) and all(map(is_integer, value))


def are_shots(value: Any) -> bool:
    """A support size, or a list of them."""
    many = value if isinstance(value, list) else [value]
    return bool(many) and all(is_count(one) and one < 2**31 for one in many)


def are_names(value: Any) -> bool:
    """A list of texts or numbers."""
    return isinstance(value, list) and all(isinstance(one, str | int | float) for one in value)


def are_numbers(value: Any) -> bool:
    """An object of finite numbers, some of them null."""
    return isinstance(value, dict) and all(v is None or is_number(v) for v in value.values())


def are_cards(value: Any) -> bool:
    """Data cards by name, each with the checksums of its files."""
    return isinstance(value, dict) and all(
        isinstance(card, dict) and isinstance(card.get("files") or {}, dict)
        for card in value.values()
    )
