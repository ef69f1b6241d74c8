"""Projection to the sphere: its gradient, and what becomes of zero."""

import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.quantize import normalize_backward, normalize_forward


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
