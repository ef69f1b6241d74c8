"""Projected codes (ViT-VQGAN, Yu et al., 2021): tokens are looked up in few of the dimensions.

A linear map takes the embedding from D to d dimensions, where a quantizer finds its vector q. A
second map takes q back::

    p = z W + b,    q = quantized p,    v = q W' + b'

Both maps are parameters. With g = dL/dv and the gradient dp that the quantizer returns for g W'ᵀ,

    dW' = qᵀ g,    db' = Σ_i g_i,    dz = dp Wᵀ,    dW = zᵀ dp,    db = Σ_i dp_i

The paper draws its maps at random. Here they begin with the d principal directions of the
embeddings, which lose least of them, so that a pretrained autoencoder survives the switch.

Each token is mapped back once, and not each embedding. So equal codes have equal vectors, to the
bit.

Shapes: z and v ``(N, D)``, p and q ``(N, d)``, W ``(D, d)``, W' ``(d, D)``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vqnp.quantize.cosine import Cosine
from vqnp.quantize.ema import EMA
from vqnp.quantize.parts import Wrapper, place, require_codebook, under
from vqnp.quantize.quantizer import Cache, Gradients, Quantized, Quantizer, View, at_start, placed
from vqnp.validation import Array, Points, as_points, require_integer


def principal_directions(z: Points, dim: int) -> tuple[Array, Array]:
    """Return the mean ``(D,)`` and the ``dim`` directions ``(D, dim)`` of most variance, in order.

    Example
    -------
    >>> z = np.array([[0.0, 1.0], [4.0, 1.0]])
    >>> mean, directions = principal_directions(z, 1)
    >>> mean.tolist(), np.abs(directions).tolist()
    ([2.0, 1.0], [[1.0], [0.0]])
    """
    mean = z.mean(axis=0, dtype=np.float64)
    centered = z - mean
    _, directions = np.linalg.eigh(centered.T @ centered)
    return mean, directions[:, : -dim - 1 : -1]


@dataclass(frozen=True)
class Projected(Wrapper, Quantizer):
    """A quantizer in ``dim`` dimensions, between two linear maps that are learnt.

    Parameters
    ----------
    quantizer : EMA, GradientCodebook, CVQ or Cosine
        The quantizer between the maps. It is only configuration: its arrays are kept here.
    dim : int
        d, at most the dimension of the embeddings.

    Raises
    ------
    TypeError, ValueError
        For another kind of quantizer, or a dimension below 1 or above D.

    Example
    -------
    >>> made = Projected(EMA(16), dim=2)
    >>> made.initialize(np.random.default_rng(0).normal(size=(100, 8)), batch=100)
    >>> made.tokens.shape, made.bits
    ((16, 8), 4.0)
    """

    quantizer: Quantizer = EMA()  # noqa: RUF009 (it is frozen)
    dim: int = 8

    def __post_init__(self) -> None:
        inner = self.quantizer
        require_codebook(inner.quantizer if isinstance(inner, Cosine) else inner)
        require_integer(self.dim, "dim", least=1)

    INNER = "between"

    @property
    def tokens(self) -> Array:
        """The tokens as they leave, ``(K, D)``; raises ``RuntimeError`` before ``initialize``."""
        return self._up(self.inner.tokens)

    def initialize(self, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Begin with the principal directions of embeddings ``z`` ``(N, D)``, and place tokens."""
        z, rng = at_start(z, batch, rng)
        if self.dim > z.shape[1]:
            raise ValueError(f"dim must be at most {z.shape[1]}, that of z, got {self.dim}")
        mean, directions = principal_directions(z, self.dim)
        maps = {
            "down.weight": directions,
            "down.bias": -mean @ directions,
            "up.weight": directions.T,
            "up.bias": mean,
        }
        self.params.update((name, np.array(a, z.dtype, order="C")) for name, a in maps.items())
        place(self.quantizer, self, self.INNER, self._down(z), batch=batch, rng=rng)

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Return the tokens nearest between the maps, as they leave; changes nothing."""
        made = self.inner
        z = as_points(z, "z", dim=len(self.params["down.weight"]))
        quantized, cache = made.forward(self._down(z), training=training, rng=rng)
        vectors = self._up(made.tokens).take(quantized.codes, axis=0)
        return quantized._replace(vectors=vectors), (z, quantized.vectors, cache)

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradients of ``z``, of both maps, and of what is between."""
        z, inner, cache = cache
        dp, gradients = self.inner.backward(dvectors @ self.params["up.weight"].T, cache)
        maps = {
            "down.weight": z.T @ dp,
            "down.bias": dp.sum(axis=0),
            "up.weight": inner.T @ dvectors,
            "up.bias": dvectors.sum(axis=0),
        }
        return dp @ self.params["down.weight"].T, maps | under(self.INNER, gradients)

    def update(
        self, z: Array, quantized: Quantized, *, mask: Array | None = None, rng: Any = None
    ) -> Array:
        """Update between the maps, as they are after the optimizer's step; returns the hits."""
        return self.inner.update(self._down(z), quantized, mask=mask, rng=rng)

    def view(self, z: Array) -> View:
        """Return what the quantizer between the maps looks at."""
        return self.inner.view(self._down(as_points(z, "z")))

    def _down(self, z: Array) -> Array:
        return z @ placed(self.params, "down.weight") + self.params["down.bias"]

    def _up(self, vectors: Array) -> Array:
        return vectors @ self.params["up.weight"] + self.params["up.bias"]
