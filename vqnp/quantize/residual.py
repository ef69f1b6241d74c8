"""Residual quantization (RQ-VAE, Lee et al., 2022; SoundStream, Zeghidour et al., 2021).

Each stage quantizes what the stages before it have left::

    r_1 = z,    q_t = the nearest token of stage t to r_t,    r_{t+1} = z − (q_1 + ... + q_t)

and the vector is the sum of all T tokens, v = q_1 + ... + q_T. The search is greedy: another
combination of tokens may be nearer.

The gradient of v passes straight through to z, once and not once a stage. The losses of a stage
compare r_t with q_t; the earlier tokens in r_t are held, and the loss is the mean over the stages::

    commitment = (1/T) Σ_t ‖r_t − sg(q_t)‖² / n,    dz = g + (β/T) Σ_t 2 (r_t − q_t) / n

If r_t held z minus what was passed straight through, the losses of later stages would not reach z.

**Quantizer dropout** (SoundStream) trains one model for many rates: each embedding uses only its
first stages, drawn evenly from 1 to T. A stage that is not used has code −1, and there are neither
hits nor losses. The quantizer does not know which embeddings are of one image, so it draws for each
embedding. Outside training all stages are used.

Shapes: z, r and vectors ``(N, D)``, codes ``(N, T)``, hits ``(T, K)``.
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
    as_points,
    require_flag,
    require_integer,
    require_labels,
    require_one_of,
    require_rng,
)


@dataclass(frozen=True)
class Residual(JointCodes, Quantizer):
    """A quantizer of several stages, each for what the ones before it have left.

    Parameters
    ----------
    quantizer : EMA, GradientCodebook or CVQ
        The quantizer of a stage. It is only configuration: its arrays are kept here.
    stages : int
        T.
    dropout : bool
        In training, let each embedding use only some of the first stages.
    estimator : {"straight-through", "rotation", "rotation-unscaled"}
        How the gradient of the whole vector reaches the embedding; see ``rotation.py``.

    Raises
    ------
    TypeError, ValueError
        For another kind of quantizer, one with an estimator of its own, or an unknown estimator.

    Example
    -------
    >>> made = Residual(EMA(2), stages=2)
    >>> made.initialize(np.array([[0.0], [1.0], [10.0], [11.0]]), batch=4)
    >>> made.forward(np.array([[1.1], [9.8]]))[0].vectors.tolist()
    [[1.0], [10.0]]
    """

    quantizer: Quantizer = EMA()  # noqa: RUF009 (it is frozen)
    stages: int = 4
    dropout: bool = False
    estimator: Estimator = "straight-through"

    def __post_init__(self) -> None:
        require_codebook(self.quantizer, straight_through=True)
        require_integer(self.stages, "stages", least=1)
        require_flag(self.dropout, "dropout")
        require_one_of(self.estimator, Estimator, "estimator")

    @property
    def draws(self) -> bool:
        """Whether stages are dropped, or the quantizers of the stages draw."""
        return self.dropout or self.quantizer.draws

    @property
    def levels(self) -> tuple[int, ...]:
        """K, once a stage."""
        return (self.quantizer.n_tokens,) * self.stages

    def initialize(self, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Place the stages in order, each on what those before it leave of ``z`` ``(N, D)``."""
        z, rng = at_start(z, batch, rng)
        rest = z
        vectors = np.zeros_like(rest)
        for t in range(self.stages):
            made = place(self.quantizer, self, str(t), rest, batch=batch, rng=rng)
            vectors += made.forward(rest)[0].vectors
            rest = z - vectors

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Return the sum of the stages' tokens; changes nothing.

        Raises ``ValueError`` where stages are dropped in training and there is no ``rng``.
        """
        z = as_points(z, "z", finite=False)  # the first stage looks
        codes = np.full((len(z), self.stages), -1)
        rest, vectors, losses, caches = z, np.zeros_like(z), dict[str, float](), []
        for t, rows in enumerate(self._rows(len(z), training, rng)):
            given, cache, share = rest[rows], None, 0.0
            if len(given):
                quantized, cache = self._stage(t).forward(given, training=training, rng=rng)
                codes[rows, t] = quantized.codes
                vectors[rows] += quantized.vectors
                rest = z - vectors
                share = len(given) / len(z) / self.stages  # of all terms of the loss
                for name, value in quantized.losses.items():
                    losses[name] = losses.get(name, 0.0) + share * value
            caches.append((rows, share, cache))
        return Quantized(vectors, codes, losses), (z, vectors, caches)

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradients of ``z``, by the estimator and own losses, and of the tokens."""
        z, vectors, caches = cache
        dlosses = np.zeros_like(z)
        gradients: Gradients = {}
        for t, (rows, share, part) in enumerate(caches):
            stage = self._stage(t)
            if part is None:
                of_stage = {name: np.zeros_like(a) for name, a in stage.params.items()}
            else:
                zeros = np.broadcast_to(z.dtype.type(0), z[rows].shape)
                drest, of_stage = stage.backward(zeros, part)
                dlosses[rows] += share * drest
            gradients |= under(str(t), {name: share * d for name, d in of_stage.items()})
        return estimate(self.estimator, dvectors, z, vectors) + dlosses, gradients

    def update(
        self, z: Array, quantized: Quantized, *, mask: Array | None = None, rng: Any = None
    ) -> Array:
        """Update each stage on what it was given in ``forward``; returns the hits ``(T, K)``.

        No stage sees what the update of another has moved.
        """
        if mask is not None:
            require_labels(mask, "mask", len(z), "bool")
        vectors, rest, hits = np.zeros_like(z), z, []
        for t, codes in enumerate(quantized.codes.T):
            stage, used = self._stage(t), codes >= 0
            counted = used if mask is None else used & mask
            tokens = stage.decode(np.maximum(codes, 0))  # from before the update
            vectors += tokens * used[:, None] if self.dropout else tokens
            part, all_count = quantized._replace(codes=codes), bool(counted.all())
            hits.append(stage.update(rest, part, mask=None if all_count else counted, rng=rng))
            rest = z - vectors
        return np.stack(hits)

    def decode(self, codes: Array) -> Array:
        """Return the vectors ``(N, D)`` of ``codes`` ``(N, T)``; −1 stands for no token."""
        codes = require_joint_codes(codes, self.quantizer.n_tokens, self.stages, least=-1)
        found = [
            np.where(chosen[:, None] >= 0, self._stage(t).decode(np.maximum(chosen, 0)), 0)
            for t, chosen in enumerate(codes.T)
        ]
        return sum(found[1:], found[0])  # in the order of ``forward``

    def _stage(self, t: int) -> Quantizer:
        return borrow(self.quantizer, self, str(t))

    def _rows(self, count: int, training: bool, rng: Any) -> list[Any]:
        """Return, for each stage, the rows that use it."""
        if not (self.dropout and training):
            return [slice(None)] * self.stages
        require_rng(rng, "quantizer dropout draws stages")
        used = np.random.default_rng(rng).integers(1, self.stages, size=count, endpoint=True)
        return [np.flatnonzero(used > t) for t in range(self.stages)]
