"""Write docs/methods/README.md from what the learners say of themselves; --check: is it stale?"""

from metajax import surroundings

surroundings.check()

import argparse
import sys
from pathlib import Path

from metajax import baselines, disk, learners
from metajax.hyper import HYPER, defaults
from metajax.learners import METHODS

PAGE = Path(__file__).parent.parent / "docs" / "methods" / "README.md"
HEAD = """<!-- Written by `python scripts/methods.py`; edit the learner's `METHODS` instead. -->

# Methods

*Cost* counts network passes over the rows of one task in a training step: S support rows, Q query
rows, K inner steps; a backward pass counts as two passes. *Memory* is what the backward pass keeps
besides the activations of one pass. *Exact*: the meta-update follows the exact gradient of the
meta-loss. *Missing*: learns from rows some of whose labels are missing. *Variance*: gives a
predictive variance on regression tasks that ask for one."""
COLUMNS = "method|adapts|tasks|regression|exact|cost|memory|missing|variance|reference|differs"
PILLARS = {
    "gradient": "A learned start, adapted by gradient steps",
    "metric": "Learned features, adapted by a closed form or a comparison",
    "amortised": "Networks that read the support in one pass",
    "sample": "Weights for the rows of the support",
    "baseline": "What meta-learning must beat",
}
YES = {True: "yes", False: "no"}


def cells(name: str) -> list[str]:
    """A row of the table."""
    one = METHODS[name]
    link = f"[`{name}`]({name}.md)" if (PAGE.parent / f"{name}.md").exists() else f"`{name}`"
    adapts = one.adapts + "".join(f"; needs `info['{what}']`" for what in one.needs)
    tasks = ", ".join(kind for kind in one.kinds if kind != "regression")
    said, at, url = one.reference.rpartition(", https://")
    told = [YES["regression" in one.kinds], YES[one.exact], one.cost, one.memory, YES[one.missing]]
    reference = f"[{said}](https://{url})" if at else one.reference
    return [link, adapts, tasks, *told, YES[one.variance], reference, one.differs]


def grid(head: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table between empty lines."""
    return ["", *(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)), ""]


def render() -> str:
    """The page."""
    lines, flags = [HEAD, ""], []
    for pillar, title in PILLARS.items():
        names = [name for name, one in METHODS.items() if one.pillar == pillar]
        lines += [f"## {title}", *grid(COLUMNS.split("|"), [cells(name) for name in names])]
    for flag, argument in HYPER.items():
        users: dict = {}
        for name in METHODS:
            if argument in (given := defaults(name)):
                users.setdefault(given[argument], []).append(f"`{name}`")
        told = sorted(users.items(), key=lambda item: (str(type(item[0])), item[0]))
        said = "; ".join(f"{value}: {', '.join(names)}" for value, names in told)
        flags.append([f"`--inner.{flag}`", said])
    lines += ["## Hyper-parameters", "", "What they mean is on the methods' pages and in `--help`."]
    lines += [*grid(["flag", "default: of which learners"], flags), "## Models on the host", ""]
    lines += ["scikit-learn on the very episodes of the learners (`metajax/baselines`):", ""]
    for what, models in (
        ("labels of the target only, classes", baselines.TARGET_ONLY),
        ("labels of the target only, regression", baselines.REGRESSORS),
        ("labels of the training tasks only", baselines.POOLED),
    ):
        lines.append(f"- {what}: {', '.join(f'`{name}`' for name in models)}")
    return "\n".join(lines) + "\n"


@surroundings.guarded
def main() -> int:
    """Writes the page, or checks it."""
    parser = argparse.ArgumentParser(description=__doc__.partition(";")[0], allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="only look: 1 if the page is stale")
    args = parser.parse_args()
    learners.check()
    if args.check:
        return int(not PAGE.exists() or PAGE.read_text() != render())
    disk.write(PAGE, render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
