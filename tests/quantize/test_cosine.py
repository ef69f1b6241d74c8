"""Cosine codes: directions by hand, gradients, tokens that stay on the sphere, a published one."""

from dataclasses import replace

import numpy as np
import pytest
from gradients import assert_gradient

from vqnp.optim import Adam
from vqnp.quantize import CVQ, EMA, FSQ, Codebook, Cosine, GradientCodebook
from vqnp.quantize.cosine import to_sphere


def rng(seed=0):
    return np.random.default_rng(seed)


def unit(z):
    return z / np.linalg.norm(z, axis=-1, keepdims=True)


def placed(kind, z):
    made = replace(kind)
    made.initialize(z, batch=len(z), rng=1)
    return made


def case(n=20, d=3):
    return rng().normal(size=(n, d)), rng(1).normal(size=(n, d))


def test_the_nearest_token_is_that_of_the_greatest_cosine():
    z, _ = case(200)
    made = placed(Cosine(EMA(6)), z)
    quantized, _ = made.forward(z)
    np.testing.assert_array_equal(quantized.codes, (unit(z) @ made.tokens.T).argmax(axis=1))
    np.testing.assert_array_equal(quantized.vectors, made.tokens[quantized.codes])  # to the bit
    np.testing.assert_allclose(np.linalg.norm(quantized.vectors, axis=1), 1, rtol=1e-15)


def test_the_commitment_compares_directions():
    """It does not know the length of z, and its gradient falls with it."""
    z, _ = case()
    made = placed(Cosine(EMA(6)), z)
    quantized, cache = made.forward(z)
    expected = ((unit(z) - quantized.vectors) ** 2).mean()
    assert quantized.losses["commitment"] == pytest.approx(expected, rel=1e-13)
    longer, cache_of_longer = made.forward(3 * z)
    assert longer.losses["commitment"] == pytest.approx(expected, rel=1e-13)
    dz, dlonger = (made.backward(0 * z, c)[0] for c in (cache, cache_of_longer))
    np.testing.assert_allclose(dlonger, dz / 3, rtol=1e-10)


@pytest.mark.parametrize("radial", [False, True])
def test_gradient_of_the_embeddings(radial):
    """The surrogate: ẑ, or z itself where radial, plus what is missing to the token."""
    z, upstream = case()
    made = placed(Cosine(EMA(6, beta=0.7), radial=radial), z)
    quantized, cache = made.forward(z)
    offset = quantized.vectors - (z if radial else unit(z))

    def surrogate():
        passed = z if radial else unit(z)
        loss = ((unit(z) - quantized.vectors) ** 2).mean()
        return float((upstream * (passed + offset)).sum() + 0.7 * loss)

    dz, _ = made.backward(upstream, cache)
    assert_gradient(dz, z, surrogate)
    along = np.abs((dz * z).sum(axis=1)).max()
    assert (along > 0.1) if radial else (along < 1e-13)


def test_gradient_of_tokens_that_an_optimizer_moves():
    z, upstream = case()
    made = placed(Cosine(GradientCodebook(6)), z)
    quantized, cache = made.forward(z)
    tokens = made.tokens

    def surrogate():
        return float(((unit(z) - unit(tokens)[quantized.codes]) ** 2).mean())

    assert_gradient(made.backward(upstream, cache)[1]["sphere.tokens"], tokens, surrogate)


@pytest.mark.parametrize("inner", [EMA(6), EMA(6, dialect="counts-one"), GradientCodebook(6)])
def test_tokens_lie_on_the_sphere_after_every_update(inner):
    """In public code they were only there before the first."""
    z, upstream = case(60)
    made = placed(Cosine(inner), z.astype(np.float32))
    optimizer = Adam(made.params, 0.1)
    for step in range(5):
        batch = rng(step).normal(size=(60, 3)).astype(np.float32)
        quantized, cache = made.forward(batch)
        optimizer.step(made.backward(upstream.astype(np.float32), cache)[1])
        made.update(batch, quantized)
        np.testing.assert_allclose(np.linalg.norm(made.tokens, axis=1), 1, rtol=1e-6)


def test_the_averages_take_directions_and_the_token_is_that_of_their_sum():
    z, _ = case(40)
    made = placed(Cosine(EMA(6, decay=0.8)), z)
    sums = made.buffers["sphere.sums"].copy()
    batch = rng(4).normal(size=(40, 3))
    quantized, _ = made.forward(batch)
    made.update(batch, quantized)
    hits = np.stack([unit(batch)[quantized.codes == k].sum(axis=0) for k in range(6)])
    np.testing.assert_allclose(made.tokens, unit(0.8 * sums + 0.2 * hits), rtol=1e-12)


def test_the_start_is_that_of_k_means_on_the_sphere():
    """L = n B / N, and M is the sum of the directions, which is shorter than L."""
    z, _ = case(40)
    made = placed(Cosine(EMA(5)), z)
    sums, counts = made.buffers["sphere.sums"], made.buffers["sphere.counts"]
    np.testing.assert_allclose(sums.sum(axis=0), unit(z).sum(axis=0), rtol=1e-12)
    assert (np.linalg.norm(sums, axis=1) < counts).all()
    np.testing.assert_allclose(made.tokens, unit(sums), rtol=1e-14)


def test_a_code_without_hits_stays_to_the_bit():
    z, _ = case(60)
    made = placed(Cosine(EMA(6)), z.astype(np.float32))
    token = made.tokens[0].copy()
    others = z[made.forward(z.astype(np.float32))[0].codes != 0].astype(np.float32)
    for _ in range(20):
        quantized, _ = made.forward(others)
        kept = quantized.codes != 0
        made.update(others, quantized, mask=kept)
    np.testing.assert_array_equal(made.tokens[0], token)


def test_hits_that_cancel_leave_the_token():
    made = Cosine(EMA(1, decay=0.0))
    made.initialize(np.array([[1.0, 0.0], [1.0, 0.0]]), batch=2)
    z = np.array([[0.0, 2.0], [0.0, -7.0]])
    made.update(z, made.forward(z)[0])
    assert made.tokens.tolist() == [[1, 0]]


def test_to_sphere():
    tokens = np.array([[0.0, 4.0], [0.6, 0.8], [0.0, 0.0]])
    to_sphere(tokens, np.array([[9.0, 9.0], [9.0, 9.0], [1.0, 0.0]]))
    assert tokens.tolist() == [[0, 1], [0.6, 0.8], [1, 0]]


def test_zero_has_no_gradient():
    z, upstream = case()
    z[3] = 0
    made = placed(Cosine(EMA(6)), z)
    dz, _ = made.backward(upstream, made.forward(z)[1])
    assert not dz[3].any()
    assert np.isfinite(dz).all()


def test_rotation_on_the_sphere_keeps_lengths():
    z, upstream = case()
    made = placed(Cosine(EMA(6, estimator="rotation", beta=0)), z)
    turned, _ = made.backward(upstream, made.forward(z)[1])
    np.testing.assert_allclose((turned * z).sum(axis=1), 0, atol=1e-13)


def test_a_line_has_two_directions_and_is_refused():
    with pytest.raises(ValueError, match="cosine codes need two dimensions"):
        Cosine(EMA(2)).initialize(np.ones((4, 1)), batch=4)


@pytest.mark.parametrize("inner", [FSQ((5, 5)), Cosine(EMA(4))])
def test_a_quantizer_without_tokens_of_its_own_is_refused(inner):
    with pytest.raises(TypeError, match="quantizer must be EMA, GradientCodebook or CVQ"):
        Cosine(inner)


def test_it_prints_what_is_inside():
    assert repr(Cosine(CVQ(8))).startswith("Cosine(quantizer=CVQ(n_tokens=8, ")


@pytest.mark.parametrize("rotation", [False, True])
def test_agrees_with_a_published_quantizer(rotation):
    """Theirs divides M by smoothed counts, which is lost in the direction."""
    pytest.importorskip("vector_quantize_pytorch", reason="the independent implementation")
    import torch
    from vector_quantize_pytorch import VectorQuantize

    z, upstream = (a.astype(np.float32) for a in case(400, 5))
    tokens = unit(rng(2).normal(size=(7, 5))).astype(np.float32)
    theirs = VectorQuantize(
        dim=5,
        codebook_size=7,
        use_cosine_sim=True,
        commitment_weight=0.25,
        rotation_trick=rotation,
        decay=0.8,
    )
    theirs._codebook.embed.data.copy_(torch.tensor(tokens)[None])
    theirs._codebook.embed_avg.data.copy_(torch.tensor(tokens)[None])
    theirs._codebook.initted.data.fill_(True)
    x = torch.tensor(z[None], requires_grad=True)
    vectors, codes, loss = theirs.train()(x)
    (loss.sum() + (vectors * torch.tensor(upstream)).sum()).backward()

    inner = EMA(7, decay=0.8, estimator="rotation" if rotation else "straight-through")
    made = Cosine(inner)
    made.initialize(z, batch=400)
    at = Codebook.start(tokens, np.ones(7))
    for name in ("tokens", "counts", "sums"):
        made.buffers[f"sphere.{name}"][:] = getattr(at, name)
    quantized, cache = made.forward(z)
    np.testing.assert_array_equal(quantized.codes, codes[0].numpy())
    np.testing.assert_allclose(quantized.vectors, vectors[0].detach().numpy(), atol=1e-6)
    assert 0.25 * quantized.losses["commitment"] == pytest.approx(loss.item(), rel=1e-5)
    dz, _ = made.backward(upstream, cache)
    np.testing.assert_allclose(dz, x.grad[0].numpy(), rtol=1e-4, atol=1e-5)
    made.update(z, quantized)
    np.testing.assert_allclose(made.tokens, theirs._codebook.embed[0].numpy(), atol=1e-5)
