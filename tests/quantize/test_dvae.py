"""Choices by logits: divergences, the relaxed choice, their gradients, and four arms."""

import numpy as np
import pytest
from gradients import assert_gradient
from scipy.special import polygamma

from vqnp import FineTune, MLPSettings, TrainSettings, mlp_vqvae, train
from vqnp.quantize import (
    DVAE,
    EdVAE,
    gumbel_softmax_backward,
    gumbel_softmax_forward,
    mixture_backward,
    mixture_forward,
)
from vqnp.quantize.dvae import categorical_kl, cosine, dirichlet_kl, evidence, trigamma
from vqnp.training import InitializeCodebook

N, K, D = 7, 5, 3
ARMS = [DVAE(K, D), DVAE(K, D, limit=1.5), EdVAE(K, D, kl_weight=0), EdVAE(K, D, kl_weight=0.3)]
EACH = pytest.mark.parametrize("kind", ARMS, ids=repr)


def rng(seed=0):
    return np.random.default_rng(seed)


def placed(kind, steps=3_000, dtype=np.float64):
    made = type(kind)(**{f: getattr(kind, f) for f in kind.to_json() if f != "kind"})
    made.initialize(np.zeros((1, K), dtype), batch=1, rng=1)
    made.buffers["steps"] += steps
    return made


def gumbel(seed=9):
    """The noise that a forward pass draws from ``rng(seed)``."""
    return rng(seed).gumbel(size=(N, K))


def test_gradients_of_the_relaxed_choice():
    logits, tokens, upstream = (
        rng(i).normal(size=shape) for i, shape in enumerate([(N, K), (K, D), (N, D)])
    )

    def value():
        return float((upstream * mixture_forward(choice(), tokens)).sum())

    def choice():
        return gumbel_softmax_forward(logits, gumbel(), 0.7)[0]

    y, cache = gumbel_softmax_forward(logits, gumbel(), 0.7)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-14)
    dy, dtokens = mixture_backward(upstream, y, tokens)
    assert_gradient(gumbel_softmax_backward(dy, cache), logits, value)
    assert_gradient(dtokens, tokens, value)


def test_greatest_of_noisy_logits_is_drawn_with_the_probability_of_its_code():
    logits = np.log([[0.1, 0.6, 0.3]]).repeat(40_000, axis=0)
    y, _ = gumbel_softmax_forward(logits, rng().gumbel(size=logits.shape), 0.5)
    np.testing.assert_allclose(np.bincount(y.argmax(axis=1)) / 40_000, [0.1, 0.6, 0.3], atol=0.01)


@pytest.mark.parametrize("divergence", [categorical_kl, dirichlet_kl])
def test_gradients_of_the_divergences(divergence):
    given = 1 + rng().exponential(3, size=(N, K))
    assert_gradient(divergence(given)[1], given, lambda: divergence(given)[0])


@pytest.mark.parametrize("divergence", [categorical_kl, dirichlet_kl])
def test_a_batch_twice_as_long_has_the_same_divergence(divergence):
    """A public version divides by an axis of length 1: its weight depends on the batch."""
    given = 1 + rng().exponential(3, size=(N, K))
    once, twice = divergence(given)[0], divergence(np.concatenate([given, given]))[0]
    assert once == pytest.approx(twice, rel=1e-14)


def test_divergence_of_sure_and_of_even_choices():
    """With ln(p K + 1e-10), as published, a sure choice of one in K costs other than ln K."""
    value, gradient = categorical_kl(np.array([[50.0, -50.0, -50.0]]))
    assert value == pytest.approx(np.log(3), rel=1e-15)
    assert np.isfinite(gradient).all()
    assert categorical_kl(np.zeros((4, 8)))[0] == 0
    assert dirichlet_kl(np.ones((4, 8)))[0] == 0


def test_dirichlet_divergence_against_an_integral():
    """Two codes: Dirichlet(α) is Beta(a, b), and the flat prior has density 1."""
    a, b = 3.5, 1.25
    x = (np.arange(2_000_000) + 0.5) / 2_000_000
    density = x ** (a - 1) * (1 - x) ** (b - 1)
    density /= density.mean()
    expected = (density * np.log(density)).mean()
    assert dirichlet_kl(np.array([[a, b]]))[0] == pytest.approx(expected, abs=1e-5)


def test_trigamma_is_that_of_scipy():
    x = np.concatenate([np.linspace(1, 30, 1000), np.logspace(1, 12, 100)])
    np.testing.assert_allclose(trigamma(x), polygamma(1, x), rtol=1e-12)


def test_published_scale_of_the_divergence():
    """For 512 codes: 59.3 nats at α = 2 everywhere."""
    assert dirichlet_kl(np.full((1, 512), 2.0))[0] == pytest.approx(59.3, abs=0.05)


def test_evidence_on_both_sides_of_its_limit():
    """exp without a limit overflows float32 at 88; beyond the limit no gradient comes back."""
    alpha, slope = evidence(np.float32([[19.9, 20.1, 500]]))
    assert np.isfinite(alpha).all()
    assert alpha[0, 1] == alpha[0, 2]
    assert slope[0, 0] > 0
    assert slope[0, 1] == slope[0, 2] == 0


@EACH
def test_gradients_in_training(kind):
    quantizer = placed(kind)
    z, upstream = rng(2).normal(size=(N, K)), rng(3).normal(size=(N, D))
    quantized, cache = quantizer.forward(z, training=True, rng=rng(9))
    dz, gradients = quantizer.backward(upstream, cache)
    weight = cosine(0, kind.kl_weight, 3_000 / 5_000)
    assert 0 <= weight <= kind.kl_weight

    def value():
        again, _ = quantizer.forward(z, training=True, rng=rng(9))
        return float((upstream * again.vectors).sum() + weight * again.losses.get("kl", 0))

    assert value() != (upstream * quantizer.forward(z)[0].vectors).sum()
    assert_gradient(dz, z, value)
    assert_gradient(gradients["tokens"], quantizer.params["tokens"], value)
    assert quantized.codes.tolist() == z.argmax(axis=1).tolist()


def test_the_two_ablations_isolate_one_difference_each():
    """A limit changes nothing below it. EdVAE without its divergence is softmax(ln(exp l + 1))."""
    z = rng(4).normal(size=(N, K))
    free, limited = placed(DVAE(K, D)), placed(DVAE(K, D, limit=20))
    evident = placed(EdVAE(K, D, kl_weight=0, final_temperature=1 / 16))
    for quantizer in (limited, evident):
        np.testing.assert_array_equal(quantizer.tokens, free.tokens)
    vectors = [q.forward(z, training=True, rng=rng(9))[0].vectors for q in (free, limited)]
    np.testing.assert_array_equal(*vectors)
    softened = np.log(np.exp(z) + 1)
    np.testing.assert_allclose(
        evident.forward(z, training=True, rng=rng(9))[0].vectors,
        free.forward(softened, training=True, rng=rng(9))[0].vectors,
        rtol=1e-10,
    )
    _, cache = limited.forward(z + 30, training=True)
    assert not limited.backward(np.ones((N, D)), cache)[0].any()


@EACH
def test_evaluation_draws_nothing(kind):
    """A public version samples noisy codes in evaluation."""
    quantizer, z = placed(kind), rng(5).normal(size=(N, K))
    one, two = (quantizer.forward(z, rng=rng(seed))[0] for seed in (1, 2))
    np.testing.assert_array_equal(one.vectors, two.vectors)
    np.testing.assert_array_equal(one.vectors, quantizer.tokens[one.codes])


@EACH
def test_training_draws_from_the_generator_it_is_given(kind):
    quantizer, z = placed(kind), rng(5).normal(size=(N, K))
    one, same, other, none = (
        quantizer.forward(z, training=True, rng=given)[0].vectors
        for given in (rng(1), rng(1), rng(2), None)
    )
    np.testing.assert_array_equal(one, same)
    assert abs(one - other).max() > 0.1
    assert abs(one - none).max() > 0.1


def test_hits_are_of_codes_not_of_soft_weights():
    """Soft weights that are almost even, all with one maximum, are published as full usage."""
    quantizer, z = placed(DVAE(K, D)), np.full((N, K), 0.0)
    z[:, 2] = 1e-3
    quantized, _ = quantizer.forward(z, training=True, rng=rng())
    assert quantizer.update(z, quantized).tolist() == [0, 0, N, 0, 0]


def test_schedules():
    assert [cosine(1, 0.5, done) for done in (0, 0.5, 1, 7)] == [1, 0.75, 0.5, 0.5]
    quantizer, z = placed(DVAE(K, D, anneal=1, warmup=1), steps=0), rng().normal(size=(N, K))
    before, _ = quantizer.forward(z, training=True)
    quantizer.update(z, before)
    after, _ = quantizer.forward(z, training=True)
    assert quantizer.buffers["steps"] == 1
    assert not np.array_equal(before.vectors, after.vectors)  # from temperature 1 to 1/16


@EACH
def test_a_model_of_its_own_width_trains(kind):
    """The encoder ends in K logits and the decoder begins with D coordinates."""
    quantizer = type(kind)(**{f: getattr(kind, f) for f in kind.to_json() if f != "kind"})
    model = mlp_vqvae(MLPSettings(2, D, 6, 6), quantizer, rng=0)
    assert model.params["encoder.4.bias"].shape == (K,)
    assert model.params["decoder.0.weight"].shape[0] == D
    x = rng().normal(size=(40, 2)).astype(np.float32)
    history = train(model, x, (InitializeCodebook(), FineTune(3)), TrainSettings(16))
    assert history[-1].losses.keys() == {"reconstruction"} | ({"kl"} if kind.kl_weight else set())
    assert model.reconstruct(x).shape == x.shape


def test_view_shows_expected_tokens():
    quantizer, z = placed(EdVAE(K, D)), rng().normal(size=(N, K))
    embeddings, tokens, codes = quantizer.view(z)
    alpha = np.exp(z) + 1
    expected = (alpha / alpha.sum(axis=1, keepdims=True)) @ tokens
    np.testing.assert_allclose(embeddings, expected, rtol=1e-14)
    np.testing.assert_array_equal(codes, z.argmax(axis=1))


@pytest.mark.parametrize("kind", [DVAE, EdVAE])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_tokens": 0}, "n_tokens must be at least 1, got 0"),
        ({"token_dim": 0}, "token_dim must be at least 1, got 0"),
        ({"anneal": 0}, "anneal must be at least 1, got 0"),
        ({"kl_weight": -1}, "kl_weight must be at least 0 and finite, got -1"),
        ({"final_temperature": 0}, "final_temperature must be positive and finite, got 0"),
    ],
)
def test_what_cannot_be_is_refused(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        kind(**settings)
