"""Projection to the unit sphere, ẑ = z / ‖z‖, and its backward pass.

The length of z does not reach ẑ. So the gradient of z is at right angles to z, and the longer z,
the smaller:

    dz = (dẑ − ẑ (ẑ · dẑ)) / ‖z‖

A step along it can only lengthen z, by Pythagoras. Zero has no direction: ẑ = 0 and dz = 0.

Shapes: z and ẑ ``(N, D)``.
"""

import numpy as np

from vqnp.quantize.quantizer import Cache
from vqnp.validation import Points


def normalize_forward(z: Points) -> tuple[Points, Cache]:
    """Return z / ‖z‖ ``(N, D)``, and zero for zero.

    Example
    -------
    >>> normalize_forward(np.array([[3.0, 4.0], [0.0, 0.0]]))[0].tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    norms = np.sqrt((z * z).sum(axis=1, keepdims=True))
    units = z / np.where(norms > 0, norms, 1)
    return units, (units, norms)


def normalize_backward(dunits: Points, cache: Cache) -> Points:
    """Return the gradient of z ``(N, D)``, at right angles to z; zero at zero.

    Example
    -------
    >>> _, cache = normalize_forward(np.array([[0.0, 2.0]]))
    >>> normalize_backward(np.array([[1.0, 1.0]]), cache).tolist()
    [[0.5, 0.0]]
    """
    units, norms = cache
    across = dunits - units * (units * dunits).sum(axis=1, keepdims=True)
    return np.divide(across, norms, out=np.zeros_like(across), where=norms > 0)
