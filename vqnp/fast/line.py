"""The same search for tokens of one dimension: on a line, sorting them makes it N log K.

A binary search finds the tokens on either side of a point, and one of them is nearest. Ties need care. In floating-point numbers
(z − t)² is rounded, so that several tokens may be equally near, and the one of lowest index must win. But rounding is monotone:
going outwards from the point on either side, the rounded distance never falls. So the ties of the least are the tokens next to
the point, on the left and on the right, up to the first that is farther; all of them are looked at. Nearly always there are none.
(Seen from 10⁸, all tokens between 0 and 1 are as near, in float32: then this is as slow as looking at every token, but no slower.)

Shapes: points ``(N, 1)``, tokens ``(K, 1)``; places, the tokens sorted without repetition ``(P,)``.
"""

import numpy as np
from numba import prange

from vqnp.jit import kernel, parallel_kernel
from vqnp.validation import Array


def line_search(points: Array, tokens: Array) -> tuple[Array, Array]:
    """Return what ``nearest`` returns; needs a few copies of the tokens."""
    places, indices = np.unique(
        tokens[:, 0], return_index=True
    )  # the first, so the lowest, index of each place
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
    least = point * 0 + np.inf
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
