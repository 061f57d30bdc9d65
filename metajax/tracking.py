"""Weights & Biases: a copy of a run's record, offline by default (floor 6).

The JSON record on disk is the truth. A missing key, server or service never stops a run: it is
warned of, and the copy goes on offline. wandb is imported inside the functions that need it.
"""

from __future__ import annotations

import contextlib
import glob
import io
import json
import os
import shutil
import ssl
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MODES = ("offline", "online", "disabled")
FIXED = ("shots", "draw", "episode", "task", "cluster")
DRAWS = ("natural", "balanced")
MARK = "metajax-mirrored"
# Nothing but the numbers leaves: no code, git remote, host name, package list or console output.
QUIET: dict[str, Any] = dict(
    silent=True, console="off", disable_git=True, disable_code=True, save_code=False,
    disable_job_creation=True, x_disable_stats=True, x_disable_meta=True,
    x_disable_machine_info=True, x_save_requirements=False, host="-",
    init_timeout=20.0, finish_timeout=60.0,
)  # fmt: skip


class Tracker(NamedTuple):
    """A live W&B run as two functions.

    Attributes:
      log: ``(step, {name: number}) -> None``: one row of the curves.
      finish: ``({name: number}) -> None``: writes the summary and closes the run.
      folder: where the run's files lie; None if tracking is disabled.
    """

    log: Callable[[int, Mapping[str, Any]], None]
    finish: Callable[[Mapping[str, Any]], None]
    folder: str | None = None


def start(
    config: Mapping[str, Any], *, mode: str | None, folder: Path, run_id: str,
    project: str = "metajax",
) -> Tracker:  # fmt: skip
    """Open a live W&B run.

    Args:
      config: resolved configuration, nested; `suite` becomes the group, `learner` the job type.
      mode: ``"offline"``, ``"online"`` or ``"disabled"``; None takes WANDB_MODE, else offline.
      folder: offline files go to ``folder/wandb``.
      run_id: the run's id. Under `wandb agent` the agent's own id is used instead.
      project: W&B project.

    Returns:
      The tracker; its functions do nothing if the mode is ``"disabled"``.

    Raises:
      ValueError: for an unknown mode.
    """
    run = _open(config, _mode(mode), Path(folder), run_id, project)
    if run is None:
        return Tracker(lambda step, row: None, lambda summary: None)
    run.define_metric("*", step_metric="step")

    def finish(summary: Mapping[str, Any]) -> None:
        run.summary.update(flatten(summary))
        run.finish()

    log = _never_raise(lambda step, row: run.log({**row, "step": step}))
    return Tracker(log, _never_raise(finish), run.settings.sync_dir)


def mirror(
    run_folder: Path, *, mode: str | None = "offline", folder: Path, project: str = "metajax"
) -> str | None:
    """Replay the record of a finished run into W&B: configuration, curves, scores.

    A record that was mirrored before under the same folder and mode is left as it is; what a
    killed call left behind is replaced.

    Args:
      run_folder: ``results/<suite>/runs/<id>`` with config.json, result.json, metrics.jsonl and
        scores.npz (the last two may be absent).
      mode: ``"offline"``, ``"online"`` or ``"disabled"``; None takes WANDB_MODE, else offline.
      folder: offline files go to ``folder/wandb``.
      project: W&B project.

    Returns:
      The folder of the W&B run, or None if disabled or if W&B could not be started.

    Raises:
      ValueError: for an unknown mode, or a record that cannot be read.
    """
    run_folder, folder, mode = Path(run_folder), Path(folder), _mode(mode)
    if mode == "disabled":
        return None
    config, result, rows, scores = read_record(run_folder)
    run_id = _run_id(run_folder.name)
    prefix = {"offline": "offline-run", "online": "run"}[mode]
    pattern = f"{prefix}-{'?' * 8}_{'?' * 6}-{glob.escape(run_id)}"  # a date, a time, the id
    for old in sorted((folder / "wandb").glob(pattern)):
        if (old / MARK).exists():
            return str(old)
        if mode == "offline":
            shutil.rmtree(old)
    run = _open(config, mode, folder, run_id, project)
    if run is None:
        return None
    home = Path(run.settings.sync_dir)

    def replay() -> None:
        run.define_metric("*", step_metric="step")
        for row in curves(rows):
            run.log(row)
        table, summary = task_scores(result, scores)
        if table:
            import wandb

            data = [list(row.values()) for row in table]
            run.log({"scores": wandb.Table(columns=list(table[0]), data=data)})
        kept = {k: result[k] for k in ("status", "steps", "seconds") if k in result}
        run.summary.update({**flatten(kept), **summary})
        run.finish(exit_code=0 if result.get("status") == "complete" else 1)
        (home / MARK).touch()  # last: a copy that a kill interrupted does not have it

    _never_raise(replay)()
    return str(home)


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into one with dotted names, as a W&B sweep file has them."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        full = f"{prefix}{name}"
        flat |= flatten(value, f"{full}.") if isinstance(value, Mapping) else {full: value}
    return flat


def curves(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put phase and fold before the numbers' names, where there are several of them.

    So a name has one value a step: ``select/fold0/train/loss``.
    """
    several = [key for key in ("phase", "fold") if len({row.get(key) for row in rows}) > 1]
    own, named = {"phase": "{}/", "fold": "fold{}/"}, []
    for row in rows:
        first = "".join(own[key].format(row.get(key)) for key in several)
        kept = ("step", "fold", "phase")
        named.append({k if k in kept else first + k: v for k, v in row.items()})
    return named


def _mode(mode: str | None) -> str:
    """Check the mode, or take it from the environment."""
    given = mode if mode is not None else os.environ.get("WANDB_MODE") or "offline"
    given = "offline" if given == "dryrun" else given  # W&B's old name
    if given not in MODES:
        raise ValueError(f"W&B mode must be one of {', '.join(MODES)}; got {given!r}")
    return given


def _run_id(run_id: str) -> str:
    """Under `wandb agent` a run must carry the id that the agent gave it."""
    return os.environ.get("WANDB_RUN_ID", run_id) if "WANDB_SWEEP_ID" in os.environ else run_id


def _open(config: Mapping[str, Any], mode: str, folder: Path, run_id: str, project: str) -> Any:
    """Start a W&B run, offline if online fails; None if disabled or if offline fails too."""
    if mode == "disabled":
        return None
    own = _run_id(run_id)
    # A server that fails midway may keep the id, so the last way out is another one.
    plans = [(mode, own)]
    plans += [("offline", own), ("offline", f"{own}-offline")] if mode == "online" else []
    failed = ""
    for kind, name in plans:
        try:
            run = _init(config, kind, folder, name, project)
            break
        except Exception as error:  # whatever W&B trips over must not stop the run
            run, failed = None, failed or str(error)
    if failed:
        how = "without W&B" if run is None else "offline"
        warnings.warn(f"W&B {mode}: {failed}; going on {how}", RuntimeWarning, stacklevel=3)
    return run


def _init(config: Mapping[str, Any], mode: str, folder: Path, run_id: str, project: str) -> Any:
    """Call `wandb.init` such that it neither prints nor asks nor waits for long."""
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    if mode == "online":
        _reach(wandb.setup().settings.base_url)
    known = {k: v for k, v in QUIET.items() if k in wandb.Settings.model_fields}  # as of release
    # Captured stderr is no terminal: a missing key raises at once instead of prompting.
    with contextlib.redirect_stderr(io.StringIO()):
        return wandb.init(
            project=project, dir=str(folder), id=run_id, mode=mode,
            name="/".join(str(config.get(k, "")) for k in ("benchmark", "learner", "seed")),
            group=config.get("suite"), job_type=config.get("learner"),
            config=flatten(config), reinit="create_new", settings=wandb.Settings(**known),
        )  # fmt: skip


def _reach(url: str, seconds: float = 5.0) -> None:
    """Raise OSError if no server answers: W&B itself would retry, once for every run."""
    try:
        urllib.request.urlopen(url, timeout=seconds).close()
    except urllib.error.HTTPError:
        pass  # it answers
    except OSError as error:  # another set of certificates than W&B's is no reason to give up
        if not isinstance(getattr(error, "reason", error), ssl.SSLError):
            raise ConnectionError(f"no server at {url}: {error}") from error


def _never_raise(call: Callable[..., None]) -> Callable[..., None]:
    """Make what W&B trips over a warning."""

    def safe(*args: Any) -> None:
        try:
            call(*args)
        except Exception as error:  # the record on disk is whole: losing its copy is no failure
            warnings.warn(f"W&B: {error}; the record on disk is whole", RuntimeWarning, 3)

    return safe


def read_record(folder: Path) -> tuple[dict, dict, list[dict], dict[str, np.ndarray]]:
    """Read the parts of a record that W&B gets."""
    rows, scores = [], {}
    try:
        config = json.loads((folder / "config.json").read_text())
        result = json.loads((folder / "result.json").read_text())
        if (path := folder / "metrics.jsonl").exists():
            rows = [json.loads(line) for line in path.read_text().splitlines() if line]
        if (path := folder / "scores.npz").exists():
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                scores = {name: archive[name] for name in archive.files}
    except Exception as error:  # zipfile, json and numpy raise a dozen kinds
        raise ValueError(f"cannot read the run's record {folder}: {error}") from error
    return config, result, rows, scores


def task_scores(result: dict, scores: dict[str, np.ndarray]) -> tuple[list[dict], dict[str, float]]:
    """Mean score of every task (rows of a table), and the mean over tasks (the summary)."""
    table, means = [], {}
    if not (n := len(scores.get("task", ()))):
        return [], {}
    skip = (*FIXED, *(k for k in scores if k.startswith(("boot", "calibration"))))
    metrics = [k for k, v in scores.items() if k not in skip and v.shape == (n,)]
    names = dict(enumerate(result.get("tasks") or ()))
    keys = np.stack([scores["shots"], scores["draw"], scores["task"]], axis=1)
    for shots, draw, task in np.unique(keys, axis=0).tolist():
        here = (keys == (shots, draw, task)).all(axis=1)
        row = {"task": names.get(task, str(task)), "shots": shots, "draw": DRAWS[draw]}
        for metric in metrics:
            values = scores[metric][here].astype(np.float64)
            values = values[~np.isnan(values)]
            row[metric] = float(values.mean()) if len(values) else None
            if len(values):
                means.setdefault(f"{DRAWS[draw]}/{metric}@{shots}", []).append(row[metric])
        table.append(row)
    return table, {name: float(np.mean(values)) for name, values in means.items()}
