"""Quantizers by hand, one idea a file: the search, k-means, the moving averages, and the rest."""

from vqnp.quantize.codebook import DIALECTS, Codebook, Dialect
from vqnp.quantize.cvq import CVQ
from vqnp.quantize.ema import EMA, ema_update
from vqnp.quantize.fsq import FSQ, fsq_backward, fsq_forward
from vqnp.quantize.gradient_codebook import (
    GradientCodebook,
    codebook_loss_backward,
    codebook_loss_forward,
)
from vqnp.quantize.lloyd import Clustering, kmeans
from vqnp.quantize.normalize import normalize_backward, normalize_forward
from vqnp.quantize.orthogonal import orthogonal_backward, orthogonal_forward
from vqnp.quantize.quantizer import Identity, Quantized, Quantizer, View, quantizer_from_json
from vqnp.quantize.revive import revive
from vqnp.quantize.rotation import rotation_backward
from vqnp.quantize.search import nearest
from vqnp.quantize.straight_through import straight_through_backward, straight_through_forward

__all__ = [
    "CVQ",
    "DIALECTS",
    "EMA",
    "FSQ",
    "Clustering",
    "Codebook",
    "Dialect",
    "GradientCodebook",
    "Identity",
    "Quantized",
    "Quantizer",
    "View",
    "codebook_loss_backward",
    "codebook_loss_forward",
    "ema_update",
    "fsq_backward",
    "fsq_forward",
    "kmeans",
    "nearest",
    "normalize_backward",
    "normalize_forward",
    "orthogonal_backward",
    "orthogonal_forward",
    "quantizer_from_json",
    "revive",
    "rotation_backward",
    "straight_through_backward",
    "straight_through_forward",
]
