"""HyperVQ (Goswami et al., 2024): codes by hyperbolic logistic regression, not by nearness.

Every code has a hyperplane in the Poincaré ball, of radius 1/√c: the ball of curvature -c. The
embedding h enters it by the exponential map at the origin. The code is the one whose hyperplane it
is farthest on the right side of. The logits are those of Shimizu et al. (2021), with a scale g_k, a
direction u_k = v_k / ‖v_k‖ and an offset r_k, and X = c ‖x‖²:

    x = tanh(√c ‖h‖) h / (√c ‖h‖)
    w_k = (2√c (x · u_k) cosh(2√c r_k) - (1 + X) sinh(2√c r_k)) / (1 - X)
    l_k = (2 g_k / √c) asinh(w_k)

The token of code k represents its hyperplane. Seen from the origin, in the space of h, it is

    t_k = r_k u_k

Its own logit is 0. For c → 0 the logits become 4 g_k (h · u_k - r_k), those of planes.

A code is chosen by the greatest logit. Its gradient is that of the softmax p of the logits, with dV
the gradient of the vectors:

    dp = dV Tᵀ,   dl = p ⊙ (dp - Σ p dp)

This estimator is ours. No loss of its own pulls an embedding to its token.

The regions are no Voronoi cells. The code is often not the nearest token, and a token may not even
have its own code.

Shapes: h, x, vectors ``(N, D)``; g and r ``(K,)``, v and u ``(K, D)``; logits ``(N, K)`` exist only
a block of rows at a time.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from vqnp.quantize.lloyd import batch_statistics, kmeans
from vqnp.quantize.normalize import normalize_backward, normalize_forward
from vqnp.quantize.quantizer import Cache, Gradients, Quantized, Quantizer, at_start, placed
from vqnp.quantize.softmax import row_blocks, softmax, softmax_backward
from vqnp.validation import (
    Array,
    Points,
    Tokens,
    as_points,
    require_integer,
    require_positive,
)

Scalars = Float[np.ndarray, "K"]
Logits = Float[np.ndarray, "N K"]
GREATEST = 4.0  # of √c ‖h‖; at 9, 1 - X is all rounding in float32


def into_ball_forward(h: Points, curvature: float) -> tuple[Points, Cache]:
    """Return the exponential map of h at the origin ``(N, D)``; beyond 4/√c, lengths are cut off.

    Example
    -------
    >>> import numpy as np
    >>> into_ball_forward(np.array([[0.0, 0.0], [0.5, 0.0], [99.0, 0.0]]), 1.0)[0].round(4).tolist()
    [[0.0, 0.0], [0.4621, 0.0], [0.9993, 0.0]]
    """
    root = h.dtype.type(curvature**0.5)
    norms = np.sqrt((h * h).sum(axis=1, keepdims=True))
    reached = np.tanh(np.minimum(root * norms, h.dtype.type(GREATEST)))
    ratio = np.divide(reached, root * norms, out=np.ones_like(norms), where=norms > 0)
    slope = (1 - reached * reached) * (root * norms < GREATEST)
    return ratio * h, (h, norms, ratio, slope)


def into_ball_backward(dx: Points, cache: Cache) -> Points:
    """Return the gradient of h ``(N, D)``: one factor along h, another across it.

    Example
    -------
    >>> import numpy as np
    >>> _, cache = into_ball_forward(np.array([[99.0, 0.0]]), 1.0)
    >>> into_ball_backward(np.array([[1.0, 1.0]]), cache).round(4).tolist()
    [[0.0, 0.0101]]
    """
    h, norms, ratio, slope = cache
    units = np.divide(h, norms, out=np.zeros_like(h), where=norms > 0)
    along = (dx * units).sum(axis=1, keepdims=True) * units
    return ratio * (dx - along) + slope * along


def hyperplanes_forward(
    x: Points, scale: Scalars, units: Tokens, offset: Scalars, curvature: float
) -> tuple[Logits, Cache]:
    """Return the logits ``(N, K)`` of points x ``(N, D)`` in the ball, and the cache.

    Example
    -------
    >>> import numpy as np
    >>> units, offset = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0.0, 0.5])
    >>> x, _ = into_ball_forward(np.array([[0.0, 0.5]]), 1.0)
    >>> logits, _ = hyperplanes_forward(x, np.ones(2), units, offset, 1.0)
    >>> abs(logits).round(12).tolist()  # it lies in both hyperplanes
    [[0.0, 0.0]]
    """
    root = x.dtype.type(curvature**0.5)
    cosh, sinh = np.cosh(2 * root * offset), np.sinh(2 * root * offset)
    squares = curvature * (x * x).sum(axis=1, keepdims=True)  # X
    a = 2 * root * (x @ units.T)
    w = (a * cosh - (1 + squares) * sinh) / (1 - squares)
    logits = 2 / root * scale * np.arcsinh(w)
    return logits, (x, scale, units, curvature, cosh, sinh, squares, a, w)


def hyperplanes_backward(dlogits: Logits, cache: Cache) -> tuple[Points, Scalars, Tokens, Scalars]:
    """Return the gradients of x ``(N, D)``, scale ``(K,)``, units ``(K, D)`` and offset ``(K,)``.

    Example
    -------
    >>> import numpy as np
    >>> x, units, zero = np.zeros((1, 1)), np.ones((1, 1)), np.zeros(1)
    >>> _, cache = hyperplanes_forward(x, np.ones(1), units, zero, 1.0)
    >>> dx, _, _, doffset = hyperplanes_backward(np.ones((1, 1)), cache)
    >>> dx.tolist(), doffset.tolist()
    ([[4.0]], [-4.0])
    """
    x, scale, units, curvature, cosh, sinh, squares, a, w = cache
    root = x.dtype.type(curvature**0.5)
    dw = dlogits * (2 / root * scale) / np.sqrt(1 + w * w)
    e = dw / (1 - squares)
    da, dsquares = e * cosh, (e * (w - sinh)).sum(axis=1, keepdims=True)
    dx = 2 * root * (da @ units) + 2 * curvature * x * dsquares
    dscale = (dlogits * (2 / root * np.arcsinh(w))).sum(axis=0)
    doffset = 2 * root * (e * (a * sinh - (1 + squares) * cosh)).sum(axis=0)
    return dx.astype(x.dtype), dscale, 2 * root * (da.T @ x), doffset


@dataclass(frozen=True)
class HyperVQ(Quantizer):
    """Codes by the hyperplanes of a Poincaré ball, whose representatives are the tokens.

    Parameters
    ----------
    n_tokens : int
        K, the number of hyperplanes.
    curvature : float
        c, positive; the ball has radius 1/√c. Embeddings longer than 4/√c are cut off.

    Raises
    ------
    TypeError, ValueError
        For a count below 1 or a curvature that is not positive.

    Example
    -------
    >>> import numpy as np
    >>> quantizer = HyperVQ(n_tokens=2)
    >>> z = np.array([[-1.0, 0.0], [1.0, 0.5]])
    >>> quantizer.initialize(z, batch=2)
    >>> quantizer.forward(z)[0].vectors.round(12).tolist()
    [[-1.0, 0.0], [1.0, 0.5]]
    """

    n_tokens: int = 512
    curvature: float = 1.0

    def __post_init__(self) -> None:
        require_integer(self.n_tokens, "n_tokens", least=1)
        require_positive(self.curvature, "curvature")

    @property
    def tokens(self) -> Array:
        """The tokens r u ``(K, D)``; raises ``RuntimeError`` before ``initialize``."""
        units, _ = normalize_forward(placed(self.params, "direction"))
        return self.params["offset"][:, None] * units

    def initialize(self, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Make the tokens those of k-means on ``z`` ``(N, D)``: r = g = ‖t‖ and v = t.

        With all offsets 0, as in the logistic regression, all tokens would be one point.
        """
        z, _ = at_start(z, batch, rng)
        tokens = kmeans(z, self.n_tokens, rng=rng).tokens
        norms = np.sqrt((tokens * tokens).sum(axis=1))
        tokens[norms == 0, 0] = 1  # any direction; the token stays at the origin
        self.params.update(scale=np.where(norms > 0, norms, 1), direction=tokens, offset=norms)

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Return the tokens of the greatest logits, and their codes; there are no losses."""
        tokens = self.tokens
        z = as_points(z, "z", dim=tokens.shape[1])
        x, ball = into_ball_forward(z, self.curvature)
        units, projection = normalize_forward(self.params["direction"])
        codes = np.empty(len(z), np.int64)
        for rows in row_blocks(len(z), self.n_tokens):
            codes[rows] = self._logits(x[rows], units)[0].argmax(axis=1)
        cache = x, ball, units, projection, tokens, codes
        return Quantized(tokens.take(codes, axis=0), codes, {}), cache

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradients of ``z`` and of the hyperplanes."""
        x, ball, units, projection, tokens, codes = cache
        offset = self.params["offset"]
        # The way through the token r u that was chosen.
        dtokens = batch_statistics(dvectors, codes, self.n_tokens)[1].astype(x.dtype)
        dunits, doffset = offset[:, None] * dtokens, (dtokens * units).sum(axis=1)
        dscale, dx = np.zeros_like(offset), np.empty_like(x)
        # The way through the choice, as if it were the softmax.
        for rows in row_blocks(len(x), self.n_tokens):
            logits, planes = self._logits(x[rows], units)
            dlogits = softmax_backward(dvectors[rows] @ tokens.T, softmax(logits))
            dx[rows], *own = hyperplanes_backward(dlogits, planes)
            dscale, dunits, doffset = dscale + own[0], dunits + own[1], doffset + own[2]
        ddirection = normalize_backward(dunits, projection)
        gradients = {"scale": dscale, "direction": ddirection, "offset": doffset}
        return into_ball_backward(dx, ball), gradients

    def _logits(self, x: Array, units: Array) -> tuple[Array, Cache]:
        params = self.params
        return hyperplanes_forward(x, params["scale"], units, params["offset"], self.curvature)
