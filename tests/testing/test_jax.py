"""JAX's functions and gradients pass through the adapters."""

import pytest

from vqnp.testing import check_conv2d, check_nearest, check_straight_through, jax_vjp

jax = pytest.importorskip("jax", reason="compares with JAX")
jnp = jax.numpy


@pytest.fixture(autouse=True, params=["float64", "float32"])
def precision(request):
    with jax.enable_x64(request.param == "float64"):
        yield {"arrays": "jax", "dtype": request.param}


def search(points, tokens):
    return jnp.square(points[:, None] - tokens).sum(axis=2).argmin(axis=1)


def straight_through(z, tokens):
    codes = search(z.reshape(-1, z.shape[-1]), tokens)
    return z + jax.lax.stop_gradient(tokens[codes].reshape(z.shape) - z)


def conv(x, weight, bias, stride, padding):
    sides = [(pad, pad) for pad in padding]
    options = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "precision": "highest"}
    return jax.lax.conv_general_dilated(x, weight, stride, sides, **options) + bias


def test_quantization(precision):
    assert check_nearest(search, **precision).passed
    assert check_straight_through(straight_through, jax_vjp(straight_through), **precision).passed


def test_convolution(precision):
    assert check_conv2d(conv, jax_vjp(conv), **precision).passed
