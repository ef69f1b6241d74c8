"""The screened search gives the loop's bits however close the race: rounding costs only time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqnp.fast import screen
from vqnp.fast.screen import CHUNK, POINTS_A_BLOCK, TOKENS_A_SPAN, screened_search
from vqnp.quantize.search import nearest_numpy


def assert_same(points, tokens):
    codes, distances = screened_search(points, tokens)
    expected, their_distances = nearest_numpy(points, tokens)
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(distances, their_distances)
    assert distances.dtype == points.dtype


@given(
    n=st.integers(1, 40),
    k=st.integers(1, 2 * CHUNK + 5),
    dims=st.integers(1, 9),
    offset=st.sampled_from([0.0, 1.0, 1e4]),
    spread=st.sampled_from(
        [1e-22, 1e-3, 1.0, 1e6, 1e18]
    ),  # the squares of the first are denormal numbers, in float32
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 99),
)
def test_the_loops_bits_for_any_shape_scale_and_dtype(n, k, dims, offset, spread, dtype, seed):
    rng = np.random.default_rng(seed)
    points, tokens = (
        (offset + spread * rng.normal(size=(count, dims))).astype(dtype) for count in (n, k)
    )
    assert_same(points, tokens)


@given(k=st.integers(2, 3 * CHUNK), dims=st.integers(1, 4), seed=st.integers(0, 99))
def test_the_lowest_index_wins_ties_within_and_between_chunks(k, dims, seed):
    rng = np.random.default_rng(seed)
    lattice = rng.integers(-2, 3, (30, dims)).astype(np.float32)
    tokens = rng.integers(-2, 3, (k, dims)).astype(np.float32)
    assert_same(lattice, tokens)


def test_races_closer_than_a_product_can_judge():
    """All tokens lie on a sphere around the points, up to the last bits.

    Scores alone, in float32, order them wrongly.
    """
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(500, 32))
    tokens = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)
    points = (1e-6 * rng.normal(size=(200, 32))).astype(np.float32)
    by_score = (np.square(tokens).sum(axis=1) / 2 - points @ tokens.T).argmin(axis=1)
    assert (by_score != nearest_numpy(points, tokens)[0]).any()
    assert_same(points, tokens)


def test_one_token_thrown_far_out_does_not_matter():
    rng = np.random.default_rng(0)
    points, tokens = (rng.normal(size=(count, 16)).astype(np.float32) for count in (300, 200))
    tokens[150] = 1e7
    assert_same(points, tokens)


@pytest.mark.parametrize(("far", "near"), [(1e-3, 1e-9), (1e-3, 1e-10), (1e-2, 1e-9), (1e-2, 1e-8)])
@pytest.mark.parametrize("dims", [4, 32])
def test_points_nearer_than_one_to_tokens_nearer_still(dims, far, near):
    """A bound from squares of norms, instead of norms, is too small there."""
    rng = np.random.default_rng(0)
    tokens, points = (
        scale * rng.normal(size=(count, dims)).astype(np.float32)
        for scale, count in ((near, 200), (far, 70))
    )
    assert_same(points, tokens)


@pytest.mark.parametrize("n", [1, POINTS_A_BLOCK - 1, POINTS_A_BLOCK, POINTS_A_BLOCK + 1])
@pytest.mark.parametrize("k", [1, CHUNK, POINTS_A_BLOCK - 1, POINTS_A_BLOCK + 1])
def test_blocks_that_are_not_full(n, k):
    rng = np.random.default_rng(n + k)
    assert_same(
        rng.normal(size=(n, 3)).astype(np.float32), rng.normal(size=(k, 3)).astype(np.float32)
    )


@pytest.mark.parametrize("dims", [3, 9])
def test_distances_that_overflow_are_all_alike(dims):
    rng = np.random.default_rng(0)
    points, tokens = (
        1e19 * rng.normal(size=(count, dims)).astype(np.float32) for count in (50, 150)
    )
    with np.errstate(over="ignore", invalid="ignore"):
        assert_same(points, tokens)


@pytest.mark.jit
@pytest.mark.parametrize("dims", [3, 9])
def test_more_tokens_than_are_decided_on_at_once(dims):
    """On a lattice, where the lowest index among all spans has to win the ties."""
    rng = np.random.default_rng(0)
    points, tokens = (
        rng.integers(-3, 4, (count, dims)).astype(np.float32)
        for count in (POINTS_A_BLOCK + 7, 2 * TOKENS_A_SPAN + 5)
    )
    assert_same(points, tokens)


@pytest.mark.jit
@pytest.mark.parametrize("dims", [3, 9])
def test_no_token_is_left_out(dims):
    """Every token is itself looked for, and so every place in a chunk, a product and a span."""
    tokens = np.random.default_rng(0).normal(size=(2 * TOKENS_A_SPAN + 5, dims)).astype(np.float32)
    codes, distances = screened_search(tokens, tokens)
    np.testing.assert_array_equal(codes, np.arange(len(tokens)))
    assert not distances.any()


def test_the_term_for_denormal_numbers_is_needed(monkeypatch):
    """Without it, products that vanish are taken at their word."""
    rng = np.random.default_rng(0)
    points, tokens = (
        3e-23 * rng.normal(size=(count, 8)).astype(np.float32) for count in (200, 300)
    )
    assert_same(points, tokens)

    class Relative:
        eps, tiny = np.finfo(np.float32).eps, np.float32(0)

    monkeypatch.setattr(screen.np, "finfo", lambda dtype: Relative)
    codes, _ = screened_search(points, tokens)
    assert (codes != nearest_numpy(points, tokens)[0]).any()


def test_the_error_bound_is_needed(monkeypatch):
    """Without it the sphere's races are lost, so the tests above notice a bound too small."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(500, 32))
    tokens = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)
    points = (1e-6 * rng.normal(size=(200, 32))).astype(np.float32)

    class Exact:
        eps = tiny = 0.0

    monkeypatch.setattr(screen.np, "finfo", lambda dtype: Exact)
    codes, _ = screened_search(points, tokens)
    assert (codes != nearest_numpy(points, tokens)[0]).any()
