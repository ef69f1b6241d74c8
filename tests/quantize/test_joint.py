"""A code of several parts and its number are each other's inverse."""

import numpy as np
import pytest

from vqnp.quantize.joint import parts_of, places


@pytest.mark.parametrize("levels", [(3,), (8, 5, 5), (2, 2, 2, 2), (1, 4, 1)])
def test_numbers_and_parts_invert_each_other(levels):
    numbers = np.arange(np.prod(levels))
    parts = parts_of(numbers, levels)
    np.testing.assert_array_equal(parts @ places(levels), numbers)
    assert len(np.unique(parts, axis=0)) == len(numbers)
    np.testing.assert_array_equal(parts.max(axis=0) + 1, levels)


def test_the_first_part_is_the_fastest():
    assert parts_of(np.array([0, 1, 2, 3]), (2, 2)).tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]
