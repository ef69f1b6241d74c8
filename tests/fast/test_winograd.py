import numba
import numpy as np
import pytest

from vqnp.fast import correlate
from vqnp.fast.winograd import (
    winograd,
    winograd_applies,
    winograd_backward_input,
    winograd_backward_weight,
)
from vqnp.layers import conv2d_backward, conv2d_forward, conv_transpose2d_forward
from vqnp.layers.conv import (
    conv2d_backward_loop,
    conv2d_backward_numpy,
    conv2d_forward_loop,
    conv2d_forward_numpy,
)
from vqnp.threads import limit

PADDINGS = [(1, 1), (0, 2), (2, 0)]


def arrays(batch, height, width, channels, outs, padding, dtype=np.float64):
    """Return small integers.

    Their sums of products, and the halves Winograd takes of them, are exact in float64.
    """
    rng = np.random.default_rng(0)
    stops = height + 2 * padding[0] - 2, width + 2 * padding[1] - 2
    shapes = (batch, height, width, channels), (3, 3, channels, outs), (batch, *stops, outs)
    return [rng.integers(-9, 10, shape).astype(dtype) for shape in shapes]


def three_products(x, weight, dout, padding):
    return (
        winograd(x, weight, dout.shape[1:3], padding),
        winograd_backward_input(dout, weight, x.shape[1:3], padding),
        winograd_backward_weight(x, dout, padding),
    )


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(
    "size", [(4, 6), (5, 3), (3, 8)]
)  # whole tiles; odd both ways; odd one way
def test_the_three_products_are_those_of_the_definition(size, padding):
    x, weight, dout = arrays(2, *size, 2, 3, padding)
    out, cache = conv2d_forward_loop(x, weight, np.zeros(3), 1, padding)
    dx, dweight, _ = conv2d_backward_loop(dout, cache)
    for ours, defined in zip(
        three_products(x, weight, dout, padding), (out, dx, dweight), strict=True
    ):
        np.testing.assert_array_equal(ours, defined)


@pytest.mark.parametrize(
    ("batch", "size"),
    [
        (1, 26),
        (17, 3),
        (50, 9),
        (150, 7),
    ],  # parts without an image; an image larger than a block; parts of several blocks
)
def test_a_batch_in_parts_and_blocks_is_the_whole_batch(batch, size):
    x, weight, dout = arrays(batch, size, size + 1, 1, 2, (1, 1))
    out, cache = conv2d_forward_numpy(x, weight, np.zeros(2), 1, 1)
    dx, dweight, _ = conv2d_backward_numpy(dout, cache)
    for ours, whole in zip(
        three_products(x, weight, dout, (1, 1)), (out, dx, dweight), strict=True
    ):
        np.testing.assert_array_equal(ours, whole)


def test_an_empty_batch_gives_an_empty_output_and_no_gradient():
    out, dx, dweight = three_products(*arrays(0, 4, 4, 2, 3, (1, 1)), (1, 1))
    assert (out.shape, dx.shape) == ((0, 4, 4, 3), (0, 4, 4, 2))
    np.testing.assert_array_equal(dweight, np.zeros((3, 3, 2, 3)))


def test_arrays_of_any_memory_order_work():
    given = arrays(3, 5, 4, 2, 3, (1, 1))
    turned = [np.asfortranarray(array) for array in given]
    for one, other in zip(
        three_products(*given, (1, 1)), three_products(*turned, (1, 1)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
def test_any_number_of_threads_gives_the_same_bits():
    rng = np.random.default_rng(0)
    shapes = (37, 9, 7, 4), (3, 3, 4, 5), (37, 9, 7, 5)
    given = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    results = []
    for threads in (1, 2):
        with limit(threads):
            results.append(three_products(*given, (1, 1)))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_in_float32_it_is_about_as_accurate_as_im2col(monkeypatch):
    """Each of Bᵀ, G and Aᵀ adds up to three numbers, both ways.

    So there are a few roundings more, and numbers up to four times as large between.
    """
    rng = np.random.default_rng(0)
    x, weight, dout = (rng.normal(size=s) for s in ((8, 8, 8, 64), (3, 3, 64, 64), (8, 8, 8, 64)))
    exact = products_of_conv2d(x, weight, dout)
    small = [array.astype(np.float32) for array in (x, weight, dout)]
    fast = products_of_conv2d(*small)
    monkeypatch.setattr("vqnp.fast.winograd.WORTH_FROM_CHANNELS", np.inf)
    plain = products_of_conv2d(*small)
    for true, ours, theirs in zip(exact, fast, plain, strict=True):
        assert (ours != theirs).any()  # it was another way of computing it
        assert np.sqrt(np.mean((ours - true) ** 2)) < 4 * np.sqrt(np.mean((theirs - true) ** 2))


def products_of_conv2d(x, weight, dout):
    out, cache = conv2d_forward(x, weight, np.zeros(weight.shape[3], x.dtype), 1, 1)
    dx, dweight, _ = conv2d_backward(dout, cache)
    return out, dx, dweight


@pytest.mark.parametrize(
    "product", ["winograd", "winograd_backward_input", "winograd_backward_weight"]
)
def test_wide_3x3_convolutions_come_this_way(monkeypatch, product):
    def taken(*arguments):
        raise RuntimeError(f"by way of {product}")

    monkeypatch.setattr(correlate, product, taken)
    x, weight = np.ones((1, 3, 3, 48)), np.ones((3, 3, 48, 48))
    with pytest.raises(RuntimeError, match=product):
        products_of_conv2d(x, weight, x)
    if product == "winograd_backward_input":
        with pytest.raises(RuntimeError, match=product):
            conv_transpose2d_forward(x, weight, np.zeros(48), 1, 1)


@pytest.mark.parametrize(
    ("kernel_size", "channels", "stride", "padding"),
    [
        ((3, 3), (48, 47), (1, 1), (1, 1)),
        ((3, 1), (64, 64), (1, 1), (1, 1)),
        ((4, 4), (64, 64), (2, 2), (1, 1)),
        ((3, 3), (64, 64), (1, 2), (1, 1)),
        ((3, 3), (64, 64), (1, 1), (1, 3)),
    ],
)
def test_all_others_go_through_im2col(kernel_size, channels, stride, padding):
    assert winograd_applies((3, 3), (48, 48), (1, 1), (2, 2))
    assert not winograd_applies(kernel_size, channels, stride, padding)
