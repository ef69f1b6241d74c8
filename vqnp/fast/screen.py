"""The same search for many tokens: rough scores rule most tokens out, the definition decides among the rest.

With everything measured from the tokens' mean, ‖x − t‖² = ‖x‖² + 2 s with the score s = ‖t‖²/2 − x·t. Scores cost a multiplication
and an addition a dimension, and many are found at once (see scores.py); but they round in their own way, and cannot be trusted
with near ties. They are asked for less. Tokens are grouped in chunks, and a chunk's least score is known up to its rounding
error e: with u the unit roundoff, r the greatest ‖t‖ of the chunks decided on together, and m the least
normal number, below which rounding is no longer relative,

    |error| ≤ e = 2 (D + 8) · 2u · (‖x‖ + r)² + 2 (D + 8) m

bounds the rounding of the score in any order of summation, that of centring, and that of the loop's own distances. A chunk whose
interval [least − e, least + e] lies wholly above another's cannot hold the answer. All others, nearly always just one, are
searched by the definition: the codes and distances are those of ``nearest_loop`` to the last bit.

Shapes: points ``(N, D)``, tokens ``(K, D)``. D is filled up to a width W of at least SHORT, and K to whole chunks.
"""

import numpy as np
from numba import prange

from vqnp import threads
from vqnp.fast.squares import squared_distances, turn
from vqnp.jit import contracting_kernel, kernel, parallel_kernel
from vqnp.validation import Array

SHORT = 8  # dimensions of a point held in registers; fewer are filled up with zeros
CHUNK = 16  # tokens of whose scores the least is kept; a multiple of the four that are compared at a time
TOKENS_A_PRODUCT = 256  # tokens of one product
BLOCK = 256  # points screened together
SPAN = 4096  # tokens between two decisions: their least scores, (SPAN / CHUNK, BLOCK), stay in the second-level cache


def screened_search(points: Array, tokens: Array) -> tuple[Array, Array]:
    """Return what ``nearest`` returns; needs about two copies of the tokens, and a megabyte a thread."""
    if tokens.shape[1] <= SHORT:
        return _screened_search(points, tokens)
    with threads.limit():  # BLAS multiplies within the parallel blocks
        return _screened_search(points, tokens)


def _screened_search(points: Array, tokens: Array) -> tuple[Array, Array]:
    center = tokens.mean(axis=0, dtype=np.float64).astype(tokens.dtype)
    layout = lay_out(tokens, center)
    codes = np.zeros(len(points), np.int64)
    distances = np.full(len(points), np.inf, points.dtype)
    _screen_blocks(points, center, layout, rounding(tokens), codes, distances)
    return codes, distances


def rounding(tokens: Array) -> tuple[np.floating, np.floating]:
    """Return what the bound e of the error is made of: the factor of (‖x‖ + r)², and the term beside it."""
    info, terms = np.finfo(tokens.dtype), 2 * (tokens.shape[1] + 8)
    return terms * info.eps, terms * info.tiny


Layout = tuple[Array, Array, Array, Array]


def lay_out(tokens: Array, center: Array) -> Layout:
    """Return the tokens as the screen needs them, in whole chunks: the tokens that fill up the last are never nearest.

    For the scores: centered and negated ``(K, W)``, half their squares ``(K,)`` and each chunk's greatest norm ``(K / CHUNK,)``.
    For the definition: chunks of tokens on their side ``(K / CHUNK, D, CHUNK)``.
    """
    dims, dtype = tokens.shape[1], tokens.dtype
    chunks = -(-len(tokens) // (4 * CHUNK)) * 4
    negated = np.zeros((chunks * CHUNK, max(dims, SHORT)), dtype)
    halves = np.full(chunks * CHUNK, np.inf, dtype)
    reach = np.zeros(chunks // 4, dtype)
    exact = np.full((chunks, dims, CHUNK), np.inf, dtype)
    _lay_out_chunks(tokens, center, negated, halves, reach, exact)
    return negated, halves, reach, exact


@parallel_kernel
def _lay_out_chunks(
    tokens: Array, center: Array, negated: Array, halves: Array, reach: Array, exact: Array
) -> None:
    for group in prange(len(reach)):
        _lay_out_group(group, tokens, center, negated, halves, reach, exact)


@kernel
def _lay_out_group(
    group: int,
    tokens: Array,
    center: Array,
    negated: Array,
    halves: Array,
    reach: Array,
    exact: Array,
) -> None:
    for k in range(group * 4 * CHUNK, min((group + 1) * 4 * CHUNK, len(tokens))):
        square = tokens[k, 0] * 0
        for d in range(tokens.shape[1]):
            exact[k // CHUNK, d, k % CHUNK] = tokens[k, d]
            difference = center[d] - tokens[k, d]
            negated[k, d] = difference
            square += difference * difference
        halves[k] = square / 2
        reach[group] = max(reach[group], np.sqrt(square))


@parallel_kernel
def _screen_blocks(
    points: Array,
    center: Array,
    layout: Layout,
    error: tuple[float, float],
    codes: Array,
    distances: Array,
) -> None:
    for b in prange((len(points) + BLOCK - 1) // BLOCK):
        _screen_block(b * BLOCK, points, center, layout, error, codes, distances)


@kernel
def _screen_block(
    start: int,
    points: Array,
    center: Array,
    layout: Layout,
    error: tuple[float, float],
    codes: Array,
    distances: Array,
) -> None:
    negated, halves, reach, exact = layout
    rows = min(BLOCK, len(points) - start)
    block, norms = _centered(points, start, rows, center, negated.shape[1])
    least = np.empty((min(SPAN, len(negated)) // CHUNK, BLOCK), points.dtype)
    ceiling = np.full(BLOCK, np.inf, points.dtype)
    candidates = np.empty(BLOCK, np.int64)
    for first in range(0, len(negated), SPAN):
        stop = min(first + SPAN, len(negated))
        if len(block) == SHORT:
            short_scores(block, negated, halves, first, stop, least)
        else:
            long_scores(block, negated, halves, first, stop, least)
        for row in range(0, (stop - first) // CHUNK, 4):
            _bound(row, reach[(first // CHUNK + row) // 4], norms, error, least, ceiling)
        for row in range(0, (stop - first) // CHUNK, 4):
            count = _candidates(row, least, ceiling, rows, candidates)
            if count > 0:
                _search(
                    first // CHUNK,
                    row,
                    candidates[:count],
                    start,
                    least,
                    ceiling,
                    points,
                    exact,
                    codes,
                    distances,
                )


@kernel
def _centered(
    points: Array, start: int, rows: int, center: Array, width: int
) -> tuple[Array, Array]:
    """Return a block of points on its side, ``(W, BLOCK)``, as seen from ``center``, and their norms ``(BLOCK,)``."""
    strips = np.zeros((1, width, BLOCK), points.dtype)
    turn(points, start, rows, strips)
    block, norms = strips[0], np.zeros(BLOCK, points.dtype)
    for d in range(len(center)):
        for i in range(BLOCK):
            block[d, i] -= center[d]
            norms[i] += block[d, i] * block[d, i]
    for i in range(BLOCK):
        norms[i] = np.sqrt(norms[i])
    return block, norms


@kernel
def _bound(
    row: int, reach: float, norms: Array, error: tuple[float, float], least: Array, ceiling: Array
) -> None:
    """Lower four chunks' ``least`` to what they may hold at best, and ``ceiling`` to what one of them holds at worst."""
    factor, term = error
    for i in range(BLOCK):
        reached = norms[i] + reach
        e = factor * (reached * reached) + term
        one, two, three, four = (
            least[row, i],
            least[row + 1, i],
            least[row + 2, i],
            least[row + 3, i],
        )
        ceiling[i] = least_of(ceiling[i], one + e, two + e, three + e, four + e)
        least[row, i], least[row + 1, i], least[row + 2, i], least[row + 3, i] = (
            one - e,
            two - e,
            three - e,
            four - e,
        )


@kernel
def _candidates(row: int, least: Array, ceiling: Array, rows: int, candidates: Array) -> int:
    """Count and list the points whose nearest token one of four chunks may hold."""
    possible = np.empty(BLOCK, np.bool_)
    for i in range(BLOCK):
        one, two = not least[row, i] > ceiling[i], not least[row + 1, i] > ceiling[i]
        three, four = not least[row + 2, i] > ceiling[i], not least[row + 3, i] > ceiling[i]
        possible[i] = one | two | three | four
    count = 0
    for i in range(rows):
        candidates[count] = (
            i  # overwritten by the next if it is none: faster than a branch nobody can predict
        )
        count += possible[i]
    return count


@kernel
def _search(
    chunk: int,
    row: int,
    candidates: Array,
    start: int,
    least: Array,
    ceiling: Array,
    points: Array,
    exact: Array,
    codes: Array,
    distances: Array,
) -> None:
    """Search, by the definition, for each candidate those of four chunks that may hold its nearest token."""
    squared = np.empty(CHUNK, points.dtype)
    for i in candidates:
        for r in range(row, row + 4):
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
    """Write the least score of each chunk of the tokens ``first`` to ``stop`` for each of the ``points`` ``(SHORT, B)``."""
    for row in range((stop - first) // CHUNK):
        least[row] = np.inf
        for k in range(first + row * CHUNK, first + (row + 1) * CHUNK, 4):
            a, b = _token(tokens, halves, k), _token(tokens, halves, k + 1)
            c, d = _token(tokens, halves, k + 2), _token(tokens, halves, k + 3)
            for i in range(points.shape[1]):
                one, two = _score(points, i, a), _score(points, i, b)
                three, four = _score(points, i, c), _score(points, i, d)
                least[row, i] = least_of(least[row, i], one, two, three, four)


@contracting_kernel
def _token(tokens: Array, halves: Array, k: int) -> tuple[float, ...]:
    """Return a token's coordinates and half its square as a tuple: numbers that the compiler knows not to change in the loop."""
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
    """The same for ``points`` ``(D, B)`` of any number of dimensions, by matrix products."""
    products = np.empty((min(TOKENS_A_PRODUCT, stop - first), points.shape[1]), points.dtype)
    for start in range(first, stop, TOKENS_A_PRODUCT):
        rows = min(TOKENS_A_PRODUCT, stop - start)
        np.dot(tokens[start : start + rows], points, products[:rows])
        for p in range(0, rows, 4):
            row, k = (start - first + p) // CHUNK, start + p
            if p % CHUNK == 0:
                least[row] = np.inf
            for i in range(points.shape[1]):
                one, two = products[p, i] + halves[k], products[p + 1, i] + halves[k + 1]
                three, four = products[p + 2, i] + halves[k + 2], products[p + 3, i] + halves[k + 3]
                least[row, i] = least_of(least[row, i], one, two, three, four)


@kernel
def least_of(low: float, one: float, two: float, three: float, four: float) -> float:
    """Return the least. ``low`` comes first: were it chosen last, the compiler would store under a condition, which is slow."""
    low = low if low < one else one
    low = low if low < two else two
    low = low if low < three else three
    return low if low < four else four
