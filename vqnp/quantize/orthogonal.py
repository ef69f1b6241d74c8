"""Orthogonal regularization (Shin et al., 2023): tokens are pushed to right angles.

With the rows t̂_k = t_k / ‖t_k‖ of T̂, the loss is the mean over all pairs of tokens of the squared
entries of T̂T̂ᵀ − I. It is zero when all tokens are orthogonal, which K > D tokens cannot be.

The K × K matrix is never made. Its squares add up to those of the D × D matrix A = T̂ᵀT̂::

    R = ‖T̂T̂ᵀ − I‖² / K² = ‖A‖² / K² − 1 / K,    dR/dT̂ = 4 T̂ A / K²

The gradient then passes through the normalization. The part −I of the loss is radial and is lost
there. So the cost is K D² and not K² D.

For K ≥ D, R is at least 1/D − 1/K (Welch, 1974). That bound is reached by tokens in all directions,
and as well by D piles of equal tokens on the axes.

Shapes: tokens ``(K, D)``.
"""

import numpy as np

from vqnp.quantize.normalize import normalize_backward, normalize_forward
from vqnp.quantize.quantizer import Cache
from vqnp.validation import Tokens


def orthogonal_forward(tokens: Tokens) -> tuple[float, Cache]:
    """Return R and the cache.

    Example
    -------
    >>> orthogonal_forward(np.array([[3.0, 0.0], [0.0, 1.0]]))[0]
    0.0
    >>> orthogonal_forward(np.array([[3.0, 0.0], [1.0, 0.0]]))[0]
    0.5
    """
    units, cache = normalize_forward(tokens)
    gram = units.T @ units
    count = len(tokens)
    value = np.square(gram, dtype=np.float64).sum() / count**2 - 1 / count
    return float(value), (units, gram, cache)


def orthogonal_backward(cache: Cache) -> Tokens:
    """Return dR/dT ``(K, D)``; it is zero for a token at zero.

    Example
    -------
    >>> _, cache = orthogonal_forward(np.array([[1.0, 1.0], [1.0, 0.0]]))
    >>> orthogonal_backward(cache).round(2).tolist()
    [[0.25, -0.25], [0.0, 0.5]]
    """
    units, gram, normalized = cache
    return normalize_backward(4 / len(units) ** 2 * (units @ gram), normalized)


def least_orthogonal(n_tokens: int, dims: int) -> float:
    """Return the bound of Welch: no K tokens of D dimensions have a smaller R.

    Example
    -------
    >>> least_orthogonal(128, 2), least_orthogonal(4, 8)
    (0.4921875, 0.0)
    """
    return max(0.0, 1 / dims - 1 / n_tokens)
