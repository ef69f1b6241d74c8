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

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numba import prange

from vqnp.jit import both, kernel, parallel_kernel
from vqnp.validation import Array, require_codes, require_finite, require_points, require_share

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
    steps: int = 0

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


def batch_statistics_loop(embeddings: Array, codes: Array, n_tokens: int) -> tuple[Array, Array]:
    """The definition of l ``(K,)`` and m ``(K, D)``, both float64: each embedding is added to the code that it chose."""
    hits = np.zeros(n_tokens)
    sums = np.zeros((n_tokens, embeddings.shape[1]))
    for i in range(len(codes)):
        k = codes[i]
        hits[k] += 1
        for d in range(embeddings.shape[1]):
            sums[k, d] += embeddings[i, d]
    return hits, sums


def batch_statistics_numpy(embeddings: Array, codes: Array, n_tokens: int) -> tuple[Array, Array]:
    """The same in NumPy."""
    hits = np.bincount(codes, minlength=n_tokens).astype(np.float64)
    sums = np.zeros((n_tokens, embeddings.shape[1]))
    np.add.at(sums, codes, embeddings)
    return hits, sums


batch_statistics = kernel(batch_statistics_loop)


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
    bias = 1 - decay**codebook.steps if dialect == "debiased" else 1.0
    weights = smoothed(codebook.counts / bias)
    if dialect == "smoothed-state":
        codebook.counts[:] = weights
    codebook.tokens[:] = codebook.sums / bias / weights[:, None]
