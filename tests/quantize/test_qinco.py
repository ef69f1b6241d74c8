"""QINCo: residual quantization to the bit before training, its gradients, and better after it."""

import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.optim import Adam
from vqnp.quantize import EMA, QINCo, Residual, nearest, qinco
from vqnp.quantize.qinco import adapt_backward, adapt_forward, adapted_nearest

N, D, K, M, H, L = 17, 3, 5, 3, 4, 2


def rng(seed=0):
    return np.random.default_rng(seed)


def placed(z, trained=True, **settings):
    quantizer = QINCo(**{"stage_tokens": K, "stages": M, "width": H, "blocks": L} | settings)
    quantizer.initialize(z, batch=10, rng=1)
    if trained:  # any weights, so that every array has a part in the sums
        for i, name in enumerate(qinco.NETWORK):
            shape = quantizer.params[name].shape
            quantizer.params[name][:] = rng(20 + i).normal(0, 0.3, size=shape)
    return quantizer


def network_of(shape=()):
    shapes = {"code_map": (D, D), "sum_map": (D, D), "bias": (D,)}
    shapes |= {"up": (L, D, H), "down": (L, H, D)}
    return {name: rng(i).normal(size=s) for i, (name, s) in enumerate(shapes.items())}


def test_gradients_of_the_adaptation():
    token, partial, upstream = (rng(i).normal(size=(N, D)) for i in (7, 8, 9))
    network = network_of()
    _, cache = adapt_forward(token, partial, network)
    dtoken, dpartial, gradients = adapt_backward(upstream, cache)

    def value():
        return float((upstream * adapt_forward(token, partial, network)[0]).sum())

    assert_gradient(dtoken, token, value)
    assert_gradient(dpartial, partial, value)
    assert gradients.keys() == network.keys()
    for name, gradient in gradients.items():
        assert_gradient(gradient, network[name], value)


def test_untrained_it_is_residual_quantization_to_the_bit():
    z = rng(1).normal(size=(200, D)).astype(np.float32)
    found = []
    for quantizer in (placed(z, trained=False), Residual(EMA(K), stages=M)):
        quantizer.initialize(z, batch=10, rng=1)
        quantized, _ = quantizer.forward(z)
        found.append((quantized.vectors, quantized.codes, quantizer.tokens))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_stage_is_vector_quantization():
    z = rng(2).normal(size=(N, D))
    quantizer = placed(z, stages=1)
    quantized, cache = quantizer.forward(z)
    np.testing.assert_array_equal(quantized.codes[:, 0], nearest(z, quantizer.codebooks[0])[0])
    assert quantizer.backward(z, cache)[1].keys() == quantizer.params.keys()


@pytest.mark.parametrize("block", [1, 1 << 20])
def test_search_finds_the_nearest_adapted_token(monkeypatch, block):
    monkeypatch.setattr(qinco, "VALUES_A_BLOCK", block)
    residual, partial = rng(3).normal(size=(N, D)), rng(4).normal(size=(N, D))
    tokens, network = rng(5).normal(size=(K, D)), network_of()
    distances = [
        np.square(residual - adapt_forward(token[None].repeat(N, 0), partial, network)[0]).sum(1)
        for token in tokens
    ]
    codes = adapted_nearest(residual, partial, tokens, network)
    np.testing.assert_array_equal(codes, np.argmin(distances, axis=0))


def test_search_far_from_the_origin():
    """‖x‖² - 2 x·t + ‖t‖², as published, cancels there in float32."""
    z = (1e4 + rng(6).normal(size=(400, D))).astype(np.float32)
    quantizer = placed(z, trained=False)
    quantized, _ = quantizer.forward(z)
    assert np.square(quantized.vectors - z).mean() < 0.2
    assert np.isfinite(placed(-z, trained=False).forward(-z)[0].vectors).all()


def test_gradients_with_frozen_codes():
    """The loss of every stage moves all stages before it; z is moved by the commitment alone."""
    z, upstream = rng(7).normal(size=(N, D)), rng(8).normal(size=(N, D))
    quantizer = placed(z, beta=0.4)
    quantized, cache = quantizer.forward(z)
    dz, gradients = quantizer.backward(upstream, cache)
    frozen_z, offset = z.copy(), quantized.vectors - z

    def surrogate():
        prefixes = (quantizer.decode(quantized.codes[:, : m + 1]) for m in range(M))
        codebook = sum(((frozen_z - prefix) ** 2).mean() for prefix in prefixes)
        pull = ((z - quantized.vectors) ** 2).mean()
        return float((upstream * (z + offset)).sum() + codebook + 0.4 * pull)

    frozen = {
        "codebook": quantized.losses["codebook"],
        "commitment": quantized.losses["commitment"],
    }
    assert surrogate() == pytest.approx(
        (upstream * quantized.vectors).sum() + frozen["codebook"] + 0.4 * frozen["commitment"]
    )
    assert_gradient(dz, z, surrogate)
    for name, gradient in gradients.items():
        assert gradient.any()
        assert_gradient(gradient, quantizer.params[name], surrogate)


def test_prefixes_are_codes_too():
    z = rng(9).normal(size=(N, D))
    quantizer = placed(z)
    codes = quantizer.forward(z)[0].codes
    shorter = quantizer.decode(codes[:, :1])
    np.testing.assert_array_equal(shorter, quantizer.codebooks[0][codes[:, 0]])


def test_trained_it_is_better_than_residual_quantization():
    """On frozen embeddings that lie on a curve, where the second token should depend on the first.

    A prefix is not worse than what k-means of its length found.
    """
    angles = rng(10).uniform(0, 2 * np.pi, 600)
    z = np.stack([np.cos(angles), np.sin(angles), np.cos(3 * angles)], axis=1)
    z += rng(11).normal(0, 0.02, z.shape)
    quantizer = QINCo(8, stages=2, width=16)
    quantizer.initialize(z, batch=600)
    optimizer = Adam(quantizer.params, 3e-3)

    def errors():
        codes = quantizer.forward(z)[0].codes
        return [np.square(z - quantizer.decode(codes[:, : m + 1])).mean() for m in range(2)]

    before = errors()
    for _ in range(150):
        optimizer.step(quantizer.backward(np.zeros_like(z), quantizer.forward(z)[1])[1])
    after = errors()
    assert after[1] < 0.7 * before[1]
    assert after[0] < 1.02 * before[0]


def test_hits_bits_and_view():
    z = rng(12).normal(size=(N, D))
    quantizer = placed(z)
    quantized, _ = quantizer.forward(z)
    hits = quantizer.update(z, quantized, mask=np.arange(N) < 9)
    assert hits.shape == (M, K)
    assert hits.sum(axis=1).tolist() == [9] * M
    assert quantizer.bits == M * np.log2(K)
    view = quantizer.view(z)
    np.testing.assert_allclose(view.tokens[view.codes], quantized.vectors, rtol=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stage_tokens": 0}, "stage_tokens must be at least 1, got 0"),
        ({"stages": 0}, "stages must be at least 1, got 0"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"blocks": -1}, "blocks must be at least 0, got -1"),
        ({"beta": -1}, "beta must be at least 0 and finite, got -1"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        QINCo(**settings)


def test_codes_that_do_not_fit_are_refused():
    quantizer = placed(rng().normal(size=(N, D)))
    with pytest.raises(ValueError, match=r"codes must have shape \(N, 1\) to \(N, 3\), got \(4,\)"):
        quantizer.decode(np.zeros(4, np.int64))
    with pytest.raises(ValueError, match=r"codes must lie in \[0, 5\)"):
        quantizer.decode(np.full((4, 2), 5))
