"""Usage: how evenly the tokens are chosen.

The share p_k of the embeddings has code k. The perplexity exp(−Σ p_k ln p_k) is the number of
equally used tokens that would be as even. It belongs to the whole data set, because a batch of B
embeddings shows at most min(K, B). A mean over batches describes the batch more than the codebook.
"""

import numpy as np

from vqnp.elementary import exp, logs
from vqnp.validation import (
    Array,
    CodesLike,
    Counts,
    CountsLike,
    as_array,
    require_codes,
    require_integer,
)


def perplexity(codes: CodesLike, n_tokens: int) -> float:
    """Return exp(−Σ p ln p) of the codes of a whole data set.

    A healthy codebook reaches a large part of K. A collapsed one is near 1, because one token
    serves every embedding. Here 0 ln 0 is 0, and no small constant is added to p.

    Parameters
    ----------
    codes : array-like (N,) of integers
        Codes in [0, K).
    n_tokens : int
        K, the size of the codebook.

    Returns
    -------
    float
        In [1, min(K, N)].

    Raises
    ------
    TypeError, ValueError
        For codes that are no integers in [0, K), and for no codes.

    Examples
    --------
    >>> perplexity([0, 0, 1, 1], n_tokens=8)
    2.0
    """
    return perplexity_of_counts(counts_of(codes, n_tokens))


def perplexity_of_counts(counts: CountsLike) -> float:
    """Return the perplexity from the number of times that each token was chosen.

    Parameters
    ----------
    counts : array-like (K,)
        Whole numbers, or moving averages of them.

    Returns
    -------
    float
        In [1, K].

    Raises
    ------
    ValueError
        For counts that are negative, not finite, or all zero.

    Examples
    --------
    >>> perplexity_of_counts([5, 5, 0, 0])
    2.0
    """
    counts = as_array(counts, "counts")
    if counts.ndim != 1 or not np.all(np.isfinite(counts) & (counts >= 0)) or not counts.any():
        raise ValueError(
            f"counts must be a (K,) array of finite numbers >= 0, not all zero, got {counts!r}"
        )
    return exp(entropy(counts))


def codes_used(codes: CodesLike, n_tokens: int) -> int:
    """Return the number of tokens that are chosen at least once.

    A healthy codebook uses nearly all. The unused ones are called dead.

    Parameters
    ----------
    codes, n_tokens
        As in ``perplexity``, which raises the same errors.

    Returns
    -------
    int
        In [1, min(K, N)].

    Examples
    --------
    >>> codes_used([0, 0, 1, 7], n_tokens=8)
    3
    """
    return int(np.count_nonzero(counts_of(codes, n_tokens)))


def entropy(weights: Array) -> float:
    """Return −Σ p ln p in nats, where p are ``weights`` ``(K,)`` >= 0 divided by their sum."""
    shares = weights[weights > 0] / weights.sum(dtype=np.float64)
    return float(-(shares * logs(shares)).sum())


def counts_of(codes: CodesLike, n_tokens: int) -> Counts:
    """Return how often each of ``n_tokens`` codes occurs ``(K,)``; none at all is refused."""
    n_tokens = require_integer(n_tokens, "n_tokens", least=1)
    codes = require_codes(as_array(codes, "codes"), "codes", n_tokens)
    if not codes.size:
        raise ValueError("codes is empty")
    return np.bincount(codes, minlength=n_tokens)
