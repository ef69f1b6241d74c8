"""Layers one after the other: forward in order, backward in reverse, each given its own cache."""

from collections.abc import Iterator
from typing import Any

from vqnp.layers.layer import Array, Cache, Gradients, Layer


class Sequential(Layer):
    """A chain of layers; a parameter is named by its layer's position, such as ``"2.weight"``.

    Parameters
    ----------
    *layers : Layer
        The layers in order. The chain shares their parameters.

    Example
    -------
    >>> from vqnp.layers import Linear, ReLU
    >>> chain = Sequential(Linear(2, 32), ReLU())
    >>> chain
    Sequential(
      (0): Linear(2, 32)
      (1): ReLU()
    )
    >>> list(chain.params)
    ['0.weight', '0.bias']
    """

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers
        self.params = {
            f"{i}.{name}": value
            for i, layer in enumerate(layers)
            for name, value in layer.params.items()
        }

    @property
    def config(self) -> dict[str, Any]:
        """The layers' own descriptions, in order."""
        return {"layers": [layer.to_json() for layer in self.layers]}

    def __repr__(self) -> str:
        lines = [f"({i}): {layer!r}" for i, layer in enumerate(self.layers)]
        indented = "".join("\n  " + line.replace("\n", "\n  ") for line in lines)
        return f"{type(self).__name__}({indented}{chr(10) if lines else ''})"

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def forward(self, x: Array) -> tuple[Array, Cache]:
        """Return the last layer's output and the caches of all layers in order."""
        caches = []
        for layer in self.layers:
            x, cache = layer.forward(x)
            caches.append(cache)
        return x, caches

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of the first layer's input, and all gradients by prefixed name."""
        gradients: Gradients = {}
        for i in reversed(range(len(self.layers))):
            dout, of_layer = self.layers[i].backward(dout, cache[i])
            gradients.update({f"{i}.{name}": gradient for name, gradient in of_layer.items()})
        return dout, gradients
