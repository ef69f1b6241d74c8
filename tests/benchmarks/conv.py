"""Every convolution of the paper's model on images of 32 × 32, forward and backward.

PyTorch runs in its channels-last layout. Backward is all three gradients: of the input, the
weight and the bias.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.timing import OURS, Case
from vqnp.layers import (
    conv2d_backward,
    conv2d_forward,
    conv_transpose2d_backward,
    conv_transpose2d_forward,
)
from vqnp.validation import Array

BATCH = 256


@dataclass(frozen=True)
class Layer:
    """A layer: pixels along a side of its input, channels in and out, kernel, stride, padding."""

    size: int
    inputs: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    transposed: bool = False

    def __str__(self) -> str:
        kind = "transposed" if self.transposed else "conv"
        channels, kernel = f"{self.inputs} → {self.outputs}", f"{self.kernel}×{self.kernel}"
        return f"{kind} {channels}, {kernel} / {self.stride}, {self.size}×{self.size}"

    def work(self, batch: int) -> float:
        """Return the multiplications and additions of the forward pass, with those of padding."""
        stops = (
            self.size
            if self.transposed
            else (self.size + 2 * self.padding - self.kernel) // self.stride + 1
        )
        return 2.0 * batch * stops**2 * self.kernel**2 * self.inputs * self.outputs


LAYERS = (
    Layer(32, 3, 64, 4, 2, 1),
    Layer(16, 64, 128, 4, 2, 1),
    Layer(8, 128, 128, 3, 1, 1),
    Layer(8, 128, 64, 3, 1, 1),  # the residual blocks' wide one
    Layer(8, 64, 128, 1, 1, 0),  # and their narrow one
    Layer(8, 128, 64, 1, 1, 0),
    Layer(8, 64, 128, 3, 1, 1),
    Layer(8, 128, 64, 4, 2, 1, transposed=True),
    Layer(16, 64, 3, 4, 2, 1, transposed=True),
)


def cases(*, tiny: bool = False) -> Iterator[Case]:
    """Yield forward and backward of each layer; ``tiny`` are two for a test."""
    layers = (Layer(5, 2, 3, 3, 2, 1), Layer(4, 3, 2, 4, 2, 1, transposed=True)) if tiny else LAYERS
    for layer in layers:
        yield from both_ways(layer, 2 if tiny else BATCH)


def both_ways(layer: Layer, batch: int) -> Iterator[Case]:
    """Yield a layer's two cases."""
    x, weight, bias, dout = arrays(layer, batch)
    forward, backward = (
        (conv_transpose2d_forward, conv_transpose2d_backward)
        if layer.transposed
        else (conv2d_forward, conv2d_backward)
    )
    _, cache = forward(x, weight, bias, layer.stride, layer.padding)
    there = [channels_first(x), channels_first(weight.transpose(3, 0, 1, 2)), torch.tensor(bias)]
    learnt = [tensor.detach().requires_grad_() for tensor in there]
    out, dthere = in_torch(layer)(*learnt), channels_first(dout)
    yield Case(
        f"{layer}, forward",
        {
            OURS: lambda: forward(x, weight, bias, layer.stride, layer.padding)[0],
            "PyTorch": lambda: in_torch(layer)(*there),
        },
        lambda outs: require_close([outs[OURS]], [channels_last(outs["PyTorch"])]),
        layer.work(batch),
    )
    yield Case(
        f"{layer}, backward",
        {
            OURS: lambda: backward(dout, cache),
            "PyTorch": lambda: torch.autograd.grad(out, learnt, dthere, retain_graph=True),
        },
        lambda gradients: require_close(gradients[OURS], as_ours(gradients["PyTorch"])),
        2 * layer.work(batch),
    )


def arrays(layer: Layer, batch: int) -> list[Array]:
    """Return an input, a weight, a bias and a gradient of the output in this package's layouts."""
    rng, s = np.random.default_rng(0), layer
    channels = (s.outputs, s.inputs) if s.transposed else (s.inputs, s.outputs)
    side = (
        s.size * s.stride if s.transposed else (s.size + 2 * s.padding - s.kernel) // s.stride + 1
    )
    shapes = (
        (batch, s.size, s.size, s.inputs),
        (s.kernel, s.kernel, *channels),
        (s.outputs,),
        (batch, side, side, s.outputs),
    )
    return [rng.standard_normal(shape, np.float32) for shape in shapes]


def in_torch(layer: Layer) -> Callable[..., torch.Tensor]:
    """Return PyTorch's function of input, weight and bias."""
    function = F.conv_transpose2d if layer.transposed else F.conv2d
    return lambda x, weight, bias: function(x, weight, bias, layer.stride, layer.padding)


def channels_first(array: Array) -> torch.Tensor:
    """Return ``(A, H, W, B)`` as a tensor ``(A, B, H, W)`` of the same place in memory.

    That is PyTorch's channels-last layout.
    """
    return (
        torch.from_numpy(array.copy())
        .permute(0, 3, 1, 2)
        .contiguous(memory_format=torch.channels_last)
    )


def channels_last(tensor: torch.Tensor) -> Array:
    return tensor.detach().permute(0, 2, 3, 1).numpy()


def as_ours(gradients: tuple[torch.Tensor, ...]) -> list[Array]:
    """Return PyTorch's gradients in this package's layouts."""
    dx, dweight, dbias = gradients
    return [channels_last(dx), dweight.permute(2, 3, 1, 0).numpy(), dbias.numpy()]


def require_close(ours: Any, theirs: list[Array]) -> None:
    """Raise ``AssertionError`` unless the arrays agree to the rounding of float32 sums."""
    for mine, other in zip(ours, theirs, strict=True):
        scale = float(np.abs(other).max())
        np.testing.assert_allclose(mine, other, atol=1e-4 * scale)
