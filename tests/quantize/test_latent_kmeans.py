"""Latent k-means: unquantized in training, tokens outside, and the loss that pulls."""

import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.quantize import EMA, FSQ, GradientCodebook, LatentKMeans

N, D, K = 17, 3, 5


def rng(seed=0):
    return np.random.default_rng(seed)


def test_gradient_is_exact():
    """Nothing is estimated: the decoder sees z."""
    z, upstream = rng(1).normal(size=(N, D)), rng(2).normal(size=(N, D))
    quantizer = LatentKMeans(EMA(K, beta=0.4))
    quantizer.initialize(z + 0.3, batch=N)
    quantized, cache = quantizer.forward(z, training=True)
    assert quantized.vectors is z

    def value():
        again, _ = quantizer.forward(z, training=True)
        return float((upstream * again.vectors).sum() + 0.4 * again.losses["commitment"])

    dz, gradients = quantizer.backward(upstream, cache)
    assert gradients == {}
    assert_gradient(dz, z, value)


def test_codebook_moves_as_it_would_alone():
    z = rng(3).normal(size=(N, D))
    alone, inside = EMA(K), LatentKMeans(EMA(K))
    for made in (alone, inside):
        made.initialize(z, batch=N)
        made.update(z + 1, made.forward(z + 1, training=True)[0])
    np.testing.assert_array_equal(inside.tokens, alone.tokens)
    evaluated = [made.forward(z)[0].vectors for made in (alone, inside)]
    np.testing.assert_array_equal(*evaluated)


def test_a_codebook_learnt_by_gradient_may_follow_too():
    z = rng(4).normal(size=(N, D))
    made = LatentKMeans(GradientCodebook(K))
    made.initialize(z, batch=N)
    _, gradients = made.backward(z, made.forward(z, training=True)[1])
    assert gradients.keys() == made.params.keys() == {"codebook.tokens"}


def test_what_cannot_be_is_refused():
    with pytest.raises(TypeError, match="quantizer must be EMA, GradientCodebook or CVQ"):
        LatentKMeans(FSQ((5,)))
    with pytest.raises(ValueError, match="give the estimator to the whole"):
        LatentKMeans(EMA(K, estimator="rotation"))
