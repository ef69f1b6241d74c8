"""Product quantization (Jégou et al., 2011): each slice of the embedding has its own code.

The D coordinates are cut into H slices of D / H, the heads. Each slice is quantized by a codebook
of K tokens, and the vector is the tokens side by side. So H searches among K tokens name one of
K^H vectors. Squared distances add up over slices, so it is the nearest of all of them.

Losses are means over all coordinates, which is the mean of the heads' losses, and so are their
gradients. With the gradients c_h of the heads' own losses,

    dz = g + (c_1 | c_2 | ... | c_H) / H

Heads may share one codebook, which then learns from all N H slices.

Shapes: z and vectors ``(N, D)``, slices ``(H, N, D/H)``, codes ``(N, H)``, hits ``(H, K)``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vqnp.quantize.ema import EMA
from vqnp.quantize.joint import JointCodes, require_joint_codes
from vqnp.quantize.parts import borrow, place, require_codebook, under
from vqnp.quantize.quantizer import Cache, Gradients, Quantized, Quantizer, at_start
from vqnp.quantize.rotation import Estimator, estimate
from vqnp.validation import (
    Array,
    Points,
    as_points,
    require_flag,
    require_integer,
    require_labels,
    require_one_of,
)


def split(z: Points, heads: int) -> Array:
    """Cut ``z`` ``(N, D)`` into slices ``(H, N, D/H)``; its backward is :func:`join`.

    Raises ``ValueError`` where D is not a multiple of H.

    Example
    -------
    >>> split(np.array([[1.0, 2.0, 3.0, 4.0]]), heads=2).tolist()
    [[[1.0, 2.0]], [[3.0, 4.0]]]
    """
    if z.shape[1] % heads:
        raise ValueError(
            f"embeddings must have shape (N, D) with D a multiple of {heads}, one slice a head, "
            f"got {z.shape}"
        )
    return np.ascontiguousarray(z.reshape(len(z), heads, -1).swapaxes(0, 1))


def join(slices: Array) -> Array:
    """Put slices ``(H, N, D/H)`` side by side ``(N, D)``; its backward is :func:`split`.

    Example
    -------
    >>> join(np.array([[[1.0, 2.0]], [[3.0, 4.0]]])).tolist()
    [[1.0, 2.0, 3.0, 4.0]]
    """
    return slices.swapaxes(0, 1).reshape(slices.shape[1], -1)


@dataclass(frozen=True)
class Product(JointCodes, Quantizer):
    """A quantizer of ``heads`` codebooks, one for each slice of the embedding.

    Parameters
    ----------
    quantizer : EMA, GradientCodebook or CVQ
        The quantizer of a slice. It is only configuration: its arrays are kept here.
    heads : int
        H; D must be a multiple of it.
    shared : bool
        One codebook for all heads.
    estimator : {"straight-through", "rotation", "rotation-unscaled"}
        How the gradient of the whole vector reaches the embedding; see ``rotation.py``.

    Raises
    ------
    TypeError, ValueError
        For another kind of quantizer, one with an estimator of its own, or an unknown estimator.

    Example
    -------
    >>> made = Product(EMA(16), heads=2)
    >>> made.bits, made.n_tokens
    (8.0, 256)
    """

    quantizer: Quantizer = EMA(16)  # noqa: RUF009 (it is frozen)
    heads: int = 2
    shared: bool = False
    estimator: Estimator = "straight-through"

    def __post_init__(self) -> None:
        require_codebook(self.quantizer, straight_through=True)
        require_integer(self.heads, "heads", least=1)
        require_flag(self.shared, "shared")
        require_one_of(self.estimator, Estimator, "estimator")

    @property
    def draws(self) -> bool:
        """Whether the quantizers of the slices draw."""
        return self.quantizer.draws

    @property
    def levels(self) -> tuple[int, ...]:
        """K, once a head."""
        return (self.quantizer.n_tokens,) * self.heads

    def initialize(self, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Place each codebook on its slices of embeddings ``z`` ``(N, D)``, in order."""
        z, rng = at_start(z, batch, rng)
        for name, slices in self._by_book(split(z, self.heads)):
            share = batch * len(slices) // len(z)
            place(self.quantizer, self, name, slices, batch=share, rng=rng)

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Return the nearest token of each slice, side by side; changes nothing."""
        z = as_points(z, "z", finite=False)  # the quantizers of the slices look
        found = [
            borrow(self.quantizer, self, name).forward(slices, training=training, rng=rng)
            for name, slices in self._by_book(split(z, self.heads))
        ]
        vectors = join(self._heads([part.vectors for part, _ in found]))
        codes = self._heads([part.codes for part, _ in found]).T
        losses = {
            name: sum(part.losses[name] for part, _ in found) / len(found)
            for name in found[0][0].losses
        }
        return Quantized(vectors, codes, losses), (z, vectors, [cache for _, cache in found])

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradients of ``z``, by the estimator and own losses, and of the tokens."""
        z, vectors, caches = cache
        own: list[Array] = []
        gradients: Gradients = {}
        zeros = self._by_book(np.zeros((self.heads, len(z), z.shape[1] // self.heads), z.dtype))
        for (name, dslices), part in zip(zeros, caches, strict=True):
            dlosses, of_part = borrow(self.quantizer, self, name).backward(dslices, part)
            own.append(dlosses / len(caches))
            gradients |= under(name, {key: d / len(caches) for key, d in of_part.items()})
        dz = estimate(self.estimator, dvectors, z, vectors) + join(self._heads(own))
        return dz, gradients

    def update(
        self, z: Array, quantized: Quantized, *, mask: Array | None = None, rng: Any = None
    ) -> Array:
        """Update each codebook on its slices; returns the hits ``(H, K)`` of each head."""
        if mask is not None:
            require_labels(mask, "mask", len(z), "bool")
        codes = quantized.codes.T  # (H, N)
        masks = np.tile(mask, self.heads) if mask is not None and self.shared else mask
        slices, hits = self._by_book(split(z, self.heads)), []
        for (name, rows), (_, chosen) in zip(slices, self._by_book(codes), strict=True):
            part, of_part = borrow(self.quantizer, self, name), quantized._replace(codes=chosen)
            hits.append(part.update(rows, of_part, mask=masks, rng=rng))
        if self.shared:
            return super().update(z, quantized, mask=mask)
        return np.stack(hits)

    def decode(self, codes: Array) -> Array:
        """Return the vectors ``(N, D)`` of ``codes`` ``(N, H)``."""
        codes = require_joint_codes(codes, self.quantizer.n_tokens, self.heads)
        parts = [
            borrow(self.quantizer, self, name).decode(chosen)
            for name, chosen in self._by_book(codes.T)
        ]
        return join(self._heads(parts))

    def _by_book(self, heads: Array) -> list[tuple[str, Array]]:
        """Name the codebooks, each with its part of an array ``(H, N, ...)``."""
        if self.shared:
            heads = heads.reshape(1, -1, *heads.shape[2:])
        return [(str(h), part) for h, part in enumerate(heads)]

    def _heads(self, parts: list[Array]) -> Array:
        """Return what the codebooks gave, one after the other, as one array ``(H, N, ...)``."""
        rows = np.concatenate(parts)
        return rows.reshape(self.heads, len(rows) // self.heads, *rows.shape[1:])
