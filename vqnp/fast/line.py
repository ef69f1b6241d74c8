"""The search for tokens of one dimension: on a line, sorting them makes it N log K.

``line_search`` equals :func:`vqnp.quantize.search.nearest_loop`, to the last bit.

A binary search finds the tokens on either side of a point, and one of them is nearest. Ties need
care. In floating-point numbers (z − t)² is rounded, so several tokens may tie, and the lowest index
must win. But rounding is monotone: outwards from the point, the rounded distance never falls. So
the ties stand next to the point, on either side, up to the first token that is farther. All of them
are checked; nearly always there are none. Worst case: from 10⁸, in float32, all tokens in [0, 1]
tie. Every token is then checked, as in the plain loop.

Shapes: points ``(N, 1)``, tokens ``(K, 1)``; places, the sorted distinct tokens, ``(P,)``.
"""

import numpy as np
from numba import prange

from vqnp.jit import kernel, parallel_kernel
from vqnp.validation import Array


def line_search(points: Array, tokens: Array) -> tuple[Array, Array]:
    """Return what ``nearest`` returns; needs a few copies of the tokens."""
    # The first, so the lowest, index of each place.
    places, indices = np.unique(tokens[:, 0], return_index=True)
    codes = np.empty(len(points), np.int64)
    distances = np.empty(len(points), points.dtype)
    _search_all(points, places, indices, codes, distances)
    return codes, distances


@parallel_kernel
def _search_all(
    points: Array, places: Array, indices: Array, codes: Array, distances: Array
) -> None:
    for i in prange(len(points)):
        codes[i], distances[i] = _search_one(points[i, 0], places, indices)


@kernel
def _search_one(point: float, places: Array, indices: Array) -> tuple[int, float]:
    right = np.searchsorted(places, point)
    left = right - 1
    least = np.inf  # a float64 holds the square of any dtype exactly
    if left >= 0:
        least = _square(point, places[left])
    if right < len(places):
        least = min(least, _square(point, places[right]))
    code = np.iinfo(np.int64).max
    while left >= 0 and _square(point, places[left]) == least:
        code = min(code, indices[left])
        left -= 1
    while right < len(places) and _square(point, places[right]) == least:
        code = min(code, indices[right])
        right += 1
    return code, least


@kernel
def _square(point: float, place: float) -> float:
    difference = point - place
    return difference * difference
