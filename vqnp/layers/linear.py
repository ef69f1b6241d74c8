"""The linear layer: y = x W + b, for a batch of rows.

With dL/dy known for every output, the chain rule gives::

    dL/dx = dL/dy Wᵀ        dL/dW = xᵀ dL/dy        dL/db = the sum of dL/dy over the batch

The order of every sum is fixed, so that a training gives the same bits on every processor. The
loops are the definition; the NumPy forms and the fast ones equal them to the last bit. A weight of
more than ``BLAS_FROM_WEIGHTS`` numbers goes to BLAS, whose order depends on the processor.

Shapes: x ``(N, I)``, W ``(I, O)``, b ``(O,)``, y ``(N, O)``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from vqnp import threads
from vqnp.fast.products import ROWS_A_SUM, affine, gradients
from vqnp.layers.layer import (
    Array,
    Cache,
    Gradients,
    Layer,
    add_bias,
    as_input,
    by_name,
    sum_rows,
    uniform_start,
)
from vqnp.validation import as_floats, require_instance, require_integers

BLAS_FROM_WEIGHTS = 1 << 14  # numbers in a weight; from there BLAS is several times as fast

Rows = Float[np.ndarray, "N I"]
Weight = Float[np.ndarray, "I O"]
Bias = Float[np.ndarray, "O"]
Outputs = Float[np.ndarray, "N O"]
RowsLike = Float[Any, "N I"]
WeightLike = Float[Any, "I O"]
BiasLike = Float[Any, "O"]
OutputsLike = Float[Any, "N O"]


def linear_forward_loop(x: Rows, weight: Weight, bias: Bias) -> Outputs:
    """Return ``x @ weight + bias``: each sum begins with the bias and goes through the inputs.

    Example
    -------
    >>> linear_forward_loop(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([5.0]))
    array([[16.]])
    """
    out = np.empty((len(x), weight.shape[1]), x.dtype)
    for i in range(len(x)):
        for o in range(weight.shape[1]):
            total = bias[o]
            for k in range(len(weight)):
                total += x[i, k] * weight[k, o]
            out[i, o] = total
    return out


def linear_forward_numpy(x: Rows, weight: Weight, bias: Bias) -> Outputs:
    """Return the same in NumPy, an input at a time."""
    out = np.tile(bias, (len(x), 1))  # (N, O)
    for k in range(len(weight)):
        out += x[:, k, None] * weight[k]
    return out


def linear_forward(x: RowsLike, weight: WeightLike, bias: BiasLike) -> tuple[Outputs, Cache]:
    """Return ``x @ weight + bias`` and the cache.

    Parameters
    ----------
    x : float array-like (N, I)
        The batch, a row each.
    weight : array-like (I, O), dtype of ``x``
        Column o holds the weights of output o.
    bias : array-like (O,), dtype of ``x``
        One number an output.

    Returns
    -------
    out : array (N, O)
        The outputs.
    cache
        The input, for the weight's gradient, and the weight, for the input's.

    Raises
    ------
    ValueError, TypeError
        For shapes that do not fit, or dtypes that differ.

    Example
    -------
    >>> x, weight, bias = np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([5.0])
    >>> linear_forward(x, weight, bias)[0]
    array([[16.]])
    """
    x, weight, bias = as_floats(x, "x"), as_floats(weight, "weight"), as_floats(bias, "bias")
    require_product(x, weight, "x (N, I)", "weight (I, O)", x.shape[1:] == weight.shape[:1])
    require_product(bias, weight, "bias (O,)", "weight (I, O)", bias.shape == weight.shape[1:])
    if weight.size <= BLAS_FROM_WEIGHTS:
        return affine(x, weight, bias), (x, weight)
    with threads.limit():
        out = np.dot(x, weight)
    add_bias(out, bias)
    return out, (x, weight)


def linear_backward_loop(dout: Outputs, cache: Cache) -> tuple[Rows, Weight, Bias]:
    """Return what :func:`linear_backward` returns; the sum for the weight goes through the rows.

    A sum over more than ``ROWS_A_SUM`` rows is made of partial sums, because a long sum in float32
    loses digits. Threads share the partial sums.

    Example
    -------
    >>> cache = np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]])
    >>> [gradient.tolist() for gradient in linear_backward_loop(np.array([[10.0]]), cache)]
    [[[30.0, 40.0]], [[10.0], [20.0]], [10.0]]
    """
    x, weight = cache
    dx, dweight, dbias = np.zeros_like(x), np.zeros_like(weight), np.zeros(dout.shape[1])
    for start in range(0, len(x), ROWS_A_SUM):
        of_weight, of_bias = np.zeros_like(weight), np.zeros(len(dbias))
        for i in range(start, min(start + ROWS_A_SUM, len(x))):
            for o in range(dout.shape[1]):
                of_bias[o] += dout[i, o]
                for k in range(len(weight)):
                    dx[i, k] += dout[i, o] * weight[k, o]
                    of_weight[k, o] += x[i, k] * dout[i, o]
        dweight += of_weight
        dbias += of_bias
    return dx, dweight, dbias.astype(dout.dtype)


def linear_backward_numpy(dout: Outputs, cache: Cache) -> tuple[Rows, Weight, Bias]:
    """Return the same in NumPy, an output or a row at a time."""
    x, weight = cache
    dx, dweight, dbias = np.zeros_like(x), np.zeros_like(weight), np.zeros(dout.shape[1])
    for o in range(dout.shape[1]):
        dx += dout[:, o, None] * weight[:, o]
    for start in range(0, len(x), ROWS_A_SUM):
        rows = slice(start, start + ROWS_A_SUM)
        dweight += sum(np.outer(row, given) for row, given in zip(x[rows], dout[rows], strict=True))
        dbias += sum(dout[rows].astype(np.float64))  # NumPy's own sum has another order
    return dx, dweight, dbias.astype(dout.dtype)


def linear_backward(dout: OutputsLike, cache: Cache) -> tuple[Rows, Weight, Bias]:
    """Return the gradients of the input, the weight and the bias.

    Parameters
    ----------
    dout : float array-like (N, O)
        The gradient of the output.
    cache
        As ``linear_forward`` returned it.

    Returns
    -------
    dx, dweight, dbias : arrays (N, I), (I, O), (O,)
        The bias's sum over the batch is accumulated in float64.

    Raises
    ------
    ValueError, TypeError
        For a ``dout`` whose shape or dtype does not fit the cache.

    Example
    -------
    >>> _, cache = linear_forward(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.zeros(1))
    >>> [gradient.tolist() for gradient in linear_backward(np.array([[10.0]]), cache)]
    [[[30.0, 40.0]], [[10.0], [20.0]], [10.0]]
    """
    x, weight = require_instance(cache, tuple, "cache")
    dout = as_floats(dout, "dout")
    fits = dout.shape == (len(x), weight.shape[1])
    require_product(dout, weight, "dout (N, O)", "weight (I, O)", fits)
    if weight.size <= BLAS_FROM_WEIGHTS:
        return gradients(x, weight, dout)
    with threads.limit():
        return np.dot(dout, weight.T), np.dot(x.T, dout), sum_rows(dout)


def require_product(a: Array, b: Array, a_is: str, b_is: str, fits: bool) -> None:
    """Raise unless the shapes fit and the dtypes are one float dtype; kernels do not look."""
    if not fits:
        raise ValueError(f"{a_is} must fit {b_is}, got shapes {a.shape} and {b.shape}")
    if a.dtype != b.dtype or a.dtype.kind != "f":
        raise TypeError(f"{a_is} and {b_is} must have one float dtype, got {a.dtype} and {b.dtype}")


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
        require_integers(self, "in_features", "out_features", least=1)
        inputs, outputs = self.in_features, self.out_features
        return uniform_start((inputs, outputs), outputs, inputs, rng, dtype)

    def forward(self, x: Array) -> tuple[Array, Cache]:
        """Map ``(N, I)`` to ``(N, O)``.

        Raises ``ValueError`` for another shape and ``TypeError`` for another dtype.
        """
        x, inputs = as_input(x, self.params["weight"]), self.in_features
        if x.ndim != 2 or x.shape[1] != inputs:
            raise ValueError(
                f"a linear layer of {inputs} inputs takes x of shape (N, {inputs}), got {x.shape}"
            )
        return linear_forward(x, **self.params)

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of the input and, by parameter name, of the weight and the bias."""
        return by_name(*linear_backward(dout, cache))
