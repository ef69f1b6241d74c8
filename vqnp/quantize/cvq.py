"""CVQ, clustering VQ (Zheng and Vedaldi, 2023): the less a code is used, the more it is moved.

The codebook is learnt by gradient (``gradient_codebook.py``). After each step, p_k averages the
share of the embeddings that chose code k, and a code with a small p_k goes towards an anchor, an
embedding of the batch::

    p_k ← γ p_k + (1 − γ) n_k / N,    p_k = 0 at the start
    α_k = exp(−10 K p_k / (1 − γ) − 0.001)
    t_k ← (1 − α_k) t_k + α_k anchor_k

So there is no threshold. At even use K p_k is 1, and α_k is below e^-1000 for γ = 0.99: such codes
stay. A code never used has α = 0.999, and is an embedding almost at once.

An anchor is the embedding nearest to the token, or any embedding. A moved token's averages in the
optimizer stay what they were, as in the published code.

Shapes: embeddings ``(N, D)``, tokens and anchors ``(K, D)``, codes ``(N,)``, p and α ``(K,)``.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from vqnp.quantize.gradient_codebook import LearntTokens
from vqnp.quantize.quantizer import Quantized, Quantizer
from vqnp.quantize.search import search
from vqnp.quantize.starts import TokenStart
from vqnp.validation import Array, require_one_of, require_rng, require_share

Anchor = Literal["nearest", "random"]


def pull(usage: Array, decay: float) -> Array:
    """Return α ``(K,)`` in float64: how far each token goes towards its anchor.

    Example
    -------
    >>> pull(np.array([0.0, 1e-3, 0.999]), decay=0.99).round(3)
    array([0.999, 0.05 , 0.   ])
    """
    return np.exp(-10 * len(usage) * usage.astype(np.float64) / (1 - decay) - 1e-3)


def pull_tokens(
    tokens: Array,
    embeddings: Array,
    alpha: Array,
    anchor: Anchor,
    *,
    rng: int | np.random.Generator | None = None,
) -> Array:
    """Move ``tokens`` ``(K, D)`` in place by α ``(K,)``, and return the codes that moved.

    Only tokens that α can move at their precision look for an anchor, because the search would
    cost as much again as that of the embeddings. Anchors at random need ``rng``.
    """
    moved = np.flatnonzero(alpha > np.finfo(tokens.dtype).eps)
    if not len(moved):
        return moved
    if anchor == "nearest":
        rows, _ = search(tokens[moved], embeddings)
    else:
        rows = np.random.default_rng(rng).integers(len(embeddings), size=len(moved))
    share = alpha[moved, None]
    tokens[moved] = (1 - share) * tokens[moved] + share * embeddings[rows]
    return moved


@dataclass(frozen=True)
class CVQ(LearntTokens, Quantizer):
    """A codebook learnt by gradient, whose unused tokens are drawn to the embeddings.

    Parameters
    ----------
    decay : float in [0, 1)
        γ, of the average of use.
    anchor : {"nearest", "random"}
        The embedding nearest to a token, or any.
    n_tokens, beta, start
        As for :class:`~vqnp.quantize.GradientCodebook`.

    Raises
    ------
    TypeError, ValueError
        For a count below 1, a number out of its range, or an unknown name.

    Example
    -------
    >>> quantizer, z = CVQ(n_tokens=2, decay=0.5), np.array([[0.0], [9.0]])
    >>> quantizer.initialize(z, batch=2)
    >>> quantizer.update(z, quantizer.forward(z)[0]), quantizer.buffers["usage"]
    (array([1., 1.]), array([0.25, 0.25]))
    """

    n_tokens: int = 128
    beta: float = 0.25
    decay: float = 0.99
    anchor: Anchor = "nearest"
    start: TokenStart = "k-means"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_share(self.decay, "decay")
        require_one_of(self.anchor, Anchor, "anchor")

    @property
    def draws(self) -> bool:
        """Whether anchors are drawn."""
        return self.anchor == "random"

    def initialize(self, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Place the tokens on embeddings ``z`` ``(N, D)``, or at random; no code is used yet."""
        super().initialize(z, batch=batch, rng=rng)
        self.buffers["usage"] = np.zeros(self.n_tokens, self.tokens.dtype)

    def update(
        self, z: Array, quantized: Quantized, *, mask: Array | None = None, rng: Any = None
    ) -> Array:
        """Average the use, and move the tokens that are used too little.

        Raises ``ValueError`` where anchors are drawn and there is no ``rng``.
        """
        if self.draws:
            require_rng(rng, "anchors are drawn")
        hits = super().update(z, quantized, mask=mask)
        z = z if mask is None else z[mask]
        if len(z):
            usage = self.buffers["usage"]
            usage[:] = self.decay * usage + (1 - self.decay) * hits / len(z)
            pull_tokens(self.tokens, z, pull(usage, self.decay), self.anchor, rng=rng)
        return hits
