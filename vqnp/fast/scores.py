"""The scores of many tokens at once, for the screen: rough, fast, and reduced to the least of every chunk as they arise.

The score of token t for point x is s = ‖t‖²/2 − x·t, which orders the tokens as the distance does. A block of points lies on its
side, dimension by dimension, so that the innermost loops run along the points, and only the least score of each chunk of tokens
is kept: K / CHUNK numbers a point, not K. Two ways to get there:

- up to SHORT dimensions a point's coordinates and the scores of four tokens fit the registers: multiplied, added and compared
  there, they never reach memory. Multiply and add may contract to one instruction, which rounds once and not twice: the one
  place of the package where the compiler may round otherwise than the source says, since the screen allows for rounding;
- beyond, BLAS multiplies a block of tokens with the block of points, and the scores stay in the second-level cache.

Shapes: turned points ``(D, B)``, negated tokens ``(K, D)``, their halved squares ``(K,)``, least scores ``(K / CHUNK, B)``.
"""

import numpy as np

from vqnp.jit import contracting_kernel, kernel
from vqnp.validation import Array

SHORT = 8  # dimensions of a point held in registers; fewer are filled up with zeros
CHUNK = 16  # tokens of whose scores the least is kept; a multiple of the four that are compared at a time
BLOCK = 256  # tokens of one product


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
    products = np.empty((min(BLOCK, stop - first), points.shape[1]), points.dtype)
    for start in range(first, stop, BLOCK):
        rows = min(BLOCK, stop - start)
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
