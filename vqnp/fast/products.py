"""Small matrix products with the same bits on every processor: the linear layer's three products.

BLAS picks another kernel on another processor, and each adds up in its own order. Here every number
is one sum, added up in the order of the loops in ``layers/linear.py``::

    affine          out[i, o] = b[o] + x[i, 0] W[0, o] + x[i, 1] W[1, o] + …      over the inputs
    outer_products  dW[k, o]  = x[0, k] dout[0, o] + x[1, k] dout[1, o] + …       over the rows

Both are ``_add_products``, once seen from the rows and once from the inputs. Its vector is a row of
the result; where ``affine`` has few outputs, the result is made transposed. Either way each sum is
added up alone. No multiplication contracts with the addition after it, because such a step rounds
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
    rows = _narrow_rows if weight.shape[1] < NARROW_BELOW else _wide_rows
    rows.sized(len(x) * weight.size, PARALLEL_PRODUCTS)(x, weight, bias, out)
    return out


@both
def _wide_rows(x: Array, weight: Array, bias: Array, out: Array) -> None:
    for task in prange(-(-len(x) // ROWS_A_TASK)):
        rows = slice(task * ROWS_A_TASK, (task + 1) * ROWS_A_TASK)
        for i in range(rows.start, min(rows.stop, len(x))):
            for j in range(len(bias)):
                out[i, j] = bias[j]
        _add_products(x[rows].T, weight, out[rows])


@both
def _narrow_rows(x: Array, weight: Array, bias: Array, out: Array) -> None:
    for task in prange(-(-len(x) // ROWS_A_TASK)):
        rows = slice(task * ROWS_A_TASK, (task + 1) * ROWS_A_TASK)
        _narrow(x[rows], weight, bias, out[rows])


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
    if dout.shape[1] < x.shape[1]:  # the wider side is the vector; the sums are the same
        return np.ascontiguousarray(outer_products_wide(dout, x).T)
    return outer_products_wide(x, dout)


def outer_products_wide(x: Array, dout: Array) -> Array:
    """Return ``x.T @ dout`` with vectors along the columns of ``dout``."""
    sums = np.zeros((-(-len(x) // ROWS_A_SUM), x.shape[1], dout.shape[1]), x.dtype)
    _outer_blocks.sized(x.size * dout.shape[1], PARALLEL_PRODUCTS)(x, dout, sums)
    total = sums[0] if len(sums) else np.zeros(sums.shape[1:], x.dtype)
    for partial in sums[1:]:
        total += partial
    return total


@both
def _outer_blocks(x: Array, dout: Array, sums: Array) -> None:
    for block in prange(len(sums)):
        rows = slice(block * ROWS_A_SUM, (block + 1) * ROWS_A_SUM)
        _add_products(x[rows], dout[rows], sums[block])


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
