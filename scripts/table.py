"""Write a suite's tables and figures from its records: results/SUITE/table.md, .csv, .tex, ..."""

import argparse
import sys
from pathlib import Path

from metajax import tables


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("suite", metavar="SUITE", help="a folder of RESULTS, e.g. quickstart")
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    args = parser.parse_args(argv)
    folder = args.results / args.suite
    try:
        runs = tables.load_runs(folder)
        tables.write(folder, runs)
    except (ValueError, OSError) as error:
        print(f"table.py: {error}", file=sys.stderr)
        return 2
    print(f"{len(runs)} runs: {folder}/{{{', '.join(tables.FILES)}}}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
