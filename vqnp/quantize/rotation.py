"""The rotation trick (Fifty et al., 2024): the gradient turns with the embedding.

Straight-through copies the gradient g of a token to its embedding, wherever in the cell that lies.
The rotation trick regards the token q as the embedding z turned and stretched, q = λ R z, and
holds λ and R constant. With the directions û = z / ‖z‖ and v̂ = q / ‖q‖,

    λ = ‖q‖ / ‖z‖,    r = (û + v̂) / ‖û + v̂‖,    R = I − 2 r rᵀ + 2 v̂ ûᵀ    (sect. 4)

R rotates û to v̂ in the plane of the two. The chain rule then gives

    dz = λ Rᵀ g = λ (g − 2 r (r·g) + 2 û (v̂·g))

so that g keeps its angle: it stands to q as dz stands to z. Forward nothing changes: the vector is
the token itself, to the bit.

Directions are seen from the origin, so the trick is not the same for shifted data. λ has no bound
near z = 0, and the rotation is large where z and q point apart.

Shapes: embeddings, vectors and their gradients ``(N, D)``.
"""

from typing import Literal

import numpy as np
from numba import prange

from vqnp.jit import both
from vqnp.quantize.straight_through import straight_through_backward
from vqnp.validation import Array, Points

Estimator = Literal["straight-through", "rotation", "rotation-unscaled"]
PARALLEL_NUMBERS = 1 << 14  # of an array; fewer are turned before a second thread wakes
OPPOSITE = 1e-12  # ‖û + v̂‖² below which it is all rounding


def rotation_backward_loop(
    dvectors: Array, embeddings: Array, vectors: Array, keep_scale: bool
) -> Array:
    """Define :func:`rotation_backward`, row by row, in float64.

    Parameters and Returns are those of :func:`rotation_backward`.
    """
    dz = np.empty_like(dvectors)
    dims = dvectors.shape[1]
    for n in prange(len(dvectors)):
        z_squared = q_squared = 0.0
        equal = True
        for d in range(dims):
            z, q = np.float64(embeddings[n, d]), np.float64(vectors[n, d])
            z_squared += z * z
            q_squared += q * q
            equal = equal and z == q
        # There is nothing to turn, or nothing that says where to.
        if equal or z_squared == 0 or (q_squared == 0 and not keep_scale):
            dz[n] = dvectors[n]
            continue
        if q_squared == 0:  # λ = 0
            dz[n] = 0
            continue
        z_norm, q_norm = np.sqrt(z_squared), np.sqrt(q_squared)
        squared = along_sum = along_q = 0.0  # ‖û + v̂‖², (û + v̂)·g and v̂·g
        for d in range(dims):
            u, v = embeddings[n, d] / z_norm, vectors[n, d] / q_norm
            g = np.float64(dvectors[n, d])
            squared += (u + v) * (u + v)
            along_sum += (u + v) * g
            along_q += v * g
        # Opposite directions have no middle r. R = I − 2 û ûᵀ, a reflection, still sends û to v̂.
        weight = 2 * along_sum / squared if squared > OPPOSITE else 0.0
        scale = q_norm / z_norm if keep_scale else 1.0  # λ
        for d in range(dims):
            u, v = embeddings[n, d] / z_norm, vectors[n, d] / q_norm
            dz[n, d] = scale * (dvectors[n, d] - weight * (u + v) + 2 * along_q * u)
    return dz


_rotation_backward = both(rotation_backward_loop)


def rotation_backward(
    dvectors: Points, embeddings: Points, vectors: Points, *, keep_scale: bool = True
) -> Points:
    """Return the gradient of the embeddings ``(N, D)`` from that of their vectors.

    With ``keep_scale=False`` it is turned and not stretched: λ = 1. An embedding at its vector, or
    at the origin, is given g itself. A vector at the origin gives 0, because λ is 0 there.

    Example
    -------
    A quarter turn, and a token twice as far from the origin:

    >>> import numpy as np
    >>> z, token, g = np.array([[1.0, 0.0]]), np.array([[0.0, 2.0]]), np.array([[0.0, 3.0]])
    >>> rotation_backward(g, z, token).round(12)
    array([[6., 0.]])
    """
    rotate = _rotation_backward.sized(dvectors.size, PARALLEL_NUMBERS)
    return rotate(np.ascontiguousarray(dvectors), embeddings, vectors, keep_scale)


def estimate(estimator: Estimator, dvectors: Array, embeddings: Array, vectors: Array) -> Array:
    """Return the gradient ``(N, D)`` that reaches the embeddings by the estimator of that name."""
    if estimator == "straight-through":
        return straight_through_backward(dvectors)
    return rotation_backward(dvectors, embeddings, vectors, keep_scale=estimator == "rotation")
