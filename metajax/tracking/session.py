"""Open a W&B run such that nothing private leaves and no failure stops the caller (floor 6).

wandb is imported inside the functions that need it.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from metajax.tracking.content import flatten

MODES = ("offline", "online", "disabled")
# Nothing but the numbers leaves: no code, git remote, host name, package list or console output.
QUIET: dict[str, Any] = dict(
    silent=True, console="off", disable_git=True, disable_code=True, save_code=False,
    disable_job_creation=True, x_disable_stats=True, x_disable_meta=True,
    x_disable_machine_info=True, x_save_requirements=False, host="-",
    init_timeout=20.0, finish_timeout=60.0, finish_timeout_raises=True,
)  # fmt: skip


def mode_of(mode: str | None) -> str:
    """Check the mode, or take it from the environment; `wandb agent` needs its runs online.

    Raises:
      ValueError: for an unknown mode.
    """
    default = "online" if "WANDB_SWEEP_ID" in os.environ else "offline"
    given = mode if mode is not None else os.environ.get("WANDB_MODE") or default
    given = {"dryrun": "offline", "run": "online"}.get(given, given)  # W&B's old names
    if given not in MODES:
        raise ValueError(f"W&B mode must be one of {', '.join(MODES)}; got {given!r}")
    return given


def check_settings(folder: Path) -> None:
    """Check what would only be found to be wrong after training.

    Args:
      folder: of the suite; see `home_of`.

    Raises:
      ValueError: naming the variable.
    """
    told = {k: os.environ[k] for k in ("WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_PROJECT")
            if os.environ.get(k)}  # fmt: skip
    if (url := told.get("WANDB_BASE_URL")) is not None:
        try:
            parts = urllib.parse.urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good or re.search(r"\s", url):
            raise ValueError(f"WANDB_BASE_URL must be the address of a server, such as "
                             f"https://api.wandb.ai; got {url!r}")  # fmt: skip
    if not re.fullmatch(r"[\w.-]+", told.get("WANDB_ENTITY", "x")):
        raise ValueError(f"WANDB_ENTITY must be the name of a user or a team: letters, digits, "
                         f"- and _; got {told['WANDB_ENTITY']!r}")  # fmt: skip
    if not re.fullmatch(r"[^/\\#?%:\n]{1,128}", told.get("WANDB_PROJECT", "x")):
        raise ValueError(f"WANDB_PROJECT must be the name of a project, without /, \\, #, ?, % and "
                         f":; got {told['WANDB_PROJECT']!r}")  # fmt: skip
    home = home_of(folder)
    if home != folder:
        why = ""
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = error.strerror or str(error)
        if why or not os.access(home, os.W_OK | os.X_OK):
            raise ValueError(f"WANDB_DIR={home} is no folder that can be written"
                             f"{why and f' ({why})'}: mend or unset it")  # fmt: skip


def agent_id() -> str | None:
    """The id that `wandb agent` gave the run of this process; None without an agent."""
    return os.environ.get("WANDB_RUN_ID") if "WANDB_SWEEP_ID" in os.environ else None


def home_of(folder: Path) -> Path:
    """The folder in which W&B makes its `wandb`: WANDB_DIR if that is set, else `folder`.

    An agent sets WANDB_DIR to where it was started, which says nothing.
    """
    told = None if "WANDB_SWEEP_ID" in os.environ else os.environ.get("WANDB_DIR")
    return Path(told or folder)


def open_run(
    config: Mapping[str, Any], *, mode: str, folder: Path, run_id: str, project: str | None,
    tags: Sequence[str] = (), commit: str | None = None,
) -> Any:  # fmt: skip
    """Start a W&B run, offline if online fails; None if disabled or if offline fails too."""
    if mode == "disabled":
        return None
    # A server that fails midway may keep the id, so the last way out is another one.
    plans = [(mode, run_id)]
    plans += [("offline", run_id), ("offline", f"{run_id}-offline")] if mode == "online" else []
    run, failed = None, ""
    for kind, name in plans:
        try:
            run = _init(config, kind, folder, name, project, tags, commit)
            break
        except Exception as error:  # whatever W&B trips over must not stop the run
            failed = failed or str(error)
    if failed:
        how = "without W&B" if run is None else "offline"
        warnings.warn(f"W&B {mode}: {failed}; going on {how}", RuntimeWarning, stacklevel=3)
    return run


def _init(config, mode: str, folder: Path, run_id: str, project: str | None, tags, commit) -> Any:
    """Call `wandb.init` such that it neither prints nor asks nor waits for long."""
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    if mode == "online":
        reach(wandb.setup().settings.base_url)
    # In a sweep W&B ignores project and id, so that several runs of one process would be one.
    shared = wandb.setup().settings
    sweep, shared.sweep_id = shared.sweep_id, None
    given = QUIET | {"git_commit": commit, "sweep_id": sweep}
    known = {k: v for k, v in given.items() if k in wandb.Settings.model_fields}  # as of release
    name = "/".join(str(config.get(k, "")) for k in ("benchmark", "learner", "seed"))
    told = os.environ.get  # arguments would win over W&B's own variables
    tags = [*tags, *(tag for tag in told("WANDB_TAGS", "").split(",") if tag)]
    try:
        # Captured stderr is no terminal: a missing key raises at once instead of prompting.
        with contextlib.redirect_stderr(io.StringIO()):
            return wandb.init(
                project=project or told("WANDB_PROJECT") or "metajax", dir=str(folder), id=run_id,
                mode=mode, name=told("WANDB_NAME") or name, tags=list(dict.fromkeys(tags)),
                group=told("WANDB_RUN_GROUP") or config.get("suite"),
                job_type=told("WANDB_JOB_TYPE") or config.get("learner"),
                config=flatten(config), reinit="create_new", settings=wandb.Settings(**known),
            )  # fmt: skip
    finally:
        shared.sweep_id = sweep


def reach(url: str, seconds: float = 5.0) -> None:
    """Raise OSError if no server answers: W&B itself would retry, once for every run."""
    try:
        urllib.request.urlopen(url, timeout=seconds).close()
    except urllib.error.HTTPError:
        pass  # it answers
    except OSError as error:  # another set of certificates than W&B's is no reason to give up
        if not isinstance(getattr(error, "reason", error), ssl.SSLError):
            raise ConnectionError(f"no server at {url}: {error}") from error


def never_raise(call: Callable[..., None]) -> Callable[..., None]:
    """Make what W&B trips over a warning."""

    def safe(*args: Any) -> None:
        try:
            call(*args)
        except Exception as error:  # the record on disk is whole: losing its copy is no failure
            told = f"W&B: {type(error).__name__} {error}; the record on disk is whole"
            warnings.warn(f"{told}, and the same command copies it again", RuntimeWarning, 3)

    return safe
