import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.losses import commitment, mse


@pytest.mark.parametrize("loss", [mse, commitment])
@pytest.mark.parametrize("shape", [(5, 3), (1, 1), (2, 3, 5, 4)])
def test_gradient(loss, shape):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=shape), rng.normal(size=shape)
    value, gradient = loss(a, b)
    assert value == pytest.approx(((a - b) ** 2).mean(), rel=1e-14)
    assert_gradient(gradient, a, lambda: loss(a, b)[0])


def test_value_and_gradient_by_hand():
    value, gradient = mse(np.array([[1.0, 2], [3, 4]]), np.array([[1.0, 0], [0, 4]]))
    assert value == (4 + 9) / 4
    assert gradient.tolist() == [[0, 1], [1.5, 0]]


def test_value_is_summed_in_float64():
    """A thousand squares of 1 after one of 1e8: in float32 they would all be lost."""
    a = np.ones(1_001, np.float32)
    a[0] = 1e4
    value, gradient = mse(a, np.zeros_like(a))
    assert value * a.size == 1e8 + 1_000
    assert gradient.dtype == np.float32


def test_any_memory_order():
    a, b = np.random.default_rng(0).normal(size=(2, 4, 3))
    value, gradient = mse(np.asfortranarray(a), b[::-1])
    expected, expected_gradient = mse(a, b[::-1].copy())
    assert value == expected
    np.testing.assert_array_equal(gradient, expected_gradient)


@pytest.mark.parametrize(("a", "b"), [((2, 3), (3, 2)), ((2,), (2, 1)), ((0, 2), (0, 2))])
def test_shapes_that_do_not_fit_are_refused(a, b):
    with pytest.raises(
        ValueError, match="prediction and target must have one shape and not be empty, got"
    ):
        mse(np.zeros(a), np.zeros(b))
