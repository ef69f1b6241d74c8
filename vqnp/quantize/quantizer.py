"""The quantizer: every embedding becomes its nearest token (eq. 1), and the gradient passes straight through.

Looking up the nearest token has a derivative of zero almost everywhere. The straight-through estimator (Bengio et al., 2013)
replaces it in the backward pass by the identity: the encoder receives the decoder's gradient as if z had not been quantized.
The tokens get no gradient: they follow the embeddings by moving averages (eqs. 3 to 5).

Shapes: embeddings ``(N, D)``, tokens ``(K, D)``, codes ``(N,)``.
"""

from dataclasses import dataclass

import numpy as np

from vqnp.quantize.ema import Codebook, Dialect, ema_update, require_dialect
from vqnp.quantize.lloyd import kmeans
from vqnp.quantize.search import search
from vqnp.validation import Array, require_integer, require_mask, require_points, require_share


def quantize_forward(embeddings: Array, tokens: Array) -> tuple[Array, Array]:
    """Return each embedding's token ``(N, D)`` and, as the cache, its code ``(N,)``.

    Raises ``TypeError`` or ``ValueError`` unless ``embeddings`` is a finite, non-empty ``(N, D)`` array of the tokens' dtype and D.
    """
    embeddings = require_points(embeddings, "embeddings", dim=tokens.shape[1])
    if embeddings.dtype != tokens.dtype:
        raise TypeError(
            f"embeddings and tokens must have one dtype, got {embeddings.dtype} and {tokens.dtype}"
        )
    codes, _ = search(embeddings, tokens)
    return tokens.take(codes, axis=0), codes


def quantize_backward(dquantized: Array, codes: Array) -> Array:
    """Return the straight-through gradient of the embeddings: that of their tokens, whatever the ``codes``."""
    return dquantized


@dataclass(frozen=True)
class QuantizerSettings:
    """How many tokens there are and how they move: K, the decay γ and the dialect of the moving averages."""

    tokens: int = 128
    decay: float = 0.9
    dialect: Dialect = "paper"

    def __post_init__(self) -> None:
        require_integer(self.tokens, "tokens", least=1)
        require_share(self.decay, "decay")
        require_dialect(self.dialect)


class Quantizer:
    """Owns a codebook. It has none until ``initialize`` has seen embeddings; only ``initialize`` and ``update`` change it."""

    def __init__(self, settings: QuantizerSettings | None = None) -> None:
        self.settings = settings or QuantizerSettings()
        self._codebook: Codebook | None = None

    @property
    def codebook(self) -> Codebook:
        """The codebook; raises ``RuntimeError`` before ``initialize``."""
        if self._codebook is None:
            raise RuntimeError(
                "the quantizer has no codebook yet: call initialize(embeddings, batch, rng) first"
            )
        return self._codebook

    @codebook.setter
    def codebook(self, codebook: Codebook) -> None:
        self._codebook = codebook

    @property
    def initialized(self) -> bool:
        """Whether there is a codebook."""
        return self._codebook is not None

    def initialize(self, embeddings: Array, batch: int, rng: np.random.Generator) -> None:
        """Place the tokens on ``embeddings`` ``(N, D)`` by k-means.

        The moving averages start from the clusters' sizes n as a batch of ``batch`` embeddings would show them: L = n · batch / N.
        """
        clusters = kmeans(embeddings, self.settings.tokens, rng)
        expected_hits = clusters.counts * (batch / len(embeddings))
        self.codebook = Codebook.start(
            clusters.tokens, expected_hits, self.settings.dialect, rng=rng
        )

    def forward(self, embeddings: Array) -> tuple[Array, Array]:
        """Return the tokens ``(N, D)`` nearest to ``embeddings`` and their codes ``(N,)``; changes nothing."""
        return quantize_forward(embeddings, self.codebook.tokens)

    def backward(self, dquantized: Array, codes: Array) -> Array:
        """Return the straight-through gradient of the embeddings."""
        return quantize_backward(dquantized, codes)

    def update(self, embeddings: Array, codes: Array, mask: Array | None = None) -> Array:
        """Move the tokens towards the embeddings that chose them and return the hits ``(K,)``. Training only.

        Call it after the loss is known: output and loss belong to the tokens from before. ``mask`` ``(N,)`` of bool leaves out
        padded embeddings where it is False; where it is False throughout, nothing moves.
        Raises ``TypeError`` or ``ValueError`` for a mask that is not one bool an embedding, and as ``ema_update`` does.
        """
        if mask is not None:
            require_mask(mask, "mask", len(embeddings))
            if not mask.any():
                return np.zeros(len(self.codebook.tokens))
            embeddings, codes = embeddings[mask], codes[mask]
        return ema_update(
            self.codebook, embeddings, codes, self.settings.decay, self.settings.dialect
        )
