import numpy as np
from gradients import assert_gradient

from vqnp.layers import Linear, ReLU, Sequential


def chain():
    rng = np.random.default_rng(0)
    drawn = {"rng": rng, "dtype": np.float64}
    return Sequential(Linear(3, 5, **drawn), ReLU(), Linear(5, 2, **drawn))


def test_parameters_are_named_by_position_and_shared_with_the_layers():
    layers = chain()
    assert list(layers.params) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert layers.params["2.weight"] is list(layers)[2].params["weight"]


def test_gradients():
    layers, rng = chain(), np.random.default_rng(1)
    x, cotangent = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    _, caches = layers.forward(x)
    dx, gradients = layers.backward(cotangent, caches)

    def value():
        return (layers.forward(x)[0] * cotangent).sum()

    assert_gradient(dx, x, value)
    assert gradients.keys() == layers.params.keys()
    for name, array in layers.params.items():
        assert_gradient(gradients[name], array, value)


def test_a_later_forward_pass_does_not_disturb_an_earlier_cache():
    layers, rng = chain(), np.random.default_rng(1)
    x, other, dout = rng.normal(size=(4, 3)), rng.normal(size=(6, 3)), rng.normal(size=(4, 2))
    _, caches = layers.forward(x)
    expected = layers.backward(dout, caches)[0]
    _, caches = layers.forward(x)
    layers.forward(other)
    np.testing.assert_array_equal(layers.backward(dout, caches)[0], expected)
