"""Projection to the sphere: its gradient, and what becomes of zero."""

import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.quantize import normalize_backward, normalize_forward
from vqnp.quantize.normalize import normalize_backward_loop, normalize_forward_loop


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_gradient(d):
    z, upstream = rng().normal(size=(6, d)), rng(1).normal(size=(6, d))
    dz = normalize_backward(upstream, normalize_forward(z)[1])
    assert_gradient(dz, z, lambda: float((upstream * normalize_forward(z)[0]).sum()))
    np.testing.assert_allclose((dz * z).sum(axis=1), 0, atol=1e-14)


def test_a_step_along_it_lengthens():
    z, upstream = rng().normal(size=(50, 3)), rng(1).normal(size=(50, 3))
    dz = normalize_backward(upstream, normalize_forward(z)[1])
    assert (np.linalg.norm(z - 0.1 * dz, axis=1) > np.linalg.norm(z, axis=1)).all()


def test_zero_stays_zero_and_is_given_no_gradient():
    """Public code divides by 1e-6 here: gradients of a million."""
    units, cache = normalize_forward(np.zeros((2, 3), np.float32))
    dz = normalize_backward(np.ones((2, 3), np.float32), cache)
    assert not units.any()
    assert not dz.any()
    assert units.dtype == dz.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [3, 9000])
@pytest.mark.jit
def test_compiled_and_on_all_threads_it_has_the_bits_of_the_loop(dtype, n):
    z, upstream = (rng(i).normal(size=(n, 3)).astype(dtype) for i in range(2))
    z[1] = 0
    units, cache = normalize_forward(z)
    assert units.dtype == dtype
    for found, expected in zip(cache, normalize_forward_loop(z), strict=True):
        np.testing.assert_array_equal(found, expected)
    expected = normalize_backward_loop(upstream, *cache)
    np.testing.assert_array_equal(normalize_backward(upstream, cache), expected)
