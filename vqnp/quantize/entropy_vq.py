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
from vqnp.quantize.gradient_codebook import codebook_loss_backward, codebook_loss_forward
from vqnp.quantize.lloyd import kmeans
from vqnp.quantize.quantizer import Cache, Gradients, Quantized, Quantizer
from vqnp.quantize.straight_through import straight_through_backward
from vqnp.validation import Array, require_integer, require_positive, require_weight


@dataclass(frozen=True)
class EntropyVQ(Quantizer):
    """Nearest tokens, learnt by gradient, with the entropy loss of soft codes.

    Parameters
    ----------
    n_tokens : int
        K, the size of the codebook.
    entropy_weight : float
        w, the weight of the entropy gap, which is computed in training only; 0 leaves it out.
    diversity : float
        γ of the entropy gap.
    sharpness : float
        s of the entropy gap, an inverse temperature per squared distance.
    beta : float
        The weight of the commitment loss.

    Raises
    ------
    TypeError, ValueError
        For a count below 1 or a weight out of range.

    Example
    -------
    >>> import numpy as np
    >>> quantizer = EntropyVQ(n_tokens=2)
    >>> z = np.array([[0.0], [1.0], [10.0]])
    >>> quantizer.initialize(z, batch=3)
    >>> list(quantizer.forward(z, training=True)[0].losses)
    ['codebook', 'commitment', 'entropy']
    """

    n_tokens: int = 512
    entropy_weight: float = 0.1
    diversity: float = 1.0
    sharpness: float = 1.0
    beta: float = 0.25

    def __post_init__(self) -> None:
        require_integer(self.n_tokens, "n_tokens", least=1)
        for name in ("entropy_weight", "diversity", "beta"):
            require_weight(getattr(self, name), name)
        require_positive(self.sharpness, "sharpness")

    def initialize(self, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Place the tokens on embeddings ``z`` ``(N, D)`` by k-means."""
        self.params["tokens"] = kmeans(z, self.n_tokens, rng=rng).tokens

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Return the nearest tokens, their codes and the losses; changes nothing."""
        quantized, cache = codebook_loss_forward(z, self.tokens)
        entropy_cache = None
        if training and self.entropy_weight > 0:
            quantized.losses["entropy"], entropy_cache = entropy_gap_forward(
                z, self.tokens, self.sharpness, self.diversity
            )
        return quantized, (cache, entropy_cache)

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradients of ``z`` and of the tokens."""
        codebook_cache, entropy_cache = cache
        dcommitment, dtokens = codebook_loss_backward(codebook_cache, self.n_tokens)
        dz = straight_through_backward(dvectors) + self.beta * dcommitment
        if entropy_cache is not None:
            moved, pulled = entropy_gap_backward(self.entropy_weight, entropy_cache)
            dz, dtokens = dz + moved, dtokens + pulled
        return dz, {"tokens": dtokens}
