"""The linear layer: y = x W + b, for a batch of rows.

With dL/dy known for every output, the chain rule gives dL/dx = dL/dy Wᵀ, dL/dW = xᵀ dL/dy and dL/db = the sum of dL/dy
over the batch. Shapes: x ``(N, I)``, W ``(I, O)``, b ``(O,)``, y ``(N, O)``.
"""

from typing import Any

import numpy as np
from numba import prange

from vqnp.jit import both
from vqnp.layers.layer import Array, Cache, Gradients

PARALLEL_FROM = 1 << 18  # numbers; fewer are dealt with before a second thread has woken up
BLOCK_ROWS = (
    1024  # rows added up by one thread; a fixed number, so that sums do not depend on the threads
)


def linear_forward(x: Array, weight: Array, bias: Array) -> tuple[Array, Cache]:
    """Return ``x @ weight + bias`` of shape ``(N, O)`` and the cache.

    The cache keeps the input, for the weight's gradient, and the weight, for the input's.
    """
    out = np.dot(x, weight)  # (N, O); for narrow matrices several times as fast as @
    add_bias(out, bias)
    return out, (x, weight)


def linear_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Return the gradients of the input ``(N, I)``, the weight ``(I, O)`` and the bias ``(O,)`` for ``dout`` ``(N, O)``."""
    x, weight = cache
    return np.dot(dout, weight.T), np.dot(x.T, dout), sum_rows(dout)


def add_bias(out: Array, bias: Array) -> None:
    """Add ``bias`` ``(O,)`` to each row of ``out`` ``(N, O)``, in place."""
    _add_bias[out.size >= PARALLEL_FROM](out, bias)


@both
def _add_bias(out: Array, bias: Array) -> None:
    rows, columns = out.shape
    for i in prange(rows):
        for j in range(columns):
            out[i, j] += bias[j]


def sum_rows(dout: Array) -> Array:
    """Return the sum ``(O,)`` of the rows of ``dout`` ``(N, O)``, accumulated in float64: of each block of rows, then of the blocks."""
    sums = np.zeros((-(-len(dout) // BLOCK_ROWS), dout.shape[1]))
    _sum_blocks[dout.size >= PARALLEL_FROM](dout, sums)
    total = (
        sums[0] if len(sums) == 1 else sums.sum(axis=0)
    )  # NumPy's sum of one takes as long as all the additions
    return total.astype(dout.dtype)


@both
def _sum_blocks(dout: Array, sums: Array) -> None:
    rows, columns = dout.shape
    for b in prange(len(sums)):
        total = sums[b]
        for i in range(b * BLOCK_ROWS, min((b + 1) * BLOCK_ROWS, rows)):
            for j in range(columns):
                total[j] += dout[i, j]


def uniform_start(
    shape: tuple[int, ...], outputs: int, fan_in: int, rng: np.random.Generator, dtype: Any
) -> dict[str, Array]:
    """Return a weight of ``shape`` and a bias ``(outputs,)``, uniform in ±1/sqrt(fan_in): the default of the common frameworks."""
    bound = fan_in**-0.5
    weight = rng.uniform(-bound, bound, shape).astype(dtype)
    return {"weight": weight, "bias": rng.uniform(-bound, bound, outputs).astype(dtype)}


class Linear:
    """Owns a weight ``(in_features, out_features)`` and a bias ``(out_features,)``.

    Both start uniform in ±1/sqrt(in_features).
    """

    def __init__(
        self, in_features: int, out_features: int, rng: np.random.Generator, dtype: Any = np.float32
    ) -> None:
        self.params = uniform_start(
            (in_features, out_features), out_features, in_features, rng, dtype
        )

    def forward(self, x: Array) -> tuple[Array, Cache]:
        """Map ``(N, in_features)`` to ``(N, out_features)``; raises ``ValueError`` for another shape, ``TypeError`` for another dtype."""
        weight = self.params["weight"]
        if x.ndim != 2 or x.shape[1] != len(weight):
            raise ValueError(
                f"a linear layer of {len(weight)} inputs takes x of shape (N, {len(weight)}), got {x.shape}"
            )
        if x.dtype != weight.dtype:
            raise TypeError(
                f"a linear layer of {weight.dtype} parameters takes x of that dtype, got {x.dtype}"
            )
        return linear_forward(x, weight, self.params["bias"])

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of the input and, by parameter name, of the weight and the bias."""
        dx, dweight, dbias = linear_backward(dout, cache)
        return dx, {"weight": dweight, "bias": dbias}
