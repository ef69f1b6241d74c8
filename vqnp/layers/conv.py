"""The convolution: an output pixel is a linear map of the input pixels under the kernel.

``taps`` names every (stop, tap, pixel) of a kernel's walk over the images (see im2col.py). With it,
a convolution is one sum, and its derivatives are that sum seen from the input and the weight::

    out[stop]     = Σ  x[pixel] weight[tap]  + bias
    dx[pixel]     = Σ  dout[stop] weight[tap]ᵀ
    dweight[tap]  = Σ  x[pixel]ᵀ dout[stop]

Shapes: x ``(B, H, W, C_in)``, weight ``(kh, kw, C_in, C_out)``, bias ``(C_out,)``, out
``(B, Ho, Wo, C_out)`` with Ho = (H + 2·padding - kh) // stride + 1, and Wo likewise.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from vqnp.fast.correlate import correlate, correlate_backward_input, correlate_backward_weight
from vqnp.fast.windows import Pair
from vqnp.layers.im2col import (
    Size,
    as_pairs,
    as_walk,
    col2im_numpy,
    count_stops,
    im2col_numpy,
    require_images,
    taps,
)
from vqnp.layers.layer import (
    Cache,
    Gradients,
    Layer,
    add_bias,
    as_input,
    by_name,
    sum_rows,
    uniform_start,
)
from vqnp.validation import Array, as_floats, require_instance, require_integers, require_like

LAYOUT = ("kh", "kw", "C_in", "C_out")
Images = Float[np.ndarray, "B H W I"]
Kernel = Float[np.ndarray, "kh kw I O"]
TransposedKernel = Float[np.ndarray, "kh kw O I"]
Bias = Float[np.ndarray, "O"]
Outputs = Float[np.ndarray, "B Ho Wo O"]
ImagesLike = Float[Any, "B H W I"]
KernelLike = Float[Any, "kh kw I O"]
TransposedKernelLike = Float[Any, "kh kw O I"]
BiasLike = Float[Any, "O"]
OutputsLike = Float[Any, "B Ho Wo O"]


def conv2d_forward_loop(
    x: Array, weight: Array, bias: Array, stride: Size = 1, padding: Size = 0
) -> tuple[Array, Cache]:
    """Define :func:`conv2d_forward` by a loop over every tap of every stop."""
    kernel_size, stride, padding, stops = as_walk(x, weight.shape[:2], stride, padding)
    out = np.zeros((len(x), *stops, weight.shape[3]), x.dtype)
    for stop, tap, pixel in taps(x, kernel_size, stride, padding):
        out[stop] += x[pixel] @ weight[tap]
    return out + bias, (x, weight, stride, padding)


def conv2d_backward_loop(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Define :func:`conv2d_backward` by the same walk."""
    x, weight, stride, padding = cache
    dx, dweight = np.zeros_like(x), np.zeros_like(weight)
    for stop, tap, pixel in taps(x, weight.shape[:2], stride, padding):
        dx[pixel] += weight[tap] @ dout[stop]
        dweight[tap] += np.outer(x[pixel], dout[stop])
    return dx, dweight, dout.sum(axis=(0, 1, 2))


def conv2d_forward_numpy(
    x: Array, weight: Array, bias: Array, stride: Size = 1, padding: Size = 0
) -> tuple[Array, Cache]:
    """Do :func:`conv2d_forward` in NumPy: the columns of the whole batch, one matrix product."""
    kernel_size, stride, padding, stops = as_walk(x, weight.shape[:2], stride, padding)
    columns = im2col_numpy(x, kernel_size, stride, padding)  # (B·Ho·Wo, kh·kw·C_in)
    out = columns @ weight.reshape(-1, weight.shape[3]) + bias
    return out.reshape(len(x), *stops, -1), (x, weight, stride, padding)


def conv2d_backward_numpy(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Do :func:`conv2d_backward` in NumPy: the linear layer's gradients, then col2im for dx."""
    x, weight, stride, padding = cache
    columns = im2col_numpy(x, weight.shape[:2], stride, padding)
    dout = dout.reshape(-1, dout.shape[3])  # (B·Ho·Wo, C_out)
    dcolumns = dout @ weight.reshape(-1, weight.shape[3]).T  # (B·Ho·Wo, kh·kw·C_in)
    dx = col2im_numpy(dcolumns, x.shape, weight.shape[:2], stride, padding)
    return dx, (columns.T @ dout).reshape(weight.shape), dout.sum(axis=0)


def conv2d_forward(
    x: ImagesLike, weight: KernelLike, bias: BiasLike, stride: Size = 1, padding: Size = 0
) -> tuple[Outputs, Cache]:
    """Return the convolution of ``x`` with ``weight``, plus ``bias``, and the cache.

    Parameters
    ----------
    x : float array-like (B, H, W, C_in)
        The images.
    weight : array-like (kh, kw, C_in, C_out), dtype of ``x``
        The kernel.
    bias : array-like (C_out,), dtype of ``x``
        One number a channel.
    stride, padding : int or (height, width)
        In pixels.

    Returns
    -------
    out : array (B, Ho, Wo, C_out)
        With Ho = (H + 2·padding - kh) // stride + 1, and Wo likewise.
    cache
        The input, for the weight's gradient, and the weight, for the input's.

    Raises
    ------
    TypeError
        For anything but floating-point numbers, or a mixture of float32 and float64.
    ValueError
        For another rank, channels that do not match, a stride below 1, a negative padding, or a
        kernel larger than the padded images.

    Example
    -------
    >>> x, ones = np.arange(9.0).reshape(1, 3, 3, 1), np.ones((2, 2, 1, 1))
    >>> conv2d_forward(x, ones, np.zeros(1))[0][0, :, :, 0]  # each window's sum
    array([[ 8., 12.],
           [20., 24.]])
    """
    x, weight, bias = as_operands(x, weight, bias)
    _, stride, padding, stops = as_walk(x, weight.shape[:2], stride, padding)
    out = correlate(x, weight, stops, stride, padding)
    add_bias(out.reshape(-1, len(bias)), bias)
    return out, (x, weight, stride, padding)


def conv2d_backward(dout: OutputsLike, cache: Cache) -> tuple[Images, Kernel, Bias]:
    """Return the gradients of the input, the weight and the bias.

    Parameters
    ----------
    dout : array-like (B, Ho, Wo, C_out), dtype of the output
        The gradient of the output.
    cache
        As ``conv2d_forward`` returned it.

    Returns
    -------
    dx, dweight, dbias : arrays (B, H, W, C_in), (kh, kw, C_in, C_out), (C_out,)
        Of the dtype of ``dout``.

    Raises
    ------
    ValueError, TypeError
        For ``dout`` of another shape or dtype than the output's.

    Example
    -------
    >>> x, ones = np.arange(9.0).reshape(1, 3, 3, 1), np.ones((2, 2, 1, 1))
    >>> out, cache = conv2d_forward(x, ones, np.zeros(1))
    >>> conv2d_backward(np.ones_like(out), cache)[0][0, :, :, 0]  # how many windows saw a pixel
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    x, weight, stride, padding = require_instance(cache, tuple, "cache")
    dout = as_floats(dout, "dout")
    stops = count_stops(x, weight.shape[:2], stride, padding)
    require_like(dout, "dout", (len(x), *stops, weight.shape[3]), x.dtype)
    dx = correlate_backward_input(dout, weight, x.shape[1:3], stride, padding)
    dweight = correlate_backward_weight(x, dout, weight.shape[:2], stride, padding)
    return dx, dweight, sum_rows(np.ascontiguousarray(dout).reshape(-1, dout.shape[3]))


@dataclass(eq=False, repr=False)
class KernelSizes:
    """What the convolutions of both directions share: sizes, the kernel's start, the two passes."""

    functions: ClassVar[tuple[Callable, Callable]]  # forward and backward
    params: dict[str, Array] = field(init=False)
    in_channels: int
    out_channels: int
    kernel_size: Size
    _: KW_ONLY
    stride: Size = 1
    padding: Size = 0

    def _start(self, rng: np.random.Generator, dtype: Any) -> dict[str, Array]:
        """Return weight and bias, uniform in ±1/sqrt(C·kh·kw), once the sizes are checked.

        C is the number of channels on the weight's third axis.
        """
        (height, width), _, _ = as_pairs(self.kernel_size, self.stride, self.padding)
        require_integers(self, "out_channels", "in_channels", least=1)
        channels = self._channels()
        fan_in = channels[0] * height * width
        return uniform_start((height, width, *channels), self.out_channels, fan_in, rng, dtype)

    def _channels(self) -> Pair:
        """Return the weight's last two axes."""
        return self.in_channels, self.out_channels

    def forward(self, x: Array) -> tuple[Array, Cache]:
        """Map ``(B, H, W, C_in)`` to ``(B, Ho, Wo, C_out)``; raises as the function does."""
        x = as_input(x, self.params["weight"])
        return self.functions[0](x, **self.params, stride=self.stride, padding=self.padding)

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, Gradients]:
        """Return the gradient of the input and, by parameter name, of the weight and the bias."""
        return by_name(*self.functions[1](dout, cache))


@dataclass(eq=False, repr=False)
class Conv2d(KernelSizes, Layer):
    """A convolution that owns its weight ``(kh, kw, C_in, C_out)`` and bias ``(C_out,)``.

    Parameters
    ----------
    in_channels, out_channels : int
        C_in and C_out.
    kernel_size, stride, padding : int or (height, width)
        In pixels.
    rng : int or numpy.random.Generator
        Weight and bias are drawn from it, uniform in ±1/sqrt(C_in·kh·kw).
    dtype : dtype
        float32, or float64 to check gradients.

    Raises
    ------
    TypeError, ValueError
        For a size that is no integer or too small.

    Example
    -------
    >>> layer = Conv2d(3, 64, 4, stride=2, padding=1, rng=0)
    >>> layer, layer.forward(np.ones((1, 8, 8, 3), np.float32))[0].shape
    (Conv2d(3, 64, 4, stride=2, padding=1), (1, 4, 4, 64))
    """

    functions = conv2d_forward, conv2d_backward


def as_operands(
    x: Any, weight: Any, bias: Any, layout: tuple[str, ...] = LAYOUT
) -> tuple[Array, Array, Array]:
    """Return x, weight and bias once they fit together; ``layout`` names the weight's axes.

    Raises ``TypeError`` or ``ValueError``.
    """
    x, weight, bias = as_floats(x, "x"), as_floats(weight, "weight"), as_floats(bias, "bias")
    require_images(x, "x")
    sizes = dict(zip(layout, weight.shape, strict=False))
    if weight.ndim != 4 or sizes["C_in"] != x.shape[3]:
        raise ValueError(
            f"weight must have shape ({', '.join(layout)}) with C_in = {x.shape[3]} "
            f"as in x {x.shape}, got {weight.shape}"
        )
    require_like(weight, "weight", weight.shape, x.dtype)
    require_like(bias, "bias", (sizes["C_out"],), x.dtype)
    return x, weight, bias
