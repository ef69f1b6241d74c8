"""K-means of a latent space that training pulls to its tokens, after DeepVQ (Le Tan et al., 2018).

K-means in many dimensions is costly, so DeepVQ first maps the data to few. This is a stand-in that
keeps this idea and no more: in training the decoder sees the embedding itself, not its token. The
codebook follows by moving averages, which is k-means a batch at a time, and the commitment loss
pulls each embedding to its token:

    loss = reconstruction from z + β mean (z - sg(t))²

Outside of training the decoder sees the token. What it was trained on and what it sees then differ
by the error of quantization. A VQ-VAE does not have this gap, and pays for it with an estimated
gradient.

Without any pull, a pretrained autoencoder and k-means are ``ae_then_vq(pretrain=..., finetune=0)``.

Shapes: z and vectors ``(N, D)``, tokens ``(K, D)``, codes ``(N,)``.
"""

from dataclasses import dataclass
from typing import Any

from vqnp.quantize.ema import EMA
from vqnp.quantize.parts import Wrapper, place, require_codebook, under
from vqnp.quantize.quantizer import Cache, Gradients, Quantized, Quantizer
from vqnp.validation import Array


@dataclass(frozen=True)
class LatentKMeans(Wrapper, Quantizer):
    """A codebook that only follows in training: the decoder sees tokens outside of it.

    Parameters
    ----------
    quantizer : EMA, GradientCodebook or CVQ
        The codebook; its commitment is the pull. It is only configuration: its arrays are kept
        here.

    Raises
    ------
    TypeError, ValueError
        For another kind of quantizer, or one whose gradient is not straight-through.

    Example
    -------
    >>> import numpy as np
    >>> made, z = LatentKMeans(EMA(2)), np.array([[0.0], [1.0], [10.0]])
    >>> made.initialize(z, batch=3)
    >>> [made.forward(z, training=t)[0].vectors.tolist() for t in (True, False)]
    [[[0.0], [1.0], [10.0]], [[0.5], [0.5], [10.0]]]
    """

    quantizer: Quantizer = EMA()  # noqa: RUF009 (it is frozen)

    def __post_init__(self) -> None:
        require_codebook(self.quantizer, straight_through=True)

    INNER = "codebook"

    def initialize(self, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Place the tokens on embeddings ``z`` ``(N, D)``."""
        place(self.quantizer, self, self.INNER, z, batch=batch, rng=rng)

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Return the nearest tokens, in training ``z`` itself, and in both the codes and losses."""
        quantized, cache = self.inner.forward(z, training=training, rng=rng)
        return quantized._replace(vectors=z) if training else quantized, cache

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradients of ``z``, which here is exact, and of the codebook."""
        dz, gradients = self.inner.backward(dvectors, cache)
        return dz, under(self.INNER, gradients)

    def update(
        self, z: Array, quantized: Quantized, *, mask: Array | None = None, rng: Any = None
    ) -> Array:
        """Move the tokens as the codebook does; returns the hits."""
        return self.inner.update(z, quantized, mask=mask, rng=rng)
