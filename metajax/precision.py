"""What JAX is told that changes numbers, and what else it is told (floor 1).

Asked of `jax.config`, which environment variables and programs both set.
"""

from __future__ import annotations

import enum
import os
import re
from typing import Any

import jax

# What changes episodes, or numbers by more than their last bits, with the values under which runs
# have plain names. Devices, XLA's flags and the order of sums change last bits only.
USUAL = {
    "jax_enable_x64": False,
    "jax_explicit_x64_dtypes": "warn",
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_high_dynamic_range_gumbel": False,
    "jax_default_matmul_precision": None,
    "jax_numpy_dtype_promotion": "standard",
    "jax_allow_f16_reductions": True,
}
# What changes last bits, or only whether and where a program runs: kept with a run as well.
ALSO = {
    "jax_platforms": None, "jax_default_device": None, "jax_num_cpu_devices": -1,
    "jax_disable_jit": False, "jax_disable_most_optimizations": False,
    "jax_optimization_level": "UNKNOWN", "jax_exec_time_optimization_effort": 0.0,
    "jax_softmax_custom_jvp": False, "jax_use_direct_linearize": True,
    "jax_threefry_gpu_kernel_lowering": False, "jax_numpy_rank_promotion": "allow",
    "jax_debug_nans": False, "jax_debug_infs": False, "jax_enable_checks": False,
}  # fmt: skip
# Variables of the environment that are kept with a run. Keys and addresses are none of them.
KEPT = re.compile(r"(JAX|XLA|LIBTPU|NVIDIA_TF32|TF_CPP|OMP_NUM|OPENBLAS_NUM|MKL_NUM)\w*")
# Where things lie, and what is only printed.
LEFT_OUT = re.compile(r"cache|_dir|_to$|address|log|secret|token|key_file|credential", re.I)


def unusual() -> dict[str, Any]:
    """Those of `USUAL` that have another value here: they are part of a run's identity."""
    return _others(USUAL)


def _others(usual: dict[str, Any]) -> dict[str, Any]:
    """The settings that are not as usual; one that this JAX does not know is."""
    found = {name: _plain(getattr(jax.config, name, value)) for name, value in usual.items()}
    return {name: value for name, value in found.items() if value != usual[name]}


def flags() -> dict[str, Any]:
    """All that JAX and XLA are told, to be kept with a run: variables, and settings as they are."""
    told = {
        name: value
        for name, value in sorted(os.environ.items())
        if KEPT.fullmatch(name) and not LEFT_OUT.search(name)
    }
    return told | _others(USUAL | ALSO)


def _plain(value: Any) -> Any:
    """A setting as JSON; of an enumeration its value."""
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, int | float | str | None):
        return value
    return str(value)
