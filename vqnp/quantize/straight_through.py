"""The straight-through estimator: forward the nearest token, backward the identity.

Looking up the nearest token (eq. 1) has a derivative of zero almost everywhere. The estimator
of Bengio et al. (2013) replaces it in the backward pass by the identity: the encoder receives
the decoder's gradient as if the embedding had not been quantized.

Shapes: embeddings, vectors and their gradients ``(N, D)``, tokens ``(K, D)``, codes ``(N,)``.
"""

from vqnp.quantize.search import search
from vqnp.validation import Codes, Points, PointsLike, Tokens, as_points, require_float


def straight_through_forward(embeddings: PointsLike, tokens: Tokens) -> tuple[Points, Codes]:
    """Return the nearest token of each embedding.

    Parameters
    ----------
    embeddings : array-like (N, D), float32 or float64
        Finite, not empty.
    tokens : array (K, D)
        The codebook, of the embeddings' dtype.

    Returns
    -------
    vectors : array (N, D)
        The nearest token of each embedding (eq. 1).
    codes : array (N,), int64
        Its index in the codebook; of equally near tokens, the lowest.

    Raises
    ------
    TypeError, ValueError
        For embeddings of another dtype or dimension than the tokens, or that are not finite.

    Example
    -------
    >>> import numpy as np
    >>> z, tokens = np.array([[0.2], [0.9]]), np.array([[0.0], [1.0]])
    >>> vectors, codes = straight_through_forward(z, tokens)
    >>> vectors.tolist(), codes.tolist()
    ([[0.0], [1.0]], [0, 1])
    """
    tokens = as_points(tokens, "tokens")
    embeddings = as_points(embeddings, "embeddings", dim=tokens.shape[1])
    if embeddings.dtype != tokens.dtype:
        raise TypeError(
            f"embeddings and tokens must have one dtype, got {embeddings.dtype} and {tokens.dtype}"
        )
    codes, _ = search(embeddings, tokens)
    return tokens.take(codes, axis=0), codes


def straight_through_backward(dvectors: Points) -> Points:
    """Return the gradient of the embeddings ``(N, D)``: that of their vectors, unchanged.

    Example
    -------
    >>> import numpy as np
    >>> straight_through_backward(np.array([[0.5]]))
    array([[0.5]])
    """
    require_float(dvectors, "dvectors")
    return dvectors
