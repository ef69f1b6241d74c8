import sys

import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.layers import Linear, linear_backward, linear_forward

module = sys.modules["vqnp.layers.layer"]


def test_one_row_by_hand():
    """y = 1·3 + 2·4 + 5 = 16; with dL/dy = 10 the gradients are 10 W, 10 x and 10."""
    weight = np.array([[3.0], [4.0]])
    out, cache = linear_forward(np.array([[1.0, 2.0]]), weight, np.array([5.0]))
    assert out.tolist() == [[16]]
    dx, dweight, dbias = linear_backward(np.array([[10.0]]), cache)
    assert (dx.tolist(), dweight.tolist(), dbias.tolist()) == ([[30, 40]], [[10], [20]], [10])


@pytest.mark.parametrize(
    ("rows", "inputs", "outputs"), [(5, 3, 4), (1, 1, 1), (2, 7, 1), (1, 2, 6)]
)
def test_gradients(rows, inputs, outputs):
    rng = np.random.default_rng(0)
    x, weight, bias = (
        rng.normal(size=(rows, inputs)),
        rng.normal(size=(inputs, outputs)),
        rng.normal(size=outputs),
    )
    cotangent = rng.normal(size=(rows, outputs))
    out, cache = linear_forward(x, weight, bias)
    np.testing.assert_allclose(
        out, np.einsum("ni,io->no", x, weight) + bias, rtol=1e-13, atol=1e-13
    )

    def value():
        return (linear_forward(x, weight, bias)[0] * cotangent).sum()

    for gradient, array in zip(linear_backward(cotangent, cache), (x, weight, bias), strict=True):
        assert_gradient(gradient, array, value)


def test_bias_gradient_is_summed_in_float64():
    """In float32 the one is lost beside 1e8."""
    dout = np.array([[1e8], [1], [-1e8]], np.float32)
    _, _, dbias = linear_backward(dout, (np.ones((3, 1), np.float32), np.ones((1, 1), np.float32)))
    assert dbias.dtype == np.float32
    assert dbias == 1


@pytest.mark.parametrize("parallel_from", [0, 1 << 62], ids=["parallel", "serial"])
@pytest.mark.parametrize(
    "rows", [module.ROWS_A_SUM + extra for extra in (-1, 0, 1)] + [2 * module.ROWS_A_SUM + 5]
)
def test_bias_of_more_rows_than_are_summed_at_a_time(rows, parallel_from, monkeypatch):
    monkeypatch.setattr(module, "PARALLEL_NUMBERS", parallel_from)
    rng = np.random.default_rng(rows)
    dout = rng.integers(-9, 10, (rows, 2)).astype(
        np.float32
    )  # whole numbers: in any order they add up to the same
    np.testing.assert_array_equal(module.sum_rows(dout), dout.sum(axis=0))
    bias = rng.normal(size=2).astype(np.float32)
    out = dout.copy()
    module.add_bias(out, bias)
    np.testing.assert_array_equal(out, dout + bias)


def test_start_is_uniform_within_one_over_the_root_of_the_inputs():
    layer = Linear(16, 4000, rng=0, dtype=np.float64)
    for values in layer.params.values():
        assert abs(values).max() <= 1 / 4
        assert abs(values).max() > 0.2499
        # The deviation of a uniform variable in ±b is b / √3. Thousands of draws tell it to two
        # per cent or better.
        assert values.std() == pytest.approx(1 / 4 / 3**0.5, rel=0.02)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_passes_through(dtype):
    layer = Linear(3, 2, rng=0, dtype=dtype)
    out, cache = layer.forward(np.ones((4, 3), dtype))
    dx, gradients = layer.backward(np.ones_like(out), cache)
    assert {
        out.dtype,
        dx.dtype,
        *(array.dtype for array in (layer.params | gradients).values()),
    } == {np.dtype(dtype)}
    assert {name: array.shape for name, array in gradients.items()} == {
        "weight": (3, 2),
        "bias": (2,),
    }


@pytest.mark.parametrize("shape", [(4, 2), (3,), (4, 1, 3)])
def test_another_shape_is_refused(shape):
    with pytest.raises(
        ValueError, match=r"a linear layer of 3 inputs takes x of shape \(N, 3\), got \("
    ):
        Linear(3, 2).forward(np.ones(shape, np.float32))


def test_precisions_are_not_mixed_without_a_word():
    layer = Linear(3, 2, rng=0, dtype=np.float32)
    with pytest.raises(TypeError, match="float32 parameters takes x of that dtype, got float64"):
        layer.forward(np.ones((4, 3)))
