"""Latent quantization (Hsu et al., 2023): every coordinate has a small codebook of its own.

Coordinate j has L_j learnt values V_j. It is replaced by the nearest of them, the first of equally
near ones. The tokens are the grid of all combinations, so K is the product of the L_j:

    i_nj = argmin_i |z_nj - V_j[i]|        vector_nj = V_j[i_nj]        code = mixed radix of i_n

This differs from FSQ, where values and their places are given. Decoder and encoder see them
straight through, and the values learn from the codebook loss alone:

    dV_j[i] = w · 2/(N D) Σ_{n: i_nj = i} (V_j[i] - z_nj)

A code is made of the indices i, never of the values: values move, and may cross.

Shapes: z and vectors ``(N, D)``, indices ``(N, D)``, values of all coordinates ``(ΣL,)``, one
coordinate after another; codes ``(N,)``, in which the first coordinate is the fastest.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int64

from vqnp.losses import commitment
from vqnp.quantize.joint import parts_of, places
from vqnp.quantize.lloyd import kmeans
from vqnp.quantize.quantizer import Cache, Gradients, Quantized, Quantizer, at_start, placed
from vqnp.quantize.search import search
from vqnp.quantize.straight_through import straight_through_backward
from vqnp.validation import (
    Array,
    Points,
    as_array,
    as_points,
    require_codes,
    require_instance,
    require_integer,
    require_one_of,
    require_weight,
)

Start = Literal["line", "k-means"]
Values = Float[np.ndarray, "V"]  # V = ΣL
Indices = Int64[np.ndarray, "N D"]
MOST_TOKENS = 1 << 24  # the hits of a batch are counted for every code


def latent_forward(
    z: Points, values: Values, levels: tuple[int, ...]
) -> tuple[Points, Indices, Cache]:
    """Return the nearest values ``(N, D)``, their places in ``values`` ``(N, D)``, and the cache.

    ``values`` ``(ΣL,)`` holds ``levels[0]`` values of the first coordinate, and so on.

    Example
    -------
    >>> import numpy as np
    >>> values = np.array([0.0, 1.0, -5.0, 0.0, 5.0])
    >>> vectors, places, _ = latent_forward(np.array([[0.9, 3.0]]), values, (2, 3))
    >>> vectors.tolist(), places.tolist()
    ([[1.0, 5.0]], [[1, 4]])
    """
    places = np.empty(z.shape, np.int64)
    for j, (first, count) in enumerate(zip(_firsts(levels), levels, strict=True)):
        coordinate = np.ascontiguousarray(z[:, j : j + 1])
        codes, _ = search(coordinate, values[first : first + count, None])
        places[:, j] = first + codes
    vectors = values.take(places)
    return vectors, places, (places, vectors - z, len(values))


def latent_backward(weight: float, cache: Cache) -> Values:
    """Return the gradient of the values ``(ΣL,)`` for ``weight`` times the codebook loss.

    The gradient of z is that of ``straight_through_backward``.

    Example
    -------
    >>> import numpy as np
    >>> _, _, cache = latent_forward(np.array([[0.0], [2.0]]), np.array([1.0, 9.0]), (2,))
    >>> latent_backward(1.0, cache).tolist()  # half-way between its two points, it stays
    [0.0, 0.0]
    """
    places, gaps, count = cache
    sums = np.bincount(places.ravel(), gaps.ravel(), count)
    return (weight * 2 / gaps.size * sums).astype(gaps.dtype)


def _firsts(levels: tuple[int, ...]) -> Array:
    """Where the values of each coordinate begin ``(D,)``."""
    return np.cumsum([0, *levels[:-1]])


@dataclass(frozen=True)
class LatentQuantizer(Quantizer):
    """A quantizer with a learnt codebook of scalars for every coordinate.

    Parameters
    ----------
    levels : tuple of int
        The number of values of each coordinate, at least 1. Embeddings have as many coordinates.
    codebook_weight : float
        The weight of the codebook loss, which moves the values.
    beta : float
        The weight of the commitment loss.
    start : {"line", "k-means"}
        Values evenly from -1/2 to 1/2, as published; or k-means of each coordinate, which is ours.

    Raises
    ------
    TypeError, ValueError
        For levels below 1, more than 2²⁴ tokens, a negative weight or an unknown start.

    Example
    -------
    >>> import numpy as np
    >>> quantizer = LatentQuantizer(levels=(3, 2))
    >>> quantizer.initialize(np.zeros((1, 2)), batch=1)
    >>> quantized, _ = quantizer.forward(np.array([[0.1, 0.1]]))
    >>> quantized.vectors.tolist(), quantized.codes.tolist()
    ([[0.0, 0.5]], [4])
    """

    levels: tuple[int, ...] = (8, 8, 8)
    codebook_weight: float = 0.01
    beta: float = 0.01
    start: Start = "line"

    def __post_init__(self) -> None:
        if not require_instance(self.levels, tuple, "levels"):
            raise ValueError("levels must name at least one coordinate, got none")
        for count in self.levels:
            require_integer(count, "levels", least=1)
        if self.n_tokens > MOST_TOKENS:
            raise ValueError(f"levels must give at most 2**24 tokens, got {self.n_tokens}")
        require_weight(self.codebook_weight, "codebook_weight")
        require_weight(self.beta, "beta")
        require_one_of(self.start, Start, "start")

    @property
    def values(self) -> Array:
        """All values ``(ΣL,)``; raises ``RuntimeError`` before ``initialize``."""
        return placed(self.params, "values")

    @property
    def n_tokens(self) -> int:
        """K, the product of the levels."""
        return math.prod(self.levels)

    @property
    def tokens(self) -> Array:
        """The grid of all combinations ``(K, D)``."""
        return self.decode(np.arange(self.n_tokens))

    def initialize(self, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Place the values, on a line or on embeddings ``z`` ``(N, D)``; the dtype is theirs."""
        z, rng = at_start(z, batch, rng, dim=len(self.levels))
        parts = [
            kmeans(z[:, j : j + 1], count, rng=rng).tokens[:, 0]
            if self.start == "k-means"
            else (np.arange(count) / (count - 1) - 0.5 if count > 1 else np.zeros(1))
            for j, count in enumerate(self.levels)
        ]
        self.params["values"] = np.concatenate(parts).astype(z.dtype)

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Return the nearest values, the codes and the two losses; changes nothing."""
        z = as_points(z, "z", dim=len(self.levels))
        vectors, chosen, cache = latent_forward(z, self.values, self.levels)
        value, dcommitment = commitment(z, vectors)
        codes = (chosen - _firsts(self.levels)) @ places(self.levels)
        losses = {"codebook": value, "commitment": value}
        return Quantized(vectors, codes, losses), (dcommitment, cache)

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradients of ``z`` and of the values."""
        dcommitment, values_cache = cache
        dz = straight_through_backward(dvectors) + self.beta * dcommitment
        return dz, {"values": latent_backward(self.codebook_weight, values_cache)}

    def decode(self, codes: Array) -> Array:
        """Return the vectors ``(N, D)`` of ``codes`` ``(N,)``."""
        codes = require_codes(as_array(codes, "codes"), "codes", self.n_tokens)
        return self.values.take(_firsts(self.levels) + parts_of(codes, self.levels))
