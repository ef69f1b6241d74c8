"""The transposed convolution is the convolution's backward pass, run forward.

A convolution gathers: each output pixel sums the input pixels under the kernel. Its input's gradient scatters: each output
pixel's gradient goes back to those same input pixels. A transposed convolution is that scatter taken as a layer, and so a
stride of 2 makes an image twice as large instead of half as large::

    conv2d              out = correlate(x)                 dx = correlate_backward_input(dout)
    conv_transpose2d    out = correlate_backward_input(x)  dx = correlate(dout)

and ``correlate_backward_weight`` serves both, with the large image and the small one changing places.

Shapes: x ``(B, H, W, C_in)``, weight ``(kh, kw, C_out, C_in)``, bias ``(C_out,)``, out ``(B, Ho, Wo, C_out)`` with
Ho = (H - 1)·stride - 2·padding + kh, and Wo likewise. In this layout one weight array serves both directions: without
biases, <conv2d(x, weight), y> = <x, conv_transpose2d(y, weight)> for every x and y of fitting sizes.
"""

from typing import Any

import numpy as np

from vqnp.fast.correlate import correlate, correlate_backward_input, correlate_backward_weight
from vqnp.layers.conv import require_gradient, require_operands
from vqnp.layers.im2col import Pair, taps, window
from vqnp.layers.layer import Array, Cache, Gradients
from vqnp.layers.linear import add_bias, sum_rows, uniform_start
from vqnp.validation import require_integer

LAYOUT = ("kh", "kw", "C_out", "C_in")


def conv_transpose2d_forward_loop(
    x: Array, weight: Array, bias: Array, stride: int | Pair = 1, padding: int | Pair = 0
) -> tuple[Array, Cache]:
    """The definition of :func:`conv_transpose2d_forward`: each input pixel stamps the kernel on the output."""
    kernel_size, stride, padding = window(weight.shape[:2], stride, padding)
    out = np.zeros(
        (len(x), *stamped_size(x, kernel_size, stride, padding), weight.shape[2]), x.dtype
    )
    for stop, tap, pixel in taps(out, kernel_size, stride, padding):
        out[pixel] += weight[tap] @ x[stop]
    return out + bias, (x, weight, stride, padding)


def conv_transpose2d_backward_loop(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """The definition of :func:`conv_transpose2d_backward`."""
    x, weight, stride, padding = cache
    dx, dweight = np.zeros_like(x), np.zeros_like(weight)
    for stop, tap, pixel in taps(dout, weight.shape[:2], stride, padding):
        dx[stop] += dout[pixel] @ weight[tap]
        dweight[tap] += np.outer(dout[pixel], x[stop])
    return dx, dweight, dout.sum(axis=(0, 1, 2))


def conv_transpose2d_forward(
    x: Array, weight: Array, bias: Array, stride: int | Pair = 1, padding: int | Pair = 0
) -> tuple[Array, Cache]:
    """Return the transposed convolution ``(B, Ho, Wo, C_out)`` of ``x`` ``(B, H, W, C_in)`` and the cache.

    ``weight`` is ``(kh, kw, C_out, C_in)``, ``bias`` ``(C_out,)``; stride and padding are integers or ``(height, width)``
    pairs. The cache keeps the input and the weight. Raises ``TypeError`` for another dtype than float32 or float64 or a
    mixture of both, and ``ValueError`` for another rank, channels that do not match, a stride below 1, a negative padding,
    or a padding that leaves nothing of the output.
    """
    require_operands(x, weight, bias, LAYOUT)
    kernel_size, stride, padding = window(weight.shape[:2], stride, padding)
    size = stamped_size(x, kernel_size, stride, padding)
    out = correlate_backward_input(x, weight, size, stride, padding)
    add_bias(out.reshape(-1, len(bias)), bias)
    return out, (x, weight, stride, padding)


def conv_transpose2d_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Return the gradients of input, weight and bias, of their shapes, for ``dout`` ``(B, Ho, Wo, C_out)``.

    Raises ``ValueError`` or ``TypeError`` for ``dout`` of another shape or dtype than the output's.
    """
    x, weight, stride, padding = cache
    kernel_size, channels = weight.shape[:2], weight.shape[2]
    require_gradient(
        dout, (len(x), *stamped_size(x, kernel_size, stride, padding), channels), x.dtype
    )
    dx = correlate(dout, weight, stride, padding)
    dweight = correlate_backward_weight(dout, x, kernel_size, stride, padding)
    return dx, dweight, sum_rows(np.ascontiguousarray(dout).reshape(-1, channels))


def stamped_size(x: Array, kernel_size: Pair, stride: Pair, padding: Pair) -> Pair:
    """Return the output's (Ho, Wo); raises ``ValueError`` for an x or a padding that leaves nothing of it."""
    height, width = (
        (size - 1) * step - 2 * pad + taps
        for size, step, pad, taps in zip(x.shape[1:3], stride, padding, kernel_size, strict=True)
    )
    if min(height, width, *x.shape[1:3]) < 1:
        raise ValueError(
            f"padding {padding} leaves an output of {(height, width)} pixels of x of shape {x.shape}"
        )
    return height, width


class ConvTranspose2d:
    """Owns a weight ``(kh, kw, out_channels, in_channels)`` and a bias ``(out_channels,)``.

    Both start uniform in ±1/sqrt(out_channels·kh·kw), PyTorch's default: it counts the fan-in of the convolution whose
    backward pass this is, and that has out_channels inputs.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        rng: np.random.Generator,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dtype: Any = np.float32,
    ) -> None:
        (height, width), self.stride, self.padding = window(kernel_size, stride, padding)
        require_integer(in_channels, "in_channels", least=1)
        require_integer(out_channels, "out_channels", least=1)
        shape, fan_in = (height, width, out_channels, in_channels), out_channels * height * width
        self.params = uniform_start(shape, out_channels, fan_in, rng, dtype)

    def forward(self, x: Array) -> tuple[Array, Cache]:
        """Map ``(B, H, W, in_channels)`` to ``(B, Ho, Wo, out_channels)``; raises as the function does."""
        return conv_transpose2d_forward(
            x, self.params["weight"], self.params["bias"], self.stride, self.padding
        )

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of the input and, by parameter name, of the weight and the bias."""
        dx, dweight, dbias = conv_transpose2d_backward(dout, cache)
        return dx, {"weight": dweight, "bias": dbias}
