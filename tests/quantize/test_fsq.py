"""Finite scalar quantization: a grid worked out by hand, its gradient, its codes, its refusals."""

import math

import numpy as np
import pytest
from gradients import assert_gradient
from hypothesis import given
from hypothesis import strategies as st

from vqnp.quantize import FSQ, fsq_backward, fsq_forward

LEVELS = (8, 5, 4, 3)  # even and odd, large and small


def rng(seed=0):
    return np.random.default_rng(seed)


def test_by_hand():
    """Three levels: h = 0.999, so 0.999 tanh(1) = 0.76 rounds to 1, and -0.999 tanh(0.1) to 0."""
    values, steps, _ = fsq_forward(np.array([[1.0], [-0.1], [-9.0]]), (3,))
    assert values.tolist() == [[1], [0], [-1]]
    assert steps.tolist() == [[2], [1], [0]]


@pytest.mark.parametrize("count", [3, 4, 5, 8, 17, 1000])
def test_every_level_and_no_other_is_attained(count):
    """From end to end of float32; even counts have one level more below zero than above."""
    z = np.linspace(-12, 12, 400_001, dtype=np.float32)[:, None]
    values, steps, _ = fsq_forward(z, (count,))
    assert np.unique(steps).tolist() == list(range(count))
    half = count // 2
    expected = (np.arange(count) - half).astype(np.float32) / np.float32(half)
    np.testing.assert_array_equal(np.unique(values), expected)
    assert (np.diff(steps[:, 0]) >= 0).all()


@pytest.mark.parametrize("count", [4, 6, 8])
def test_zero_is_mapped_to_zero_for_even_levels_too(count):
    """With tan in place of artanh, a slip of the published listing, it is off by up to 4e-4."""
    (view, _, _) = FSQ((count,)).view(np.zeros((1, 1)))
    assert abs(view[0, 0]) < 1e-15


def test_half_way_goes_to_the_lower_level(monkeypatch):
    """b = 0.5 and -0.5 exactly, with ε = 0. Half-to-even would give level 1 to both."""
    monkeypatch.setattr("vqnp.quantize.fsq.EPSILON", 0)
    monkeypatch.setattr(np, "tanh", lambda z: np.array([[0.5], [-0.5]]))
    assert fsq_forward(np.zeros((2, 1)), (3,))[1].tolist() == [[1], [0]]


def test_gradient_is_that_of_the_surrogate():
    """Rounding frozen as an offset: value = b(z) / ⌊L/2⌋ + constant."""
    z, upstream = rng().normal(size=(6, 4)), rng(1).normal(size=(6, 4))
    values, _, cache = fsq_forward(z, LEVELS)
    offset = values - FSQ(LEVELS).view(z).embeddings

    def surrogate():
        return float((upstream * (FSQ(LEVELS).view(z).embeddings + offset)).sum())

    assert_gradient(fsq_backward(upstream, cache), z, surrogate)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_codes_name_the_vectors_to_the_bit(dtype):
    quantizer = FSQ(LEVELS)
    z = rng(2).normal(0, 2, size=(5000, 4)).astype(dtype)
    quantized, _ = quantizer.forward(z)
    assert quantized.vectors.dtype == dtype
    assert quantized.codes.dtype == np.int64
    assert len(np.unique(quantized.codes)) > 400
    np.testing.assert_array_equal(quantizer.decode(quantized.codes, dtype=dtype), quantized.vectors)


@given(st.lists(st.integers(3, 9), min_size=1, max_size=5).map(tuple))
def test_every_code_survives_the_way_through_its_token(levels):
    """The token, sent back through artanh, is given its own code; the outermost lie at infinity."""
    quantizer = FSQ(levels)
    assert quantizer.n_tokens == len(quantizer.tokens) == math.prod(levels)
    assert len(np.unique(quantizer.tokens, axis=0)) == quantizer.n_tokens
    count = np.array(levels)
    half, offset = (count - 1) * 0.999 / 2, np.where(count % 2 == 0, 0.5, 0)
    squashed = np.clip((quantizer.tokens * (count // 2) + offset) / half, -1 + 1e-12, 1 - 1e-12)
    z = np.arctanh(squashed) - np.arctanh(offset / half)
    np.testing.assert_array_equal(quantizer.forward(z)[0].codes, np.arange(quantizer.n_tokens))


def test_codes_are_mixed_radix_with_the_first_channel_fastest():
    tokens = FSQ((3, 5)).tokens
    assert tokens[:4].tolist() == [[-1, -1], [0, -1], [1, -1], [-1, -0.5]]


def test_nothing_to_learn_and_nothing_to_move():
    quantizer, z = FSQ(LEVELS), rng(3).normal(size=(50, 4))
    assert quantizer.initialized
    quantizer.initialize(z, batch=10)
    quantized, cache = quantizer.forward(z)
    assert quantized.losses == {}
    assert quantizer.backward(np.ones_like(z), cache)[1] == {}
    hits = quantizer.update(z, quantized, mask=np.arange(50) < 20)
    assert hits.shape == (480,)
    assert hits.sum() == 20
    assert quantizer.params == quantizer.buffers == {}


def test_bits_and_printing():
    assert FSQ((8, 8, 8)).bits == 9
    assert repr(FSQ((8, 5))) == "FSQ(levels=(8, 5))"
    assert FSQ((8, 5)) == FSQ((8, 5)) != FSQ((5, 8))


@pytest.mark.parametrize(
    ("levels", "error", "message"),
    [
        ((), ValueError, "levels must name at least one channel"),
        ((2,), ValueError, "levels must be at least 3, got 2"),
        ((5, 1001), ValueError, "levels must be at most 1000, got 1001"),
        ((5.0,), TypeError, r"levels must be an integer, got 5\.0"),
    ],
)
def test_levels_that_cannot_be_are_refused(levels, error, message):
    with pytest.raises(error, match=message):
        FSQ(levels)


def test_embeddings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"z must have shape \(N, 2\), got \(3, 4\)"):
        FSQ((5, 5)).forward(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="z holds NaN or infinity"):
        FSQ((5,)).forward(np.array([[np.nan]]))


def test_agrees_with_a_published_quantizer():
    """Theirs has h with (1 + ε): b differs by ε (L - 1), and codes only that near an edge."""
    pytest.importorskip("vector_quantize_pytorch", reason="the independent implementation")
    import torch
    from vector_quantize_pytorch import FSQ as Theirs

    levels = np.array([8, 5, 5, 5])
    z = rng(4).normal(size=(20_000, 4)).astype(np.float32)
    ours = FSQ(tuple(levels.tolist()))
    vectors, codes = Theirs(levels.tolist())(torch.tensor(z)[None])
    quantized, _ = ours.forward(z)
    np.testing.assert_allclose(  # their codes name the same vectors
        ours.decode(codes[0].numpy().astype(np.int64)), vectors[0].detach().numpy(), atol=1e-6
    )
    b = ours.view(z).embeddings * (levels // 2)
    from_edge = abs(b - 0.5 - np.rint(b - 0.5))
    differs = quantized.vectors != ours.decode(codes[0].numpy().astype(np.int64))
    assert differs.any()
    assert (from_edge < 1.1e-3 * (levels - 1))[differs].all()
