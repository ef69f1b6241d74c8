"""The transposed convolution is the convolution's backward pass, run forward.

A convolution gathers: each output pixel sums the input pixels under the kernel. The gradient of its
input scatters: each output pixel's gradient goes back to those same input pixels. A transposed
convolution is that scatter taken as a layer. So a stride of 2 doubles an image instead of halving
it::

    conv2d              out = correlate(x)                 dx = correlate_backward_input(dout)
    conv_transpose2d    out = correlate_backward_input(x)  dx = correlate(dout)

``correlate_backward_weight`` serves both; the large image and the small one change places.

Shapes: x ``(B, H, W, C_in)``, weight ``(kh, kw, C_out, C_in)``, bias ``(C_out,)``, out
``(B, Ho, Wo, C_out)`` with Ho = (H - 1)·stride - 2·padding + kh, and Wo likewise. In this layout
one weight array serves both directions. Without biases, for every x and y of fitting sizes::

    <conv2d(x, weight), y> = <x, conv_transpose2d(y, weight)>
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vqnp.fast.correlate import correlate, correlate_backward_input, correlate_backward_weight
from vqnp.fast.windows import Pair
from vqnp.layers.conv import (
    Bias,
    BiasLike,
    Images,
    ImagesLike,
    KernelSizes,
    Outputs,
    OutputsLike,
    TransposedKernel,
    TransposedKernelLike,
    as_operands,
    conv2d_backward_loop,
    conv2d_backward_numpy,
    conv2d_forward_loop,
    conv2d_forward_numpy,
)
from vqnp.layers.im2col import Size, as_pairs
from vqnp.layers.layer import Cache, Layer, add_bias, sum_rows
from vqnp.validation import Array, as_floats, require_instance, require_like


def conv_transpose2d_forward_loop(
    x: Array, weight: Array, bias: Array, stride: Size = 1, padding: Size = 0
) -> tuple[Array, Cache]:
    """Define :func:`conv_transpose2d_forward`: each input pixel stamps the kernel on the output."""
    return _stamp(conv2d_backward_loop, x, weight, bias, stride, padding)


def conv_transpose2d_forward_numpy(
    x: Array, weight: Array, bias: Array, stride: Size = 1, padding: Size = 0
) -> tuple[Array, Cache]:
    """Do :func:`conv_transpose2d_forward` in NumPy: one matrix product, then col2im stamps."""
    return _stamp(conv2d_backward_numpy, x, weight, bias, stride, padding)


def conv_transpose2d_backward_loop(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Define :func:`conv_transpose2d_backward`: the convolution reads where the stamps went."""
    return _read(conv2d_forward_loop, conv2d_backward_loop, dout, cache)


def conv_transpose2d_backward_numpy(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Do :func:`conv_transpose2d_backward` in NumPy: im2col reads where the stamps went."""
    return _read(conv2d_forward_numpy, conv2d_backward_numpy, dout, cache)


def _stamp(
    backward: Callable, x: Array, weight: Array, bias: Array, stride: Size, padding: Size
) -> tuple[Array, Cache]:
    """Return the gradient of a convolution's input, for ``x`` as that of its output, plus bias."""
    kernel_size, stride, padding = as_pairs(weight.shape[:2], stride, padding)
    size = stamped_size(x, kernel_size, stride, padding)
    images = np.zeros((len(x), *size, weight.shape[2]), x.dtype)
    return backward(x, (images, weight, stride, padding))[0] + bias, (x, weight, stride, padding)


def _read(
    forward: Callable, backward: Callable, dout: Array, cache: Cache
) -> tuple[Array, Array, Array]:
    """Return the convolution of ``dout``, then the weight's gradient for an output's of ``x``."""
    x, weight, stride, padding = cache
    dx, seen = forward(dout, weight, np.zeros(x.shape[3], x.dtype), stride, padding)
    return dx, backward(x, seen)[1], dout.sum(axis=(0, 1, 2))


def conv_transpose2d_forward(
    x: ImagesLike,
    weight: TransposedKernelLike,
    bias: BiasLike,
    stride: Size = 1,
    padding: Size = 0,
) -> tuple[Outputs, Cache]:
    """Return the transposed convolution of ``x`` with ``weight``, plus ``bias``, and the cache.

    Parameters
    ----------
    x, bias
        As for :func:`conv2d_forward`.
    weight : array-like (kh, kw, C_out, C_in), dtype of ``x``
        The kernel, laid out as for the convolution whose backward pass this is.
    stride, padding : int or (height, width)
        In pixels of the output.

    Returns
    -------
    out : array (B, Ho, Wo, C_out)
        With Ho = (H - 1)·stride - 2·padding + kh, and Wo likewise.
    cache
        The input and the weight.

    Raises
    ------
    TypeError, ValueError
        As :func:`conv2d_forward` does, but what must fit is the padding: it must leave some output.

    Example
    -------
    >>> x, ones = np.array([1.0, 2.0]).reshape(1, 1, 2, 1), np.ones((1, 2, 1, 1))
    >>> conv_transpose2d_forward(x, ones, np.zeros(1))[0].ravel()  # stamps 1 1 · and · 2 2
    array([1., 3., 2.])
    """
    x, weight, bias = as_operands(x, weight, bias, ("kh", "kw", "C_out", "C_in"))
    kernel_size, stride, padding = as_pairs(weight.shape[:2], stride, padding)
    size = stamped_size(x, kernel_size, stride, padding)
    out = correlate_backward_input(x, weight, size, stride, padding)
    add_bias(out.reshape(-1, len(bias)), bias)
    return out, (x, weight, stride, padding)


def conv_transpose2d_backward(
    dout: OutputsLike, cache: Cache
) -> tuple[Images, TransposedKernel, Bias]:
    """Return the gradients of the input, the weight and the bias.

    The contract is that of :func:`conv2d_backward`, but for the layout of the weight.

    Parameters
    ----------
    dout, cache
        The gradient of the output, and what ``conv_transpose2d_forward`` returned.

    Returns
    -------
    dx, dweight, dbias
        Of the shapes of input, weight ``(kh, kw, C_out, C_in)`` and bias.

    Example
    -------
    >>> x, ones = np.array([1.0, 2.0]).reshape(1, 1, 2, 1), np.ones((1, 2, 1, 1))
    >>> out, cache = conv_transpose2d_forward(x, ones, np.zeros(1))
    >>> conv_transpose2d_backward(np.ones_like(out), cache)[0].ravel()  # two taps a pixel
    array([2., 2.])
    """
    x, weight, stride, padding = require_instance(cache, tuple, "cache")
    dout, kernel_size, channels = as_floats(dout, "dout"), weight.shape[:2], weight.shape[2]
    size = stamped_size(x, kernel_size, stride, padding)
    require_like(dout, "dout", (len(x), *size, channels), x.dtype)
    dx = correlate(dout, weight, x.shape[1:3], stride, padding)
    dweight = correlate_backward_weight(dout, x, kernel_size, stride, padding)
    return dx, dweight, sum_rows(np.ascontiguousarray(dout).reshape(-1, channels))


def stamped_size(x: Array, kernel_size: Pair, stride: Pair, padding: Pair) -> Pair:
    """Return the output's (Ho, Wo); raises ``ValueError`` when nothing of it is left."""
    height, width = (
        (size - 1) * step - 2 * pad + taps
        for size, step, pad, taps in zip(x.shape[1:3], stride, padding, kernel_size, strict=True)
    )
    if min(height, width, *x.shape[1:3]) < 1:
        raise ValueError(
            f"padding {padding} leaves an output of {(height, width)} pixels "
            f"of x of shape {x.shape}"
        )
    return height, width


@dataclass(eq=False, repr=False)
class ConvTranspose2d(KernelSizes, Layer):
    """A transposed convolution: its weight is ``(kh, kw, C_out, C_in)``, its bias ``(C_out,)``.

    Parameters
    ----------
    in_channels, out_channels, dtype
        As for :class:`Conv2d`; the same sizes are refused.
    kernel_size, stride, padding : int or (height, width)
        In pixels of the output.
    rng : int or numpy.random.Generator
        Weight and bias are drawn from it, uniform in ±1/sqrt(C_out·kh·kw). This is PyTorch's
        default: the fan-in of the convolution whose backward pass this is.

    Example
    -------
    >>> layer = ConvTranspose2d(64, 3, 4, stride=2, padding=1, rng=0)
    >>> layer
    ConvTranspose2d(64, 3, 4, stride=2, padding=1)
    >>> layer.forward(np.ones((1, 4, 4, 64), np.float32))[0].shape
    (1, 8, 8, 3)
    """

    functions = conv_transpose2d_forward, conv_transpose2d_backward

    def _channels(self) -> Pair:
        return self.out_channels, self.in_channels
