"""Layers by hand: each is a pair of pure functions, forward and backward, and a thin class that owns the parameters."""

from vqnp.layers.conv import Conv2d, conv2d_backward, conv2d_forward
from vqnp.layers.conv_transpose import (
    ConvTranspose2d,
    conv_transpose2d_backward,
    conv_transpose2d_forward,
)
from vqnp.layers.layer import Layer
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
    "conv2d_backward",
    "conv2d_forward",
    "conv_transpose2d_backward",
    "conv_transpose2d_forward",
    "linear_backward",
    "linear_forward",
    "relu_backward",
    "relu_forward",
]
