"""Encoders: flax.linen modules from inputs (N, ...) to features (N, D) (floor 1)."""

from metajax.nn.conv import Conv4
from metajax.nn.mlp import MLP, Identity

__all__ = ["MLP", "Conv4", "Identity"]
