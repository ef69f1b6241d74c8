import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.layers import ReLU, relu_backward, relu_forward


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 5, 4)])
def test_gradient(shape):
    rng = np.random.default_rng(0)
    # away from the corner at 0, which a step must not cross
    x = rng.choice([-1, 1], shape) * rng.uniform(0.1, 2, shape)
    cotangent = rng.normal(size=shape)
    out, cache = relu_forward(x)
    np.testing.assert_array_equal(out, np.maximum(x, 0))
    assert_gradient(
        relu_backward(cotangent, cache), x, lambda: (relu_forward(x)[0] * cotangent).sum()
    )


def test_value_and_gradient_at_zero_are_zero():
    out, cache = relu_forward(np.array([0.0, -0.0]))
    assert out.tolist() == [0, 0]
    assert relu_backward(np.ones(2), cache).tolist() == [0, 0]


def test_nan_stays_visible():
    assert np.isnan(relu_forward(np.array([np.nan, 1]))[0]).tolist() == [True, False]


def test_neither_pass_works_in_place():
    x, dout = np.array([-1.0, 2.0]), np.array([3.0, 4.0])
    out, cache = relu_forward(x)
    dx = relu_backward(dout, cache)
    assert x.tolist() == [-1, 2]
    assert dout.tolist() == [3, 4]
    assert not np.shares_memory(out, x)
    assert not np.shares_memory(dx, dout)


@pytest.mark.parametrize("turn", [np.transpose, lambda x: x[::-2], np.asfortranarray])
def test_any_memory_order(turn):
    x, dout = (turn(array) for array in np.random.default_rng(0).normal(size=(2, 5, 4, 3)))
    layer = ReLU()
    out, cache = layer.forward(x)
    np.testing.assert_array_equal(out, np.maximum(x, 0))
    np.testing.assert_array_equal(layer.backward(dout, cache)[0], dout * (x > 0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_passes_through(dtype):
    out, cache = relu_forward(np.ones((2, 2), dtype))
    assert out.dtype == relu_backward(out, cache).dtype == dtype
