"""Projected codes: what the maps begin with, and the gradients of all that is learnt."""

from dataclasses import replace

import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.quantize import EMA, FSQ, Cosine, GradientCodebook, Product, Projected
from vqnp.quantize.projected import principal_directions


def rng(seed=0):
    return np.random.default_rng(seed)


def flat(n=40, dtype=np.float64):
    """Points of five dimensions that fill only a plane, off the origin."""
    return (3 + rng().normal(size=(n, 2)) @ rng(1).normal(size=(2, 5))).astype(dtype)


def placed(kind, z):
    made = replace(kind)
    made.initialize(z, batch=len(z), rng=2)
    return made


def test_principal_directions():
    z = rng().normal(size=(2000, 3)) * [1, 5, 0.1] + [7, 8, 9]
    mean, directions = principal_directions(z, 2)
    np.testing.assert_array_equal(mean, z.mean(axis=0))
    np.testing.assert_allclose(np.abs(directions), [[0, 1], [1, 0], [0, 0]], atol=0.05)
    np.testing.assert_allclose(directions.T @ directions, np.eye(2), atol=1e-14)


def test_a_plane_survives_the_maps():
    """As many tokens as points: nothing is lost by either the maps or the codes."""
    z = flat(10)
    made = placed(Projected(EMA(10), dim=2), z)
    np.testing.assert_allclose(made.forward(z)[0].vectors, z, rtol=1e-12)


def test_fewer_dimensions_than_the_data_lose_the_least_variance():
    z = rng().normal(size=(50, 3)) * [4, 2, 1]
    made = placed(Projected(EMA(50), dim=2), z)
    gap = z - made.forward(z)[0].vectors
    least = np.linalg.eigvalsh(np.cov(z.T, bias=True))[0]
    assert (gap**2).sum(axis=1).mean() == pytest.approx(least)


@pytest.mark.parametrize("inner", [EMA(6, beta=0.7), GradientCodebook(6, beta=0.7)])
def test_gradients_of_all_that_is_learnt(inner):
    """The surrogate: p plus what is missing to its token, mapped back; and the inner losses."""
    z, upstream = flat(20), rng(5).normal(size=(20, 5))
    made = placed(Projected(inner, dim=3), z)
    for name in ("down.weight", "up.weight"):  # away from where both are one map's halves
        made.params[name] += 0.3 * rng(6).normal(size=made.params[name].shape)
    quantized, cache = made.forward(z)
    codes, maps = quantized.codes, made.params
    q = made.inner.tokens[codes]
    there = q - (z @ maps["down.weight"] + maps["down.bias"])

    def surrogate():
        p = z @ maps["down.weight"] + maps["down.bias"]
        v = (p + there) @ maps["up.weight"] + maps["up.bias"]
        return float((upstream * v).sum() + 0.7 * ((p - q) ** 2).mean())

    dz, gradients = made.backward(upstream, cache)
    assert gradients.keys() == made.params.keys()
    assert_gradient(dz, z, surrogate)
    for name in ("down.weight", "down.bias", "up.weight", "up.bias"):
        assert_gradient(gradients[name], maps[name], surrogate)
    if "between.tokens" in maps:
        p = z @ maps["down.weight"] + maps["down.bias"]
        tokens = maps["between.tokens"]
        loss = lambda: float(((p - tokens[codes]) ** 2).mean())  # noqa: E731
        assert_gradient(gradients["between.tokens"], tokens, loss)


def test_equal_codes_have_equal_vectors():
    z = flat(400, np.float32)
    made = placed(Projected(Cosine(EMA(6)), dim=2), z)
    quantized, _ = made.forward(z)
    assert len(np.unique(quantized.vectors, axis=0)) == len(np.unique(quantized.codes))
    assert made.tokens.shape == (6, 5)
    assert made.view(z).tokens.shape == (6, 2)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="dim must be at most 5, that of z, got 6"):
        placed(Projected(EMA(4), dim=6), flat())
    with pytest.raises(ValueError, match="dim must be at least 1, got 0"):
        Projected(EMA(4), dim=0)
    for inner in (FSQ((5, 5)), Product(EMA(4))):
        with pytest.raises(TypeError, match="quantizer must be EMA, GradientCodebook or CVQ"):
            Projected(inner)
