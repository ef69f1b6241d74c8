"""The rectifier: y = max(x, 0), element by element, for an array of any shape.

Its derivative is 1 where x > 0 and 0 elsewhere. At x = 0 it has none, and we use 0. Both passes
return new arrays, because a rectifier that worked in place would change the skip path of a residual
block around it.
"""

from dataclasses import dataclass

import numpy as np
from numba import prange

from vqnp.jit import both
from vqnp.layers.layer import PARALLEL_NUMBERS, Array, Cache, Gradients, Layer
from vqnp.validation import Floats, FloatsLike, as_floats, require_float, require_like


def relu_forward(x: FloatsLike) -> tuple[Floats, Cache]:
    """Return ``max(x, 0)`` and the cache.

    Parameters
    ----------
    x : float array-like, any shape
        The input.

    Returns
    -------
    out : array, shape and dtype of ``x``
        A new array; NaN stays NaN.
    cache
        The output, whose positive entries let the gradient pass.

    Raises
    ------
    TypeError, ValueError
        For anything but an array of floating-point numbers without a mask.

    Example
    -------
    >>> relu_forward(np.array([-1.0, 2.0]))[0]
    array([0., 2.])
    """
    x = as_floats(x, "x")
    if x.ndim == 0:
        raise ValueError("x must be an array, got a single number")
    out = np.empty_like(x, order="C")
    _rectify.sized(x.size, PARALLEL_NUMBERS)(x.ravel(), out.reshape(-1))
    return out, out


def relu_backward(dout: FloatsLike, cache: Cache) -> Floats:
    """Return the gradient of the input: ``dout`` where the output was positive, else 0.

    Parameters
    ----------
    dout : float array-like, shape of the output
        The gradient of the output.
    cache
        As ``relu_forward`` returned it.

    Returns
    -------
    array, shape of ``dout``
        The gradient of the input, a new array.

    Raises
    ------
    TypeError, ValueError
        For no float array, or one of another shape than the output.

    Example
    -------
    >>> _, cache = relu_forward(np.array([-1.0, 2.0]))
    >>> relu_backward(np.array([5.0, 7.0]), cache)
    array([0., 7.])
    """
    require_float(cache, "cache")
    dout = as_floats(dout, "dout")
    require_like(dout, "dout", cache.shape, cache.dtype)  # kernels would read beyond the smaller
    dx = np.empty_like(dout, order="C")
    gate = _pass_where_positive.sized(dout.size, PARALLEL_NUMBERS)
    gate(dout.ravel(), cache.reshape(-1), dx.reshape(-1))
    return dx


@both
def _rectify(x: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = 0 if x[i] <= 0 else x[i]  # in this order NaN passes through and stays visible


@both
def _pass_where_positive(dout: Array, out: Array, dx: Array) -> None:
    for i in prange(dout.size):
        dx[i] = dout[i] if out[i] > 0 else 0


@dataclass(eq=False, repr=False)
class ReLU(Layer):
    """The rectifier as a layer; it owns no parameters.

    Example
    -------
    >>> ReLU().forward(np.array([-1.0, 2.0]))[0]
    array([0., 2.])
    """

    def forward(self, x: Array) -> tuple[Array, Cache]:
        """Map an array of any shape to ``max(x, 0)``."""
        return relu_forward(x)

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of the input; there are no parameters."""
        return relu_backward(dout, cache), {}
