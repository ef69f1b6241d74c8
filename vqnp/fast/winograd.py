"""Winograd's convolution: a 3×3 kernel of stride 1 with four ninths of im2col's multiplications.

Take one row of pixels d and a filter of three taps g. Two neighboring outputs are
y₀ = d₀g₀ + d₁g₁ + d₂g₂ and y₁ = d₁g₀ + d₂g₁ + d₃g₂: six products. Four are enough once pixels and
taps have been added up the right way (Winograd, 1980; Lavin and Gray, "Fast algorithms for
convolutional neural networks", 2015)::

    v = (d₀ − d₂,  d₁ + d₂,  d₂ − d₁,  d₁ − d₃)                        v = Bᵀ d
    u = (g₀,  (g₀ + g₁ + g₂)/2,  (g₀ − g₁ + g₂)/2,  g₂)                u = G g
    y = (u₀v₀ + u₁v₁ + u₂v₂,  u₁v₁ − u₂v₂ − u₃v₃)                      y = Aᵀ (u ⊙ v)

Along both axes, a tile of 2×2 outputs takes 4·4 = 16 products in place of 36. With channels, each
of the 16 is a matrix product over all tiles, (tiles, C) @ (C, O), and BLAS does it. The other
sums have at most three terms, with factors of ±1 and ½. So the result is about as accurate as
that of im2col; its last bits differ. Where the outputs are odd in number, zeros fill the last
tile.

The gradient of the input is the same convolution, of ``dout`` with the kernel turned round and its
channels exchanged. The weight's gradient transposes the three steps: du = vᵀ (A dout), summed over
all tiles, and dg = Gᵀ du.

The functions equal ``conv2d_forward_loop`` and ``conv2d_backward_loop`` in layers/conv.py.

Shapes: x ``(B, H, W, C)``, weight ``(3, 3, C, O)``, out ``(B, Ho, Wo, O)``, u ``(16, C, O)``,
v ``(16, tiles, C)``. The kernels see images as rows, ``(H, W·C)``, as those of windows.py do.
"""

import numpy as np
from numba import prange

from vqnp import threads
from vqnp.fast.windows import PARTS, Pair, as_rows, copy_rows, part_range
from vqnp.jit import kernel, parallel_kernel
from vqnp.validation import Array

# With fewer channels, the sums around the products cost more than the products save.
WORTH_FROM_CHANNELS = 48
# Tiles of one product: enough for BLAS to run at speed, few enough for the cache.
TILES_A_PRODUCT = 128
G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
GG = np.kron(G, G)  # both axes at once, (16, 9)


def winograd_applies(kernel_size: Pair, channels: Pair, stride: Pair, padding: Pair) -> bool:
    """Tell whether this file does such a convolution, and ``channels`` (in, out) make it pay."""
    return (
        kernel_size == (3, 3)
        and stride == (1, 1)
        and max(padding) <= 2
        and min(channels) >= WORTH_FROM_CHANNELS
    )


@threads.limit()
def winograd(x: Array, weight: Array, size: Pair, padding: Pair) -> Array:
    """Return the convolution ``(B, Ho, Wo, O)`` of ``size`` (Ho, Wo), without its bias."""
    out = np.empty((len(x), *size, weight.shape[3]), x.dtype)
    u = np.dot(GG.astype(x.dtype), weight.reshape(9, -1)).reshape(16, *weight.shape[2:])
    _convolve(as_rows(x), padding, u, out)
    return out


def winograd_backward_input(dout: Array, weight: Array, size: Pair, padding: Pair) -> Array:
    """Return the gradient ``(B, H, W, C)`` of the convolution's input of ``size`` (H, W)."""
    turned = weight[::-1, ::-1].transpose(0, 1, 3, 2)
    return winograd(dout, turned, size, (2 - padding[0], 2 - padding[1]))


@threads.limit()
def winograd_backward_weight(x: Array, dout: Array, padding: Pair) -> Array:
    """Return the gradient ``(3, 3, C, O)`` of the convolution's weight."""
    channels, outs = x.shape[3], dout.shape[3]
    du = np.zeros((16, channels, outs), x.dtype)
    _backward_weight(as_rows(x), padding, np.ascontiguousarray(dout), du)
    return np.dot(GG.T.astype(x.dtype), du.reshape(16, -1)).reshape(3, 3, channels, outs)


@parallel_kernel
def _convolve(images: Array, padding: Pair, u: Array, out: Array) -> None:
    for part in prange(PARTS):
        first, last = part_range(part, len(images))
        _convolve_part(images[first:last], padding, u, out[first:last])


@kernel
def _convolve_part(images: Array, padding: Pair, u: Array, out: Array) -> None:
    channels, each = u.shape[1], count_tiles(out)
    together, v, products = workspace(images, out, u)
    for start in range(0, len(images), together):
        some, made = images[start : start + together], out[start : start + together]
        for b in range(len(some)):
            tile_image(some[b], channels, padding, made[b], v, b * each)
        for k in range(16):
            np.dot(v[k, : len(some) * each], u[k], products[k, : len(some) * each])
        for b in range(len(some)):
            untile_output(products, b * each, made[b])


@parallel_kernel
def _backward_weight(images: Array, padding: Pair, dout: Array, du: Array) -> None:
    """Add vᵀ (A dout) to ``du``, some images at a time.

    The threads share those images first, then the 16 products.
    """
    channels, each = du.shape[1], count_tiles(dout)
    together, v, z = workspace(images, dout, du)
    for start in range(0, len(images), together):
        count = min(together, len(images) - start)
        for b in prange(count):
            tile_image(images[start + b], channels, padding, dout[start + b], v, b * each)
            tile_gradient(dout[start + b], z, b * each)
        for k in prange(16):
            _add_product(v[k, : count * each], z[k, : count * each], du[k])


@kernel
def _add_product(v: Array, z: Array, total: Array) -> None:
    total += np.dot(v.T, z)


@kernel
def workspace(images: Array, out: Array, u: Array) -> tuple[int, Array, Array]:
    """Return the images of one product, and room for their tiles on both sides."""
    _, channels, outs = u.shape
    each = count_tiles(out)
    together = min(max(1, TILES_A_PRODUCT // each), max(1, len(images)))
    tiles = together * each
    return together, np.empty((16, tiles, channels), u.dtype), np.empty((16, tiles, outs), u.dtype)


@kernel
def count_tiles(out: Array) -> int:
    """Return the number of 2×2 tiles that cover an image of ``out`` ``(B, Ho, Wo, O)``."""
    return ((out.shape[1] + 1) // 2) * ((out.shape[2] + 1) // 2)


@kernel
def tile_image(
    image: Array, channels: int, padding: Pair, out: Array, v: Array, first: int
) -> None:
    """Write Bᵀ d B of the window of ``image`` ``(H, W·C)`` under each tile of ``out`` into ``v``.

    The first tile goes to ``v[:, first]``; ``out`` is ``(Ho, Wo, O)``.
    """
    rows, cols = (out.shape[0] + 1) // 2, (out.shape[1] + 1) // 2  # of tiles
    padded = pad(image, padding[0], padding[1] * channels, 2 * rows + 2, (2 * cols + 2) * channels)
    mixed = np.empty((4, 1, padded.shape[1]), image.dtype)
    for y in range(rows):
        mix_pixels(padded[2 * y : 2 * y + 4], mixed, 0, 0)
        for x in range(cols):
            left, right = 2 * x * channels, (2 * x + 4) * channels
            for i in range(4):
                pixels = mixed[i, 0, left:right].reshape(4, channels)
                mix_pixels(pixels, v, 4 * i, first + y * cols + x)


@kernel
def mix_pixels(d: Array, v: Array, k: int, at: int) -> None:
    """Write Bᵀ d of four runs of numbers to ``v[k : k + 4, at]``."""
    subtract(d[0], d[2], v[k, at])
    add(d[1], d[2], v[k + 1, at])
    subtract(d[2], d[1], v[k + 2, at])
    subtract(d[1], d[3], v[k + 3, at])


@kernel
def pad(image: Array, top: int, left: int, height: int, width: int) -> Array:
    """Return zeros ``(height, width)`` around ``image``."""
    padded = np.zeros((height, width), image.dtype)
    copy_rows(image, padded[top:, left:])
    return padded


@kernel
def untile_output(products: Array, first: int, out: Array) -> None:
    """Write y = Aᵀ (u ⊙ v) A of the tiles ``(16, tiles, O)``, from ``first`` on, into ``out``."""
    rows, cols, outs = out.shape
    mixed = np.empty((2, 4, outs), out.dtype)
    tile = first
    for y in range(0, rows, 2):
        for x in range(0, cols, 2):
            for j in range(4):
                p0, p1 = products[j, tile], products[4 + j, tile]
                p2, p3 = products[8 + j, tile], products[12 + j, tile]
                add_three(p0, p1, p2, mixed[0, j])
                subtract_two(p1, p2, p3, mixed[1, j])
            for i in range(min(2, rows - y)):
                m0, m1, m2, m3 = mixed[i, 0], mixed[i, 1], mixed[i, 2], mixed[i, 3]
                add_three(m0, m1, m2, out[y + i, x])
                if x + 1 < cols:
                    subtract_two(m1, m2, m3, out[y + i, x + 1])
            tile += 1


@kernel
def tile_gradient(dout: Array, z: Array, first: int) -> None:
    """Write A dy Aᵀ of each tile of ``dout`` into ``z`` ``(16, tiles, O)``, from ``first`` on."""
    rows, cols, outs = dout.shape
    zero = np.zeros(outs, dout.dtype)
    mixed = np.empty((4, 2, outs), dout.dtype)
    tile = first
    for y in range(0, rows, 2):
        for x in range(0, cols, 2):
            for j in range(2):
                inside = x + j < cols
                upper = dout[y, x + j] if inside else zero
                lower = dout[y + 1, x + j] if inside and y + 1 < rows else zero
                mix_gradients(upper, lower, zero, mixed, 0, j)
            for i in range(4):
                mix_gradients(mixed[i, 0], mixed[i, 1], zero, z, 4 * i, tile)
            tile += 1


@kernel
def mix_gradients(one: Array, other: Array, zero: Array, z: Array, k: int, at: int) -> None:
    """Write A dy of two runs of numbers to ``z[k : k + 4, at]``."""
    add(one, zero, z[k, at])
    add(one, other, z[k + 1, at])
    subtract(one, other, z[k + 2, at])
    subtract(zero, other, z[k + 3, at])


@kernel
def add(a: Array, b: Array, out: Array) -> None:
    """Write a + b; over plain runs with one result, so that the loop vectorizes."""
    for k in range(len(out)):
        out[k] = a[k] + b[k]


@kernel
def subtract(a: Array, b: Array, out: Array) -> None:
    """Write a − b."""
    for k in range(len(out)):
        out[k] = a[k] - b[k]


@kernel
def add_three(a: Array, b: Array, c: Array, out: Array) -> None:
    """Write a + b + c."""
    for k in range(len(out)):
        out[k] = a[k] + b[k] + c[k]


@kernel
def subtract_two(a: Array, b: Array, c: Array, out: Array) -> None:
    """Write a − b − c."""
    for k in range(len(out)):
        out[k] = a[k] - b[k] - c[k]
