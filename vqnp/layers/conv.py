"""The convolution: each output pixel is a linear map of the window of input pixels under the kernel.

With ``taps`` naming every (stop, tap, pixel) of a kernel's walk over the images (see im2col.py), it is one sum, and its
derivatives are that sum seen from the input and from the weight::

    out[stop]     = Σ  x[pixel] weight[tap]  + bias
    dx[pixel]     = Σ  dout[stop] weight[tap]ᵀ
    dweight[tap]  = Σ  x[pixel]ᵀ dout[stop]

Shapes: x ``(B, H, W, C_in)``, weight ``(kh, kw, C_in, C_out)``, bias ``(C_out,)``, out ``(B, Ho, Wo, C_out)`` with
Ho = (H + 2·padding - kh) // stride + 1, and Wo likewise.
"""

from typing import Any

import numpy as np

from vqnp.fast.correlate import (
    as_matrix,
    correlate,
    correlate_backward_input,
    correlate_backward_weight,
)
from vqnp.layers.im2col import (
    Pair,
    col2im_numpy,
    count_stops,
    im2col_numpy,
    require_images,
    taps,
    window,
)
from vqnp.layers.layer import Array, Cache, Gradients
from vqnp.layers.linear import add_bias, sum_rows, uniform_start
from vqnp.validation import require_integer

LAYOUT = ("kh", "kw", "C_in", "C_out")


def conv2d_forward_loop(
    x: Array, weight: Array, bias: Array, stride: int | Pair = 1, padding: int | Pair = 0
) -> tuple[Array, Cache]:
    """The definition of :func:`conv2d_forward`."""
    kernel_size, stride, padding = window(weight.shape[:2], stride, padding)
    out = np.zeros(
        (len(x), *count_stops(x, kernel_size, stride, padding), weight.shape[3]), x.dtype
    )
    for stop, tap, pixel in taps(x, kernel_size, stride, padding):
        out[stop] += x[pixel] @ weight[tap]
    return out + bias, (x, weight, stride, padding)


def conv2d_backward_loop(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """The definition of :func:`conv2d_backward`."""
    x, weight, stride, padding = cache
    dx, dweight = np.zeros_like(x), np.zeros_like(weight)
    for stop, tap, pixel in taps(x, weight.shape[:2], stride, padding):
        dx[pixel] += weight[tap] @ dout[stop]
        dweight[tap] += np.outer(x[pixel], dout[stop])
    return dx, dweight, dout.sum(axis=(0, 1, 2))


def conv2d_forward_numpy(
    x: Array, weight: Array, bias: Array, stride: int | Pair = 1, padding: int | Pair = 0
) -> tuple[Array, Cache]:
    """:func:`conv2d_forward` in NumPy: the columns of the whole batch, one matrix product."""
    kernel_size, stride, padding = window(weight.shape[:2], stride, padding)
    columns = im2col_numpy(x, kernel_size, stride, padding)  # (B·Ho·Wo, kh·kw·C_in)
    out = columns @ as_matrix(weight) + bias
    return out.reshape(len(x), *count_stops(x, kernel_size, stride, padding), -1), (
        x,
        weight,
        stride,
        padding,
    )


def conv2d_backward_numpy(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """:func:`conv2d_backward` in NumPy: the linear layer's gradients, and col2im to bring dx back to pixels."""
    x, weight, stride, padding = cache
    columns = im2col_numpy(x, weight.shape[:2], stride, padding)
    dout = dout.reshape(-1, dout.shape[3])  # (B·Ho·Wo, C_out)
    dx = col2im_numpy(dout @ as_matrix(weight).T, x.shape, weight.shape[:2], stride, padding)
    return dx, (columns.T @ dout).reshape(weight.shape), dout.sum(axis=0)


def conv2d_forward(
    x: Array, weight: Array, bias: Array, stride: int | Pair = 1, padding: int | Pair = 0
) -> tuple[Array, Cache]:
    """Return the convolution ``(B, Ho, Wo, C_out)`` of ``x`` ``(B, H, W, C_in)`` and the cache.

    ``weight`` is ``(kh, kw, C_in, C_out)``, ``bias`` ``(C_out,)``; stride and padding are integers or ``(height, width)``
    pairs. The cache keeps the input, for the weight's gradient, and the weight, for the input's. Raises ``TypeError`` for
    another dtype than float32 or float64 or a mixture of both, and ``ValueError`` for another rank, channels that do not
    match, a stride below 1, a negative padding, or a kernel larger than the padded images.
    """
    require_operands(x, weight, bias)
    _, stride, padding = window(weight.shape[:2], stride, padding)
    out = correlate(x, weight, stride, padding)
    add_bias(out.reshape(-1, len(bias)), bias)
    return out, (x, weight, stride, padding)


def conv2d_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Return the gradients of input, weight and bias, of their shapes, for ``dout`` ``(B, Ho, Wo, C_out)``.

    Raises ``ValueError`` or ``TypeError`` for ``dout`` of another shape or dtype than the output's.
    """
    x, weight, stride, padding = cache
    stops = count_stops(x, weight.shape[:2], stride, padding)
    require_gradient(dout, (len(x), *stops, weight.shape[3]), x.dtype)
    dx = correlate_backward_input(dout, weight, x.shape[1:3], stride, padding)
    dweight = correlate_backward_weight(x, dout, weight.shape[:2], stride, padding)
    return dx, dweight, sum_rows(np.ascontiguousarray(dout).reshape(-1, dout.shape[3]))


class Conv2d:
    """Owns a weight ``(kh, kw, in_channels, out_channels)`` and a bias ``(out_channels,)``.

    Both start uniform in ±1/sqrt(fan-in); the fan-in is in_channels·kh·kw.
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
        shape, fan_in = (height, width, in_channels, out_channels), in_channels * height * width
        self.params = uniform_start(shape, out_channels, fan_in, rng, dtype)

    def forward(self, x: Array) -> tuple[Array, Cache]:
        """Map ``(B, H, W, in_channels)`` to ``(B, Ho, Wo, out_channels)``; raises as :func:`conv2d_forward` does."""
        return conv2d_forward(
            x, self.params["weight"], self.params["bias"], self.stride, self.padding
        )

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of the input and, by parameter name, of the weight and the bias."""
        dx, dweight, dbias = conv2d_backward(dout, cache)
        return dx, {"weight": dweight, "bias": dbias}


def require_operands(
    x: Array, weight: Array, bias: Array, layout: tuple[str, ...] = LAYOUT
) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless x, weight and bias fit together, the weight's axes being ``layout``."""
    require_images(x, "x")
    sizes = dict(zip(layout, weight.shape, strict=False))
    if weight.ndim != 4 or sizes["C_in"] != x.shape[3]:
        raise ValueError(
            f"weight must have shape ({', '.join(layout)}) with C_in = {x.shape[3]} as in x {x.shape}, got {weight.shape}"
        )
    if bias.shape != (sizes["C_out"],):
        raise ValueError(f"bias must have shape ({sizes['C_out']},), got {bias.shape}")
    for name, array in ("weight", weight), ("bias", bias):
        if array.dtype != x.dtype:
            raise TypeError(f"{name} must be {x.dtype} as x is, got {array.dtype}")


def require_gradient(dout: Array, shape: tuple[int, ...], dtype: Any) -> None:
    """Raise ``ValueError`` or ``TypeError`` unless ``dout`` has the shape and the dtype of the output."""
    if dout.shape != shape:
        raise ValueError(f"dout must have the output's shape {shape}, got {dout.shape}")
    if dout.dtype != dtype:
        raise TypeError(f"dout must be {dtype} as x is, got {dout.dtype}")
