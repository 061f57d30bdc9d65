"""Weights & Biases: a copy of a run's record, offline by default (floor 6).

The JSON record on disk is the truth. A missing key, server or service never stops a run: it is
warned of, and the copy goes on offline.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from metajax import disk
from metajax.tracking.content import (
    RESULT,
    Record,
    curves,
    flatten,
    plots,
    read_record,
    settings,
    summary_scores,
    tags,
    task_scores,
)
from metajax.tracking.copying import Copier, copier
from metajax.tracking.missing import noted, settle
from metajax.tracking.session import (
    QUIET,
    agent_id,
    check_settings,
    home_of,
    mode_of,
    never_raise,
    open_run,
)

__all__ = ["MARK", "QUIET", "Copier", "Record", "Tracker", "check_settings", "copied", "copier",
           "curves", "flatten", "mirror", "mode_of", "noted", "read_record", "settle", "start",
           "summary_scores", "task_scores"]  # fmt: skip
MARK = "metajax-mirrored"  # in a copy that is whole; holds the name of the record
RESULT_DIGEST = "metajax-result"  # in a copy; of the result.json that it was made of


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
    project: str | None = None,
) -> Tracker:  # fmt: skip
    """Open a live W&B run.

    Args:
      config: resolved configuration, nested; `suite` becomes the group, `learner` the job type.
      mode: ``"offline"``, ``"online"`` or ``"disabled"``; None takes WANDB_MODE, else offline
        (under `wandb agent` online).
      folder: offline files go to ``folder/wandb``, or to that of WANDB_DIR.
      run_id: the run's id. Under `wandb agent` the agent's own id is used instead.
      project: W&B project; None takes WANDB_PROJECT, else metajax.

    Returns:
      The tracker; its functions do nothing if the mode is ``"disabled"``.

    Raises:
      ValueError: for an unknown mode.
    """
    run = open_run(
        config, mode=mode_of(mode), folder=home_of(folder), run_id=agent_id() or run_id,
        project=project,
    )  # fmt: skip
    if run is None:
        return Tracker(lambda step, row: None, lambda summary: None)
    run.define_metric("*", step_metric="step")

    def finish(summary: Mapping[str, Any]) -> None:
        run.summary.update(flatten(summary))
        run.finish()

    log = never_raise(lambda step, row: run.log({**row, "step": step}))
    return Tracker(log, never_raise(finish), run.settings.sync_dir)


def mirror(
    run_folder: Path, *, mode: str | None = "offline", folder: Path, project: str | None = None
) -> str | None:
    """Replay the record of a finished run into W&B: configuration, curves, scores, checkpoint.

    A record that was mirrored before under the same folder is left as it is, unless its copy is
    offline and it is wanted online; what a killed call or a silent server left behind is replaced.
    Two processes never copy a record at once. Of several records mirrored under one `wandb agent`
    run the first has the agent's id, the others their own.

    Args:
      run_folder: ``results/<suite>/runs/<id>`` with config.json, result.json, environment.json,
        metrics.jsonl, scores.npz (unless it diverged) and checkpoints; environment, metrics
        and checkpoints may be absent.
      mode: ``"offline"``, ``"online"`` or ``"disabled"``; None takes WANDB_MODE, else offline
        (under `wandb agent` online).
      folder: offline files go to ``folder/wandb``, or to that of WANDB_DIR.
      project: W&B project; None takes WANDB_PROJECT, else metajax.

    Returns:
      The folder of the W&B run, or None if disabled or if W&B could not be started.

    Raises:
      ValueError: for an unknown mode, or a record that cannot be read.
    """
    run_folder, folder, mode = Path(run_folder), home_of(folder), mode_of(mode)
    if mode == "disabled":
        return None
    with contextlib.ExitStack() as alone:
        with contextlib.suppress(OSError):  # a folder that cannot be written: W&B will say so
            folder.mkdir(parents=True, exist_ok=True)
            alone.enter_context(disk.claim(folder / "wandb", [f"W&B {run_folder.name}"]))
        return _mirror_alone(run_folder, mode, folder, project)


def _mirror_alone(run_folder: Path, mode: str, folder: Path, project: str | None) -> str | None:
    """See `mirror`; no other process does this to the same record."""
    record, name = read_record(run_folder), run_folder.name
    there, run_id, older, marked = _found(run_folder, mode, folder)
    if there is not None:
        return str(there)
    for path in older:
        if not marked[path]:
            shutil.rmtree(path, ignore_errors=True)
    run = open_run(
        settings(record, name), mode=mode, folder=folder, run_id=run_id, project=project,
        tags=tags(record), commit=record.environment.get("commit"),
    )  # fmt: skip
    if run is None:
        return None
    home = Path(run.settings.sync_dir)

    def replay() -> None:
        try:
            _replay(run, record, run_folder)
        except Exception:
            with contextlib.suppress(Exception):  # an open run would be waited for at exit
                run.finish(exit_code=1)
            raise
        run.finish(exit_code=0 if record.result.get("status") == "complete" else 1)
        (home / RESULT_DIGEST).write_text(_digest(run_folder))
        (home / MARK).write_text(name)  # last: a copy that a kill interrupted does not have it
        for path in older:  # else both would be uploaded
            if path != home:
                shutil.rmtree(path, ignore_errors=True)

    never_raise(replay)()
    return str(home)


def copied(run_folder: Path, mode: str, folder: Path) -> Path | None:
    """The whole copy of a record that `mirror` would leave as it is; it needs no W&B."""
    return _found(run_folder, mode, home_of(folder))[0]


def _found(
    run_folder: Path, mode: str, folder: Path
) -> tuple[Path | None, str, list[Path], dict[Path, str]]:
    """The copy that serves, else the id of the next one, what it replaces, and the marks of these.

    Args:
      run_folder: the record.
      mode: ``"offline"`` or ``"online"``.
      folder: in which W&B makes its `wandb`.
    """
    name, marked, older, digest = run_folder.name, {}, [], _digest(run_folder)
    run_id = name
    for run_id in dict.fromkeys((agent_id() or name, name)):
        marked = {path: _marked(path, digest) for path in _copies(folder / "wandb", run_id)}
        older = [path for path, of in marked.items() if of in ("", name)]
        for path in older:
            if marked[path] and (mode == "offline" or _arrived(path)):
                return path, run_id, older, marked
        if len(older) == len(marked):  # the id is no other record's
            break
    return None, run_id, older, marked


def _digest(run_folder: Path) -> str:
    """Of result.json; empty without: a damaged record has none."""
    try:
        return hashlib.sha256((run_folder / "result.json").read_bytes()).hexdigest()
    except OSError:
        return ""


def _copies(place: Path, run_id: str) -> list[Path]:
    """The local copies of a W&B run: a date, a time, the id."""
    pattern = f"*run-{'?' * 8}_{'?' * 6}-{glob.escape(run_id)}"
    return sorted([*place.glob(pattern), *place.glob(f"{pattern}-offline")])


def _marked(copy: Path, digest: str) -> str:
    """The name of the record of which this is a whole copy, else nothing.

    Nothing either for a copy of a record that was made again since.
    """
    try:
        name, of = (copy / MARK).read_text(), copy / RESULT_DIGEST
        return "" if of.exists() and name and of.read_text() != digest else name
    except (OSError, ValueError):  # not there; or another process has just replaced it
        return ""


def _arrived(copy: Path) -> bool:
    """True if the server has it: it was online, or `wandb sync` marked it."""
    return not copy.name.startswith("offline-") or any(copy.glob("*.wandb.synced"))


def _replay(run: Any, record: Record, run_folder: Path) -> None:
    """Log everything of a record into an open run."""
    import wandb

    run.define_metric("*", step_metric="step")
    for row in curves(record.rows):
        run.log(row)
    table, means = task_scores(record.result, record.scores)
    logged: dict[str, Any] = {}
    if table:  # W&B makes an artifact of every table: run-<id>-scores
        rows = [list(row.values()) for row in table]
        logged["scores"] = wandb.Table(columns=list(table[0]), data=rows)
    for title, (columns, data) in plots(record.scores, means).items():
        line = wandb.Table(columns=columns, data=data)
        logged[title] = wandb.plot.line(line, columns[0], columns[1], title=title)
    if logged:
        run.log(logged)
    if (checkpoints := run_folder / "checkpoints").is_dir():
        about = {k: record.config.get(k) for k in ("benchmark", "learner", "seed")}
        title = re.sub(r"[^\w.-]", "_", f"checkpoint-{run_folder.name}")
        artifact = wandb.Artifact(title, "model", metadata={"record": run_folder.name, **about})
        for path in sorted(p for p in checkpoints.rglob("*") if p.is_file()):  # add_dir prints
            inside = str(path.relative_to(checkpoints))
            if inside.startswith(("damaged-", "other-")):  # kept aside, not the run's
                continue
            # immutable: W&B refers to the file instead of copying it into the home folder
            artifact.add_file(str(path), inside, policy="immutable", skip_cache=True)
        run.log_artifact(artifact)
    told = {k: record.result[k] for k in RESULT if k in record.result}
    run.summary.update(flatten(told) | summary_scores(record))
