"""List, show, compare, clean up and export the records under results."""

from __future__ import annotations

from metajax import surroundings

surroundings.check(jax=False)

import argparse
import csv
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

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
    for one in (listing, gc, export):
        one.add_argument("--suite", help="this suite only")
    args = parser.parse_args(argv)
    try:
        if getattr(args, "suite", None) is not None:
            surroundings.suite_name(args.suite)
        if not args.results.is_dir():
            raise ValueError(f"no folder {args.results}; name one with --results")
        {"ls": _ls, "show": _show, "diff": _diff, "gc": _gc, "export": _export}[args.command](args)
    except BrokenPipeError:  # the reader, say `head`, has seen enough
        sys.stdout = None
    except (ValueError, OSError) as error:
        print(f"runs.py: {error}", file=sys.stderr)
        return 2
    return 0


def read(path: Path) -> dict[str, Any]:
    """A JSON object of a record.

    Raises:
      ValueError: naming the file, if it cannot be read or is no object.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"cannot read {path}: it holds no JSON object")
    return content


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
    config, result = read(folder / "config.json"), read(folder / "result.json")
    memory = (result.get("peak_memory_bytes") or {}).get("host")
    values = (
        folder.parent.parent.name, folder.name, result.get("status", "?"),
        config.get("learner", "?"), config.get("seed", "?"),
        (result.get("seconds") or {}).get("total", ""),
        f"{memory / 1e9:.2f}" if memory else "",
    )  # fmt: skip
    return dict(zip(COLUMNS, map(str, values), strict=True))


def _ls(args: argparse.Namespace) -> None:
    rows = [dict(zip(COLUMNS, COLUMNS, strict=True))]
    for folder in folders(args.results, args.suite):
        try:
            rows.append(row(folder))
        except ValueError as error:  # the others are still listed
            print(f"runs.py: {error}", file=sys.stderr)
    wide = {name: max(len(one[name]) for one in rows) for name in COLUMNS}
    for one in rows:
        print("  ".join(one[name].ljust(wide[name]) for name in COLUMNS).rstrip())
    print(f"{len(rows) - 1} runs")


def _means(folder: Path) -> dict[str, float]:
    """Mean over tasks of every score, by draw and support size."""
    from metajax import tracking

    record = tracking.read_record(folder)
    return tracking.task_scores(record.result, record.scores)[1]


def _show(args: argparse.Namespace) -> None:
    folder = find(args.results, args.run)
    shown: dict[str, Any] = {"folder": str(folder)}
    for part in ("config", "result", "environment"):
        shown[part] = read(folder / f"{part}.json")
    shown["scores"] = _means(folder)
    print(json.dumps(shown, indent=1))


def _diff(args: argparse.Namespace) -> None:
    one, two = find(args.results, args.a), find(args.results, args.b)
    print(f"--- {one}\n+++ {two}")
    for part in ("config", "result", "environment", "scores"):
        a, b = (
            _means(p) if part == "scores" else flat(read(p / f"{part}.json")) for p in (one, two)
        )
        for name in sorted(a.keys() | b.keys()):
            if (old := a.get(name, "(absent)")) != (new := b.get(name, "(absent)")):
                print(f"{part}.{name}: {old} -> {new}")


def _gc(args: argparse.Namespace) -> None:
    if args.days < 0:
        raise ValueError(f"--days must be 0 or more; got {args.days:g}")
    finished = folders(args.results, args.suite)
    left = [p for p in args.results.glob(f"{args.suite or '*'}/runs/.tmp-*") if p.is_dir()]
    if args.checkpoints:
        left += [p / "checkpoints" for p in finished if (p / "checkpoints").is_dir()]
    freed = 0
    for folder in sorted(left):
        files = [p.stat() for p in folder.rglob("*") if p.is_file()]
        newest = max([folder.stat().st_mtime, *(s.st_mtime for s in files)])
        if time.time() - newest < args.days * 86400:  # it may be running
            continue
        size = sum(s.st_size for s in files)
        freed += size
        print(f"{size / 1e6:9.1f} MB  {folder}")
        if args.delete:
            shutil.rmtree(folder)
    print(f"{freed / 1e6:.1f} MB {'freed' if args.delete else 'to free; --delete does it'}")


def _export(args: argparse.Namespace) -> None:
    kind = args.file.suffix
    if kind not in (".csv", ".parquet"):
        raise ValueError(f"{args.file}: the name must end in .csv or .parquet")
    rows = []
    for folder in folders(args.results, args.suite):
        try:
            parts = {k: read(folder / f"{k}.json") for k in ("config", "result", "environment")}
            one = {"suite": folder.parent.parent.name, "id": folder.name, **flat(parts)}
            one |= _means(folder)
        except ValueError as error:
            print(f"runs.py: {error}", file=sys.stderr)
            continue
        rows.append({k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in one.items()})
    if not rows:
        raise ValueError(f"no runs in {args.results}")
    names = list(dict.fromkeys(name for one in rows for name in one))
    args.file.parent.mkdir(parents=True, exist_ok=True)
    temporary = args.file.with_name(f".tmp-{args.file.name}")
    if kind == ".csv":
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
    else:
        try:
            import pandas
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise ValueError("Parquet needs pyarrow: pip install pyarrow, or use .csv") from error
        table = pandas.DataFrame(rows, columns=names)
        for name in names:  # a column has one type: what is text in one run is text in all
            if len({type(v) for v in table[name].dropna()} - {int, float}) > 0:
                table[name] = [None if v is None or v != v else str(v) for v in table[name]]
        table.to_parquet(temporary, index=False)
    temporary.replace(args.file)
    print(f"{len(rows)} runs, {len(names)} columns: {args.file}")


if __name__ == "__main__":
    sys.exit(main())
