"""How far a cloud of points reaches, and into how many directions.

Everything here follows from the covariance of the points, which is computed in float64 a block of rows at a time and in two
passes, mean first: ``E[x²] − E[x]²`` in one pass would cancel for a cloud far from the origin. The points are measured from
the first of them, so that points that all coincide have a variance of exactly 0. Variances are divided by N, not N − 1.
"""

import math

import numpy as np

from vqnp.diagnostics.blocks import row_blocks
from vqnp.diagnostics.usage import entropy
from vqnp.threads import limit
from vqnp.validation import Array, require_points, require_share


def mean_and_covariance(points: Array) -> tuple[Array, Array]:
    """Return the mean ``(D,)`` and the covariance ``(D, D)`` of ``points`` ``(N, D)``, both float64; memory O(block + D²).

    BLAS works on one thread, so that the bits do not depend on the machine.
    """
    origin = points[0].astype(np.float64)
    mean = np.zeros_like(origin)
    for rows in row_blocks(points):
        mean += (points[rows] - origin).sum(axis=0) / len(points)
    covariance = np.zeros((len(mean), len(mean)))
    with limit():
        for rows in row_blocks(points):
            centered = points[rows] - origin - mean  # (block, D)
            covariance += centered.T @ centered / len(points)
    return origin + mean, covariance


def total_variance(points: Array, name: str = "points") -> float:
    """Return the mean squared distance of ``points`` ``(N, D)`` from their mean: the trace of the covariance, in [0, ∞)."""
    return float(np.trace(mean_and_covariance(require_points(points, name))[1]))


def effective_dimension(points: Array, share: float = 0.99) -> int:
    """Return how many principal components of ``points`` ``(N, D)`` hold ``share`` of their variance.

    Range [0, min(D, N − 1)]; 0 only when all points coincide. Healthy: near D, or as many as the data have directions to
    tell apart. Collapsed: 1 or 2. Raises ``TypeError`` or ``ValueError`` for bad points or a share outside [0, 1).
    """
    return dimension_of(principal_variances(points), share)


def dimension_of(variances: Array, share: float = 0.99) -> int:
    """Return the same from the principal variances, largest first."""
    share = require_share(share, "share")
    if not variances.size:
        return 0
    cumulative = np.cumsum(variances)
    return int(np.searchsorted(cumulative, share * cumulative[-1])) + 1


def effective_rank(points: Array) -> float:
    """Return exp(−Σ p ln p) for p_i = σ_i / Σσ, the singular values of the centered points ``(N, D)`` (Roy & Vetterli, 2007).

    Range {0} ∪ [1, min(D, N − 1)]: D when the cloud is a ball, 1 when it is a line, 0 when all points coincide. The smooth
    sister of ``effective_dimension``: no threshold, and it falls when one direction outgrows the others. Raises alike.
    """
    return rank_of(principal_variances(points))


def rank_of(variances: Array) -> float:
    """Return the same from the principal variances: each is the square of a singular value, over N."""
    return math.exp(entropy(np.sqrt(variances))) if variances.size else 0.0


def principal_variances(points: Array, name: str = "points") -> Array:
    """Return the variances along the principal components of ``points`` ``(N, D)``, largest first.

    What float64 rounding leaves of a direction without variance is dropped: at most D values, none when all points coincide.
    """
    variances = np.linalg.eigvalsh(mean_and_covariance(require_points(points, name))[1])[::-1]
    rounding = len(variances) * np.finfo(np.float64).eps * variances[0]
    return variances[variances > rounding]


def spread_ratio(tokens: Array, embeddings: Array) -> float:
    """Return sqrt(total variance of the tokens ``(K, D)`` / total variance of the embeddings ``(N, D)``).

    Range [0, ∞]. Healthy: about 1, or above (the best tokens are less crowded than the embeddings where those are dense).
    Collapsed: near 0, the tokens crowd in a corner. Dead tokens count. One point each gives 1; embeddings that all coincide
    under tokens that do not, ∞. Raises ``TypeError`` or ``ValueError`` for bad arrays or two different D.
    """
    embeddings = require_points(embeddings, "embeddings")
    require_points(tokens, "tokens", dim=embeddings.shape[1])
    return math.sqrt(ratio(total_variance(tokens), total_variance(embeddings), if_both_zero=1.0))


def ratio(top: float, bottom: float, *, if_both_zero: float) -> float:
    """Return ``top / bottom`` for numbers >= 0, with a stated value for 0/0 and ∞ for anything else over 0."""
    if bottom > 0:
        return top / bottom
    return math.inf if top > 0 else if_both_zero
