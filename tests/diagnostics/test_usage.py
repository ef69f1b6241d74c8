import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqnp.diagnostics import codes_used, perplexity, perplexity_of_counts

code_lists = st.lists(st.integers(0, 6), min_size=1, max_size=50)


def test_one_code_has_perplexity_exactly_one():
    """A fudge term inside the logarithm gives 1 - 1e-10 or so here."""
    assert perplexity(np.full(1000, 3), 8) == 1.0
    assert perplexity(np.zeros(1, int), 1) == 1.0


@pytest.mark.parametrize("n_tokens", [1, 2, 7, 512])
def test_uniform_use_has_perplexity_k(n_tokens):
    codes = np.tile(np.arange(n_tokens), 3)
    assert perplexity(codes, n_tokens) == pytest.approx(
        n_tokens, rel=1e-13
    )  # a fudge of 1e-10 shows at 512 tokens
    assert codes_used(codes, n_tokens) == n_tokens


def test_perplexity_of_a_half_and_two_quarters():
    codes = np.array([0, 0, 2, 5])
    assert perplexity(codes, 6) == pytest.approx(2**1.5)  # entropy 1.5 bits
    assert perplexity_of_counts(np.array([0.5, 0, 0.25, 0.25])) == pytest.approx(2**1.5)
    assert codes_used(codes, 6) == 3


@given(code_lists)
def test_perplexity_lies_between_one_and_the_codes_used(codes):
    value = perplexity(np.array(codes), 7)
    assert (
        1
        <= value
        <= codes_used(np.array(codes), 7) * (1 + 1e-12)
        <= min(7, len(codes)) * (1 + 1e-12)
    )


@given(code_lists, st.permutations(range(7)), st.integers(1, 3))
def test_perplexity_ignores_names_order_and_repetition(codes, names, times):
    renamed = np.array(names)[np.repeat(codes[::-1], times)]
    assert perplexity(renamed, 7) == pytest.approx(perplexity(np.array(codes), 7))


def test_perplexity_is_of_the_whole_set_and_not_a_mean_over_batches():
    codes = np.repeat(np.arange(64), 16)  # sorted: each batch of 16 knows one code
    assert perplexity(codes, 64) == pytest.approx(64)
    assert np.mean([perplexity(batch, 64) for batch in codes.reshape(-1, 16)]) == 1


@pytest.mark.parametrize("function", [perplexity, codes_used])
def test_bad_codes_are_refused(function):
    with pytest.raises(ValueError, match=r"codes must lie in \[0, 4\), got 0 to 4"):
        function(np.arange(5), 4)
    with pytest.raises(ValueError, match="codes is empty"):
        function(np.zeros(0, int), 4)
    with pytest.raises(TypeError, match="integers, got float64"):
        function(np.zeros(3), 4)
    with pytest.raises(ValueError, match="shape"):
        function(np.zeros((3, 1), int), 4)
    with pytest.raises(ValueError, match="n_tokens must be at least 1"):
        function(np.zeros(3, int), 0)


@pytest.mark.parametrize("counts", [[], [0, 0], [1, -1], [1, np.nan], [np.inf, 1], [[1, 2]]])
def test_bad_counts_are_refused(counts):
    with pytest.raises(ValueError, match="counts must be"):
        perplexity_of_counts(np.array(counts))
