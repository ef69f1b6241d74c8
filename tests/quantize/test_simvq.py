"""SimVQ: a frozen cloud and its map, against differences and an independent implementation."""

import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.quantize import (
    SimVQ,
    kmeans,
    mapped_tokens_backward,
    mapped_tokens_forward,
    nearest,
)

N, D, K = 24, 3, 5


def rng(seed=0):
    return np.random.default_rng(seed)


def made(z, dtype=np.float64, **settings):
    quantizer = SimVQ(K, **settings)
    quantizer.initialize(z.astype(dtype), batch=10, rng=1)
    return quantizer


def test_gradients_of_the_map():
    cloud, weight, bias, upstream = (
        rng(seed).normal(size=shape) for seed, shape in enumerate([(K, D), (D, D), (D,), (K, D)])
    )

    def value():
        return float((upstream * mapped_tokens_forward(cloud, weight, bias)).sum())

    dweight, dbias = mapped_tokens_backward(upstream, cloud)
    assert_gradient(dweight, weight, value)
    assert_gradient(dbias, bias, value)


def test_gradients_with_frozen_codes():
    """The codebook loss moves the map only, the commitment embeddings only."""
    z, upstream = rng(2).normal(size=(N, D)), rng(3).normal(size=(N, D))
    quantizer = made(z, beta=0.4)
    quantized, cache = quantizer.forward(z)
    dz, gradients = quantizer.backward(upstream, cache)
    frozen_z, codes, offset = z.copy(), quantized.codes, quantized.vectors - z

    def surrogate():
        codebook = ((frozen_z - quantizer.tokens[codes]) ** 2).mean()
        pull = ((z - quantized.vectors) ** 2).mean()
        return float((upstream * (z + offset)).sum() + codebook + 0.4 * pull)

    assert_gradient(dz, z, surrogate)
    for name, gradient in gradients.items():
        assert gradient.any()
        assert_gradient(gradient, quantizer.params[name], surrogate)


def test_all_tokens_move_when_one_is_chosen():
    z = rng(4).normal(size=(1, D))
    quantizer = made(z)
    before = quantizer.tokens
    quantized, cache = quantizer.forward(z)
    _, gradients = quantizer.backward(np.zeros((1, D)), cache)
    for name, gradient in gradients.items():
        quantizer.params[name] -= 0.1 * gradient
    assert (np.abs(quantizer.tokens - before).max(axis=1) > 0).all()
    (now,) = quantizer.tokens[quantized.codes]
    assert np.linalg.norm(now - z) < np.linalg.norm(before[quantized.codes] - z)


def test_codes_name_mapped_tokens():
    """The official look-up returns rows of C: what is stored then decodes to something else."""
    z = rng(5).normal(size=(N, D))
    quantizer = made(z)
    codes = quantizer.forward(z)[0].codes
    assert not np.allclose(quantizer.decode(codes), quantizer.buffers["cloud"][codes])
    np.testing.assert_array_equal(quantizer.decode(codes), quantizer.tokens[codes])


def test_cloud_has_the_published_spread():
    """Deviation 1/√D, then a map that is uniform in ±1/√D: tokens deviate by 1/√(3 D)."""
    quantizer = SimVQ(20_000)
    quantizer.initialize(np.zeros((1, 16)), batch=1, rng=0)
    np.testing.assert_allclose(quantizer.buffers["cloud"].std(), 0.25, rtol=0.01)
    np.testing.assert_allclose(quantizer.tokens.std(axis=0).mean(), 1 / np.sqrt(48), rtol=0.1)
    assert abs(quantizer.params["weight"]).max() <= 0.25


def test_the_start_on_kmeans_is_the_codebook_of_kmeans():
    z = rng(6).normal(size=(N, D))
    quantizer, expected = made(z, cloud="k-means"), kmeans(z, K, rng=1).tokens
    np.testing.assert_array_equal(quantizer.tokens, expected)
    np.testing.assert_array_equal(quantizer.forward(z)[0].codes, nearest(z, expected)[0])


def test_before_initialize_it_says_what_to_call():
    assert not SimVQ(K).initialized
    with pytest.raises(RuntimeError, match="there is no codebook yet: call initialize"):
        SimVQ(K).forward(np.zeros((2, D)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_tokens": 0}, "n_tokens must be at least 1, got 0"),
        ({"beta": -1}, "beta must be at least 0 and finite, got -1"),
        ({"cloud": "rain"}, "cloud must be one of normal, k-means, got 'rain'"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SimVQ(**settings)


def test_agrees_with_a_published_quantizer():
    """Theirs has no offset, and rotates the gradient unless told not to."""
    pytest.importorskip("vector_quantize_pytorch", reason="the independent implementation")
    import torch
    from vector_quantize_pytorch import SimVQ as Theirs

    z, upstream = (rng(seed).normal(size=(N, D)).astype(np.float32) for seed in (7, 8))
    torch.manual_seed(0)
    theirs = Theirs(dim=D, codebook_size=K, rotation_trick=False)
    x = torch.tensor(z[None], requires_grad=True)
    vectors, codes, loss = theirs(x)
    (loss + (vectors * torch.tensor(upstream)).sum()).backward()
    quantizer = made(z, np.float32)
    quantizer.buffers["cloud"] = theirs.frozen_codebook.numpy()
    quantizer.params["weight"] = theirs.code_transform.weight.detach().numpy().T.copy()
    quantizer.params["bias"][:] = 0
    quantized, cache = quantizer.forward(z)
    np.testing.assert_array_equal(quantized.codes, codes[0].numpy())
    np.testing.assert_allclose(quantized.vectors, vectors[0].detach().numpy(), atol=1e-6)
    total = quantized.losses["codebook"] + 0.25 * quantized.losses["commitment"]
    np.testing.assert_allclose(total, loss.item(), rtol=1e-5)
    dz, gradients = quantizer.backward(upstream, cache)
    np.testing.assert_allclose(dz, x.grad[0].numpy(), rtol=1e-5, atol=1e-6)
    theirs_weight = theirs.code_transform.weight.grad.numpy().T
    np.testing.assert_allclose(gradients["weight"], theirs_weight, rtol=1e-4, atol=1e-6)
