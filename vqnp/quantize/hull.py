"""The nearest point of the convex hull of the tokens, exactly, and its gradient.

The program of soft convex quantization (Gautam et al., 2023):

    min_p ½ ‖z - q‖²,   q = Σ_k p_k t_k,   p ≥ 0,   Σ_k p_k = 1

Wolfe's algorithm (1976) solves it in finitely many steps. It keeps a set of tokens and the point
nearest to z in their convex hull:

1. Add the token that lies farthest in the direction z - q. If none lies beyond q, q is the answer.
2. Go towards the nearest point of the plane through the tokens of the set. If a weight falls to
   zero on the way, stop there, drop its token and repeat this step; else return to the first.

So at most D + 1 weights are positive, and they are stored alone. Backward, the set s is frozen.
A small move of z moves q by its part along the face that the tokens of s span:

    dz = the projection of dq on span{t_i - t_j},  written as dz = Σ_s w_s t_s with Σ_s w_s = 0
    dt_s = p_s (dq - dz) + w_s (z - q)

Inside the hull dz = dq, because q = z there: nothing is quantized. At a vertex dz = 0. This is the
opposite of straight-through.

Shapes: z and q ``(N, D)``, tokens ``(K, D)``, support and weights ``(N, D + 1)``; unused places of
the support hold -1. All arithmetic is in float64.
"""

import numpy as np
from numba import prange

from vqnp import threads
from vqnp.jit import kernel, parallel_kernel
from vqnp.quantize.quantizer import Cache
from vqnp.validation import Array, Points, Tokens, as_points

ROUNDS_A_DIMENSION = 100  # more than any search needs; rounding might let two tokens take turns
TOLERANCE = 1e-12  # of the greatest squared distance from z to a token


@threads.limit()
def hull_forward(z: Points, tokens: Tokens) -> tuple[Points, Cache]:
    """Return the point q of the hull nearest to each z ``(N, D)``, and the cache.

    Example
    -------
    >>> triangle = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    >>> q, _ = hull_forward(np.array([[0.5, 0.5], [1.0, -3.0], [5.0, 0.0]]), triangle)
    >>> q.round(12).tolist()
    [[0.5, 0.5], [1.0, 0.0], [2.0, 0.0]]
    """
    z = as_points(z, "z", dim=tokens.shape[1])
    shape = len(z), z.shape[1] + 1
    support, weights = np.full(shape, -1), np.zeros(shape)
    wide_z, wide_tokens = z.astype(np.float64), tokens.astype(np.float64)
    _nearest_in_hull(wide_z, wide_tokens, support, weights)
    q = np.einsum("ns,nsd->nd", weights, wide_tokens[support])  # -1 has weight 0
    return q.astype(z.dtype), (wide_z, wide_tokens, q, support, weights)


@threads.limit()
def hull_backward(dq: Points, cache: Cache) -> tuple[Points, Tokens]:
    """Return the gradients of z ``(N, D)`` and of the tokens ``(K, D)``.

    Example
    -------
    >>> edge = np.array([[0.0, 0.0], [2.0, 0.0]])
    >>> _, cache = hull_forward(np.array([[1.0, 5.0]]), edge)
    >>> hull_backward(np.array([[3.0, 4.0]]), cache)[0].tolist()  # along the edge
    [[3.0, 0.0]]
    """
    z, tokens, q, support, weights = cache
    dz, dtokens = np.zeros_like(z), np.zeros_like(tokens)
    _through_faces(dq.astype(np.float64), z, tokens, q, support, weights, dz, dtokens)
    return dz.astype(dq.dtype), dtokens.astype(dq.dtype)


def hull_codes(cache: Cache) -> Array:
    """Return the token of greatest weight ``(N,)``; of equal weights, the lowest token."""
    *_, support, weights = cache
    greatest = weights == weights.max(axis=1, keepdims=True)
    return np.where(greatest, support, np.iinfo(np.int64).max).min(axis=1)


@parallel_kernel
def _nearest_in_hull(z: Array, tokens: Array, support: Array, weights: Array) -> None:
    for i in prange(len(z)):
        _wolfe(z[i], tokens, support[i], weights[i])


@kernel
def _wolfe(z: Array, tokens: Array, support: Array, weights: Array) -> None:
    """Fill ``support`` and ``weights`` of one point."""
    squares = ((tokens - z) ** 2).sum(axis=1)
    support[0], weights[0], size = np.argmin(squares), 1.0, 1
    for _ in range(ROUNDS_A_DIMENSION * len(support)):
        if size == len(support):  # inside the hull
            return
        x = weights[:size] @ tokens[support[:size]] - z  # from z to q
        reach = tokens @ x
        k = np.argmin(reach)
        if x @ x <= reach[k] - z @ x + TOLERANCE * squares.max() or np.any(support[:size] == k):
            return
        support[size], weights[size] = k, 0.0
        size = _to_the_plane(z, tokens, support, weights, size + 1)


@kernel
def _to_the_plane(z: Array, tokens: Array, support: Array, weights: Array, size: int) -> int:
    """Walk to the nearest point of the tokens' plane, and drop tokens on the way; return how many.

    That point has the weights u / Σu with (A Aᵀ + σ 1 1ᵀ) u = 1, where A holds t_s - z.
    """
    while True:
        arms = tokens[support[:size]] - z
        gram = arms @ arms.T
        scale = max(np.trace(gram), 1e-300)
        target = np.linalg.solve(gram / scale + 1.0, np.ones(size))
        target /= target.sum()
        step = 1.0
        for s in range(size):
            if target[s] <= TOLERANCE:
                step = min(step, weights[s] / max(weights[s] - target[s], 1e-300))
        kept = 0
        for s in range(size):
            weight = weights[s] + step * (target[s] - weights[s])
            weights[s] = 0.0
            if weight > TOLERANCE:
                support[kept], weights[kept] = support[s], weight
                kept += 1
        support[kept:] = -1
        if kept == size:
            return size
        size = kept


@kernel
def _through_faces(
    dq: Array,
    z: Array,
    tokens: Array,
    q: Array,
    support: Array,
    weights: Array,
    dz: Array,
    dtokens: Array,
) -> None:
    for i in range(len(z)):
        size = np.sum(support[i] >= 0)
        first = tokens[support[i, 0]]
        if size > 1:
            edges = tokens[support[i, 1:size]] - first
            along = np.linalg.solve(edges @ edges.T, edges @ dq[i])  # w of all but the first
            dz[i] = along @ edges
            dtokens[support[i, 0]] -= along.sum() * (z[i] - q[i])
            for s in range(1, size):
                dtokens[support[i, s]] += along[s - 1] * (z[i] - q[i])
        for s in range(size):
            dtokens[support[i, s]] += weights[i, s] * (dq[i] - dz[i])
