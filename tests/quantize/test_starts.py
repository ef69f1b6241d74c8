"""First tokens: where they lie, and what the averages begin with."""

import numpy as np
import pytest

from vqnp.quantize import EMA, GradientCodebook, kmeans, nearest
from vqnp.quantize.starts import first_tokens


def rng(seed=0):
    return np.random.default_rng(seed)


def test_k_means_is_that_of_the_points():
    z = rng().normal(size=(40, 3))
    tokens, hits = first_tokens(z, 5, "k-means", rng(1))
    found = kmeans(z, 5, rng=rng(1))
    np.testing.assert_array_equal(tokens, found.tokens)
    np.testing.assert_array_equal(hits, found.counts)


@pytest.mark.parametrize("start", ["normal", "uniform"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_tokens_have_their_range_and_know_nothing_of_the_embeddings(start, dtype):
    z = 100 + rng().normal(size=(40, 3)).astype(dtype)
    tokens, hits = first_tokens(z, 2000, start, rng(1))
    again, _ = first_tokens(z - 100, 2000, start, rng(1))
    np.testing.assert_array_equal(tokens, again)
    assert tokens.dtype == dtype
    assert tokens.shape == (2000, 3)
    # 6,000 numbers: their mean is 0 and their deviation known to 1 in 100
    deviation = 1 if start == "normal" else 1 / 2000 / 3**0.5
    assert abs(tokens.mean()) < 0.05 * deviation
    assert tokens.std() == pytest.approx(deviation, rel=0.03)
    if start == "uniform":
        assert np.abs(tokens).max() <= 1 / 2000
    np.testing.assert_array_equal(hits, np.bincount(nearest(z, tokens)[0], minlength=2000))


@pytest.mark.parametrize("start", ["k-means", "normal", "uniform"])
def test_the_averages_begin_with_the_hits_that_a_batch_would_show(start):
    z = rng().normal(size=(40, 3))
    made = EMA(5, start=start)
    made.initialize(z, batch=10, rng=1)
    hits = np.bincount(nearest(z, made.tokens)[0], minlength=5)
    np.testing.assert_array_equal(made.codebook.counts, hits / 4)
    np.testing.assert_array_equal(made.codebook.sums, made.codebook.counts[:, None] * made.tokens)


def test_a_token_that_begins_without_hits_goes_to_the_mean_of_its_first():
    z = rng().normal(size=(40, 1))
    made = EMA(5, start="normal")
    made.initialize(z + 50, batch=10, rng=1)
    alone = int(np.argmin(made.tokens))
    assert made.codebook.counts[alone] == 0
    below = np.array([[-50.0], [-52.0]])
    made.update(below, made.forward(below)[0])
    assert made.tokens[alone] == pytest.approx(-51)


def test_start_shows_in_the_print_where_it_is_not_k_means():
    assert "start" not in repr(EMA())
    assert repr(EMA(start="normal")).endswith("start='normal')")
    assert "start='k-means'" in repr(GradientCodebook())
    with pytest.raises(ValueError, match="start must be one of k-means, normal, uniform, got 'one"):
        EMA(start="ones")
