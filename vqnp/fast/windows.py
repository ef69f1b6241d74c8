"""The windows of a convolution, copied and added a run of numbers at a time.

``gather_images`` equals :func:`vqnp.layers.im2col.im2col_loop`, ``scatter_images`` equals
:func:`vqnp.layers.im2col.col2im_loop`. With channels last, a window's row of pixels is one run of
kw·C numbers. So these kernels see an image as rows of numbers, ``(H, W·C)``, without channels.
"""

import numpy as np
from numba import prange

from vqnp.jit import kernel, parallel_kernel
from vqnp.validation import Array

Pair = tuple[int, int]  # (height, width)
# Shares of a batch. Each keeps its own sums, so no more threads than this can help.
PARTS = 16


@parallel_kernel
def gather_images(images: Array, step: Pair, margin: Pair, columns: Array) -> None:
    """Copy all windows of ``images`` ``(B, H, W·C)`` to ``columns`` ``(B, Ho, Wo, kh, kw·C)``."""
    for b in prange(len(images)):
        gather_windows(images[b], step, margin, padded_zeros(images, margin), columns[b])


@parallel_kernel
def scatter_images(columns: Array, step: Pair, margin: Pair, images: Array) -> None:
    """Overwrite ``images`` ``(B, H, W·C)`` with the sums of the windows in ``columns``."""
    for b in prange(len(images)):
        scatter_windows(columns[b], step, margin, padded_zeros(images, margin), images[b])


@kernel
def part_range(part: int, count: int) -> Pair:
    """Return the first image of one of the PARTS of a batch, and the one after its last."""
    return part * count // PARTS, (part + 1) * count // PARTS


@kernel
def gather_windows(image: Array, step: Pair, margin: Pair, padded: Array, columns: Array) -> None:
    """Copy every window of ``image`` ``(H, W·C)`` into ``columns`` ``(Ho, Wo, kh, kw·C)``.

    ``padded`` ``(H + 2ph, (W + 2pw)·C)`` is room to work in: its margin must hold zeros.
    """
    copy_rows(image, inside(padded, image, margin))
    rows, cols, kernel_height, run = columns.shape
    for y in range(rows):
        for x in range(cols):
            for i in range(kernel_height):
                start = x * step[1]
                source = padded[y * step[0] + i, start : start + run]
                target = columns[y, x, i]
                for k in range(run):  # two plain runs, so that the loop vectorizes
                    target[k] = source[k]


@kernel
def scatter_windows(columns: Array, step: Pair, margin: Pair, padded: Array, image: Array) -> None:
    """Overwrite ``image`` ``(H, W·C)`` with the sum of all windows ``(Ho, Wo, kh, kw·C)``.

    ``padded`` ``(H + 2ph, (W + 2pw)·C)`` is room to work in, whatever it holds.
    """
    padded.fill(0)
    rows, cols, kernel_height, run = columns.shape
    for y in range(rows):
        for x in range(cols):
            left, right = x * step[1], x * step[1] + run
            for i in range(kernel_height):
                target, source = padded[y * step[0] + i, left:right], columns[y, x, i]
                for k in range(run):
                    target[k] += source[k]
    copy_rows(inside(padded, image, margin), image)


@kernel
def inside(padded: Array, image: Array, margin: Pair) -> Array:
    """View the part of ``padded`` that ``image`` fills."""
    height, width = image.shape
    return padded[margin[0] : margin[0] + height, margin[1] : margin[1] + width]


@kernel
def copy_rows(source: Array, target: Array) -> None:
    """Copy one image, a row at a time."""
    for row in range(len(source)):
        one, other = source[row], target[row]
        for k in range(len(one)):  # two plain runs, so that the loop vectorizes
            other[k] = one[k]


@kernel
def padded_zeros(images: Array, margin: Pair) -> Array:
    """Return zeros ``(H + 2ph, (W + 2pw)·C)`` for one image and its margin ``(ph, pw·C)``."""
    _, height, width = images.shape
    return np.zeros((height + 2 * margin[0], width + 2 * margin[1]), images.dtype)


def as_rows(images: Array) -> Array:
    """Return ``images`` ``(B, H, W, C)`` as contiguous ``(B, H, W·C)``, a view if possible."""
    batch, height, width, channels = images.shape
    return np.ascontiguousarray(images).reshape(batch, height, width * channels)


def flat_geometry(
    channels: int, kernel_size: Pair, stride: Pair, padding: Pair
) -> tuple[Pair, Pair, Pair]:
    """Return step ``(sh, sw·C)``, margin ``(ph, pw·C)`` and runs ``(kh, kw·C)``, in numbers."""
    return (
        (stride[0], stride[1] * channels),
        (padding[0], padding[1] * channels),
        (kernel_size[0], kernel_size[1] * channels),
    )
