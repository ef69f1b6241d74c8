"""Spread: how far a cloud of points reaches, and into how many directions.

Everything follows from the covariance of the points. It is summed in float64, a block of rows at a
time, in two passes, the mean first. One pass, ``E[x²] − E[x]²``, cancels far from the origin. The
points are measured from the first of them, so that points that coincide have variance 0 exactly.
Variances are divided by N, not by N − 1.
"""

import math

import numpy as np

from vqnp.diagnostics.usage import entropy
from vqnp.elementary import exp
from vqnp.fast.products import outer_products
from vqnp.threads import limit
from vqnp.validation import Array, PointsLike, TokensLike, as_points, require_share, row_blocks

SAME_DIGITS = 12  # decimals in which LAPACK's eigenvalues agree on all processors tried
BLAS_FROM_DIMENSIONS = 128  # from there its products are several times as fast as ours


def effective_dimension(points: PointsLike, share: float = 0.99) -> int:
    """Return the number of principal components that hold ``share`` of the variance.

    A healthy codebook has nearly D, or as many as the data have directions. A collapsed one has 1
    or 2.

    Parameters
    ----------
    points : array-like (..., D)
        Embeddings or tokens.
    share : float
        In [0, 1).

    Returns
    -------
    int
        In [0, min(D, N − 1)]; 0 when all points coincide, and only then.

    Raises
    ------
    TypeError, ValueError
        For arrays that are no finite points, and for a share outside [0, 1).

    Examples
    --------
    >>> effective_dimension([[0, 0], [1, 1], [2, 2]])  # on a line
    1
    """
    return dimension_of(principal_variances(points), share)


def dimension_of(variances: Array, share: float = 0.99) -> int:
    """Return the effective dimension from the principal variances, largest first."""
    share = require_share(share, "share")
    if not variances.size:
        return 0
    cumulative = np.cumsum(variances)
    return int(np.searchsorted(cumulative, share * cumulative[-1])) + 1


def effective_rank(points: PointsLike) -> float:
    """Return exp(−Σ p ln p) of the singular values, p_i = σ_i / Σσ (Roy & Vetterli, 2007).

    The smooth counterpart of ``effective_dimension``: it has no threshold, and it falls when one
    direction outgrows the others. σ are the singular values of the centered points.

    Parameters
    ----------
    points : array-like (..., D)
        Embeddings or tokens.

    Returns
    -------
    float
        0 when all points coincide, 1 on a line, and at most min(D, N − 1), for a ball.

    Raises
    ------
    ValueError
        For NaN or infinity, and for a cloud without points. Their type is checked as well.

    Examples
    --------
    >>> effective_rank([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    2.0
    """
    return rank_of(principal_variances(points))


def rank_of(variances: Array) -> float:
    """Return the effective rank from the principal variances, which are σ² / N."""
    return exp(entropy(np.sqrt(variances))) if variances.size else 0.0


def spread_ratio(tokens: TokensLike, embeddings: PointsLike) -> float:
    """Return sqrt(total variance of the tokens / total variance of the embeddings).

    A healthy codebook has about 1 or more, because the best tokens are less crowded than the
    embeddings in dense regions. A collapsed one is near 0: the tokens crowd in a corner. Dead
    tokens count.

    Parameters
    ----------
    tokens : array-like (K, D)
        The codebook.
    embeddings : array-like (..., D)
        The outputs of the encoder.

    Returns
    -------
    float
        In [0, ∞]. One token and one embedding give 1. Only embeddings that coincide give ∞.

    Raises
    ------
    ValueError
        For tokens of another D than the embeddings have.

    Examples
    --------
    >>> spread_ratio([[0], [1]], [[0], [4]])
    0.25
    """
    embeddings = as_points(embeddings, "embeddings")
    tokens = as_points(tokens, "tokens", dim=embeddings.shape[1])
    return math.sqrt(ratio(total_variance(tokens), total_variance(embeddings), if_both_zero=1.0))


def ratio(top: float, bottom: float, *, if_both_zero: float) -> float:
    """Return ``top / bottom`` for numbers >= 0; over 0 it is ∞ or, for 0/0, the value given."""
    if bottom > 0:
        return float(top / bottom)
    return math.inf if top > 0 else if_both_zero


def expected_spread(n_tokens: int, rank: float) -> float:
    """Return sqrt(1 − K^(−2/d)), the spread ratio of an ideal codebook for a round Gaussian.

    K^(−2/d) is the share of the variance that log K nats a point leave over: the distortion-rate
    function. d is the effective ``rank`` of the embeddings.
    """
    return (1 - n_tokens ** (-2 / rank)) ** 0.5 if rank else 0.0


def total_variance(points: PointsLike, name: str = "points") -> float:
    """Return the mean squared distance of points from their mean: the trace of the covariance."""
    return float(np.trace(mean_and_covariance(as_points(points, name))[1]))


def principal_variances(points: PointsLike, name: str = "points") -> Array:
    """Return the variances along the principal components of points, largest first.

    They are rounded to ``SAME_DIGITS`` decimals of the total variance, and those that round to zero
    are dropped. None are left when all points coincide.
    """
    covariance = mean_and_covariance(as_points(points, name))[1]
    total = np.trace(covariance)
    if total == 0:
        return np.empty(0)
    # LAPACK's last digits depend on the processor, so they are rounded away.
    shares = np.round(np.linalg.eigvalsh(covariance)[::-1] / total, SAME_DIGITS)
    return shares[shares > 0] * total


def mean_and_covariance(points: Array) -> tuple[Array, Array]:
    """Return the mean ``(D,)`` and the covariance ``(D, D)`` of ``points`` ``(N, D)``, float64."""
    origin = points[0].astype(np.float64)
    mean = np.zeros_like(origin)
    for rows in row_blocks(points):
        mean += (points[rows] - origin).sum(axis=0) / len(points)
    covariance = np.zeros((len(mean), len(mean)))
    for rows in row_blocks(points):
        centered = points[rows] - origin - mean  # (block, D)
        covariance += squares_and_products(centered) / len(points)
    return origin + mean, covariance


def squares_and_products(points: Array) -> Array:
    """Return ``points.T @ points`` ``(D, D)``; if small, with the same bits on every processor."""
    if points.shape[1] < BLAS_FROM_DIMENSIONS:
        return outer_products(points, points)
    with limit():  # one BLAS thread, so that the bits do not depend on the number of threads
        return points.T @ points
