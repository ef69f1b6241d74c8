"""What a layer is: it owns parameters, and its backward pass takes what its forward pass kept.

Nothing is remembered between calls: ``forward`` hands the cache to the caller, who hands it to ``backward``. A layer may
therefore be used twice in a model, and evaluation leaves no trace.
"""

from typing import Any, Protocol

from vqnp.validation import Array

Cache = Any
Gradients = dict[str, Array]

__all__ = ["Array", "Cache", "Gradients", "Layer"]


class Layer(Protocol):
    """``params`` maps a parameter's name to its array; ``backward`` returns a gradient under each of those names."""

    params: dict[str, Array]

    def forward(self, x: Array) -> tuple[Array, Cache]:
        """Return the output and what the backward pass will need."""

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of the input, and of each parameter by name."""
