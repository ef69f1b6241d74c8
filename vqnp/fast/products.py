"""Small matrix products with the same bits on every processor: the linear layer's three products.

BLAS picks another kernel on another processor, and each adds up in its own order. Here every number
is one sum, added up in the order of the loops in ``layers/linear.py``::

    affine          out[i, o] = b[o] + x[i, 0] W[0, o] + x[i, 1] W[1, o] + …      over the inputs
    outer_products  dW[k, o]  = x[0, k] dout[0, o] + x[1, k] dout[1, o] + …       over the rows

Vector instructions work along the outputs of ``affine`` where there are many, and along its rows
where there are few. Either way each sum is added up alone. No multiplication contracts with the
addition after it, because such a step rounds once instead of twice.

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
        if weight.shape[1] < NARROW_BELOW:
            _narrow(x[rows], weight, bias, out[rows])
        else:
            _wide(x[rows], weight, bias, out[rows])


@kernel
def _wide(x: Array, weight: Array, bias: Array, out: Array) -> None:
    """Four rows share each row of the weight; the loop over the outputs is the vector."""
    inputs, outputs = weight.shape
    fours = len(x) - len(x) % 4
    for i in range(0, fours, 4):
        a, b, c, d = out[i], out[i + 1], out[i + 2], out[i + 3]
        for j in range(outputs):
            a[j] = b[j] = c[j] = d[j] = bias[j]
        for k in range(inputs):
            w, p, q, r, s = weight[k], x[i, k], x[i + 1, k], x[i + 2, k], x[i + 3, k]
            for j in range(outputs):
                a[j] += p * w[j]
                b[j] += q * w[j]
                c[j] += r * w[j]
                d[j] += s * w[j]
    for i in range(fours, len(x)):
        out[i] = bias
        for k in range(inputs):
            for j in range(outputs):
                out[i, j] += x[i, k] * weight[k, j]


@kernel
def _narrow(x: Array, weight: Array, bias: Array, out: Array) -> None:
    """The rows are the vector, so their inputs are laid side by side first."""
    rows, inputs = x.shape
    side_by_side, sums = np.empty((inputs, rows), x.dtype), np.empty(rows, x.dtype)
    for i in range(rows):
        for k in range(inputs):
            side_by_side[k, i] = x[i, k]
    for j in range(weight.shape[1]):
        sums[:] = bias[j]
        for k in range(inputs):
            column, w = side_by_side[k], weight[k, j]
            for i in range(rows):
                sums[i] += w * column[i]
        out[:, j] = sums


def outer_products(x: Array, dout: Array) -> Array:
    """Return ``x.T @ dout``: the sum over the rows, a partial sum for each ``ROWS_A_SUM`` rows."""
    if dout.shape[1] < x.shape[1]:  # the wider side is the vector; the sums are the same
        return np.ascontiguousarray(outer_products_wide(dout, x).T)
    return outer_products_wide(x, dout)


def outer_products_wide(x: Array, dout: Array) -> Array:
    """Return ``x.T @ dout`` with vectors along the columns of ``dout``."""
    sums = np.zeros((-(-len(x) // ROWS_A_SUM), x.shape[1], dout.shape[1]), x.dtype)
    _outer_blocks.sized(x.size * dout.shape[1], PARALLEL_PRODUCTS)(x, dout, sums)
    total = np.zeros_like(sums, shape=sums.shape[1:])
    for partial in sums:
        total += partial
    return total


@both
def _outer_blocks(x: Array, dout: Array, sums: Array) -> None:
    for block in prange(len(sums)):
        rows = slice(block * ROWS_A_SUM, (block + 1) * ROWS_A_SUM)
        _outer(x[rows], dout[rows], sums[block])


@kernel
def _outer(x: Array, dout: Array, total: Array) -> None:
    """Four rows at a time pass over the sums, one after the other."""
    columns = dout.shape[1]
    fours = len(x) - len(x) % 4
    for i in range(0, fours, 4):
        a, b, c, d = dout[i], dout[i + 1], dout[i + 2], dout[i + 3]
        for k in range(x.shape[1]):
            w, p, q, r, s = total[k], x[i, k], x[i + 1, k], x[i + 2, k], x[i + 3, k]
            for j in range(columns):
                w[j] = (((w[j] + p * a[j]) + q * b[j]) + r * c[j]) + s * d[j]
    for i in range(fours, len(x)):
        for k in range(x.shape[1]):
            for j in range(columns):
                total[k, j] += x[i, k] * dout[i, j]
