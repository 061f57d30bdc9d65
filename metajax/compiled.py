"""Compiled programs that outlive their process (floor 2)."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import jax

from metajax import surroundings


def keep_compiled() -> None:
    """Keeps compiled programs between processes, this one and its workers, unless set otherwise.

    Raises:
      ValueError: if a folder that was named cannot be written, or the seconds are no number.
    """
    named = "JAX_COMPILATION_CACHE_DIR" if os.environ.get("JAX_COMPILATION_CACHE_DIR") else ""
    folder = Path(os.environ.get(named) or surroundings.cache_root() / "xla")
    least = os.environ.get("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS") or "0"
    try:
        seconds = float(least)
    except ValueError:
        told = f"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS must be a number; got {least!r}"
        raise ValueError(told) from None
    named = named or ("METAJAX_CACHE" if os.environ.get("METAJAX_CACHE") else "")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        if named:
            told = f"{named} names a folder that cannot be written: {error}; mend or unset {named}"
            raise ValueError(told) from error
        sys.stderr.write(f"compiled programs are not kept: {error}; METAJAX_CACHE names a folder\n")
        return
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = least
    # jax has read its environment at import; workers read theirs.
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", seconds)
