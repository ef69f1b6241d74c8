"""Squared distances as the definition rounds them, many at a time: Σ_d (s_d − v_d)², the dimensions added one by one, in order.

A strip is a group of vectors on its side, ``(D, W)``, so that the inner loop runs along them, contiguous, and the compiler
vectorises it. Four dimensions at a time: a sum is then loaded and stored once for twelve operations. A strip of points against
one token and a strip of tokens against one point give the same bits, for (z − t)² = (t − z)² in any rounding.
"""

from vqnp.jit import kernel
from vqnp.validation import Array


@kernel
def turn(vectors: Array, first: int, count: int, strips: Array) -> None:
    """Lay ``count`` of the ``vectors`` ``(N, D)``, from ``first`` on, on their side into the one strip ``(1, D, W)`` of ``strips``."""
    dims = vectors.shape[1]
    whole = dims // 4 * 4
    for d in range(0, whole, 4):  # a vector's line of memory is fetched once for four dimensions
        for i in range(count):
            v = first + i
            one, two, three, four = (
                vectors[v, d],
                vectors[v, d + 1],
                vectors[v, d + 2],
                vectors[v, d + 3],
            )
            strips[0, d, i], strips[0, d + 1, i], strips[0, d + 2, i], strips[0, d + 3, i] = (
                one,
                two,
                three,
                four,
            )
    for d in range(whole, dims):
        for i in range(count):
            strips[0, d, i] = vectors[first + i, d]


@kernel
def squared_distances(
    strips: Array, s: int, vectors: Array, v: int, width: int, squared: Array
) -> None:
    """Write the squared distances of all in ``strips[s]`` ``(D, W)`` from ``vectors[v]`` ``(D,)`` into ``squared`` ``(W,)``.

    Strip and vector are named by their number: a view of each would cost more than a short strip takes. ``width`` is W.
    """
    dims = vectors.shape[1]
    whole = dims // 4 * 4
    for i in range(width):
        squared[i] = 0
    for d in range(0, whole, 4):
        a, b, c, e = vectors[v, d], vectors[v, d + 1], vectors[v, d + 2], vectors[v, d + 3]
        for i in range(width):
            one, two = strips[s, d, i] - a, strips[s, d + 1, i] - b
            three, four = strips[s, d + 2, i] - c, strips[s, d + 3, i] - e
            squared[i] = squared[i] + one * one + two * two + three * three + four * four
    for d in range(whole, dims):
        a = vectors[v, d]
        for i in range(width):
            one = strips[s, d, i] - a
            squared[i] += one * one
