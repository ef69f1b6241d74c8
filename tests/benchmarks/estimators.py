"""``VectorQuantizer`` beside scikit-learn's ``KMeans`` and ``MiniBatchKMeans``.

    cd tests && python -m benchmarks.estimators [--repeats N] [--tokens K ...] [--tiny]

They fit patches of two photographs and take turns, each with one start. Beside ``KMeans``, both
take 30 steps, and then as many as each thinks fit. Beside ``MiniBatchKMeans``, ours stops after the
most steps that take no longer. Seconds are ours and theirs, and a ratio above 1 says that ours is
faster. Inertia is ours over theirs, on all patches: below 1 ours is better. All are medians.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import joblib
import numpy as np
from codebooks import patches
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning

from vqnp.estimators import VectorQuantizer
from vqnp.machine import processor
from vqnp.validation import Array

STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # of ours beside MiniBatchKMeans


def main() -> None:
    """Measure each case and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tokens", type=int, nargs="+", default=[512, 1024, 2048], metavar="K")
    parser.add_argument("--tiny", action="store_true", help="sizes that measure nothing")
    options = parser.parse_args()
    points = patches(500 if options.tiny else 50_000)
    print(
        f"{processor()}, {joblib.cpu_count(only_physical_cores=True)} cores, all of them used; "
        f"{len(points):,} points of {points.shape[1]} dimensions, {options.repeats} seeds"
    )
    for k in (8,) if options.tiny else options.tokens:
        one = partial(VectorQuantizer, k, n_init=1)
        for name, ours, theirs in (
            ("KMeans, both 30 steps", partial(one, max_iter=30), {"max_iter": 30, "tol": 0}),
            ("KMeans as it comes", one, {}),
        ):
            peer = partial(KMeans, k, **theirs)
            show(k, name, *in_turns(points, ours, peer, options.repeats))
        show(k, *beside_mini_batches(points, k, options.repeats))


def beside_mini_batches(points: Array, k: int, repeats: int) -> tuple[str, Array, Array]:
    """Return a name and the measures for the most of our steps that take no longer."""
    kept = None
    for steps in STEPS:
        measured = in_turns(
            points,
            partial(VectorQuantizer, k, n_init=1, max_iter=steps),
            partial(MiniBatchKMeans, k),
            repeats,
        )
        if kept is None or measured[0][0] <= measured[0][1]:
            kept = f"MiniBatchKMeans, ours {steps} steps", *measured
        if measured[0][0] > measured[0][1]:
            break
    return kept


def in_turns(
    points: Array, ours: Callable[..., Any], theirs: Callable[..., Any], repeats: int
) -> tuple[Array, Array]:
    """Return the medians over the seeds of the seconds (2,) and inertia (2,): ours, then theirs."""
    seconds, inertia = np.empty((2, 2, repeats))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # steps are limited on purpose
        for make in (ours, theirs):
            make(random_state=0).fit(points[: len(points) // 10])  # compiles, and wakes the threads
        for seed in range(repeats):
            for row, make in enumerate((ours, theirs)):
                begun = time.perf_counter()
                found = make(random_state=seed).fit(points)
                seconds[row, seed] = time.perf_counter() - begun
                inertia[row, seed] = -found.score(points)
    return np.median(seconds, axis=1), np.median(inertia, axis=1)


def show(k: int, name: str, seconds: Array, inertia: Array) -> None:
    """Print a line."""
    print(
        f"K = {k:5,}, beside {name:32}: {seconds[0]:7.2f} s and {seconds[1]:7.2f} s, ratio "
        f"{seconds[1] / seconds[0]:5.2f}; inertia {inertia[0] / inertia[1]:.4f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
