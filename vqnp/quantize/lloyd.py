"""K-means, to place the first tokens on the embeddings (eq. 2): minimise Σ_j ‖z_j − t_code(j)‖².

Lloyd's algorithm: give every point to its nearest token, move every token to the mean of its points, until no point changes
its token. Two rules make every case well defined:

- a token that no point chose moves onto the point that is farthest from its own token (several such tokens: the farthest, the
  next farthest, ...), as scikit-learn does, so that no token is left at an arbitrary place;
- more tokens than points: every point becomes a token, and the rest are copies of points drawn at random. A copy is never the
  lowest index at its place, so no point chooses it. A warning says how many tokens this concerns.

Shapes: points ``(N, D)``, tokens ``(K, D)``, codes ``(N,)``, counts ``(K,)``.
"""

import warnings
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numba import prange

from vqnp.jit import both, kernel
from vqnp.quantize.search import nearest
from vqnp.validation import Array, require_integer, require_points

Start = Literal["k-means++", "random"]
BLOCK = 1024  # points whose distances are lowered together
PARALLEL_FROM = (
    1 << 20
)  # coordinates of points; one pass through fewer is over before a second thread has woken up


@dataclass(frozen=True)
class Clustering:
    """Tokens ``(K, D)`` with the codes ``(N,)``, counts ``(K,)`` and inertia of a fresh assignment to exactly these tokens."""

    tokens: Array
    codes: Array
    counts: Array
    inertia: float
    iterations: int


def kmeans(
    points: Array,
    k: int,
    rng: np.random.Generator,
    *,
    start: Start = "k-means++",
    iterations: int = 100,
) -> Clustering:
    """Place ``k`` tokens among ``points`` ``(N, D)`` by at most ``iterations`` steps of Lloyd's algorithm.

    Raises ``ValueError`` or ``TypeError`` for points that are not a finite, non-empty float ``(N, D)`` array, for ``k`` or
    ``iterations`` below 1 and for an unknown ``start``; warns (``UserWarning``) when tokens are left without points.
    """
    points = require_points(points, "points")
    k = require_integer(k, "k", least=1)
    require_integer(iterations, "iterations", least=1)
    if start not in get_args(Start):
        raise ValueError(f"start must be one of {', '.join(get_args(Start))}, got {start!r}")
    if k > len(points):
        return _every_point_a_token(points, k, rng)
    tokens = (
        plus_plus(points, k, rng)
        if start == "k-means++"
        else points[rng.choice(len(points), k, replace=False)]
    )
    return lloyd(points, tokens, iterations)


def plus_plus(points: Array, k: int, rng: np.random.Generator) -> Array:
    """Draw ``k`` of the points, each with probability proportional to its squared distance from the tokens drawn before it.

    Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding" (2007). Every draw is a pass through the points; they
    are copied once, so that the pass runs along them.
    """
    columns = np.ascontiguousarray(points.T)  # (D, N)
    threads = points.size >= PARALLEL_FROM
    chosen = np.empty(k, np.int64)
    distances = np.ones(len(points))  # for the first draw: all points alike
    for i in range(k):
        reach = np.cumsum(distances)
        if reach[-1] == 0:  # only copies of tokens are left
            chosen[i:] = rng.integers(len(points), size=k - i)
            break
        chosen[i] = min(
            np.searchsorted(reach, rng.random() * reach[-1], side="right"), len(points) - 1
        )
        if i == 0:
            distances.fill(np.inf)
        _lower_distances[threads](columns, chosen[i], distances)
    return points[chosen]


@both
def _lower_distances(columns: Array, new: int, distances: Array) -> None:
    """Lower the squared ``distances`` ``(N,)`` to the nearest token where point ``new`` of ``columns`` ``(D, N)`` is nearer."""
    dims, count = columns.shape
    for b in prange((count + BLOCK - 1) // BLOCK):
        start, stop = b * BLOCK, min((b + 1) * BLOCK, count)
        squared = np.zeros(BLOCK, columns.dtype)
        for d in range(dims):
            coordinates = columns[d, start:stop]
            for i in range(stop - start):
                difference = coordinates[i] - columns[d, new]
                squared[i] += difference * difference
        for i in range(stop - start):
            distances[start + i] = min(distances[start + i], squared[i])


def lloyd(points: Array, tokens: Array, iterations: int) -> Clustering:
    """Improve ``tokens`` until the assignment stands still, or ``iterations`` times.

    The codes and counts returned belong to the tokens returned: counts taken before the last move would disagree with them.
    """
    codes, distances = nearest(points, tokens)
    steps = 0
    while steps < iterations:
        steps += 1
        tokens = lloyd_step(points, tokens, codes, distances)
        before = codes
        codes, distances = nearest(points, tokens)
        if np.array_equal(codes, before):
            break
    counts = np.bincount(codes, minlength=len(tokens))
    if (empty := int((counts == 0).sum())) > 0:
        warnings.warn(
            f"k-means leaves {empty} of {len(tokens)} tokens without points", stacklevel=3
        )
    return Clustering(tokens, codes, counts, float(distances.sum(dtype=np.float64)), steps)


def batch_statistics_loop(embeddings: Array, codes: Array, n_tokens: int) -> tuple[Array, Array]:
    """The definition of l ``(K,)`` and m ``(K, D)``, both float64: each embedding is added to the code that it chose."""
    hits = np.zeros(n_tokens)
    sums = np.zeros((n_tokens, embeddings.shape[1]))
    for i in range(len(codes)):
        k = codes[i]
        hits[k] += 1
        for d in range(embeddings.shape[1]):
            sums[k, d] += embeddings[i, d]
    return hits, sums


def batch_statistics_numpy(embeddings: Array, codes: Array, n_tokens: int) -> tuple[Array, Array]:
    """The same in NumPy."""
    hits = np.bincount(codes, minlength=n_tokens).astype(np.float64)
    sums = np.zeros((n_tokens, embeddings.shape[1]))
    np.add.at(sums, codes, embeddings)
    return hits, sums


batch_statistics = kernel(batch_statistics_loop)


def lloyd_step(points: Array, tokens: Array, codes: Array, distances: Array) -> Array:
    """Move every token to the mean of its points; one without points moves onto the farthest point left, or stays if none is."""
    counts, sums = batch_statistics(points, codes, len(tokens))
    empty = np.flatnonzero(counts == 0)
    counts[empty] = 1
    means = (sums / counts[:, None]).astype(points.dtype)
    if len(empty):
        farthest = np.argsort(-distances, kind="stable")[: len(empty)]
        means[empty] = tokens[empty]
        means[empty[: len(farthest)]] = points[farthest]
    return means


def _every_point_a_token(points: Array, k: int, rng: np.random.Generator) -> Clustering:
    copies = k - len(points)
    warnings.warn(
        f"k = {k} tokens for {len(points)} points: {copies} tokens are copies of points and start unused",
        stacklevel=3,
    )
    tokens = np.concatenate([points, points[rng.integers(len(points), size=copies)]])
    codes, distances = nearest(points, tokens)
    return Clustering(tokens, codes, np.bincount(codes, minlength=k), float(distances.sum()), 0)
