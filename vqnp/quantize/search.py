"""The nearest token (eq. 1): code(z) = argmin_k ‖z − t_k‖²; the lowest k wins a tie.

All versions sum the squared distance over the dimensions in order, Σ_d (z_d − t_kd)², in the
dtype of the points. So they agree to the last bit, for any block size and number of threads. The
shorter ‖z‖² − 2 z·t + ‖t‖² cancels for points far from the origin, and then names the wrong
token. No root is taken, because it rounds different distances to the same number.

Shapes: points ``(N, D)``, tokens ``(K, D)``, codes ``(N,)`` int64, squared distances ``(N,)``.
"""

import numpy as np
from numba import prange

from vqnp.fast.line import line_search
from vqnp.fast.screen import screened_search
from vqnp.fast.squares import squared_distances, turn
from vqnp.jit import kernel, parallel_kernel
from vqnp.validation import Array, Codes, Distances, PointsLike, TokensLike, as_points

__all__ = ["nearest", "nearest_loop", "nearest_numpy"]

# Points searched together: with their running distances they stay in the first-level cache.
POINTS_A_BLOCK = 128
# Above both, preprocessing the tokens pays: sorting if D = 1, screening otherwise.
PREPARE_FROM_POINTS, PREPARE_FROM_TOKENS = 1024, 64
# Below, the screen costs more than the plain search of these few numbers.
SCREEN_FROM_COORDINATES = 1 << 11
PARALLEL_DIFFERENCES = 1 << 16


def nearest_loop(points: Array, tokens: Array) -> tuple[Array, Array]:
    """Define :func:`nearest`: for every point keep the first token nearer than all before it.

    Parameters and Returns are those of :func:`nearest`.

    Example
    -------
    >>> nearest_loop(np.array([[0.0], [4.0]]), np.array([[5.0], [1.0], [3.0]]))
    (array([1, 0]), array([1., 1.]))
    """
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
    """Do :func:`nearest` in NumPy, ``block`` points at a time.

    So memory is O(block · K) and not O(N · K). Other Parameters and Returns are those of
    :func:`nearest`.

    Example
    -------
    >>> nearest_numpy(np.array([[0.0], [4.0]]), np.array([[5.0], [1.0], [3.0]]))
    (array([1, 0]), array([1., 1.]))
    """
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


def nearest(points: PointsLike, tokens: TokensLike) -> tuple[Codes, Distances]:
    """Return each point's nearest token (eq. 1) and the squared distance to it.

    Memory beyond the answer stays small: a megabyte a thread, and a few copies of many tokens.

    Parameters
    ----------
    points : float array-like (N, D)
        The points, finite, at least one; of more axes, all but the last are flattened.
    tokens : float array-like (K, D)
        The tokens, finite, at least one, of the same precision.

    Returns
    -------
    codes : int64 array (N,)
        The token's index; the lowest when several are equally near.
    squared : array (N,), dtype of ``points``
        The squared Euclidean distances, as ``nearest_loop`` rounds them.

    Raises
    ------
    TypeError
        For anything but floating-point numbers, or two different precisions.
    ValueError
        For another shape, two different D, an empty array, NaN or infinity.

    Example
    -------
    >>> codes, squared = nearest([[0.0], [4.0]], [[5.0], [1.0], [3.0]])
    >>> codes, squared
    (array([1, 0]), array([1., 1.]))
    """
    tokens = as_points(tokens, "tokens")
    points = as_points(points, "points", dim=tokens.shape[1])
    if points.dtype != tokens.dtype:
        raise TypeError(
            f"points and tokens must have one dtype, got {points.dtype} and {tokens.dtype}"
        )
    return search(points, tokens)


def search(points: Array, tokens: Array) -> tuple[Array, Array]:
    """Do ``nearest`` without validation; picks the plain, sorted or screened search, all alike."""
    if len(points) >= PREPARE_FROM_POINTS and len(tokens) >= PREPARE_FROM_TOKENS:
        if tokens.shape[1] == 1:
            return line_search(points, tokens)
        if tokens.size >= SCREEN_FROM_COORDINATES:
            return screened_search(points, tokens)
    codes = np.empty(len(points), np.int64)
    distances = np.empty(len(points), points.dtype)
    if points.size * len(tokens) < PARALLEL_DIFFERENCES:
        _search_rows(points, tokens, codes, distances)
    else:
        _search_blocks(points, tokens, codes, distances)
    return codes, distances


@parallel_kernel
def _search_blocks(points: Array, tokens: Array, codes: Array, distances: Array) -> None:
    for b in prange((len(points) + POINTS_A_BLOCK - 1) // POINTS_A_BLOCK):
        rows = slice(b * POINTS_A_BLOCK, (b + 1) * POINTS_A_BLOCK)
        _search_rows(points[rows], tokens, codes[rows], distances[rows])


@kernel
def _search_rows(points: Array, tokens: Array, codes: Array, distances: Array) -> None:
    """Search a block of transposed points at a time.

    The innermost loops then run along contiguous points, and the compiler vectorizes them.
    """
    block = np.zeros((1, points.shape[1], POINTS_A_BLOCK), points.dtype)  # a strip of its own
    one, two = np.empty(POINTS_A_BLOCK, points.dtype), np.empty(POINTS_A_BLOCK, points.dtype)
    least = np.empty(POINTS_A_BLOCK, points.dtype)
    # As wide as a float32, so that one vector register holds as many of either.
    code = np.empty(POINTS_A_BLOCK, np.int32)
    for first in range(0, len(points), POINTS_A_BLOCK):
        rows = min(POINTS_A_BLOCK, len(points) - first)
        turn(points, first, rows, block)
        for b in range(POINTS_A_BLOCK):
            least[b], code[b] = np.inf, 0
        for k in range(0, len(tokens), 2):
            after = min(k + 1, len(tokens) - 1)  # of an odd number, the last is looked at twice
            squared_distances(block, 0, tokens, k, POINTS_A_BLOCK, one)
            squared_distances(block, 0, tokens, after, POINTS_A_BLOCK, two)
            _keep_nearer(np.int32(k), one, np.int32(after), two, least, code)
        for b in range(rows):
            codes[first + b] = code[b]
            distances[first + b] = least[b]


@kernel
def _keep_nearer(k: int, one: Array, after: int, two: Array, least: Array, code: Array) -> None:
    """Choose, for each point, among the nearest so far and two more tokens.

    Every value is read before one is chosen, and two choices are made before one is stored. So the
    compiler makes vector selects of them, without branches or conditional stores.
    """
    for b in range(len(least)):
        now, then, best, chosen = one[b], two[b], least[b], code[b]
        nearer = now < best
        best = now if nearer else best
        chosen = k if nearer else chosen
        nearer = then < best
        least[b] = then if nearer else best
        code[b] = after if nearer else chosen
