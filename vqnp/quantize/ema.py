"""The moving-average update of the codebook (eqs. 3 to 5), and the four ways it is kept in the wild.

For each code k, a batch gives l_k, the number of embeddings that chose it, and m_k, their sum. With decay γ

    M ← γ M + (1 − γ) m    (eq. 3)        L ← γ L + (1 − γ) l    (eq. 4)        token ← M / L    (eq. 5)

The dialects differ in how L and M start and in what a code without hits becomes. S is L smoothed so that no code has weight
zero: S = (L + ε) / (ΣL + Kε) · ΣL, with ε = 1e-5.

================  =========================  ===========================  =======  ==============================
dialect           at the start               kept in L                    token    a code without hits
================  =========================  ===========================  =======  ==============================
paper             L, M from k-means          eq. 4                        M / L    stays exactly where it is
counts-one        L = 1, M = token           eq. 4                        M / S    slides to the origin
smoothed-state    L = 0, M = noise           S, stored back               M / S    is thrown far out
debiased          L = M = 0                  eq. 4, read over 1 − γᵗ      M / S    is 0 after the first step
================  =========================  ===========================  =======  ==============================

Arithmetic is in float64 and each code adds its embeddings in the order of the batch, so all versions agree to the last bit for
any number of threads; L, M and the tokens are stored in the codebook's dtype.

Shapes: embeddings ``(N, D)``, codes ``(N,)``, tokens and M ``(K, D)``, l and L ``(K,)``.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numba import prange

from vqnp.jit import both, kernel, parallel_kernel
from vqnp.losses import commitment
from vqnp.quantize.lloyd import batch_statistics, kmeans
from vqnp.quantize.quantizer import Cache, Gradients, Quantized, Quantizer
from vqnp.quantize.straight_through import straight_through_backward, straight_through_forward
from vqnp.validation import (
    Array,
    require_codes,
    require_finite,
    require_integer,
    require_mask,
    require_points,
    require_share,
)

Dialect = Literal["paper", "counts-one", "smoothed-state", "debiased"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
EPSILON = 1e-5
PARALLEL_FROM = (
    1 << 14
)  # codebook coordinates; fewer have moved before a second thread has woken up
MANY = (
    1 << 18
)  # codebook coordinates; from here on, room for the batch's sums costs more than sorting by code
COORDINATES = 1 << 12  # of the codebook that a thread moves at a time: their sums stay in its cache


@dataclass
class Codebook:
    """Tokens ``(K, D)``, the moving averages behind them, L ``counts`` ``(K,)`` and M ``sums`` ``(K, D)``, and the steps taken."""

    tokens: Array
    counts: Array
    sums: Array
    steps: int | Array = 0

    @classmethod
    def start(
        cls, tokens: Array, counts: Array, dialect: Dialect = "paper", *, rng: np.random.Generator
    ) -> "Codebook":
        """Begin with ``tokens`` ``(K, D)`` in the state ``dialect`` begins with; only `smoothed-state` draws from ``rng``.

        ``counts`` ``(K,)`` are the expected hits of a batch, used by `paper` alone: L = counts, M = L · token.
        Raises ``ValueError`` for an unknown dialect or counts of another shape.
        """
        require_dialect(dialect)
        tokens = require_points(tokens, "tokens").copy()
        if np.shape(counts) != (len(tokens),):
            raise ValueError(f"counts must have shape ({len(tokens)},), got {np.shape(counts)}")
        codebook = cls(tokens, np.zeros(len(tokens), tokens.dtype), np.zeros_like(tokens))
        if dialect == "paper":
            codebook.place(np.arange(len(tokens)), tokens, counts)
        elif dialect == "counts-one":
            codebook.place(np.arange(len(tokens)), tokens, np.ones(len(tokens)))
        elif dialect == "smoothed-state":
            codebook.sums[:] = rng.standard_normal(tokens.shape)
        return codebook

    def place(self, codes: Array, tokens: Array, counts: Array) -> None:
        """Put ``codes`` at ``tokens`` with weight ``counts``: token, L and M = L · token together, so that they cannot disagree.

        A code whose token alone is moved is pulled back by its old M at the next update, and dies again.
        """
        self.tokens[codes] = tokens
        self.counts[codes] = counts
        self.sums[codes] = self.counts[codes, None] * self.tokens[codes]


def require_dialect(dialect: str) -> None:
    """Raise ``ValueError`` unless ``dialect`` is one of ``DIALECTS``."""
    if dialect not in DIALECTS:
        raise ValueError(f"dialect must be one of {', '.join(DIALECTS)}, got {dialect!r}")


@kernel
def _rows_by_code(codes: Array, n_tokens: int) -> tuple[Array, Array]:
    """Counting sort: ``rows[starts[k] : starts[k + 1]]`` are the rows of code k, in the order of the batch."""
    starts = np.zeros(n_tokens + 1, np.int64)
    for i in range(len(codes)):
        starts[codes[i] + 1] += 1
    for k in range(n_tokens):
        starts[k + 1] += starts[k]
    free = starts[:-1].copy()
    rows = np.empty(len(codes), np.int64)
    for i in range(len(codes)):
        rows[free[codes[i]]] = i
        free[codes[i]] += 1
    return starts, rows


def smoothed(counts: Array) -> Array:
    """Return S ``(K,)`` float64: ``counts`` with a little weight moved to the codes that have none; the total is kept."""
    counts = counts.astype(np.float64)
    total = counts.sum()
    return (counts + EPSILON) / (total + len(counts) * EPSILON) * total


def ema_update(
    codebook: Codebook, embeddings: Array, codes: Array, decay: float, dialect: Dialect = "paper"
) -> Array:
    """Apply eqs. 3 to 5 to ``codebook`` in place and return the hits l ``(K,)`` of this batch.

    ``embeddings`` ``(N, D)`` were given ``codes`` ``(N,)`` by the search; leave padded or masked rows out of both.
    Raises ``ValueError`` or ``TypeError`` for shapes or codes that do not fit, a decay outside [0, 1) or an unknown dialect.
    """
    require_dialect(dialect)
    decay = np.float64(
        require_share(decay, "decay")
    )  # interpreted, a float times float32 would be rounded to float32
    k, dims = codebook.tokens.shape
    embeddings = require_points(embeddings, "embeddings", dim=dims, finite=False)
    codes = require_codes(codes, "codes", k, len(embeddings))
    paper = dialect == "paper"
    if codebook.sums.size < MANY:
        hits, sums = batch_statistics(embeddings, codes, k)
        if not np.isfinite(
            sums
        ).all():  # what is not finite shows in the sums, most often the smaller array
            require_finite(embeddings, "embeddings")
        _move[sums.size >= PARALLEL_FROM](
            codebook.tokens, codebook.counts, codebook.sums, hits, sums, decay, paper
        )
    else:
        require_finite(embeddings, "embeddings")
        starts, rows = _rows_by_code(codes, k)
        hits = np.diff(starts).astype(np.float64)
        _sum_and_move(
            codebook.tokens, codebook.counts, codebook.sums, embeddings, starts, rows, decay, paper
        )
    codebook.steps += 1
    if not paper:
        _divide_by_smoothed(codebook, decay, dialect)
    return hits


@both
def _move(
    tokens: Array,
    counts: Array,
    sums: Array,
    hits: Array,
    batch_sums: Array,
    decay: float,
    paper: bool,
) -> None:
    """Move every code by the batch's sums ``(K, D)``."""
    size = max(1, COORDINATES // tokens.shape[1])
    for block in prange(-(-len(counts) // size)):
        rows = slice(block * size, (block + 1) * size)
        _move_codes(
            tokens[rows], counts[rows], sums[rows], hits[rows], batch_sums[rows], decay, paper
        )


@kernel
def _move_codes(
    tokens: Array,
    counts: Array,
    sums: Array,
    hits: Array,
    batch_sums: Array,
    decay: float,
    paper: bool,
) -> None:
    """Eqs. 3 and 4 in place; and eq. 5, as the paper has it, for the codes that were hit.

    Without hits M / L stays the same in eq. 5; computed, it drifts as both fade into denormal numbers.
    """
    average, of_batch = (
        sums.reshape(-1),
        batch_sums.reshape(-1),
    )  # one long loop vectorises, many short ones do not
    for i in range(len(average)):
        average[i] = decay * average[i] + (1 - decay) * of_batch[i]
    for k in range(len(counts)):
        counts[k] = decay * counts[k] + (1 - decay) * hits[k]
    for k in range(len(counts)):
        if paper and hits[k] > 0:
            for d in range(tokens.shape[1]):
                tokens[k, d] = sums[k, d] / counts[k]


@parallel_kernel
def _sum_and_move(
    tokens: Array,
    counts: Array,
    sums: Array,
    embeddings: Array,
    starts: Array,
    rows: Array,
    decay: float,
    paper: bool,
) -> None:
    """The same together with the batch's sums, which would else need more room than the codebook itself."""
    size = max(1, COORDINATES // tokens.shape[1])
    for block in prange(-(-len(counts) // size)):
        first, last = block * size, min((block + 1) * size, len(counts))
        hits, batch_sums = _statistics_of(first, last, embeddings, starts, rows)
        _move_codes(
            tokens[first:last], counts[first:last], sums[first:last], hits, batch_sums, decay, paper
        )


@kernel
def _statistics_of(
    first: int, last: int, embeddings: Array, starts: Array, rows: Array
) -> tuple[Array, Array]:
    """Return l and m of the codes ``first`` to ``last``."""
    hits = np.empty(last - first)
    sums = np.zeros((last - first, embeddings.shape[1]))
    for k in range(first, last):
        hits[k - first] = starts[k + 1] - starts[k]
        for i in range(starts[k], starts[k + 1]):
            row = rows[i]
            for d in range(embeddings.shape[1]):
                sums[k - first, d] += embeddings[row, d]
    return hits, sums


def _divide_by_smoothed(codebook: Codebook, decay: float, dialect: Dialect) -> None:
    """Eq. 5 as the other dialects have it: for every code, by weights that are never zero."""
    bias = 1 - decay ** int(codebook.steps) if dialect == "debiased" else 1.0
    weights = smoothed(codebook.counts / bias)
    if dialect == "smoothed-state":
        codebook.counts[:] = weights
    codebook.tokens[:] = codebook.sums / bias / weights[:, None]


@dataclass(frozen=True)
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

    Raises
    ------
    TypeError, ValueError
        For a count below 1, a decay outside [0, 1), an unknown dialect or a negative weight.

    Example
    -------
    >>> EMA(n_tokens=128)
    EMA(n_tokens=128, decay=0.9, dialect='paper', beta=0.25)
    """

    n_tokens: int = 128
    decay: float = 0.9
    dialect: Dialect = "paper"
    beta: float = 0.25

    def __post_init__(self) -> None:
        require_integer(self.n_tokens, "n_tokens", least=1)
        require_share(self.decay, "decay")
        require_dialect(self.dialect)
        if not 0 <= self.beta < math.inf:
            raise ValueError(f"beta must be at least 0 and finite, got {self.beta}")

    @property
    def initialized(self) -> bool:
        """Whether there is a codebook."""
        return bool(self.buffers)

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
        return self.codebook.tokens

    def initialize(self, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Place the tokens on embeddings ``z`` ``(N, D)`` by k-means (eq. 2).

        The averages start from the clusters' sizes n as a batch of ``batch`` embeddings would
        show them: L = n · batch / N.
        """
        rng = np.random.default_rng(rng)
        clusters = kmeans(z, self.n_tokens, rng=rng)
        expected_hits = clusters.counts * (batch / len(z))
        self.use(Codebook.start(clusters.tokens, expected_hits, self.dialect, rng=rng))

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Return the nearest tokens, their codes and the commitment loss; changes nothing."""
        vectors, codes = straight_through_forward(z, self.tokens)
        value, dcommitment = commitment(z, vectors)
        return Quantized(vectors, codes, {"commitment": value}), dcommitment

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of ``z``: straight through, and the commitment's."""
        return straight_through_backward(dvectors) + self.beta * cache, {}

    def update(
        self, z: Array, quantized: Quantized, *, mask: Array | None = None, rng: Any = None
    ) -> Array:
        """Move the tokens towards the embeddings that chose them (eqs. 3 to 5).

        Call it after the loss is known, because output and loss belong to the tokens from before.
        Where ``mask`` is False throughout, nothing moves. Raises as :func:`ema_update` does.
        """
        codes = quantized.codes
        if mask is not None:
            require_mask(mask, "mask", len(z))
            if not mask.any():
                return np.zeros(self.n_tokens)
            z, codes = z[mask], codes[mask]
        return ema_update(self.codebook, z, codes, self.decay, self.dialect)
