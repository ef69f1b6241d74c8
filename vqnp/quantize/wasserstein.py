"""Gaussian Wasserstein matching (Fang et al., 2025): embeddings and tokens should be spread alike.

Of two Gaussian distributions with the means and covariances of embeddings and tokens, the squared
Wasserstein distance has a closed form. It is the least mean squared way that turns one into the
other. Divided by D, it is a loss per coordinate:

    W = ‖μ_z - μ_T‖² + tr(Σ_z + Σ_T - 2 (Σ_z^½ Σ_T Σ_z^½)^½)

The best way is a linear map. From tokens to embeddings it is A = Σ_z^½ (Σ_z^½ Σ_T Σ_z^½)^-½ Σ_z^½,
and every token is drawn to where it would be sent:

    dW/dT = 2/K (μ_T - μ_z) + 2/K (T - μ_T)(I - A)

The gradient of z is the same with the roles exchanged. Where tokens have shrunk to a corner of the
embeddings, or spread beyond them, this loss says so, whichever token is chosen. It does not see
more than means and covariances.

Shapes: z ``(N, D)``, tokens T ``(K, D)``, covariances and A ``(D, D)``. All in float64.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vqnp.quantize.gradient_codebook import LearntTokens
from vqnp.quantize.quantizer import Cache, Gradients, Quantized, Quantizer
from vqnp.quantize.starts import TokenStart
from vqnp.validation import Array, Points, Tokens, require_weight

FLAT = 1e-12  # of the greatest eigenvalue; a direction with less is one that nothing is spread in


def wasserstein_forward(z: Points, tokens: Tokens) -> tuple[float, Cache]:
    """Return the squared distance per coordinate, and the cache.

    Example
    -------
    >>> import numpy as np
    >>> z, tokens = np.array([[-2.0], [2.0]]), np.array([[4.0], [4.0], [6.0], [6.0]])
    >>> wasserstein_forward(z, tokens)[0]  # means 0 and 5, deviations 2 and 1
    26.0
    """
    (z_away, z_mean), (t_away, t_mean) = _centered(z), _centered(tokens)
    z_cov, t_cov = z_away.T @ z_away / len(z), t_away.T @ t_away / len(tokens)
    root = _power(z_cov, 0.5)
    overlap = np.trace(_power(root @ t_cov @ root, 0.5))
    gap = t_mean - z_mean
    value = gap @ gap + np.trace(z_cov) + np.trace(t_cov) - 2 * overlap
    return float(value) / z.shape[1], (z, z_away, t_away, z_cov, t_cov, gap)


def wasserstein_backward(dvalue: float, cache: Cache) -> tuple[Points, Tokens]:
    """Return the gradients of z ``(N, D)`` and of the tokens ``(K, D)``.

    Example
    -------
    >>> import numpy as np
    >>> z, tokens = np.array([[-2.0], [2.0]]), np.array([[-1.0], [1.0]])
    >>> _, cache = wasserstein_forward(z, tokens)
    >>> dz, dtokens = wasserstein_backward(1.0, cache)
    >>> dtokens.round(12).tolist()  # away from each other
    [[1.0], [-1.0]]
    """
    z, z_away, t_away, z_cov, t_cov, gap = cache
    still = np.eye(len(gap))
    scale = 2 * dvalue / len(gap)
    dz = scale / len(z_away) * (z_away @ (still - _transport(z_cov, t_cov)) - gap)
    dtokens = scale / len(t_away) * (t_away @ (still - _transport(t_cov, z_cov)) + gap)
    return dz.astype(z.dtype), dtokens.astype(z.dtype)


def _centered(points: Array) -> tuple[Array, Array]:
    wide = points.astype(np.float64)
    mean = wide.mean(axis=0)
    return wide - mean, mean


def _transport(source: Array, target: Array) -> Array:
    """Return the linear map that turns one Gaussian distribution into another ``(D, D)``."""
    root = _power(target, 0.5)
    return root @ _power(root @ source @ root, -0.5) @ root


def _power(matrix: Array, exponent: float) -> Array:
    """Return a power of a symmetric matrix; flat directions stay flat, whatever the exponent."""
    values, vectors = np.linalg.eigh(matrix)
    spread = values > FLAT * max(values[-1], 0)
    powers = np.zeros_like(values)
    powers[spread] = values[spread] ** exponent
    return (vectors * powers) @ vectors.T


@dataclass(frozen=True)
class WassersteinVQ(LearntTokens, Quantizer):
    """A codebook learnt by gradient whose spread is matched to that of the embeddings.

    Parameters
    ----------
    weight : float
        The weight of the distance, per coordinate.
    n_tokens, beta, start
        As for :class:`~vqnp.quantize.GradientCodebook`.

    Raises
    ------
    TypeError, ValueError
        For a count below 1, a negative weight or an unknown start.

    Example
    -------
    >>> import numpy as np
    >>> quantizer, z = WassersteinVQ(n_tokens=2), np.array([[0.0], [9.0]])
    >>> quantizer.initialize(z, batch=2)
    >>> quantizer.forward(z)[0].losses["wasserstein"]  # the tokens are the embeddings
    0.0
    """

    weight: float = 0.1
    beta: float = 0.25
    start: TokenStart = "k-means"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_weight(self.weight, "weight")

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        quantized, cache = super().forward(z)
        quantized.losses["wasserstein"], matching = wasserstein_forward(z, self.tokens)
        return quantized, (cache, matching)

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        nearest, matching = cache
        dz, gradients = super().backward(dvectors, nearest)
        if self.weight > 0:
            moved, pulled = wasserstein_backward(self.weight, matching)
            dz, gradients["tokens"] = dz + moved, gradients["tokens"] + pulled
        return dz, gradients
