"""The residual block: y = x + conv 1×1(ReLU(conv 3×3(ReLU(x)))), so a block starts as a small change to its input.

The skip carries x itself, negative entries included, and the gradient comes back both ways:
dL/dx = dL/dy + the branch's gradient. Shapes: x and y ``(B, H, W, channels)``, ``hidden`` channels inside the branch.
"""

from typing import Any

import numpy as np

from vqnp.layers.conv import Conv2d
from vqnp.layers.layer import Array, Cache, Gradients
from vqnp.layers.relu import ReLU
from vqnp.layers.sequential import Sequential


class ResidualBlock:
    """Owns the weights of its branch, named by their place in it: ``"1.weight"`` is the 3×3, ``"3.weight"`` the 1×1."""

    def __init__(
        self, channels: int, hidden: int, rng: np.random.Generator, dtype: Any = np.float32
    ) -> None:
        self.branch = Sequential(
            ReLU(),
            Conv2d(channels, hidden, 3, rng, padding=1, dtype=dtype),
            ReLU(),
            Conv2d(hidden, channels, 1, rng, dtype=dtype),
        )
        self.params = self.branch.params

    def forward(self, x: Array) -> tuple[Array, Cache]:
        """Map ``(B, H, W, channels)`` to the same shape; raises as the convolution does."""
        out, cache = self.branch.forward(x)
        return x + out, cache

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of the input and, by parameter name, of the branch's weights and biases."""
        dx, gradients = self.branch.backward(dout, cache)
        return dout + dx, gradients
