"""Soft convex quantization (Gautam et al., 2023): a convex combination of tokens for a token.

The exact form, in ``hull.py``, takes the nearest point of the tokens' convex hull. The relaxed form
takes one ridge step from the nearest token, whose one-hot rows are H, and projects on the simplex:

    min_S ‖Z - S C‖² + λ ‖S - H‖²,   P = simplex(S),   vectors = P C

That is the paper's relaxation; it is not the solution of the exact program. Written so, S costs a
K × K system. With the residual R = Z - H C it needs only a D × D one:

    S = H + R G Cᵀ,   G = (CᵀC + λ I)⁻¹

For λ → ∞ nothing but the nearest token is left, which is VQ. λ is ``strength`` times the mean of
CᵀC's diagonal, so that it means the same at every spread of the tokens. Backward, with H frozen:

    dP = dV Cᵀ;   dS = simplex_backward(dP);   dY = dS C, where Y = R G;   dR = dY G = dZ
    dC = Pᵀ dV + dSᵀ Y - Hᵀ dR + C (dA + dAᵀ)
    dM = -G (Rᵀ dY) G;   dA = dM + strength · tr(dM) / D · I

What the decoder sees is no code: K real weights are not log2 K bits. A code is the token of the
greatest weight. ``hard=True`` gives the decoder that token outside of training.

Shapes: z and vectors V ``(N, D)``, tokens C ``(K, D)``; P and S ``(N, K)`` exist only a block of
rows at a time.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from vqnp.losses import mse
from vqnp.quantize.hull import hull_backward, hull_codes, hull_forward
from vqnp.quantize.lloyd import batch_statistics, kmeans
from vqnp.quantize.quantizer import Cache, Gradients, Quantized, Quantizer, at_start
from vqnp.quantize.search import nearest
from vqnp.quantize.simplex import simplex_backward, simplex_forward
from vqnp.quantize.softmax import row_blocks
from vqnp.validation import (
    Array,
    Codes,
    Points,
    Tokens,
    as_points,
    require_flag,
    require_integer,
    require_positive,
    require_weight,
)


def soft_convex_forward(z: Points, tokens: Tokens, strength: float) -> tuple[Points, Codes, Cache]:
    """Return the relaxed mixtures ``(N, D)``, the tokens of greatest weight ``(N,)``, the cache.

    Example
    -------
    >>> import numpy as np
    >>> tokens = np.array([[-1.0], [1.0]])
    >>> vectors, codes, _ = soft_convex_forward(np.array([[0.5], [9.0]]), tokens, strength=1.0)
    >>> vectors.tolist(), codes.tolist()  # half of the way from the token to z; the hull's end
    ([[0.75], [1.0]], [1, 1])
    """
    chosen, _ = nearest(z, tokens)
    inverse = _ridge(tokens, strength)
    vectors, codes = np.empty_like(z), np.empty_like(chosen)
    for rows in row_blocks(len(z), len(tokens)):
        _, p = _weights(z[rows], tokens, chosen[rows], inverse)
        vectors[rows], codes[rows] = p @ tokens, p.argmax(axis=1)
    return vectors, codes, (z, tokens, chosen, inverse, strength)


def soft_convex_backward(dvectors: Points, cache: Cache) -> tuple[Points, Tokens]:
    """Return the gradients of z ``(N, D)`` and of the tokens ``(K, D)``.

    Example
    -------
    >>> import numpy as np
    >>> tokens = np.array([[-1.0], [1.0]])
    >>> *_, cache = soft_convex_forward(np.array([[0.5], [9.0]]), tokens, strength=1.0)
    >>> soft_convex_backward(np.ones((2, 1)), cache)[0].tolist()
    [[0.5], [0.0]]
    """
    z, tokens, chosen, inverse, strength = cache
    dz, dtokens = np.empty_like(z), np.zeros_like(tokens)
    outer = np.zeros_like(inverse)  # Rᵀ dY
    for rows in row_blocks(len(z), len(tokens)):
        residual, p = _weights(z[rows], tokens, chosen[rows], inverse)
        ds = simplex_backward(dvectors[rows] @ tokens.T, p)
        dy = ds @ tokens
        dz[rows] = dy @ inverse
        dtokens += p.T @ dvectors[rows] + ds.T @ (residual @ inverse)
        outer += residual.T @ dy
    dm = -inverse @ outer @ inverse
    da = dm + strength * np.trace(dm) / len(dm) * np.eye(len(dm), dtype=z.dtype)
    dtokens += tokens @ (da + da.T)
    dtokens -= batch_statistics(dz, chosen, len(tokens))[1].astype(z.dtype)  # Hᵀ dR
    return dz, dtokens


def _ridge(tokens: Array, strength: float) -> Array:
    """Return G ``(D, D)``, computed in float64."""
    wide = tokens.astype(np.float64)
    gram = wide.T @ wide
    # Where all tokens are zero, any λ will do: G is multiplied by them.
    ridge = strength * np.trace(gram) / len(gram) or 1.0
    return np.linalg.inv(gram + ridge * np.eye(len(gram))).astype(tokens.dtype)


def _weights(z: Array, tokens: Array, chosen: Array, inverse: Array) -> tuple[Array, Array]:
    """Return R ``(rows, D)`` and P ``(rows, K)``."""
    residual = z - tokens[chosen]
    s = residual @ inverse @ tokens.T
    s[np.arange(len(s)), chosen] += 1
    return residual, simplex_forward(s)


@dataclass(frozen=True)
class SoftConvex(Quantizer):
    """A quantizer whose vectors are convex combinations of tokens, learnt by gradient.

    Its own loss is ``beta`` times the mean of (z - vector)², differentiated on both sides. Without
    it nothing pulls together embeddings and a hull that is far from them.

    Parameters
    ----------
    n_tokens : int
        K, the size of the codebook.
    exact : bool
        The nearest point of the hull instead of the relaxation; slow for many tokens.
    strength : float
        λ of the relaxation, in units of the mean diagonal of CᵀC.
    hard : bool
        Outside of training, give the token of greatest weight.
    beta : float
        The weight of the loss.

    Raises
    ------
    TypeError, ValueError
        For a count below 1, or a strength or weight out of range.

    Example
    -------
    >>> import numpy as np
    >>> quantizer = SoftConvex(n_tokens=2, exact=True)
    >>> quantizer.initialize(np.array([[-1.0], [1.0]]), batch=2)
    >>> quantizer.forward(np.array([[0.5]]))[0].vectors.round(12).tolist()
    [[0.5]]
    >>> SoftConvex(n_tokens=2, hard=True).bits, quantizer.bits
    (1.0, inf)
    """

    n_tokens: int = 512
    exact: bool = False
    strength: float = 0.1
    hard: bool = False
    beta: float = 0.25

    def __post_init__(self) -> None:
        require_integer(self.n_tokens, "n_tokens", least=1)
        require_positive(self.strength, "strength")
        require_weight(self.beta, "beta")
        require_flag(self.exact, "exact")
        require_flag(self.hard, "hard")

    @property
    def bits(self) -> float:
        """Log2 K if ``hard``; infinite otherwise, because weights are real numbers."""
        return math.log2(self.n_tokens) if self.hard else math.inf

    def initialize(self, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Place the tokens on embeddings ``z`` ``(N, D)`` by k-means."""
        z, _ = at_start(z, batch, rng)
        self.params["tokens"] = kmeans(z, self.n_tokens, rng=rng).tokens

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Return the mixtures, the codes of greatest weight and the loss; changes nothing."""
        z = as_points(z, "z", dim=self.tokens.shape[1])
        if self.exact:
            vectors, cache = hull_forward(z, self.tokens)
            codes = hull_codes(cache)
        else:
            vectors, codes, cache = soft_convex_forward(z, self.tokens, self.strength)
        value, dpull = mse(z, vectors)
        if self.hard and not training:
            vectors = self.decode(codes)
        return Quantized(vectors, codes, {"quantization": value}), (dpull, cache)

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradients of ``z`` and of the tokens, through the mixture."""
        dpull, mixture = cache
        pass_on = hull_backward if self.exact else soft_convex_backward
        dz, dtokens = pass_on(dvectors - self.beta * dpull, mixture)
        return dz + self.beta * dpull, {"tokens": dtokens}
