"""``VectorQuantizer`` beside scikit-learn's ``KMeans`` and ``MiniBatchKMeans``.

    cd tests && python -m benchmarks.estimators [--repeats N] [--points N] [--tokens K ...]

They fit patches of two photographs and take turns, each with one start. Beside ``KMeans``, both
take 30 steps, and then as many as each thinks fit. Beside ``MiniBatchKMeans``, ours starts by
k-means++ without greed, and stops after the most steps that take no longer. Seconds are ours and
theirs, and a ratio above 1 says that ours is faster. Inertia is ours over theirs, on all patches:
below 1 ours is better. All are medians.

On a machine at other work, ``--clock processor`` counts the seconds of the processor. They say
most with one thread (OMP_NUM_THREADS=1 and NUMBA_NUM_THREADS=1).
"""

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import joblib
import numba
import numpy as np
from codebooks import patches
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning

from vqnp.estimators import VectorQuantizer
from vqnp.machine import processor
from vqnp.validation import Array

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # of ours beside MiniBatchKMeans


def main() -> None:
    """Measure each case and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--points", type=int, default=50_000, metavar="N")
    parser.add_argument("--tokens", type=int, nargs="+", default=[512, 1024, 2048], metavar="K")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    options = parser.parse_args()
    points, measure = patches(options.points), partial(in_turns, repeats=options.repeats)
    measure = partial(measure, points, CLOCKS[options.clock])
    print(
        f"{processor()}, {joblib.cpu_count(only_physical_cores=True)} cores, "
        f"{numba.get_num_threads()} threads, {options.clock} time; {len(points):,} points of "
        f"{points.shape[1]} dimensions, {options.repeats} seeds"
    )
    for k in options.tokens:
        one = partial(VectorQuantizer, k, n_init=1)
        for name, ours, theirs in (
            ("KMeans, both 30 steps", partial(one, max_iter=30), {"max_iter": 30, "tol": 0}),
            ("KMeans as it comes", one, {}),
        ):
            peer = partial(KMeans, k, **theirs)
            show(k, name, *measure(ours, peer))
        show(k, *beside_mini_batches(measure, k))


def beside_mini_batches(measure: Callable[..., Any], k: int) -> tuple[str, Array, Array]:
    """Return a name and the measures for the most of our steps that take no longer."""
    kept = None
    for steps in STEPS:
        ours = partial(VectorQuantizer, k, start="k-means++", n_init=1, max_iter=steps)
        measured = measure(ours, partial(MiniBatchKMeans, k))
        if kept is None or measured[0][0] <= measured[0][1]:
            kept = f"MiniBatchKMeans, ours {steps} steps", *measured
        if measured[0][0] > measured[0][1]:
            break
    return kept


def in_turns(
    points: Array,
    clock: Callable[[], float],
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    *,
    repeats: int,
) -> tuple[Array, Array]:
    """Return the medians over the seeds of the seconds (2,) and inertia (2,): ours, then theirs."""
    seconds, inertia = np.empty((2, 2, repeats))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # steps are limited on purpose
        for make in (ours, theirs):
            make(random_state=0).fit(points[: len(points) // 10])  # compiles, and wakes the threads
        for seed in range(repeats):
            for row, make in enumerate((ours, theirs)):
                begun = clock()
                found = make(random_state=seed).fit(points)
                seconds[row, seed] = clock() - begun
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
