"""im2col: every window under a kernel becomes a row of one matrix.

So a convolution becomes a matrix product.

A 2×2 kernel moves over a 3×3 image (stride 1, no padding). It stops at four places, and each stop
is a row of the columns::

    image      stop 1    stop 2    stop 3    stop 4
    a b c      a b .     . b c     . . .     . . .
    d e f      d e .     . e f     d e .     . e f
    g h i      . . .     . . .     g h .     . h i

    columns (4, 4)      kernel (4, 1)     output
    a b d e             w                 a·w + b·x + d·y + e·z
    b c e f      @      x          =      b·w + c·x + e·y + f·z
    d e g h             y                 d·w + e·x + g·y + h·z
    e f h i             z                 e·w + f·x + h·y + i·z

col2im is its adjoint, not its inverse. It adds every entry back to the pixel it was copied from, so
``e`` above returns four times itself. A gradient needs that because ``e`` had a part in four
outputs.

With channels last, a pixel is a run of C numbers. The columns keep the order row, column, channel:
``(B·Ho·Wo, kh·kw·C)``. Padding with zeros first makes every window lie inside the image.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from vqnp.fast.windows import Pair, as_rows, flat_geometry, gather_images, scatter_images
from vqnp.validation import Array, as_floats, require_float, require_instance, require_integer

Size = int | Pair
Shape = tuple[int, int, int, int]  # (B, H, W, C)
Pictures = Float[np.ndarray, "B H W C"]
Columns = Float[np.ndarray, "stops taps"]
PicturesLike = Float[Any, "B H W C"]
ColumnsLike = Float[Any, "stops taps"]
Taps = Iterator[tuple[tuple[int, int, int], Pair, tuple[int, int, int]]]


def im2col_loop(images: Array, kernel_size: Size, stride: Size = 1, padding: Size = 0) -> Array:
    """Define :func:`im2col`: entry ``(stop, tap)`` is the pixel there, zero outside the image."""
    kernel_size, stride, padding, stops = as_walk(images, kernel_size, stride, padding)
    # (B, Ho, Wo, kh, kw, C)
    columns = np.zeros((len(images), *stops, *kernel_size, images.shape[3]), images.dtype)
    for stop, tap, pixel in taps(images, kernel_size, stride, padding):
        columns[stop + tap] = images[pixel]
    return _join_columns(columns)


def im2col_numpy(images: Array, kernel_size: Size, stride: Size = 1, padding: Size = 0) -> Array:
    """Do :func:`im2col` in NumPy: a view of all windows of the padded images, copied once."""
    kernel_size, (sh, sw), (ph, pw), _ = as_walk(images, kernel_size, stride, padding)
    padded = np.pad(images, ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel_size, axis=(1, 2))
    # (B, Ho, Wo, kh, kw, C)
    return _join_columns(windows[:, ::sh, ::sw].transpose(0, 1, 2, 4, 5, 3))


def im2col(images: PicturesLike, kernel_size: Size, stride: Size = 1, padding: Size = 0) -> Columns:
    """Return the columns ``(B·Ho·Wo, kh·kw·C)`` of ``images``, with zeros outside the image.

    Parameters
    ----------
    images : float array-like (B, H, W, C)
        Channels last.
    kernel_size, stride, padding : int or (height, width)
        In pixels; Ho = (H + 2·padding - kh) // stride + 1.

    Returns
    -------
    array (B·Ho·Wo, kh·kw·C), dtype of ``images``
        A row for each stop.

    Raises
    ------
    TypeError
        For another dtype.
    ValueError
        For another rank, a stride or kernel below 1, a negative padding, or a kernel larger than
        the padded image.

    Example
    -------
    >>> im2col(np.arange(9.0).reshape(1, 3, 3, 1), 2)
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]])
    """
    images = as_floats(images, "images")
    kernel_size, stride, padding, stops = as_walk(images, kernel_size, stride, padding)
    step, margin, runs = flat_geometry(images.shape[3], kernel_size, stride, padding)
    columns = np.empty((len(images), *stops, *runs), images.dtype)
    gather_images(as_rows(images), step, margin, columns)
    return _join_columns(columns)


def col2im_loop(
    columns: Array, shape: Shape, kernel_size: Size, stride: Size = 1, padding: Size = 0
) -> Array:
    """Define :func:`col2im`: each entry is added to the pixel it was copied from."""
    images = np.zeros(shape, columns.dtype)
    columns, *walk = _split_columns(columns, images, kernel_size, stride, padding)
    for stop, tap, pixel in taps(images, *walk):
        images[pixel] += columns[stop + tap]
    return images


def col2im_numpy(
    columns: Array, shape: Shape, kernel_size: Size, stride: Size = 1, padding: Size = 0
) -> Array:
    """Do :func:`col2im` in NumPy: one strided addition a tap, then cut off the padding."""
    images = np.zeros(shape, columns.dtype)
    columns, kernel_size, (sh, sw), (ph, pw) = _split_columns(
        columns, images, kernel_size, stride, padding
    )
    (rows, cols), (_, height, width, _) = columns.shape[1:3], shape
    padded = np.pad(images, ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    for i, j in np.ndindex(kernel_size):
        padded[:, i : i + sh * rows : sh, j : j + sw * cols : sw] += columns[:, :, :, i, j]
    return padded[:, ph : ph + height, pw : pw + width]


def col2im(
    columns: ColumnsLike, shape: Shape, kernel_size: Size, stride: Size = 1, padding: Size = 0
) -> Pictures:
    """Return the images whose pixels sum the entries that im2col copies from them.

    It is the adjoint of :func:`im2col` with the same arguments: <im2col(x), c> = <x, col2im(c)>.

    Parameters
    ----------
    columns : float array-like (B·Ho·Wo, kh·kw·C)
        As im2col returns them.
    shape : tuple (B, H, W, C)
        Of the images. The columns do not tell it when a stride leaves edge pixels unseen.
    kernel_size, stride, padding : int or (height, width)
        In pixels.

    Returns
    -------
    array (B, H, W, C), dtype of ``columns``
        The images.

    Raises
    ------
    TypeError, ValueError
        As :func:`im2col`, and for columns of another shape than im2col gives.

    Example
    -------
    >>> col2im(np.ones((4, 4)), (1, 3, 3, 1), 2)[0, :, :, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    columns = as_floats(columns, "columns")
    for size in require_instance(shape, tuple, "shape"):
        require_integer(size, "shape", least=0)
    images = np.empty(shape, columns.dtype)
    columns, *walk = _split_columns(columns, images, kernel_size, stride, padding)
    step, margin, runs = flat_geometry(shape[3], *walk)
    scatter_images(columns.reshape(*columns.shape[:3], *runs), step, margin, as_rows(images))
    return images


def taps(images: Array, kernel_size: Pair, stride: Pair, padding: Pair) -> Taps:
    """Walk a kernel over images.

    Yields the stop ``(b, y, x)``, the tap ``(i, j)`` and the pixel ``(b, row, col)`` under it.
    """
    stops = count_stops(images, kernel_size, stride, padding)
    batch, height, width, _ = images.shape
    for b, y, x, i, j in np.ndindex(batch, *stops, *kernel_size):
        row = y * stride[0] + i - padding[0]
        col = x * stride[1] + j - padding[1]
        if 0 <= row < height and 0 <= col < width:
            yield (b, y, x), (i, j), (b, row, col)


def as_walk(
    images: Array, kernel_size: Size, stride: Size, padding: Size
) -> tuple[Pair, Pair, Pair, Pair]:
    """Return kernel size, stride and padding as pairs, and (Ho, Wo), the stops over ``images``."""
    kernel_size, stride, padding = as_pairs(kernel_size, stride, padding)
    return kernel_size, stride, padding, count_stops(images, kernel_size, stride, padding)


def count_stops(images: Array, kernel_size: Pair, stride: Pair, padding: Pair) -> Pair:
    """Return (Ho, Wo), the kernel's stops along each axis; raises as :func:`im2col` says."""
    require_images(images, "images")
    height, width = (size + 2 * pad for size, pad in zip(images.shape[1:3], padding, strict=True))
    if height < kernel_size[0] or width < kernel_size[1]:
        raise ValueError(
            f"a kernel of size {kernel_size} is larger than the padded images {(height, width)}"
        )
    return (height - kernel_size[0]) // stride[0] + 1, (width - kernel_size[1]) // stride[1] + 1


def require_images(images: Array, name: str) -> None:
    """Raise ``TypeError`` unless ``images`` are floats, ``ValueError`` unless ``(B, H, W, C)``."""
    require_float(images, name)
    if images.ndim != 4:
        raise ValueError(f"{name} must have shape (B, H, W, C), got {images.shape}")


def as_pairs(kernel_size: Size, stride: Size, padding: Size) -> tuple[Pair, Pair, Pair]:
    """Return all three as ``(height, width)`` pairs; raises naming the one at fault."""
    return (
        _pair(kernel_size, "kernel_size", 1),
        _pair(stride, "stride", 1),
        _pair(padding, "padding", 0),
    )


def _pair(value: Size, name: str, least: int) -> Pair:
    height, width = value if isinstance(value, tuple) and len(value) == 2 else (value, value)
    return require_integer(height, name, least=least), require_integer(width, name, least=least)


def _join_columns(columns: Array) -> Array:
    return columns.reshape(math.prod(columns.shape[:3]), math.prod(columns.shape[3:]))


def _split_columns(
    columns: Array, images: Array, kernel_size: Size, stride: Size, padding: Size
) -> tuple[Array, Pair, Pair, Pair]:
    """View columns as ``(B, Ho, Wo, kh, kw, C)`` once they fit; return the sizes as pairs too."""
    kernel_size, stride, padding, stops = as_walk(images, kernel_size, stride, padding)
    batch, _, _, channels = images.shape
    expected = (batch * stops[0] * stops[1], kernel_size[0] * kernel_size[1] * channels)
    if columns.shape != expected:
        raise ValueError(
            f"columns must have shape {expected} for images of shape {images.shape}, "
            f"got {columns.shape}"
        )
    columns = np.ascontiguousarray(columns).reshape(batch, *stops, *kernel_size, channels)
    return columns, kernel_size, stride, padding
