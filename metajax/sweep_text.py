"""The text of a sweep file as YAML of bounded size, every part with its line (floor 0).

A few characters of YAML can stand for a structure without end: lists in lists, anchors of anchors,
an anchor within itself. All is bounded before anything is made of it.
"""

from __future__ import annotations

import difflib
import re
import reprlib
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES, MOST_NODES, DEEPEST = 2**20, 20_000, 20
# What YAML 1.1 takes for a number and nobody means as one: 010 is 8, 1:30 is 90.
ODD_NUMBER = re.compile(r"[-+]?(0[0-9_]+|\d[\d_]*(:[0-5]?\d)+(\.\d*)?)")
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60


def shown(value: Any) -> str:
    """A value as a message may show it: short, whatever it is."""
    return _SHORT.repr(value)


def refusal(path: Path, line: int, message: str) -> ValueError:
    """What is wrong with a sweep file, where, and what to do about it."""
    return ValueError(f"{path}, line {line}: {message}")


def suggestion(name: str, known: Sequence[str]) -> str:
    """The end of an error message about an unknown name."""
    close = difflib.get_close_matches(name, known)
    return f"; did you mean {' or '.join(close)}?" if close else f"; there are {', '.join(known)}"


def compose(path: Path) -> yaml.Node | None:
    """The root of a file; None if it is empty.

    Raises:
      ValueError: for what is no YAML of a reasonable size, with its line; for a name that stands
        twice (YAML keeps the last), or is no text.
      OSError: if it cannot be read.
    """
    told = path.stat()  # a device or a pipe has no end
    if not stat.S_ISREG(told.st_mode) or told.st_size > MOST_BYTES:
        raise ValueError(f"{path} is no sweep file: it must be a file of at most "
                         f"{MOST_BYTES // 2**20} MB")  # fmt: skip
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise refusal(path, line, f"no text in UTF-8: byte {content[error.start]:#x}") from error
    try:
        _bound(path, text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _no_yaml(path, error) from error
    if root is not None and _size(path, root, set(), {}) > MOST_NODES:
        raise refusal(path, 1, f"its anchors stand for more than {MOST_NODES:,} values")
    return root


def _bound(path: Path, text: str) -> None:
    """Refuses what is too deep or too long to be composed."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        line = event.start_mark.line + 1
        if depth > DEEPEST:
            raise refusal(path, line, f"more than {DEEPEST} lists within each other")
        if count > 2 * MOST_NODES:
            raise refusal(path, line, f"more than {MOST_NODES:,} values")


def _size(path: Path, node: yaml.Node, around: set[int], known: dict[int, int]) -> int:
    """The number of values that a node stands for, its anchors written out."""
    if id(node) in around:
        raise refusal(path, node.start_mark.line + 1, "an anchor stands within itself")
    if id(node) in known:
        return known[id(node)]
    if isinstance(node, yaml.ScalarNode):
        number = node.tag.endswith((":int", ":float")) and node.style is None
        if number and ODD_NUMBER.fullmatch(node.value):
            raise refusal(path, node.start_mark.line + 1, f"YAML takes {shown(node.value)} for "
                          "another number; write it plainly, or as a text in quotes")  # fmt: skip
        parts = []
    elif isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
        fields(path, node)
    else:
        parts = node.value
    inside = around | {id(node)}
    known[id(node)] = 1 + sum(_size(path, part, inside, known) for part in parts)
    return known[id(node)]


def fields(path: Path, node: yaml.MappingNode) -> dict[str, tuple[int, yaml.Node]]:
    """Name to line and node; a name that stands twice is refused (YAML keeps the last)."""
    found: dict[str, tuple[int, yaml.Node]] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise refusal(path, line, "no YAML of a sweep: a name is wanted before the colon")
        if key.value in found:
            first = found[key.value][0]
            raise refusal(path, line, f"{shown(key.value)} stands in line {first} already")
        found[key.value] = line, value
    return found


def plain(path: Path, node: yaml.Node) -> Any:
    """The value of a node that `compose` has looked at.

    Raises:
      ValueError: for what is no value, such as the 31st of February.
    """
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise _no_yaml(path, error) from error
    except (ValueError, OverflowError) as error:  # a date that is none, a number of 5000 digits
        raise refusal(path, node.start_mark.line + 1, f"no value: {error}") from error
    finally:
        loader.dispose()


def _no_yaml(path: Path, error: yaml.YAMLError) -> ValueError:
    """What the parser trips over; a character that no text may hold has no line there."""
    mark = getattr(error, "problem_mark", None)
    told = getattr(error, "problem", None) or " ".join(str(error).split())
    return refusal(path, mark.line + 1 if mark else 1, f"no YAML: {told}")
