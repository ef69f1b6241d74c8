"""The Gumbel-softmax (Jang et al., 2017; Maddison et al., 2017): a choice that can be trained.

To draw code k with probability p_k, add Gumbel noise G to the logits and take the greatest. The
softmax at temperature τ in place of the greatest passes a gradient:

    y = softmax((l + G) / τ)          dL/dl = y ⊙ (dL/dy - Σ_k y dL/dy) / τ

For τ → 0, y becomes the one-hot choice, and its gradient dies. The vectors are mixtures of tokens:

    v = y T          dL/dy = dv Tᵀ          dL/dT = yᵀ dv

Shapes: logits, noise and y ``(N, K)``, tokens T ``(K, D)``, vectors v ``(N, D)``. The noise is
given, so that gradients can be checked against differences.
"""

import numpy as np
from jaxtyping import Float

from vqnp.quantize.quantizer import Cache
from vqnp.quantize.softmax import softmax, softmax_backward
from vqnp.validation import Points, Tokens

Logits = Float[np.ndarray, "N K"]


def gumbel_softmax_forward(
    logits: Logits, noise: Logits, temperature: float
) -> tuple[Logits, Cache]:
    """Return the relaxed choices y ``(N, K)``, and the cache.

    Example
    -------
    >>> import numpy as np
    >>> y, _ = gumbel_softmax_forward(np.array([[0.0, 1.0]]), np.array([[2.0, 0.0]]), 0.1)
    >>> y.round(3).tolist()  # the noise has changed the choice
    [[1.0, 0.0]]
    """
    y = softmax((logits + noise) / logits.dtype.type(temperature))
    return y, (y, temperature)


def gumbel_softmax_backward(dy: Logits, cache: Cache) -> Logits:
    """Return the gradient of the logits ``(N, K)``.

    Example
    -------
    >>> import numpy as np
    >>> _, cache = gumbel_softmax_forward(np.zeros((1, 2)), np.zeros((1, 2)), 0.5)
    >>> gumbel_softmax_backward(np.array([[1.0, 0.0]]), cache).tolist()
    [[0.5, -0.5]]
    """
    y, temperature = cache
    return softmax_backward(dy, y) / y.dtype.type(temperature)


def mixture_forward(y: Logits, tokens: Tokens) -> Points:
    """Return the vectors y T ``(N, D)``.

    Example
    -------
    >>> import numpy as np
    >>> mixture_forward(np.array([[0.5, 0.5]]), np.array([[0.0, 2.0], [4.0, 2.0]])).tolist()
    [[2.0, 2.0]]
    """
    return y @ tokens


def mixture_backward(dvectors: Points, y: Logits, tokens: Tokens) -> tuple[Logits, Tokens]:
    """Return the gradients of y ``(N, K)`` and of the tokens ``(K, D)``.

    Example
    -------
    >>> import numpy as np
    >>> y, tokens = np.array([[0.5, 0.5]]), np.array([[0.0], [4.0]])
    >>> dy, dtokens = mixture_backward(np.array([[1.0]]), y, tokens)
    >>> dy.tolist(), dtokens.tolist()
    ([[0.0, 4.0]], [[0.5], [0.5]])
    """
    return dvectors @ tokens.T, y.T @ dvectors
