"""CVQ: the formula by hand, whom it moves and whom it leaves."""

import numpy as np
import pytest

from vqnp.quantize import CVQ, GradientCodebook
from vqnp.quantize.cvq import pull, pull_tokens


def rng(seed=0):
    return np.random.default_rng(seed)


def made_of(tokens, **settings):
    made = CVQ(len(tokens), **settings)
    made.params["tokens"] = np.array(tokens, float)
    made.buffers["usage"] = np.zeros(len(tokens))
    return made


def test_by_hand():
    """Of two codes with γ = 0.5 the first has 1 of 2 hits more: p = (0.75 / 2, 0.25 / 2)."""
    made = made_of([[0.0], [10.0]], decay=0.5)
    z = np.array([[1.0], [2.0], [-2.0], [9.0]])
    made.update(z, made.forward(z)[0])
    np.testing.assert_allclose(made.buffers["usage"], [0.375, 0.125])
    alpha = np.exp(-10 * 2 * np.array([0.375, 0.125]) / 0.5 - 1e-3)  # e^-15 and e^-5
    np.testing.assert_allclose(pull(made.buffers["usage"], 0.5), alpha)
    nearest = np.array([1.0, 9.0])
    expected = (1 - alpha) * np.array([0.0, 10.0]) + alpha * nearest
    np.testing.assert_allclose(made.tokens[:, 0], expected, rtol=1e-14)


def test_used_codes_stay_and_unused_ones_become_embeddings():
    z = rng().normal(size=(64, 2))
    made = made_of(np.concatenate([z[:4], [[1e3, 1e3], [-1e3, 0]]]))
    before = made.tokens.copy()
    for _ in range(300):
        quantized, _ = made.forward(z)
        made.update(z, quantized)
    np.testing.assert_allclose(made.tokens[:3], before[:3], rtol=1e-14)  # each has many hits
    assert len(np.unique(made.forward(z)[0].codes)) == 6
    assert np.abs(made.tokens).max() < 5


def test_an_even_codebook_is_left_to_the_bit():
    usage = np.full(32, 1 / 32)
    assert not pull(usage, 0.99).any()  # e^-1000 is below the smallest float64
    tokens = rng().normal(size=(32, 2))
    before = tokens.copy()
    assert not len(pull_tokens(tokens, rng(1).normal(size=(9, 2)), pull(usage, 0.99), "nearest"))
    np.testing.assert_array_equal(tokens, before)


@pytest.mark.parametrize("anchor", ["nearest", "random"])
def test_anchors_are_embeddings(anchor):
    tokens, z = rng().normal(size=(5, 3)), rng(1).normal(size=(9, 3))
    before = tokens.copy()
    moved = pull_tokens(tokens, z, np.array([1, 0, 1, 0, 1.0]), anchor, rng=rng(2))
    assert moved.tolist() == [0, 2, 4]
    assert all((row == z).all(axis=1).any() for row in tokens[moved])
    np.testing.assert_array_equal(tokens[[1, 3]], before[[1, 3]])
    if anchor == "nearest":
        distances = ((before[moved, None] - z) ** 2).sum(axis=2)
        np.testing.assert_array_equal(tokens[moved], z[distances.argmin(axis=1)])


def test_losses_and_gradients_are_those_of_the_codebook_learnt_by_gradient():
    z, upstream = rng().normal(size=(9, 3)), rng(1).normal(size=(9, 3))
    plain, made = GradientCodebook(4), CVQ(4)
    results = []
    for each in (plain, made):
        each.initialize(z, batch=9, rng=2)
        quantized, cache = each.forward(z)
        dz, gradients = each.backward(upstream, cache)
        results.append([quantized.vectors, dz, gradients["tokens"], each.tokens])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_masked_embeddings_are_no_anchors():
    z = np.concatenate([np.zeros((5, 2)), np.full((45, 2), 7.0)])
    made = made_of(rng().normal(size=(4, 2)))
    made.update(z, made.forward(z)[0], mask=np.arange(50) < 5)
    assert np.abs(made.tokens).max() < 4


def test_anchors_at_random_need_numbers():
    z, made = rng().normal(size=(9, 2)), made_of(np.zeros((3, 2)), anchor="random")
    assert made.draws
    with pytest.raises(ValueError, match="rng is needed: anchors are drawn"):
        made.update(z, made.forward(z)[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"anchor": "farthest"}, "anchor must be one of nearest, random, got 'farthest'"),
        ({"decay": 1.0}, r"decay must lie in \[0, 1\), got 1.0"),
        ({"beta": float("inf")}, "beta must be at least 0 and finite, got inf"),
        ({"n_tokens": 0}, "n_tokens must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        CVQ(**settings)
