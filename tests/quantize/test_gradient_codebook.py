"""A codebook learnt by gradient: its two losses by hand, their gradients, whom each pulls."""

import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.optim import Adam
from vqnp.quantize import (
    GradientCodebook,
    codebook_loss_backward,
    codebook_loss_forward,
    nearest,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def case(n=9, k=5, d=3):
    return rng().normal(size=(n, d)), rng(1).normal(size=(k, d)), rng(2).normal(size=(n, d))


def made_of(tokens, **settings):
    made = GradientCodebook(len(tokens), **settings)
    made.params["tokens"] = tokens.copy()
    return made


def test_by_hand():
    """Gaps of 1, 1 and 3; the losses are 11 / 3, and the first token has two embeddings."""
    z, tokens = np.array([[1.0], [-1.0], [7.0]]), np.array([[0.0], [10.0]])
    quantized, cache = made_of(tokens, beta=0.5).forward(z)
    assert quantized.vectors.tolist() == [[0], [0], [10]]
    assert quantized.losses == {"codebook": 11 / 3, "commitment": 11 / 3}
    dz, gradients = made_of(tokens, beta=0.5).backward(np.zeros((3, 1)), cache)
    np.testing.assert_allclose(3 * dz, [[1], [-1], [-3]])
    np.testing.assert_allclose(3 * gradients["tokens"], [[0], [6]])


def test_gradients_of_both_losses():
    """With the codes held, and with each stop-gradient in its place."""
    z, tokens, _ = case()
    quantized, cache = codebook_loss_forward(z, tokens)
    codes = quantized.codes
    assert len(np.unique(codes)) < len(tokens)
    dz, dtokens = codebook_loss_backward(cache, len(tokens))
    here, there = z.copy(), tokens.copy()  # what sg sees
    assert_gradient(dz, z, lambda: float(((z - there[codes]) ** 2).mean()))
    assert_gradient(dtokens, tokens, lambda: float(((here - tokens[codes]) ** 2).mean()))


def test_the_tokens_hear_nothing_of_the_reconstruction():
    z, tokens, upstream = case()
    made = made_of(tokens)
    _, cache = made.forward(z)
    one, other = (made.backward(dvectors, cache) for dvectors in (upstream, 0 * upstream))
    np.testing.assert_array_equal(one[1]["tokens"], other[1]["tokens"])
    assert np.abs(one[1]["tokens"]).max() > 0.01


def test_beta_weighs_the_pull_on_the_embeddings_alone():
    """With β on the codebook loss, a slip of public code, the tokens' gradient would change."""
    z, tokens, upstream = case()
    _, cache = made_of(tokens).forward(z)
    (none, same), (quarter, also) = (
        made_of(tokens, beta=beta).backward(upstream, cache) for beta in (0.0, 0.25)
    )
    np.testing.assert_array_equal(none, upstream)  # to the bit
    assert not np.array_equal(none, quarter)
    np.testing.assert_array_equal(same["tokens"], also["tokens"])


def test_a_token_without_hits_drifts_under_adam_after_a_lone_gradient():
    """Adam's averages outlive the gradient: some six learning rates in all, and then rest."""
    params, rate = {"tokens": np.zeros(1)}, 1e-3
    optimizer = Adam(params, rate)
    optimizer.step({"tokens": np.ones(1)})
    for _ in range(2000):
        optimizer.step({"tokens": np.zeros(1)})
    assert -params["tokens"][0] / rate == pytest.approx(6.0, abs=0.1)


def test_gradient_descent_moves_only_tokens_with_hits():
    z, tokens, _ = case()
    made = made_of(tokens)
    quantized, cache = made.forward(z)
    unhit = np.setdiff1d(np.arange(5), quantized.codes)
    assert len(unhit)
    assert not made.backward(z, cache)[1]["tokens"][unhit].any()


def test_descent_reaches_the_means():
    """A step of n / 2 (number of coordinates over twice the hits) puts a token on its mean."""
    z, tokens, _ = case()
    codes, _ = nearest(z, tokens)
    _, dtokens = codebook_loss_backward(codebook_loss_forward(z, tokens)[1], 5)
    for k in np.unique(codes):
        hits = (codes == k).sum()
        stepped = tokens[k] - z.size / (2 * hits) * dtokens[k]
        np.testing.assert_allclose(stepped, z[codes == k].mean(0))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_tokens": 0}, ValueError, "n_tokens must be at least 1, got 0"),
        ({"beta": -1}, ValueError, "beta must be at least 0 and finite, got -1"),
        ({"start": "zeros"}, ValueError, "start must be one of k-means, normal, uniform, got"),
        ({"estimator": "none"}, ValueError, "estimator must be one of straight-through"),
    ],
)
def test_settings_out_of_range_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        GradientCodebook(**settings)


@pytest.mark.parametrize("estimator", ["straight-through", "rotation"])
def test_agrees_with_a_published_quantizer(estimator):
    """Theirs with one loss that pulls both sides is ours with β = 1."""
    pytest.importorskip("vector_quantize_pytorch", reason="the independent implementation")
    import torch
    from vector_quantize_pytorch import VectorQuantize

    z, tokens, upstream = (a.astype(np.float32) for a in case(n=50))
    theirs = VectorQuantize(
        dim=3,
        codebook_size=5,
        learnable_codebook=True,
        ema_update=False,
        commitment_weight=1.0,
        rotation_trick=estimator == "rotation",
    )
    with torch.no_grad():
        theirs._codebook.embed.copy_(torch.tensor(tokens)[None])
    x = torch.tensor(z[None], requires_grad=True)
    vectors, codes, loss = theirs(x)
    (loss.sum() + (vectors * torch.tensor(upstream)).sum()).backward()
    made = made_of(tokens, beta=1.0, estimator=estimator)
    quantized, cache = made.forward(z)
    dz, gradients = made.backward(upstream, cache)
    np.testing.assert_array_equal(quantized.codes, codes[0].numpy())
    assert quantized.losses["codebook"] == pytest.approx(loss.item(), rel=1e-6)
    np.testing.assert_allclose(dz, x.grad[0].numpy(), rtol=1e-4, atol=1e-5)
    theirs_of_tokens = theirs._codebook.embed.grad[0].numpy()
    np.testing.assert_allclose(gradients["tokens"], theirs_of_tokens, rtol=1e-5, atol=1e-7)
