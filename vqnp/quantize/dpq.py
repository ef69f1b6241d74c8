"""Differentiable product quantization by softmax (DPQ-SX, Chen et al., 2020).

Each slice z of the embedding asks K keys, and is given the value of the one that answers loudest.
With the logits l_k = z · key_k / τ and p = softmax(l),

    forward     v = value_k of the greatest l_k
    backward    as if v = Σ_k p_k value_k, a mixture

So the gradient passes through the choice, and not straight through. With g = dL/dv,

    dp = g Valuesᵀ,    dl = p ⊙ (dp − Σ_k p_k dp_k)
    dz = dl Keys / τ,    dKeys = dlᵀ z / τ,    dvalue_k = Σ_{i: code(i) = k} g_i

The values have the gradient of the forward pass, in which only the chosen one took part. There is
no loss of its own. A dot product prefers long keys: the code is not that of the nearest key.

For τ → 0, p becomes the choice itself, and dz dies; for large τ the mixture is not the choice.

The published code normalizes logits over the batch. That is left out here, because then a row's
code depends on the other rows. Its other variant, DPQ-VQ, is ``Product(GradientCodebook(beta=0))``.

The logits are made a block of rows at a time, and once more in the backward pass.

Shapes: slices z ``(N, C)`` with C = D / H, keys and values ``(K, C)``, codes ``(N, H)``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vqnp.quantize.joint import JointCodes, require_joint_codes
from vqnp.quantize.lloyd import batch_statistics
from vqnp.quantize.product import join, split
from vqnp.quantize.quantizer import Cache, Gradients, Quantized, Quantizer, at_start, placed
from vqnp.quantize.softmax import row_blocks, softmax, softmax_backward
from vqnp.quantize.starts import TokenStart, first_tokens
from vqnp.validation import (
    Array,
    Codes,
    Points,
    Tokens,
    as_points,
    require_integers,
    require_one_of,
    require_positive,
)


def lookup_forward(
    z: Points, keys: Tokens, values: Tokens, temperature: float, *, seed: int | None = None
) -> tuple[Points, Codes, Cache]:
    """Return the value of the loudest key for each row ``(N, C)``, its code, and the cache.

    With a ``seed``, Gumbel noise is added to the logits, so that code k is drawn with probability
    p_k of the softmax. The noise follows from the seed: the backward pass finds it again.

    Example
    -------
    >>> keys, values = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[5.0, 5.0], [7.0, 7.0]])
    >>> vectors, codes, _ = lookup_forward(np.array([[0.2, 0.9]]), keys, values, 1.0)
    >>> vectors.tolist(), codes.tolist()
    ([[7.0, 7.0]], [1])
    """
    codes = np.empty(len(z), np.int64)
    for rows in row_blocks(len(z), len(keys)):
        codes[rows] = _logits(z, keys, temperature, rows, seed).argmax(axis=1)
    return values.take(codes, axis=0), codes, (z, keys, values, temperature, seed, codes)


def lookup_backward(dvectors: Points, cache: Cache) -> tuple[Points, Tokens, Tokens]:
    """Return the gradients of z ``(N, C)``, of the keys and of the values ``(K, C)``.

    Example
    -------
    >>> keys = values = np.array([[1.0], [-1.0]])
    >>> _, _, cache = lookup_forward(np.array([[0.0]]), keys, values, 1.0)
    >>> [gradient.tolist() for gradient in lookup_backward(np.array([[2.0]]), cache)]
    [[[2.0]], [[0.0], [0.0]], [[2.0], [0.0]]]
    """
    z, keys, values, temperature, seed, codes = cache
    dz, dkeys = np.empty_like(z), np.zeros_like(keys)
    for rows in row_blocks(len(z), len(keys)):
        p = softmax(_logits(z, keys, temperature, rows, seed))
        dlogits = softmax_backward(dvectors[rows] @ values.T, p) / z.dtype.type(temperature)
        dz[rows] = dlogits @ keys
        dkeys += dlogits.T @ z[rows]
    _, dvalues = batch_statistics(dvectors, codes, len(values))
    return dz, dkeys, dvalues.astype(values.dtype)


def _logits(z: Array, keys: Array, temperature: float, rows: slice, seed: int | None) -> Array:
    logits = z[rows] @ keys.T / z.dtype.type(temperature)
    if seed is not None:
        noise = np.random.default_rng([seed, rows.start]).gumbel(size=logits.shape)
        logits += noise.astype(logits.dtype)
    return logits


def look_up(
    z: Array, keys: list[Array], values: list[Array], temperature: float, seeds: list[Any]
) -> tuple[Quantized, Cache]:
    """Look up every slice of ``z`` ``(N, D)`` among the keys of its head."""
    slices = split(z, len(keys))
    found = [
        lookup_forward(part, key, value, temperature, seed=seed)
        for part, key, value, seed in zip(slices, keys, values, seeds, strict=True)
    ]
    vectors = join(np.stack([vectors for vectors, _, _ in found]))
    codes = np.stack([codes for _, codes, _ in found], axis=1)
    return Quantized(vectors, codes, {}), [cache for _, _, cache in found]


def look_up_backward(dvectors: Array, caches: Cache) -> tuple[Array, list[Array], list[Array]]:
    """Return the gradient of z ``(N, D)``, and those of the keys and values of each head."""
    slices = split(dvectors, len(caches))
    found = [lookup_backward(*head) for head in zip(slices, caches, strict=True)]
    dslices, dkeys, dvalues = zip(*found, strict=True)
    return join(np.stack(dslices)), list(dkeys), list(dvalues)


def joined_values(values: list[Array], codes: Array) -> Array:
    """Return the values that ``codes`` ``(N, H)`` name, side by side ``(N, D)``."""
    codes = require_joint_codes(codes, len(values[0]), len(values))
    return join(np.stack([v.take(c, axis=0) for v, c in zip(values, codes.T, strict=True)]))


@dataclass(frozen=True)
class DPQ(JointCodes, Quantizer):
    """A quantizer of ``heads`` lookups by dot product, trained through a softmax.

    Parameters
    ----------
    n_keys : int
        K, the keys and values of each head.
    heads : int
        H; D must be a multiple of it.
    temperature : float
        τ, positive.
    start : {"normal", "k-means", "uniform"}
        Where the first values come from, see ``starts.py``; the first keys are the same.

    Raises
    ------
    TypeError, ValueError
        For counts below 1, a temperature out of range, or an unknown start.

    Example
    -------
    >>> DPQ(n_keys=16, heads=8).bits
    32.0
    """

    n_keys: int = 16
    heads: int = 2
    temperature: float = 1.0
    start: TokenStart = "normal"

    def __post_init__(self) -> None:
        require_integers(self, "n_keys", "heads", least=1)
        require_positive(self.temperature, "temperature")
        require_one_of(self.start, TokenStart, "start")

    @property
    def levels(self) -> tuple[int, ...]:
        """K, once a head."""
        return (self.n_keys,) * self.heads

    def initialize(self, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Place the keys and values of each head for its slices of ``z`` ``(N, D)``."""
        z, rng = at_start(z, batch, rng)
        for h, slices in enumerate(split(z, self.heads)):
            first, _ = first_tokens(slices, self.n_keys, self.start, rng)
            self.params.update({f"{h}.keys": first, f"{h}.values": first.copy()})

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Return the value of the loudest key of each slice; changes nothing."""
        keys, values = self._all("keys"), self._all("values")
        z = as_points(z, "z", dim=self.heads * keys[0].shape[1])
        return look_up(z, keys, values, self.temperature, [None] * self.heads)

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradients of ``z``, of the keys and of the values."""
        dz, dkeys, dvalues = look_up_backward(dvectors, cache)
        gradients = {f"{h}.keys": d for h, d in enumerate(dkeys)}
        return dz, gradients | {f"{h}.values": d for h, d in enumerate(dvalues)}

    def decode(self, codes: Array) -> Array:
        """Return the vectors ``(N, D)`` of ``codes`` ``(N, H)``."""
        return joined_values(self._all("values"), codes)

    def _all(self, kind: str) -> list[Array]:
        return [placed(self.params, f"{h}.{kind}") for h in range(self.heads)]
