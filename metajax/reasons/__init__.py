"""Reasons: what a prediction rests on, for any model given as ``predict(x) -> (N, C)`` (floor 4).

Columns of a table: `shapley`, exact up to 12 columns, sampled beyond. Pixels and letters:
`integrated_gradients` (needs a gradient) and `mutagenesis` (does not). Labelled cases: `nearest`,
`prototypes` and `attention` for metric learners, `example_weights` for those that weigh rows.

A reason is of the model, not of the patient: it says what the model's output would be, were the
input another. It is no cause, and a wrong model has reasons, too.
"""

from metajax.reasons.cases import (
    Nearest,
    Prototypes,
    attention,
    distances,
    nearest,
    prototypes,
)
from metajax.reasons.gradients import Gradients, integrated_gradients
from metajax.reasons.letters import Mutagenesis, mutagenesis
from metajax.reasons.outputs import framed
from metajax.reasons.shapley import Shapley, shapley
from metajax.reasons.weights import ExampleWeights, example_weights

__all__ = (
    "ExampleWeights", "Gradients", "Mutagenesis", "Nearest", "Prototypes", "Shapley", "attention",
    "distances", "example_weights", "framed", "integrated_gradients", "mutagenesis", "nearest",
    "prototypes", "shapley",
)  # fmt: skip
