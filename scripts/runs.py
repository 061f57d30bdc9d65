"""List, show, compare, clean up and export the records under results."""

from __future__ import annotations

from metajax import surroundings

surroundings.check(jax=False)

import argparse
import contextlib
import csv
import io
import json
import math
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metajax import disk, recorded, sources

# Nothing heavier is imported here: a listing must not wait for JAX or pandas.
COLUMNS = ("suite", "id", "status", "learner", "seed", "seconds", "host GB")


@surroundings.guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    listing = commands.add_parser("ls", help="one line a run")
    show = commands.add_parser("show", help="one run: configuration, result, scores, environment")
    show.add_argument("run", metavar="RUN", help="an id, the beginning of one, or a folder")
    diff = commands.add_parser("diff", help="what differs between two runs")
    diff.add_argument("a", metavar="A")
    diff.add_argument("b", metavar="B")
    gc = commands.add_parser("gc", help="folders that interrupted runs left behind")
    gc.add_argument("--days", type=float, default=1.0, help="untouched for so long; default: 1")
    gc.add_argument("--checkpoints", action="store_true", help="those of finished runs as well")
    gc.add_argument("--delete", action="store_true", help="delete them; without it they are listed")
    export = commands.add_parser("export", help="one row a run, with its mean scores")
    export.add_argument("file", type=Path, metavar="FILE", help="FILE.csv or FILE.parquet")
    outdated = commands.add_parser("outdated", help="runs whose source files have changed since")
    remove = commands.add_parser("rm", help="remove runs; lists what it removes")
    remove.add_argument("runs", metavar="ID", nargs="+", help="whole ids; no folders")
    remove.add_argument("--dry-run", action="store_true", help="list only")
    for one in (listing, gc, export, outdated, remove):
        one.add_argument("--suite", help="this suite only")
    args = parser.parse_args(argv)
    try:
        if getattr(args, "suite", None) is not None:
            surroundings.suite_name(args.suite)
        if not args.results.is_dir():
            raise ValueError(f"no folder {args.results}; name one with --results")
        commands = {"ls": _ls, "show": _show, "diff": _diff, "gc": _gc, "export": _export,
                    "outdated": _outdated, "rm": _rm}  # fmt: skip
        skipped = commands[args.command](args)
    except BrokenPipeError:  # the reader, say `head`, has seen enough
        sys.stdout = None
    except (ValueError, OSError) as error:
        say(error)
        return 2
    return 1 if skipped else 0


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "config": recorded.read_config,
    "result": recorded.read_result,
    "environment": recorded.read_environment,
}


def say(message: object) -> None:
    """One line on standard error; what is told of a record must not move the cursor."""
    print(f"runs.py: {plain(str(message))}", file=sys.stderr)


def folders(results: Path, suite: str | None = None) -> list[Path]:
    """The folders of all finished runs.

    Raises:
      ValueError: if the suite has no runs.
    """
    homes = sorted(p for p in results.glob("*/runs") if suite in (None, p.parent.name))
    if suite is not None and not homes:
        there = ", ".join(sorted(p.parent.name for p in results.glob("*/runs"))) or "none"
        raise ValueError(f"no suite {suite!r} in {results}; there are: {there}")
    every = (p for home in homes for p in sorted(home.iterdir()))
    return [p for p in every if not p.name.startswith(".") and p.is_dir()]


def find(results: Path, name: str) -> Path:
    """The folder of the run of this id, or of the only one that begins so.

    Raises:
      ValueError: if there is none, or several.
    """
    if (Path(name) / "config.json").is_file():
        return Path(name)
    every = folders(results)
    found = [p for p in every if p.name == name] or [p for p in every if p.name.startswith(name)]
    if len(found) != 1:
        some = ", ".join(f"{p.parent.parent.name}/{p.name}" for p in found[:5])
        raise ValueError(
            f"{len(found)} runs begin with {name!r}: {some}; give more of the id, or the folder"
            if found
            else f"no run {name!r} in {results}; `runs.py ls` lists them"
        )
    return found[0]


def flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted names for nested ones."""
    out: dict[str, Any] = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        out |= flat(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return out


def row(folder: Path) -> dict[str, Any]:
    """What `ls` says of a run.

    Raises:
      ValueError: if its record cannot be read.
    """
    config, result = recorded.read_config(folder), recorded.read_result(folder)
    memory = (result.get("peak_memory_bytes") or {}).get("host")
    values = (
        folder.parent.parent.name, folder.name, result["status"], config["learner"],
        config["seed"],
        (result.get("seconds") or {}).get("total", ""),
        f"{memory / 1e9:.2f}" if memory else "",
    )  # fmt: skip
    return dict(zip(COLUMNS, map(str, values), strict=True))


def _ls(args: argparse.Namespace) -> int:
    rows, skipped = [dict(zip(COLUMNS, COLUMNS, strict=True))], 0
    for folder in folders(args.results, args.suite):
        try:
            rows.append({k: plain(v) for k, v in row(folder).items()})
        except ValueError as error:  # the others are still listed
            skipped += 1
            say(error)
    wide = {name: max(len(one[name]) for one in rows) for name in COLUMNS}
    for one in rows:
        print("  ".join(one[name].ljust(wide[name]) for name in COLUMNS).rstrip())
    print(f"{len(rows) - 1} runs" + f", {skipped} damaged" * bool(skipped))
    return skipped


def plain(text: str) -> str:
    """Text without what a terminal obeys instead of showing."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _means(folder: Path) -> dict[str, float]:
    """Mean over tasks of every score, by draw and support size."""
    from metajax import tracking

    record = tracking.read_record(folder)
    return tracking.task_scores(record.result, record.scores)[1]


def _show(args: argparse.Namespace) -> None:
    folder = find(args.results, args.run)
    shown: dict[str, Any] = {"folder": str(folder)}
    for part, read in PARTS.items():
        shown[part] = read(folder)
    shown["scores"] = _means(folder)
    print(json.dumps(shown, indent=1))


def _diff(args: argparse.Namespace) -> None:
    one, two = find(args.results, args.a), find(args.results, args.b)
    found = {
        part: [_means(p) if part == "scores" else flat(PARTS[part](p)) for p in (one, two)]
        for part in (*PARTS, "scores")
    }
    print(plain(f"--- {one}"), plain(f"+++ {two}"), sep="\n")
    for part, (a, b) in found.items():
        for name in sorted(a.keys() | b.keys()):
            if (old := a.get(name, "(absent)")) != (new := b.get(name, "(absent)")):
                print(plain(f"{part}.{name}: {old} -> {new}"))


def _gc(args: argparse.Namespace) -> int:
    if not (math.isfinite(args.days) and args.days >= 0):
        raise ValueError(f"--days must be 0 or more; got {args.days:g}")
    finished = folders(args.results, args.suite)
    homes = sorted({p.parent for p in finished} | {
        p for p in args.results.glob("*/runs") if args.suite in (None, p.parent.name)
    })  # fmt: skip
    left = [p for home in homes for p in home.glob(".tmp-*") if p.is_dir()]
    left += [p for home in homes for p in home.parent.glob(".tmp-*") if p.is_file()]
    if args.checkpoints:
        left += [p / "checkpoints" for p in finished if (p / "checkpoints").is_dir()]
    freed = failed = 0
    for path in sorted(left):
        if path.is_symlink() or not _untouched(path, args.days):
            continue
        size = sum(s.st_size for s in _files(path) if stat.S_ISREG(s.st_mode))
        try:
            with _kept(path):  # no one can begin with it before it is gone
                if not _untouched(path, args.days):
                    continue
                if args.delete:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        except disk.Claimed:
            say(f"{path}: in use, kept")
            continue
        except OSError as error:  # the others still go
            failed += 1
            say(error)
            continue
        freed += size
        print(f"{size / 1e6:9.1f} MB  {path}")
    print(f"{freed / 1e6:.1f} MB {'freed' if args.delete else 'to free; --delete does it'}")
    return failed


def _outdated(args: argparse.Namespace) -> int:
    """Lists runs whose sources have changed; as their digests say, whatever the clock."""
    found = older = skipped = 0
    for folder in folders(args.results, args.suite):
        try:
            told = recorded.read_sources(folder)
        except ValueError as error:
            skipped += 1
            say(error)
            continue
        if told is None:
            older += 1
        elif files := sources.changed(told):
            found += 1
            print(plain(f"{folder.parent.parent.name}/{folder.name}: {', '.join(files)}"))
    print(f"{found} runs out of date; their command makes them anew with --again")
    if older:
        print(f"{older} runs are older than the digests of sources: nothing is known of them")
    return skipped


def _rm(args: argparse.Namespace) -> int:
    """Removes runs by their ids; nothing at all if one of them cannot be."""
    every = {}
    for folder in folders(args.results, args.suite):
        every.setdefault(folder.name, []).append(folder)
    chosen: dict[Path, None] = {}
    for name in args.runs:
        if Path(name).name != name or name.startswith("."):
            raise ValueError(f"{name!r} is no id but a path; `runs.py ls` lists the ids")
        places = every.get(name, [])
        if len(places) != 1:
            near = ", ".join(one for one in every if one.startswith(name))
            hint = f"; there are {near}" if near and name else "; `runs.py ls` lists them"
            where = ", ".join(p.parent.parent.name for p in places)
            raise ValueError(f"{name} is in {where}: name one with --suite" if places
                             else f"no run {name!r} in {args.results}{hint}")  # fmt: skip
        if places[0].is_symlink():
            raise ValueError(f"{places[0]} is a link: remove it by hand")
        chosen[places[0]] = None
    with contextlib.ExitStack() as alone:
        for home in dict.fromkeys(folder.parent for folder in chosen):
            mine = [folder.name for folder in chosen if folder.parent == home]
            try:
                alone.enter_context(disk.claim(home, mine, wait=False))
            except disk.Claimed as error:
                raise ValueError(f"{error}: nothing is removed") from error
        for folder in chosen:
            print(plain(f"{'would remove' if args.dry_run else 'removed'} {folder}"))
            if not args.dry_run:  # out of sight first: half a record is none
                aside = folder.with_name(f".tmp-{folder.name}-removed")
                shutil.rmtree(aside, ignore_errors=True)
                folder.rename(aside)
                shutil.rmtree(aside)
    return 0


def _files(path: Path) -> list[os.stat_result]:
    """Of a file, or of everything in a folder that is still there."""
    found = []
    for one in [path, *path.rglob("*")]:
        with contextlib.suppress(FileNotFoundError):
            found.append(one.lstat())
    return found


def _untouched(path: Path, days: float) -> bool:
    """True if nothing in it has changed for so long; what is gone has been touched."""
    files = [one for one in _files(path) if not stat.S_ISDIR(one.st_mode)]
    with contextlib.suppress(FileNotFoundError):
        files.append(path.lstat())
    newest = max((s.st_mtime for s in files), default=math.inf)
    return time.time() - newest >= days * 86400


def _kept(path: Path) -> contextlib.AbstractContextManager[None]:
    """The claim on the runs that a leftover belongs to, see `metajax.disk.claim`."""
    if path.is_file():
        return contextlib.nullcontext()
    home = next(p for p in path.parents if p.name == "runs")
    names = [path.parent.name if path.name == "checkpoints" else path.name.removeprefix(".tmp-")]
    try:  # of several runs made together
        members = json.loads((path / "together.json").read_text())
        names = [name for name in members if isinstance(name, str)] or names
    except (OSError, ValueError, TypeError, RecursionError):
        pass
    return disk.claim(home, names, wait=False)


def _export(args: argparse.Namespace) -> int:
    kind = args.file.suffix
    if kind not in (".csv", ".parquet"):
        raise ValueError(f"{args.file}: the name must end in .csv or .parquet")
    if kind == ".parquet":
        try:
            import pandas
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise ValueError("Parquet needs pyarrow: pip install pyarrow, or use .csv") from error
    rows, skipped = [], 0
    for folder in folders(args.results, args.suite):
        try:
            parts = {part: read(folder) for part, read in PARTS.items()}
            one = {"suite": folder.parent.parent.name, "id": folder.name, **flat(parts)}
            one |= _means(folder)
        except ValueError as error:
            skipped += 1
            say(error)
            continue
        rows.append({clean(k): clean(v) for k, v in one.items()})
    if not rows:
        raise ValueError(f"no runs in {args.results}" + " that can be read" * bool(skipped))
    names = list(dict.fromkeys(name for one in rows for name in one))
    if kind == ".csv":
        writer = csv.DictWriter(text := io.StringIO(newline=""), list(map(disk.cell, names)))
        writer.writeheader()
        writer.writerows({disk.cell(k): disk.cell(v) for k, v in one.items()} for one in rows)
        content = text.getvalue().encode()
    else:
        table = pandas.DataFrame(rows, columns=names)
        for name in names:  # a column has one type: what is text in one run is text in all
            if len({type(v) for v in table[name].dropna()} - {int, float}) > 0:
                table[name] = [None if v is None or v != v else str(v) for v in table[name]]
        table.to_parquet(stream := io.BytesIO(), index=False)
        content = stream.getvalue()
    args.file.parent.mkdir(parents=True, exist_ok=True)
    disk.write(args.file, content)
    print(f"{len(rows)} runs, {len(names)} columns: {args.file}")
    return skipped


def clean(value: Any) -> Any:
    """What a cell of a table can hold: lists as JSON, text that is Unicode."""
    if isinstance(value, list | dict):
        value = json.dumps(value)
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


if __name__ == "__main__":
    sys.exit(main())
