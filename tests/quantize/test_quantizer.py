import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqnp.quantize import (
    EMA,
    nearest,
    straight_through_backward,
    straight_through_forward,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def quantizer(embeddings, batch=10, **settings):
    made = EMA(**{"n_tokens": 4} | settings)
    made.initialize(embeddings, batch=batch, rng=1)
    return made


@pytest.fixture
def embeddings():
    return rng().normal(size=(40, 3))


def state(made):
    codebook = made.codebook
    return [
        codebook.tokens.copy(),
        codebook.counts.copy(),
        codebook.sums.copy(),
        np.array(codebook.steps),
    ]


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_forward_looks_up_the_nearest_token(embeddings):
    made = quantizer(embeddings)
    (quantized, codes, _), _ = made.forward(embeddings)
    np.testing.assert_array_equal(codes, nearest(embeddings, made.codebook.tokens)[0])
    np.testing.assert_array_equal(quantized, made.codebook.tokens[codes])


def test_backward_passes_straight_through(embeddings):
    dquantized = rng(2).normal(size=(40, 3))
    np.testing.assert_array_equal(straight_through_backward(dquantized), dquantized)
    vectors, codes = straight_through_forward(embeddings, embeddings[:4])
    np.testing.assert_array_equal(vectors, embeddings[:4][codes])


def test_averages_start_from_the_clusters_scaled_to_one_batch(embeddings):
    """L = n · B / N and M = L · token."""
    codebook = quantizer(embeddings, batch=10).codebook
    n = np.bincount(nearest(embeddings, codebook.tokens)[0], minlength=4)
    np.testing.assert_allclose(codebook.counts, n * 10 / 40, rtol=1e-15)
    np.testing.assert_array_equal(codebook.sums, codebook.counts[:, None] * codebook.tokens)
    assert codebook.steps == 0


def test_looking_changes_nothing_and_updating_does(embeddings):
    made = quantizer(embeddings)
    before = state(made)
    quantized, cache = made.forward(rng(5).normal(size=(7, 3)))
    made.backward(np.ones((7, 3)), cache)
    assert_same(state(made), before)
    hits = made.update(rng(5).normal(size=(7, 3)), quantized)
    assert hits.tolist() == np.bincount(quantized.codes, minlength=4).tolist()
    assert not np.array_equal(made.codebook.tokens, before[0])
    assert made.codebook.steps == 1


def test_quantized_embeddings_are_not_a_window_into_the_codebook(embeddings):
    made = quantizer(embeddings)
    quantized, _ = made.forward(embeddings)
    kept = quantized.vectors.copy()
    made.update(embeddings + 1, quantized)
    np.testing.assert_array_equal(quantized.vectors, kept)


def test_masked_rows_count_for_nothing(embeddings):
    mask = rng(3).random(40) < 0.5
    masked, without = quantizer(embeddings), quantizer(embeddings)
    padded = np.where(mask[:, None], embeddings, 1e6)
    quantized, _ = masked.forward(padded)
    hits = masked.update(padded, quantized, mask=mask)
    assert hits.sum() == mask.sum()
    without.update(embeddings[mask], quantized._replace(codes=quantized.codes[mask]))
    assert_same(state(masked), state(without))


@given(st.integers(0, 2**32))
def test_permuting_the_batch_moves_the_tokens_alike(seed):
    embeddings, order = rng(seed).normal(size=(20, 2)), rng(seed).permutation(20)
    one, other = quantizer(embeddings), quantizer(embeddings)
    for made, rows in ((one, np.arange(20)), (other, order)):
        made.update(embeddings[rows], made.forward(embeddings[rows])[0])
    np.testing.assert_allclose(
        one.codebook.tokens, other.codebook.tokens, rtol=0, atol=1e-13
    )  # sums in another order


def test_one_token_serves_all(embeddings):
    made = quantizer(embeddings, n_tokens=1)
    (quantized, codes, _), _ = made.forward(embeddings)
    assert not codes.any()
    np.testing.assert_allclose(
        quantized, np.broadcast_to(embeddings.mean(axis=0), (40, 3)), rtol=0, atol=1e-14
    )


def test_more_tokens_than_embeddings_warns_and_works(embeddings):
    with pytest.warns(UserWarning, match="n_tokens is 50 for 40 points"):
        made = quantizer(embeddings, n_tokens=50)
    np.testing.assert_array_equal(made.forward(embeddings)[0].vectors, embeddings)


def test_without_a_codebook_it_says_what_to_call(embeddings):
    made = EMA()
    assert not made.initialized
    with pytest.raises(
        RuntimeError,
        match=r"there is no codebook yet: call initialize\(z, batch=\.\.\.\) first",
    ):
        made.forward(embeddings)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_tokens": 0}, ValueError, "n_tokens must be at least 1, got 0"),
        ({"n_tokens": 1.5}, TypeError, "n_tokens must be an integer, got 1.5"),
        ({"decay": 1}, ValueError, r"decay must lie in \[0, 1\), got 1"),
        ({"dialect": "none"}, ValueError, "dialect must be one of paper, .* got 'none'"),
    ],
)
def test_settings_out_of_range_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        EMA(**settings)


def test_embeddings_of_another_size_are_refused(embeddings):
    with pytest.raises(ValueError, match=r"embeddings must have shape \(N, 3\), got \(40, 2\)"):
        quantizer(embeddings).forward(embeddings[:, :2])


def test_a_mask_is_one_bool_an_embedding(embeddings):
    vq = quantizer(embeddings)
    quantized, _ = vq.forward(embeddings)
    with pytest.raises(TypeError, match="mask must be a NumPy array of bool, got int64"):
        vq.update(embeddings, quantized, mask=np.ones(len(embeddings), int))
    with pytest.raises(ValueError, match=r"mask must have shape \(40,\), got \(3,\)"):
        vq.update(embeddings, quantized, mask=np.ones(3, bool))


def test_where_everything_is_masked_nothing_moves(embeddings):
    vq = quantizer(embeddings)
    quantized, _ = vq.forward(embeddings)
    before = vq.codebook.tokens.copy(), vq.codebook.counts.copy(), int(vq.codebook.steps)
    assert not vq.update(embeddings, quantized, mask=np.zeros(len(embeddings), bool)).any()
    np.testing.assert_array_equal(vq.codebook.tokens, before[0])
    np.testing.assert_array_equal(vq.codebook.counts, before[1])
    assert vq.codebook.steps == before[2]


@pytest.mark.parametrize("dtypes", [("f4", "f8"), ("f8", "f4")])
def test_two_precisions_do_not_meet(dtypes):
    embeddings, tokens = (np.ones((2, 3), dtype) for dtype in dtypes)
    with pytest.raises(TypeError, match="embeddings and tokens must have one dtype"):
        straight_through_forward(embeddings, tokens)
