"""The model card of a bundle: Markdown with a YAML header, filled from the record of the run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from metajax import tables

SHOWN = ("auroc", "log_loss", "brier", "ece", "accuracy", "mse", "spearman")


def metrics_of(folder: Path) -> list[dict[str, Any]]:
    """The scores of a record with their intervals, one a metric and support size.

    Raises:
      ValueError: if the record is damaged.
    """
    runs = tables.load_runs(folder.parents[1], only={folder.name})
    found = []
    for row in tables.long_table(runs, by_task=False).to_dict("records"):
        if row["metric"] in SHOWN and math.isfinite(row["mean"]):
            ends = [row[name] if math.isfinite(row[name]) else None for name in ("low", "high")]
            found.append({
                "metric": row["metric"], "shots": int(row["shots"]), "mean": float(row["mean"]),
                "low": ends[0], "high": ends[1], "interval": str(row["interval"]),
            })  # fmt: skip
    return found


def card_of(about: dict[str, Any]) -> str:
    """The card, Markdown.

    Args:
      about: of the bundle; see `metajax.estimator.learned`.
    """
    data, config = about["data"], about["config"]
    head = {
        "library_name": "metajax",
        "tags": ["few-shot", "meta-learning", "medicine", about["learner"]],
        "datasets": [one["name"] for one in data],
        "license": "other",
        "model-index": [{
            "name": about["name"],
            "results": [{
                "task": {"type": about["program"]["kind"], "name": config["benchmark"]},
                "dataset": {"name": config["benchmark"], "type": config["benchmark"]},
                "metrics": [
                    {"type": one["metric"], "name": f"{one['metric']}, {one['shots']} labels",
                     "value": round(one["mean"], 4)}
                    for one in about["metrics"]
                ],
            }],
        }],
    }  # fmt: skip
    lines = ["---", yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip(), "---", "",
             f"# {about['name']}", "",
             f"`{about['learner']}`, meta-trained on `{config['benchmark']}` (seed "
             f"{config['seed']}), as it is after the meta-split that holds out "
             f"{about['fold']}. It adapts to a few labelled rows of a new task and judges others.",
             "", "## Intended use", "", "Research. No decision about a patient; a few labelled "
             "cases are no validation of a model.", ""]  # fmt: skip
    for one in data:
        lines += [f"- {one['title']}: {one['intended_use']} Not for: {one['improper_use']}"]
    lines += ["", "## Data", ""]
    for one in data:
        lines += [
            f"- **{one['title']}** (`{one['name']}`). A task: {one['task']}. Label: "
            f"{one['label']}. Licence: {one['licence']}. {one['citation']} {one['homepage']} "
            f"Overlaps: {one['overlaps']}"
        ]
    lines += ["", "Weights are derived from these data: their licence may bind them.", "",
              "## Scores on tasks that were held out", "",
              "| metric | labels | mean | 95 % interval | over |",
              "| --- | --- | --- | --- | --- |"]  # fmt: skip
    for one in about["metrics"]:
        ends = "-" if one["low"] is None else f"{one['low']:.4f} to {one['high']:.4f}"
        lines += [f"| {one['metric']} | {one['shots']} | {one['mean']:.4f} | {ends} | "
                  f"{one['interval']} |"]  # fmt: skip
    program = about["program"]
    inputs = ", ".join(f"{i['name']} {i['dtype']} (N, {', '.join(map(str, i['shape']))})"
                       for i in program["inputs"])  # fmt: skip
    lines += ["", "These are means over all meta-splits of the run, each with weights of its own.",
              "", "## Inputs", "", f"{inputs}, raw: decoding and scaling are part of the programs."]
    if about["columns"]:
        lines += ["", "Columns: " + ", ".join(about["columns"]) + "."]
    if about["classes"]:
        lines += ["", "Classes at training: " + ", ".join(about["classes"]) + "."]
    lines += ["", "## Limits", "",
              f"At most {max(map(int, program['kept']))} labelled rows. Not tested on tasks unlike "
              "those above. The file holds weights"
              + (", means and scales of columns" if about["columns"] else "")
              + " and no row of a patient; whether weights reveal rows was not tested.", "",
              f"Made by metajax {about['metajax']}, jax {program['jax']}.", ""]  # fmt: skip
    return "\n".join(lines)
