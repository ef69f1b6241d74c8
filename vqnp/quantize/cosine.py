"""Cosine codes (ViT-VQGAN, Yu et al., 2021): embeddings and tokens are compared by direction.

Both lie on the unit sphere, ẑ = z / ‖z‖ and ‖t_k‖ = 1. There the nearest token is the one of the
greatest cosine, because

    ‖ẑ − t‖² = 2 − 2 ẑ·t

A quantizer with a codebook does the rest on the sphere, losses included. Its tokens are put back
there by each update, whether averages or an optimizer have moved them. The gradient u that it
returns passes through the normalization (``normalize.py``),

    dz = (u − ẑ (ẑ·u)) / ‖z‖

so that it is at right angles to z. Steps along it lengthen z, and the longer z, the less it turns.
With ``radial``, as in some public code, the decoder's gradient reaches z straight, and only that of
the losses passes through the normalization. The radius is information that the codes do not carry.

Under moving averages a token is the direction of M, because L only changes its length.

Shapes: z, ẑ and vectors ``(N, D)``, tokens ``(K, D)``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vqnp.jit import kernel
from vqnp.quantize.ema import EMA
from vqnp.quantize.normalize import normalize_backward, normalize_forward
from vqnp.quantize.parts import Wrapper, place, require_codebook, under
from vqnp.quantize.quantizer import Cache, Gradients, Quantized, Quantizer, View, at_start
from vqnp.validation import Array, as_points, require_flag


def to_sphere_loop(tokens: Array, instead: Array, rounding: float) -> None:
    """Give the rows of ``tokens`` ``(K, D)`` length 1, in place; those at zero become ``instead``.

    A row that has length 1 up to ``rounding`` is left to the bit, so that a code without hits
    stays.
    """
    for k in range(len(tokens)):
        squared = 0.0
        for d in range(tokens.shape[1]):
            squared += np.float64(tokens[k, d]) * np.float64(tokens[k, d])
        if squared == 0:
            tokens[k] = instead[k]
        elif abs(squared - 1) > rounding:
            length = np.sqrt(squared)
            for d in range(tokens.shape[1]):
                tokens[k, d] = tokens[k, d] / length


_to_sphere = kernel(to_sphere_loop)


def to_sphere(tokens: Array, instead: Array) -> None:
    """Do the same, compiled; a few units of the last place of ``tokens`` are rounding."""
    _to_sphere(tokens, instead, 4 * float(np.finfo(tokens.dtype).eps))


@dataclass(frozen=True)
class Cosine(Wrapper, Quantizer):
    """A quantizer with a codebook, on the unit sphere.

    Parameters
    ----------
    quantizer : EMA, GradientCodebook or CVQ
        The quantizer that works on the sphere. It is only configuration: its arrays are kept here.
    radial : bool
        Let the decoder's gradient reach z without the normalization.

    Raises
    ------
    TypeError
        For a quantizer that has no codebook to put on the sphere.
    ValueError
        When embeddings of one dimension come: they have two directions only.

    Example
    -------
    >>> made = Cosine(EMA(2))
    >>> made.initialize(np.array([[3.0, 0.0], [0.0, 5.0]]), batch=2)
    >>> made.forward(np.array([[9.0, 1.0]]))[0].vectors.tolist()
    [[1.0, 0.0]]
    """

    quantizer: Quantizer = EMA()  # noqa: RUF009 (it is frozen)
    radial: bool = False

    def __post_init__(self) -> None:
        require_codebook(self.quantizer)
        require_flag(self.radial, "radial")

    INNER = "sphere"

    def initialize(self, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Place the tokens on the directions of embeddings ``z`` ``(N, D)``, or at random."""
        z, rng = at_start(z, batch, rng)
        if z.shape[1] == 1:
            raise ValueError("cosine codes need two dimensions: on a line are two directions")
        units, _ = normalize_forward(z)
        made = place(self.quantizer, self, self.INNER, units, batch=batch, rng=rng)
        axis = np.zeros_like(made.tokens)
        axis[:, 0] = 1  # any direction will do
        to_sphere(made.tokens, axis)

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Return the tokens of the nearest direction; changes nothing."""
        units, normalized = normalize_forward(as_points(z, "z"))
        quantized, cache = self.inner.forward(units, training=training, rng=rng)
        return quantized, (cache, normalized)

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of ``z`` and of the tokens."""
        cache, normalized = cache
        made = self.inner
        du, gradients = made.backward(0 * dvectors if self.radial else dvectors, cache)
        dz = normalize_backward(du, normalized)
        of_tokens = normalize_forward(made.tokens)[1] if gradients else None
        gradients = {name: normalize_backward(d, of_tokens) for name, d in gradients.items()}
        return dvectors + dz if self.radial else dz, under(self.INNER, gradients)

    def update(
        self, z: Array, quantized: Quantized, *, mask: Array | None = None, rng: Any = None
    ) -> Array:
        """Update on the sphere, and put the tokens back there; returns the hits ``(K,)``.

        A token whose M is zero, because its hits cancel, stays where it was.
        """
        made = self.inner
        before = made.tokens.copy()
        hits = made.update(normalize_forward(z)[0], quantized, mask=mask, rng=rng)
        to_sphere(made.tokens, before)
        return hits

    def view(self, z: Array) -> View:
        """Return the directions of ``z``: lengths have no part in the codes."""
        return View(normalize_forward(as_points(z, "z"))[0], self.tokens, self.forward(z)[0].codes)
