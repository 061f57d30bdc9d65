"""Fill the README's tables from the committed results, so that no number in it is typed by hand."""

from metajax import surroundings

surroundings.check()

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

from metajax import disk

ROOT = Path(__file__).parent.parent
SUITE = ROOT / "results" / "disease_prediction"
# Fixed before the results were in: the main meta-learners, and the opponents of every table.
SHORT = (
    *("maml", "meta_sgd", "protonet", "ridge"),
    *("lr_c0.01", "lr_c0.1", "lr_forest", "pooled_lr", "pooled_lr_boosting"),
)
REPRODUCTIONS = {
    "idna_ms": "iDNA-MS, logistic regression and random forest on the official halves",
    "tabllm": "TabLLM protocol, logistic regression on heart, diabetes, blood",
    "families": "heart_uci, support2, diabetes130, brfss2020: pooled and target-only regression",
    "imaging": "nearest class mean on images, heart beats and Omniglot, by patient or lesion",
    "genomics": "held-out genes, RNA-binding proteins and transcription factors",
}
FSMOL_LINE = (
    "| [`reproduce_fsmol.py`](results/reproductions/fsmol.md) | FS-Mol, random forest on all 157 "
    "test tasks, AUPRC minus share of actives at 16 / 64 | ours {ours16} / {ours64}, published "
    "{published16} / {published64}, per-task correlation {correlation16} / {correlation64} |"
)


def number(value: float, sign: bool = False) -> str:
    """Three decimals without a leading zero."""
    text = f"{value:+.3f}" if sign else f"{value:.3f}"
    return text.replace("0.", ".", 1)


def cell(row: pd.Series, sign: bool = False) -> str:
    """Mean and interval."""
    mean = row["headroom"] if sign else row["mean"]
    return f"{number(mean, sign)} [{number(row['low'], sign)}, {number(row['high'], sign)}]"


def auroc(frame: pd.DataFrame, benchmark: str, only: tuple[str, ...] = ()) -> list[str]:
    """The AUROC table of a benchmark, best mean first."""
    rows = frame[(frame.benchmark == benchmark) & (frame.metric == "auroc")]
    rows = rows[rows.learner.isin(only)] if only else rows
    shots = sorted(set(rows.shots))
    order = rows.groupby("learner")["mean"].mean().sort_values(ascending=False).index
    at = rows.set_index(["learner", "shots"])
    lines = [f"| AUROC | {' | '.join(f'k = {k}' for k in shots)} |"]
    lines.append("|" + " --- |" * (1 + len(shots)))
    for name in order:
        lines.append(f"| `{name}` | {' | '.join(cell(at.loc[(name, k)]) for k in shots)} |")
    return lines


def results(frame: pd.DataFrame) -> list[str]:
    """Both clinical families, their headroom, and the sinusoid."""
    headroom = pd.read_csv(ROOT / "results" / "headroom" / "headroom.csv")
    lines = []
    for benchmark in ("heart_uci", "support2"):
        lines += [f"`{benchmark}` (all methods and metrics: [results/disease_prediction/table.md]"
                  "(results/disease_prediction/table.md)):", ""]  # fmt: skip
        lines += [*auroc(frame, benchmark, SHORT), ""]
        mine = headroom[headroom.benchmark == benchmark]
        lines += ["Adaptation headroom (what labels of the target task add to the pooled prior, "
                  "minus the better of pooled and target-only):", ""]  # fmt: skip
        ceilings = sorted(set(mine.ceiling))
        lines += [f"| k | {' | '.join(ceilings)} |", "|" + " --- |" * (1 + len(ceilings))]
        for k, rows in mine.groupby("shots"):
            by = rows.set_index("ceiling")
            lines.append(f"| {k} | {' | '.join(cell(by.loc[c], True) for c in ceilings)} |")
        lines.append("")
    page = (ROOT / "results" / "sinusoid" / "table.md").read_text().splitlines()
    lines += ["Sinusoid of the MAML paper, squared error "
              "([results/sinusoid/table.md](results/sinusoid/table.md)):", ""]  # fmt: skip
    return lines + [line for line in page if line.startswith("- ")]


def headroom() -> list[str]:
    """Which families can rank meta-learners."""
    page = (ROOT / "results" / "headroom" / "headroom.md").read_text().splitlines()
    return [line for line in page if line.startswith("- ")][:3]


def reproductions() -> list[str]:
    """How many bars were reached, by the scripts that measured them."""
    lines = ["| script | what | within the bar's interval |", "| --- | --- | --- |"]
    for name, what in REPRODUCTIONS.items():
        frame = pd.read_csv(ROOT / "results" / "reproductions" / f"{name}.csv", dtype=str)
        told = frame["within" if "within" in frame else "verdict"].dropna()
        told = told[told != "no reference"]
        held = told.str.lower().str.startswith(("yes", "true", "agrees")).sum()
        lines.append(
            f"| [`reproduce_{name}.py`](results/reproductions/{name}.md) | {what} | "
            f"{held} of {len(told)} |"
        )
    return lines + [FSMOL_LINE.format(**fsmol())]


def fsmol() -> dict[str, str]:
    """The random forest on FS-Mol, ours and published."""
    frame = pd.read_csv(ROOT / "results" / "reproductions" / "fsmol.csv")
    rows = frame[(frame.method == "RF") & (frame.tasks == "all")].set_index("support")
    return {f"{c}{k}": number(rows.loc[k, c]) for k in rows.index for c in ("ours", "published",
            "correlation")}  # fmt: skip


def checks() -> list[str]:
    """Learners beside their papers, after minutes of training; the prior-fitted network."""
    lines = ["| check | ours | published | |", "| --- | --- | --- | --- |"]
    for row in pd.read_csv(ROOT / "results" / "omniglot" / "table.csv").itertuples():
        ours = f"{number(row.mean)} [{number(row.low)}, {number(row.high)}]"
        lines.append(
            f"| [Omniglot](results/omniglot/table.md), 5-way 1-shot, `{row.learner}` | {ours} | "
            f"{number(row.published)} | {row.verdict} |"
        )
    for row in pd.read_csv(ROOT / "results" / "fsmol" / "table.csv").itertuples():
        if row.shots == 16 and row.assays != "all":
            lines.append(
                f"| [FS-Mol](results/fsmol/table.md) at 16, {row.assays}, `{row.learner}` beside "
                f"{row.beside} | {number(row.ours)} | {number(row.published)} | {row.verdict} |"
            )
    return lines


def prior_fitted() -> list[str]:
    """The two networks against the best linear opponent, on tables unseen by the prior's design."""
    lines = [
        "| network | supports | tables (diseases) | alone | its mean with the regression |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, suite in (("small", "prior_fitted"), ("large", "prior_fitted_large")):
        frame = pd.read_csv(ROOT / "results" / suite / "summary.csv")
        frame = frame[~frame.seen & (frame.k == 0) & (frame.method == "lr_c0.01")]
        for row in frame.itertuples():
            lines.append(
                f"| {name} | {row.draw} | {row.tables} ({row.diseases}) | {row.pfn_gain:+.2f} "
                f"[{row.pfn_low:+.2f}, {row.pfn_high:+.2f}] | {row.pfn_lr_gain:+.2f} "
                f"[{row.pfn_lr_low:+.2f}, {row.pfn_lr_high:+.2f}] |"
            )
    return lines


def times() -> list[str]:
    """What the committed runs took, as their records say."""
    total, places = {}, set()
    for folder in sorted((SUITE / "runs").iterdir()):
        config = json.loads((folder / "config.json").read_text())
        environment = json.loads((folder / "environment.json").read_text())
        seconds = json.loads((folder / "result.json").read_text())["seconds"]["total"]
        runs, spent = total.get(config["benchmark"], (0, 0.0))
        total[config["benchmark"]] = (runs + 1, spent + seconds)
        machine = "{cores} cores of {cpu}".format(**environment["hardware"])
        software = f"jax {environment['packages']['jax']} on {environment['device']['platform']}"
        places.add(f"{machine}, {software}")
    lines = [f"Measured on {'; '.join(sorted(places))}, two workers:", ""]
    lines += ["| benchmark | runs | process-minutes in all, compilation included |"]
    lines += ["| --- | --- | --- |"]
    lines += [f"| `{name}` | {n} | {s / 60:.0f} |" for name, (n, s) in sorted(total.items())]
    return lines


def filled(text: str, blocks: dict[str, list[str]]) -> str:
    """A page with its marked blocks made anew."""
    for name, lines in blocks.items():
        before, rest = text.split(f"<!-- {name} -->", 1)
        after = rest.split("<!-- end -->", 1)[1]
        text = "\n".join([f"{before}<!-- {name} -->", *lines, "<!-- end -->"]) + after
    return text


def render() -> dict[Path, str]:
    """The pages with numbers: the README, and that of the prior-fitted network."""
    frame = pd.read_csv(SUITE / "table.csv")
    readme = {
        "table: sklearn_tables": auroc(frame, "sklearn_tables"),
        "headroom": headroom(),
        "reproductions": reproductions(),
        "checks": checks(),
        "prior_fitted": prior_fitted(),
        "results": results(frame),
        "times": times(),
    }
    pages = {
        ROOT / "README.md": readme,
        ROOT / "docs" / "methods" / "pfn.md": {"prior_fitted": prior_fitted()},
    }
    return {path: filled(path.read_text(), blocks) for path, blocks in pages.items()}


@surroundings.guarded
def main() -> int:
    """Rewrites the pages."""
    argparse.ArgumentParser(description=__doc__, allow_abbrev=False).parse_args()
    disk.write_all(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
