"""MetaJAX: few-shot medicine, benchmarked honestly."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
ESTIMATORS = ("FewShotClassifier", "FewShotRegressor")
__all__ = [*ESTIMATORS, "__version__"]


def __getattr__(name: str) -> Any:
    """The estimators, imported when they are first asked for: they bring jax and scikit-learn."""
    if name in ESTIMATORS:
        return getattr(import_module("metajax.estimator"), name)
    raise AttributeError(f"module 'metajax' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The estimators among the names."""
    return sorted({*globals(), *ESTIMATORS})
