"""Finite scalar quantization (Mentzer et al., 2023): round each coordinate, learn no codebook.

A channel of L levels is squashed into (-L/2, L/2) and rounded. With h = (L - 1)(1 - ε)/2 and the
offset o, ½ for an even L and 0 for an odd one,

    b = h tanh(z + s) - o,    s = artanh(o / h),    value = round(b) / ⌊L/2⌋

The shift s makes b zero at z = 0. The tokens are the grid of all combinations of values, so K is
the product of the levels. Rounding passes the gradient straight through; the squashing does not:

    dL/dz = dL/dvalue · h (1 - tanh²(z + s)) / ⌊L/2⌋

There is no codebook to place, to move or to pull to, and hence no loss of its own.

Shapes: z and vectors ``(N, D)``, one channel for each entry of the levels, and codes ``(N,)``, in
which the first channel is the fastest.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from vqnp.quantize.joint import parts_of, places
from vqnp.quantize.quantizer import Cache, Gradients, Quantized, Quantizer, View
from vqnp.validation import (
    Array,
    Points,
    as_points,
    require_codes,
    require_instance,
    require_integer,
    require_like,
)

EPSILON = 1e-3  # keeps b off the outer rounding edge, where tanh would have to reach 1
GREATEST_LEVELS = 1000  # with more, (1 - ε) puts the outermost level out of reach

Steps = Int64[np.ndarray, "N D"]


def fsq_forward(z: Points, levels: tuple[int, ...]) -> tuple[Points, Steps, Cache]:
    """Return the rounded values ``(N, D)``, their integer levels ``(N, D)``, and the cache.

    ``levels`` are one count a channel. Levels are integers from 0, because codes computed from
    rounded floats go wrong for large codebooks.

    Example
    -------
    >>> import numpy as np
    >>> values, steps, _ = fsq_forward(np.array([[-9.0, 9.0], [0.7, 0.7]]), (5, 4))
    >>> values.tolist(), steps.tolist()
    ([[-1.0, 0.5], [0.5, 0.5]], [[0, 3], [3, 3]])
    """
    z = as_points(z, "z", dim=len(levels))
    half_range, offset, shift, half_levels = _constants(levels, z.dtype)
    squashed = np.tanh(z + shift)
    steps = np.ceil(half_range * squashed - offset - 0.5)  # half-way goes to the lower level
    cache = squashed, half_range / half_levels
    return steps / half_levels, (steps + half_levels).astype(np.int64), cache


def fsq_backward(dvalues: Points, cache: Cache) -> Points:
    """Return the gradient of z ``(N, D)``: through the squashing, and straight through rounding.

    Example
    -------
    >>> import numpy as np
    >>> z = np.zeros((1, 1))
    >>> fsq_backward(np.ones((1, 1)), fsq_forward(z, (5,))[2]).tolist()
    [[0.999]]
    """
    squashed, slope = require_instance(cache, tuple, "cache")
    require_like(dvalues, "dvalues", squashed.shape, squashed.dtype)
    return dvalues * (slope * (1 - squashed * squashed))


def _constants(levels: tuple[int, ...], dtype: Any) -> tuple[Array, ...]:
    """Return h, o, s and ⌊L/2⌋, each ``(D,)``."""
    count = np.array(levels)
    half_range = (count - 1) * (1 - EPSILON) / 2
    offset = np.where(count % 2 == 0, 0.5, 0.0)
    shift = np.arctanh(offset / half_range)
    return tuple(values.astype(dtype) for values in (half_range, offset, shift, count // 2))


@dataclass(frozen=True)
class FSQ(Quantizer):
    """A quantizer that rounds: ``levels`` are the counts of values of each channel.

    Parameters
    ----------
    levels : tuple of int
        One count a channel, each from 3 to 1,000. The embeddings have as many dimensions.

    Raises
    ------
    TypeError, ValueError
        For levels that are no integers, too few or too many.

    Example
    -------
    >>> import numpy as np
    >>> quantizer = FSQ(levels=(8, 5, 5, 5))
    >>> quantized, _ = quantizer.forward(np.zeros((1, 4)))
    >>> quantized.codes.tolist(), len(quantizer.tokens), round(quantizer.bits, 2)
    ([500], 1000, 9.97)
    """

    levels: tuple[int, ...] = (8, 5, 5, 5)

    def __post_init__(self) -> None:
        if not require_instance(self.levels, tuple, "levels"):
            raise ValueError("levels must name at least one channel, got none")
        for count in self.levels:
            if require_integer(count, "levels", least=3) > GREATEST_LEVELS:
                raise ValueError(f"levels must be at most {GREATEST_LEVELS}, got {count}")

    @property
    def n_tokens(self) -> int:
        """K, the product of the levels."""
        return math.prod(self.levels)

    @property
    def tokens(self) -> Array:
        """The implied codebook ``(K, D)``, float64: the whole grid."""
        return self._values(np.arange(self.n_tokens), np.float64)

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Round ``z`` ``(N, D)``; raises as :func:`~vqnp.nearest` does."""
        values, steps, cache = fsq_forward(z, self.levels)
        return Quantized(values, steps @ places(self.levels), {}), cache

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of ``z``; there are no parameters."""
        return fsq_backward(dvectors, cache), {}

    def decode(self, codes: Array, *, dtype: Any = np.float32) -> Array:
        """Return the vectors ``(N, D)`` of ``codes`` ``(N,)``, as a forward pass in ``dtype``."""
        return self._values(require_codes(codes, "codes", self.n_tokens), dtype)

    def view(self, z: Array) -> View:
        """Return ``z`` as it is before rounding: squashed into the cube that the grid fills."""
        z = as_points(z, "z", dim=len(self.levels))
        half_range, offset, shift, half_levels = _constants(self.levels, z.dtype)
        squashed = (half_range * np.tanh(z + shift) - offset) / half_levels
        return View(squashed, self.tokens.astype(z.dtype), self.forward(z)[0].codes)

    def _values(self, codes: Array, dtype: Any) -> Array:
        half_levels = np.array(self.levels) // 2
        steps = parts_of(codes, self.levels) - half_levels
        return steps.astype(dtype) / half_levels.astype(dtype)
