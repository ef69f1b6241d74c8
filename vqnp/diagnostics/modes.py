"""The number of modes: peaks of the density that chance does not explain.

An estimated density is never smooth: it has more peaks than the distribution. Its relative error is known, though. A peak
counts when it stands ``PROMINENCE`` standard errors above the pass that leads to a higher one, and the highest always counts.
One rule, two estimates of the density:

- One dimension: a Gaussian kernel on a grid. Silverman's bandwidth, 0.9 min(sd, IQR/1.34) n^(-1/5), is made for one hump and
  merges ten; 0.3 of it keeps apart ten humps of 1,000 points whose centers are 3.5 of their standard deviations from each other.
- More: the distance r to the k-th neighbor, k 1 % of the points, gives log density −d ln r up to a constant, with standard error
  1/sqrt(k). Points join the graph of neighbors from the densest down; where two hills meet is the pass between their peaks
  (ToMATo: Chazal, Guibas, Oudot and Skraba, 2013). The dimension d is that of the cloud, which may lie flat in a larger space
  (Levina & Bickel, 2004).

Clustering by density (HDBSCAN) would do for the second, but asks how small a cluster may be, and answers none or two for one
Gaussian; here the question is the same as on the line, whether it could be chance, and one hump is one.
"""

import math

import numpy as np

from vqnp.diagnostics.blocks import sample_rows
from vqnp.diagnostics.spread import total_variance
from vqnp.jit import kernel
from vqnp.validation import Array, require_points

PROMINENCE = 5  # standard errors: chance passes it in about one uniform sample of a hundred, in fewer Gaussian ones
NARROWER = 0.3  # of Silverman's bandwidth
BINS = 8  # of the grid, in a bandwidth
SAMPLE_ON_LINE, SAMPLE = 10_000, 5_000


def count_modes(points: Array, *, seed: int = 0) -> int:
    """Return the number of modes of ``points`` ``(N, D)``; in [1, N], and 1 when all points coincide.

    Healthy: as many as the data have. Collapsed: fewer, the peaks have merged. Shift and scale do not matter. Of more than
    10,000 points (one dimension) or 5,000 (more) a seeded sample is used; a mode needs about 1 % of the points to be seen.
    In 64 dimensions, where distances are nearly equal, one Gaussian is now and then counted as two.
    Raises ``TypeError`` or ``ValueError`` unless ``points`` is a finite float array of that shape.
    """
    points = require_points(points, "points")
    rows = sample_rows(len(points), SAMPLE_ON_LINE if points.shape[1] == 1 else SAMPLE, seed)
    points = points[rows].astype(np.float64)
    variance = total_variance(points)
    if variance == 0:
        return 1
    points = (points - points.mean(axis=0)) / math.sqrt(variance)
    return (
        max(1, len(peaks_on_line(points[:, 0])))
        if points.shape[1] == 1
        else _modes_in_space(points, seed)
    )


def peaks_on_line(values: Array) -> Array:
    """Return where the Gaussian kernel density of ``values`` ``(N,)`` has the peaks that count, in ascending order.

    Gaps wider than ten bandwidths are shortened to ten: the kernel has died down in between, and the grid stays small.
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    values = np.sort(values)
    steps = np.minimum(np.diff(values, prepend=values[0]) / bandwidth(values), 10)  # in bandwidths
    bins = (np.cumsum(steps) * BINS).astype(np.int64) + 5 * BINS
    density = gaussian_filter1d(
        np.bincount(bins, minlength=bins[-1] + 5 * BINS).astype(float), BINS, mode="constant"
    )
    peaks, found = find_peaks(density, prominence=0)
    # A kernel of h bins' width over counts of mean c has variance c / (2 sqrt(pi) h).
    standard_error = np.sqrt(density[peaks] / (2 * math.sqrt(math.pi) * BINS))
    counting = peaks[found["prominences"] > PROMINENCE * standard_error]
    return values[np.minimum(np.searchsorted(bins, counting), len(values) - 1)]


def bandwidth(values: Array) -> float:
    """Return the width of the kernel for ``values`` ``(N,)``."""
    quarter, three_quarters = np.quantile(values, [0.25, 0.75])
    middle = (three_quarters - quarter) / 1.34
    deviation = values.std()
    return float(
        NARROWER * 0.9 * (min(deviation, middle) if middle > 0 else deviation) * len(values) ** -0.2
    )


def _modes_in_space(points: Array, seed: int) -> int:
    """Count the peaks of the k-neighbor density of standardized ``points`` ``(N, D)``."""
    from sklearn.neighbors import NearestNeighbors

    points = points + 1e-6 * np.random.default_rng(seed).standard_normal(
        points.shape
    )  # no two points coincide
    k = min(max(10, len(points) // 100), len(points) - 1)
    distances, neighbors = (
        NearestNeighbors(n_neighbors=k).fit(points).kneighbors()
    )  # (N, k), nearest first
    radii = distances[:, -1]
    dimension = 1 / max(np.log(radii[:, None] / distances).mean(), 1 / points.shape[1])
    log_density = -dimension * np.log(radii)
    order = np.argsort(-log_density, kind="stable")
    return int(_count_peaks(log_density, neighbors, order, PROMINENCE / math.sqrt(k)))


@kernel
def _count_peaks(height: Array, neighbors: Array, order: Array, prominence: float) -> int:
    """Count the peaks of ``height`` ``(N,)`` on the graph ``neighbors`` ``(N, k)`` that stand ``prominence`` above their pass.

    ``uphill`` leads every point towards the peak of its hill. A point's denser neighbors all have it within their reach or
    it them, so it is enough to look from the lower point up.
    """
    uphill = np.full(len(height), -1)  # -1: still under water
    peaks = 0
    for point in order:
        uphill[point] = point
        peaks += 1
        for neighbor in neighbors[point]:
            if uphill[neighbor] < 0:
                continue
            lower, higher = _summit(uphill, point), _summit(uphill, neighbor)
            if lower == higher:
                continue
            if height[lower] > height[higher]:
                lower, higher = higher, lower
            uphill[lower] = higher
            if height[lower] - height[point] <= prominence:
                peaks -= 1
    return peaks


@kernel
def _summit(uphill: Array, point: int) -> int:
    while uphill[point] != point:
        uphill[point] = uphill[uphill[point]]  # halves the way for the next to come
        point = uphill[point]
    return point
