"""The rectifier: y = max(x, 0), element by element, for an array of any shape.

Its derivative is 1 where x > 0 and 0 elsewhere; at x = 0, where there is none, the field takes 0. Both passes return new
arrays: a rectifier that works in place also changes the skip path of a residual block around it.
"""

import numpy as np
from numba import prange

from vqnp.jit import both
from vqnp.layers.layer import Array, Cache, Gradients
from vqnp.layers.linear import PARALLEL_FROM


def relu_forward(x: Array) -> tuple[Array, Cache]:
    """Return ``max(x, 0)`` and the cache: the output, whose positive entries are those the gradient passes through."""
    out = np.empty_like(x, order="C")
    _rectify[x.size >= PARALLEL_FROM](x.ravel(), out.reshape(-1))
    return out, out


def relu_backward(dout: Array, cache: Cache) -> Array:
    """Return the gradient of the input: ``dout`` where the output was positive, else 0."""
    dx = np.empty_like(dout, order="C")
    _pass_where_positive[dout.size >= PARALLEL_FROM](
        dout.ravel(), cache.reshape(-1), dx.reshape(-1)
    )
    return dx


@both
def _rectify(x: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = 0 if x[i] <= 0 else x[i]  # in this order NaN passes through and stays visible


@both
def _pass_where_positive(dout: Array, out: Array, dx: Array) -> None:
    for i in prange(dout.size):
        dx[i] = dout[i] if out[i] > 0 else 0


class ReLU:
    """The rectifier as a layer; it owns no parameters."""

    def __init__(self) -> None:
        self.params: dict[str, Array] = {}

    def forward(self, x: Array) -> tuple[Array, Cache]:
        """Map an array of any shape to ``max(x, 0)``."""
        return relu_forward(x)

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of the input; there are no parameters."""
        return relu_backward(dout, cache), {}
