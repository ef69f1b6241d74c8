import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import config

from vqnp import threads
from vqnp.quantize.search import (
    POINTS_A_BLOCK,
    PREPARE_FROM_POINTS,
    PREPARE_FROM_TOKENS,
    SCREEN_FROM_COORDINATES,
    nearest,
    nearest_loop,
    nearest_numpy,
)

module = sys.modules["vqnp.quantize.search"]
both_searches = pytest.mark.parametrize("parallel_from", [0, 1 << 62], ids=["parallel", "serial"])
two_threads = pytest.mark.skipif(config.NUMBA_NUM_THREADS < 2, reason="there is one thread alone")


@pytest.mark.parametrize("function", [nearest_loop, nearest_numpy, nearest])
def test_four_points_worked_out_by_hand(function):
    """Distances squared: from (0, 0) 1 and 25, from (1, 4) 16 and 4, from (3, 4) 20 and 0.

    From (2, 2) both are 5, and the lower index wins.
    """
    tokens = np.array([[1.0, 0.0], [3.0, 4.0]])
    codes, squared = function(np.array([[0.0, 0.0], [1.0, 4.0], [3.0, 4.0], [2.0, 2.0]]), tokens)
    assert codes.tolist() == [0, 1, 1, 0]
    assert squared.tolist() == [1, 4, 0, 5]


@st.composite
def problems(draw):
    """Points and tokens on a coarse grid, so that ties and duplicated tokens are common; every
    other row of a larger array.
    """
    n, k, dims = (
        draw(st.integers(1, 2 * POINTS_A_BLOCK + 3)),
        draw(st.integers(1, 9)),
        draw(st.integers(1, 4)),
    )
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    # of a grid of 1, of one that rounds, of one whose squares nearly vanish
    spread = draw(st.sampled_from([1, 0.3, 1e-3]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    points, tokens = (spread * rng.integers(-3, 4, (2 * rows, dims)) for rows in (n, k))
    return points.astype(dtype)[::2], tokens.astype(dtype)[::2]


def assert_same_bits(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@both_searches
@given(problems(), st.integers(1, 70))
def test_three_searches_agree_to_the_last_bit(parallel_from, problem, block):
    expected = nearest_loop(*problem)
    assert_same_bits(nearest_numpy(*problem, block=block), expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PARALLEL_DIFFERENCES", parallel_from)
        assert_same_bits(nearest(*problem), expected)


@both_searches
@pytest.mark.parametrize(
    "n", [1, POINTS_A_BLOCK - 1, POINTS_A_BLOCK, POINTS_A_BLOCK + 1, 3 * POINTS_A_BLOCK + 5]
)
def test_float_values_and_sizes_about_a_block(n, parallel_from, monkeypatch):
    monkeypatch.setattr(module, "PARALLEL_DIFFERENCES", parallel_from)
    rng = np.random.default_rng(n)
    for dtype in (np.float32, np.float64):
        points, tokens = (
            rng.normal(size=(n, 5)).astype(dtype),
            rng.normal(size=(11, 5)).astype(dtype),
        )
        assert_same_bits(nearest(points, tokens), nearest_loop(points, tokens))


@pytest.mark.parametrize("block", [1, 2, 7, 128])
def test_answer_does_not_depend_on_the_block(block, monkeypatch):
    rng = np.random.default_rng(0)
    points, tokens = rng.normal(size=(23, 3)), rng.normal(size=(5, 3))
    monkeypatch.setattr(module, "POINTS_A_BLOCK", block)
    for name in (
        "_search_rows",
        "_search_blocks",
    ):  # compiled, they would keep the block they were compiled with
        monkeypatch.setattr(
            module, name, getattr(getattr(module, name), "py_func", getattr(module, name))
        )
    monkeypatch.setattr(module, "PARALLEL_DIFFERENCES", 0)
    assert_same_bits(module.nearest(points, tokens), nearest_loop(points, tokens))


@pytest.mark.jit
@pytest.mark.parametrize("dims", [1, 2, 8, 33])
@pytest.mark.parametrize("n", [PREPARE_FROM_POINTS - 1, PREPARE_FROM_POINTS])
@pytest.mark.parametrize(
    "k", [PREPARE_FROM_TOKENS - 1, PREPARE_FROM_TOKENS + 1, SCREEN_FROM_COORDINATES // 8]
)
def test_whichever_search_is_chosen_the_answer_is_the_same(n, k, dims):
    rng = np.random.default_rng(n + k)
    points, tokens = (
        rng.normal(size=(n, dims)).astype(np.float32),
        rng.normal(size=(k, dims)).astype(np.float32),
    )
    assert_same_bits(nearest(points, tokens), nearest_numpy(points, tokens))


@pytest.mark.parametrize(
    "turn", [np.asfortranarray, lambda x: x[:, ::-1], lambda x: np.ascontiguousarray(x.T).T]
)
def test_any_memory_order(turn):
    points, tokens = np.random.default_rng(0).normal(size=(2, 9, 4))
    assert_same_bits(nearest(turn(points), turn(tokens)), nearest_loop(turn(points), turn(tokens)))


@both_searches
@pytest.mark.parametrize("dims", [1, 3])
def test_lowest_index_wins_a_tie(dims, parallel_from, monkeypatch):
    monkeypatch.setattr(module, "PARALLEL_DIFFERENCES", parallel_from)
    tokens = np.tile(
        np.array([[5.0], [1.0], [-1.0]]), (4, dims)
    )  # every token four times; 0 lies between two of them
    points = np.repeat(np.array([[5.0], [1.0], [-1.0], [0.0]]), 100, axis=0) * np.ones(dims)
    codes, _ = nearest(points, tokens)
    assert codes.tolist() == np.repeat([0, 1, 2, 1], 100).tolist()


@two_threads
def test_answer_does_not_depend_on_the_threads(monkeypatch):
    monkeypatch.setattr(module, "PARALLEL_DIFFERENCES", 0)
    rng = np.random.default_rng(0)
    points, tokens = (
        rng.normal(size=(10 * POINTS_A_BLOCK + 3, 3)).round(1),
        rng.normal(size=(6, 3)).round(1),
    )
    answers = []
    for number in (1, 2):
        with threads.limit(number):
            answers.append(nearest(points, tokens))
    assert_same_bits(*answers)


@given(problems(), st.randoms(use_true_random=False))
def test_permuting_points_permutes_the_answer(problem, random):
    points, tokens = problem
    order = random.sample(range(len(points)), len(points))
    codes, distances = nearest(points, tokens)
    assert_same_bits(nearest(points[order], tokens), (codes[order], distances[order]))


@given(st.integers(0, 2**32))
def test_permuting_tokens_permutes_the_codes(seed):
    rng = np.random.default_rng(seed)
    points, tokens = rng.normal(size=(20, 2)), rng.normal(size=(7, 2))  # no ties: those go by index
    order = rng.permutation(7)
    codes, distances = nearest(points, tokens)
    permuted, same_distances = nearest(points, tokens[order])
    assert_same_bits((order[permuted], same_distances), (codes, distances))


@given(problems())
def test_quantization_is_idempotent(problem):
    points, tokens = problem
    quantized = tokens[nearest(points, tokens)[0]]
    codes, distances = nearest(quantized, tokens)
    np.testing.assert_array_equal(tokens[codes], quantized)
    assert not distances.any()


def test_numpy_needs_memory_for_a_block_alone():
    points, tokens = np.zeros((20_000, 1), np.float32), np.zeros((300, 1), np.float32)
    tracemalloc.start()
    nearest_numpy(points, tokens, block=50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    answer, block = len(points) * (8 + 4), 50 * len(tokens) * 4
    assert (
        peak < answer + 4 * block + 50_000
    )  # all of N·K would be 24 MB; fifty kilobytes for what else Python needs


@pytest.mark.jit
def test_compiled_search_needs_no_memory_that_grows_with_points_times_tokens():
    """The high-water mark of the whole process, since compiled code allocates where tracemalloc
    does not look.
    """
    resource = pytest.importorskip("resource", reason="only Unix counts a process's memory here")
    points, tokens = np.zeros((16_384, 1), np.float32), np.zeros((65_536, 1), np.float32)
    nearest(points[:100], tokens)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    nearest(points, tokens)
    grown = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    )  # kilobytes (bytes on a Mac)
    assert grown < 50_000  # all of N·K would be four million kilobytes


BAD = [
    (np.zeros((3, 2)), np.zeros(2), ValueError, r"tokens must have shape \(N, D\), got \(2,\)"),
    (
        np.zeros((3, 2)),
        np.zeros((4, 3)),
        ValueError,
        r"points must have shape \(N, 3\), got \(3, 2\)",
    ),
    (
        np.zeros((3, 2), int),
        np.zeros((4, 2)),
        TypeError,
        "points must be float32 or float64, got int64",
    ),
    (
        np.zeros((3, 2), np.float32),
        np.zeros((4, 2)),
        TypeError,
        "one dtype, got float32 and float64",
    ),
    (
        np.array([[0, 0], [0, np.nan]]),
        np.zeros((4, 2)),
        ValueError,
        r"points holds NaN or infinity, first at index \(1, 1\)",
    ),
    (
        np.zeros((3, 2)),
        np.array([[-np.inf, 0]]),
        ValueError,
        r"tokens holds NaN or infinity, first at index \(0, 0\)",
    ),
    (np.zeros((0, 2)), np.zeros((4, 2)), ValueError, r"points is empty: shape \(0, 2\)"),
    (np.zeros((3, 2)), np.zeros((0, 2)), ValueError, r"tokens is empty: shape \(0, 2\)"),
    (np.zeros((3, 0)), np.zeros((4, 0)), ValueError, r"tokens is empty: shape \(4, 0\)"),
]


@pytest.mark.parametrize(("points", "tokens", "error", "message"), BAD)
def test_bad_input_is_refused(points, tokens, error, message):
    with pytest.raises(error, match=message):
        nearest(points, tokens)


def test_array_likes_are_taken():
    """Lists, and latents of more axes, which are flattened."""
    codes, squared = nearest([[[0.0], [4.0]]], [[5], [1], [3]])
    assert codes.tolist() == [1, 0]
    assert squared.tolist() == [1, 1]
