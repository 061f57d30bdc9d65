"""What every test shares: a worker process that does not run out of memory maps."""

from pathlib import Path

import jax
import pytest

# Linux allows a process 65,530 memory maps, and each program compiled for the CPU holds a few; a
# worker that has compiled some thousands is killed without a word.
MAPS = 25_000


@pytest.fixture(autouse=True)
def release_compiled_programs():
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MAPS:
        jax.clear_caches()
