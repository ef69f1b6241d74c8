"""SimVQ (Zhu et al., 2024): a frozen cloud of codes, and one learnt map that makes tokens of it.

    T = C W + b

C is drawn once and never changes; the map W and the offset b are parameters. A codebook learnt by
gradient moves only the tokens that were chosen. Here every chosen token moves the map, and hence
all tokens:

    G = Σ_n 2 (t_n - z_n) / (N D), each at its code k    dW = Cᵀ G,   db = Σ_k G_k

So an unused token cannot be left behind. The price: the cloud of tokens is an affine image of a
Gaussian cloud. It can follow mean and covariance of the embeddings, but not their modes.

Codebook and commitment losses are those of ``gradient_codebook.py``.

Shapes: z and vectors ``(N, D)``, C and tokens T ``(K, D)``, W ``(D, D)``, b ``(D,)``.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from vqnp.quantize.gradient_codebook import LearntTokens
from vqnp.quantize.lloyd import kmeans
from vqnp.quantize.quantizer import Cache, Gradients, Quantizer, at_start, placed
from vqnp.validation import Array, Tokens, require_one_of

Map = Float[np.ndarray, "D D"]
Offset = Float[np.ndarray, "D"]
Cloud = Literal["normal", "k-means"]


def mapped_tokens_forward(cloud: Tokens, weight: Map, bias: Offset) -> Tokens:
    """Return the tokens C W + b ``(K, D)``.

    Example
    -------
    >>> import numpy as np
    >>> mapped_tokens_forward(np.eye(2), 2 * np.eye(2), np.array([1.0, 0.0])).tolist()
    [[3.0, 0.0], [1.0, 2.0]]
    """
    return cloud @ weight + bias


def mapped_tokens_backward(dtokens: Tokens, cloud: Tokens) -> tuple[Map, Offset]:
    """Return the gradients of W ``(D, D)`` and b ``(D,)``.

    Example
    -------
    >>> import numpy as np
    >>> dweight, dbias = mapped_tokens_backward(np.array([[0.0], [3.0]]), np.array([[1.0], [2.0]]))
    >>> dweight.tolist(), dbias.tolist()
    ([[6.0]], [3.0])
    """
    return cloud.T @ dtokens, dtokens.sum(axis=0)


@dataclass(frozen=True)
class SimVQ(LearntTokens, Quantizer):
    """Nearest of the tokens C W + b, where only W and b are learnt.

    Parameters
    ----------
    n_tokens, beta
        As for :class:`~vqnp.quantize.GradientCodebook`.
    cloud : {"normal", "k-means"}
        C. The published one is Gaussian with deviation 1/√D, and W is drawn too. After ``k-means``
        C holds the k-means tokens of the embeddings and W is the identity, so that quantization
        begins as with any other codebook; this start is ours.

    Raises
    ------
    TypeError, ValueError
        For a count below 1, a negative weight or an unknown cloud.

    Example
    -------
    >>> import numpy as np
    >>> quantizer = SimVQ(n_tokens=2, cloud="k-means")
    >>> quantizer.initialize(np.array([[0.0], [1.0], [10.0]]), batch=3)
    >>> sorted(quantizer.tokens.tolist()), quantizer.params["weight"].tolist()
    ([[0.5], [10.0]], [[1.0]])
    """

    beta: float = 0.25
    cloud: Cloud = "normal"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of(self.cloud, Cloud, "cloud")

    @property
    def tokens(self) -> Array:
        """The tokens ``(K, D)``, made of the cloud; raises ``RuntimeError`` before there is one."""
        cloud = placed(self.buffers, "cloud")
        return mapped_tokens_forward(cloud, self.params["weight"], self.params["bias"])

    def initialize(self, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Draw the cloud, or place it on embeddings ``z`` ``(N, D)``, in their dtype."""
        z, rng = at_start(z, batch, rng)
        dim = z.shape[1]
        if self.cloud == "k-means":
            cloud, weight = kmeans(z, self.n_tokens, rng=rng).tokens, np.eye(dim)
            bias = np.zeros(dim)
        else:
            cloud = rng.normal(0, dim**-0.5, size=(self.n_tokens, dim))
            weight = rng.uniform(-(dim**-0.5), dim**-0.5, size=(dim, dim))
            bias = rng.uniform(-(dim**-0.5), dim**-0.5, size=dim)
        self.buffers["cloud"] = cloud.astype(z.dtype)
        self.params.update(weight=weight.astype(z.dtype), bias=bias.astype(z.dtype))

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradients of ``z``, of the map and of the offset."""
        dz, gradients = super().backward(dvectors, cache)
        g = gradients["tokens"]
        dweight, dbias = mapped_tokens_backward(g, self.buffers["cloud"])
        return dz, {"weight": dweight, "bias": dbias}
