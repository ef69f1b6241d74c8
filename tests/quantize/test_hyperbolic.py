"""HyperVQ: the ball, its hyperplanes, their limits, and gradients against differences."""

import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.quantize import (
    HyperVQ,
    hyperplanes_backward,
    hyperplanes_forward,
    into_ball_backward,
    into_ball_forward,
    kmeans,
    nearest,
    softmax,
)
from vqnp.quantize.normalize import normalize_forward

N, D, K = 17, 3, 5


def rng(seed=0):
    return np.random.default_rng(seed)


def planes(seed=0):
    scale = rng(seed).uniform(0.5, 2, K)
    units, _ = normalize_forward(rng(seed + 1).normal(size=(K, D)))
    return scale, units, rng(seed + 2).normal(0, 0.5, K)


def placed(z, **settings):
    quantizer = HyperVQ(**{"n_tokens": K} | settings)
    quantizer.initialize(z, batch=10, rng=1)
    return quantizer


@pytest.mark.parametrize("curvature", [1.0, 0.3])
def test_gradient_of_the_way_into_the_ball(curvature):
    h, upstream = rng(3).normal(0, 2, size=(N, D)), rng(4).normal(size=(N, D))
    lengths = np.linalg.norm(h, axis=1) * curvature**0.5
    assert lengths.min() < 2
    assert lengths.max() > 4 or curvature < 1  # some are cut off
    x, cache = into_ball_forward(h, curvature)
    assert (np.linalg.norm(x, axis=1) < curvature**-0.5).all()
    dh = into_ball_backward(upstream, cache)
    assert_gradient(dh, h, lambda: float((upstream * into_ball_forward(h, curvature)[0]).sum()))


def test_the_way_into_the_ball_and_back():
    """artanh(√c ‖x‖) x / (√c ‖x‖) is the inverse."""
    h = rng(5).normal(size=(N, D))
    x, _ = into_ball_forward(h, 0.3)
    norms = 0.3**0.5 * np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(np.arctanh(norms) / norms * x, h, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lengths_from_nothing_to_a_thousand(dtype):
    for length in (0, 1e-30, 1e-12, 1e-3, 9, 1e3):
        h = np.array([[length, 0, 0]], dtype)
        x, cache = into_ball_forward(h, 1.0)
        logits, planes_cache = hyperplanes_forward(x, *(p.astype(dtype) for p in planes()), 1.0)
        dx = hyperplanes_backward(np.ones_like(logits), planes_cache)[0]
        for value in (x, logits, dx, into_ball_backward(dx, cache)):
            assert np.isfinite(value).all()
            assert value.dtype == dtype
    np.testing.assert_array_equal(into_ball_forward(h * 0, 1.0)[0], 0)


@pytest.mark.parametrize("curvature", [1.0, 0.3])
def test_gradients_of_the_hyperplanes(curvature):
    # Not near the rim, where third derivatives are too great for central differences.
    x, _ = into_ball_forward(rng(6).normal(0, 0.3, size=(N, D)), curvature)
    given, upstream = (x, *planes()), rng(7).normal(size=(N, K))
    _, cache = hyperplanes_forward(*given, curvature)

    def value():
        return float((upstream * hyperplanes_forward(*given, curvature)[0]).sum())

    for gradient, array in zip(hyperplanes_backward(upstream, cache), given, strict=True):
        assert_gradient(gradient, array, value)


@pytest.mark.parametrize("curvature", [1.0, 0.3])
def test_a_token_lies_in_its_hyperplane(curvature):
    scale, units, offset = planes()
    x, _ = into_ball_forward(offset[:, None] * units, curvature)
    logits, _ = hyperplanes_forward(x, scale, units, offset, curvature)
    np.testing.assert_allclose(np.diag(logits), 0, atol=1e-14)
    assert abs(logits).max() > 1


def test_without_curvature_the_hyperplanes_are_planes():
    scale, units, offset = planes()
    h = rng(8).normal(size=(N, D))
    x, _ = into_ball_forward(h, 1e-8)
    logits, _ = hyperplanes_forward(x, scale, units, offset, 1e-8)
    np.testing.assert_allclose(logits, 4 * scale * (h @ units.T - offset), atol=1e-6)


def test_gradients_with_the_choice_softened(monkeypatch):
    """Forward the token of the choice o; backward as if o were o + p - sg(p)."""
    monkeypatch.setattr(softmax, "LOGITS_A_BLOCK", 3 * K)
    z, upstream = rng(9).normal(size=(N, D)), rng(10).normal(size=(N, D))
    quantizer = placed(z, curvature=0.3)
    quantized, cache = quantizer.forward(z)
    dz, gradients = quantizer.backward(upstream, cache)

    def probabilities():
        x, _ = into_ball_forward(z, 0.3)
        units, _ = normalize_forward(quantizer.params["direction"])
        given = quantizer.params["scale"], units, quantizer.params["offset"]
        return softmax.softmax(hyperplanes_forward(x, *given, 0.3)[0])

    fixed, tokens = probabilities(), quantizer.tokens.copy()
    hard = np.eye(K)[quantized.codes]

    def surrogate():  # tokens and probabilities each reach it with the other frozen
        soft = (probabilities() - fixed) @ tokens
        return float((upstream * (hard @ quantizer.tokens + soft)).sum())

    assert_gradient(dz, z, surrogate)
    for name, gradient in gradients.items():
        assert gradient.any()
        assert_gradient(gradient, quantizer.params[name], surrogate)


def test_tokens_begin_as_those_of_kmeans_and_are_distinct():
    """Offsets of 0, as in the published logistic regression, put all tokens at the origin."""
    z = rng(11).normal(size=(N, D))
    quantizer = placed(z)
    np.testing.assert_allclose(quantizer.tokens, kmeans(z, K, rng=1).tokens, rtol=1e-14)
    assert len(np.unique(quantizer.tokens.round(9), axis=0)) == K
    at_origin = placed(np.zeros((N, D)), n_tokens=1)
    quantized, cache = at_origin.forward(z)
    assert not quantized.vectors.any()
    assert all(np.isfinite(g).all() for g in at_origin.backward(z, cache)[1].values())


def test_codes_are_not_those_of_the_nearest_tokens():
    z = rng(12).normal(size=(500, D))
    quantizer = placed(z)
    embeddings, tokens, codes = quantizer.view(z)
    assert 0.02 < (codes != nearest(embeddings, tokens)[0]).mean() < 1


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="n_tokens must be at least 1, got 0"):
        HyperVQ(0)
    with pytest.raises(ValueError, match="curvature must be positive and finite, got 0"):
        HyperVQ(curvature=0)
