"""The energy distance between two clouds of points (Székely & Rizzo, 2013): do reconstruction and data look alike at all?"""

import numpy as np

from vqnp.diagnostics.blocks import sample_rows
from vqnp.validation import Array, require_integer, require_points


def energy_distance(x: Array, y: Array, *, sample: int = 2000, seed: int = 0) -> float:
    """Return 2 E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖ for ``x`` ``(N, D)`` and ``y`` ``(M, D)``, in the unit of the points.

    Range [0, ∞); 0 exactly when the two sampled distributions are the same. Healthy: near 0. The means run over all pairs,
    a point with itself included (the V-statistic): it is never negative and needs no correction to be 0 for ``x`` against
    ``x``; two samples of n points from one distribution show about 2 E‖X − X′‖ / n. Of more than ``sample`` points a
    seeded sample is used, at the same rows when ``x`` and ``y`` are of one length.
    Raises ``TypeError`` or ``ValueError`` for bad arrays, two different D or a bad ``sample``.
    """
    from scipy.spatial.distance import cdist

    x = require_points(x, "x")
    y = require_points(y, "y", dim=x.shape[1])
    limit = require_integer(sample, "sample", least=1)
    x = x[sample_rows(len(x), limit, seed)].astype(np.float64)
    y = y[sample_rows(len(y), limit, seed)].astype(np.float64)
    between, within_x, within_y = cdist(x, y).mean(), cdist(x, x).mean(), cdist(y, y).mean()
    return max(0.0, float(2 * between - within_x - within_y))
