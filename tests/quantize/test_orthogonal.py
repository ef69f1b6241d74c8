"""Orthogonal regularization: the definition, its gradient, its floor, and who is moved."""

import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.optim import Adam
from vqnp.quantize import GradientCodebook, orthogonal_backward, orthogonal_forward
from vqnp.quantize.orthogonal import least_orthogonal


def rng(seed=0):
    return np.random.default_rng(seed)


def by_definition(tokens):
    units = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
    return float(((units @ units.T - np.eye(len(tokens))) ** 2).mean())


SHAPES = [(1, 3), (3, 5), (7, 4), (40, 2), (5, 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_mean_over_all_pairs_and_has_their_gradient(shape):
    tokens = rng().normal(size=shape)
    value, cache = orthogonal_forward(tokens)
    assert value == pytest.approx(by_definition(tokens), abs=1e-15)
    assert_gradient(orthogonal_backward(cache), tokens, lambda: by_definition(tokens))


@pytest.mark.parametrize("shape", SHAPES)
def test_no_codebook_is_below_the_floor(shape):
    for seed in range(20):
        value, _ = orthogonal_forward(rng(seed).normal(size=shape))
        assert value >= least_orthogonal(*shape) - 1e-15


def test_the_floor_is_reached_by_piles_of_equal_tokens_too():
    """64 copies of each of two axes, and 128 directions all round: neither is preferred."""
    angles = 2 * np.pi * np.arange(128) / 128
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for tokens in (np.eye(2).repeat(64, axis=0), around):
        value, cache = orthogonal_forward(tokens)
        assert value == pytest.approx(0.4921875, abs=1e-15)
        np.testing.assert_allclose(orthogonal_backward(cache), 0, atol=1e-16)


def test_on_a_line_it_is_constant():
    value, cache = orthogonal_forward(rng().normal(size=(8, 1)))
    assert value == pytest.approx(1 - 1 / 8)
    assert not orthogonal_backward(cache).any()


def test_a_token_at_zero_has_no_gradient():
    tokens = rng().normal(size=(4, 3))
    tokens[2] = 0
    dtokens = orthogonal_backward(orthogonal_forward(tokens)[1])
    assert not dtokens[2].any()
    assert np.abs(dtokens).max() > 0.01


def test_it_moves_the_tokens_and_not_the_embeddings():
    """In public code the penalty had no effect: its codebook belonged to the moving averages."""
    z = rng().normal(size=(9, 6))
    gradients = []
    for weight in (0.0, 10.0):
        made = GradientCodebook(4, orthogonal=weight)
        made.initialize(z, batch=9, rng=1)
        quantized, cache = made.forward(z)
        gradients.append(made.backward(rng(2).normal(size=(9, 6)), cache))
        assert ("orthogonal" in quantized.losses) == (weight > 0)
    (dz, plain), (same, pushed) = gradients
    np.testing.assert_array_equal(dz, same)
    expected = 10 * orthogonal_backward(orthogonal_forward(made.tokens)[1])
    np.testing.assert_allclose(pushed["tokens"] - plain["tokens"], expected, rtol=1e-12)


def test_few_tokens_of_many_dimensions_become_orthogonal():
    made, z = GradientCodebook(4, orthogonal=10.0), 1 + 0.1 * rng().normal(size=(30, 6))
    made.initialize(z, batch=30, rng=1)
    assert orthogonal_forward(made.tokens)[0] > 0.6
    optimizer = Adam(made.params, 1e-2)
    for _ in range(600):
        optimizer.step(made.backward(np.zeros_like(z), made.forward(z)[1])[1])
    assert orthogonal_forward(made.tokens)[0] < 0.02


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="orthogonal must be at least 0 and finite, got -1"):
        GradientCodebook(orthogonal=-1)
