"""Small matrix products with the same bits on every processor: the linear layer's three products.

BLAS picks another kernel on another processor, and each adds up in its own order. Here every number
is one sum, added up in the order of the loops in ``layers/linear.py``::

    affine          out[i, o] = b[o] + x[i, 0] W[0, o] + x[i, 1] W[1, o] + …      over the inputs
    outer_products  dW[k, o]  = x[0, k] dout[0, o] + x[1, k] dout[1, o] + …       over the rows
    gradients       both: dx = dout Wᵀ like the first, without a bias, and dW

Both are ``_add_products``, once seen from the rows and once from the inputs. Its vector is a row of
the result. Where rows would be short, the result is made transposed. Either way each sum is added
up alone. No multiplication contracts with the addition after it, because such a step rounds
once instead of twice.

Shapes: x ``(N, I)``, W ``(I, O)``, b ``(O,)``, dout ``(N, O)``.
"""

import numpy as np
from numba import prange

from vqnp.jit import both, kernel
from vqnp.validation import Array

ROWS_A_TASK = 64  # rows of one task; 64 rows of 32 numbers fit in the first cache
ROWS_A_SUM = 1024  # rows that one float32 sum adds up; fixed, so that threads do not change it
NARROW_BELOW = 16  # outputs: with fewer, the rows fill vector registers better
PARALLEL_PRODUCTS = 1 << 20  # multiplications from which all threads work


def affine(x: Array, weight: Array, bias: Array) -> Array:
    """Return ``x @ weight + bias``; each sum starts with the bias and goes through the inputs."""
    out = np.empty((len(x), weight.shape[1]), x.dtype)
    _affine_tasks.sized(len(x) * weight.size, PARALLEL_PRODUCTS)(x, weight, bias, out)
    return out


@both
def _affine_tasks(x: Array, weight: Array, bias: Array, out: Array) -> None:
    for task in prange(-(-len(x) // ROWS_A_TASK)):
        rows = slice(task * ROWS_A_TASK, (task + 1) * ROWS_A_TASK)
        _affine(x[rows], weight, bias, out[rows])


@kernel
def _affine(x: Array, weight: Array, bias: Array, out: Array) -> None:
    if len(bias) < NARROW_BELOW:
        _narrow(x, weight, bias, out)
    else:
        for i in range(len(x)):
            for j in range(len(bias)):
                out[i, j] = bias[j]
        _add_products(x.T, weight, out)


@kernel
def _narrow(x: Array, weight: Array, bias: Array, out: Array) -> None:
    """The rows are the vector, so their inputs are laid side by side first."""
    rows, inputs = x.shape
    side_by_side, turned = np.empty((inputs, rows), x.dtype), np.empty(out.shape[::-1], x.dtype)
    for k in range(inputs):
        for i in range(rows):
            side_by_side[k, i] = x[i, k]
    for j in range(len(bias)):
        turned[j] = bias[j]
    _add_products(weight, side_by_side, turned)
    for j in range(len(bias)):
        for i in range(rows):
            out[i, j] = turned[j, i]


def outer_products(x: Array, dout: Array) -> Array:
    """Return ``x.T @ dout``: the sum over the rows, a partial sum for each ``ROWS_A_SUM`` rows."""
    sums = np.zeros((-(-len(x) // ROWS_A_SUM), x.shape[1], dout.shape[1]), x.dtype)
    _outer_blocks.sized(x.size * dout.shape[1], PARALLEL_PRODUCTS)(x, dout, sums)
    return added(sums)


@both
def _outer_blocks(x: Array, dout: Array, sums: Array) -> None:
    for block in prange(len(sums)):
        rows = slice(block * ROWS_A_SUM, (block + 1) * ROWS_A_SUM)
        _outer(x[rows], dout[rows], sums[block])


@kernel
def _outer(x: Array, dout: Array, total: Array) -> None:
    """The wider side is the vector; the sums are the same."""
    inputs, outputs = total.shape
    if outputs >= inputs:
        _add_products(x, dout, total)
    else:
        turned = np.zeros((outputs, inputs), x.dtype)
        _add_products(dout, x, turned)
        total[:] = turned.T


def added(sums: Array) -> Array:
    """Return the sum of partial sums, one after the other."""
    if len(sums) == 1:
        return sums[0]
    total = np.zeros(sums.shape[1:], sums.dtype)
    for partial in sums:  # NumPy's own sum may have another order on another processor
        total += partial
    return total


def gradients(x: Array, weight: Array, dout: Array) -> tuple[Array, Array, Array]:
    """Return ``dout @ weight.T``, ``x.T @ dout`` and the sum of the rows of ``dout``.

    One pass over the rows makes all three. The last is accumulated in float64.
    """
    blocks, (inputs, outputs) = -(-len(x) // ROWS_A_SUM), weight.shape
    dx, dweight = np.empty_like(x), np.zeros((blocks, inputs, outputs), x.dtype)
    dbias = np.zeros((blocks, outputs))
    pass_over = _gradient_blocks.sized(len(x) * weight.size, PARALLEL_PRODUCTS)
    pass_over(x, np.ascontiguousarray(weight.T), dout, dx, dweight, dbias)
    return dx, added(dweight), added(dbias).astype(x.dtype)


@both
def _gradient_blocks(
    x: Array, turned: Array, dout: Array, dx: Array, dweight: Array, dbias: Array
) -> None:
    no_bias = np.zeros(x.shape[1], x.dtype)
    for block in prange(len(dbias)):
        start, stop = block * ROWS_A_SUM, min((block + 1) * ROWS_A_SUM, len(x))
        for first in range(start, stop, ROWS_A_TASK):
            task = slice(first, min(first + ROWS_A_TASK, stop))
            _affine(dout[task], turned, no_bias, dx[task])
        _outer(x[start:stop], dout[start:stop], dweight[block])
        for i in range(start, stop):
            for j in range(dout.shape[1]):
                dbias[block, j] += dout[i, j]


@kernel
def _add_products(left: Array, right: Array, total: Array) -> None:
    """Add ``left[s, i] right[s, j]`` to ``total[i, j]``, for one s after the other.

    Eight terms are added for each load and store of a sum.
    """
    terms, columns = right.shape
    eights = terms - terms % 8
    for s in range(0, eights, 8):
        a, b, c, d = right[s], right[s + 1], right[s + 2], right[s + 3]
        e, f, g, h = right[s + 4], right[s + 5], right[s + 6], right[s + 7]
        for i in range(len(total)):
            sums, m, n, o, p = total[i], left[s, i], left[s + 1, i], left[s + 2, i], left[s + 3, i]
            q, r, t, u = left[s + 4, i], left[s + 5, i], left[s + 6, i], left[s + 7, i]
            for j in range(columns):
                half = (((sums[j] + m * a[j]) + n * b[j]) + o * c[j]) + p * d[j]
                sums[j] = (((half + q * e[j]) + r * f[j]) + t * g[j]) + u * h[j]
    for s in range(eights, terms):
        for i in range(len(total)):
            for j in range(columns):
                total[i, j] += left[s, i] * right[s, j]
