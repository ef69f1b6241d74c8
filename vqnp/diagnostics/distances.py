"""What lies outside: points farther from a reference cloud than its own points lie from each other.

Decoders see only what lies near the embeddings while they learn; a token outside decodes to nothing in particular.
"""

import numpy as np

from vqnp.diagnostics.blocks import sample_rows
from vqnp.validation import Array, require_integer, require_points, require_share

SAMPLE = 10_000  # points kept of either cloud: pairs of them are compared


def share_outside(
    points: Array, reference: Array, quantile: float = 0.99, *, sample: int = SAMPLE, seed: int = 0
) -> float:
    """Return the share of ``points`` ``(M, D)`` that lie outside the cloud ``reference`` ``(N, D)``.

    Outside means: farther from the nearest reference point than the ``quantile`` of the distances between each reference
    point and its nearest other. Range [0, 1]. New points of the reference's own distribution: about 1 − ``quantile``, so
    0.01 is chance. Healthy: no more than that. Collapsed: tokens outside the embeddings, reconstructions outside the data.
    Of more than ``sample`` points on either side a seeded sample is used. A single reference point has no other: whatever
    does not coincide with it is outside. Raises ``TypeError`` or ``ValueError`` for bad arrays, two different D, or a bad
    ``quantile`` or ``sample``.
    """
    points = require_points(points, "points")
    limit = require_integer(sample, "sample", least=1)
    return float(
        outside(
            points[sample_rows(len(points), limit, seed)],
            reference,
            quantile,
            sample=limit,
            seed=seed,
        ).mean()
    )


def outside(
    points: Array, reference: Array, quantile: float = 0.99, *, sample: int = SAMPLE, seed: int = 0
) -> Array:
    """Return which of all ``points`` ``(M, D)`` lie outside ``reference`` ``(N, D)``: bool ``(M,)``; rule and errors are the same."""
    reference = require_points(reference, "reference")
    points = require_points(points, "points", dim=reference.shape[1]).astype(np.float64)
    limit = require_integer(sample, "sample", least=1)
    reference = reference[sample_rows(len(reference), limit, seed)].astype(np.float64)
    among_themselves = np.linalg.norm(
        reference - reference[nearest_rows(reference)], axis=1
    )  # (N,)
    to_points = np.linalg.norm(points - reference[nearest_rows(reference, points)], axis=1)  # (M,)
    return to_points > np.quantile(among_themselves, require_share(quantile, "quantile"))


def nearest_rows(reference: Array, points: Array | None = None) -> Array:
    """Return the row of ``reference`` ``(N, D)`` nearest to each of ``points`` ``(M, D)``.

    Without ``points``: nearest to each reference point, itself excepted unless it is the only one. The search is
    scikit-learn's, on centered float64, because far from the origin it would lose distances to rounding; take the distances
    afresh from the rows, and equal points are exactly 0 apart.
    """
    from sklearn.neighbors import NearestNeighbors

    origin = reference.mean(axis=0, dtype=np.float64)
    search = NearestNeighbors(n_neighbors=1).fit(reference - origin)
    if points is None and len(reference) == 1:
        return np.zeros(1, np.int64)
    return search.kneighbors(None if points is None else points - origin, return_distance=False)[
        :, 0
    ]
