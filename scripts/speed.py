"""Fill docs/speed.md from results/speed: the chart, the table against what was aimed at, costs.

    python scripts/speed.py
"""

from metajax import surroundings

surroundings.check()

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from metajax import disk
from metajax.tables import figures

ROOT = Path(__file__).parent.parent
SPEED, PAGE = ROOT / "results" / "speed", ROOT / "docs" / "speed.md"
# How many times faster than PyTorch's fastest form: set before anything was measured.
AIMS = {
    "cpu": {
        "sinusoid-25": 2.5, "sinusoid-1024": 1.8, "tabular-5-steps": 2, "omniglot-1-step": 2.3,
        "omniglot-5-steps": 3, "omniglot-max-pool": 1.5, "protonet-5w5s": 1.5,
    },
    "gpu": 3,
}  # fmt: skip


def measured(folder: Path) -> pd.DataFrame:
    """All lines against PyTorch, with the aim of each."""
    files = sorted(folder.glob("workloads-torch-*.csv"))
    table = pd.concat([pd.read_csv(file).assign(file=file.name) for file in files])
    on_cpu = table.file.str.endswith("-cpu.csv")
    table["aim"] = np.where(on_cpu, table.workload.map(AIMS["cpu"]), AIMS["gpu"])
    return table.reset_index(drop=True)


def chart(table: pd.DataFrame) -> Figure:
    """Ratios with their quartiles, a panel a device; on a logarithmic axis, for they are ratios."""
    devices = list(dict.fromkeys(table.device))
    heights = [(table.device == device).sum() + 1 for device in devices]
    figure = figures.new_figure(6.2, 0.32 * sum(heights) + 0.5 * len(devices))
    spec = figure.add_gridspec(len(devices), 1, height_ratios=heights)
    low, high = min(0.2, table.ratio_low.min()), 1.2 * max(table.ratio_high.max(), table.aim.max())
    for i, device in enumerate(devices):
        rows = table[table.device == device][::-1]
        label = "PyTorch's time / ours" if device == devices[-1] else ""
        axes = figures.axes_in(figure, spec[i], xlabel=label)
        y = range(len(rows))
        reach = [rows.ratio - rows.ratio_low, rows.ratio_high - rows.ratio]
        axes.barh(y, rows.ratio - 1, left=1, height=0.6, color=figures.COLOURS[0])
        axes.errorbar(rows.ratio, y, xerr=reach, fmt="none", ecolor=figures.INK, lw=1, capsize=2)
        axes.plot(rows.aim, y, "|", ms=12, mew=2, color=figures.INK)
        axes.axvline(1, color=figures.INK, lw=0.8)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        ticks = [t for t in (0.25, 0.5, 1, 2, 3, 5, 10) if low <= t <= high]
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.set_xticks([], minor=True)
        axes.set_yticks(y, rows.workload)
        axes.set_title(device, color=figures.INK, fontsize=11)
    return figure


def short(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def against_torch(table: pd.DataFrame) -> str:
    """The same as a table."""
    lines = [
        "| device | workload | ours, ms | PyTorch, ms (form) | ratio [quartiles] | aim | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for _, row in table.iterrows():
        reached = "reached" if row.ratio >= row.aim else "not reached"
        lines.append(
            f"| {row.device} | `{row.workload}` | {short(row.ms)} | {short(row.peer_ms)} "
            f"(`{row.peer_form}`) | {row.ratio:.2f} [{row.ratio_low:.2f}, {row.ratio_high:.2f}] "
            f"| {row.aim:g} | {reached} |"
        )
    return "\n".join(lines)


def together(folder: Path) -> str:
    """Seeds in one program: steady state, and from start to end as processes."""
    lines = [
        "| device | seeds | outer steps | one after the other, s | together, s | ratio |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for file in sorted(folder.glob("fused-*.csv")):
        for _, row in pd.read_csv(file).iterrows():
            lines.append(
                f"| {row.device} | {row.seeds} | {row.outer_steps} | {short(row.one_by_one_s)} | "
                f"{short(row.fused_s)} | {row.ratio:.1f} |"
            )
    for file in sorted(folder.glob("processes-*.csv")):
        for _, row in pd.read_csv(file).iterrows():
            lines.append(
                f"| {row.device}, processes | {row.seeds} | {row.outer_steps} | "
                f"{short(row.sixteen_processes_s)} | {short(row.one_process_s)} | {row.ratio:.1f} |"
            )
    return "\n".join(lines)


def cost(row: pd.Series) -> tuple[str, str]:
    """Milliseconds with their quartiles, and megabytes."""
    low, high = short(row.ms_low), short(row.ms_high)
    return f"{short(row.ms)} [{low}, {high}]", short(row.temp_mb)


def against_naive(folder: Path) -> str:
    """Our own plain form: what layout, convolutions and calls of many steps bring."""
    lines = [
        "| device | workload | ours, ms [quartiles] | plain form, ms | of the peak | compile, s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for file in sorted(folder.glob("workloads-[!t]*.csv")):
        for _, row in pd.read_csv(file).iterrows():
            lines.append(
                f"| {row.device} | `{row.workload}` | {cost(row)[0]} | {short(row.naive_ms)} | "
                f"{row.share:.0%} | {row.compile_s:.1f} |"
            )
    return "\n".join(lines)


def costs(folder: Path) -> str:
    """Milliseconds and temporary memory over inner steps, kept and computed again; over tasks."""
    parts = []
    for file in sorted(folder.glob("curves-*.csv")):
        frame = pd.read_csv(file)
        for name, rows in frame.groupby("workload", sort=False):
            steps = rows[rows.tasks == rows.tasks.iloc[0]].drop_duplicates(["inner_steps", "remat"])
            parts += [
                f"\n`{name}`, {rows.tasks.iloc[0]} tasks, {rows.device.iloc[0]}:\n",
                "| inner steps | kept: ms | MB | again: ms | MB |",
                "| --- | --- | --- | --- | --- |",
            ]
            for n, pair in steps.groupby("inner_steps"):
                both = pair.sort_values("remat").iterrows()
                cells = [cell for _, row in both for cell in cost(row)]
                parts.append(f"| {n} | {' | '.join(cells)} |")
            over = rows[(rows.inner_steps == 1) & ~rows.remat.astype(bool)].drop_duplicates("tasks")
            parts += ["\n| tasks | layout | ms | MB |", "| --- | --- | --- | --- |"]
            for _, row in over.sort_values("tasks").iterrows():
                parts.append(f"| {row.tasks} | {row.task_axis} | {' | '.join(cost(row))} |")
    return "\n".join(parts).strip()


def sweeps(folder: Path) -> str:
    """Medians of the rounds, with the least and the most; what is beside the runs, for each."""

    def cell(values: pd.Series) -> str:
        low, middle, high = (short(v) for v in (values.min(), values.median(), values.max()))
        return f"{middle} [{low}, {high}]"

    lines = [
        "| device | what | all, s | the programs, s | beside them, % | ms a run |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for file in sorted(folder.glob("sweeps-*.csv")):
        keys = ["device", "what", "runs", "workers", "wandb"]
        for key, rows in pd.read_csv(file).groupby(keys, dropna=False, sort=False):
            device, what, runs, workers, wandb = key
            told, cells = f"`{what}`, {runs:,} runs", ["", "", ""]
            if what == "sweep":
                told = f"{runs} runs, workers: {workers:.0f}, W&B {wandb}"
                beside = rows.overhead * rows.programs_s / runs
                cells = [cell(one) for one in (rows.programs_s, 100 * rows.overhead, 1e3 * beside)]
            elif what == "report.py":
                told += f", {rows.megabytes.max():.2f} MB"
            lines.append(f"| {device} | {told} | {cell(rows.seconds)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def filled(page: str, folder: Path) -> str:
    """The page with its tables between their marks."""
    made = {
        "against": against_torch(measured(folder)), "naive": against_naive(folder),
        "together": together(folder), "costs": costs(folder), "sweeps": sweeps(folder),
    }  # fmt: skip
    for name, text in made.items():
        before, rest = page.split(f"<!-- {name} -->\n", 1)
        after = rest.split("<!-- end -->", 1)[1]
        page = f"{before}<!-- {name} -->\n{text}\n<!-- end -->{after}"
    return page


@surroundings.guarded
def main() -> int:
    """Writes the chart and the page."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False).parse_args()
    label = "speed against PyTorch by workload and device; the table below has the same numbers"
    drawn = figures.standalone(chart(measured(SPEED)), label)
    page = filled(PAGE.read_text(), SPEED)
    disk.write_all({PAGE.parent / "speed.svg": drawn, PAGE: page})
    return 0


if __name__ == "__main__":
    sys.exit(main())
