"""The codebook that moving averages keep: tokens, L and M, and the state each dialect begins with.

The update itself, and a table of the dialects, are in ``ema.py``.

Shapes: tokens and M ``(K, D)``, L ``(K,)``.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from vqnp.validation import (
    Array,
    CountsLike,
    as_array,
    as_points,
    as_rng,
    require_codes,
    require_finite,
    require_float,
    require_like,
    require_one_of,
)

Dialect = Literal["paper", "counts-one", "smoothed-state", "debiased"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
EPSILON = 1e-5


@dataclass
class Codebook:
    """The tokens and the moving averages behind them, changed in place by ``ema_update``.

    Parameters
    ----------
    tokens : array (K, D), float32 or float64
        The codebook.
    counts : array (K,)
        L, the moving average of each code's hits.
    sums : array (K, D)
        M, the moving average of the sum of each code's embeddings.
    steps : int, or int64 array ()
        Updates so far.

    Example
    -------
    >>> import numpy as np
    >>> codebook = Codebook.start(np.array([[1.0], [4.0]]), np.array([2.0, 3.0]))
    >>> codebook.sums.tolist()
    [[2.0], [12.0]]
    """

    tokens: Array
    counts: Array
    sums: Array
    steps: int | Array = 0

    def __post_init__(self) -> None:
        require_float(self.tokens, "tokens")
        if self.tokens.ndim != 2 or not self.tokens.size:
            raise ValueError(f"tokens must have shape (K, D), got {self.tokens.shape}")
        require_like(self.sums, "sums", self.tokens.shape, self.tokens.dtype)
        require_like(self.counts, "counts", self.tokens.shape[:1], self.tokens.dtype)

    @classmethod
    def start(
        cls,
        tokens: Array,
        counts: Array,
        dialect: Dialect = "paper",
        *,
        rng: int | np.random.Generator = 0,
    ) -> "Codebook":
        """Begin with ``tokens`` ``(K, D)`` in the state that ``dialect`` begins with.

        Only `paper` uses ``counts`` ``(K,)``, the expected hits of a batch: L = counts,
        M = L · token. Only `smoothed-state` draws from ``rng``. Raises ``ValueError`` for an
        unknown dialect or counts of another shape.
        """
        require_one_of(dialect, Dialect, "dialect")
        tokens = as_points(tokens, "tokens").copy()
        counts = require_counts(counts, len(tokens))
        rng = as_rng(rng)
        codebook = cls(tokens, np.zeros(len(tokens), tokens.dtype), np.zeros_like(tokens))
        if dialect in ("paper", "counts-one"):
            weights = counts if dialect == "paper" else np.ones(len(tokens))
            codebook.set_tokens(np.arange(len(tokens)), tokens, weights)
        elif dialect == "smoothed-state":
            codebook.sums[:] = rng.standard_normal(tokens.shape)
        return codebook

    def set_tokens(self, codes: Array, tokens: Array, counts: Array) -> None:
        """Put ``codes`` at ``tokens`` with weight ``counts``: token, L, and M = L · token.

        The three move together: the old M would pull a token moved alone back at the next update.
        """
        codes = require_codes(as_array(codes, "codes"), "codes", len(self.tokens))
        tokens = as_points(tokens, "tokens", dim=self.tokens.shape[1], dtype=self.tokens.dtype)
        require_like(tokens, "tokens", (len(codes), tokens.shape[1]), tokens.dtype)
        counts = require_counts(counts, len(codes))
        self.tokens[codes] = tokens
        self.counts[codes] = counts
        self.sums[codes] = self.counts[codes, None] * self.tokens[codes]


def require_counts(counts: CountsLike, count: int) -> Array:
    """Return ``count`` numbers of hits once they are known to be finite and at least 0."""
    counts = as_array(counts, "counts")
    if counts.shape != (count,):
        raise ValueError(f"counts must have shape ({count},), got {counts.shape}")
    if counts.dtype.kind not in "fiu" or (counts < 0).any():
        raise ValueError(f"counts must be numbers of at least 0, got {counts.dtype}")
    require_finite(counts, "counts")
    return counts


def smoothed(counts: Array) -> Array:
    """Return S ``(K,)`` float64: a little of the total of ``counts`` moves to codes with none."""
    counts = counts.astype(np.float64)
    total = counts.sum()
    return (counts + EPSILON) / (total + len(counts) * EPSILON) * total
