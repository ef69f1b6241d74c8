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

import math

import numpy as np
from numba import prange

from vqnp import threads
from vqnp.fast.windows import (
    PARTS,
    Pair,
    as_rows,
    flat_geometry,
    gather_windows,
    padded_zeros,
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
    if winograd_applies(weight.shape[:2], weight.shape[2:], stride, padding):
        return winograd(x, weight, size, padding)
    out = np.empty((len(x), *size, weight.shape[3]), x.dtype)
    _multiply(x, weight, out, stride, padding, backward=False)
    return out


@threads.limit()
def correlate_backward_input(
    dout: Array, weight: Array, size: Pair, stride: Pair, padding: Pair
) -> Array:
    """Return the gradient ``(B, H, W, C_in)`` of the convolution's input of ``size`` (H, W)."""
    if winograd_applies(weight.shape[:2], weight.shape[2:], stride, padding):
        return winograd_backward_input(dout, weight, size, padding)
    dx = np.empty((len(dout), *size, weight.shape[2]), dout.dtype)
    _multiply(dx, weight, np.ascontiguousarray(dout), stride, padding, backward=True)
    return dx


@threads.limit()
def correlate_backward_weight(
    x: Array, dout: Array, kernel_size: Pair, stride: Pair, padding: Pair
) -> Array:
    """Return the gradient ``(kh, kw, C_in, C_out)`` of the convolution's weight."""
    channels = x.shape[3], dout.shape[3]
    if winograd_applies(kernel_size, channels, stride, padding):
        return winograd_backward_weight(x, dout, padding)
    taps = math.prod(kernel_size) * channels[0]
    sums = np.empty((PARTS, taps, channels[1]), x.dtype)
    multiply = _backward_weight.sized(dout.size * taps, PARALLEL_MULTIPLICATIONS)
    geometry = flat_geometry(channels[0], kernel_size, stride, padding)
    multiply(as_rows(x), np.ascontiguousarray(dout), *geometry, sums)
    return sums.sum(axis=0).reshape(*kernel_size, *channels)


def _multiply(
    images: Array, weight: Array, out: Array, stride: Pair, padding: Pair, *, backward: bool
) -> None:
    """Overwrite ``out`` with the convolution, or ``images`` with the gradient from ``out``."""
    channels, channels_out = weight.shape[2:]
    matrix = np.ascontiguousarray(weight).reshape(-1, channels_out)  # (kh·kw·C, O)
    multiply = _multiply_parts.sized(out.size * len(matrix), PARALLEL_MULTIPLICATIONS)
    geometry = flat_geometry(channels, weight.shape[:2], stride, padding)
    # The kernel writes one of the two, so it is compiled for neither of them read-only.
    images, out = (np.require(array, requirements="W") for array in (as_rows(images), out))
    multiply(images, matrix, *geometry, out, backward)


@both
def _multiply_parts(
    images: Array, weight: Array, step: Pair, margin: Pair, runs: Pair, out: Array, backward: bool
) -> None:
    for part in prange(PARTS):
        first, last = part_range(part, len(images))
        share, made = images[first:last], out[first:last]
        _multiply_part(share, weight, step, margin, runs, made, backward)


@kernel
def _multiply_part(
    images: Array, weight: Array, step: Pair, margin: Pair, runs: Pair, out: Array, backward: bool
) -> None:
    padded, columns = workspace(images, out, margin, runs)
    for start in range(0, len(images), len(columns)):
        block = slice(start, start + len(columns))
        some, pixels = images[block], rows_of(out[block], out.shape[3])
        if not backward:
            np.dot(gather_block(some, step, margin, padded, columns), weight, pixels)
        elif is_columns(some, columns, margin):
            np.dot(pixels, weight.T, rows_of(some, runs[1]))
        else:
            np.dot(pixels, weight.T, rows_of(columns[: len(some)], runs[0] * runs[1]))
            for b in range(len(some)):
                scatter_windows(columns[b], step, margin, padded, some[b])


@both
def _backward_weight(
    images: Array, dout: Array, step: Pair, margin: Pair, runs: Pair, sums: Array
) -> None:
    for part in prange(PARTS):
        first, last = part_range(part, len(images))
        share, of_share = images[first:last], dout[first:last]
        _backward_weight_part(share, of_share, step, margin, runs, sums[part])


@kernel
def _backward_weight_part(
    images: Array, dout: Array, step: Pair, margin: Pair, runs: Pair, total: Array
) -> None:
    padded, columns = workspace(images, dout, margin, runs)
    product = np.empty_like(total)
    total.fill(0)
    for start in range(0, len(images), len(columns)):
        block = slice(start, start + len(columns))
        gathered = gather_block(images[block], step, margin, padded, columns)
        np.dot(gathered.T, rows_of(dout[block], dout.shape[3]), product)
        total += product


@kernel
def workspace(images: Array, out: Array, margin: Pair, runs: Pair) -> tuple[Array, Array]:
    """Return room for one padded image and for columns ``(n, Ho, Wo, kh, kw·C)`` of n images."""
    _, rows, cols, _ = out.shape
    count = max(1, min(ROWS_A_PRODUCT // (rows * cols), len(images)))
    columns = np.empty((count, rows, cols, runs[0], runs[1]), images.dtype)
    return padded_zeros(images, margin), columns


@kernel
def gather_block(images: Array, step: Pair, margin: Pair, padded: Array, columns: Array) -> Array:
    """Return the columns ``(n·Ho·Wo, kh·kw·C)`` of ``images`` ``(n, H, W·C)``.

    They are made in the room of ``columns`` unless the images are their own columns.
    """
    height, run = columns.shape[3:]
    if is_columns(images, columns, margin):
        return rows_of(images, run)
    for b in range(len(images)):
        gather_windows(images[b], step, margin, padded, columns[b])
    return rows_of(columns[: len(images)], height * run)


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
def rows_of(array: Array, width: int) -> Array:
    """View an array as rows of ``width`` numbers, such as the pixels of images."""
    return array.reshape(array.size // width, width)
