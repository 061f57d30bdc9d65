"""Upload the offline W&B runs under results, once each."""

from __future__ import annotations

from metajax import surroundings

surroundings.check(jax=False)

import argparse
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BATCH = 50  # runs a call of `wandb sync`
NO_KEY = ("No API key", "Not authenticated")  # what it says then


@surroundings.guarded
def main(argv: list[str] | None = None) -> int:
    """Returns 0 if nothing is left to upload, 1 if something is, 2 for what the user must mend."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    parser.add_argument("--suite", help="this suite only")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be uploaded")
    args = parser.parse_args(argv)
    try:
        offline_runs(args.results, args.suite)  # what it refuses is refused first
        left = copy_missing(args.results, args.suite, args.dry_run)
        runs = offline_runs(args.results, args.suite)
    except ValueError as error:
        return fail(error)
    todo = [run for run in runs if not uploaded(run)]
    torn = [run for run in todo if not is_whole(run)]
    todo = [run for run in todo if run not in torn]
    for run in torn:
        print(f"wandb_sync.py: {run} is torn, or still being written: skipped", file=sys.stderr)
    print(f"{len(runs)} offline runs: {len(runs) - len(todo) - len(torn)} uploaded before, "
          f"{len(todo)} to upload, {len(torn)} torn")  # fmt: skip
    if args.dry_run or not todo:
        return 1 if torn or left else 0
    try:
        check_server()
        failed = upload(todo)
    except ConnectionError as error:
        return fail(error)
    print(f"{len(todo) - len(failed)} uploaded, {len(failed)} failed")
    return 1 if failed or torn or left else 0


def copy_missing(results: Path, suite: str | None, dry_run: bool) -> int:
    """Makes the copies that a command could not make; returns how many are still missing."""
    from metajax import tracking

    left = 0
    for folder in sorted(p.parent for p in results.glob("*/.uncopied")):
        names = tracking.noted(folder) if suite in (None, folder.name) else []
        if dry_run or not names:
            print(f"{folder}: {len(names)} copies to make" if names else "", end="\n" * bool(names))
            continue
        done = []
        with tracking.copier(folder, mode="offline", tell=warn) as copier:
            for name in names:
                try:
                    done += [name] if copier.copy(folder / "runs" / name) is not None else []
                except ValueError as error:  # a damaged record
                    warn(error)
        tracking.settle(folder, done)
        left += len(names) - len(done)
        print(f"{folder}: {len(done)} copies made, {len(names) - len(done)} still missing")
    return left


def warn(message: object) -> None:
    """Prints what is no reason to stop."""
    print(f"wandb_sync.py: {message}", file=sys.stderr)


def fail(message: object) -> int:
    """Prints one line and returns the exit code of what the user must mend."""
    print(f"wandb_sync.py: {message}", file=sys.stderr)
    return 2


def offline_runs(results: Path, suite: str | None = None) -> list[Path]:
    """The folders of all offline runs, those under WANDB_DIR included.

    Raises:
      ValueError: if there is no such folder or suite; if runs of all suites lie together.
    """
    if not results.is_dir():
        raise ValueError(f"no folder {results}; name one with --results")
    if suite is not None and not (results / surroundings.suite_name(suite)).is_dir():
        there = ", ".join(sorted(p.name for p in results.iterdir() if p.is_dir())) or "none"
        raise ValueError(f"no suite {suite!r} in {results}; there are: {there}")
    told = os.environ.get("WANDB_DIR")
    if suite is not None and told:
        raise ValueError(f"WANDB_DIR={told} holds the runs of all suites: leave out --suite")
    found = set(results.glob(f"{suite or '*'}/wandb/offline-run-*"))
    if told:
        found |= set(Path(told).glob("wandb/offline-run-*"))
    return sorted(found)


def uploaded(run: Path) -> bool:
    """True if `wandb sync` has marked the run as arrived."""
    return any(run.glob("run-*.wandb.synced"))


def is_whole(run: Path) -> bool:
    """True if the run's file can be read up to its end: the last thing W&B writes."""
    files = list(run.glob("run-*.wandb"))
    if len(files) != 1:
        return False
    try:
        return any(one.WhichOneof("record_type") == "exit" for one in records(files[0]))
    except Exception:  # noqa: BLE001  (protobuf's own errors; the message is the same)
        return False


def records(path: Path) -> Iterator[Any]:
    """The records of a .wandb file, up to its end or the first byte that is damaged.

    LevelDB framing: 32 KiB blocks; pieces of crc32(type + data), length, type, data.
    """
    from wandb.proto import wandb_internal_pb2

    data, at, buffer = path.read_bytes(), 7, b""
    while data[:4] == b":W&B" and at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        crc, size, kind = struct.unpack("<IHB", data[at : at + 7])
        piece = data[at + 7 : at + 7 + size]
        whole = len(piece) == size and zlib.crc32(piece, zlib.crc32(bytes([kind]))) == crc
        if kind == 0 or not whole:
            return
        at, buffer = at + 7 + size, buffer + piece
        if kind in (1, 4):  # a full record, or the last piece of one
            yield wandb_internal_pb2.Record.FromString(buffer)
            buffer = b""


def check_server() -> None:
    """Raises ConnectionError if no server answers: `wandb` would try again for hours."""
    from metajax.tracking.copying import START
    from metajax.tracking.session import reach

    command = [sys.executable, "-P", "-c", "import wandb; print(wandb.setup().settings.base_url)"]
    try:  # a process of its own: where its service cannot start, W&B hangs for ever
        done = subprocess.run(command, capture_output=True, text=True, timeout=START, check=False)
    except subprocess.TimeoutExpired as error:
        raise ConnectionError(f"W&B did not start in {START:.0f} s (wandb-core hangs)") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no word"]
        raise ConnectionError(f"W&B does not start: {said[-1]}")
    reach(done.stdout.split()[-1])


def upload(runs: list[Path]) -> list[Path]:
    """Uploads runs with `wandb sync`, which marks what has arrived; returns the others.

    Raises:
      ConnectionError: if there is no key.
    """
    # Modes and silence are for training; here everything is to be uploaded and told.
    quiet = ("WANDB_MODE", "WANDB_SILENT", "WANDB_QUIET", "WANDB_RUN_ID", "WANDB_SWEEP_ID")
    env = {k: v for k, v in os.environ.items() if k not in quiet}
    env["PYTHONSAFEPATH"] = "1"  # it runs among results, whose `wandb` is not to be imported
    failed = []
    for start in range(0, len(runs), BATCH):
        batch = runs[start : start + BATCH]
        command = [sys.executable, "-P", "-m", "wandb", "sync"]
        command += [str(run.resolve()) for run in batch]
        done = subprocess.run(  # wandb logs into the `wandb` of the folder it runs in
            command, cwd=batch[0].parents[1], env=env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        left = [run for run in batch if not uploaded(run)]
        if len(left) == len(batch) and any(told in done.stdout for told in NO_KEY):
            raise ConnectionError("no W&B key: `wandb login`, or set WANDB_API_KEY")
        print(f"{start + len(batch)} of {len(runs)}", flush=True)
        said = done.stdout.splitlines()
        kept = said if left else [line for line in said if "ERROR" in line or "WARN" in line]
        print("".join(f"{line}\n" for line in kept), end="", file=sys.stderr)
        failed += left
    return failed


if __name__ == "__main__":
    sys.exit(main())
