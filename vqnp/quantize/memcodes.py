"""Memcodes (NWT, Mama et al., 2021): codes are drawn by attention to a memory.

Each head has K memories c_k. Two linear maps make of them the keys and values of a lookup by dot
product (``dpq.py``)::

    keys = C W_k,    values = C W_v,    l_k = z · key_k / √C

In training Gumbel noise is added to the logits, so that code k is drawn with its probability p_k.
Outside training the greatest logit is chosen and nothing is drawn. The gradient passes through the
softmax, noise included, and on to memories and maps:

    dW_k = Cᵀ dKeys,    dW_v = Cᵀ dValues,    dC = dKeys W_kᵀ + dValues W_vᵀ

There is no loss of its own. The maps begin as the identity, which is a choice of this package.

Shapes: slices z ``(N, C)`` with C = D / H, memories C, keys and values ``(K, C)``, maps ``(C, C)``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vqnp.quantize.dpq import joined_values, look_up, look_up_backward
from vqnp.quantize.joint import JointCodes
from vqnp.quantize.product import split
from vqnp.quantize.quantizer import Cache, Gradients, Quantized, Quantizer, at_start, placed
from vqnp.quantize.starts import TokenStart, first_tokens
from vqnp.validation import Array, as_points, require_integers, require_one_of, require_rng


@dataclass(frozen=True)
class Memcodes(JointCodes, Quantizer):
    """A quantizer of ``heads`` memories, from which codes are drawn in training.

    Parameters
    ----------
    n_memories : int
        K, of each head.
    heads : int
        H; D must be a multiple of it.
    start : {"normal", "k-means", "uniform"}
        Where the first memories come from; see ``starts.py``.

    Raises
    ------
    TypeError, ValueError
        For counts below 1 or an unknown start.

    Example
    -------
    >>> Memcodes(n_memories=16, heads=8).bits
    32.0
    """

    n_memories: int = 16
    heads: int = 8
    start: TokenStart = "normal"

    def __post_init__(self) -> None:
        require_integers(self, "n_memories", "heads", least=1)
        require_one_of(self.start, TokenStart, "start")

    @property
    def draws(self) -> bool:
        """True: codes are drawn in training."""
        return True

    @property
    def levels(self) -> tuple[int, ...]:
        """K, once a head."""
        return (self.n_memories,) * self.heads

    def initialize(self, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Place the memories of each head for its slices of ``z`` ``(N, D)``."""
        z, rng = at_start(z, batch, rng)
        for h, slices in enumerate(split(z, self.heads)):
            first, _ = first_tokens(slices, self.n_memories, self.start, rng)
            identity = np.eye(slices.shape[1], dtype=z.dtype)
            self.params.update({
                f"{h}.memories": first, f"{h}.keys": identity, f"{h}.values": identity.copy()
            })  # fmt: skip

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Return the values that are drawn, or outside training the most probable ones.

        Raises ``ValueError`` in training without ``rng``.
        """
        keys, values = self._mapped("keys"), self._mapped("values")
        z = as_points(z, "z", dim=self.heads * keys[0].shape[1])
        seeds: list[Any] = [None] * self.heads
        if training:
            require_rng(rng, "codes are drawn in training")
            seeds = np.random.default_rng(rng).integers(1 << 32, size=self.heads).tolist()
        return look_up(z, keys, values, keys[0].shape[1] ** 0.5, seeds)

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradients of ``z``, of the memories and of both maps."""
        dz, dkeys, dvalues = look_up_backward(dvectors, cache)
        gradients: Gradients = {}
        for h, (dkey, dvalue) in enumerate(zip(dkeys, dvalues, strict=True)):
            memories = self.params[f"{h}.memories"]
            to_keys, to_values = self.params[f"{h}.keys"], self.params[f"{h}.values"]
            gradients |= {
                f"{h}.memories": dkey @ to_keys.T + dvalue @ to_values.T,
                f"{h}.keys": memories.T @ dkey,
                f"{h}.values": memories.T @ dvalue,
            }
        return dz, gradients

    def decode(self, codes: Array) -> Array:
        """Return the vectors ``(N, D)`` of ``codes`` ``(N, H)``."""
        return joined_values(self._mapped("values"), codes)

    def _mapped(self, kind: str) -> list[Array]:
        """Return the keys or the values of every head ``(K, C)``."""
        return [
            placed(self.params, f"{h}.memories") @ self.params[f"{h}.{kind}"]
            for h in range(self.heads)
        ]
