"""Layers one after the other: forward in order, backward in reverse, each given its own cache."""

from collections.abc import Iterator

from vqnp.layers.layer import Array, Cache, Gradients, Layer


class Sequential:
    """A chain of layers; a parameter is named by its layer's position, such as ``"2.weight"``."""

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers
        self.params = {
            f"{i}.{name}": value
            for i, layer in enumerate(layers)
            for name, value in layer.params.items()
        }

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
        """Return the gradient of the first layer's input, and every layer's gradients under their prefixed names."""
        gradients: Gradients = {}
        for i in reversed(range(len(self.layers))):
            dout, own = self.layers[i].backward(dout, cache[i])
            gradients.update({f"{i}.{name}": gradient for name, gradient in own.items()})
        return dout, gradients
