"""Measure the adaptation headroom of the families of tasks: which can rank meta-learners?

    python scripts/headroom.py --data-dir=DIR
    python scripts/headroom.py --families heart_uci davis
    python scripts/headroom.py --render

Writes results/headroom/headroom.csv, .json and .md after every family, and the table that leads
docs/families/README.md. A family that was measured with the same settings is kept: an interrupted
command goes on where it stopped. All families take a quarter of an hour of one core. Those whose
data are absent and cannot be downloaded are named at the end (exit code 2).
"""

from metajax import surroundings

surroundings.check()

import argparse
import io
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

import pandas as pd

from metajax import datasets, disk, limits, records, tables
from metajax.datasets import pages
from metajax.family_headroom import LEFT_OUT, PLANS, measure, settings

ROOT = Path(__file__).resolve().parent.parent
PLAN_OF = {plan.family: plan for plan in PLANS}


def one(name: str, data_dir: str | None, told=lambda text: None) -> pd.DataFrame:
    """The rows of one family."""
    return measure(PLAN_OF[name], datasets.load(name, data_dir), progress=told)


def say(form: str, start: float, text: str) -> None:
    """Prints progress with the seconds since the start."""
    print(form % (time.perf_counter() - start) + text, flush=True)


def text(frame: pd.DataFrame) -> str:
    """headroom.md."""
    table = tables.families_markdown(frame, LEFT_OUT, pages="../../docs/families/", heading="#")
    how = "Made by `python scripts/headroom.py`; what determines the numbers is in headroom.json."
    return f"{table}\n\n{tables.details_markdown(frame)}\n\n{how}\n"


def filled(page: str, frame: pd.DataFrame) -> str:
    """The index of the families with the table in its marked block."""
    before, _, rest = page.partition(pages.BEGIN)
    _, end, after = rest.partition(pages.END)
    if not end:
        raise ValueError(f"the page has no block from {pages.BEGIN} to {pages.END}")
    block = tables.families_markdown(frame, LEFT_OUT, pages="")
    more = "[results/headroom/headroom.md](../../results/headroom/headroom.md)"
    return f"{before}{pages.BEGIN}\n{block}\n\nMore: {more}.\n{pages.END}{after}"


def write(frame: pd.DataFrame, known: dict, folder: Path) -> None:
    """Writes csv, json and md, the families in the order of `PLANS`."""
    names = {name: i for i, name in enumerate(PLAN_OF)}
    frame = frame.sort_values("family", key=lambda c: c.map(names), kind="stable")
    folder.mkdir(parents=True, exist_ok=True)
    table = frame.to_csv(index=False, float_format="%.6g")
    disk.write_all({
        folder / "headroom.csv": table,
        folder / "headroom.json": json.dumps(known, indent=1, sort_keys=True) + "\n",
        folder / "headroom.md": text(pd.read_csv(io.StringIO(table))),
    })


def render(folder: Path, docs: Path) -> None:
    """Writes what follows from headroom.csv."""
    frame = pd.read_csv(folder / "headroom.csv")
    files = {folder / "headroom.md": text(frame)}
    if docs.is_file():
        files[docs] = filled(docs.read_text(), frame)
    disk.write_all(files)


def run(
    names: list[str], data_dir: str | None, workers: int, folder: Path, again: bool = False
) -> list[str]:
    """Measures what is not there yet; one line for every family that failed."""
    path, failed = folder / "headroom.json", []
    known = json.loads(path.read_text()) if path.is_file() else {}
    frame = pd.read_csv(folder / "headroom.csv") if known else pd.DataFrame({"family": []})
    wanted = {name: settings(PLAN_OF[name], datasets.CARDS[name]) for name in names}
    todo = [n for n in names if again or known.get(n, {}).get("settings") != wanted[n]]
    # Asked before anything is written: the results are files of the same checkout.
    places = {name: records.environment([datasets.CARDS[name]]) for name in todo}
    print(f"{len(names) - len(todo)} of {len(names)} families kept", flush=True)

    def done(name, result):
        nonlocal frame
        try:
            made = result()
        except (ValueError, OSError) as error:
            failed.append(f"{name}: {error}")
            print(failed[-1], flush=True)
            return
        known[name] = {"settings": wanted[name], "environment": places[name]}
        frame = pd.concat([frame[frame.family != name], made], ignore_index=True)
        write(frame, known, folder)
        print(f"{name}: {made.seconds.iloc[0]} s, {tables.verdict(made)[1]}", flush=True)

    if workers == 1:
        for i, name in enumerate(todo, 1):
            start = f"[{i}/{len(todo)}] {name}, %.0f s: "
            done(name, partial(one, name, data_dir, partial(say, start, time.perf_counter())))
        return failed
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = {pool.submit(one, name, data_dir): name for name in todo}
        for future in as_completed(futures):
            done(futures[future], future.result)
    return failed


@surroundings.guarded
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    parser.add_argument("--families", nargs="+", choices=PLAN_OF, metavar="NAME",
                        help="default: all")  # fmt: skip
    parser.add_argument("--data-dir", help="the data directory (default: METAJAX_DATA)")
    parser.add_argument("--workers", type=int, default=1, help="families at once; default: 1")
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "headroom")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "families" / "README.md")
    parser.add_argument("--again", action="store_true", help="measure what is there, too")
    parser.add_argument("--render", action="store_true", help="only the texts, from headroom.csv")
    args = parser.parse_args(argv)
    failed = []
    try:
        limits.positive({"workers": args.workers})
        if not args.render:
            names = args.families or list(PLAN_OF)
            failed = run(names, args.data_dir, args.workers, args.results,
                         args.again)
        render(args.results, args.docs)
    except (ValueError, OSError) as error:
        print(f"headroom.py: {error}", file=sys.stderr)
        return 2
    for line in failed:
        print(f"headroom.py: {line}", file=sys.stderr)
    return 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
