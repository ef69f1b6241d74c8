"""The same search for many tokens of many dimensions: a matrix product rules most tokens out, the definition decides among the rest.

With everything measured from the tokens' mean, ‖x − t‖² = ‖x‖² + 2 s with the score s = ‖t‖²/2 − x·t, and the scores of a block of
points with a block of tokens are one matrix product, at BLAS's speed. But the product rounds in its own way, and differently for
every block size: it cannot be trusted with near ties. It is asked for less. Tokens are grouped in chunks, and a chunk's least score
is known up to its rounding error e: with u the unit roundoff and r the greatest ‖t‖ in the chunk

    |error| ≤ e = 2 (D + 8) · 2u · (‖x‖ + r)²

bounds the rounding of the score in any order of summation, that of centring, and that of the loop's own distances. A chunk whose
interval [least − e, least + e] lies wholly above another's cannot hold the answer. All others, nearly always just one, are
searched by the definition: the codes and distances are those of ``nearest_loop`` to the last bit.

Shapes: points ``(N, D)``, tokens ``(K, D)``; the tokens are laid out as blocks ``(K / BLOCK, D + 1, BLOCK)``, the last of the D + 1
rows being ‖t‖²/2, which meets a 1 in the points.
"""

import numpy as np
from numba import prange

from vqnp import threads
from vqnp.jit import kernel, parallel_kernel
from vqnp.validation import Array

BLOCK = 256  # tokens, and points, of one product: its result stays in the second-level cache
CHUNK = 32  # tokens ruled out or searched together


@threads.limit()
def screened_search(points: Array, tokens: Array) -> tuple[Array, Array]:
    """Return what ``nearest`` returns; needs about three copies of the tokens, and half a megabyte a thread for every 10,000."""
    dtype, eps = tokens.dtype, np.finfo(tokens.dtype).eps
    centre = tokens.mean(axis=0, dtype=np.float64).astype(dtype)
    centred = tokens - centre
    squares = np.square(centred).sum(axis=1)  # (K,)
    short = -len(tokens) % BLOCK
    blocks = np.concatenate([-centred, squares[:, None] / 2], axis=1)  # (K, D + 1)
    blocks = np.pad(blocks, ((0, short), (0, 0)))
    blocks[len(tokens) :, -1] = np.inf  # what fills the last block is never nearest
    blocks = np.ascontiguousarray(blocks.reshape(-1, BLOCK, blocks.shape[1]).transpose(0, 2, 1))
    reach = np.sqrt(np.pad(squares, (0, short)).reshape(-1, CHUNK).max(axis=1))  # (K / CHUNK,)
    columns = np.ascontiguousarray(np.pad(tokens, ((0, short), (0, 0)), constant_values=np.inf).T)  # (D, K)
    codes = np.empty(len(points), np.int64)
    distances = np.empty(len(points), dtype)
    error = dtype.type(2 * (points.shape[1] + 8) * eps)
    _screen_blocks(points, centre, blocks, reach, error, columns, codes, distances)
    return codes, distances


@parallel_kernel
def _screen_blocks(
    points: Array,
    centre: Array,
    blocks: Array,
    reach: Array,
    error: float,
    columns: Array,
    codes: Array,
    distances: Array,
) -> None:
    for b in prange((len(points) + BLOCK - 1) // BLOCK):
        first = b * BLOCK
        rows = min(BLOCK, len(points) - first)
        turned, norms = _turn(points, centre, first, rows)
        least = np.empty((len(reach), BLOCK), points.dtype)
        _least_scores(turned, blocks, least)
        _decide(points[first : first + rows], norms, least, reach, error, columns, codes[first:], distances[first:])


@kernel
def _turn(points: Array, centre: Array, first: int, rows: int) -> tuple[Array, Array]:
    """Return a block of centred points on its side, with a row of ones ``(D + 1, BLOCK)``, and their norms ``(BLOCK,)``."""
    dims = points.shape[1]
    turned = np.zeros((dims + 1, BLOCK), points.dtype)
    norms = np.zeros(BLOCK, points.dtype)
    for i in range(rows):
        for d in range(dims):
            turned[d, i] = points[first + i, d] - centre[d]
            norms[i] += turned[d, i] * turned[d, i]
    turned[dims] = 1
    return turned, np.sqrt(norms)


@kernel
def _least_scores(turned: Array, blocks: Array, least: Array) -> None:
    """Write the least score of each chunk for each point into ``least`` ``(K / CHUNK, BLOCK)``."""
    scores = np.empty((BLOCK, BLOCK), turned.dtype)  # (tokens, points)
    for b in range(len(blocks)):
        np.dot(blocks[b].T, turned, scores)
        for c in range(BLOCK // CHUNK):
            lowest = least[b * (BLOCK // CHUNK) + c]
            for i in range(BLOCK):
                lowest[i] = scores[c * CHUNK, i]
            for k in range(c * CHUNK + 1, (c + 1) * CHUNK):
                for i in range(BLOCK):
                    score, low = scores[k, i], lowest[i]
                    lowest[i] = score if score < low else low


@kernel
def _decide(
    points: Array,
    norms: Array,
    least: Array,
    reach: Array,
    error: float,
    columns: Array,
    codes: Array,
    distances: Array,
) -> None:
    """Search, for each point, every chunk that may hold its nearest token, in order, by the definition."""
    ceiling = np.full(BLOCK, np.inf, least.dtype)
    for c in range(len(reach)):
        for i in range(BLOCK):
            e = error * (norms[i] + reach[c]) ** 2
            above, low = least[c, i] + e, ceiling[i]
            least[c, i] -= e
            ceiling[i] = above if above < low else low
    codes[: len(points)] = 0
    distances[: len(points)] = np.inf
    for c in range(len(reach)):
        for i in range(len(points)):
            if not least[c, i] > ceiling[i]:
                _search_chunk(points[i], columns, c * CHUNK, i, codes, distances)


@kernel
def _search_chunk(point: Array, columns: Array, start: int, i: int, codes: Array, distances: Array) -> None:
    """Lower ``distances[i]`` to the nearest of the CHUNK tokens from ``start`` on, if one of them is nearer."""
    squared = np.zeros(CHUNK, point.dtype)
    for d in range(len(point)):
        chunk = columns[d, start : start + CHUNK]
        for k in range(CHUNK):
            difference = point[d] - chunk[k]
            squared[k] += difference * difference
    for k in range(CHUNK):
        if squared[k] < distances[i]:
            codes[i], distances[i] = start + k, squared[k]
