"""The moving averages of eqs. 3 to 5 at speed: a block of codes at a time, on every thread.

Each function equals a part of ``quantize/ema.py``, to the last bit. A codebook with a few numbers
is moved by the sums of the batch. For a large one, the rows of the batch are sorted by code, and
each block of codes adds up its own rows while it moves.

Shapes: embeddings ``(N, D)``, codes ``(N,)``, tokens, m and M ``(K, D)``, l and L ``(K,)``.
"""

import numpy as np
from numba import prange

from vqnp.jit import both, kernel, parallel_kernel
from vqnp.validation import Array

BLOCK_COORDINATES = 1 << 12  # numbers per block, so that a block's sums fit in cache
State = tuple[Array, Array, Array]  # tokens, L and M


@both
def move(state: State, hits: Array, batch_sums: Array, decay: float, paper: bool) -> None:
    """Move every code by the batch's sums ``(K, D)``."""
    tokens, counts, sums = state
    size = max(1, BLOCK_COORDINATES // tokens.shape[1])
    for block in prange(-(-len(counts) // size)):
        rows = slice(block * size, (block + 1) * size)
        part = tokens[rows], counts[rows], sums[rows]
        _move_codes(part, hits[rows], batch_sums[rows], decay, paper)


@kernel
def _move_codes(part: State, hits: Array, batch_sums: Array, decay: float, paper: bool) -> None:
    """Apply eqs. 3 and 4 in place, and the paper's eq. 5 to the codes that were hit.

    Without hits, eq. 5 leaves a token where it is. The computed M / L would drift, because both
    fade into denormal numbers.
    """
    tokens, counts, sums = part
    average, of_batch = sums.reshape(-1), batch_sums.reshape(-1)  # one long loop vectorizes
    for i in range(len(average)):
        average[i] = decay * average[i] + (1 - decay) * of_batch[i]  # eq. 3
    for k in range(len(counts)):
        counts[k] = decay * counts[k] + (1 - decay) * hits[k]  # eq. 4
    for k in range(len(counts)):
        if paper and hits[k] > 0:
            for d in range(tokens.shape[1]):
                tokens[k, d] = sums[k, d] / counts[k]  # eq. 5


@parallel_kernel
def sum_and_move(
    state: State, embeddings: Array, starts: Array, rows: Array, decay: float, paper: bool
) -> None:
    """Do the same for rows sorted by code, and sum a block of codes at a time.

    The sums of all codes would need as much room as the codebook.
    """
    tokens, counts, sums = state
    size = max(1, BLOCK_COORDINATES // tokens.shape[1])
    for block in prange(-(-len(counts) // size)):
        first, last = block * size, min((block + 1) * size, len(counts))
        hits, batch_sums = _statistics_of(first, last, embeddings, starts, rows)
        part = tokens[first:last], counts[first:last], sums[first:last]
        _move_codes(part, hits, batch_sums, decay, paper)


@kernel
def _statistics_of(
    first: int, last: int, embeddings: Array, starts: Array, rows: Array
) -> tuple[Array, Array]:
    """Return l and m of the codes from ``first`` to before ``last``."""
    hits = np.empty(last - first)
    sums = np.zeros((last - first, embeddings.shape[1]))
    for k in range(first, last):
        hits[k - first] = starts[k + 1] - starts[k]
        for i in range(starts[k], starts[k + 1]):
            row = rows[i]
            for d in range(embeddings.shape[1]):
                sums[k - first, d] += embeddings[row, d]
    return hits, sums


@kernel
def rows_by_code(codes: Array, n_tokens: int) -> tuple[Array, Array]:
    """Sort by counting: ``rows[starts[k] : starts[k + 1]]`` chose code k, in the batch's order."""
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
