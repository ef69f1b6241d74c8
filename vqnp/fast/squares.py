"""Squared distances, many at a time: Σ_d (s_d − v_d)², the dimensions added in order.

``squared_distances`` equals the inner loop of :func:`vqnp.quantize.search.nearest_loop`, bit by
bit. A strip is a group of vectors transposed, ``(D, W)``. So the inner loop runs along contiguous
numbers, and the compiler vectorizes it. It takes GROUP dimensions at a time, because a sum is
then loaded and stored once for twelve operations. A strip of points against one token and a strip
of tokens against one point give the same bits, because (z − t)² = (t − z)² in any rounding.
"""

from vqnp.jit import kernel
from vqnp.validation import Array

GROUP = 4  # dimensions, or tokens, that one pass of a loop takes; the loops are unrolled by hand


@kernel
def turn(vectors: Array, first: int, count: int, strips: Array) -> None:
    """Transpose a block: ``strips[0, d, i] = vectors[first + i, d]`` for ``i < count``."""
    dims = vectors.shape[1]
    whole = dims // GROUP * GROUP
    for d in range(0, whole, GROUP):  # one fetch from memory serves four dimensions
        for i in range(count):
            v = first + i
            one, two = vectors[v, d], vectors[v, d + 1]
            three, four = vectors[v, d + 2], vectors[v, d + 3]
            strips[0, d, i], strips[0, d + 1, i] = one, two
            strips[0, d + 2, i], strips[0, d + 3, i] = three, four
    for d in range(whole, dims):
        for i in range(count):
            strips[0, d, i] = vectors[first + i, d]


@kernel
def squared_distances(
    strips: Array, s: int, vectors: Array, v: int, width: int, squared: Array
) -> None:
    """Write the squared distances of ``strips[s]`` ``(D, W)`` from ``vectors[v]`` into ``squared``.

    ``width`` is W. Strip and vector are given by number, because views would cost more than a short
    strip takes.
    """
    dims = vectors.shape[1]
    whole = dims // GROUP * GROUP
    for i in range(width):
        squared[i] = 0
    for d in range(0, whole, GROUP):
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
