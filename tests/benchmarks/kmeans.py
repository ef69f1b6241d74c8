"""K-means: ten of Lloyd's steps from the same random start, then the assignment.

Our codes and scikit-learn's belong to the tokens returned. faiss's training stops after the last
move, so we ask for its assignment, too.
"""

import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import faiss
import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from benchmarks.timing import OURS, Case
from vqnp.quantize.lloyd import lloyd
from vqnp.validation import Array

STEPS = 10


def cases(*, tiny: bool = False) -> Iterator[Case]:
    """Yield the three sizes; ``tiny`` is one for a test."""
    n, dims, sizes = (1000, 4, (8,)) if tiny else (131_072, 32, (512, 4096, 16_384))
    points = np.random.default_rng(0).standard_normal((n, dims), np.float32)
    for k in sizes:
        yield case(points, k)


def case(points: Array, k: int) -> Case:
    """Return the case of ``k`` tokens; each contestant returns its inertia."""
    tokens = points[np.random.default_rng(1).choice(len(points), k, replace=False)]
    work = {"vqnp": ours, "faiss": with_faiss, "scikit-learn": with_sklearn}
    n, d = points.shape
    return Case(
        f"N = {n:,}, K = {k:,}, D = {d}",
        {name: partial(run, points, tokens, STEPS) for name, run in work.items()},
        agree,
        (STEPS + 1) * 2.0 * n * k * d,
        {name: partial(run, points[: 2 * k], tokens, 1) for name, run in work.items()},
    )


def ours(points: Array, tokens: Array, steps: int) -> float:
    """Return the inertia after ``steps`` of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # that the warm-up leaves tokens without points
        return lloyd(points, tokens, steps).inertia


def with_faiss(points: Array, tokens: Array, steps: int) -> float:
    """Return that of faiss, on all the points."""
    k, d = tokens.shape
    clusters = faiss.Kmeans(
        d, k, niter=steps, max_points_per_centroid=len(points), min_points_per_centroid=1
    )
    clusters.train(points, init_centroids=tokens)
    return float(clusters.assign(points)[0].sum(dtype=np.float64))


def with_sklearn(points: Array, tokens: Array, steps: int) -> float:
    """Return that of scikit-learn."""
    clusters = KMeans(len(tokens), init=tokens, n_init=1, max_iter=steps, tol=0, algorithm="lloyd")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # ten steps are what is asked for
        return float(clusters.fit(points).inertia_)


def agree(inertia: dict[str, Any]) -> None:
    """Raise ``AssertionError`` when ours and another inertia differ by more than 1 %."""
    for name, value in inertia.items():
        assert abs(value / inertia[OURS] - 1) < 0.01, (
            f"inertia {value} of {name}, {inertia[OURS]} of ours"
        )
