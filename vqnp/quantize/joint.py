"""A code of several parts, and the one number that stands for all of them.

A quantizer of H codebooks names a vector by H codes. A diagnosis knows one codebook only, so it is
shown all K^H vectors, numbered by the codes in mixed radix, the first code the fastest::

    number = c_1 + K c_2 + K² c_3 + ...

Quantizers that round each coordinate by itself number their grid in the same way, with levels
L_1, L_2, ... in place of K.

Shapes: codes ``(N, H)``, numbers ``(N,)``, hits ``(H, K)``.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from vqnp.quantize.quantizer import Quantized, View, count_hits
from vqnp.validation import Array, as_array, require_codes, require_labels

MOST_TOKENS = 1 << 16  # that are made into one array


def places(levels: Sequence[int]) -> Array:
    """Return what a step of each part adds to the number ``(H,)``: 1, L_1, L_1 L_2, ...

    Example
    -------
    >>> places((8, 5, 5)).tolist()
    [1, 8, 40]
    """
    return np.cumprod([1, *levels[:-1]])


def parts_of(numbers: Array, levels: Sequence[int]) -> Array:
    """Return the codes ``(N, H)`` of ``numbers`` ``(N,)``; ``codes @ places(levels)`` inverts it.

    Example
    -------
    >>> parts_of(np.array([0, 9, 199]), (8, 5, 5)).tolist()
    [[0, 0, 0], [1, 1, 0], [7, 4, 4]]
    """
    parts: Array = numbers[:, None] // places(levels) % levels
    return parts


class JointCodes:
    """What quantizers share whose code has H parts of K tokens each: ``levels`` are K, H times."""

    levels: Any
    decode: Any
    forward: Any

    @property
    def n_tokens(self) -> int:
        """The number of vectors that codes can name: K^H for H parts of K tokens."""
        return math.prod(self.levels)

    @property
    def tokens(self) -> Array:
        """All vectors ``(K^H, D)``; raises ``ValueError`` where they are more than 65,536."""
        if self.n_tokens > MOST_TOKENS:
            raise ValueError(
                f"{self.levels[0]}^{len(self.levels)} vectors are too many for one array "
                f"(at most {MOST_TOKENS:,}): look at one codebook at a time"
            )
        return self.decode(parts_of(np.arange(self.n_tokens), self.levels))

    def update(
        self, z: Array, quantized: Quantized, *, mask: Array | None = None, rng: Any = None
    ) -> Array:
        """Return the hits ``(H, K)`` of each part of the codes; nothing moves."""
        parts = zip(quantized.codes.T, self.levels, strict=True)
        return np.stack([count_hits(codes, count, mask) for codes, count in parts])

    def view(self, z: Array) -> View:
        """Return ``z`` among all vectors, and the numbers of its codes."""
        return View(z, self.tokens, self.forward(z)[0].codes @ places(self.levels))


def require_joint_codes(codes: Array, n_tokens: int, books: int, *, least: int = 0) -> Array:
    """Return ``codes`` once they are integers ``(N, books)`` in ``[least, n_tokens)``.

    Raises ``TypeError`` or ``ValueError``.
    """
    codes = as_array(codes, "codes")
    if codes.ndim != 2 or codes.shape[1] != books:
        raise ValueError(f"codes must have shape (N, {books}), got shape {codes.shape}")
    require_labels(codes.ravel(), "codes", codes.size)
    require_codes(np.where(codes == least, 0, codes).ravel(), "codes", n_tokens)
    return codes
