"""How evenly the tokens are used.

With p_k the share of the embeddings whose code is k, the perplexity exp(−Σ p_k ln p_k) is the number of equally used tokens
that would be as even. It is a number of the whole data set: a batch of B embeddings cannot show more than min(K, B), so the
mean over batches says more about the batch than about the codebook.
"""

import numpy as np

from vqnp.validation import Array, require_codes, require_integer


def perplexity(codes: Array, n_tokens: int) -> float:
    """Return exp(−Σ p ln p) of the codes ``(N,)`` of a whole data set; 0 ln 0 is 0 and nothing is added to p.

    Range [1, min(K, N)]. Healthy: a large part of K = ``n_tokens``. Collapsed: near 1, where one token serves every embedding.
    Raises ``TypeError`` or ``ValueError`` unless ``codes`` are integers in [0, K), at least one of them.
    """
    return perplexity_of_counts(_counts(codes, n_tokens))


def perplexity_of_counts(counts: Array) -> float:
    """Return the same from how often each token was chosen, ``(K,)``: whole numbers or moving averages.

    Raises ``ValueError`` unless the counts are finite, not negative, and not all zero.
    """
    counts = np.asarray(counts)
    if (
        counts.ndim != 1
        or not np.all(np.isfinite(counts))
        or np.any(counts < 0)
        or not np.any(counts > 0)
    ):
        raise ValueError(
            f"counts must be a (K,) array of finite numbers >= 0, not all zero, got {counts!r}"
        )
    return float(np.exp(entropy(counts)))


def codes_used(codes: Array, n_tokens: int) -> int:
    """Return how many of the ``n_tokens`` tokens are chosen at least once by the codes ``(N,)``.

    Range [1, min(K, N)]. Healthy: nearly K. Collapsed: few; the others are dead. Raises as ``perplexity`` does.
    """
    return int(np.count_nonzero(_counts(codes, n_tokens)))


def entropy(weights: Array) -> float:
    """Return −Σ p ln p, in nats, of ``weights`` ``(K,)`` >= 0 once they are divided by their sum."""
    shares = weights[weights > 0] / weights.sum(dtype=np.float64)
    return float(-(shares * np.log(shares)).sum())


def _counts(codes: Array, n_tokens: int) -> Array:
    codes = require_codes(codes, "codes", require_integer(n_tokens, "n_tokens", least=1))
    if not codes.size:
        raise ValueError("codes is empty")
    return np.bincount(codes, minlength=n_tokens)
