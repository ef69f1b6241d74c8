"""The draw of the first tokens, compiled for one thread and for all.

test_lloyd.py tests which points it draws.
"""

import numpy as np
import pytest

from vqnp.quantize import nearest
from vqnp.quantize.lloyd import BLOCK_POINTS, PARALLEL_COORDINATES, _lower_distances, plus_plus


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threads", [False, True])
def test_distances_are_those_of_the_search(threads, dtype):
    """To the last bit, over block borders: both add the squares in the order of the dimensions."""
    points = np.random.default_rng(0).normal(3, 1, (BLOCK_POINTS + 5, 3)).astype(dtype)
    distances = np.full(len(points), np.inf)
    for new in (4, BLOCK_POINTS + 2, 0):
        _lower_distances[threads](np.ascontiguousarray(points.T), new, distances)
    np.testing.assert_array_equal(distances, nearest(points, points[[4, BLOCK_POINTS + 2, 0]])[1])


@pytest.mark.jit
def test_many_points_give_distinct_tokens():
    points = np.random.default_rng(0).normal(size=(PARALLEL_COORDINATES // 4, 4)).astype(np.float32)
    tokens = plus_plus(points, 50, np.random.default_rng(1))
    assert len(np.unique(tokens, axis=0)) == 50
    assert np.isin(tokens[:, 0], points[:, 0]).all()
