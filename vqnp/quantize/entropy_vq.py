"""Entropy-regularized VQ: a codebook learnt by gradient, kept alive by the entropy of soft codes.

To the two losses of ``gradient_codebook.py`` comes the entropy gap of ``entropy.py``, which moves
embeddings and tokens:

    w (mean_n H(p_n) - γ H(p̄)),   p = softmax(-s ‖z - T‖²)

Its price is the softmax: N · K exponentials a step, a block at a time. FSQ's authors compared with
this quantizer at w = 0.1, and L. Yu et al.'s LFQ is the same loss with fixed tokens.

Shapes: z and vectors ``(N, D)``, tokens ``(K, D)``, codes ``(N,)``.
"""

from dataclasses import dataclass
from typing import Any

from vqnp.quantize.entropy import entropy_gap_backward, entropy_gap_forward
from vqnp.quantize.gradient_codebook import LearntTokens
from vqnp.quantize.quantizer import Cache, Gradients, Quantized, Quantizer
from vqnp.validation import Array, require_positive, require_weight


@dataclass(frozen=True)
class EntropyVQ(LearntTokens, Quantizer):
    """Nearest tokens, learnt by gradient, with the entropy loss of soft codes.

    Parameters
    ----------
    entropy_weight : float
        w, the weight of the entropy gap, which is computed in training only; 0 leaves it out.
    diversity : float
        γ of the entropy gap.
    sharpness : float
        s of the entropy gap, an inverse temperature per squared distance.
    n_tokens, beta
        As for :class:`~vqnp.quantize.GradientCodebook`.

    Raises
    ------
    TypeError, ValueError
        For a count below 1 or a weight out of range.

    Example
    -------
    >>> import numpy as np
    >>> quantizer, z = EntropyVQ(n_tokens=2), np.array([[0.0], [9.0]])
    >>> quantizer.initialize(z, batch=2)
    >>> round(quantizer.forward(z, training=True)[0].losses["entropy"], 6)  # -ln 2: both in use
    -0.693147
    """

    entropy_weight: float = 0.1
    diversity: float = 1.0
    sharpness: float = 1.0
    beta: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        require_weight(self.entropy_weight, "entropy_weight")
        require_weight(self.diversity, "diversity")
        require_positive(self.sharpness, "sharpness")

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        quantized, cache = super().forward(z)
        entropy_cache = None
        if training and self.entropy_weight > 0:
            quantized.losses["entropy"], entropy_cache = entropy_gap_forward(
                z, self.tokens, self.sharpness, self.diversity
            )
        return quantized, (cache, entropy_cache)

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        nearest, entropy_cache = cache
        dz, gradients = super().backward(dvectors, nearest)
        if entropy_cache is not None:
            moved, pulled = entropy_gap_backward(self.entropy_weight, entropy_cache)
            dz, gradients["tokens"] = dz + moved, gradients["tokens"] + pulled
        return dz, gradients
