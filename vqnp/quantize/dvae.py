"""The discrete VAE: an encoder that says how probable each code is (dVAE), or how evident (EdVAE).

The embeddings are K logits, so the encoder's last layer is as wide as the codebook. In training the
decoder sees a mixture of tokens, by the Gumbel-softmax of ``gumbel.py``. Outside of training it
sees the token of the greatest logit, and nothing is drawn. Tokens are parameters, and there is no
straight-through and no pull to tokens. A divergence from a prior keeps all codes in use:

**dVAE** (Ramesh et al., 2021), with p = softmax(l), from the uniform choice:

    KL = Σ_k p_k (ln p_k + ln K)                dKL/dl = p ⊙ (ln p + ln K - KL)

**EdVAE** (Baykal et al., 2024), from the flat Dirichlet distribution. A logit is evidence, α is at
least 1, and S = Σα. The choice has probabilities α / S, whose logarithm is ln α up to a constant:

    α = exp(min(l, 20)) + 1
    KL = ln Γ(S) - Σ ln Γ(α_k) - ln Γ(K) + Σ (α_k - 1)(ψ(α_k) - ψ(S))
    dKL/dα_k = (α_k - 1) ψ'(α_k) - (S - K) ψ'(S)

EdVAE differs from dVAE in three things: a limit on the logits, the 1 in α, and its divergence.
``DVAE(limit=20)`` has the first alone, ``EdVAE(kl_weight=0)`` all but the last.

Temperature and weight follow cosines over the training steps: 1 → ``final_temperature`` and
0 → ``kl_weight``.

Shapes: z are the logits ``(N, K)``, vectors ``(N, D)``, tokens ``(K, D)``, codes ``(N,)``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln, psi

from vqnp.jit import kernel
from vqnp.quantize.gumbel import (
    Logits,
    gumbel_softmax_backward,
    gumbel_softmax_forward,
    mixture_backward,
    mixture_forward,
)
from vqnp.quantize.quantizer import (
    Cache,
    Gradients,
    Quantized,
    Quantizer,
    View,
    at_start,
    count_hits,
    placed,
)
from vqnp.quantize.softmax import log_softmax, softmax
from vqnp.validation import (
    Array,
    as_points,
    require_integers,
    require_positive,
    require_weight,
)

MOST_EVIDENCE = 20.0  # exp overflows float32 at 88


def categorical_kl(logits: Logits) -> tuple[float, Logits]:
    """Return the mean divergence of softmax(logits) from the uniform choice, and its gradient.

    Example
    -------
    >>> import numpy as np
    >>> categorical_kl(np.zeros((3, 4)))[0], round(categorical_kl(np.diag([50.0] * 4))[0], 6)
    (0.0, 1.386294)
    """
    # ln(p K): exactly 0 for even logits, and finite for p = 0.
    log_ratio = log_softmax(logits) + np.log(logits.dtype.type(logits.shape[1]))
    p = softmax(logits)
    kl = (p * log_ratio).sum(axis=1, keepdims=True)
    return float(kl.mean(dtype=np.float64)), p * (log_ratio - kl) / len(logits)


def dirichlet_kl(alpha: Logits) -> tuple[float, Logits]:
    """Return the mean divergence of Dirichlet(α) from Dirichlet(1, ..., 1), and its gradient.

    Example
    -------
    >>> import numpy as np
    >>> dirichlet_kl(np.ones((3, 4)))[0], round(dirichlet_kl(np.full((1, 2), 2.0))[0], 6)
    (0.0, 0.125093)
    """
    wide = alpha.astype(np.float64)
    k, total = alpha.shape[1], wide.sum(axis=1, keepdims=True)
    value = gammaln(total[:, 0]) - gammaln(wide).sum(axis=1) - gammaln(k)
    value += ((wide - 1) * (psi(wide) - psi(total))).sum(axis=1)
    gradient = (wide - 1) * trigamma(wide) - (total - k) * trigamma(total)
    return float(value.mean()), (gradient / len(alpha)).astype(alpha.dtype)


def trigamma(x: Array) -> Array:
    """Return ψ'(x) for x of at least 1; ten times as fast as scipy's, which takes any x.

    ψ'(x) = 1/x² + ψ'(x + 1), eight times; then its asymptotic series.

    Example
    -------
    >>> import numpy as np
    >>> trigamma(np.array([1.0])) - np.pi**2 / 6 < 1e-12
    array([ True])
    """
    out = np.empty_like(x)
    _trigamma(x.ravel(), out.reshape(-1))
    return out


@kernel
def _trigamma(x: Array, out: Array) -> None:
    for i in range(x.size):
        y, total = x[i], 0.0
        for _ in range(8):
            total += 1 / (y * y)
            y += 1
        r = 1 / y
        s = r * r
        series = 1 / 6 - s * (1 / 30 - s * (1 / 42 - s * (1 / 30 - s * (5 / 66))))
        out[i] = total + r + s / 2 + r * s * series


def evidence(logits: Logits) -> tuple[Logits, Logits]:
    """Return α = exp(min(l, 20)) + 1, and dα/dl, which is 0 from the limit on.

    Example
    -------
    >>> import numpy as np
    >>> evidence(np.array([[0.0, 99.0]]))[1].tolist()
    [[1.0, 0.0]]
    """
    powers = np.exp(np.minimum(logits, MOST_EVIDENCE))
    return powers + 1, powers * (logits < MOST_EVIDENCE)


def cosine(start: float, stop: float, done: float) -> float:
    """Return where a half cosine from ``start`` to ``stop`` stands when a share is ``done``."""
    return stop + (start - stop) * (1 + math.cos(math.pi * min(done, 1))) / 2


@dataclass(frozen=True)
class RelaxedChoice:
    """What DVAE and EdVAE share: settings, tokens that are drawn, and a choice by logits."""

    n_tokens: int = 512
    token_dim: int = 16
    kl_weight: float = 6.6 / 192
    final_temperature: float = 1 / 16
    warmup: int = 5_000
    anneal: int = 150_000

    def __post_init__(self) -> None:
        require_integers(self, "n_tokens", "token_dim", "warmup", "anneal", least=1)
        require_weight(self.kl_weight, "kl_weight")
        require_positive(self.final_temperature, "final_temperature")

    @property
    def draws(self) -> bool:
        """True: a training step needs noise."""
        return True

    @property
    def embedding_dim(self) -> int:
        """K: an embedding holds a number for every code."""
        return self.n_tokens

    def initialize(self: Any, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Draw the tokens from N(0, 1), in the dtype of ``z`` ``(N, K)``; start the schedules."""
        z, rng = at_start(z, batch, rng, dim=self.n_tokens)
        drawn = rng.normal(size=(self.n_tokens, self.token_dim))
        self.params["tokens"] = drawn.astype(z.dtype)
        self.buffers["steps"] = np.zeros((), np.int64)

    def update(
        self: Any, z: Array, quantized: Quantized, *, mask: Array | None = None, rng: Any = None
    ) -> Array:
        """Return the hits of the greatest logits ``(K,)``, and count a step of the schedules."""
        hits = count_hits(quantized.codes, self.n_tokens, mask)
        if hits.any():  # not all rows were masked
            self.buffers["steps"] += 1
        return hits

    def _choose(
        self: Any, logits: Logits, kl: Callable[[], tuple[float, Array]], training: bool, rng: Any
    ) -> tuple[Quantized, Cache]:
        """Return tokens by their logits, in training mixtures of them; without ``rng``, no noise.

        ``kl`` gives the divergence and its gradient, which is put into the cache with its weight.
        """
        codes, tokens = logits.argmax(axis=1), self.tokens
        done = int(placed(self.buffers, "steps"))
        temperature = cosine(1.0, self.final_temperature, done / self.anneal)
        noise = np.zeros_like(logits) if rng is None else rng.gumbel(size=logits.shape)
        y, relaxed = gumbel_softmax_forward(logits, noise.astype(logits.dtype), temperature)
        vectors = mixture_forward(y, tokens) if training else tokens.take(codes, axis=0)
        losses, dkl = dict[str, float](), np.zeros(1, logits.dtype)
        if training and self.kl_weight > 0:
            losses["kl"], dkl = kl()
            dkl = cosine(0.0, self.kl_weight, done / self.warmup) * dkl
        return Quantized(vectors, codes, losses), (y, relaxed, tokens, dkl)

    def _choose_backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Array, Array]:
        """Return the gradients of the logits and tokens through the mixture, and that of the KL."""
        y, relaxed, tokens, dkl = cache
        dy, dtokens = mixture_backward(dvectors, y, tokens)
        return gumbel_softmax_backward(dy, relaxed), dtokens, dkl


@dataclass(frozen=True)
class DVAE(RelaxedChoice, Quantizer):
    """A choice of code by logits, relaxed in training (Ramesh et al., 2021).

    Parameters
    ----------
    n_tokens, token_dim : int
        K, which is also the width of the embeddings, and D.
    kl_weight : float
        The weight of the divergence after ``warmup`` steps; 0 leaves it out. Published is 6.6/192,
        for a loss that is a mean over pixels.
    final_temperature : float
        The temperature after ``anneal`` steps; it begins at 1.
    warmup, anneal : int
        Training steps of the two schedules.
    limit : float, optional
        Logits count up to here, and have no gradient beyond; unlimited unless given.

    Raises
    ------
    TypeError, ValueError
        For counts below 1, or a weight or temperature out of range.

    Example
    -------
    >>> import numpy as np
    >>> quantizer = DVAE(n_tokens=3, token_dim=2)
    >>> quantizer.initialize(np.zeros((1, 3)), batch=1)
    >>> quantized, _ = quantizer.forward(np.array([[0.1, 0.9, 0.3]]))
    >>> quantized.vectors.shape, quantized.codes.tolist()
    ((1, 2), [1])
    """

    limit: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.limit is not None:
            require_positive(self.limit, "limit")

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Choose by the logits ``z`` ``(N, K)``; in training, softly and with noise."""
        z = as_points(z, "z", dim=self.n_tokens)
        limit = np.inf if self.limit is None else self.limit
        logits = np.minimum(z, z.dtype.type(limit))
        quantized, cache = self._choose(logits, lambda: categorical_kl(logits), training, rng)
        return quantized, (cache, z < limit)

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradients of the logits and of the tokens."""
        cache, counts = cache
        dlogits, dtokens, dkl = self._choose_backward(dvectors, cache)
        return (dlogits + dkl) * counts, {"tokens": dtokens}

    def view(self, z: Array) -> View:
        """Return the expected tokens p T in place of embeddings, the tokens and the codes."""
        z = as_points(z, "z", dim=self.n_tokens)
        return View(softmax(z) @ self.tokens, self.tokens, self.forward(z)[0].codes)


@dataclass(frozen=True)
class EdVAE(RelaxedChoice, Quantizer):
    """A choice of code by evidence, relaxed in training (Baykal et al., 2024).

    Parameters
    ----------
    n_tokens, token_dim, kl_weight, final_temperature, warmup, anneal
        As for :class:`DVAE`; the divergence is that of Dirichlet distributions, and much greater.
        The published temperature falls exponentially, to 0.22 at the end of 150,000 steps.

    Raises
    ------
    TypeError, ValueError
        As for :class:`DVAE`.

    Example
    -------
    >>> import numpy as np
    >>> quantizer = EdVAE(n_tokens=3, token_dim=2)
    >>> quantizer.initialize(np.zeros((1, 3)), batch=1)
    >>> quantizer.forward(np.array([[0.1, 0.9, 99.0]]))[0].codes.tolist()
    [2]
    """

    kl_weight: float = 5e-7
    final_temperature: float = 0.22

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Choose by the evidence ``z`` ``(N, K)``; in training, softly and with noise."""
        z = as_points(z, "z", dim=self.n_tokens)
        alpha, slope = evidence(z)
        quantized, cache = self._choose(np.log(alpha), lambda: dirichlet_kl(alpha), training, rng)
        return quantized, (cache, alpha, slope)

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradients of the logits and of the tokens."""
        cache, alpha, slope = cache
        dlog_alpha, dtokens, dkl = self._choose_backward(dvectors, cache)
        return (dlog_alpha / alpha + dkl) * slope, {"tokens": dtokens}

    def view(self, z: Array) -> View:
        """Return the expected tokens in place of embeddings, the tokens and the codes."""
        alpha, _ = evidence(as_points(z, "z", dim=self.n_tokens))
        expected = alpha / alpha.sum(axis=1, keepdims=True) @ self.tokens
        return View(expected, self.tokens, self.forward(z)[0].codes)
