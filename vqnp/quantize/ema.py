"""The moving-average update of the codebook (eqs. 3 to 5), and four variants in published code.

For each code k, a batch gives l_k, the number of embeddings that chose it, and m_k, their sum.
With decay γ::

    M ← γ M + (1 − γ) m    (eq. 3)
    L ← γ L + (1 − γ) l    (eq. 4)
    token ← M / L          (eq. 5)

The dialects differ in the start of L and M, and in a code without hits. S is L smoothed, so that no
code has weight zero: S = (L + ε) / (ΣL + Kε) · ΣL, with ε = 1e-5.

==============  ====================  ==========================  =======  ========================
dialect         at the start          kept in L                   token    a code without hits
==============  ====================  ==========================  =======  ========================
paper           L, M from k-means     eq. 4                       M / L    stays exactly where it is
counts-one      L = 1, M = token      eq. 4                       M / S    slides to the origin
smoothed-state  L = 0, M = noise      S, stored back              M / S    is thrown far out
debiased        L = M = 0             eq. 4, read over 1 − γᵗ     M / S    is 0 after the first step
==============  ====================  ==========================  =======  ========================

All versions agree to the last bit, for any number of threads. They compute in float64, and each
code adds its embeddings in the order of the batch. They store L, M and tokens in the codebook's
dtype.

Shapes: embeddings ``(N, D)``, codes ``(N,)``, tokens, m and M ``(K, D)``, l and L ``(K,)``.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from vqnp.elementary import power
from vqnp.fast.averages import move, rows_by_code, sum_and_move
from vqnp.losses import commitment
from vqnp.quantize.codebook import Codebook, Dialect, smoothed
from vqnp.quantize.lloyd import (
    batch_statistics,
    batch_statistics_loop,
    batch_statistics_numpy,
)
from vqnp.quantize.quantizer import LATER, Cache, Gradients, Quantized, Quantizer
from vqnp.quantize.revive import Revival, revive
from vqnp.quantize.rotation import Estimator, estimate
from vqnp.quantize.starts import TokenStart, first_tokens
from vqnp.quantize.straight_through import straight_through_forward
from vqnp.validation import (
    Array,
    CodesLike,
    PointsLike,
    as_array,
    as_points,
    as_rng,
    require_codes,
    require_finite,
    require_instance,
    require_integer,
    require_labels,
    require_one_of,
    require_rng,
    require_share,
    require_weight,
)

Hits = Float[np.ndarray, "K"]

PARALLEL_COORDINATES = 1 << 14  # of the codebook; fewer have moved before a second thread wakes
SORT_COORDINATES = 1 << 18  # from this size, sort rows by code instead of allocating (K, D) sums


def ema_update_loop(
    codebook: Codebook, embeddings: Array, codes: Array, decay: float, dialect: Dialect = "paper"
) -> Array:
    """The definition of ``ema_update``, for arguments that are known to be good."""
    tokens, L, M = codebook.tokens, codebook.counts, codebook.sums
    decay = np.float64(decay)  # a plain float times a float32 would be rounded to float32
    hits, batch_sums = batch_statistics_loop(embeddings, codes, len(tokens))  # l, m
    codebook.steps += 1
    for k in range(len(tokens)):
        M[k] = decay * M[k] + (1 - decay) * batch_sums[k]  # eq. 3
        L[k] = decay * L[k] + (1 - decay) * hits[k]  # eq. 4
        if dialect == "paper" and hits[k] > 0:  # else M / L stays; computed, it would drift
            tokens[k] = M[k] / L[k]  # eq. 5
    if dialect != "paper":
        bias = 1 - power(decay, int(codebook.steps)) if dialect == "debiased" else 1
        S = smoothed(L / bias)
        for k in range(len(tokens)):
            tokens[k] = M[k] / bias / S[k]  # eq. 5, with S in place of L
        if dialect == "smoothed-state":
            L[:] = S
    return hits


def ema_update_numpy(
    codebook: Codebook, embeddings: Array, codes: Array, decay: float, dialect: Dialect = "paper"
) -> Array:
    """The same in NumPy."""
    tokens, L, M = codebook.tokens, codebook.counts, codebook.sums
    decay = np.float64(decay)
    hits, batch_sums = batch_statistics_numpy(embeddings, codes, len(tokens))
    codebook.steps += 1
    M[:] = decay * M + (1 - decay) * batch_sums  # eq. 3
    L[:] = decay * L + (1 - decay) * hits  # eq. 4
    if dialect == "paper":
        hit = hits > 0
        tokens[hit] = M[hit] / L[hit, None]  # eq. 5
    else:
        _divide_by_smoothed(codebook, decay, dialect)
    return hits


def _divide_by_smoothed(codebook: Codebook, decay: float, dialect: Dialect) -> None:
    """Eq. 5 in the other dialects: every token moves, because S is never zero."""
    bias = 1 - power(decay, int(codebook.steps)) if dialect == "debiased" else 1.0
    weights = smoothed(codebook.counts / bias)
    if dialect == "smoothed-state":
        codebook.counts[:] = weights
    codebook.tokens[:] = codebook.sums / bias / weights[:, None]


def ema_update(
    codebook: Codebook,
    embeddings: PointsLike,
    codes: CodesLike,
    decay: float,
    dialect: Dialect = "paper",
) -> Hits:
    """Apply eqs. 3 to 5 to a codebook, in place.

    Parameters
    ----------
    codebook : Codebook
        Changed in place; unchanged when something is refused.
    embeddings : array-like (N, D), float32 or float64
        A batch, without padded or masked rows.
    codes : array-like (N,), integers
        The codes that the search gave them (eq. 1).
    decay : float in [0, 1)
        γ, the share of the averages that is kept.
    dialect : {"paper", "counts-one", "smoothed-state", "debiased"}
        The variant; see the table at the top of this file.

    Returns
    -------
    array (K,), float64
        The hits l of this batch.

    Raises
    ------
    TypeError, ValueError
        For shapes or codes that do not fit, a decay outside [0, 1) or an unknown dialect.

    Example
    -------
    >>> import numpy as np
    >>> codebook = Codebook.start(np.array([[0.0], [9.0]]), np.array([2.0, 2.0]))
    >>> ema_update(codebook, np.array([[1.0], [3.0]]), np.array([0, 0]), decay=0.5).tolist()
    [2.0, 0.0]
    >>> codebook.tokens.tolist(), codebook.counts.tolist()
    ([[1.0], [9.0]], [2.0, 1.0])
    """
    require_one_of(dialect, Dialect, "dialect")
    require_instance(codebook, Codebook, "codebook")
    # Interpreted, a plain float times a float32 would be rounded to float32.
    decay = np.float64(require_share(decay, "decay"))
    k, dims = codebook.tokens.shape
    embeddings = as_points(embeddings, "embeddings", dim=dims, finite=False)
    codes = require_codes(as_array(codes, "codes"), "codes", k, len(embeddings))
    paper = dialect == "paper"
    state = codebook.tokens, codebook.counts, codebook.sums
    if codebook.sums.size < SORT_COORDINATES:
        hits, sums = batch_statistics(embeddings, codes, k)
        # A NaN in the embeddings shows in `sums`, usually the smaller array to scan.
        if not np.isfinite(sums).all():
            require_finite(embeddings, "embeddings")
        move.sized(sums.size, PARALLEL_COORDINATES)(state, hits, sums, decay, paper)
    else:
        require_finite(embeddings, "embeddings")
        starts, rows = rows_by_code(codes, k)
        hits = np.diff(starts).astype(np.float64)
        sum_and_move(state, embeddings, starts, rows, decay, paper)
    codebook.steps += 1
    if not paper:
        _divide_by_smoothed(codebook, decay, dialect)
    return hits


@dataclass(frozen=True, repr=False)
class EMA(Quantizer):
    """The paper's quantizer: nearest token, straight-through gradient, tokens by moving averages.

    Its own loss is the commitment, ``beta`` times the mean of (z - sg(token))²: it pulls each
    embedding to its token and never the other way. ``buffers`` hold the :class:`Codebook`.

    Parameters
    ----------
    n_tokens : int
        K, the size of the codebook.
    decay : float in [0, 1)
        γ of eqs. 3 and 4.
    dialect : {"paper", "counts-one", "smoothed-state", "debiased"}
        The variant of the moving averages.
    beta : float
        The weight of the commitment loss, at least 0.
    estimator : {"straight-through", "rotation", "rotation-unscaled"}
        How the gradient of a token reaches its embedding; see ``rotation.py``.
    start : {"k-means", "normal", "uniform"}
        Where the first tokens come from; see ``starts.py``.
    revival : {"none", "relative", "soundstream", "jukebox", "split"}
        What becomes of codes that are hardly used; see ``revive.py``.

    Raises
    ------
    TypeError, ValueError
        For a count below 1, a decay outside [0, 1), a negative weight, or an unknown name.

    Example
    -------
    >>> EMA(n_tokens=128)
    EMA(n_tokens=128, decay=0.9, dialect='paper', beta=0.25)
    """

    n_tokens: int = 128
    decay: float = 0.9
    dialect: Dialect = "paper"
    beta: float = 0.25
    estimator: Estimator = field(default="straight-through", metadata=LATER)
    start: TokenStart = field(default="k-means", metadata=LATER)
    revival: Revival = field(default="none", metadata=LATER)

    def __post_init__(self) -> None:
        require_integer(self.n_tokens, "n_tokens", least=1)
        require_share(self.decay, "decay")
        require_one_of(self.dialect, Dialect, "dialect")
        require_one_of(self.estimator, Estimator, "estimator")
        require_one_of(self.start, TokenStart, "start")
        require_one_of(self.revival, Revival, "revival")
        require_weight(self.beta, "beta")

    @property
    def draws(self) -> bool:
        """Whether it revives codes, which draws embeddings."""
        return self.revival != "none"

    @property
    def codebook(self) -> Codebook:
        """The codebook, which shares its arrays with ``buffers``.

        Raises ``RuntimeError`` before there is one.
        """
        if not self.buffers:
            raise RuntimeError("there is no codebook yet: call initialize(z, batch=...) first")
        kept = self.buffers
        return Codebook(kept["tokens"], kept["counts"], kept["sums"], kept["steps"])

    def use(self, codebook: Codebook) -> None:
        """Take ``codebook`` as the state, in place of any before it."""
        self.buffers.update(vars(codebook), steps=np.array(codebook.steps, np.int64))

    @property
    def tokens(self) -> Array:
        """The tokens ``(K, D)``; raises ``RuntimeError`` before ``initialize``."""
        return self.buffers["tokens"] if self.buffers else self.codebook.tokens

    def initialize(self, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Place the tokens: on embeddings ``z`` ``(N, D)`` by k-means (eq. 2), or at random.

        The averages start from the hits n of each token as a batch of ``batch`` embeddings would
        show them: L = n · batch / N.
        """
        z, rng = as_points(z, "z"), as_rng(rng)
        require_integer(batch, "batch", least=1)
        tokens, hits = first_tokens(z, self.n_tokens, self.start, rng)
        self.use(Codebook.start(tokens, hits * (batch / len(z)), self.dialect, rng=rng))

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Return the nearest tokens, their codes and the commitment loss; changes nothing."""
        vectors, codes = straight_through_forward(z, self.tokens)
        value, dcommitment = commitment(z, vectors)
        return Quantized(vectors, codes, {"commitment": value}), (z, vectors, dcommitment)

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of ``z``: by the estimator, and the commitment's."""
        z, vectors, dcommitment = cache
        return estimate(self.estimator, dvectors, z, vectors) + self.beta * dcommitment, {}

    def update(
        self, z: Array, quantized: Quantized, *, mask: Array | None = None, rng: Any = None
    ) -> Array:
        """Move the tokens towards the embeddings that chose them (eqs. 3 to 5).

        Call it after the loss is known, because output and loss belong to the tokens from before.
        Where ``mask`` is False throughout, nothing moves. The hits are those before any revival,
        which needs ``rng``. Raises as :func:`ema_update` does.
        """
        if self.draws:
            require_rng(rng, "revival draws embeddings")
        codes = quantized.codes
        if mask is not None:
            require_labels(mask, "mask", len(z), "bool")
            if not mask.any():
                return np.zeros(self.n_tokens)
            z, codes = z[mask], codes[mask]
        codebook = self.codebook
        hits = ema_update(codebook, z, codes, self.decay, self.dialect)
        if self.draws:
            bias = 1 - self.decay ** int(codebook.steps) if self.dialect == "debiased" else 1.0
            revive(codebook, z, self.revival, rng=np.random.default_rng(rng), bias=bias)
        return hits
