"""Quantizers by hand, one idea a file: the search, k-means, the moving averages, and the rest."""

from vqnp.quantize.codebook import DIALECTS, Codebook, Dialect
from vqnp.quantize.cosine import Cosine
from vqnp.quantize.cvq import CVQ
from vqnp.quantize.dpq import DPQ, lookup_backward, lookup_forward
from vqnp.quantize.dvae import DVAE, EdVAE
from vqnp.quantize.ema import EMA, ema_update
from vqnp.quantize.entropy import entropy_gap_backward, entropy_gap_forward
from vqnp.quantize.entropy_vq import EntropyVQ
from vqnp.quantize.fsq import FSQ, fsq_backward, fsq_forward
from vqnp.quantize.gradient_codebook import (
    GradientCodebook,
    codebook_loss_backward,
    codebook_loss_forward,
)
from vqnp.quantize.gumbel import (
    gumbel_softmax_backward,
    gumbel_softmax_forward,
    mixture_backward,
    mixture_forward,
)
from vqnp.quantize.hull import hull_backward, hull_forward
from vqnp.quantize.hyperbolic import (
    HyperVQ,
    hyperplanes_backward,
    hyperplanes_forward,
    into_ball_backward,
    into_ball_forward,
)
from vqnp.quantize.latent import LatentQuantizer, latent_backward, latent_forward
from vqnp.quantize.latent_kmeans import LatentKMeans
from vqnp.quantize.lfq import BSQ, LFQ, sign_forward
from vqnp.quantize.lloyd import Clustering, kmeans
from vqnp.quantize.memcodes import Memcodes
from vqnp.quantize.normalize import normalize_backward, normalize_forward
from vqnp.quantize.orthogonal import orthogonal_backward, orthogonal_forward
from vqnp.quantize.product import Product
from vqnp.quantize.projected import Projected
from vqnp.quantize.qinco import QINCo
from vqnp.quantize.quantizer import Identity, Quantized, Quantizer, View, quantizer_from_json
from vqnp.quantize.residual import Residual
from vqnp.quantize.revive import revive
from vqnp.quantize.rotation import rotation_backward
from vqnp.quantize.search import nearest
from vqnp.quantize.simplex import simplex_backward, simplex_forward
from vqnp.quantize.simvq import SimVQ, mapped_tokens_backward, mapped_tokens_forward
from vqnp.quantize.soft_convex import SoftConvex, soft_convex_backward, soft_convex_forward
from vqnp.quantize.straight_through import straight_through_backward, straight_through_forward
from vqnp.quantize.wasserstein import WassersteinVQ, wasserstein_backward, wasserstein_forward

__all__ = [
    "BSQ",
    "CVQ",
    "DIALECTS",
    "DPQ",
    "DVAE",
    "EMA",
    "FSQ",
    "LFQ",
    "Clustering",
    "Codebook",
    "Cosine",
    "Dialect",
    "EdVAE",
    "EntropyVQ",
    "GradientCodebook",
    "HyperVQ",
    "Identity",
    "LatentKMeans",
    "LatentQuantizer",
    "Memcodes",
    "Product",
    "Projected",
    "QINCo",
    "Quantized",
    "Quantizer",
    "Residual",
    "SimVQ",
    "SoftConvex",
    "View",
    "WassersteinVQ",
    "codebook_loss_backward",
    "codebook_loss_forward",
    "ema_update",
    "entropy_gap_backward",
    "entropy_gap_forward",
    "fsq_backward",
    "fsq_forward",
    "gumbel_softmax_backward",
    "gumbel_softmax_forward",
    "hull_backward",
    "hull_forward",
    "hyperplanes_backward",
    "hyperplanes_forward",
    "into_ball_backward",
    "into_ball_forward",
    "kmeans",
    "latent_backward",
    "latent_forward",
    "lookup_backward",
    "lookup_forward",
    "mapped_tokens_backward",
    "mapped_tokens_forward",
    "mixture_backward",
    "mixture_forward",
    "nearest",
    "normalize_backward",
    "normalize_forward",
    "orthogonal_backward",
    "orthogonal_forward",
    "quantizer_from_json",
    "revive",
    "rotation_backward",
    "sign_forward",
    "simplex_backward",
    "simplex_forward",
    "soft_convex_backward",
    "soft_convex_forward",
    "straight_through_backward",
    "straight_through_forward",
    "wasserstein_backward",
    "wasserstein_forward",
]
