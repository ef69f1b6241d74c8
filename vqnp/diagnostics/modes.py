"""Modes: the peaks of the density that chance does not explain.

An estimated density has more peaks than the distribution, because it is never smooth. Its relative
error is known, though. A peak counts when it stands ``PROMINENCE`` standard errors above the pass
that leads to a higher one. The highest peak always counts. One rule, two estimates of the density:

- One dimension: a Gaussian kernel on a grid. Silverman's bandwidth, 0.9 min(sd, IQR/1.34)
  n^(-1/5), is made for one hump and merges ten. We use 0.3 of it. This separates ten humps of 1,000
  points whose centers are 3.5 of their standard deviations apart.
- More: the distance r to the k-th neighbor, where k is 1 % of the points. The log density is
  −d ln r up to a constant, with standard error 1/sqrt(k). Points join the graph of neighbors from
  the densest down. Two hills meet at the pass between their peaks (ToMATo: Chazal, Guibas, Oudot
  and Skraba, 2013). The dimension d is that of the cloud, which may lie flat in a larger space
  (Levina & Bickel, 2004).

HDBSCAN could count clusters too. But it needs a minimum size, and finds zero or two in a single
Gaussian. Here the question to each peak is the same in any dimension: could it be chance?
"""

import math

import numpy as np

from vqnp.diagnostics.sample import sample_rows
from vqnp.diagnostics.spread import total_variance
from vqnp.jit import kernel
from vqnp.validation import Array, PointsLike, Rng, as_points, as_seed

PROMINENCE = (
    5  # standard errors: chance passes in a hundredth of uniform samples, in fewer Gaussian
)
NARROWER = 0.3  # of Silverman's bandwidth
BINS = 8  # of the grid, in a bandwidth
SAMPLE_POINTS_ON_LINE, SAMPLE_POINTS = 10_000, 5_000


def count_modes(points: PointsLike, *, rng: Rng = 0) -> int:
    """Return the number of modes of a cloud of points.

    Healthy embeddings have as many modes as the data. Collapsed ones have fewer, because modes have
    merged. Shift and scale have no effect. A mode needs about 1 % of the points to be seen. In 64
    dimensions, where distances are nearly equal, one Gaussian is sometimes counted as two.

    Parameters
    ----------
    points : array-like (..., D)
        Embeddings, or data. Of more than 10,000 points (D = 1) or 5,000 (D > 1) a sample is used.
    rng : int or numpy.random.Generator
        The seed or generator of the sample.

    Returns
    -------
    int
        In [1, N]; 1 when all points coincide.

    Raises
    ------
    ValueError
        For an empty cloud, and for NaN or infinity.

    Examples
    --------
    >>> from vqnp.data import clusters
    >>> count_modes(clusters(8, rng=0).points)
    10
    """
    points, seed = as_points(points, "points"), as_seed(rng)
    on_line = points.shape[1] == 1
    rows = sample_rows(len(points), SAMPLE_POINTS_ON_LINE if on_line else SAMPLE_POINTS, seed)
    points = points[rows].astype(np.float64)
    variance = total_variance(points)
    if variance == 0:
        return 1
    points = (points - points.mean(axis=0)) / math.sqrt(variance)
    return max(1, len(peaks_on_line(points[:, 0]))) if on_line else _modes_in_space(points, seed)


def peaks_on_line(values: Array) -> Array:
    """Return the places of the peaks that count, ascending, in the kernel density of ``values``.

    Gaps wider than ten bandwidths are shortened to ten. The kernel has died down in between, and
    the grid stays small.
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    values = np.sort(values)
    steps = np.minimum(np.diff(values, prepend=values[0]) / bandwidth(values), 10)  # in bandwidths
    bins = (np.cumsum(steps) * BINS).astype(np.int64) + 5 * BINS
    counts = np.bincount(bins, minlength=bins[-1] + 5 * BINS).astype(float)
    density = gaussian_filter1d(counts, BINS, mode="constant")
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
    narrower = min(deviation, middle) if middle > 0 else deviation
    return float(NARROWER * 0.9 * narrower * len(values) ** -0.2)


def _modes_in_space(points: Array, seed: int) -> int:
    """Count the peaks of the k-neighbor density of standardized ``points`` ``(N, D)``."""
    from sklearn.neighbors import NearestNeighbors

    # a little noise, so that no two points coincide
    points = points + 1e-6 * np.random.default_rng(seed).standard_normal(points.shape)
    k = min(max(10, len(points) // 100), len(points) - 1)
    distances, neighbors = NearestNeighbors(n_neighbors=k).fit(points).kneighbors()  # (N, k) each
    radii = distances[:, -1]  # nearest first
    dimension = 1 / max(np.log(radii[:, None] / distances).mean(), 1 / points.shape[1])
    log_density = -dimension * np.log(radii)
    order = np.argsort(-log_density, kind="stable")
    return int(_count_peaks(log_density, neighbors, order, PROMINENCE / math.sqrt(k)))


@kernel
def _count_peaks(height: Array, neighbors: Array, order: Array, prominence: float) -> int:
    """Count the peaks of ``height`` ``(N,)`` that stand ``prominence`` above their pass.

    ``uphill`` leads every point of the graph ``neighbors`` ``(N, k)`` towards the peak of its hill.
    If a denser point p lists q as neighbor, then ‖p − q‖ ≤ r_p ≤ r_q, so q lists p too. It is
    enough to scan q's list.
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
        uphill[point] = uphill[uphill[point]]  # halves the way for the next search
        point = uphill[point]
    return point
