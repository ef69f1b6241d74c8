"""A codebook learnt by gradient: the original VQ-VAE (van den Oord et al., 2017, eq. 3).

Two losses tie embeddings and tokens together. They have one value, and sg, which stops the
gradient, tells whom each pulls::

    codebook loss    ‖sg(z) − t‖² / n      the token to its embeddings
    commitment loss  ‖z − sg(t)‖² / n      each embedding to its token, with weight β

With the n numbers of the N embeddings of D dimensions, the gradients are

    dt_k = Σ_{i: code(i) = k} 2 (t_k − z_i) / n,    dz_i = 2 β (z_i − t_code(i)) / n

The reconstruction loss does not reach the tokens, because the gradient passes straight through.

The tokens are parameters, so an optimizer moves them. A token without hits has a gradient of 0.
Under gradient descent it stays where it is; Adam moves it on for a while by its average of earlier
gradients, in which moving averages (``ema.py``) differ.

Shapes: embeddings, vectors ``(N, D)``, codes ``(N,)``, tokens ``(K, D)``.
"""

from dataclasses import dataclass
from typing import Any

from vqnp.losses import mse
from vqnp.quantize.lloyd import batch_statistics
from vqnp.quantize.orthogonal import orthogonal_backward, orthogonal_forward
from vqnp.quantize.quantizer import Cache, Gradients, Quantized, Quantizer, at_start
from vqnp.quantize.rotation import Estimator, estimate
from vqnp.quantize.starts import TokenStart, first_tokens
from vqnp.quantize.straight_through import straight_through_forward
from vqnp.validation import Array, Points, Tokens, require_integer, require_one_of, require_weight


def codebook_loss_forward(z: Points, tokens: Tokens) -> tuple[Quantized, Cache]:
    """Return the nearest tokens, their codes and the two losses, and the cache.

    Raises as :func:`~vqnp.quantize.straight_through_forward` does.

    Example
    -------
    >>> import numpy as np
    >>> z, tokens = np.array([[1.0], [4.0], [5.0]]), np.array([[0.0], [5.0]])
    >>> codebook_loss_forward(z, tokens)[0].codes, codebook_loss_forward(z, tokens)[0].losses
    (array([0, 1, 1]), {'codebook': 0.666..., 'commitment': 0.666...})
    """
    vectors, codes = straight_through_forward(z, tokens)
    value, gradient = mse(z, vectors)  # 2 (z − t) / n
    losses = {"codebook": value, "commitment": value}
    return Quantized(vectors, codes, losses), (z, vectors, codes, gradient)


def codebook_loss_backward(cache: Cache, n_tokens: int) -> tuple[Points, Tokens]:
    """Return the gradients of the commitment loss ``(N, D)`` and of the codebook loss ``(K, D)``.

    Example
    -------
    >>> import numpy as np
    >>> z, tokens = np.array([[1.0], [4.0], [5.0]]), np.array([[0.0], [5.0]])
    >>> dz, dtokens = codebook_loss_backward(codebook_loss_forward(z, tokens)[1], n_tokens=2)
    >>> (3 * dz).tolist(), (3 * dtokens).tolist()
    ([[2.0], [-2.0], [0.0]], [[-2.0], [2.0]])
    """
    _, _, codes, gradient = cache
    _, sums = batch_statistics(gradient, codes, n_tokens)
    return gradient, (-sums).astype(gradient.dtype)


@dataclass(frozen=True)
class LearntTokens:
    """What quantizers share whose tokens are learnt by gradient: both losses and their gradients.

    They have a setting ``beta``. Some have ``start`` and ``estimator`` as settings, too.
    """

    n_tokens: int = 512
    start = "k-means"
    estimator = "straight-through"

    def __post_init__(self: Any) -> None:
        require_integer(self.n_tokens, "n_tokens", least=1)
        require_weight(self.beta, "beta")
        require_one_of(self.start, TokenStart, "start")
        require_one_of(self.estimator, Estimator, "estimator")

    def initialize(self: Any, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Place the tokens on embeddings ``z`` ``(N, D)``, or at random."""
        z, rng = at_start(z, batch, rng)
        self.params["tokens"], _ = first_tokens(z, self.n_tokens, self.start, rng)

    def forward(
        self: Any, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Return the nearest tokens, their codes and the losses; changes nothing."""
        return codebook_loss_forward(z, self.tokens)

    def backward(self: Any, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of ``z``, commitment included, and of the tokens."""
        z, vectors, *_ = cache
        dcommitment, dtokens = codebook_loss_backward(cache, self.n_tokens)
        dz = estimate(self.estimator, dvectors, z, vectors) + self.beta * dcommitment
        return dz, {"tokens": dtokens}


@dataclass(frozen=True)
class GradientCodebook(LearntTokens, Quantizer):
    """The original VQ-VAE's quantizer: the optimizer moves the tokens, ``params["tokens"]``.

    Parameters
    ----------
    n_tokens : int
        K, the size of the codebook.
    beta : float
        The weight of the commitment loss, at least 0. The codebook loss has weight 1.
    start : {"k-means", "normal", "uniform"}
        Where the first tokens come from; see ``starts.py``.
    estimator : {"straight-through", "rotation", "rotation-unscaled"}
        How the gradient of a token reaches its embedding; see ``rotation.py``.
    orthogonal : float
        The weight of a loss that pushes tokens to right angles; see ``orthogonal.py``. Its paper
        uses 10.

    Raises
    ------
    TypeError, ValueError
        For a count below 1, a negative weight, or an unknown name.

    Example
    -------
    >>> GradientCodebook(n_tokens=512, start="uniform").bits
    9.0
    """

    n_tokens: int = 128
    beta: float = 0.25
    start: TokenStart = "k-means"
    estimator: Estimator = "straight-through"
    orthogonal: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_weight(self.orthogonal, "orthogonal")

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        quantized, cache = super().forward(z)
        if not self.orthogonal:
            return quantized, (cache, None)
        quantized.losses["orthogonal"], of_tokens = orthogonal_forward(self.tokens)
        return quantized, (cache, of_tokens)

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        nearest, of_tokens = cache
        dz, gradients = super().backward(dvectors, nearest)
        if of_tokens is not None:
            gradients["tokens"] += self.orthogonal * orthogonal_backward(of_tokens)
        return dz, gradients
