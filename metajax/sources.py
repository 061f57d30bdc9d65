"""Which source files something comes from, and their digests, without comments and docstrings.

Read, never imported (floor 1). A package's `__init__` only passes names on: a name is looked for in
the file that defines it.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import metajax

ROOT = Path(metajax.__file__).resolve().parent.parent
# What numbers do not come from: names and copies of records, flags, pages, downloads.
PLUMBING = frozenset(
    f"metajax/{name}.py"
    for name in (
        "checkpoints", "commands", "describe", "disk", "given", "hyper", "limits", "origins",
        "precision", "records", "sources", "suites", "surroundings", "sweep_command", "sweep_files",
        "sweep_plans", "sweeps", "learners/method", "datasets/cards", "datasets/copies",
        "datasets/files",
        "datasets/loading", "datasets/pages", "datasets/prepared", "datasets/verify",
    )
)  # fmt: skip
PAGES = ("metajax/recorded/", "metajax/report/", "metajax/tables/", "metajax/tracking/")
# Files that also hold other things: what of them makes numbers.
ONLY = {
    "metajax/config.py": (
        "build_encoder", "_maker", "build_maker", "learner_of", "numbers", "_build", "_optimizer",
    ),
    "metajax/runs.py": (
        "SELECTION", "_run_learner", "_run_baseline", "_train", "_chosen", "_validate",
    ),
}  # fmt: skip
APART = {"METHODS"}  # what the registry says of a learner: words


def digests(files: Iterable[Path]) -> dict[str, str]:
    """Digests of files and of all files of this package that they import, by path in the checkout.

    Args:
      files: Python files, of this package or not.
    """
    found: dict[str, Path] = {}
    queue = [Path(file).resolve() for file in files]
    while queue:
        path = queue.pop()
        name = label(path)
        for folder in path.parents:  # outside the checkout two files may have one name
            if found.get(name, path) == path:
                break
            name = f"{folder.name}/{name}"
        if name in found or name.startswith(PAGES) or name in PLUMBING:
            continue
        if path.name == "__init__.py":
            continue
        found[name] = path
        if name != "metajax/config.py":  # which imports every learner
            queue += _imported(path, path.stat().st_mtime_ns)
    return {name: digest(path) for name, path in sorted(found.items())}


def changed(told: Mapping[str, str], now: Mapping[str, str] | None = None) -> list[str]:
    """The files of a record that are others today.

    Args:
      told: digests that the record keeps.
      now: digests of today, for files that do not lie in the checkout; other files are read.
    """
    now = now or {}
    return [name for name, old in told.items() if now.get(name, _today(name)) != old]


def label(path: Path) -> str:
    """A file's path in the checkout; of one outside its name alone, which says nothing private."""
    path = path.resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def digest(path: Path) -> str:
    """A digest of what a Python file does: the same whatever its comments, docstrings and layout.

    Raises:
      OSError: if it cannot be read.
      SyntaxError: if it is no Python.
    """
    return _digest(path, path.stat().st_mtime_ns)


def _today(name: str) -> str | None:
    try:
        return digest(ROOT / name)
    except (OSError, SyntaxError, ValueError):
        return None


@cache
def _digest(path: Path, changed_at: int) -> str:
    tree = ast.parse(path.read_bytes())
    only = ONLY.get(label(path))
    body = [one for one in tree.body if not _is_text(one) and not APART & _names(one)]
    if only is not None:
        body = [one for one in body if _names(one) & {*only}]
    told = "\n".join(map(_shown, body))
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _names(node: ast.stmt) -> set[str]:
    """The names that a statement at the top of a file defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {one.id for one in targets if isinstance(one, ast.Name)}


def _shown(node: object) -> str:
    """A tree as text. Not `ast.dump`: that differs between releases of Python."""
    if isinstance(node, list):
        kept = [one for one in node if not _is_text(one)]
        return f"[{','.join(map(_shown, kept))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = (
        f"{name}={_shown(value)}"
        for name, value in ast.iter_fields(node)
        if value not in (None, []) and name not in ("ctx", "kind", "type_comment")
    )
    return f"{type(node).__name__}({','.join(fields)})"


def _is_text(node: object) -> bool:
    """A docstring, of whatever it is."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


@cache
def _imported(path: Path, changed_at: int) -> tuple[Path, ...]:
    """The files of this package that a file imports, anywhere in it."""
    found: list[Path] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and _ours(module := _absolute(node, path)):
            for name in node.names:
                found += _defining(module, name.name)
        elif isinstance(node, ast.Import):
            found += [_file(name.name) for name in node.names if _ours(name.name)]
    beside = path.parent if not path.is_relative_to(ROOT / "metajax") else None
    found += _beside(path, beside) if beside else []
    return tuple(dict.fromkeys(file for file in found if file is not None))


def _absolute(node: ast.ImportFrom, path: Path) -> str:
    """The module that is imported from, whether or not it is named from the importing file on."""
    if not node.level:
        return node.module or ""
    if not path.is_relative_to(ROOT):
        return ""
    package = path.relative_to(ROOT).parts[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def _beside(path: Path, folder: Path) -> Iterator[Path]:
    """The files beside a script, or in folders beside it, that it imports."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level > 1:  # of a folder above
                continue
            names = [f"{node.module}.{name.name}" if node.module else name.name
                     for name in node.names] + [node.module or ""]  # fmt: skip
        else:
            continue
        for name in filter(None, names):
            if (file := folder.joinpath(*name.split(".")).with_suffix(".py")).is_file():
                yield file


def _ours(module: str | None) -> bool:
    return (module or "").partition(".")[0] == "metajax"


def _file(module: str) -> Path | None:
    """The file of a module, None if there is none."""
    place = ROOT.joinpath(*module.split("."))
    for path in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def _defining(module: str, name: str) -> list[Path]:
    """The file that ``from module import name`` comes from."""
    if (inside := _file(f"{module}.{name}")) is not None:
        return [inside]
    file = _file(module)
    if file is None or file.name != "__init__.py":
        return [file] if file else []
    for node in ast.parse(file.read_bytes()).body:
        if isinstance(node, ast.ImportFrom) and _ours(node.module):
            for one in node.names:
                if name in (one.asname, one.name):
                    return _defining(node.module, one.name)
    return [file]
