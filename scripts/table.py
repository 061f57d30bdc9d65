"""Write a suite's tables and figures from its records: results/SUITE/table.md, .csv, .tex, ..."""

from metajax import surroundings

surroundings.check()

import argparse
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from metajax import tables

EXPERIMENTS = Path(__file__).parent.parent / "experiments"


def writer(suite: str) -> Callable:
    """What writes a suite's tables: its script's own `write_tables`, or that of all suites."""
    name = surroundings.suite_name(suite).removeprefix("smoke-")
    path = EXPERIMENTS / f"{name}.py"
    if not name.isidentifier() or not path.is_file() or "write_tables" not in path.read_text():
        return tables.write
    sys.path.append(str(EXPERIMENTS))  # experiments import each other by name
    spec = importlib.util.spec_from_file_location(suite, path)
    script = sys.modules[suite] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script.write_tables


@surroundings.guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("suite", metavar="SUITE", help="a folder of RESULTS, e.g. quickstart")
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    args = parser.parse_args(argv)
    try:
        folder = args.results / surroundings.suite_name(args.suite)
        runs, damaged = tables.read_runs(folder)
        tables.made(writer(args.suite), folder, runs)
    except (ValueError, OSError) as error:
        print(f"table.py: {error}", file=sys.stderr)
        return 2
    files = [name for name in tables.FILES if (folder / name).exists()]
    print(f"{len(runs)} runs: {', '.join(files)} in {folder}")
    for message in damaged:
        print(f"table.py: left out: {message}", file=sys.stderr)
    return 1 if damaged else 0


if __name__ == "__main__":
    sys.exit(main())
