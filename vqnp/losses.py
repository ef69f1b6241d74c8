"""Losses: value and gradient side by side, so that the factor in one is seen in the other.

Both are means over all N·D elements: value = Σ(a − b)² / (N·D), gradient = 2 (a − b) / (N·D).
"""

import numpy as np

from vqnp.jit import kernel
from vqnp.validation import Array


def mse(prediction: Array, target: Array) -> tuple[float, Array]:
    """Return the mean squared error and its gradient with respect to ``prediction``; both arrays have one shape.

    Raises ``ValueError`` when the shapes differ or the arrays are empty.
    """
    if prediction.shape != target.shape or prediction.size == 0:
        raise ValueError(
            f"prediction and target must have one shape and not be empty, got {prediction.shape} and {target.shape}"
        )
    gradient = np.empty_like(prediction, order="C")
    scale = gradient.dtype.type(2 / gradient.size)
    total = _squared_error(prediction.ravel(), target.ravel(), gradient.reshape(-1), scale)
    return total / gradient.size, gradient


@kernel
def _squared_error(prediction: Array, target: Array, gradient: Array, scale: float) -> float:
    """Return Σ(a − b)², summed in float64, and write ``scale · (a − b)`` into ``gradient``."""
    total = np.float64(0)  # interpreted, 0.0 would become float32 at the first addition
    for i in range(prediction.size):
        difference = prediction[i] - target[i]
        total += difference * difference
        gradient[i] = scale * difference
    return total


def commitment(embeddings: Array, quantized: Array) -> tuple[float, Array]:
    """Return the commitment loss ‖z − sg(token)‖² / (N·D) and its gradient with respect to the embeddings z.

    The stop-gradient sg keeps it from the tokens: it pulls each embedding to its token and never the other way.
    """
    return mse(embeddings, quantized)
