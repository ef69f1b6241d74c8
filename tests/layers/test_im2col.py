import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqnp.layers.im2col import col2im, col2im_loop, col2im_numpy, im2col, im2col_loop, im2col_numpy

IM2COL = [im2col_loop, im2col_numpy, im2col]
COL2IM = [col2im_loop, col2im_numpy, col2im]


def pairs(least, most):
    return st.tuples(st.integers(least, most), st.integers(least, most))


@st.composite
def geometries(draw):
    """A shape and a kernel, stride and padding that fit it.

    Some strides exceed the kernel, and some margins are wide.
    """
    kernel, stride, padding = draw(pairs(1, 4)), draw(pairs(1, 5)), draw(pairs(0, 5))
    height, width = (
        max(1, k - 2 * p) + draw(st.integers(0, 5)) for k, p in zip(kernel, padding, strict=True)
    )
    return (
        (draw(st.integers(0, 3)), height, width, draw(st.integers(1, 3))),
        kernel,
        stride,
        padding,
    )


def whole_numbers(shape, seed=0):
    """Return small whole numbers: their sums are exact in any order, so equality is exact too."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(np.float64)


@pytest.mark.parametrize("function", IM2COL)
def test_the_picture_in_the_docstring(function):
    columns = function(np.arange(9.0).reshape(1, 3, 3, 1), 2)
    np.testing.assert_array_equal(columns, [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]])


@pytest.mark.parametrize("function", COL2IM)
def test_a_pixel_returns_once_for_every_window_that_saw_it(function):
    images = np.ones((1, 3, 3, 1))
    returned = function(im2col(images, 2), images.shape, 2)
    np.testing.assert_array_equal(returned[0, :, :, 0], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])


@pytest.mark.parametrize("function", IM2COL)
def test_a_column_row_is_a_window_in_the_order_row_column_channel(function):
    images = whole_numbers((2, 5, 7, 3))
    columns = function(images, (3, 2), (2, 1), 0)  # 2 × 6 stops
    np.testing.assert_array_equal(columns[1 * 12 + 1 * 6 + 4], images[1, 2:5, 4:6].ravel())


@pytest.mark.parametrize("function", IM2COL)
def test_what_lies_outside_the_image_is_zero(function):
    columns = function(np.ones((1, 2, 3, 1)), (1, 1), 1, (1, 2))
    expected = np.zeros((4, 7))
    expected[1:3, 2:5] = 1
    np.testing.assert_array_equal(columns.reshape(4, 7), expected)


@settings(deadline=None)
@given(geometries())
def test_the_three_im2col_agree(geometry):
    shape, *window = geometry
    loop, numpy, fast = (function(whole_numbers(shape), *window) for function in IM2COL)
    np.testing.assert_array_equal(numpy, loop)
    np.testing.assert_array_equal(fast, loop)


@settings(deadline=None)
@given(geometries())
def test_the_three_col2im_agree(geometry):
    shape, *window = geometry
    columns = whole_numbers(im2col(np.zeros(shape), *window).shape)
    loop, numpy, fast = (function(columns, shape, *window) for function in COL2IM)
    np.testing.assert_array_equal(numpy, loop)
    np.testing.assert_array_equal(fast, loop)


@settings(deadline=None)
@given(geometries(), st.integers(0, 2**32))
def test_col2im_is_the_adjoint_of_im2col(geometry, seed):
    shape, *window = geometry
    images = whole_numbers(shape, seed)
    columns = im2col(images, *window)
    others = whole_numbers(columns.shape, seed + 1)
    assert np.vdot(columns, others) == np.vdot(images, col2im(others, shape, *window))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("gather", "scatter"), list(zip(IM2COL, COL2IM, strict=True)))
def test_the_dtype_passes_through(gather, scatter, dtype):
    columns = gather(np.ones((2, 4, 3, 2), dtype), 3, 1, 1)
    assert columns.dtype == dtype
    assert scatter(columns, (2, 4, 3, 2), 3, 1, 1).dtype == dtype


def test_arrays_of_any_memory_order_work():
    images = whole_numbers((4, 6, 5, 3))
    turned = images.transpose(0, 2, 1, 3)[::2, :, ::-1]
    columns = im2col(turned, 2, 2, 1)
    np.testing.assert_array_equal(columns, im2col(turned.copy(), 2, 2, 1))
    expected = col2im(columns, turned.shape, 2, 2, 1)
    np.testing.assert_array_equal(
        col2im(np.asfortranarray(columns), turned.shape, 2, 2, 1), expected
    )


IMAGES = np.ones((2, 4, 5, 3))


@pytest.mark.parametrize("function", IM2COL)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((IMAGES[0], 3), ValueError, r"images must have shape \(B, H, W, C\), got \(4, 5, 3\)"),
        ((IMAGES.astype(int), 3), TypeError, "images must be float32 or float64, got int64"),
        ((IMAGES, 0), ValueError, "kernel_size must be at least 1, got 0"),
        ((IMAGES, 3, 0), ValueError, "stride must be at least 1, got 0"),
        ((IMAGES, 3, (1, -2)), ValueError, "stride must be at least 1, got -2"),
        ((IMAGES, 3, 1.5), TypeError, "stride must be an integer, got 1.5"),
        ((IMAGES, 3, (1, 2, 3)), TypeError, r"stride must be an integer, got \(1, 2, 3\)"),
        ((IMAGES, 3, 1, -1), ValueError, "padding must be at least 0, got -1"),
        (
            (IMAGES, 5),
            ValueError,
            r"a kernel of size \(5, 5\) is larger than the padded images \(4, 5\)",
        ),
        (
            (IMAGES, (1, 8), 1, (0, 1)),
            ValueError,
            r"kernel of size \(1, 8\) .* padded images \(4, 7\)",
        ),
    ],
)
def test_bad_input_is_named(function, arguments, error, message):
    with pytest.raises(error, match=message):
        function(*arguments)


@pytest.mark.parametrize("function", COL2IM)
def test_columns_of_another_shape_are_refused(function):
    with pytest.raises(
        ValueError,
        match=r"columns must have shape \(24, 12\) for images of shape .*, got \(24, 11\)",
    ):
        function(np.ones((24, 11)), IMAGES.shape, 2)
    with pytest.raises(ValueError, match=r"images must have shape \(B, H, W, C\), got \(2, 4, 5\)"):
        function(np.ones((24, 12)), (2, 4, 5), 2)
