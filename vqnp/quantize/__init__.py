"""Quantization by hand: the nearest-token search, k-means, the moving-average update and the straight-through quantizer."""

from vqnp.quantize.ema import DIALECTS, Codebook, Dialect, ema_update
from vqnp.quantize.lloyd import Clustering, kmeans
from vqnp.quantize.quantizer import (
    Quantizer,
    QuantizerSettings,
    quantize_backward,
    quantize_forward,
)
from vqnp.quantize.search import nearest

__all__ = [
    "DIALECTS",
    "Clustering",
    "Codebook",
    "Dialect",
    "Quantizer",
    "QuantizerSettings",
    "ema_update",
    "kmeans",
    "nearest",
    "quantize_backward",
    "quantize_forward",
]
