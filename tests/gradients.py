"""Gradients by central differences, the judge of every backward pass.

A function f of several arrays is made a number by a random cotangent c: L = Σ c · f. The backward
pass for dout = c must then give dL/dx. With all-ones instead of random c, a transposed or reversed
gradient would go unnoticed.
"""

from collections.abc import Callable

import numpy as np

# For L and its derivatives of order one in float64, rounding costs about 1e-16 / STEP = 1e-11 and
# truncation about STEP² / 6 = 2e-11. The bound leaves a factor of five hundred for long sums.
STEP = 1e-5
BOUND = 1e-8


def assert_gradient(gradient: np.ndarray, array: np.ndarray, value: Callable[[], float]) -> None:
    """Fail unless ``gradient`` is the derivative of ``value()`` with respect to ``array``.

    ``value`` reads ``array`` in place.
    """
    assert array.dtype == gradient.dtype == np.float64
    np.testing.assert_allclose(gradient, central_differences(array, value), rtol=BOUND, atol=BOUND)


def central_differences(array: np.ndarray, value: Callable[[], float]) -> np.ndarray:
    """Return (L(x + h) - L(x - h)) / 2h for every element x of ``array``."""
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        before = array[index]
        array[index] = before + STEP
        above = value()
        array[index] = before - STEP
        gradient[index] = (above - value()) / (2 * STEP)
        array[index] = before
    return gradient
