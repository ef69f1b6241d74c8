"""Distances between two clouds: the points of one that lie outside the other, and their energy.

The decoder is trained only near the embeddings. A token far from them decodes to something
meaningless. So a diagnosis counts tokens outside the embeddings, and reconstructions outside the
data. The energy distance (Székely & Rizzo, 2013) compares two clouds as a whole.
"""

import numpy as np

from vqnp.diagnostics.sample import sample_rows
from vqnp.validation import (
    Array,
    Mask,
    PointsLike,
    Rng,
    TokensLike,
    as_points,
    as_seed,
    require_integer,
    require_share,
)

SAMPLE_POINTS = 10_000  # of either cloud, because pairs of them are compared
ENERGY_POINTS = 2_000  # of either cloud: here all pairs are computed


def share_outside(
    points: PointsLike, reference: TokensLike, *, sample: int = SAMPLE_POINTS, rng: Rng = 0
) -> float:
    """Return the share of the points that ``outside`` finds outside a reference cloud.

    New points of the reference's own distribution give about 0.01: this is chance. Much more is a
    sign of collapse.

    Parameters
    ----------
    points : array-like (..., D)
        Tokens, or reconstructions.
    reference : array-like (..., D)
        Embeddings, or data.
    sample : int
        From a larger cloud, this many points are drawn.
    rng : int or numpy.random.Generator
        The seed or generator of the samples.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    TypeError, ValueError
        For arrays that are no finite points of one D, and for a ``sample`` below 1.

    Examples
    --------
    >>> share_outside([[0.5], [9.0]], [[0], [1], [2], [3]])
    0.5
    """
    points, seed = as_points(points, "points"), as_seed(rng)
    limit = require_integer(sample, "sample", least=1)
    points = points[sample_rows(len(points), limit, seed)]
    return float(outside(points, reference, sample=limit, rng=seed).mean())


def outside(
    points: PointsLike,
    reference: TokensLike,
    quantile: float = 0.99,
    *,
    sample: int = SAMPLE_POINTS,
    rng: Rng = 0,
) -> Mask:
    """Tell for each point whether it lies outside a reference cloud.

    A point is outside if its nearest reference point is farther than the ``quantile`` of the
    distances from each reference point to its nearest other. New points of the reference's own
    distribution are outside with a chance of about 1 − ``quantile``.

    Parameters
    ----------
    points : array-like (..., D)
        All of them are judged.
    reference : array-like (..., D)
        A single reference point has no other, so everything that does not coincide with it is
        outside.
    quantile : float
        In [0, 1).
    sample, rng
        As in ``share_outside``, for the reference alone.

    Returns
    -------
    ndarray (N,) of bool
        True outside.

    Raises
    ------
    ValueError
        For a ``quantile`` outside [0, 1), and where ``share_outside`` raises one.

    Examples
    --------
    >>> outside([[0.5], [9.0]], [[0], [1], [2], [3]])
    array([False,  True])
    """
    reference = as_points(reference, "reference")
    points = as_points(points, "points", dim=reference.shape[1], dtype=np.float64)
    limit = require_integer(sample, "sample", least=1)
    reference = reference[sample_rows(len(reference), limit, as_seed(rng))].astype(np.float64)
    others, nearest = reference[nearest_rows(reference)], reference[nearest_rows(reference, points)]
    among_themselves = np.linalg.norm(reference - others, axis=1)  # (M,)
    to_points = np.linalg.norm(points - nearest, axis=1)  # (N,)
    return to_points > np.quantile(among_themselves, require_share(quantile, "quantile"))


def nearest_rows(reference: Array, points: Array | None = None) -> Array:
    """Return the row of ``reference`` ``(M, D)`` nearest to each of ``points`` ``(N, D)``.

    Without ``points``: the nearest other reference point. A single one is its own.

    The search is scikit-learn's. It decides which of several equal embeddings owns a token, and the
    class divergences of stored runs depend on this; ``quantize.search`` takes the lowest row.
    It works on centered float64, because far from the origin it would lose distances to rounding.
    Compute distances from the rows: equal points are then exactly 0 apart.
    """
    from sklearn.neighbors import NearestNeighbors

    if points is None and len(reference) == 1:
        return np.zeros(1, np.int64)
    origin = reference.mean(axis=0, dtype=np.float64)
    search = NearestNeighbors(n_neighbors=1).fit(reference - origin)
    asked = None if points is None else points - origin  # None: each reference point, itself apart
    return search.kneighbors(asked, return_distance=False)[:, 0]


def energy_distance(
    x: PointsLike, y: TokensLike, *, sample: int = ENERGY_POINTS, rng: Rng = 0
) -> float:
    """Return 2 E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖, in the unit of the points.

    It is 0 exactly when the two sampled distributions are the same. The means run over all pairs,
    also of a point with itself (the V-statistic), so the result is never negative. Two samples of n
    points from one distribution give about 2 E‖X − X′‖ / n.

    Parameters
    ----------
    x, y : array-like (..., D)
        Two clouds, for example reconstructions and data.
    sample : int
        From a larger cloud, this many points are drawn. Two clouds of one size are sampled at the
        same rows.
    rng : int or numpy.random.Generator
        The seed or generator of the samples.

    Returns
    -------
    float
        In [0, ∞).

    Raises
    ------
    TypeError, ValueError
        For arrays that are no finite points of one D, and for a bad ``sample``.

    Examples
    --------
    >>> energy_distance([[0], [1]], [[0], [1]]), energy_distance([[0]], [[3]])
    (0.0, 6.0)
    """
    from scipy.spatial.distance import cdist

    x, seed = as_points(x, "x"), as_seed(rng)
    y = as_points(y, "y", dim=x.shape[1])
    limit = require_integer(sample, "sample", least=1)
    x = x[sample_rows(len(x), limit, seed)].astype(np.float64)
    y = y[sample_rows(len(y), limit, seed)].astype(np.float64)
    between, within_x, within_y = cdist(x, y).mean(), cdist(x, x).mean(), cdist(y, y).mean()
    return max(0.0, float(2 * between - within_x - within_y))
