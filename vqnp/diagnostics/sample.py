"""Arrays too large for a measure: a sample of their rows stands for them."""

import numpy as np

from vqnp.validation import Array


def sample_rows(count: int, limit: int, seed: int) -> Array:
    """Return ``min(count, limit)`` different row numbers below ``count``, ascending.

    Two arrays of one length are sampled at the same rows. A reconstruction then stays paired with
    its data.
    """
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False, shuffle=False))
