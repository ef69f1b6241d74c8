"""The nearest point of the simplex, and how a gradient passes through it.

The simplex holds all weights p ≥ 0 that sum to 1. The point of it nearest to a row v subtracts one
threshold from all entries, and cuts off what falls below zero:

    p_k = max(v_k - θ, 0),   with the θ for which Σ_k p_k = 1

In descending order u, the entries above zero are the first ρ, with ρ the greatest k for which
u_k > (u_1 + ... + u_k - 1) / k. Then θ = (u_1 + ... + u_ρ - 1) / ρ. Unlike a softmax, this gives
exact zeros. On the support, where p > 0, a change of v changes p minus its mean; off it, nothing:

    dL/dv_k = [p_k > 0] (dL/dp_k - mean of dL/dp over the support)

Shapes: v and p ``(N, K)``, a point a row.
"""

import numpy as np
from jaxtyping import Float

from vqnp.validation import Array

Rows = Float[np.ndarray, "N K"]


def simplex_loop(v: Array) -> Array:
    """Define :func:`simplex_forward`: row by row, add up the greatest entries while they count."""
    p = np.empty_like(v)
    for i, row in enumerate(v):
        total, threshold = 0.0, 0.0
        for k, entry in enumerate(np.sort(row)[::-1], start=1):
            total += entry
            if entry > (total - 1) / k:
                threshold = (total - 1) / k
        p[i] = np.maximum(row - threshold, 0)
    return p


def simplex_forward(v: Rows) -> Rows:
    """Return the point of the simplex nearest to each row of ``v`` ``(N, K)``.

    Example
    -------
    >>> simplex_forward(np.array([[0.5, 1.0, -1.0], [2.0, 0.5, 0.0]])).tolist()
    [[0.25, 0.75, 0.0], [1.0, 0.0, 0.0]]
    """
    descending = -np.sort(-v, axis=1)
    thresholds = (descending.cumsum(axis=1) - 1) / np.arange(1, v.shape[1] + 1, dtype=v.dtype)
    rho = (descending > thresholds).sum(axis=1, keepdims=True)  # the condition holds up to ρ only
    return np.maximum(v - np.take_along_axis(thresholds, rho - 1, axis=1), 0)


def simplex_backward(dp: Rows, p: Rows) -> Rows:
    """Return the gradient of v ``(N, K)``.

    Example
    -------
    >>> simplex_backward(np.array([[3.0, 1.0, 5.0]]), np.array([[0.25, 0.75, 0.0]])).tolist()
    [[1.0, -1.0, 0.0]]
    """
    support = p > 0
    counts = support.sum(axis=1, keepdims=True, dtype=p.dtype)
    mean = (dp * support).sum(axis=1, keepdims=True) / counts
    return (dp - mean) * support
