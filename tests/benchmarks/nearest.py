"""The nearest token: codes and squared distances of N points among K tokens of D dimensions.

Two favors for the peers: faiss builds its index before the clock starts, and PyTorch takes a few
rows at a time, so that its distances fit in memory. Points and tokens are normal and as far from
the origin as they are wide. There, expanding the square does no harm.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import faiss
import numpy as np
import torch
from sklearn.metrics import pairwise_distances_argmin

from benchmarks.timing import OURS, Case
from benchmarks.torch_step import by_rows
from vqnp.quantize.search import nearest
from vqnp.validation import Array

POINTS, TOKENS, DIMS = 16_384, (16, 128, 512, 4096, 16_384, 65_536), (1, 4, 8, 32, 64)
SMALL = ((256, 128, 1), (256, 128, 4))


def grid(*, tiny: bool = False) -> list[tuple[int, int, int]]:
    """Return the cells (N, K, D) that are measured; ``tiny`` is one for a test."""
    return [(100, 30, 3)] if tiny else [*SMALL, *((POINTS, k, d) for k, d in product(TOKENS, DIMS))]


def cases(*, tiny: bool = False) -> Iterator[Case]:
    """Yield every cell of the grid."""
    for n, k, d in grid(tiny=tiny):
        yield case(n, k, d)


def case(n: int, k: int, d: int) -> Case:
    """Return one cell."""
    rng = np.random.default_rng(0)
    points, tokens = (1 + rng.standard_normal((rows, d), np.float32) for rows in (n, k))
    index = faiss.IndexFlatL2(d)
    index.add(tokens)
    there, those = torch.from_numpy(points), torch.from_numpy(tokens)
    contestants = {
        OURS: lambda: nearest(points, tokens)[0],
        "faiss": lambda: index.search(points, 1)[1][:, 0],
        "PyTorch": lambda: by_rows(there, those).numpy(),
        "scikit-learn": lambda: pairwise_distances_argmin(points, tokens),
    }

    def agree(codes: dict[str, Any]) -> None:
        require_as_near(points, tokens, codes)

    return Case(f"N = {n:,}, K = {k:,}, D = {d}", contestants, agree, 2.0 * n * k * d)


def require_as_near(points: Array, tokens: Array, codes: dict[str, Array]) -> None:
    """Raise ``AssertionError`` unless our tokens are nearest and the others' as near.

    An expanded square may differ by its rounding.
    """
    exact = {
        name: np.square(points.astype(float) - tokens[chosen]).sum(axis=1)
        for name, chosen in codes.items()
    }
    scale = np.square(points).sum(axis=1) + np.square(tokens).sum(axis=1).max()
    slack = 16 * (points.shape[1] + 8) * np.finfo(np.float32).eps * scale
    for name, distances in exact.items():
        assert (exact[OURS] <= distances * (1 + 1e-5)).all(), f"{name} found nearer tokens"
        assert (distances <= exact[OURS] + slack).all(), f"{name} found tokens farther away"
