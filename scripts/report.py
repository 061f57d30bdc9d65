"""Write a suite's report from its records: results/SUITE/report.html, one self-contained page."""

from metajax import surroundings

surroundings.check()

import argparse
import sys
from pathlib import Path

from metajax import report, tables


@surroundings.guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("suite", metavar="SUITE", help="a folder of RESULTS, e.g. quickstart")
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    parser.add_argument("--title", help="default: MetaJAX: SUITE")
    args = parser.parse_args(argv)
    try:
        folder = args.results / surroundings.suite_name(args.suite)
        runs, damaged = tables.read_runs(folder)
        page = report.write(folder, runs, args.title, damaged)
    except (ValueError, OSError) as error:
        print(f"report.py: {error}", file=sys.stderr)
        return 2
    print(f"{len(runs)} runs: {page}, {page.stat().st_size / 1e6:.2f} MB")
    for message in damaged:
        print(f"report.py: left out: {message}", file=sys.stderr)
    return 1 if damaged else 0


if __name__ == "__main__":
    sys.exit(main())
