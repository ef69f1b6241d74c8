"""QINCo (Huijben et al., 2024): residual quantization whose codebooks depend on what came before.

Residual quantization adds a token of every stage. Here a small network f_m first adapts the token
to the partial sum x̂, so that each x̂ has a codebook of its own, which is never stored:

    x̂_0 = C_0[i_0],    x̂_m = x̂_{m-1} + f_m(C_m[i_m], x̂_{m-1})

    f(c, x̂):  e ← c + c Wc + x̂ Wx + b,   then L times  e ← e + relu(e U) V

Codes are chosen greedily, i_m = argmin_k ‖z - x̂_{m-1} - f_m(C_m[k], x̂_{m-1})‖². Every
embedding is compared with K adapted tokens a stage, each of which takes D + 2 L D h products.

Wc, Wx, b and V begin at zero, so that f(c, x̂) = c: the untrained quantizer *is* residual
quantization of ``residual.py``, to the last bit. Its codebooks are placed by k-means of one
residual after another.

Its own loss, with codes frozen and z shielded, is Σ_m mean (x̂_m - sg(z))². Its gradient runs back
through the partial sums into all earlier stages. Every prefix of the codes is so a code itself.
The encoder sees the decoder's gradient straight through, and the commitment to the last sum.

Shapes: z and x̂ ``(N, D)``, codes ``(N, M)``, tokens C ``(M, K, D)``. Of the M - 1 later stages: Wc
and Wx ``(M-1, D, D)``, b ``(M-1, D)``, U ``(M-1, L, D, h)``, V ``(M-1, L, h, D)``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vqnp.jit import kernel
from vqnp.losses import commitment, mse
from vqnp.quantize.joint import JointCodes, require_joint_codes
from vqnp.quantize.lloyd import batch_statistics, kmeans
from vqnp.quantize.quantizer import Cache, Gradients, Quantized, Quantizer, at_start, placed
from vqnp.quantize.search import nearest
from vqnp.quantize.straight_through import straight_through_backward
from vqnp.validation import (
    Array,
    as_array,
    as_points,
    require_integer,
    require_integers,
    require_weight,
)

VALUES_A_BLOCK = 1 << 16  # of candidates, looked at together
NETWORK = ("code_map", "sum_map", "bias", "up", "down")  # Wc, Wx, b, U, V


def adapt_forward(token: Array, partial: Array, network: dict[str, Array]) -> tuple[Array, Cache]:
    """Return f(c, x̂) ``(N, D)`` of tokens and partial sums ``(N, D)``, and the cache.

    ``network`` holds the arrays of one stage.

    Example
    -------
    >>> import numpy as np
    >>> zeros = np.zeros((1, 1))
    >>> still = {"code_map": zeros, "sum_map": zeros, "bias": zeros[0]}
    >>> still |= {"up": np.ones((1, 1, 1)), "down": np.zeros((1, 1, 1))}
    >>> adapt_forward(np.array([[0.3]]), np.array([[9.0]]), still)[0].tolist()
    [[0.3]]
    """
    e = token + (token @ network["code_map"] + network["bias"]) + partial @ network["sum_map"]
    steps = []
    for up, down in zip(network["up"], network["down"], strict=True):
        hidden = np.maximum(e @ up, 0)
        steps.append((e, hidden))
        e = e + hidden @ down
    return e, (token, partial, steps, network)


def adapt_backward(de: Array, cache: Cache) -> tuple[Array, Array, Gradients]:
    """Return the gradients of tokens and partial sums ``(N, D)``, and of the network's arrays."""
    token, partial, steps, network = cache
    up, down = network["up"], network["down"]
    gradients = {"up": np.empty_like(up), "down": np.empty_like(down)}
    for step in reversed(range(len(steps))):
        e, hidden = steps[step]
        gradients["down"][step] = hidden.T @ de
        dhidden = (de @ down[step].T) * (hidden > 0)
        gradients["up"][step] = e.T @ dhidden
        de = de + dhidden @ up[step].T
    gradients |= {"code_map": token.T @ de, "sum_map": partial.T @ de, "bias": de.sum(axis=0)}
    return de + de @ network["code_map"].T, de @ network["sum_map"].T, gradients


def adapted_nearest(
    residual: Array, partial: Array, tokens: Array, network: dict[str, Array]
) -> Array:
    """Return the codes ``(N,)`` whose adapted tokens are nearest to ``residual`` ``(N, D)``.

    Distances are sums of squared differences in the order of the dimensions, as in eq. 1. The
    lowest of equally near codes wins.
    """
    codes = np.zeros(len(residual), np.int64)
    base = tokens + (tokens @ network["code_map"] + network["bias"])  # once for all embeddings
    for rows in _blocks(len(residual), tokens, network):
        context = partial[rows] @ network["sum_map"]  # once for all tokens
        e = (base + context[:, None]).reshape(-1, base.shape[1])  # (rows · K, D)
        for up, down in zip(network["up"], network["down"], strict=True):
            e += np.maximum(e @ up, 0) @ down
        _nearest_of_own(residual[rows], e.reshape(-1, *base.shape), codes[rows])
    return codes


@kernel
def _nearest_of_own(points: Array, candidates: Array, codes: Array) -> None:
    """Do what ``nearest_loop`` does, where each point has tokens of its own ``(N, K, D)``."""
    for i in range(len(points)):
        least = np.inf
        for k in range(candidates.shape[1]):
            squared = points.dtype.type(0)
            for d in range(points.shape[1]):
                difference = points[i, d] - candidates[i, k, d]
                squared += difference * difference
            if squared < least:
                codes[i], least = k, squared


def _blocks(n_points: int, tokens: Array, network: dict[str, Array]) -> Iterator[slice]:
    widest = max(tokens.shape[1], network["up"].shape[-1])
    rows = max(1, VALUES_A_BLOCK // (len(tokens) * widest))
    for start in range(0, n_points, rows):
        yield slice(start, start + rows)


@dataclass(frozen=True)
class QINCo(JointCodes, Quantizer):
    """Residual quantization with codebooks adapted to the partial sum.

    Parameters
    ----------
    stage_tokens, stages : int
        K, the tokens of each stage, and M, the stages and the parts of a code.
    width, blocks : int
        h, the width of the hidden layers, and L, the residual steps of each network, at least 0.
    beta : float
        The weight of the commitment loss.

    Raises
    ------
    TypeError, ValueError
        For counts or a weight out of range.

    Example
    -------
    >>> import numpy as np
    >>> quantizer = QINCo(stage_tokens=2, stages=2)
    >>> quantizer.initialize(np.array([[0.0], [1.0], [10.0], [11.0]]), batch=4)
    >>> quantized, _ = quantizer.forward(np.array([[0.1], [11.2]]))
    >>> quantized.vectors.tolist(), quantized.codes.shape, quantizer.bits
    ([[0.0], [11.0]], (2, 2), 2.0)
    """

    stage_tokens: int = 64
    stages: int = 2
    width: int = 32
    blocks: int = 1
    beta: float = 0.25

    def __post_init__(self) -> None:
        require_integers(self, "stage_tokens", "stages", "width", least=1)
        require_integer(self.blocks, "blocks", least=0)
        require_weight(self.beta, "beta")

    @property
    def levels(self) -> tuple[int, ...]:
        """K, once a stage."""
        return (self.stage_tokens,) * self.stages

    @property
    def codebooks(self) -> Array:
        """The tokens of all stages before adaptation ``(M, K, D)``."""
        return placed(self.params, "tokens")

    def initialize(self, z: Array, *, batch: int, rng: Any = 0) -> None:
        """Place each stage by k-means of the residuals ``(N, D)`` of the stages before."""
        z, rng = at_start(z, batch, rng)
        partial, tokens = np.zeros_like(z), []
        for _ in range(self.stages):
            clusters = kmeans(z - partial, self.stage_tokens, rng=rng)
            tokens.append(clusters.tokens)
            partial = partial + clusters.tokens[clusters.codes]
        dim, later = z.shape[1], self.stages - 1
        reach = dim**-0.5
        shapes = {"code_map": (dim, dim), "sum_map": (dim, dim), "bias": (dim,)}
        shapes |= {"up": (self.blocks, dim, self.width), "down": (self.blocks, self.width, dim)}
        self.params["tokens"] = np.stack(tokens)
        for name, shape in shapes.items():
            self.params[name] = np.zeros((later, *shape), z.dtype)
        self.params["up"][:] = rng.uniform(-reach, reach, self.params["up"].shape)

    def forward(
        self, z: Array, *, training: bool = False, rng: Any = None
    ) -> tuple[Quantized, Cache]:
        """Choose codes stage by stage; return the sums, the codes ``(N, M)`` and the losses."""
        z = as_points(z, "z", dim=self.codebooks.shape[2])
        codes = np.empty((len(z), self.stages), np.int64)
        sums: list[Array] = []
        caches: list[Cache] = []
        for m, tokens in enumerate(self.codebooks):
            if m == 0:
                codes[:, 0], _ = nearest(z, tokens)
                sums.append(tokens[codes[:, 0]])
                caches.append(None)
            else:
                network = self._network(m)
                codes[:, m] = adapted_nearest(z - sums[-1], sums[-1], tokens, network)
                step, cache = adapt_forward(tokens[codes[:, m]], sums[-1], network)
                sums.append(sums[-1] + step)
                caches.append(cache)
        errors = [mse(partial, z) for partial in sums]
        value, dcommitment = commitment(z, sums[-1])
        losses = {"codebook": sum(error for error, _ in errors), "commitment": value}
        gradients = [gradient for _, gradient in errors]
        return Quantized(sums[-1], codes, losses), (codes, caches, gradients, dcommitment)

    def backward(self, dvectors: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradients of ``z``, of the tokens and of all networks."""
        codes, caches, derrors, dcommitment = cache
        gradients = {name: np.zeros_like(value) for name, value in self.params.items()}
        dpartial = np.zeros_like(dvectors)
        for m in reversed(range(self.stages)):
            dpartial = dpartial + derrors[m]
            dtoken = dpartial
            if m > 0:
                dtoken, through, own = adapt_backward(dpartial, caches[m])
                dpartial = dpartial + through
                for name, gradient in own.items():
                    gradients[name][m - 1] = gradient
            gradients["tokens"][m] = batch_statistics(dtoken, codes[:, m], self.stage_tokens)[1]
        return straight_through_backward(dvectors) + self.beta * dcommitment, gradients

    def decode(self, codes: Array) -> Array:
        """Return the sums ``(N, D)`` of ``codes`` ``(N, M)``.

        A prefix ``(N, m)`` of the codes gives the partial sums x̂_{m-1}.
        """
        codes = as_array(codes, "codes")
        given = codes.shape
        if len(given) != 2 or not 1 <= given[1] <= self.stages:
            raise ValueError(f"codes must have shape (N, 1) to (N, {self.stages}), got {given}")
        codes = require_joint_codes(codes, self.stage_tokens, given[1])
        partial = self.codebooks[0][codes[:, 0]]
        for m in range(1, codes.shape[1]):
            token = self.codebooks[m][codes[:, m]]
            partial = partial + adapt_forward(token, partial, self._network(m))[0]
        return partial

    def _network(self, stage: int) -> dict[str, Array]:
        return {name: self.params[name][stage - 1] for name in NETWORK}
