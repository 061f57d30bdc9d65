"""The tables of the suite: who wins, paired differences, scores, and what the weights say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from metajax import disk, tables
from metajax.sample_reweighting.settings import (
    BOOT,
    HOST,
    METHODS,
    OURS,
    RIVALS,
    SETTINGS,
    SHOWN,
    SUITE,
    Setting,
)
from metajax.tables.layout import LOWER_IS_BETTER, cell, name_of, number

LABELS = {
    "ideal": "ideal: nothing damaged",
    "right_rows": "the right rows alone",
    HOST: "logistic regression",
}
INTRODUCTION = """\
Training rows with wrong labels (`flip20`, `flip40`: each label is turned round with probability
.2, .4) or with a rare class 1 (`imbalance90` to `imbalance995`: class 0 is .9 to .995 of the rows),
and k more rows, half of either class, that are known to be right. All methods train on all of these
rows, the networks from the same start; only *ideal* sees undamaged rows, and *the right rows alone*
no others. Means over draws of training rows, damage, right rows and start; test rows are as they
were recorded. Every network has the step size that was best on validation rows
([validation.csv](validation.csv)). Intervals: 95 %, bootstrap over test patients and draws
together, not corrected for their number; they speak of these data sets only. Those of single scores
are in [table.csv](table.csv); the protocol is in
[docs/sample_reweighting.md](../../docs/sample_reweighting.md)."""
PUBLISHED = """\
Ren et al. train on MNIST digits 4 and 9 at 200:1: at least 95 % accuracy with learned weights, near
75 % without. That was not run here (no copy of MNIST is at hand) and is not comparable: not
reproduced, and not refuted. The same holds for the CIFAR tables of either paper."""
PAIRS = [f"{ours} : {rival}" for ours in OURS for rival in ("uniform", "best rival")]
Where = tuple[Setting, int]  # a setting and its number of right rows


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)] + [""]


def title(where: Where) -> str:
    """The head of a column."""
    setting, right = where
    told = f"{setting.share:.3f}".rstrip("0").lstrip("0")
    return f"{told}, k = {right}" if setting.damage == "flip" else told


def label(method: str) -> str:
    """A method in a table."""
    return LABELS.get(method, method)


def difference(row: pd.Series) -> str:
    """A difference with its interval."""
    mean, interval = cell(row["mean"], row.low, row.high, sign=True)
    return mean + interval


def against(runs: Sequence[tables.Run], metric: str, means: dict) -> dict:
    """Differences, positive if ours is better: by (ours, "uniform" or "best rival", where)."""
    found, sign = {}, -1 if metric in LOWER_IS_BETTER else 1
    for name in dict.fromkeys(setting.name for setting, _ in means):
        mine = [run for run in runs if run.config["benchmark"] == name]
        learners = {run.config["learner"] for run in mine}
        rivals = [rival for rival in RIVALS if rival in learners]
        for ours in OURS if rivals else ():
            if ours not in learners:
                continue
            rows = tables.compare(mine, name, ours, rivals, metric)
            rows[["mean", "low", "high"]] *= sign
            if sign < 0:
                rows = rows.rename(columns={"low": "high", "high": "low"})
            for where, scores in means.items():
                if where[0].name != name:
                    continue
                at = rows[rows.shots == where[1]].set_index("rival", drop=False)
                best = max(rivals, key=lambda rival, s=scores: sign * s[rival])
                found[ours, "best rival", where] = at.loc[best]
                if "uniform" in rivals:
                    found[ours, "uniform", where] = at.loc["uniform"]
    return found


def table(runs: Sequence[tables.Run], frame: pd.DataFrame) -> str:
    """The page of the records."""
    numbers = frame.set_index(["metric", "benchmark", "shots", "learner"])["mean"].sort_index()
    have = {run.config["benchmark"] for run in runs}
    places = [(s, right) for s in SETTINGS if s.name in have for right in s.right]
    means = {
        metric: {(s, right): numbers[metric, s.name, right] for s, right in places}
        for metric in BOOT
    }
    differences = {metric: against(runs, metric, means[metric]) for metric in BOOT}
    out = [f"# {SUITE}", "", INTRODUCTION, "", "## Who wins", ""]
    kinds = dict.fromkeys((s.data, s.damage) for s, _ in places)
    for metric in ("auroc", "balanced_accuracy"):
        out += winners(metric, kinds, places, means[metric], differences[metric])
    out += [
        "In how many settings learned weights are better / not told apart / worse, by the paired "
        "interval. The best rival is the one with the best mean on the test rows themselves, which "
        "favours the rivals. Balanced accuracy, at a probability of one half, is what Ren et al. "
        "report: the accuracy on balanced test rows.",
        "",
    ]
    for metric, found in differences.items():
        out += [f"## Paired differences, {name_of(metric)}", ""]
        rows = []
        for where in places:
            row = [where[0].name, str(where[1])]
            for ours in OURS:
                for rival in ("uniform", "best rival"):
                    one = found.get((ours, rival, where))
                    name = "" if one is None or rival == "uniform" else f" ({label(one.rival)})"
                    row.append("–" if one is None else difference(one) + name)
            rows.append(row)
        out += grid(["setting", "k", *PAIRS], rows)
        if metric == "brier":
            out += ["Above 0: a smaller Brier score than the rival.", ""]
    for data, damage in kinds:
        mine = [where for where in places if (where[0].data, where[0].damage) == (data, damage)]
        out += [f"## {data}, {damage}", ""]
        for metric in BOOT:
            out += scores_of(metric, mine, means[metric])
        out += weights_of(damage, mine, numbers)
    return "\n".join([*out, "## Published numbers", "", PUBLISHED]) + "\n"


def winners(
    metric: str,
    kinds: Sequence[tuple[str, str]],
    places: Sequence[Where],
    means: dict,
    found: dict,
) -> list[str]:
    """Who has the best mean score, and how often the paired intervals tell ours from rivals."""

    def best(scores: pd.Series, without: Sequence[str]) -> str:
        scores = scores.drop(list(without), errors="ignore")
        return f"{label(scores.idxmax())} {number(scores.max())}"

    def counted(ours: str, rival: str, mine: Sequence[Where]) -> tuple[int, int, int] | None:
        some = [found.get((ours, rival, where)) for where in mine]
        if any(one is None for one in some):
            return None
        above, below = sum(one.low > 0 for one in some), sum(one.high < 0 for one in some)
        return above, len(some) - above - below, below

    rows, said = [], []
    for kind in kinds:
        mine = [where for where in places if (where[0].data, where[0].damage) == kind]
        average = sum(means[where] for where in mine) / len(mine)
        told = [counted(ours, rival, mine) for ours in OURS for rival in ("uniform", "best rival")]
        told = ["–" if one is None else "{} / {} / {}".format(*one) for one in told]
        two = [best(average, ["ideal"]), best(average, ["ideal", HOST])]
        rows.append([" ".join(kind), str(len(mine)), *two, *told])
    for ours in OURS:
        plain, strong = (counted(ours, rival, places) for rival in ("uniform", "best rival"))
        if plain and strong:
            said.append(
                f"- {name_of(metric)}, {len(places)} settings: `{ours}` is better than plain "
                f"training in {plain[0]} and worse in {plain[2]}; better than the best rival in "
                f"{strong[0]} and worse in {strong[2]}."
            )
    head = ["data, damage", "settings", f"best {name_of(metric)}", "best network", *PAIRS]
    return [*grid(head, rows), *said, ""]


def scores_of(metric: str, places: Sequence[Where], means: dict) -> list[str]:
    """A table of one metric: methods by settings, the best but for `ideal` in bold."""
    sign, rows = -1 if metric in LOWER_IS_BETTER else 1, []
    best = {where: (sign * means[where]).drop("ideal", errors="ignore").max() for where in places}
    for method in METHODS:
        if all(method in means[where].index for where in places):
            cells = [number(means[where][method]) for where in places]
            bold = [
                f"**{text}**" if method != "ideal" and sign * means[where][method] == best[where]
                else text for text, where in zip(cells, places, strict=True)
            ]  # fmt: skip
            rows.append([label(method), *bold])
    return grid([name_of(metric), *map(title, places)], rows)


def weights_of(damage: str, places: Sequence[Where], numbers: pd.Series) -> list[str]:
    """What the weights of the damaged rows say."""
    odd, usual = ("wrong", "right") if damage == "flip" else ("rare", "common")
    wanted = {f"{odd} : {usual}": None} | ({"AUROC": "weight_auroc"} if damage == "flip" else {})
    rows = {name: [] for name in wanted}
    for method in METHODS:
        keys = [(setting.name, right, method) for setting, right in places]
        if not all(("weight_" + odd, *key) in numbers.index for key in keys):
            continue
        for name, metric in wanted.items():
            values = [
                numbers[metric, *key] if metric
                else numbers["weight_" + odd, *key] / numbers["weight_" + usual, *key]
                for key in keys
            ]  # fmt: skip
            rows[name].append([method, *map(number, values)])
    titles = [title(where) for where in places]
    out = []
    for name, found in rows.items():
        out += grid([f"weights, {name}", *titles], found) if found else []
    if out and damage == "flip":
        out += [
            "Mean weight of rows with a wrong label over that of rows with a right one, and how "
            "often a right row outweighs a wrong one (.5: the weights know nothing).",
            "",
        ]
    elif out:
        out += ["Mean weight of a row of the rare class over that of a row of the common one.", ""]
    return out


def write_tables(folder: Path, runs: list[tables.Run]) -> str:
    """Writes table.md and table.csv; returns the page. scripts/table.py calls it, too."""
    tables.same_settings(runs)  # which are looked up by name
    frame = tables.long_table(runs, by_task=False)
    page = table(runs, frame)
    frame = frame[frame.metric.isin(SHOWN) | frame.metric.str.startswith("weight_")]
    disk.write_all({folder / "table.csv": tables.csv(frame), folder / "table.md": page})
    return page
