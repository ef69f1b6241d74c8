"""Projection to the unit sphere, ẑ = z / ‖z‖, and its backward pass.

The length of z does not reach ẑ. So the gradient of z is at right angles to z, and the longer z,
the smaller:

    dz = (dẑ − ẑ (ẑ · dẑ)) / ‖z‖

A step along it can only lengthen z, by Pythagoras. Zero has no direction: ẑ = 0 and dz = 0.

The loops are the definition. They add up in float64, one row at a time, so that their bits do not
depend on the number of threads.

Shapes: z and ẑ ``(N, D)``, lengths ``(N,)``.
"""

import numpy as np
from numba import prange

from vqnp.jit import both
from vqnp.quantize.quantizer import Cache
from vqnp.validation import Array, Points

PARALLEL_NUMBERS = 1 << 14  # of an array; fewer are done before a second thread wakes


def normalize_forward_loop(z: Array) -> tuple[Array, Array]:
    """Define :func:`normalize_forward`: return ẑ and the lengths."""
    units, lengths = np.empty_like(z), np.empty(len(z))
    for n in prange(len(z)):
        squared = 0.0
        for d in range(z.shape[1]):
            squared += np.float64(z[n, d]) * np.float64(z[n, d])
        lengths[n] = np.sqrt(squared)
        for d in range(z.shape[1]):
            units[n, d] = z[n, d] / lengths[n] if squared > 0 else 0.0
    return units, lengths


def normalize_backward_loop(dunits: Array, units: Array, lengths: Array) -> Array:
    """Define :func:`normalize_backward`."""
    dz = np.empty_like(dunits)
    for n in prange(len(dunits)):
        along = 0.0  # ẑ · dẑ
        for d in range(dunits.shape[1]):
            along += np.float64(units[n, d]) * np.float64(dunits[n, d])
        for d in range(dunits.shape[1]):
            across = dunits[n, d] - units[n, d] * along
            dz[n, d] = across / lengths[n] if lengths[n] > 0 else 0.0
    return dz


_forward, _backward = both(normalize_forward_loop), both(normalize_backward_loop)


def normalize_forward(z: Points) -> tuple[Points, Cache]:
    """Return z / ‖z‖ ``(N, D)``, and zero for zero.

    Example
    -------
    >>> normalize_forward(np.array([[3.0, 4.0], [0.0, 0.0]]))[0].tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    units, lengths = _forward.sized(z.size, PARALLEL_NUMBERS)(z)
    return units, (units, lengths)


def normalize_backward(dunits: Points, cache: Cache) -> Points:
    """Return the gradient of z ``(N, D)``, at right angles to z; zero at zero.

    Example
    -------
    >>> _, cache = normalize_forward(np.array([[0.0, 2.0]]))
    >>> normalize_backward(np.array([[1.0, 1.0]]), cache).tolist()
    [[0.5, 0.0]]
    """
    return _backward.sized(dunits.size, PARALLEL_NUMBERS)(dunits, *cache)
