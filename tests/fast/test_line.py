"""The search on a line gives the loop's bits, also where rounding makes tokens equally near."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqnp import threads
from vqnp.fast.line import line_search
from vqnp.quantize.search import nearest_loop, nearest_numpy


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@given(
    n=st.integers(1, 30),
    k=st.integers(1, 40),
    places=st.sampled_from([3, 20, 10**6]),  # on a line so coarse, tokens and distances repeat
    offset=st.sampled_from(
        [0.0, 1.0, 1e8]
    ),  # seen from the last, float32 tells no token from another
    spread=st.sampled_from(
        [1e-23, 1e-3, 1.0, 1e19]
    ),  # the squares of the first are denormal, of the last infinite, in float32
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32),
)
def test_the_loops_bits_for_any_tokens(n, k, places, offset, spread, dtype, seed):
    rng = np.random.default_rng(seed)
    tokens = (spread * rng.integers(-places, places + 1, (k, 1)) / places).astype(dtype)
    points = (offset + spread * rng.integers(-places, places + 1, (n, 1)) / places).astype(dtype)
    with np.errstate(over="ignore"):
        assert_same(line_search(points, tokens), nearest_loop(points, tokens))


def test_the_lowest_index_wins_from_either_side():
    tokens = np.array([[2.0], [0.0], [2.0], [1.0], [0.0]])
    assert line_search(np.array([[1.5], [0.5], [3.0], [-1.0]]), tokens)[0].tolist() == [0, 1, 0, 1]
    assert line_search(np.array([[1.5]]), tokens[::-1].copy())[0].tolist() == [1]


def test_zero_has_no_sign():
    tokens = np.array([[0.0], [-0.0], [1.0]], np.float32)
    assert line_search(np.array([[0.0], [-0.0]], np.float32), tokens)[0].tolist() == [0, 0]


@pytest.mark.jit
def test_many_points_and_threads():
    rng = np.random.default_rng(0)
    points, tokens = (
        rng.normal(size=(5001, 1)).astype(np.float32),
        rng.normal(size=(777, 1)).astype(np.float32),
    )
    expected = nearest_numpy(points, tokens)
    with threads.limit(1):
        assert_same(line_search(points, tokens), expected)
    assert_same(line_search(points, tokens), expected)
