"""Where the first tokens come from: from the embeddings, or from random numbers.

=========  =============================================  =========================================
start      the tokens                                     used by
=========  =============================================  =========================================
k-means    the centers of the embeddings (eq. 2)          SoundStream (Zeghidour et al., 2021)
normal     N(0, 1) in each coordinate                     public notebooks
uniform    uniform between −1/K and 1/K                   public notebooks
=========  =============================================  =========================================

Random tokens know nothing of the encoder. Where its embeddings fill a range of another size, a few
tokens are nearest to all of them, and the others begin dead.

Shapes: embeddings ``(N, D)``, tokens ``(K, D)``, hits ``(K,)``.
"""

from typing import Literal

import numpy as np

from vqnp.quantize.lloyd import kmeans
from vqnp.quantize.search import nearest
from vqnp.validation import Array

TokenStart = Literal["k-means", "normal", "uniform"]


def first_tokens(
    z: Array, n_tokens: int, start: TokenStart, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return K tokens in the dtype of ``z``, and how many of the embeddings are nearest to each.

    Example
    -------
    >>> z = np.array([[0.0], [1.0], [10.0]])
    >>> first_tokens(z, 2, "k-means", np.random.default_rng(0))
    (array([[ 0.5],
           [10. ]]), array([2, 1]))
    """
    if start == "k-means":
        clusters = kmeans(z, n_tokens, rng=rng)
        return clusters.tokens, clusters.counts
    shape, width = (n_tokens, z.shape[1]), 1 / n_tokens
    drawn = rng.standard_normal(shape) if start == "normal" else rng.uniform(-width, width, shape)
    tokens = drawn.astype(z.dtype)
    return tokens, np.bincount(nearest(z, tokens)[0], minlength=n_tokens)
