"""The softmax, p_k = exp(l_k) / Σ_j exp(l_j), and its backward pass.

Every quantizer with soft assignments takes its exponentials and logarithms here. NumPy computes
them differently on different processors, so bits that follow from them hold on one kind of machine.

The greatest logit is subtracted first, because exp overflows float32 at 88. The derivative needs
only p:

    dL/dl_k = p_k (dL/dp_k - Σ_j p_j dL/dp_j)

An (N, K) array of a large batch does not fit into memory. :func:`row_blocks` cuts the rows so
that each piece does.

Shapes: logits and p ``(N, K)``.
"""

from collections.abc import Iterator

import numpy as np

from vqnp.validation import Array

LOGITS_A_BLOCK = 1 << 20  # 4 MB of float32; of 65,536 tokens these are still 16 rows


def log_softmax(logits: Array) -> Array:
    """Return ln p ``(N, K)``, finite wherever the logits are."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def softmax(logits: Array) -> Array:
    """Return p ``(N, K)``; each row sums to 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def softmax_backward(dp: Array, p: Array) -> Array:
    """Return the gradient of the logits ``(N, K)``; each row sums to 0."""
    return p * (dp - (p * dp).sum(axis=1, keepdims=True))


def row_blocks(n_points: int, n_tokens: int) -> Iterator[slice]:
    """Cut ``n_points`` rows of ``n_tokens`` logits into blocks of at most LOGITS_A_BLOCK logits."""
    rows = max(1, LOGITS_A_BLOCK // n_tokens)
    for start in range(0, n_points, rows):
        yield slice(start, start + rows)
