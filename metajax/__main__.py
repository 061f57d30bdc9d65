"""The command `metajax`: what a hospital's own file says (`metajax --help`, docs/bedside.md).

Nothing heavy is imported before a subcommand runs: help is there at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from metajax import __version__, surroundings

SEVERAL = {"action": "extend", "nargs": "+", "default": []}
DATA = {
    "--drop": ("columns that are no features", {**SEVERAL, "metavar": "COLUMN"}),
    "--types": ("files that say what columns are, or column=kind: number, yes-no, category, "
                "ordered, drop", {**SEVERAL, "metavar": "TYPE"}),
    "--missing": ("codes of missing cells, or column=code",
                  {**SEVERAL, "metavar": "CODE"}),
    "--kind": ("of the label", {"choices": ("auto", "classification", "regression"),
                                "default": "auto"}),
    "--positive": ("the class that is 1, of two", {"metavar": "CLASS"}),
    "--leaks": ("keep: a column that tells the label is known before it",
                {"choices": ("refuse", "keep"), "default": "refuse"}),
    "--seed": ("of the draws", {"type": int, "default": 0}),
}  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """What the command understands."""
    made = argparse.ArgumentParser(
        prog="metajax", description="Few-shot medicine: a few labelled patients, and the next one.",
        allow_abbrev=False,
    )  # fmt: skip
    made.add_argument("--version", action="version", version=f"metajax {__version__}")
    every = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    compare = _command(
        every, "compare", "which method, and how well will it do?",
        "Draws k labelled patients from your own file again and again, fits every method that "
        "needs no other tasks, and judges all other patients.",
    )  # fmt: skip
    _table(compare)
    compare.add_argument("--shots", type=_count, nargs="+", metavar="K",
                         help="labelled patients; default: 8, 16, 32, ... up to half of the file")
    compare.add_argument("--methods", nargs="+", metavar="METHOD", help="these only; default: all")
    compare.add_argument("--episodes", type=_count, default=40, metavar="N",
                         help="draws of every number of labelled patients (40)")
    compare.add_argument("--by", nargs="+", default=[], metavar="COLUMN",
                         help="scores by sex, age, site: any columns of the file")
    compare.add_argument("--bands", type=float, nargs="+", default=[], metavar="N",
                         help="edges of the bands of --by, such as 40 60 75; default: quarters")
    compare.add_argument("--out", default="metajax-compare", metavar="FOLDER",
                         help="for report.html and scores.csv (metajax-compare)")
    predict = _command(
        every, "predict", "what does it say for these patients?",
        "Probabilities for new patients from your labelled ones, the expected quality, and a "
        "warning for those who are unlike the labelled ones.",
    )  # fmt: skip
    _table(predict)
    predict.add_argument("--new", required=True, metavar="FILE",
                         help="new patients: the same columns by name, in any order")
    predict.add_argument("--id", metavar="COLUMN", help="of the new file: names of the patients")
    predict.add_argument("--method", default="auto", metavar="METHOD",
                         help="auto, pfn, lr, pfn+lr, random_forest, ... (auto)")
    predict.add_argument("--out", default="predictions.csv", metavar="FILE",
                         help="where the predictions go (predictions.csv)")
    predict.add_argument("--report", metavar="FILE", help="a page of them, HTML")
    predict.add_argument("--coverage", type=float, default=0.9, metavar="SHARE",
                         help="of the sets of what cannot be ruled out (0.9)")
    predict.add_argument("--by-class", action="store_true",
                         help="sets that miss a rare class no more often than the others")
    predict.add_argument("--calibrate", choices=("labelled", "diseases"), default="labelled",
                         help="the sets: by the labelled patients, or by thresholds learned on "
                              "other diseases, which takes no patient (two classes, 8 to 128 rows)")
    predict.add_argument("--reasons", type=_none_or_more, metavar="N",
                         help="new patients that are explained, a second each (10 with --report)")
    export = _command(
        every, "export", "a trained learner in one file, with its card",
        "Writes what a run has learned as one file (weights, StableHLO programs, card; no row of a "
        "patient), which FewShotClassifier.from_bundle reads, and jax alone runs.",
    )  # fmt: skip
    export.add_argument("run", metavar="RUN",
                        help="results/<suite>/runs/<id>, where it was trained")
    export.add_argument("--out", metavar="FILE", help="default: <id>.metajax")
    export.add_argument("--data-dir", metavar="FOLDER", help="of its data (METAJAX_DATA)")
    export.add_argument("--fold", type=int, default=0, metavar="I",
                        help="the meta-split whose weights are taken (0)")
    export.add_argument("--rows", type=_count, nargs="+", default=[16, 64], metavar="N",
                        help="labelled rows that it can take, a program for each (16 64)")
    return made


def _command(every, name: str, short: str, long: str) -> argparse.ArgumentParser:
    return every.add_parser(name, help=short, description=long, allow_abbrev=False)


def _table(made: argparse.ArgumentParser) -> None:
    """The labelled file."""
    made.add_argument("--table", required=True, metavar="FILE",
                      help="a csv or tsv file, a labelled patient a row")
    made.add_argument("--label", required=True, metavar="COLUMN",
                      help="what to predict: classes, or a quantity")
    made.add_argument("--group", metavar="COLUMN",
                      help="says which rows are one patient: never on two sides")
    for flag, (told, how) in DATA.items():
        made.add_argument(flag, help=told, **how)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more; got {text}")
    return number


def _none_or_more(text: str) -> int:
    return 0 if text.strip() == "0" else _count(text)


ACTS = {
    "compare": ("metajax.bedside.command", "compared"),
    "predict": ("metajax.bedside.command", "predicted"),
    "export": ("metajax.bedside.export", "exported"),
}


@surroundings.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a subcommand; returns the exit code: 0, 2 for a user's mistake, 130 when interrupted."""
    flags = parser().parse_args(arguments)
    surroundings.check()
    module, act = ACTS[flags.command]
    run = import_module("metajax.bedside.command").run
    return run(getattr(import_module(module), act), flags)


if __name__ == "__main__":
    sys.exit(main())
