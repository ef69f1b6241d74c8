"""The linear layer: y = x W + b, for a batch of rows.

With dL/dy known for every output, the chain rule gives::

    dL/dx = dL/dy Wᵀ        dL/dW = xᵀ dL/dy        dL/db = the sum of dL/dy over the batch

Shapes: x ``(N, I)``, W ``(I, O)``, b ``(O,)``, y ``(N, O)``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from vqnp.layers.layer import (
    Array,
    Cache,
    Gradients,
    Layer,
    add_bias,
    by_name,
    sum_rows,
    uniform_start,
)
from vqnp.validation import require_integer, require_plain

__all__ = ["Linear", "linear_backward", "linear_forward"]

Rows = Float[np.ndarray, "N I"]
Weight = Float[np.ndarray, "I O"]
Bias = Float[np.ndarray, "O"]
Outputs = Float[np.ndarray, "N O"]


def linear_forward(x: Rows, weight: Weight, bias: Bias) -> tuple[Outputs, Cache]:
    """Return ``x @ weight + bias`` and the cache.

    Parameters
    ----------
    x : float array (N, I)
        The batch, a row each.
    weight : array (I, O), dtype of ``x``
        Column o holds the weights of output o.
    bias : array (O,), dtype of ``x``
        One number an output.

    Returns
    -------
    out : array (N, O)
        The outputs.
    cache
        The input, for the weight's gradient, and the weight, for the input's.

    Example
    -------
    >>> x, weight, bias = np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([5.0])
    >>> linear_forward(x, weight, bias)[0]
    array([[16.]])
    """
    out = np.dot(x, weight)  # (N, O); for narrow matrices several times as fast as @
    add_bias(out, bias)
    return out, (x, weight)


def linear_backward(dout: Outputs, cache: Cache) -> tuple[Rows, Weight, Bias]:
    """Return the gradients of the input, the weight and the bias.

    Parameters
    ----------
    dout : float array (N, O)
        The gradient of the output.
    cache
        As ``linear_forward`` returned it.

    Returns
    -------
    dx, dweight, dbias : arrays (N, I), (I, O), (O,)
        The bias's sum over the batch is accumulated in float64.

    Example
    -------
    >>> _, cache = linear_forward(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.zeros(1))
    >>> [gradient.tolist() for gradient in linear_backward(np.array([[10.0]]), cache)]
    [[[30.0, 40.0]], [[10.0], [20.0]], [10.0]]
    """
    x, weight = cache
    return np.dot(dout, weight.T), np.dot(x.T, dout), sum_rows(dout)


@dataclass(eq=False, repr=False)
class Linear(Layer):
    """A linear layer that owns its weight ``(I, O)`` and bias ``(O,)``.

    Parameters
    ----------
    in_features, out_features : int
        I and O.
    rng : int or numpy.random.Generator
        Weight and bias are drawn from it, uniform in ±1/sqrt(I).
    dtype : dtype
        float32, or float64 to check gradients.

    Example
    -------
    >>> layer = Linear(2, 32, rng=0)
    >>> layer, layer.forward(np.ones((5, 2), np.float32))[0].shape
    (Linear(2, 32), (5, 32))
    """

    in_features: int
    out_features: int

    def _start(self, rng: np.random.Generator, dtype: Any) -> dict[str, Array]:
        for name in ("in_features", "out_features"):
            require_integer(getattr(self, name), name, least=1)
        inputs, outputs = self.in_features, self.out_features
        return uniform_start((inputs, outputs), outputs, inputs, rng, dtype)

    def forward(self, x: Array) -> tuple[Array, Cache]:
        """Map ``(N, I)`` to ``(N, O)``.

        Raises ``ValueError`` for another shape and ``TypeError`` for another dtype.
        """
        require_plain(x, "x")
        inputs, weight = self.in_features, self.params["weight"]
        if x.ndim != 2 or x.shape[1] != inputs:
            raise ValueError(
                f"a linear layer of {inputs} inputs takes x of shape (N, {inputs}), got {x.shape}"
            )
        if x.dtype != weight.dtype:
            raise TypeError(
                f"a linear layer of {weight.dtype} parameters takes x of that dtype, got {x.dtype}"
            )
        return linear_forward(x, weight, self.params["bias"])

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of the input and, by parameter name, of the weight and the bias."""
        return by_name(*linear_backward(dout, cache))
