import numba
import numpy as np
import pytest

from vqnp.fast.correlate import correlate, correlate_backward_input, correlate_backward_weight
from vqnp.layers.im2col import as_pairs, col2im_numpy, count_stops, im2col_numpy
from vqnp.threads import limit


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    # Numba's numpy.dot calls it. It must be loaded, or the limit cannot hold it.
    import scipy.linalg.cython_blas  # noqa: F401

    with limit(1):
        yield


def three_products(x, weight, dout, stride, padding):
    return (
        correlate(x, weight, dout.shape[1:3], stride, padding),
        correlate_backward_input(dout, weight, x.shape[1:3], stride, padding),
        correlate_backward_weight(x, dout, weight.shape[:2], stride, padding),
    )


@pytest.mark.parametrize(
    ("batch", "size"),
    [
        (1, 12),
        (15, 4),
        (50, 17),
        (150, 8),
    ],  # parts without an image; parts of one block; of several; of unequal blocks
)
def test_a_batch_in_parts_and_blocks_is_the_whole_batch(batch, size):
    rng = np.random.default_rng(0)
    shapes = (batch, size, size, 1), (2, 3, 1, 2), (batch, size + 1, size, 2)
    x, weight, dout = (
        rng.integers(-9, 10, shape).astype(np.float64) for shape in shapes
    )  # sums of these are exact
    out, dx, dweight = three_products(x, weight, dout, (1, 1), (1, 1))
    columns, matrix, rows = im2col_numpy(x, (2, 3), 1, 1), weight.reshape(6, 2), dout.reshape(-1, 2)
    np.testing.assert_array_equal(out.reshape(-1, 2), columns @ matrix)
    np.testing.assert_array_equal(dx, col2im_numpy(rows @ matrix.T, x.shape, (2, 3), 1, 1))
    np.testing.assert_array_equal(dweight.reshape(6, 2), columns.T @ rows)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [((1, 1), 1, 0), ((1, 2), (1, 2), 0), ((1, 4), 3, 0), ((1, 1), 2, 1), ((1, 2), 1, (0, 1))],
)
def test_images_that_are_their_own_columns_and_others_that_only_seem_so(kernel, stride, padding):
    rng = np.random.default_rng(0)
    x, weight = (
        rng.integers(-9, 10, shape).astype(np.float64) for shape in ((5, 3, 4, 2), (*kernel, 2, 3))
    )
    columns = im2col_numpy(x, kernel, stride, padding)
    stride, padding = as_pairs(kernel, stride, padding)[1:]
    size = count_stops(x, kernel, stride, padding)
    out = correlate(x, weight, size, stride, padding)
    rows, matrix = rng.integers(-9, 10, (len(columns), 3)).astype(np.float64), weight.reshape(-1, 3)
    _, dx, dweight = three_products(x, weight, rows.reshape(out.shape), stride, padding)
    np.testing.assert_array_equal(out.reshape(-1, 3), columns @ matrix)
    np.testing.assert_array_equal(
        dx, col2im_numpy(rows @ matrix.T, x.shape, kernel, stride, padding)
    )
    np.testing.assert_array_equal(dweight.reshape(-1, 3), columns.T @ rows)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
def test_any_number_of_threads_gives_the_same_bits(monkeypatch):
    """Nor does it matter whether the work was thought worth them."""
    rng = np.random.default_rng(0)
    shapes = (37, 9, 7, 4), (3, 3, 4, 5), (37, 9, 7, 5)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    alone = three_products(*arrays, (1, 1), (1, 1))
    monkeypatch.setattr("vqnp.fast.correlate.PARALLEL_MULTIPLICATIONS", 0)
    for threads in (1, 2):
        with limit(threads):
            shared = three_products(*arrays, (1, 1), (1, 1))
        for one, other in zip(alone, shared, strict=True):
            np.testing.assert_array_equal(one, other)
