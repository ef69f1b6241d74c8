"""The three matrix products of a convolution, a few images at a time.

A convolution, the gradient of its input and that of its weight are each im2col or col2im around one
product::

    out     = im2col(x) @ weight             (B·Ho·Wo, kh·kw·C) @ (kh·kw·C, O)
    dx      = col2im(dout @ weightᵀ)         (B·Ho·Wo, O) @ (O, kh·kw·C)
    dweight = im2col(x)ᵀ @ dout              (kh·kw·C, B·Ho·Wo) @ (B·Ho·Wo, O)

The columns of a whole batch can be kh·kw times the size of the input. Those of a few images are
multiplied while they are still in the cache, so memory does not grow with the batch. The backward
pass copies them again, because that costs little beside the product.

BLAS runs on one thread (see threads.py); the threads are Numba's. They share a fixed number of
parts of the batch. The parts' sums for the weight are added in order, so any number of threads
gives the same bits.

The functions equal the sums of ``conv2d_forward_loop`` and ``conv2d_backward_loop`` in
layers/conv.py, up to rounding.
"""

import numpy as np
from numba import prange

from vqnp import threads
from vqnp.fast.windows import (
    PARTS,
    Pair,
    as_rows,
    flat_geometry,
    gather_windows,
    part_range,
    scatter_windows,
)
from vqnp.fast.winograd import (
    winograd,
    winograd_applies,
    winograd_backward_input,
    winograd_backward_weight,
)
from vqnp.jit import both, kernel
from vqnp.validation import Array

PARALLEL_MULTIPLICATIONS = 1 << 21
# Rows of columns in one product: enough for BLAS to run at speed, few enough for the cache.
ROWS_A_PRODUCT = 512


@threads.limit()
def correlate(x: Array, weight: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
    """Return the convolution ``(B, Ho, Wo, C_out)`` of ``size`` (Ho, Wo), without its bias."""
    kernel_size, channels = weight.shape[:2], weight.shape[2]
    if winograd_applies(kernel_size, weight.shape[2:], stride, padding):
        return winograd(x, weight, size, padding)
    step, margin, run = flat_geometry(channels, kernel_size, stride, padding)
    out = np.empty((len(x), *size, weight.shape[3]), x.dtype)
    runs = kernel_size[0], run
    multiply = _correlate.sized(multiplications(out, weight), PARALLEL_MULTIPLICATIONS)
    multiply(as_rows(x), as_matrix(weight), runs, step, margin, out)
    return out


@threads.limit()
def correlate_backward_input(
    dout: Array, weight: Array, size: Pair, stride: Pair, padding: Pair
) -> Array:
    """Return the gradient ``(B, H, W, C_in)`` of the convolution's input of ``size`` (H, W)."""
    kernel_size, channels = weight.shape[:2], weight.shape[2]
    if winograd_applies(kernel_size, weight.shape[2:], stride, padding):
        return winograd_backward_input(dout, weight, size, padding)
    step, margin, run = flat_geometry(channels, kernel_size, stride, padding)
    dx = np.empty((len(dout), *size, channels), dout.dtype)
    dout, runs = np.ascontiguousarray(dout), (kernel_size[0], run)
    multiply = _backward_input.sized(multiplications(dout, weight), PARALLEL_MULTIPLICATIONS)
    multiply(dout, as_matrix(weight), runs, step, margin, as_rows(dx))
    return dx


@threads.limit()
def correlate_backward_weight(
    x: Array, dout: Array, kernel_size: Pair, stride: Pair, padding: Pair
) -> Array:
    """Return the gradient ``(kh, kw, C_in, C_out)`` of the convolution's weight."""
    channels_in, channels_out = x.shape[3], dout.shape[3]
    if winograd_applies(kernel_size, (channels_in, channels_out), stride, padding):
        return winograd_backward_weight(x, dout, padding)
    step, margin, run = flat_geometry(channels_in, kernel_size, stride, padding)
    sums = np.empty((PARTS, kernel_size[0] * run, channels_out), x.dtype)
    dout, runs = np.ascontiguousarray(dout), (kernel_size[0], run)
    multiply = _backward_weight.sized(multiplications(dout, sums[0]), PARALLEL_MULTIPLICATIONS)
    multiply(as_rows(x), dout, runs, step, margin, sums)
    return sums.sum(axis=0).reshape(*kernel_size, channels_in, channels_out)


def multiplications(out: Array, weight: Array) -> int:
    """Return the multiplications of the product with an output, or its gradient, ``out``."""
    return out.size // out.shape[-1] * weight.size


@both
def _correlate(
    images: Array, weight: Array, runs: Pair, step: Pair, margin: Pair, out: Array
) -> None:
    for part in prange(PARTS):
        _correlate_part(part, images, weight, runs, step, margin, out)


@kernel
def _correlate_part(
    part: int, images: Array, weight: Array, runs: Pair, step: Pair, margin: Pair, out: Array
) -> None:
    padded, columns = workspace(images, out, runs, margin)
    first, last = part_range(part, len(images))
    for start in range(first, last, len(columns)):
        stop = min(start + len(columns), last)
        # (n·Ho·Wo, kh·kw·C)
        gathered = gather_block(images[start:stop], step, margin, padded, columns)
        np.dot(gathered, weight, pixels(out[start:stop]))


@both
def _backward_input(
    dout: Array, weight: Array, runs: Pair, step: Pair, margin: Pair, dx: Array
) -> None:
    for part in prange(PARTS):
        _backward_input_part(part, dout, weight, runs, step, margin, dx)


@kernel
def _backward_input_part(
    part: int, dout: Array, weight: Array, runs: Pair, step: Pair, margin: Pair, dx: Array
) -> None:
    padded, columns = workspace(dx, dout, runs, margin)
    first, last = part_range(part, len(dx))
    for start in range(first, last, len(columns)):
        stop = min(start + len(columns), last)
        if is_columns(dx, columns, margin):
            np.dot(pixels(dout[start:stop]), weight.T, as_rows_of(dx[start:stop], columns))
            continue
        np.dot(pixels(dout[start:stop]), weight.T, as_columns(columns[: stop - start]))
        for b in range(start, stop):
            scatter_windows(columns[b - start], step, margin, padded, dx[b])


@both
def _backward_weight(
    images: Array, dout: Array, runs: Pair, step: Pair, margin: Pair, sums: Array
) -> None:
    for part in prange(PARTS):
        _backward_weight_part(part, images, dout, runs, step, margin, sums[part])


@kernel
def _backward_weight_part(
    part: int, images: Array, dout: Array, runs: Pair, step: Pair, margin: Pair, total: Array
) -> None:
    padded, columns = workspace(images, dout, runs, margin)
    product = np.empty_like(total)
    total.fill(0)
    first, last = part_range(part, len(images))
    for start in range(first, last, len(columns)):
        stop = min(start + len(columns), last)
        # (n·Ho·Wo, kh·kw·C)
        gathered = gather_block(images[start:stop], step, margin, padded, columns)
        np.dot(gathered.T, pixels(dout[start:stop]), product)
        for i in range(len(total)):
            for j in range(total.shape[1]):
                total[i, j] += product[i, j]


@kernel
def workspace(images: Array, out: Array, runs: Pair, margin: Pair) -> tuple[Array, Array]:
    """Return room for one padded image and for columns ``(n, Ho, Wo, kh, kw·C)`` of n images."""
    batch, height, width = images.shape
    _, rows, cols, _ = out.shape
    count = max(1, min(ROWS_A_PRODUCT // (rows * cols), -(-batch // PARTS)))
    padded = np.zeros((height + 2 * margin[0], width + 2 * margin[1]), images.dtype)
    return padded, np.empty((count, rows, cols, runs[0], runs[1]), images.dtype)


@kernel
def gather_block(images: Array, step: Pair, margin: Pair, padded: Array, columns: Array) -> Array:
    """Return the columns ``(n·Ho·Wo, kh·kw·C)`` of ``images`` ``(n, H, W·C)``.

    They are made in the room of ``columns`` unless the images are their own columns.
    """
    if is_columns(images, columns, margin):
        return as_rows_of(images, columns)
    for b in range(len(images)):
        gather_windows(images[b], step, margin, padded, columns[b])
    return as_columns(columns[: len(images)])


@kernel
def is_columns(images: Array, columns: Array, margin: Pair) -> bool:
    """Tell whether im2col would copy every row unchanged, as for a 1×1 kernel.

    That takes a kernel of height 1, no padding, and windows that tile the row.
    """
    _, rows, cols, height, run = columns.shape
    return (
        margin == (0, 0)
        and height == 1
        and rows == images.shape[1]
        and cols * run == images.shape[2]
    )


@kernel
def as_rows_of(images: Array, columns: Array) -> Array:
    """View ``images`` that are their own ``columns`` as the matrix ``(n·Ho·Wo, kw·C)``."""
    return images.reshape(images.size // columns.shape[4], columns.shape[4])


@kernel
def as_columns(columns: Array) -> Array:
    """View columns ``(n, Ho, Wo, kh, kw·C)`` as the matrix ``(n·Ho·Wo, kh·kw·C)``."""
    count, rows, cols, height, run = columns.shape
    return columns.reshape(count * rows * cols, height * run)


@kernel
def pixels(images: Array) -> Array:
    """View images ``(n, H, W, C)`` as one row a pixel, ``(n·H·W, C)``."""
    count, height, width, channels = images.shape
    return images.reshape(count * height * width, channels)


def as_matrix(weight: Array) -> Array:
    """Return ``weight`` ``(kh, kw, C, O)`` as the contiguous matrix ``(kh·kw·C, O)``."""
    height, width, channels, channels_out = weight.shape
    return np.ascontiguousarray(weight).reshape(height * width * channels, channels_out)
