"""The search for many tokens: rough scores discard most tokens, the definition decides the rest.

``screened_search`` equals :func:`vqnp.quantize.search.nearest_loop`, to the last bit.

With everything measured from the tokens' mean, ‖x − t‖² = ‖x‖² + 2 s with the score
s = ‖t‖²/2 − x·t. A score costs one multiplication and one addition a dimension, and many are found
at once. Scores round differently from the definition, so we use them only to discard tokens that
cannot win.

Tokens are grouped in chunks. A chunk's least score is known up to its rounding error e. With u the
unit roundoff, r the greatest ‖t‖ of the chunks decided on together, and m the least normal number
(below m, rounding is no longer relative)::

    |error| ≤ e = 2 (D + 8) · 2u · (‖x‖ + r)² + 2 (D + 8) m

This bounds the rounding of the score in any order of summation, of centering, and of the loop's own
distances. A chunk whose interval [least − e, least + e] lies wholly above another's cannot hold the
answer. The definition searches all others; nearly always that is one chunk.

Scores of a block of points are found in two ways. Only the least score of each chunk is kept.

- Up to SHORT dimensions, a point's coordinates and the scores of GROUP tokens fit the registers, so
  they never reach memory. Here alone the compiler may contract multiply and add to one step. The
  bound allows for any rounding.
- Beyond, BLAS multiplies a block of tokens with the block of points. The scores stay in the
  second-level cache.

Shapes: points ``(N, D)``, tokens ``(K, D)``. D is filled up to a width W of at least SHORT, and
K to whole chunks. Turned points ``(W, B)``, least scores ``(K / CHUNK, B)``.
"""

from contextlib import nullcontext

import numpy as np
from numba import prange

from vqnp import threads
from vqnp.fast.squares import GROUP, squared_distances, turn
from vqnp.jit import contracting_kernel, kernel, parallel_kernel
from vqnp.validation import Array

SHORT = 8  # dimensions of a point held in registers; fewer are filled up with zeros
CHUNK = 16  # tokens a chunk; only a chunk's smallest score is stored; a multiple of GROUP
TOKENS_A_PRODUCT = 256
POINTS_A_BLOCK = 256
# Tokens between two decisions. Their least scores stay in the second-level cache.
TOKENS_A_SPAN = 4096


# The tokens as the screen needs them, in whole chunks. The filling is never nearest.
# negated (K, W): the negated, centered tokens; halves (K,): half their squares;
# reach (K / CHUNK / GROUP,): the greatest norm of a group of chunks;
# exact (K / CHUNK, D, CHUNK): the tokens themselves, a chunk transposed.
Layout = tuple[Array, Array, Array, Array]
# What a block of points knows of its distances so far, as scores: least
# (TOKENS_A_SPAN / CHUNK, B), at best, that of each chunk; ceiling (B,), at worst, the least of all.
Bounds = tuple[Array, Array]
Answer = tuple[Array, Array]  # codes (N,) int64, squared distances (N,)


def screened_search(points: Array, tokens: Array) -> tuple[Array, Array]:
    """Return the answer of ``nearest``, with two copies of the tokens and a megabyte a thread."""
    center = tokens.mean(axis=0, dtype=np.float64).astype(tokens.dtype)
    answer = np.zeros(len(points), np.int64), np.full(len(points), np.inf, points.dtype)
    # BLAS multiplies within the parallel blocks.
    with nullcontext() if tokens.shape[1] <= SHORT else threads.limit():
        _screen_blocks(points, center, lay_out(tokens, center), rounding(tokens), answer)
    return answer


def rounding(tokens: Array) -> tuple[np.floating, np.floating]:
    """Return the two parts of the bound e: the factor of (‖x‖ + r)², and the term beside it."""
    info, terms = np.finfo(tokens.dtype), 2 * (tokens.shape[1] + 8)
    return terms * info.eps, terms * info.tiny


def lay_out(tokens: Array, center: Array) -> Layout:
    """Return the layout of ``tokens`` ``(K, D)`` as seen from ``center``."""
    dims, dtype = tokens.shape[1], tokens.dtype
    chunks = -(-len(tokens) // (GROUP * CHUNK)) * GROUP
    negated = np.zeros((chunks * CHUNK, max(dims, SHORT)), dtype)
    halves = np.full(chunks * CHUNK, np.inf, dtype)
    reach = np.zeros(chunks // GROUP, dtype)
    exact = np.full((chunks, dims, CHUNK), np.inf, dtype)
    layout = negated, halves, reach, exact
    _lay_out_chunks(tokens, center, layout)
    return layout


@parallel_kernel
def _lay_out_chunks(tokens: Array, center: Array, layout: Layout) -> None:
    negated, halves, reach, exact = layout
    for group in prange(len(reach)):
        first = group * GROUP * CHUNK
        for k in range(first, min(first + GROUP * CHUNK, len(tokens))):
            square = tokens[k, 0] * 0  # a zero of the tokens' dtype, so that the sum keeps it
            for d in range(tokens.shape[1]):
                exact[k // CHUNK, d, k % CHUNK] = tokens[k, d]
                difference = center[d] - tokens[k, d]
                negated[k, d] = difference
                square += difference * difference
            halves[k] = square / 2
            reach[group] = max(reach[group], np.sqrt(square))


@parallel_kernel
def _screen_blocks(
    points: Array, center: Array, layout: Layout, error: tuple[float, float], answer: Answer
) -> None:
    for b in prange((len(points) + POINTS_A_BLOCK - 1) // POINTS_A_BLOCK):
        _screen_block(b * POINTS_A_BLOCK, points, center, layout, error, answer)


@kernel
def _screen_block(
    start: int,
    points: Array,
    center: Array,
    layout: Layout,
    error: tuple[float, float],
    answer: Answer,
) -> None:
    negated, halves, reach, exact = layout
    rows = min(POINTS_A_BLOCK, len(points) - start)
    block, norms = _centered(points, start, rows, center, negated.shape[1])
    least = np.empty((min(TOKENS_A_SPAN, len(negated)) // CHUNK, POINTS_A_BLOCK), points.dtype)
    ceiling = np.full(POINTS_A_BLOCK, np.inf, points.dtype)
    candidates = np.empty(POINTS_A_BLOCK, np.int64)
    for first in range(0, len(negated), TOKENS_A_SPAN):
        stop = min(first + TOKENS_A_SPAN, len(negated))
        if len(block) == SHORT:
            short_scores(block, negated, halves, first, stop, least)
        else:
            long_scores(block, negated, halves, first, stop, least)
        for row in range(0, (stop - first) // CHUNK, GROUP):
            _bound(row, reach[(first // CHUNK + row) // GROUP], norms, error, least, ceiling)
        for row in range(0, (stop - first) // CHUNK, GROUP):
            count = _candidates(row, least, ceiling, rows, candidates)
            if count > 0:
                found, bounds = candidates[:count], (least, ceiling)
                _search(first // CHUNK, row, found, start, bounds, points, exact, answer)


@kernel
def _centered(
    points: Array, start: int, rows: int, center: Array, width: int
) -> tuple[Array, Array]:
    """Return a block of points transposed, ``(W, B)``, as seen from ``center``, and their norms."""
    strips = np.zeros((1, width, POINTS_A_BLOCK), points.dtype)
    turn(points, start, rows, strips)
    block, norms = strips[0], np.zeros(POINTS_A_BLOCK, points.dtype)
    for d in range(len(center)):
        for i in range(POINTS_A_BLOCK):
            block[d, i] -= center[d]
            norms[i] += block[d, i] * block[d, i]
    for i in range(POINTS_A_BLOCK):
        norms[i] = np.sqrt(norms[i])
    return block, norms


@kernel
def _bound(
    row: int, reach: float, norms: Array, error: tuple[float, float], least: Array, ceiling: Array
) -> None:
    """Lower four chunks' ``least`` to their best case, and ``ceiling`` to the best worst case."""
    factor, term = error
    for i in range(POINTS_A_BLOCK):
        reached = norms[i] + reach
        e = factor * (reached * reached) + term
        one, two = least[row, i], least[row + 1, i]
        three, four = least[row + 2, i], least[row + 3, i]
        ceiling[i] = least_of(ceiling[i], one + e, two + e, three + e, four + e)
        least[row, i], least[row + 1, i] = one - e, two - e
        least[row + 2, i], least[row + 3, i] = three - e, four - e


@kernel
def _candidates(row: int, least: Array, ceiling: Array, rows: int, candidates: Array) -> int:
    """List the points whose nearest token one of four chunks may hold; return their number."""
    possible = np.empty(POINTS_A_BLOCK, np.bool_)
    for i in range(POINTS_A_BLOCK):
        one, two = not least[row, i] > ceiling[i], not least[row + 1, i] > ceiling[i]
        three, four = not least[row + 2, i] > ceiling[i], not least[row + 3, i] > ceiling[i]
        possible[i] = one | two | three | four
    count = 0
    for i in range(rows):
        # The next overwrites it if it is none. That is faster than a branch nobody can predict.
        candidates[count] = i
        count += possible[i]
    return count


@kernel
def _search(
    chunk: int,
    row: int,
    candidates: Array,
    start: int,
    bounds: Bounds,
    points: Array,
    exact: Array,
    answer: Answer,
) -> None:
    """Search by the definition: those of four chunks that may hold a candidate's token."""
    (least, ceiling), (codes, distances) = bounds, answer
    squared = np.empty(CHUNK, points.dtype)
    for i in candidates:
        for r in range(row, row + GROUP):
            if not least[r, i] > ceiling[i]:
                squared_distances(exact, chunk + r, points, start + i, CHUNK, squared)
                nearest, code = distances[start + i], codes[start + i]
                for k in range(CHUNK):
                    now = squared[k]
                    nearer = now < nearest
                    nearest = now if nearer else nearest
                    code = (chunk + r) * CHUNK + k if nearer else code
                codes[start + i], distances[start + i] = code, nearest


@contracting_kernel
def short_scores(
    points: Array, tokens: Array, halves: Array, first: int, stop: int, least: Array
) -> None:
    """Write the least score of each chunk of tokens ``first`` to ``stop``, for each point."""
    for row in range((stop - first) // CHUNK):
        least[row] = np.inf
        for k in range(first + row * CHUNK, first + (row + 1) * CHUNK, GROUP):
            a, b = _token(tokens, halves, k), _token(tokens, halves, k + 1)
            c, d = _token(tokens, halves, k + 2), _token(tokens, halves, k + 3)
            for i in range(points.shape[1]):
                one, two = _score(points, i, a), _score(points, i, b)
                three, four = _score(points, i, c), _score(points, i, d)
                least[row, i] = least_of(least[row, i], one, two, three, four)


@contracting_kernel
def _token(tokens: Array, halves: Array, k: int) -> tuple[float, ...]:
    """Return a token's coordinates and half its square as a tuple, which the loop cannot change."""
    one, two, three, four = tokens[k, 0], tokens[k, 1], tokens[k, 2], tokens[k, 3]
    return one, two, three, four, tokens[k, 4], tokens[k, 5], tokens[k, 6], tokens[k, 7], halves[k]


@contracting_kernel
def _score(x: Array, i: int, t: tuple[float, ...]) -> float:
    first = t[8] + x[0, i] * t[0] + x[1, i] * t[1] + x[2, i] * t[2] + x[3, i] * t[3]
    return first + x[4, i] * t[4] + x[5, i] * t[5] + x[6, i] * t[6] + x[7, i] * t[7]


@kernel
def long_scores(
    points: Array, tokens: Array, halves: Array, first: int, stop: int, least: Array
) -> None:
    """Do the same for ``points`` ``(D, B)`` of any number of dimensions, by matrix products."""
    products = np.empty((min(TOKENS_A_PRODUCT, stop - first), points.shape[1]), points.dtype)
    for start in range(first, stop, TOKENS_A_PRODUCT):
        rows = min(TOKENS_A_PRODUCT, stop - start)
        np.dot(tokens[start : start + rows], points, products[:rows])
        for p in range(0, rows, GROUP):
            row, k = (start - first + p) // CHUNK, start + p
            if p % CHUNK == 0:
                least[row] = np.inf
            for i in range(points.shape[1]):
                one, two = products[p, i] + halves[k], products[p + 1, i] + halves[k + 1]
                three, four = products[p + 2, i] + halves[k + 2], products[p + 3, i] + halves[k + 3]
                least[row, i] = least_of(least[row, i], one, two, three, four)


@kernel
def least_of(low: float, one: float, two: float, three: float, four: float) -> float:
    """Return the least; ``low`` comes first, because chosen last its store is conditional."""
    low = low if low < one else one
    low = low if low < two else two
    low = low if low < three else three
    return low if low < four else four
