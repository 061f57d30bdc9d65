"""What the records say of data, models and results, and the checklists it answers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from metajax.datasets import Card
from metajax.learners import METHODS
from metajax.report.checklists import CLAIM, TRIPOD, answer
from metajax.report.provenance import known, leaves, listed, recorded, span
from metajax.tables.grids import Grid
from metajax.tables.layout import cell, name_of, number
from metajax.tables.records import Run

_MOST = 6  # grids whose best is named


def facts(runs: Sequence[Run], made: Sequence[Grid]) -> dict[str, str]:
    """Gather what answers items of the checklists.

    Args:
      runs: what `load_runs` gave.
      made: what `tables.grids` gave.

    Returns:
      Texts by name; what these runs do not tell is absent.
    """
    have = known(runs)
    tested = [run for run in runs if run.scores]
    out = {
        "aim": f"Development and evaluation of few-shot prediction models on "
               f"{listed({g.benchmark for g in made})}.",
        "learners": f"{'; '.join(map(_learner, sorted({r.config['learner'] for r in runs})))}.",
        "encoders": _settings(runs, "encoder"),
        "training": _settings(runs, "train", "inner"),
        "seeds": f"Drawn from the run's seed: {listed({r.config['seed'] for r in runs})}.",
        "missing": "Scaling and imputation are fitted on the support or on meta-training rows, "
                   "never on queries.",
        "measures": f"{', '.join(dict.fromkeys(name_of(g.metric) for g in made))}; learning, "
                    "calibration and decision curves.",
        "tests": "95 % intervals by bootstrap over clusters (patients below 10 clusters); paired "
                 "Wilcoxon tests with Holm's correction, Friedman and Nemenyi from 10 clusters on.",
        "clusters": "Scores of every task: scatter of this page and table.csv.",
        "updating": "Every model adapts to the k labels of its task; none was changed after its "
                    "test.",
        "output": "Outputs of classification are probabilities; no threshold is fixed, decision "
                  "curves show all.",
        "imbalance": _draws(made),
        "ensembles": "Seeds are averaged in the scores, never in the predictions.",
        "performance": " ".join(_best(grid) for grid in made[:_MOST]),
        "failures": _failures(tested),
        "protocol": f"Protocol: {listed({r.result.get('protocol') for r in runs} - {None, ''})}; "
                    "CONTRIBUTING.md states its rules.",
        "size": _size(tested, have),
        "prevalence": _prevalence(tested),
        "software": _packages(runs),
        "code": f"MetaJAX, Apache-2.0, commit "
                f"{listed({r.environment.get('commit') for r in runs} - {None}) or 'unknown'}.",
        "sums": "sha256 of every raw file: data cards of this page." if recorded(runs) else "",
        "limits": "Below 10 clusters intervals speak for these tasks only; the spread over seeds "
                  "is not in them.",
    }  # fmt: skip
    steps = [run.result.get("steps") for run in tested if run.config["learner"] in METHODS]
    if steps and all(steps):
        out["selection"] = ("The step with the best score on meta-validation tasks; meta-test "
                            "tasks are read once a run.")  # fmt: skip
    told = (("data", "title"), ("outcome", "label"), ("tasks", "task"), ("licences", "licence"))
    out |= {name: _of(have, field) for name, field in told}
    if have:  # long texts stand in the cards once
        out["reading"] = f'"How the files are read" in the data cards of {listed(have)}.'
        out["splits"] = f'"Splits" in the data cards of {listed(have)}.'
        out["limits"] += f' "Improper use" and "overlaps" in the data cards of {listed(have)}.'
    out["units"] = " ".join(
        f"{name}: meta-splits by {card.split_unit}, support and query by {card.row_group}, "
        f"intervals by {card.cluster}." for name, card in have.items()
    )  # fmt: skip
    return {name: text for name, text in out.items() if text.strip()}


def _of(have: dict[str, Card], field: str) -> str:
    """One field of all cards."""
    return " ".join(f"{name}: {getattr(card, field)}." for name, card in have.items()
                    if getattr(card, field))  # fmt: skip


def _learner(name: str) -> str:
    method = METHODS.get(name)
    return f"{name} ({method.reference})" if method and method.reference else name


def _settings(runs: Sequence[Run], *parts: str) -> str:
    """The configuration's settings, ranges where runs differ."""
    seen = leaves([{p: run.config.get(p) or {} for p in parts} for run in runs])
    told = "; ".join(f"{name} = {span(values)}" for name, values in seen.items())
    return f"{told}." if told else ""


def _draws(made: Sequence[Grid]) -> str:
    """With which draw of the support every metric was tested."""
    found: dict[str, set[str]] = {}
    for grid in made:
        own = {row["draw"] for row in grid.cells.values()} - {""}
        found.setdefault(name_of(grid.metric), set()).update(own)
    told = [f"{name} {listed(draws)}" for name, draws in found.items() if draws]
    return f"Draws of the support, by metric: {', '.join(told)}." if told else ""


def _best(grid: Grid) -> str:
    if not grid.best or not grid.shots:
        return ""
    row = grid.cells.get((grid.best, grid.shots[-1]))
    if row is None:
        return ""
    ends = row["mean"], row["low"], row["high"], row["interval"]
    shown = "".join(cell(*ends, metric=grid.metric))
    return (f"{grid.benchmark}, {name_of(grid.metric)} at k = {grid.shots[-1]}: {grid.best} "
            f"{shown}.")  # fmt: skip


def _failures(runs: Sequence[Run]) -> str:
    bad = sum(int((run.scores.get("nonfinite", np.zeros(1)) > 0).sum()) for run in runs)
    return f"Episodes with non-finite outputs, scored as chance: {bad}."


def _size(runs: Sequence[Run], have: dict[str, Card]) -> str:
    tasks = {(r.config["benchmark"], int(t)) for r in runs for t in np.unique(r.scores["task"])}
    rows = [f"{name}: {card.counts.rows} labelled rows." for name, card in have.items()]
    return " ".join([f"{len(tasks)} test tasks.", *rows])


def _prevalence(runs: Sequence[Run]) -> str:
    found: dict[str, list[float]] = {}
    for run in runs:
        if "prevalence" in run.scores:
            natural = run.scores["prevalence"][run.scores["draw"] == 0]
            if natural.size and not np.isnan(natural).all():
                found.setdefault(run.config["benchmark"], []).append(float(np.nanmean(natural)))
    return " ".join(f"{name}: share of label 1 in natural draws {number(np.mean(values))}."
                    for name, values in found.items())  # fmt: skip


def _packages(runs: Sequence[Run]) -> str:
    seen = leaves([{"python": run.environment.get("python"),
                     **(run.environment.get("packages") or {})} for run in runs])  # fmt: skip
    told = "; ".join(f"{name} {listed(values)}" for name, values in seen.items())
    return f"{told}." if told else ""


def checklists(runs: Sequence[Run], made: Sequence[Grid]) -> str:
    """Write both checklists as HTML, answered where the records can."""
    told, out = facts(runs, made), []
    for name, items in (("TRIPOD+AI (2024)", TRIPOD), ("CLAIM (2020), for imaging", CLAIM)):
        lines, states = [], []
        for item in items:
            state, text = answer(item, told)
            states.append(state)
            mark = f'<td class="open">{state}</td>' if state == "open" else f"<td>{state}</td>"
            lines.append(
                f'<tr><th scope="row">{escape(item.number)}</th><td>{escape(item.asks)}</td>'
                f"{mark}<td>{escape(text)}</td></tr>"
            )
        count = ", ".join(f"{states.count(s)} {s}" for s in ("filled", "in part", "open"))
        names = ("item", "asks", "state", "records say")
        head = "".join(f'<th scope="col">{one}</th>' for one in names)
        out.append(f'<details><summary>{name}: {count}</summary><div class="scroll">'
                   f'<table class="wrap"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}'
                   "</tbody></table></div></details>")  # fmt: skip
    return "".join(out)
