"""The nearest token (eq. 1): code(z) = argmin_k ‖z − t_k‖², the lowest k when several are equally near.

The squared distance is summed over the dimensions in order, Σ_d (z_d − t_kd)², in the dtype of the points, and by all three
versions alike: they agree to the last bit, whatever the block size and the number of threads. The shorter ‖z‖² − 2 z·t + ‖t‖²
would cancel when points lie far from the origin and close to each other, and then names the wrong token. No square root is
taken: it is monotone, but rounds different distances to the same number.

Shapes: points ``(N, D)``, tokens ``(K, D)``, codes ``(N,)`` int64, squared distances ``(N,)``.
"""

import numpy as np
from numba import prange

from vqnp.fast.line import line_search
from vqnp.fast.screen import screened_search
from vqnp.fast.squares import squared_distances, turn
from vqnp.jit import kernel, parallel_kernel
from vqnp.validation import Array, require_points

BLOCK = (
    128  # points searched together: with their running distances they stay in the first-level cache
)
SEVERAL_POINTS, SEVERAL_TOKENS = (
    1024,
    64,
)  # from there on it pays to prepare the tokens, on a line by sorting them
SCREEN_FROM = (
    1 << 11
)  # token coordinates; fewer are looked at, one by one, before the screen has ruled any out
PARALLEL_FROM = 1 << 16  # differences; a smaller search is over before a second thread has woken up


def nearest_loop(points: Array, tokens: Array) -> tuple[Array, Array]:
    """The definition: look at every token for every point, keep the first that is nearer than all before it."""
    codes = np.zeros(len(points), np.int64)
    distances = np.full(len(points), np.inf, points.dtype)
    for i, point in enumerate(points):
        for k, token in enumerate(tokens):
            distance = points.dtype.type(0)
            for d in range(len(token)):
                difference = point[d] - token[d]
                distance += difference * difference
            if distance < distances[i]:
                codes[i], distances[i] = k, distance
    return codes, distances


def nearest_numpy(points: Array, tokens: Array, block: int = 1024) -> tuple[Array, Array]:
    """The same in NumPy, a block of points at a time so that memory is O(block · K) and not O(N · K)."""
    codes = np.empty(len(points), np.int64)
    distances = np.empty(len(points), points.dtype)
    for start in range(0, len(points), block):
        rows = slice(start, start + block)
        squared = np.zeros((len(points[rows]), len(tokens)), points.dtype)  # (block, K)
        for d in range(points.shape[1]):
            squared += np.square(points[rows, d, None] - tokens[:, d])
        codes[rows] = squared.argmin(axis=1)
        distances[rows] = squared.min(axis=1)
    return codes, distances


def nearest(points: Array, tokens: Array) -> tuple[Array, Array]:
    """Return the codes ``(N,)`` int64 of the nearest tokens and the squared distances ``(N,)`` to them.

    Needs little memory beyond the answer: a megabyte a thread, and for many tokens a few copies of them. Raises ``TypeError``
    or ``ValueError`` when ``points`` ``(N, D)`` and ``tokens`` ``(K, D)`` are not finite, non-empty float arrays of one dtype and D.
    """
    tokens = require_points(tokens, "tokens")
    points = require_points(points, "points", dim=tokens.shape[1])
    if points.dtype != tokens.dtype:
        raise TypeError(
            f"points and tokens must have one dtype, got {points.dtype} and {tokens.dtype}"
        )
    return search(points, tokens)


def search(points: Array, tokens: Array) -> tuple[Array, Array]:
    """Do what ``nearest`` does, for arrays that are known to be good: the plain search, or a faster one with the same answer."""
    if len(points) >= SEVERAL_POINTS and len(tokens) >= SEVERAL_TOKENS:
        if tokens.shape[1] == 1:
            return line_search(points, tokens)
        if tokens.size >= SCREEN_FROM:
            return screened_search(points, tokens)
    codes = np.empty(len(points), np.int64)
    distances = np.empty(len(points), points.dtype)
    if points.size * len(tokens) < PARALLEL_FROM:
        _search_rows(points, tokens, 0, len(points), codes, distances)
    else:
        _search_blocks(points, tokens, codes, distances)
    return codes, distances


@parallel_kernel
def _search_blocks(points: Array, tokens: Array, codes: Array, distances: Array) -> None:
    blocks = (len(points) + BLOCK - 1) // BLOCK
    for b in prange(blocks):
        _search_rows(points, tokens, b * BLOCK, min((b + 1) * BLOCK, len(points)), codes, distances)


@kernel
def _search_rows(
    points: Array, tokens: Array, start: int, stop: int, codes: Array, distances: Array
) -> None:
    """Search rows ``start`` to ``stop``. A block of points is turned on its side, dimension by dimension, so that the
    innermost loops run along the points: contiguous, one token at a time, which the compiler vectorises."""
    block = np.zeros((1, points.shape[1], BLOCK), points.dtype)  # a strip of its own
    one, two = np.empty(BLOCK, points.dtype), np.empty(BLOCK, points.dtype)
    least = np.empty(BLOCK, points.dtype)
    code = np.empty(
        BLOCK, np.int32
    )  # as wide as a float32, so that one vector holds as many of either
    for first in range(start, stop, BLOCK):
        rows = min(BLOCK, stop - first)
        turn(points, first, rows, block)
        for b in range(BLOCK):
            least[b], code[b] = np.inf, 0
        for k in range(0, len(tokens), 2):
            after = min(k + 1, len(tokens) - 1)  # of an odd number, the last is looked at twice
            squared_distances(block, 0, tokens, k, BLOCK, one)
            squared_distances(block, 0, tokens, after, BLOCK, two)
            _keep_nearer(np.int32(k), one, np.int32(after), two, least, code)
        for b in range(rows):
            codes[first + b] = code[b]
            distances[first + b] = least[b]


@kernel
def _keep_nearer(k: int, one: Array, after: int, two: Array, least: Array, code: Array) -> None:
    """Choose, for each point, among the nearest so far and two more tokens. Every value is read before one is chosen, and two
    choices are made before one is stored: so they are vector selects, without branches and without conditional stores."""
    for b in range(len(least)):
        now, then, best, chosen = one[b], two[b], least[b], code[b]
        nearer = now < best
        best = now if nearer else best
        chosen = k if nearer else chosen
        nearer = then < best
        least[b] = then if nearer else best
        code[b] = after if nearer else chosen
