"""Layers by hand: pairs of pure functions, and thin classes that own the parameters.

Every ``name_forward(x, …)`` returns the output and a cache, and ``name_backward(dout, cache)``
returns the gradients. Images are channels-last, ``(B, H, W, C)``; rows are ``(N, D)``.
"""

from vqnp.layers.conv import Conv2d, conv2d_backward, conv2d_forward
from vqnp.layers.conv_transpose import (
    ConvTranspose2d,
    conv_transpose2d_backward,
    conv_transpose2d_forward,
)
from vqnp.layers.im2col import col2im, im2col
from vqnp.layers.layer import Layer, layer_from_json
from vqnp.layers.linear import Linear, linear_backward, linear_forward
from vqnp.layers.relu import ReLU, relu_backward, relu_forward
from vqnp.layers.residual import ResidualBlock
from vqnp.layers.sequential import Sequential

__all__ = [
    "Conv2d",
    "ConvTranspose2d",
    "Layer",
    "Linear",
    "ReLU",
    "ResidualBlock",
    "Sequential",
    "col2im",
    "conv2d_backward",
    "conv2d_forward",
    "conv_transpose2d_backward",
    "conv_transpose2d_forward",
    "im2col",
    "layer_from_json",
    "linear_backward",
    "linear_forward",
    "relu_backward",
    "relu_forward",
]
