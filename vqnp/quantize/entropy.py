"""The entropy loss of soft codes: each embedding sure of its code, and all codes in use.

MaskGIT, MAGVIT-v2 (Yu et al., 2023) and BSQ (Zhao et al., 2024) add it to keep a codebook alive.
An embedding chooses code k softly, with the probability

    p_nk = softmax_k(-s ‖z_n - t_k‖²)

The sharpness s is an inverse temperature. With the entropy H(p) = -Σ_k p_k ln p_k and the mean
p̄ of the rows of p, the loss in nats is

    gap = mean_n H(p_n) - γ H(p̄)

The first term is small when every embedding is sure, the second large when the codes are used
evenly. For γ = 1 the gap is minus the mutual information of embedding and code. So it lies
between -min(ln K, ln N) and 0, and a negative loss is no mistake. Backward, with P the rows p_n:

    A = γ ln p̄ - ln P,     dl = P ⊙ (A - Σ_k P A) / N
    dz = 2 s dl T,         dT = 2 s (dlᵀ z - (Σ_n dl) T)

Only the tokens' norms enter beside z · t, because ‖z_n‖² is the same for all codes of a row.

Shapes: z ``(N, D)``, tokens T ``(K, D)``; P ``(N, K)`` exists only a block of rows at a time.
"""

from collections.abc import Iterator

import numpy as np

from vqnp.quantize.quantizer import Cache
from vqnp.quantize.softmax import log_softmax, row_blocks, softmax_backward
from vqnp.validation import Array, Points, Tokens


def entropy_gap_forward(
    z: Points, tokens: Tokens, sharpness: float, diversity: float = 1.0
) -> tuple[float, Cache]:
    """Return mean_n H(p_n) - ``diversity`` · H(p̄) in nats, and the cache.

    ``sharpness`` is s and ``diversity`` is γ.

    Example
    -------
    >>> import numpy as np
    >>> z = np.array([[0.0], [1.0]])  # two codes, each surely chosen by one of two
    >>> gap, _ = entropy_gap_forward(z, z, sharpness=100)
    >>> round(gap, 6)  # -ln 2
    -0.693147
    """
    sample, mean = 0.0, np.zeros(len(tokens))
    for _, log_p in _log_probabilities(z, tokens, sharpness):
        p = np.exp(log_p)
        sample -= float((p * log_p).sum(dtype=np.float64))
        mean += p.sum(axis=0, dtype=np.float64)
    mean /= len(z)
    # A code that no embedding can reach has p̄ = 0 and adds 0 · ln 0 = 0.
    log_mean = np.log(mean, out=np.zeros_like(mean), where=mean > 0)
    gap = sample / len(z) + diversity * float(mean @ log_mean)
    return gap, (z, tokens, sharpness, diversity * log_mean)


def entropy_gap_backward(dgap: float, cache: Cache) -> tuple[Points, Tokens]:
    """Return the gradients of z ``(N, D)`` and of the tokens ``(K, D)``.

    Example
    -------
    >>> import numpy as np
    >>> z = np.array([[0.1], [0.1]])  # both alike: nothing can be told from a code
    >>> _, cache = entropy_gap_forward(z, np.array([[-1.0], [1.0]]), sharpness=1)
    >>> entropy_gap_backward(1.0, cache)[0].round(12).tolist()
    [[0.0], [0.0]]
    """
    z, tokens, sharpness, log_mean = cache
    log_mean = log_mean.astype(z.dtype)
    scale = z.dtype.type(2 * sharpness * dgap / len(z))
    dz, dtokens, weights = np.empty_like(z), np.zeros_like(tokens), np.zeros_like(log_mean)
    for rows, log_p in _log_probabilities(z, tokens, sharpness):
        dlogits = softmax_backward(log_mean - log_p, np.exp(log_p))
        dz[rows] = scale * (dlogits @ tokens)
        dtokens += dlogits.T @ z[rows]
        weights += dlogits.sum(axis=0)
    return dz, scale * (dtokens - weights[:, None] * tokens)


def _log_probabilities(z: Array, tokens: Array, sharpness: float) -> Iterator[tuple[slice, Array]]:
    """Give ln p of a block of rows after another."""
    s = z.dtype.type(sharpness)
    squares = (tokens * tokens).sum(axis=1)
    for rows in row_blocks(len(z), len(tokens)):
        yield rows, log_softmax(s * (2 * (z[rows] @ tokens.T) - squares))
