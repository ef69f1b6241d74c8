"""The residual block: y = x + conv 1×1(ReLU(conv 3×3(ReLU(x)))).

The skip carries x itself, negative entries included, so a block starts as a small change to its
input. The gradient comes back both ways: dL/dx = dL/dy + the branch's gradient.

Shapes: x and y ``(B, H, W, channels)``; inside the branch there are ``hidden`` channels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vqnp.layers.conv import Conv2d
from vqnp.layers.layer import Array, Cache, Gradients, Layer, as_input
from vqnp.layers.relu import ReLU
from vqnp.layers.sequential import Sequential
from vqnp.validation import as_floats, require_integers


@dataclass(eq=False, repr=False)
class ResidualBlock(Layer):
    """A residual block that owns the weights of its branch, named by their place in it.

    ``"1.weight"`` is the 3×3 kernel and ``"3.weight"`` the 1×1 kernel.

    Parameters
    ----------
    channels : int
        Channels of the input and the output.
    hidden : int
        Channels inside the branch.
    rng : int or numpy.random.Generator
        Weights and biases are drawn from it, as by :class:`Conv2d`.
    dtype : dtype
        float32, or float64 to check gradients.

    Example
    -------
    >>> block = ResidualBlock(8, 4, rng=0)
    >>> block, block.forward(np.ones((2, 5, 5, 8), np.float32))[0].shape
    (ResidualBlock(8, 4), (2, 5, 5, 8))
    """

    channels: int
    hidden: int

    def _start(self, rng: np.random.Generator, dtype: Any) -> dict[str, Array]:
        require_integers(self, "channels", "hidden", least=1)
        wide = Conv2d(self.channels, self.hidden, 3, padding=1, rng=rng, dtype=dtype)
        narrow = Conv2d(self.hidden, self.channels, 1, rng=rng, dtype=dtype)
        self.branch = Sequential(ReLU(), wide, ReLU(), narrow)
        return self.branch.params

    def forward(self, x: Array) -> tuple[Array, Cache]:
        """Map ``(B, H, W, channels)`` to the same shape; raises as the convolution does."""
        x = as_input(x, self.params["1.weight"])
        out, cache = self.branch.forward(x)
        return x + out, cache

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of the input and, by name, of the branch's weights and biases."""
        dout = as_floats(dout, "dout")
        dx, gradients = self.branch.backward(dout, cache)
        return dout + dx, gradients
