"""Losses: value and gradient side by side, so that the factor in one is seen in the other.

Both losses are means over all elements, of which there are n::

    value = Σ(a − b)² / n        gradient = 2 (a − b) / n
"""

import numpy as np

from vqnp.jit import kernel
from vqnp.validation import Array, Floats, require_float, require_like

__all__ = ["commitment", "mse"]


def mse(prediction: Floats, target: Floats) -> tuple[float, Floats]:
    """Return the mean squared error and its gradient.

    Parameters
    ----------
    prediction, target : float array, any shape
        Two arrays of one shape.

    Returns
    -------
    value : float
        Σ(a − b)² / n, summed in float64.
    gradient : array, shape and dtype of ``prediction``
        2 (a − b) / n, the derivative with respect to ``prediction``.

    Raises
    ------
    TypeError
        For integers, whose gradient would be rounded to 0, and all but float32 and float64 arrays.
    ValueError
        When the shapes differ or the arrays are empty.

    Example
    -------
    >>> value, gradient = mse(np.array([[1.0, 2.0]]), np.array([[1.0, 0.0]]))
    >>> value, gradient.tolist()
    (2.0, [[0.0, 2.0]])
    """
    require_float(prediction, "prediction")
    require_float(target, "target")
    if prediction.shape != target.shape or prediction.size == 0:
        raise ValueError(
            "prediction and target must have one shape and not be empty, "
            f"got {prediction.shape} and {target.shape}"
        )
    gradient = np.empty_like(prediction, order="C")
    scale = gradient.dtype.type(2 / gradient.size)
    total = _squared_error(prediction.ravel(), target.ravel(), gradient.reshape(-1), scale)
    return float(total / gradient.size), gradient


@kernel
def _squared_error(prediction: Array, target: Array, gradient: Array, scale: float) -> float:
    """Return Σ(a − b)², summed in float64, and write ``scale · (a − b)`` into ``gradient``."""
    total = np.float64(0)  # interpreted, 0.0 would become float32 at the first addition
    for i in range(prediction.size):
        difference = prediction[i] - target[i]
        total += difference * difference
        gradient[i] = scale * difference
    return total


def commitment(embeddings: Floats, quantized: Floats) -> tuple[float, Floats]:
    """Return the commitment loss ‖z − sg(token)‖² / n and its gradient.

    The stop-gradient sg shields the tokens: the loss pulls each embedding to its token, and leaves
    the token where it is.

    Parameters
    ----------
    embeddings, quantized : float array, any shape
        The embeddings z and the token of each.

    Returns
    -------
    value, gradient
        As of :func:`mse`, which also says what it refuses. The gradient is that of the embeddings.

    Example
    -------
    >>> value, gradient = commitment(np.array([[3.0]]), np.array([[1.0]]))
    >>> value, gradient.tolist()
    (4.0, [[4.0]])
    """
    require_float(embeddings, "embeddings")
    require_like(quantized, "quantized", embeddings.shape, embeddings.dtype)
    return mse(embeddings, quantized)
