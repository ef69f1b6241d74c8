"""K-means, which places the first tokens (eq. 2): it minimizes Σ_j ‖z_j − t_code(j)‖².

Lloyd's algorithm repeats two moves until no code changes: give every point the code of its nearest
token (eq. 1), then move every token to the mean of its points. Two rules settle the rest:

- A token without points moves onto the point that is farthest from its own token. Several such
  tokens take the farthest, the next farthest, and so on, as in scikit-learn.
- With more tokens than points, every point becomes a token, and the other tokens are copies of
  random points. No point chooses a copy, because the lowest of equal tokens wins.

Shapes: points ``(N, D)``, tokens ``(K, D)``, codes ``(N,)``, counts ``(K,)``.
"""

import warnings
from dataclasses import dataclass
from math import log
from typing import Literal

import numpy as np
from numba import prange

from vqnp.jit import both, kernel
from vqnp.quantize.search import nearest
from vqnp.validation import (
    Array,
    Codes,
    Counts,
    PointsLike,
    Tokens,
    as_points,
    as_rng,
    require_integer,
    require_one_of,
)

Start = Literal["k-means++", "greedy k-means++", "random"]
BLOCK_POINTS = 1024  # points whose distances are lowered together
PARALLEL_COORDINATES = 1 << 20  # of all points; a smaller pass is over before a second thread wakes


@dataclass(frozen=True)
class Clustering:
    """What k-means found. The codes are those of the tokens returned, assigned afresh.

    Parameters
    ----------
    tokens : array (K, D)
        The centers, of the points' dtype.
    codes : array (N,), int64
        The nearest token of each point.
    counts : array (K,), int64
        Points of each token.
    inertia : float
        Sum of the squared distances from the points to their tokens.
    iterations : int
        Steps of Lloyd's algorithm that were taken.

    Example
    -------
    >>> import numpy as np
    >>> found = kmeans(np.array([[0.0], [1.0], [10.0], [13.0]]), 2)
    >>> found.inertia, sorted(found.tokens.ravel().tolist())
    (5.0, [0.5, 11.5])
    """

    tokens: Tokens
    codes: Codes
    counts: Counts
    inertia: float
    iterations: int


def kmeans(
    points: PointsLike,
    n_tokens: int,
    *,
    rng: int | np.random.Generator = 0,
    start: Start = "k-means++",
    iterations: int = 100,
) -> Clustering:
    """Place tokens among points by Lloyd's algorithm (eq. 2).

    Parameters
    ----------
    points : array-like (N, D), float32 or float64
        Finite, not empty.
    n_tokens : int
        K, at least 1. More tokens than points are allowed.
    rng : int or numpy.random.Generator
        Where the start comes from.
    start : {"k-means++", "greedy k-means++", "random"}
        Draw the first tokens far from each other, the best of several at a time, or any K of the
        points.
    iterations : int
        The most steps to take, at least 1.

    Returns
    -------
    Clustering
        Tokens, and the codes, counts and inertia that belong to them.

    Raises
    ------
    TypeError, ValueError
        For points or numbers other than these, or an unknown start.

    Warns
    -----
    UserWarning
        When tokens are left without points.

    Example
    -------
    >>> import numpy as np
    >>> points = np.array([[0.0, 0.0], [0.0, 2.0], [9.0, 0.0], [9.0, 2.0]])
    >>> found = kmeans(points, 2, rng=0)
    >>> sorted(found.tokens.tolist()), found.counts.tolist()
    ([[0.0, 1.0], [9.0, 1.0]], [2, 2])
    """
    points = as_points(points, "points")
    n_tokens = require_integer(n_tokens, "n_tokens", least=1)
    require_integer(iterations, "iterations", least=1)
    require_one_of(start, Start, "start")
    rng = as_rng(rng)
    copies = n_tokens - len(points)
    if copies > 0:  # every point becomes a token, and none moves
        warnings.warn(
            f"n_tokens is {n_tokens} for {len(points)} points: "
            f"{copies} tokens are copies of points and start unused",
            stacklevel=2,
        )
        copied = points[rng.integers(len(points), size=copies)]
        return lloyd(points, np.concatenate([points, copied]), 0)
    if start == "random":
        tokens = points[rng.choice(len(points), n_tokens, replace=False)]
    else:
        drawn = 1 if start == "k-means++" else 2 + int(log(n_tokens))
        tokens = plus_plus(points, n_tokens, rng, drawn)
    found = lloyd(points, tokens, iterations)
    if (empty := int((found.counts == 0).sum())) > 0:
        warnings.warn(f"k-means leaves {empty} of {n_tokens} tokens without points", stacklevel=2)
    return found


def plus_plus(points: Array, n_tokens: int, rng: np.random.Generator, drawn: int = 1) -> Array:
    """Draw points as first tokens (Arthur and Vassilvitskii, 2007).

    A point's probability is proportional to its squared distance from the nearest token drawn
    before it. Of ``drawn`` points at a time, the one stays that lowers the sum of these distances
    most; 2 + ln K are the authors' advice.
    """
    columns = np.ascontiguousarray(points.T)  # (D, N): each draw runs along the columns once
    lower = _lower_distances.sized(points.size, PARALLEL_COORDINATES)
    chosen = np.empty(n_tokens, np.int64)
    distances = np.full(len(points), np.inf)
    reach = np.arange(1.0, len(points) + 1)  # for the first draw: all points alike
    for i in range(n_tokens):
        if reach[-1] == 0:  # only copies of tokens are left
            chosen[i:] = rng.integers(len(points), size=n_tokens - i)
            break
        rows = np.searchsorted(reach, rng.random(drawn if i else 1) * reach[-1], side="right")
        lowest = np.inf
        for row in np.minimum(rows, len(points) - 1):  # the product may round up to reach[-1]
            lowered = distances.copy()
            lower(columns, row, lowered)
            sums = np.cumsum(lowered)
            if sums[-1] <= lowest:  # of equal ones the last, so that infinity counts as well
                lowest, chosen[i], best = sums[-1], row, (lowered, sums)
        distances, reach = best
    return points[chosen]


@both
def _lower_distances(columns: Array, new: int, distances: Array) -> None:
    """Lower the squared ``distances`` ``(N,)`` of the points to which point ``new`` is nearer."""
    dims, count = columns.shape
    for b in prange((count + BLOCK_POINTS - 1) // BLOCK_POINTS):
        start, stop = b * BLOCK_POINTS, min((b + 1) * BLOCK_POINTS, count)
        squared = np.zeros(BLOCK_POINTS, columns.dtype)
        for d in range(dims):
            coordinates = columns[d, start:stop]
            for i in range(stop - start):
                difference = coordinates[i] - columns[d, new]
                squared[i] += difference * difference
        for i in range(stop - start):
            distances[start + i] = min(distances[start + i], squared[i])


def batch_statistics_loop(embeddings: Array, codes: Array, n_tokens: int) -> tuple[Array, Array]:
    """Count and add up, in float64, the embeddings of each code: l ``(K,)`` and m ``(K, D)``.

    This loop is the definition. Every version adds in the order of the batch.
    """
    hits = np.zeros(n_tokens)
    sums = np.zeros((n_tokens, embeddings.shape[1]))
    for i in range(len(codes)):
        k = codes[i]
        hits[k] += 1  # l
        for d in range(embeddings.shape[1]):
            sums[k, d] += embeddings[i, d]  # m
    return hits, sums


def batch_statistics_numpy(embeddings: Array, codes: Array, n_tokens: int) -> tuple[Array, Array]:
    """The same in NumPy."""
    hits = np.bincount(codes, minlength=n_tokens).astype(np.float64)
    sums = np.zeros((n_tokens, embeddings.shape[1]))
    np.add.at(sums, codes, embeddings)
    return hits, sums


batch_statistics = kernel(batch_statistics_loop)


def lloyd_step_loop(points: Array, tokens: Array, codes: Array, distances: Array) -> Array:
    """Move every token to the mean of its points, and one without points onto the farthest point.

    ``codes`` and squared ``distances`` are those of the search. This loop is the definition.
    """
    hits, sums = batch_statistics_loop(points, codes, len(tokens))
    farthest = iter(np.argsort(-distances, kind="stable"))  # of equally far points, the first
    moved = tokens.copy()
    for k in range(len(tokens)):
        if hits[k] > 0:
            moved[k] = sums[k] / hits[k]  # the mean minimizes eq. 2 for these codes
        elif (row := next(farthest, None)) is not None:  # None: more such tokens than points
            moved[k] = points[row]
    return moved


def lloyd_step_numpy(points: Array, tokens: Array, codes: Array, distances: Array) -> Array:
    """The same in NumPy."""
    return _means(points, tokens, distances, *batch_statistics_numpy(points, codes, len(tokens)))


def lloyd_step(points: Array, tokens: Array, codes: Array, distances: Array) -> Array:
    """The same, where the pass through the points is compiled."""
    return _means(points, tokens, distances, *batch_statistics(points, codes, len(tokens)))


def _means(points: Array, tokens: Array, distances: Array, hits: Array, sums: Array) -> Array:
    empty = np.flatnonzero(hits == 0)
    hits[empty] = 1  # any number but 0: their means are overwritten
    means = (sums / hits[:, None]).astype(points.dtype)
    if len(empty):
        farthest = np.argsort(-distances, kind="stable")[: len(empty)]
        means[empty] = tokens[empty]
        means[empty[: len(farthest)]] = points[farthest]
    return means


def lloyd(points: Array, tokens: Array, iterations: int) -> Clustering:
    """Improve ``tokens`` until no code changes, or ``iterations`` times.

    The last assignment is a fresh one, because codes from before the last move would disagree with
    the tokens.
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
    return Clustering(
        tokens,
        codes,
        np.bincount(codes, minlength=len(tokens)),
        float(distances.sum(dtype=np.float64)),
        steps,
    )
