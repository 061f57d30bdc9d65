"""Encoders: flax.linen modules from inputs (N, ...) to features (N, D) (floor 1)."""

from metajax.nn.cells import CellTransformer
from metajax.nn.conv import Conv4
from metajax.nn.conv1d import Conv1D
from metajax.nn.convolution import Conv, convolve
from metajax.nn.fingerprint import Fingerprint
from metajax.nn.fusion import Fusion
from metajax.nn.mlp import MLP, Identity
from metajax.nn.normalisation import BatchNorm
from metajax.nn.pooling import max_pool
from metajax.nn.sets import SetEncoder

__all__ = [
    "MLP",
    "BatchNorm",
    "CellTransformer",
    "Conv",
    "Conv1D",
    "Conv4",
    "Fingerprint",
    "Fusion",
    "Identity",
    "SetEncoder",
    "convolve",
    "max_pool",
]
