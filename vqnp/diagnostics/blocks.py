"""Arrays larger than memory: they are read in blocks of rows, or a sample stands for them."""

from collections.abc import Iterator

import numpy as np

from vqnp.validation import Array

BLOCK_VALUES = 1 << 20  # numbers in a block: 8 MiB in float64


def row_blocks(points: Array) -> Iterator[slice]:
    """Yield slices that cover the rows of ``points`` ``(N, D)`` in order.

    Each slice holds at most ``BLOCK_VALUES`` numbers.
    """
    rows = max(1, BLOCK_VALUES // points.shape[1])
    for start in range(0, len(points), rows):
        yield slice(start, min(start + rows, len(points)))


def sample_rows(count: int, limit: int, seed: int) -> Array:
    """Return ``min(count, limit)`` different row numbers below ``count``, ascending.

    Two arrays of one length are sampled at the same rows. A reconstruction then stays paired with
    its data.
    """
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False, shuffle=False))
