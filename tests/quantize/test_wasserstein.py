"""Gaussian Wasserstein matching: against scipy's matrix root, differences, and what it promises."""

import numpy as np
import pytest
from gradients import assert_gradient
from scipy.linalg import sqrtm

from vqnp.diagnostics import spread_ratio
from vqnp.optim import Adam
from vqnp.quantize import (
    GradientCodebook,
    WassersteinVQ,
    wasserstein_backward,
    wasserstein_forward,
)

N, D, K = 17, 3, 6


def rng(seed=0):
    return np.random.default_rng(seed)


def clouds():
    return rng(1).normal(1, 2, size=(N, D)), rng(2).normal(size=(K, D)) @ rng(3).normal(size=(D, D))


def test_value_is_the_closed_form():
    z, tokens = clouds()
    z_cov, t_cov = np.cov(z.T, bias=True), np.cov(tokens.T, bias=True)
    root = sqrtm(z_cov).real
    expected = np.square(z.mean(axis=0) - tokens.mean(axis=0)).sum()
    expected += np.trace(z_cov + t_cov - 2 * sqrtm(root @ t_cov @ root).real)
    assert wasserstein_forward(z, tokens)[0] == pytest.approx(expected / D, rel=1e-10)


def test_gradients():
    z, tokens = clouds()
    dz, dtokens = wasserstein_backward(1.3, wasserstein_forward(z, tokens)[1])

    def value():
        return 1.3 * wasserstein_forward(z, tokens)[0]

    assert_gradient(dz, z, value)
    assert_gradient(dtokens, tokens, value)


def test_it_is_zero_where_mean_and_covariance_agree():
    """Whatever else is different: reflected about the mean, or every point twice."""
    z, _ = clouds()
    for alike in (2 * z.mean(axis=0) - z, np.concatenate([z, z])):
        value, cache = wasserstein_forward(z, alike)
        assert value == pytest.approx(0, abs=1e-13)
        for gradient in wasserstein_backward(1.0, cache):
            np.testing.assert_allclose(gradient, 0, atol=1e-9)


def test_it_is_symmetric_and_does_not_see_a_shift_of_both():
    z, tokens = clouds()
    once = wasserstein_forward(z, tokens)[0]
    assert wasserstein_forward(tokens, z)[0] == pytest.approx(once, rel=1e-10)
    assert wasserstein_forward(z + 50, tokens + 50)[0] == pytest.approx(once, rel=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_flat_clouds(dtype):
    """Fewer points than dimensions, one point, and all alike: finite, and pulled to the mean."""
    z, tokens = (cloud.astype(dtype) for cloud in clouds())
    for few, other in ((z[:2], tokens), (z[:1], tokens), (z[:1].repeat(4, 0), tokens[:1])):
        value, cache = wasserstein_forward(few, other)
        gradients = wasserstein_backward(1.0, cache)
        assert np.isfinite(value)
        for gradient, array in zip(gradients, (few, other), strict=True):
            assert gradient.dtype == dtype
            assert gradient.shape == array.shape
            assert np.isfinite(gradient).all()
        toward = few.mean(axis=0) - other.mean(axis=0)
        np.testing.assert_allclose(gradients[1].sum(axis=0), -2 / D * toward, rtol=1e-4)


def test_gradients_with_frozen_codes():
    z, upstream = rng(4).normal(size=(N, D)), rng(5).normal(size=(N, D))
    quantizer = WassersteinVQ(K, weight=0.7, beta=0.4)
    quantizer.initialize(z + 0.5, batch=N)
    quantized, cache = quantizer.forward(z)
    dz, gradients = quantizer.backward(upstream, cache)
    tokens, codes = quantizer.params["tokens"], quantized.codes
    frozen_z, offset = z.copy(), quantized.vectors - z

    def surrogate():
        codebook = ((frozen_z - tokens[codes]) ** 2).mean()
        pull = ((z - quantized.vectors) ** 2).mean()
        distance = wasserstein_forward(z, tokens)[0]
        return float((upstream * (z + offset)).sum() + codebook + 0.4 * pull + 0.7 * distance)

    assert_gradient(dz, z, surrogate)
    assert_gradient(gradients["tokens"], tokens, surrogate)


def test_without_weight_it_is_the_codebook_learnt_by_gradient():
    z, upstream = rng(6).normal(size=(N, D)), rng(7).normal(size=(N, D))
    found = []
    for quantizer in (WassersteinVQ(K, weight=0), GradientCodebook(K)):
        quantizer.initialize(z, batch=N)
        dz, gradients = quantizer.backward(upstream, quantizer.forward(z)[1])
        found.append((dz, gradients["tokens"]))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_dead_tokens_are_taken_along():
    """A codebook learnt by gradient leaves those in their corner that nothing is nearest to."""
    z = rng(8).normal(size=(500, D))
    used, ratios = [], []
    for weight in (0.0, 1.0):
        quantizer = WassersteinVQ(32, weight=weight)
        quantizer.params["tokens"] = 3 + 0.1 * rng(9).normal(size=(32, D))
        optimizer = Adam(quantizer.params, 0.05)
        for _ in range(200):
            optimizer.step(quantizer.backward(0 * z, quantizer.forward(z)[1])[1])
        used.append(len(np.unique(quantizer.forward(z)[0].codes)))
        ratios.append(spread_ratio(quantizer.tokens, z))
    assert used[0] < 24
    assert used[1] > 28
    assert 0.8 < ratios[1] < 1.3


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="weight must be at least 0 and finite, got -1"):
        WassersteinVQ(weight=-1)
    with pytest.raises(ValueError, match="start must be one of k-means"):
        WassersteinVQ(start="here")
