"""Lookup-free quantization (MAGVIT-v2, Yu et al., 2023) and its sphere (BSQ, Zhao et al., 2024).

LFQ keeps the sign of each coordinate. Its tokens are the 2ᴰ vertices of a cube, so the nearest
token needs no search:

    vector_d = +1 if z_d > 0, else -1        code = Σ_d 2ᵈ [z_d > 0]

BSQ first projects the embedding to the unit sphere, v = z / ‖z‖, and its vertices ±1/√D lie there
too. So the error of rounding is bounded, and lengths are forgotten.

The gradient passes straight through the sign. In BSQ it then passes through the projection, by
``normalize.py``. The authors' code takes the sign's straight-through before the factor 1/√D, which
makes the decoder's gradient smaller by this factor.

Nothing pulls a coordinate to either side, so without the entropy loss of ``entropy.py`` both
collapse. Its softmax over all vertices costs N · 2ᴰ. With ``group_bits`` m it is taken of m
coordinates at a time and summed, which costs N · 2ᵐ · D / m. For m = 1 this is a sum over bits. It
overestimates the batch's entropy: two bits that are always equal look as good as two free ones.

Shapes: z and vectors ``(N, D)``, codes ``(N,)``; the first coordinate is the least significant bit.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vqnp.losses import commitment
from vqnp.quantize.entropy import entropy_gap_backward, entropy_gap_forward
from vqnp.quantize.normalize import normalize_backward, normalize_forward
from vqnp.quantize.quantizer import Cache, Gradients, Quantized, Quantizer, View
from vqnp.quantize.straight_through import straight_through_backward
from vqnp.validation import (
    Array,
    Codes,
    Points,
    Tokens,
    as_array,
    as_points,
    require_codes,
    require_integer,
    require_positive,
    require_weight,
)

MOST_BITS = 24  # the hits of a batch are counted for every code


def sign_forward(z: Points, scale: float = 1.0) -> tuple[Points, Codes]:
    """Return the nearest vertex of the cube ±``scale``, and its code; zero goes to -``scale``.

    Its backward is ``straight_through_backward``.

    Example
    -------
    >>> import numpy as np
    >>> vectors, codes = sign_forward(np.array([[0.3, -7.0, 2.0], [0.0, 0.1, -0.1]]))
    >>> vectors.tolist(), codes.tolist()
    ([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]], [5, 2])
    """
    positive = z > 0
    scale = z.dtype.type(scale)
    return np.where(positive, scale, -scale), positive @ (1 << np.arange(z.shape[1]))


def vertices(n_bits: int, scale: float = 1.0, dtype: Any = np.float64) -> Tokens:
    """Return the vertices ±``scale`` of the cube ``(2**n_bits, n_bits)``, in order of their codes.

    Example
    -------
    >>> vertices(2).tolist()
    [[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]
    """
    return _vertices_of(np.arange(1 << n_bits), n_bits, scale, dtype)


def _vertices_of(codes: Array, n_bits: int, scale: float, dtype: Any) -> Array:
    scale = np.dtype(dtype).type(scale)
    return np.where(codes[:, None] >> np.arange(n_bits) & 1, scale, -scale)


def bits_entropy_forward(
    z: Points, scale: float, sharpness: float, diversity: float, group_bits: int
) -> tuple[float, Cache]:
    """Return the entropy gap of the cube's vertices, in groups of coordinates, and the cache.

    Example
    -------
    >>> z = vertices(2)  # each of four codes once: both bits are used evenly
    >>> gap, _ = bits_entropy_forward(z, 1.0, 10.0, 1.0, group_bits=1)
    >>> round(gap, 6)  # -2 ln 2
    -1.386294
    """
    tokens = vertices(group_bits, scale, z.dtype)
    groups = np.split(z, z.shape[1] // group_bits, axis=1)
    gaps = [entropy_gap_forward(group, tokens, sharpness, diversity) for group in groups]
    return sum(gap for gap, _ in gaps), [cache for _, cache in gaps]


def bits_entropy_backward(dgap: float, cache: Cache) -> Points:
    """Return the gradient of z ``(N, D)``.

    Example
    -------
    >>> import numpy as np
    >>> _, cache = bits_entropy_forward(np.zeros((1, 2)), 1.0, 1.0, 0.0, group_bits=2)
    >>> bits_entropy_backward(1.0, cache)  # the least sure point: no way is better
    array([[0., 0.]])
    """
    return np.concatenate([entropy_gap_backward(dgap, each)[0] for each in cache], axis=1)


@dataclass(frozen=True)
class Signs:
    """What LFQ and BSQ share: settings, the vertices ±``scale``, their codes and the losses."""

    n_tokens: int = 512
    entropy_weight: float = 0.1
    diversity: float = 1.0
    sharpness: float = 100.0
    group_bits: int | None = None
    beta: float = 0.25

    def __post_init__(self) -> None:
        count = require_integer(self.n_tokens, "n_tokens", least=2)
        if count & (count - 1) or count > 1 << MOST_BITS:
            raise ValueError(
                f"n_tokens must be a power of two, at most 2**{MOST_BITS}, got {count}"
            )
        for name in ("entropy_weight", "diversity", "beta"):
            require_weight(getattr(self, name), name)
        require_positive(self.sharpness, "sharpness")
        group = 1 if self.group_bits is None else self.group_bits
        if self.n_bits % require_integer(group, "group_bits", least=1):
            raise ValueError(
                f"group_bits must divide the {self.n_bits} bits of n_tokens, got {group}"
            )

    @property
    def n_bits(self) -> int:
        """D, the bits of a code: log2 K."""
        return self.n_tokens.bit_length() - 1

    @property
    def scale(self) -> float:
        """1, the coordinate of every vertex."""
        return 1.0

    @property
    def tokens(self) -> Array:
        """The implied codebook ``(K, D)``, float64: the vertices of a cube."""
        return vertices(self.n_bits, self.scale)

    def decode(self, codes: Array, *, dtype: Any = np.float32) -> Array:
        """Return the vectors ``(N, D)`` of ``codes`` ``(N,)``, as a forward pass in ``dtype``."""
        codes = require_codes(as_array(codes, "codes"), "codes", self.n_tokens)
        return _vertices_of(codes, self.n_bits, self.scale, dtype)

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Take the signs of ``z`` ``(N, D)``; the entropy gap too if ``training``."""
        z = as_points(z, "z", dim=self.n_bits)
        vectors, codes = sign_forward(z, self.scale)
        value, dcommitment = commitment(z, vectors)
        losses, entropy_cache = {"commitment": value}, None
        if training and self.entropy_weight > 0:
            group = self.group_bits or z.shape[1]
            losses["entropy"], entropy_cache = bits_entropy_forward(
                z, self.scale, self.sharpness, self.diversity, group
            )
        return Quantized(vectors, codes, losses), (dcommitment, entropy_cache)

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of ``z``: straight through, commitment and entropy gap."""
        dcommitment, entropy_cache = cache
        dz = straight_through_backward(dvectors) + self.beta * dcommitment
        if entropy_cache is not None:
            dz = dz + bits_entropy_backward(self.entropy_weight, entropy_cache)
        return dz, {}

    def view(self, z: Array) -> View:
        """Return ``z``, the vertices in its dtype, and its codes."""
        z = as_points(z, "z", dim=self.n_bits)
        return View(z, self.tokens.astype(z.dtype), self.forward(z)[0].codes)


@dataclass(frozen=True)
class LFQ(Signs, Quantizer):
    """A quantizer that keeps signs: D = log2 of ``n_tokens`` coordinates, and no codebook.

    Parameters
    ----------
    n_tokens : int
        K, a power of two.
    entropy_weight : float
        The weight of the entropy gap, which is computed in training only; 0 leaves it out.
    diversity : float
        γ of the entropy gap.
    sharpness : float
        s of the entropy gap. At 100 its gradient is alive where a coordinate is within 0.03 of 0.
    group_bits : int, optional
        Coordinates whose entropy is taken together, a divisor of D; all unless given.
    beta : float
        The weight of the commitment loss; without it a coordinate may grow for ever.

    Raises
    ------
    TypeError, ValueError
        For a count that is no power of two from 2 to 2²⁴, or settings out of range.

    Example
    -------
    >>> import numpy as np
    >>> quantizer = LFQ(n_tokens=8)
    >>> quantized, _ = quantizer.forward(np.array([[0.2, -1.0, 3.0]]))
    >>> quantized.vectors.tolist(), quantized.codes.tolist(), quantizer.bits
    ([[1.0, -1.0, 1.0]], [5], 3.0)
    """


@dataclass(frozen=True)
class BSQ(Signs, Quantizer):
    """LFQ on the unit sphere: its vectors have length 1.

    Parameters
    ----------
    n_tokens, entropy_weight, diversity, sharpness, group_bits, beta
        As for :class:`LFQ`, measured on the sphere; the published defaults differ.

    Raises
    ------
    TypeError, ValueError
        As for :class:`LFQ`.

    Example
    -------
    >>> import numpy as np
    >>> quantized, _ = BSQ(n_tokens=16).forward(np.array([[9.0, -1.0, 3.0, -5.0]]))
    >>> quantized.vectors.tolist(), quantized.codes.tolist()
    ([[0.5, -0.5, 0.5, -0.5]], [5])
    """

    sharpness: float = 1.0
    beta: float = 0.0

    @property
    def scale(self) -> float:
        """1/√D, the coordinate of every vertex."""
        return self.n_bits**-0.5

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Project ``z`` ``(N, D)`` to the sphere and take the signs."""
        units, projection = normalize_forward(as_points(z, "z"))
        quantized, cache = super().forward(units, training=training)
        return quantized, (cache, projection)

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of ``z``: straight through to the sphere, then to ``z``."""
        signs, projection = cache
        dunits, _ = super().backward(dvectors, signs)
        return normalize_backward(dunits, projection), {}

    def view(self, z: Array) -> View:
        """Return ``z`` on the sphere, where the tokens are."""
        units, _ = normalize_forward(as_points(z, "z"))
        return View(units, self.tokens.astype(units.dtype), self.forward(z)[0].codes)
